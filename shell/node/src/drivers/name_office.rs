//! The registrar of a network, on a machine of its owner: claims in as sealed letters, answers out as letters, the log to the
//! supernodes, certificates into the index (spec page `names.md`). Owns the machine `names::registrar`.
//!
//! An entry, the end of its claim and the answer to it are one transaction: what was told is in the log, and what is in the log
//! is told.

mod appointing;

use std::sync::Arc;
use std::time::Duration;

use starling_control::{ErrorKind, Failure, view};
use starling_protocol::names::registrar::{
    Admission, By, Event, Persist, Registrar, Rules, Standing, Stored,
};
use starling_store::letters::{self as post, LetterKind};
use starling_store::name_log::{self, Whose};
use starling_store::registrar::{self as rows, Waiting};
use starling_store::{StoreError, Tx};
use starling_wire::envelope::Letter;
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_claim::{Refusal, Verdict, invitation_hash};
use starling_wire::name_query::NameQuestion;
use starling_wire::record::registrar::Office;
use starling_wire::record::{NameRecord, Signed};
use starling_wire::supernode::Request;
use tokio::sync::{Mutex, Notify};
use tracing::{debug, info, warn};

pub use self::appointing::Start;
use super::letters::{next_sequence, seal};
use super::name_asking::{self, Heard};
use super::names::take_verdict;
use super::people::People;
use crate::clock::{random, wall_ms, wall_s};
use crate::context::{Context, Signal, store_failure};

/// The supernodes' copies are compared with the log so often, and claims that could not be decided are looked at again.
const ROUND_EVERY: Duration = Duration::from_secs(60);
/// So soon while the log is behind theirs, or none answered.
const ROUND_SOON: Duration = Duration::from_secs(5);
/// Pages fetched or brought in one round.
const PAGES_MAX: usize = 2_000;
/// Letters of an invitation: 80 bits.
const INVITATION_BYTES: usize = 10;

/// The registrar of this profile, if it is one.
#[derive(Debug)]
pub struct NameOffice {
    ctx: Arc<Context>,
    people: Arc<People>,
    poke: Notify,
    machine: Mutex<Option<Registrar>>,
}

/// What came of one claim, to be committed as one.
struct Decided {
    claim: Waiting,
    persists: Vec<Persist>,
    verdict: Verdict,
    by_hand: bool,
}

impl NameOffice {
    /// For a session.
    pub fn new(ctx: Arc<Context>, people: Arc<People>) -> Self {
        Self {
            ctx,
            people,
            poke: Notify::new(),
            machine: Mutex::default(),
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
                Ok(false) => ROUND_SOON,
                Err(error) => {
                    warn!(%error, "the registrar's log could not be read or written");
                    *self.machine.lock().await = None;
                    ROUND_EVERY
                }
            };
            tokio::select! {
                () = self.poke.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Compares, catches up, decides, and tells. Whether there is nothing to hurry for.
    async fn round(&self) -> Result<bool, StoreError> {
        let mut machine = self.machine.lock().await;
        if machine.is_none() {
            *machine = load(&self.ctx).await?;
        }
        let Some(registrar) = machine.as_mut() else {
            return Ok(true);
        };
        keep(&self.ctx, registrar).await?;
        let supernodes = name_asking::supernodes(&self.ctx);
        let heard = name_asking::heads(&self.ctx, &supernodes).await;
        // NAMES-08: one that answers may be the one that knows nothing.
        if heard.is_empty() || heard.len() * 2 < supernodes.len() {
            debug!(
                heard = heard.len(),
                "too few supernodes answer the registrar"
            );
            return Ok(false);
        }
        self.compare(registrar, &heard).await?;
        let certificates = self.decide_all(registrar).await?;
        self.bring(registrar, heard).await;
        self.publish(certificates).await;
        // Whoever is told looks at once whether it is so.
        self.people.wake_post();
        Ok(registrar.standing() != Standing::Behind)
    }

    async fn compare(&self, registrar: &mut Registrar, heard: &[Heard]) -> Result<(), StoreError> {
        for (_, head) in heard {
            if let Some(office) = &head.office {
                registrar.handle_office(office);
                keep(&self.ctx, registrar).await?;
            }
        }
        let proofs = heard.iter().filter_map(|(_, head)| head.proof.clone());
        let proofs = proofs.flat_map(|proof| [proof.one, proof.other]);
        let heads = heard.iter().filter_map(|(_, head)| head.head.clone());
        let heads: Vec<_> = heads.chain(proofs).collect();
        for _ in 0..PAGES_MAX {
            registrar.handle_heads(&heads);
            keep(&self.ctx, registrar).await?;
            if registrar.standing() != Standing::Behind || !self.fetch(registrar, heard).await? {
                break;
            }
        }
        Ok(())
    }

    /// The next entries that we miss, from whoever has them. Whether there were any.
    async fn fetch(&self, registrar: &mut Registrar, heard: &[Heard]) -> Result<bool, StoreError> {
        let (height, network) = (registrar.height(), registrar.appointment().network);
        for (from, head) in heard {
            let has = head.head.as_ref().map_or(0, |head| head.position.height);
            if has <= height {
                continue;
            }
            // From the last one that we have, so that the two are compared.
            for begin in [height.max(1), height + 1] {
                if let Some(page) = name_asking::page(&self.ctx, from, begin, network).await {
                    registrar.handle_page(page);
                    keep(&self.ctx, registrar).await?;
                }
                if registrar.height() != height {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn decide_all(
        &self,
        registrar: &mut Registrar,
    ) -> Result<Vec<Signed<NameRecord>>, StoreError> {
        let mut certificates = Vec::new();
        if registrar.standing() == Standing::Behind {
            return Ok(certificates);
        }
        for claim in self.ctx.db.read(rows::claims).await? {
            if !claim.by_hand {
                certificates.extend(self.decide(registrar, claim, By::Rules).await?);
            }
        }
        Ok(certificates)
    }

    /// One claim: into the log, answered, and forgotten, in one transaction.
    async fn decide(
        &self,
        registrar: &mut Registrar,
        claim: Waiting,
        by: By,
    ) -> Result<Option<Signed<NameRecord>>, StoreError> {
        let (account, wish) = (claim.account, claim.claim.clone());
        registrar.handle_claim(account, wish, by, self.ctx.clock.now(), wall_s());
        let persists = std::iter::from_fn(|| registrar.poll_persist()).collect();
        let (mut verdict, mut by_hand) = (Err(Refusal::NotReady), false);
        while let Some(event) = registrar.poll_event() {
            match event {
                Event::Answer(_, _, said) => verdict = said,
                Event::Decide(..) => by_hand = true,
                _ => {}
            }
        }
        let certificate = verdict.as_ref().ok().cloned();
        // What is only too early waits as it is.
        if matches!(by, By::Operator)
            && matches!(verdict, Err(Refusal::NotReady | Refusal::TooOften))
        {
            return Ok(None);
        }
        let decided = Decided {
            claim,
            persists,
            verdict,
            by_hand,
        };
        self.commit(decided).await?;
        Ok(certificate)
    }

    async fn commit(&self, decided: Decided) -> Result<(), StoreError> {
        let own = self.ctx.identity.account();
        let account = decided.claim.account;
        let sealed = if account == own {
            None
        } else {
            self.answer(&decided.claim, &decided.verdict).await?
        };
        let name = decided.claim.claim.name.clone();
        let stored = self.ctx.db.write(move |tx| {
            persist(tx, &decided.persists)?;
            if decided.by_hand {
                rows::by_hand(tx, decided.claim.number)?;
            } else {
                rows::decided(tx, decided.claim.number)?;
            }
            match sealed {
                Some(sealed) => post::put(tx, account, LetterKind::Verdict, &sealed, wall_ms()),
                None if account == own => take_verdict(tx, (own, &name), decided.verdict, wall_s()),
                None => Ok(()),
            }
        });
        stored.await?;
        if account == own {
            self.ctx.signal(Signal::Verdict);
        }
        Ok(())
    }

    async fn answer(
        &self,
        claim: &Waiting,
        verdict: &Verdict,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sequence = next_sequence(&self.ctx).await?;
        let letter = Letter::Verdict(claim.claim.name.clone(), Box::new(verdict.clone()));
        let sealed = seal(
            &self.ctx,
            sequence,
            claim.account,
            &claim.request_key,
            letter,
        );
        if let Err(error) = &sealed {
            debug!(%error, "an answer about a name could not be sealed");
        }
        Ok(sealed.ok())
    }

    /// Who holds the office, and what a supernode's copy lacks.
    async fn bring(&self, registrar: &Registrar, heard: Vec<Heard>) {
        if !matches!(registrar.standing(), Standing::Serving | Standing::Behind) {
            return;
        }
        let own = registrar.appointment();
        for (to, mut head) in heard {
            if head.office.as_ref() != Some(own) {
                let question = NameQuestion::Office(Box::new(own.clone()));
                let told = name_asking::ask(&self.ctx, &to, question).await;
                if let Ok(starling_wire::name_query::NameReply::Head(now)) = told {
                    head = *now;
                }
            }
            for _ in 0..PAGES_MAX {
                let has = head.head.as_ref().map_or(0, |head| head.position.height);
                let Some(page) = registrar.page_after(has) else {
                    break;
                };
                match name_asking::bring(&self.ctx, &to, page).await {
                    Ok(now) if now.head != head.head => head = now,
                    Ok(_) => break,
                    Err(error) => {
                        debug!(%error, "the log could not be brought to a supernode");
                        break;
                    }
                }
            }
        }
    }

    async fn publish(&self, certificates: Vec<Signed<NameRecord>>) {
        for certificate in certificates {
            let request = Request::Publish(Box::new(certificate.into()));
            for supernode in self.ctx.home_list() {
                if self.ctx.supernodes.ask(&supernode, &request).await.is_ok() {
                    break;
                }
            }
        }
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
            words: words(office.running, standing).to_owned(),
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
        let claim = self.waiting_claim(text, who).await?;
        let mut machine = self.machine.lock().await;
        let Some(registrar) = machine.as_mut() else {
            let sentence = "the registrar is not at work; `starling registrar start` begins it";
            return Err(Failure::new(ErrorKind::State, sentence));
        };
        if yes {
            if registrar.standing() == Standing::Behind {
                let sentence = "the registrar has not heard enough of the network's supernodes yet; the claim waits, try again in a minute";
                return Err(Failure::new(ErrorKind::State, sentence));
            }
            let certificate = self.decide(registrar, claim, By::Operator).await;
            if certificate.is_err() {
                // NAMES-07: what is not on disk was not given; the next round begins from there.
                *machine = None;
            }
            let certificate = certificate.map_err(store_failure)?;
            self.publish(certificate.into_iter().collect()).await;
        } else {
            let decided = Decided {
                claim,
                persists: Vec::new(),
                verdict: Err(Refusal::Declined),
                by_hand: false,
            };
            self.commit(decided).await.map_err(store_failure)?;
        }
        drop(machine);
        // The copies first, then the answer.
        self.poke();
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
async fn load(ctx: &Context) -> Result<Option<Registrar>, StoreError> {
    let Some(office) = ctx
        .db
        .read(rows::office)
        .await?
        .filter(|office| office.running)
    else {
        return Ok(None);
    };
    let network = office.appointment.network;
    if ctx.homes().network != Some(network) {
        return Ok(None);
    }
    let stored = ctx.db.write(move |tx| {
        let kept = name_log::load(tx, Whose::Registrar, network)?;
        let log = name_log::entries(tx, Whose::Registrar)?;
        Ok((kept, log, rows::invitations(tx)?))
    });
    let (kept, log, invitations) = stored.await?;
    let key = ed25519_dalek::SigningKey::from_bytes(&office.seed);
    let Some(held) = Office::new(office.appointment, key) else {
        return Err(StoreError::Damaged);
    };
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

fn waiting(claim: &Waiting) -> view::NameClaim {
    view::NameClaim {
        name: claim.claim.name.as_str().to_owned(),
        account: AccountId::to_string(&claim.account),
        came_at_s: claim.came_at,
    }
}
