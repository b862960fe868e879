//! The registrar of a network, on a machine of its owner: claims in as sealed letters, answers out as letters, the log to the
//! supernodes, certificates into the index (spec page `names.md`). Owns the machine `names::registrar`.
//!
//! An entry, the end of its claim and the answer to it are one transaction: what was told is in the log, and what is in the log
//! is told. The machine is locked for that, and never while the network is asked.

mod appointing;
mod deciding;
mod round;

use std::collections::VecDeque;
use std::sync::{self, Arc, PoisonError};
use std::time::Duration;

use starling_control::{ErrorKind, Failure, view};
use starling_protocol::names::attendance::Attendance;
use starling_protocol::names::registrar::{
    Admission, Event, Gap, Persist, Registrar, Rules, Standing, Stored, check_log,
};
use starling_store::name_log::{self, Whose};
use starling_store::registrar::{self as rows, Waiting};
use starling_store::{StoreError, Tx};
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::name::Name;
use starling_wire::name_claim::invitation_hash;
use starling_wire::record::registrar::Office;
use starling_wire::record::{NameRecord, Signed};
use tokio::sync::{Mutex, Notify};
use tracing::{debug, info};

pub use self::appointing::Start;
use super::people::People;
use crate::clock::random;
use crate::context::{Context, store_failure};

/// The supernodes' copies are compared with the log so often, and claims that could not be decided are looked at again.
const ROUND_EVERY: Duration = Duration::from_secs(60);
/// So soon while the log is behind theirs, or too few answered.
const ROUND_SOON: Duration = Duration::from_secs(5);
/// Certificates that could not be brought into the index yet; the log has them all.
const UNPUBLISHED_MAX: usize = 1_000;
/// Entries that people are shown.
const SHOWN: usize = 20;
/// Letters of an invitation: 80 bits.
const INVITATION_BYTES: usize = 10;

/// The registrar of this profile, if it is one.
#[derive(Debug)]
pub struct NameOffice {
    ctx: Arc<Context>,
    people: Arc<People>,
    poke: Notify,
    machine: Mutex<Option<Registrar>>,
    attendance: sync::Mutex<Attendance<EndpointKey>>,
    /// On their way into the index.
    unpublished: sync::Mutex<VecDeque<Signed<NameRecord>>>,
    /// Why it gives no names at the moment.
    trouble: sync::Mutex<Option<OfficeError>>,
}

/// Why the registrar does not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OfficeError {
    /// Its database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its log.
    #[error(transparent)]
    Gap(#[from] Gap),
}

impl NameOffice {
    /// For a session.
    pub fn new(ctx: Arc<Context>, people: Arc<People>) -> Self {
        Self {
            ctx,
            people,
            poke: Notify::new(),
            machine: Mutex::default(),
            attendance: sync::Mutex::default(),
            unpublished: sync::Mutex::default(),
            trouble: sync::Mutex::default(),
        }
    }

    /// A claim came, or the supernodes are others.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    /// Runs until the session ends.
    pub async fn run(&self) {
        loop {
            let wait = match self.round().await {
                Ok(true) => ROUND_EVERY,
                Ok(false) | Err(OfficeError::Store(_)) => ROUND_SOON,
                Err(OfficeError::Gap(_)) => ROUND_EVERY,
            };
            tokio::select! {
                () = self.poke.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One round; what it failed of is remembered for people.
    async fn round(&self) -> Result<bool, OfficeError> {
        let outcome = self.attempt().await;
        let now = outcome.as_ref().err().cloned();
        let mut trouble = lock(&self.trouble);
        if let Some(error) = now.as_ref().filter(|_| *trouble != now) {
            info!(%error, "the registrar gives no names");
        }
        *trouble = now;
        outcome
    }

    /// Why it gives no names, for `status`.
    pub fn warning(&self) -> Option<String> {
        let trouble = lock(&self.trouble);
        let words = |error: &OfficeError| format!("The registrar gives no names: {error}.");
        trouble.as_ref().map(words)
    }

    /// What it is, and who waits.
    pub async fn show(&self) -> Result<view::NameOffice, Failure> {
        let office = self
            .ctx
            .db
            .read(rows::office)
            .await
            .map_err(store_failure)?;
        let Some(office) = office else {
            return Ok(view::NameOffice {
                words: "This machine is not the registrar of names. `starling registrar start` makes it that, with \
                        the key of the network's owner."
                    .to_owned(),
                ..view::NameOffice::default()
            });
        };
        let listed = self
            .ctx
            .db
            .read(|tx| Ok((rows::claims(tx)?, rows::invitations(tx)?)));
        let (claims, invitations) = listed.await.map_err(store_failure)?;
        let machine = self.machine.lock().await;
        let standing = machine.as_ref().map(Registrar::standing);
        Ok(view::NameOffice {
            running: office.running,
            words: self
                .warning()
                .filter(|_| office.running)
                .unwrap_or_else(|| words(office.running, standing).to_owned()),
            admission: admission_word(office.admission).to_owned(),
            names_per_account: office.names_of_one,
            epoch: office.appointment.epoch,
            until_s: office.appointment.until,
            entries: machine.as_ref().map_or(0, Registrar::height),
            invitations: u32::try_from(invitations.len()).unwrap_or(u32::MAX),
            waiting: claims
                .iter()
                .filter(|one| one.by_hand)
                .map(waiting)
                .collect(),
            signed: machine.as_ref().map(signed).unwrap_or_default(),
        })
    }

    /// Ends it; names stay readable.
    pub async fn stop(&self) -> Result<view::NameOffice, Failure> {
        let mut office = self.held().await?;
        office.running = false;
        let kept = self.ctx.db.write(move |tx| rows::set_office(tx, &office));
        kept.await.map_err(store_failure)?;
        *self.machine.lock().await = None;
        self.show().await
    }

    /// New invitations, each for one name.
    pub async fn invite(&self, count: u32) -> Result<Vec<String>, Failure> {
        self.held().await?;
        let codes = (0..count.clamp(1, 1_000)).map(|_| {
            let bytes: [u8; INVITATION_BYTES] = random();
            data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase()
        });
        let codes: Vec<String> = codes.collect();
        let hashes: Vec<[u8; 32]> = codes.iter().map(|code| invitation_hash(code)).collect();
        let mut machine = self.machine.lock().await;
        let stored = hashes.clone();
        let kept = self
            .ctx
            .db
            .write(move |tx| stored.iter().try_for_each(|hash| rows::invite(tx, hash)));
        kept.await.map_err(store_failure)?;
        if let Some(registrar) = machine.as_mut() {
            registrar.handle_invitations(hashes);
        }
        Ok(codes)
    }

    /// A person says yes or no to a claim.
    pub async fn answer_by_hand(
        &self,
        text: &str,
        who: Option<&str>,
        yes: bool,
    ) -> Result<view::NameOffice, Failure> {
        let decided = self.decide_by_hand(text, who, yes).await;
        // The copies first, then the answer; and what could not be written is looked at again.
        self.poke();
        decided?;
        self.show().await
    }

    async fn waiting_claim(&self, text: &str, who: Option<&str>) -> Result<Waiting, Failure> {
        let name =
            Name::typed(text).map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
        let found = self.ctx.db.read(move |tx| rows::claims_about(tx, &name));
        let mut found = found.await.map_err(store_failure)?;
        if let Some(who) = who {
            found.retain(|one| one.account.to_string().starts_with(who));
        }
        match found.len() {
            0 => Err(Failure::new(
                ErrorKind::NotFound,
                format!("nobody waits for the name \"{text}\""),
            )),
            1 => Ok(found.remove(0)),
            _ => {
                let accounts = found.iter().map(|one| one.account.to_string()).collect();
                let sentence = format!("several people want \"{text}\"; name one by --account");
                Err(Failure::ambiguous(sentence, accounts))
            }
        }
    }

    async fn held(&self) -> Result<rows::Office, Failure> {
        let office = self
            .ctx
            .db
            .read(rows::office)
            .await
            .map_err(store_failure)?;
        office.ok_or_else(|| {
            let sentence = "this machine is not the registrar of names; `starling registrar start` makes it that";
            Failure::new(ErrorKind::State, sentence)
        })
    }
}

/// The machine as it was stored; `None` where this profile is no registrar, or is stopped.
async fn load(ctx: &Context) -> Result<Option<Registrar>, OfficeError> {
    let office = ctx.db.read(rows::office).await?;
    let network = ctx.homes().network;
    let at_work =
        |office: &rows::Office| office.running && network == Some(office.appointment.network);
    let Some(office) = office.filter(at_work) else {
        return Ok(None);
    };
    let network = office.appointment.network;
    let stored = ctx.db.write(move |tx| {
        let kept = name_log::load(tx, Whose::Registrar, network)?;
        let log = name_log::entries(tx, Whose::Registrar)?;
        Ok((kept, log, rows::invitations(tx)?))
    });
    let (kept, log, invitations) = stored.await?;
    // NAMES-10
    check_log(&log)?;
    let key = ed25519_dalek::SigningKey::from_bytes(&office.seed);
    let held = Office::new(office.appointment, key).ok_or(StoreError::Damaged)?;
    let rules = Rules {
        admission: admission(office.admission),
        names_of_one: usize::try_from(office.names_of_one).unwrap_or(1),
    };
    let stored = Stored {
        offices: kept.offices,
        log,
        contradiction: kept.proof,
    };
    let mut registrar = Registrar::new(held, rules, stored);
    registrar.handle_invitations(invitations);
    Ok(Some(registrar))
}

/// What the machine wants on disk is, before anything else.
async fn keep(ctx: &Context, registrar: &mut Registrar) -> Result<(), StoreError> {
    let persists: Vec<Persist> = std::iter::from_fn(|| registrar.poll_persist()).collect();
    if !persists.is_empty() {
        ctx.db.write(move |tx| persist(tx, &persists)).await?;
    }
    while let Some(event) = registrar.poll_event() {
        match event {
            Event::Contradicted => {
                info!("the registrar's log is contradicted: it gives no more names")
            }
            Event::Succeeded => {
                info!("the network has another registrar: this one gives no more names")
            }
            Event::Behind(height) => debug!(height, "the supernodes have more of the log"),
            Event::Certify(_) | Event::Answer(..) | Event::Decide(..) => {}
        }
    }
    Ok(())
}

fn lock<T>(what: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

fn persist(tx: &Tx<'_>, persists: &[Persist]) -> Result<(), StoreError> {
    for persist in persists {
        match persist {
            Persist::Append(by, entries) => {
                name_log::appoint(tx, Whose::Registrar, by)?;
                name_log::append(tx, Whose::Registrar, entries)?;
            }
            Persist::Keep(height) => name_log::keep(tx, Whose::Registrar, *height)?,
            Persist::Spent(hash) => rows::spent(tx, hash)?,
            Persist::Contradicted(proof) => name_log::prove(tx, Whose::Registrar, proof)?,
        }
    }
    Ok(())
}

const fn admission(code: u8) -> Admission {
    match code {
        0 => Admission::Open,
        1 => Admission::Invitation,
        _ => Admission::ByHand,
    }
}

const fn admission_word(code: u8) -> &'static str {
    match admission(code) {
        Admission::Open => "open",
        Admission::Invitation => "invitation",
        Admission::ByHand => "by hand",
    }
}

const fn words(running: bool, standing: Option<Standing>) -> &'static str {
    match (running, standing) {
        (false, _) => "Stopped: names are read as before, and nobody gets a new one.",
        (true, Some(Standing::Serving)) => "At work: it gives names.",
        (true, None | Some(Standing::Behind)) => {
            "It compares its log with the supernodes' copies before it gives names."
        }
        (true, Some(Standing::Contradicted)) => {
            "The supernodes have another log, with this registrar's signature: it gives no more names. \
             `starling registrar start --take-over` goes on after the last entry that nobody disputes."
        }
        (true, Some(Standing::Succeeded)) => {
            "The network's owner appointed another registrar: this one gives no more names."
        }
    }
}

fn signed(registrar: &Registrar) -> Vec<view::SignedName> {
    let newest = registrar.newest(SHOWN).map(|entry| view::SignedName {
        entry: entry.height,
        at_s: entry.at,
        name: entry.name.as_str().to_owned(),
        account: entry.account.map(|account| account.to_string()),
    });
    newest.collect()
}

fn waiting(claim: &Waiting) -> view::NameClaim {
    view::NameClaim {
        name: claim.claim.name.as_str().to_owned(),
        account: AccountId::to_string(&claim.account),
        came_at_s: claim.came_at,
    }
}
