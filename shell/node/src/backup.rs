//! Backup and restore of an account: its secrets, contacts and network in one file, sealed under a passphrase by `age`
//! (scrypt, ChaCha20-Poly1305). Messages and files are not in it.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use starling_control::{ErrorKind, Failure, view};
use starling_store::contacts::{self, Contact, Relation};
use starling_store::networks::{self, Joined};
use starling_store::profile;
use starling_wire::account::Chain;
use starling_wire::card::SignedCard;
use starling_wire::frame;
use starling_wire::ids::NetworkId;
use starling_wire::supernode::SupernodeAddr;
use zeroize::Zeroizing;

use crate::clock::wall_ms;
use crate::context::store_failure;
use crate::identity::Identity;
use crate::node::App;

const FORMAT: u32 = 1;
const PASSPHRASE_MIN: usize = 8;
/// A backup with ten thousand contacts has about 10 MB.
const SIZE_MAX: u64 = 32 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Backup {
    format: u32,
    seeds: [[u8; 32]; 6],
    chain: Chain,
    name: String,
    device_name: String,
    sequence: u64,
    contacts: Vec<SavedContact>,
    network: Option<SavedNetwork>,
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

/// Writes the backup; the file must not exist.
pub async fn write(app: &Arc<App>, file: &str, passphrase: &str) -> Result<(), Failure> {
    if passphrase.chars().count() < PASSPHRASE_MIN {
        let sentence = format!("the passphrase needs at least {PASSPHRASE_MIN} characters");
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let session = app.session()?;
    let identity = &session.ctx.identity;
    let rows = app.db.read(contacts::list).await.map_err(store_failure)?;
    let profile = app.db.read(profile::load).await.map_err(store_failure)?;
    let saved = rows
        .into_iter()
        .filter(|row| row.relation == Relation::Contact && !row.echo);
    let backup = Backup {
        format: FORMAT,
        seeds: [
            identity.signing.to_bytes(),
            identity.recovery_seed,
            identity.device.to_bytes(),
            identity.front_door_seed,
            identity.request_secret,
            identity.discovery_key,
        ],
        chain: identity.chain.clone(),
        name: identity.name.clone(),
        device_name: identity.device_name.clone(),
        sequence: profile.map_or(0, |profile| profile.sequence),
        contacts: saved
            .filter_map(|row| {
                Some(SavedContact {
                    card: row.card?,
                    nickname: row.nickname,
                })
            })
            .collect(),
        network: app
            .joined()
            .await
            .map_err(store_failure)?
            .map(|joined| SavedNetwork {
                network: joined.network,
                name: joined.name,
                file: joined.file,
                supernodes: joined.supernodes,
            }),
    };
    let plain = Zeroizing::new(frame::encode_body(&backup));
    let (file, passphrase) = (file.to_owned(), passphrase.to_owned());
    blocking(move || seal(Path::new(&file), &plain, passphrase)).await
}

fn seal(file: &Path, plain: &[u8], passphrase: String) -> Result<(), Failure> {
    let trouble = |error: std::io::Error| {
        Failure::new(
            ErrorKind::System,
            format!("the backup {} cannot be written: {error}", file.display()),
        )
    };
    let target = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                Failure::new(
                    ErrorKind::State,
                    format!("{} exists already; choose another name", file.display()),
                )
            } else {
                trouble(error)
            }
        })?;
    let encryptor = age::Encryptor::with_user_passphrase(passphrase.into());
    let mut sealed = encryptor.wrap_output(&target).map_err(trouble)?;
    sealed.write_all(plain).map_err(trouble)?;
    sealed.finish().map_err(trouble)?;
    target.sync_all().map_err(trouble)
}

/// Reads a backup into a profile that has no account.
pub async fn restore(
    app: &Arc<App>,
    file: &str,
    passphrase: &str,
) -> Result<view::Account, Failure> {
    if app.session().is_ok() {
        return Err(Failure::new(
            ErrorKind::State,
            "this profile has an account already; restore into another --profile",
        ));
    }
    let (path, passphrase) = (file.to_owned(), passphrase.to_owned());
    let plain = blocking(move || open(Path::new(&path), passphrase)).await?;
    let damaged = || {
        Failure::new(
            ErrorKind::Usage,
            "this backup is damaged or was written by a newer version of Starling",
        )
    };
    let backup: Backup = frame::decode_body(&plain, SIZE_MAX as usize).map_err(|_| damaged())?;
    if backup.format != FORMAT {
        return Err(damaged());
    }
    backup.chain.verify().map_err(|_| damaged())?;
    let [
        signing,
        recovery_seed,
        device,
        front_door_seed,
        request_secret,
        discovery_key,
    ] = backup.seeds;
    let identity = Identity {
        signing: SigningKey::from_bytes(&signing),
        recovery_seed,
        device: SigningKey::from_bytes(&device),
        front_door_seed,
        request_secret,
        discovery_key,
        chain: backup.chain,
        name: backup.name,
        device_name: backup.device_name,
        sequence: backup.sequence,
    };
    let (saved, network) = (backup.contacts, backup.network);
    let stored = app.db.write(move |tx| {
        for SavedContact { card, nickname } in saved {
            let Ok(verified) = card.verify() else {
                continue;
            };
            let homes = card
                .card
                .doors
                .first()
                .map(|door| door.home.clone())
                .unwrap_or_default();
            let contact = Contact {
                account: verified.account().id(),
                relation: Relation::Contact,
                name: card.card.name.clone(),
                network: card.card.network,
                card: Some(card),
                nickname,
                homes,
                echo: false,
                added_at: wall_ms(),
            };
            contacts::put(tx, &contact)?;
        }
        match network {
            Some(saved) => networks::join(
                tx,
                &Joined {
                    network: saved.network,
                    name: saved.name,
                    file: saved.file,
                    owner: None,
                    supernodes: saved.supernodes,
                    joined_at: wall_ms(),
                },
            ),
            None => Ok(()),
        }
    });
    stored.await.map_err(store_failure)?;
    app.adopt(identity).await
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
