//! The own account: its secrets, its chain, its names. One profile holds one account.

use rusqlite::{Row, params};
use starling_wire::account::Chain;
use starling_wire::card::SignedCard;
use starling_wire::ids::AccountId;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::tx::{Tx, int, pack, time, unpack};

/// 32 secret bytes, wiped from memory when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// The account and everything that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its id.
    pub account: AccountId,
    /// Inception and devices.
    pub chain: Chain,
    /// Display name.
    pub name: String,
    /// What this device is called.
    pub device_name: String,
    /// The account's card as it was last seen, with the doors of all devices.
    pub card: Option<SignedCard>,
    /// Secrets.
    pub keys: Keys,
    /// The newest sequence number used for a card or record.
    pub sequence: u64,
    /// When the account was made.
    pub created_at: u64,
}

/// Seeds of Ed25519 keys, and two symmetric secrets. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Signs chain, cards and records; only on an owner's device.
    pub signing: Option<Secret>,
    /// Overrules the signing key; absent where only the 24 words hold it.
    pub recovery: Option<Secret>,
    /// This device.
    pub device: Secret,
    /// The front door.
    pub front_door: Secret,
    /// The inner endpoint.
    pub inner: Secret,
    /// Opens sealed envelopes.
    pub request: Secret,
    /// Did so before, for those that were sealed then; the newest first.
    pub earlier_requests: Vec<Secret>,
    /// Makes the daily LAN token.
    pub discovery: Secret,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// The account, if one was made.
pub fn load(tx: &Tx<'_>) -> Result<Option<Profile>, StoreError> {
    tx.one(
        "SELECT account, chain, name, device_name, signing_seed, recovery_seed, device_seed, front_door_seed,
                inner_seed, request_secret, discovery_key, sequence, created_at, card, earlier_requests
         FROM profile",
        (),
        read,
    )
}

/// Keeps a new account; a profile has one at most.
pub fn create(tx: &Tx<'_>, profile: &Profile) -> Result<(), StoreError> {
    if load(tx)?.is_some() {
        return Err(StoreError::Exists("an account in this profile"));
    }
    let keys = &profile.keys;
    tx.execute(
        "INSERT INTO profile (one, account, chain, name, device_name, signing_seed, recovery_seed, device_seed,
                              front_door_seed, inner_seed, request_secret, discovery_key, sequence, created_at, card,
                              earlier_requests)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            profile.account.0,
            pack(&profile.chain),
            profile.name,
            profile.device_name,
            keys.signing.as_deref(),
            keys.recovery.as_deref(),
            *keys.device,
            *keys.front_door,
            *keys.inner,
            *keys.request,
            *keys.discovery,
            int(profile.sequence),
            int(profile.created_at),
            profile.card.as_ref().map(pack),
            together(&keys.earlier_requests),
        ],
    )?;
    Ok(())
}

/// The account is another than before: its history, its name, its card, or keys that come and go with them.
pub fn change(tx: &Tx<'_>, profile: &Profile) -> Result<(), StoreError> {
    let keys = &profile.keys;
    changed(tx.execute(
        "UPDATE profile SET chain = ?1, name = ?2, device_name = ?3, card = ?4, signing_seed = ?5, recovery_seed = ?6,
                            request_secret = ?7, earlier_requests = ?8, discovery_key = ?9
         WHERE account = ?10",
        params![
            pack(&profile.chain),
            profile.name,
            profile.device_name,
            profile.card.as_ref().map(pack),
            keys.signing.as_deref(),
            keys.recovery.as_deref(),
            *keys.request,
            together(&keys.earlier_requests),
            *keys.discovery,
            profile.account.0,
        ],
    )?)
}

fn together(secrets: &[Secret]) -> Vec<u8> {
    secrets.iter().flat_map(|secret| **secret).collect()
}

fn apart(bytes: &[u8]) -> Result<Vec<Secret>, StoreError> {
    let (secrets, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(StoreError::Damaged);
    }
    Ok(secrets.iter().copied().map(Zeroizing::new).collect())
}

/// The next sequence number for a card or record: the time, but always above every one before, also after a crash or with
/// a clock that was set back.
pub fn next_sequence(tx: &Tx<'_>, now_s: u64) -> Result<u64, StoreError> {
    tx.one(
        "UPDATE profile SET sequence = max(sequence + 1, ?1) RETURNING sequence",
        params![int(now_s)],
        |row| time(row, 0),
    )?
    .ok_or(StoreError::Missing("account"))
}

/// Sequence numbers up to this one were used elsewhere (before a backup was restored).
pub fn used_sequence(tx: &Tx<'_>, sequence: u64) -> Result<(), StoreError> {
    changed(tx.execute(
        "UPDATE profile SET sequence = max(sequence, ?1)",
        params![int(sequence)],
    )?)
}

fn changed(rows: usize) -> Result<(), StoreError> {
    match rows {
        0 => Err(StoreError::Missing("account")),
        _ => Ok(()),
    }
}

fn read(row: &Row<'_>) -> Result<Profile, StoreError> {
    let secret =
        |column: usize| -> Result<Secret, StoreError> { Ok(Zeroizing::new(row.get(column)?)) };
    let maybe = |column: usize| -> Result<Option<Secret>, StoreError> {
        Ok(row.get::<_, Option<[u8; 32]>>(column)?.map(Zeroizing::new))
    };
    let card: Option<Vec<u8>> = row.get(13)?;
    Ok(Profile {
        account: AccountId(row.get(0)?),
        chain: unpack(row.get_ref(1)?.as_blob().map_err(|_| StoreError::Damaged)?)?,
        name: row.get(2)?,
        device_name: row.get(3)?,
        card: card.map(|bytes| unpack(&bytes)).transpose()?,
        keys: Keys {
            signing: maybe(4)?,
            recovery: maybe(5)?,
            device: secret(6)?,
            front_door: secret(7)?,
            inner: secret(8)?,
            request: secret(9)?,
            earlier_requests: apart(&row.get::<_, Vec<u8>>(14)?)?,
            discovery: secret(10)?,
        },
        sequence: time(row, 11)?,
        created_at: time(row, 12)?,
    })
}
