//! Backup and restore of an account: its secrets, contacts, blocked accounts, unique names and network in one file, sealed under a passphrase
//! by `age` (scrypt, ChaCha20-Poly1305). On the machine of a network's owner also the owner's key and that of its
//! supernode: without them nobody could sign for the network or stand in its file. Messages and files are not in it.
//!
//! The content is postcard and begins with its format. Today's is format 5; those before it said less, or had contacts' cards
//! of another shape, and are refused.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use rustix::fs::{AtFlags, CWD, RenameFlags, linkat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use starling_control::{ErrorKind, Failure, view};
use starling_store::contacts::{self, Contact, Relation};
use starling_store::networks::{self, Joined};
use starling_store::profile::{self, Profile};
use starling_store::{StoreError, Tx, own_names, settings};
use starling_wire::account::Chain;
use starling_wire::card::SignedCard;
use starling_wire::frame;
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::own_name::Held;
use starling_wire::profile::{OwnPart, Part};
use starling_wire::supernode::SupernodeAddr;
use zeroize::Zeroizing;

use crate::clock::{random, wall_ms};
use crate::context::store_failure;
use crate::drivers::profiles;
use crate::identity::Identity;
use crate::network::SUPERNODE_PORTS;
use crate::node::App;
use crate::recovery;

const FORMAT: u32 = 5;
const PASSPHRASE_MIN: usize = 8;
/// A backup with ten thousand contacts has about 10 MB.
const SIZE_MAX: u64 = 32 * 1024 * 1024;

/// The account and its contacts.
#[derive(Serialize, Deserialize)]
struct Base {
    format: u32,
    seeds: [[u8; 32]; 6],
    chain: Chain,
    name: String,
    device_name: String,
    sequence: u64,
    contacts: Vec<SavedContact>,
    network: Option<SavedNetwork>,
}

/// What stands behind it.
#[derive(Serialize, Deserialize)]
struct More {
    owner: Option<SavedOwner>,
    blocked: Vec<SavedBlocked>,
    /// Unique names, with what says that they are ours.
    names: Vec<Held>,
    /// What the person shows, and to whom.
    shown: Vec<(Part, OwnPart)>,
}

#[derive(Serialize, Deserialize)]
struct SavedContact {
    card: SignedCard,
    nickname: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedNetwork {
    network: Option<NetworkId>,
    name: String,
    file: Option<String>,
    supernodes: Vec<SupernodeAddr>,
}

/// Of a network's owner.
#[derive(Serialize, Deserialize)]
struct SavedOwner {
    key: [u8; 32],
    supernode: [u8; 32],
    /// The ports its supernode listens on, as the setting has them.
    ports: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedBlocked {
    account: AccountId,
    name: String,
    nickname: Option<String>,
}

/// Writes the backup; the file must not exist.
pub async fn write(app: &Arc<App>, file: &str, passphrase: &str) -> Result<(), Failure> {
    if passphrase.chars().count() < PASSPHRASE_MIN {
        let sentence = format!("the passphrase needs at least {PASSPHRASE_MIN} characters");
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let session = app.session()?;
    let identity = session.ctx.identity.get();
    if !identity.can_sign() {
        let sentence = "this device does not hold the account's key; make the backup on one of your devices that does";
        return Err(Failure::new(ErrorKind::State, sentence));
    }
    let plain = app.db.read(move |tx| collect(tx, &identity));
    let plain = plain.await.map_err(store_failure)?;
    let (file, passphrase) = (PathBuf::from(file), passphrase.to_owned());
    blocking(move || seal(&file, &plain, passphrase)).await
}

/// Opens a backup of this account and changes nothing.
pub async fn check(app: &Arc<App>, file: &str, passphrase: &str) -> Result<(), Failure> {
    let account = app.session()?.ctx.identity.account();
    let (path, passphrase) = (PathBuf::from(file), passphrase.to_owned());
    let plain = blocking(move || open(&path, passphrase)).await?;
    let (base, _) = read(&plain)?;
    let saved = base.chain.verify().map_err(|_| damaged())?;
    if saved.id() != account {
        let sentence = "this is a backup of another account";
        return Err(Failure::new(ErrorKind::Refused, sentence));
    }
    recovery::checked(app, recovery::Way::Backup).await
}

/// Everything, as it stood at one moment.
fn collect(tx: &Tx<'_>, identity: &Identity) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let rows = contacts::list(tx)?;
    let joined = networks::list(tx)?.into_iter().next();
    let more = More {
        owner: saved_owner(tx, joined.as_ref())?,
        blocked: rows
            .iter()
            .filter(|row| row.relation == Relation::Blocked)
            .map(|row| SavedBlocked {
                account: row.account,
                name: row.name.clone(),
                nickname: row.nickname.clone(),
            })
            .collect(),
        names: own_names::list(tx)?.into_iter().map(Held::from).collect(),
        shown: profiles::saved(tx)?,
    };
    let saved = rows
        .into_iter()
        .filter(|row| row.relation == Relation::Contact && !row.echo);
    let base = Base {
        format: FORMAT,
        seeds: [
            identity
                .signing
                .as_ref()
                .map_or([0; 32], SigningKey::to_bytes),
            // A device that joined has none.
            identity.recovery_seed.unwrap_or_default(),
            identity.device.to_bytes(),
            identity.front_door_seed,
            identity.request_secret,
            identity.discovery_key,
        ],
        chain: identity.chain.clone(),
        name: identity.name.clone(),
        device_name: identity.device_name.clone(),
        sequence: profile::load(tx)?.map_or(0, |profile| profile.sequence),
        contacts: saved
            .filter_map(|row| {
                Some(SavedContact {
                    card: row.card?,
                    nickname: row.nickname,
                })
            })
            .collect(),
        network: joined.map(|joined| SavedNetwork {
            network: joined.network,
            name: joined.name,
            file: joined.file,
            supernodes: joined.supernodes,
        }),
    };
    Ok(Zeroizing::new(frame::encode_body(&(base, more))))
}

fn saved_owner(tx: &Tx<'_>, joined: Option<&Joined>) -> Result<Option<SavedOwner>, StoreError> {
    let Some(key) = joined.and_then(|joined| joined.owner.as_deref()) else {
        return Ok(None);
    };
    let Some(supernode) = networks::own_supernode(tx)? else {
        return Ok(None);
    };
    Ok(Some(SavedOwner {
        key: *key,
        supernode: *supernode,
        ports: settings::get(tx, SUPERNODE_PORTS)?,
    }))
}

/// Seals into a file beside, which gets its name only when all of it is on the disk.
fn seal(file: &Path, plain: &[u8], passphrase: String) -> Result<(), Failure> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let label = u64::from_ne_bytes(random());
    let beside = folder.join(format!(".starling-backup-{label:016x}.part"));
    let written = match file.symlink_metadata() {
        Ok(_) => Err(std::io::ErrorKind::AlreadyExists.into()),
        Err(_) => seal_into(&beside, plain, passphrase),
    };
    let named = written.and_then(|()| publish(&beside, file).map_err(Into::into));
    if named.is_err() {
        // Most often it was never made.
        let _ = std::fs::remove_file(&beside);
    }
    let synced = named.and_then(|()| std::fs::File::open(folder)?.sync_all());
    synced.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            ErrorKind::State,
            format!("{} exists already; choose another name", file.display()),
        ),
        _ => Failure::new(
            ErrorKind::System,
            format!("the backup {} cannot be written: {error}", file.display()),
        ),
    })
}

fn seal_into(beside: &Path, plain: &[u8], passphrase: String) -> std::io::Result<()> {
    let target = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(beside)?;
    let encryptor = age::Encryptor::with_user_passphrase(passphrase.into());
    let mut sealed = encryptor.wrap_output(&target)?;
    sealed.write_all(plain)?;
    sealed.finish()?;
    target.sync_all()
}

/// Moves without replacing; where the file system cannot do that in one step, by a second name.
fn publish(beside: &Path, file: &Path) -> Result<(), Errno> {
    match renameat_with(CWD, beside, CWD, file, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            linkat(CWD, beside, CWD, file, AtFlags::empty())?;
            unlinkat(CWD, beside, AtFlags::empty())
        }
        outcome => outcome,
    }
}

/// Reads a backup into a profile that has no account, which then serves as the restored profile did.
pub async fn restore(
    app: &Arc<App>,
    file: &str,
    passphrase: &str,
) -> Result<view::Account, Failure> {
    app.without_account()?;
    let (path, passphrase) = (PathBuf::from(file), passphrase.to_owned());
    let plain = blocking(move || open(&path, passphrase)).await?;
    let (base, more) = read(&plain)?;
    base.chain.verify().map_err(|_| damaged())?;
    let mut identity = identity(&base);
    identity.name_hidden = more.shown.iter().any(profiles::hides_name);

    let _one = app.changing.lock().await;
    app.without_account()?;
    if more.owner.is_some() && app.owns_network().await? {
        return Err(Failure::new(
            ErrorKind::State,
            "this profile has a network of its own, and so has the backup; restore into another --profile",
        ));
    }
    let row = identity.to_profile();
    let stored = app.db.write(move |tx| keep(tx, base, more, &row));
    stored.await.map_err(store_failure)?;
    app.stop_supernode().await;
    let serves = app.serve_as_before().await;
    let account = app.sign_in(identity).await?;
    serves.map_err(|error| {
        Failure::new(
            ErrorKind::System,
            format!("the account is restored, but this machine cannot serve its network: {error}"),
        )
    })?;
    Ok(account)
}

/// Both parts.
fn read(plain: &[u8]) -> Result<(Base, More), Failure> {
    // Numbers below 128 are one byte of postcard.
    match plain.first() {
        Some(5) => decode(plain),
        Some(1..=4) => Err(Failure::new(
            ErrorKind::Usage,
            "this backup was written by an earlier version of Starling, and only that one reads it",
        )),
        Some(6..) => Err(Failure::new(
            ErrorKind::Usage,
            "this backup was written by a newer version of Starling",
        )),
        _ => Err(damaged()),
    }
}

fn decode<T: serde::de::DeserializeOwned>(plain: &[u8]) -> Result<T, Failure> {
    frame::decode_body(plain, SIZE_MAX as usize).map_err(|_| damaged())
}

fn damaged() -> Failure {
    Failure::new(ErrorKind::Usage, "this backup is damaged")
}

fn identity(base: &Base) -> Identity {
    let [
        signing,
        recovery_seed,
        device,
        front_door_seed,
        request_secret,
        discovery_key,
    ] = base.seeds;
    let recovery = SigningKey::from_bytes(&recovery_seed).verifying_key();
    let has_recovery = recovery.to_bytes() == base.chain.inception.recovery_key;
    Identity {
        signing: Some(SigningKey::from_bytes(&signing)),
        recovery_seed: has_recovery.then_some(recovery_seed),
        device: SigningKey::from_bytes(&device),
        front_door_seed,
        request_secret,
        earlier_requests: Vec::new(),
        name_hidden: false,
        discovery_key,
        chain: base.chain.clone(),
        seen: None,
        name: base.name.clone(),
        device_name: base.device_name.clone(),
        sequence: base.sequence,
    }
}

/// Account, people and network together: a profile has all of a backup or nothing.
fn keep(tx: &Tx<'_>, base: Base, more: More, row: &Profile) -> Result<(), StoreError> {
    profile::create(tx, row)?;
    // Whoever restores one has one.
    recovery::note(tx, recovery::Way::Backup)?;
    for saved in base.contacts {
        if let Some(contact) = agreed(saved) {
            contacts::put(tx, &contact)?;
        }
    }
    for saved in more.blocked {
        contacts::put(tx, &blocked(saved))?;
    }
    for held in more.names {
        own_names::put(tx, &held.into())?;
    }
    profiles::restored(tx, more.shown)?;
    let owner = more.owner.as_ref().map(|owner| Zeroizing::new(owner.key));
    if let Some(saved) = base.network {
        let joined = Joined {
            network: saved.network,
            name: saved.name,
            file: saved.file,
            owner,
            supernodes: saved.supernodes,
            joined_at: wall_ms(),
        };
        networks::join(tx, &joined)?;
    }
    if let Some(owner) = more.owner {
        networks::replace_own_supernode(tx, &Zeroizing::new(owner.supernode))?;
        if let Some(ports) = &owner.ports {
            settings::set(tx, SUPERNODE_PORTS, ports)?;
        }
    }
    Ok(())
}

/// A contact whose card is genuine.
fn agreed(saved: SavedContact) -> Option<Contact> {
    let SavedContact { card, nickname } = saved;
    let account = card.verify().ok()?.account().id();
    let door = card.doors.first();
    Some(Contact {
        account,
        relation: Relation::Contact,
        name: card.card.name.clone(),
        network: card.card.network,
        homes: door.map(|door| door.home.clone()).unwrap_or_default(),
        nickname,
        echo: false,
        added_at: wall_ms(),
        card: Some(card),
    })
}

fn blocked(saved: SavedBlocked) -> Contact {
    Contact {
        account: saved.account,
        relation: Relation::Blocked,
        card: None,
        name: saved.name,
        nickname: saved.nickname,
        network: None,
        homes: Vec::new(),
        echo: false,
        added_at: wall_ms(),
    }
}

fn open(file: &Path, passphrase: String) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let trouble = |error: &dyn std::fmt::Display| {
        Failure::new(
            ErrorKind::System,
            format!("the backup {} cannot be read: {error}", file.display()),
        )
    };
    let source = std::fs::File::open(file).map_err(|error| trouble(&error))?;
    let wrong = || {
        Failure::new(
            ErrorKind::Refused,
            "the passphrase is wrong, or the backup is damaged",
        )
    };
    let decryptor = age::Decryptor::new(source).map_err(|_| {
        Failure::new(
            ErrorKind::Usage,
            format!("{} is no Starling backup", file.display()),
        )
    })?;
    let identity = age::scrypt::Identity::new(passphrase.into());
    let sealed = decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .map_err(|_| wrong())?;
    let mut plain = Zeroizing::new(Vec::new());
    sealed
        .take(SIZE_MAX)
        .read_to_end(&mut plain)
        .map_err(|_| wrong())?;
    Ok(plain)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(Failure::new(
                ErrorKind::System,
                format!("the backup was interrupted: {error}"),
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(format: u32) -> Base {
        let identity = Identity::create("Alice", "laptop");
        Base {
            format,
            seeds: [[7; 32]; 6],
            chain: identity.chain,
            name: "Alice".into(),
            device_name: "laptop".into(),
            sequence: 5,
            contacts: Vec::new(),
            network: None,
        }
    }

    #[test]
    fn other_formats_are_named_as_what_they_are() {
        let blocked = SavedBlocked {
            account: AccountId([9; 32]),
            name: "Mallory".into(),
            nickname: None,
        };
        let more = More {
            owner: None,
            blocked: vec![blocked],
            names: Vec::new(),
            shown: vec![(Part::About, OwnPart::default())],
        };
        let bytes = frame::encode_body(&(base(FORMAT), more));
        let (today, more) = read(&bytes).expect("today's format");
        assert_eq!((today.name.as_str(), today.sequence), ("Alice", 5));
        assert_eq!(more.blocked[0].name, "Mallory");

        let sentence = |bytes: &[u8]| read(bytes).err().expect("refused").message;
        assert!(sentence(&frame::encode_body(&base(FORMAT + 1))).contains("newer"));
        assert!(sentence(&frame::encode_body(&base(FORMAT - 1))).contains("earlier"));
        for bad in [&[][..], &[0], &[5], &bytes[..bytes.len() - 1]] {
            assert!(sentence(bad).contains("damaged"));
        }
    }

    #[test]
    fn a_backup_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("alice.backup");
        seal(&file, b"secret", "correct horse".into()).expect("written");
        let read = open(&file, "correct horse".into()).expect("read");
        assert_eq!(read.as_slice(), b"secret");

        let again = seal(&file, b"other", "correct horse".into()).expect_err("exists");
        assert_eq!(again.data.kind, ErrorKind::State);
        let read = open(&file, "correct horse".into()).expect("as before");
        assert_eq!(read.as_slice(), b"secret");
        let beside = folder.path().join("beside");
        std::fs::write(&beside, "x").expect("written");
        assert_eq!(publish(&beside, &file), Err(Errno::EXIST));
        std::fs::remove_file(&beside).expect("removed");

        let nowhere = folder.path().join("missing/alice.backup");
        assert!(seal(&nowhere, b"secret", "correct horse".into()).is_err());
        let rest = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(rest, 1, "nothing half made stays");
    }
}
