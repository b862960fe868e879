//! The network's owner makes this machine its registrar: the first one, again for longer, or the one that takes over.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_control::{ErrorKind, Failure, view};
use starling_protocol::names::registrar::check_log;
use starling_store::StoreError;
use starling_store::name_log::{self, Whose};
use starling_store::registrar as rows;
use starling_wire::ids::NetworkId;
use starling_wire::name_log::Statement;
use starling_wire::name_query::{NameQuestion, NameReply};
use starling_wire::record::registrar::{Registrar as Appointment, Since};
use starling_wire::supernode::SupernodeAddr;
use zeroize::Zeroizing;

use super::super::name_asking::{self, Heard};
use super::{NameOffice, OfficeError};
use crate::clock::{random, wall_s};
use crate::context::store_failure;

/// Seconds that an appointment lasts: three years.
const OFFICE_S: u64 = 3 * 365 * 24 * 3600;

/// Supernodes that do not answer are asked so often, so soon again.
const TRIES: u32 = 5;
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How names are to be given.
#[derive(Debug)]
pub struct Start {
    /// 0 to everybody, 1 to the invited, 2 by hand; as before if absent.
    pub admission: Option<u8>,
    /// Names of one account; as before if absent.
    pub names_per_account: Option<u32>,
    /// In place of another registrar, or of a contradicted one.
    pub take_over: bool,
}

impl NameOffice {
    /// Makes this machine the registrar, or begins its work again.
    pub async fn start(
        &self,
        network: NetworkId,
        owner: &SigningKey,
        start: Start,
    ) -> Result<view::NameOffice, Failure> {
        let before = self
            .ctx
            .db
            .read(rows::office)
            .await
            .map_err(store_failure)?;
        let before = before.filter(|office| office.appointment.network == network);
        let heard = self.enough_heads().await.map_err(store_failure)?;
        if heard.is_empty() {
            let sentence = "too few supernodes answer; a registrar has to know first whether there was one before it. Try again in \
                            five minutes: silent ones that are not in the network's file are not waited for then";
            return Err(Failure::new(ErrorKind::Unreachable, sentence));
        }
        let known = name_asking::office(&heard, network);
        let (mut office, is_new) = match before {
            Some(before) if !start.take_over && is_latest(&before.appointment, known.as_ref()) => {
                (before, false)
            }
            _ if known.is_none() || start.take_over => {
                (self.appointed(network, owner, known, &heard).await, true)
            }
            _ => {
                let sentence = "this network has a registrar on another machine; `--take-over` makes this one its successor";
                return Err(Failure::new(ErrorKind::State, sentence));
            }
        };
        renew(&mut office.appointment, owner);
        if let Some(admission) = start.admission {
            office.admission = admission;
        }
        if let Some(names) = start.names_per_account {
            office.names_of_one = names.max(1);
        }
        office.running = true;
        let stored = self.ctx.db.write(move |tx| {
            if is_new {
                name_log::forget_proof(tx, Whose::Registrar)?;
                // NAMES-10: what comes after a gap is taken from the copies.
                if let Err(gap) = check_log(&name_log::entries(tx, Whose::Registrar)?) {
                    name_log::keep(tx, Whose::Registrar, gap.after)?;
                }
            }
            name_log::appoint(tx, Whose::Registrar, &office.appointment)?;
            rows::set_office(tx, &office)
        });
        stored.await.map_err(store_failure)?;
        *self.machine.lock().await = None;
        match self.round().await {
            Ok(_) => self.show().await,
            Err(OfficeError::Store(error)) => Err(store_failure(error)),
            Err(OfficeError::Gap(gap)) => Err(Failure::new(ErrorKind::State, gap.to_string())),
        }
    }

    /// How far the copies go, once at least half of the supernodes have answered; none if they do not.
    async fn enough_heads(&self) -> Result<Vec<Heard>, StoreError> {
        for _ in 0..TRIES {
            let (heard, enough) = self.heads().await?;
            if enough {
                return Ok(heard);
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
        Ok(Vec::new())
    }

    async fn appointed(
        &self,
        network: NetworkId,
        owner: &SigningKey,
        known: Option<Appointment>,
        heard: &[Heard],
    ) -> rows::Office {
        let seed: [u8; 32] = random();
        let key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let (account, until) = (self.ctx.identity.account(), wall_s() + OFFICE_S);
        let first = Appointment::appoint(owner, account, key, until);
        let appointment = match known {
            None => first,
            Some(known) => {
                let since = self.undisputed(network, &known, heard).await;
                first.taking_over(owner, known.epoch + 1, since)
            }
        };
        rows::Office {
            appointment,
            seed: Zeroizing::new(seed),
            admission: 1,
            names_of_one: 1,
            running: true,
        }
    }

    /// The last entry about which no two supernodes have different ones: entries name the one before, so that where they
    /// differ once they differ from there on.
    async fn undisputed(&self, network: NetworkId, known: &Appointment, heard: &[Heard]) -> Since {
        let heads = heard.iter().filter_map(|(_, head)| head.head.as_ref());
        let heads = heads.filter(|head| head.verify(network).is_ok());
        let highest = heads.map(|head| head.position.height).max().unwrap_or(0);
        let proofs = heard.iter().filter_map(|(_, head)| head.proof.as_ref());
        let proofs = proofs.filter(|proof| proof.verify(network).is_ok());
        let disputed = proofs.map(|proof| proof.one.position.height).min();
        let highest = highest.min(disputed.map_or(u64::MAX, |height| height - 1));
        let (mut low, mut high) = (0, highest);
        let mut best = Since::default();
        let mut asked: Vec<_> = heard.iter().map(|(from, _)| from.clone()).collect();
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            match self.agreed(network, middle, &mut asked).await {
                Some(since) => (low, best) = (middle, since),
                None => high = middle - 1,
            }
        }
        // Nothing is written yet since it took over itself.
        if best.height < known.since.height && highest <= known.since.height {
            known.since
        } else {
            best
        }
    }

    /// What all that go so far say of a height; `None` if two differ, or nobody says anything. Whoever is silent is asked no
    /// more.
    async fn agreed(
        &self,
        network: NetworkId,
        height: u64,
        asked: &mut Vec<SupernodeAddr>,
    ) -> Option<Since> {
        let replies = name_asking::ask_all(&self.ctx, asked, &NameQuestion::At(height)).await;
        asked.retain(|one| replies.iter().any(|(from, _)| from.id == one.id));
        let said = replies.into_iter().filter_map(|(_, reply)| match reply {
            NameReply::At(Some(said)) => Some(*said),
            _ => None,
        });
        let valid =
            |said: &Statement| said.position.height == height && said.verify(network).is_ok();
        let mut hashes: Vec<[u8; 32]> = said.filter(valid).map(|said| said.position.hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        match hashes[..] {
            [hash] => Some(Since { height, hash }),
            _ => None,
        }
    }
}

/// Whether nobody was appointed after it.
fn is_latest(own: &Appointment, known: Option<&Appointment>) -> bool {
    known.is_none_or(|known| known.epoch < own.epoch || known.is_same_office(own))
}

/// The owner is here: in the last third it lasts longer.
fn renew(appointment: &mut Appointment, owner: &SigningKey) {
    let until = wall_s() + OFFICE_S;
    if appointment.until < until - OFFICE_S / 3 {
        appointment.until = until;
        let (epoch, since) = (appointment.epoch, appointment.since);
        *appointment = appointment.clone().taking_over(owner, epoch, since);
    }
}
