//! The registrar of a network: gives names, first come, first served, and writes down in its log what it gave. What it
//! certifies is what the log says; nothing is certified that is not in it.
//!
//! Before it signs anything it hears from the network where its log stands there. One that was restored from an old backup
//! takes what it is missing from the supernodes, whose copy has its own signatures; one whose log contradicts theirs signs
//! nothing any more, also after a restart. Its successor takes over after the entry that the owner names, and has to have all
//! entries up to there.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_claim::{Claim, Refusal, Verdict, Wish, invitation_hash};
use starling_wire::name_log::{
    Entry, Equivocation, Listing, PAGE_ENTRIES_MAX, Page, SignedEntry, Statement, VerifiedPage,
};
use starling_wire::record::registrar::{Office, Registrar as Appointment};
use starling_wire::record::{NameRecord, Signed};

use super::book::{Book, Holding};
use super::history::History;
use crate::machine::{Outputs, Time};

/// Seconds that a name is given for.
pub const LEASE_S: u64 = 365 * 24 * 3600;
/// Changes of one account's names within a day.
const CHANGES_OF_ONE: usize = 5;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Changes of all names within an hour.
const CHANGES_OF_ALL: usize = 600;
const HOUR: Duration = Duration::from_secs(3600);

/// To whom a network gives names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Everybody.
    Open,
    /// Whoever brings an invitation that nobody used.
    Invitation,
    /// Whom a person accepts.
    ByHand,
}

/// What the network's owner decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// To whom.
    pub admission: Admission,
    /// Names that one account may have.
    pub names_of_one: usize,
}

/// Who decided about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Nobody yet: it just came.
    Rules,
    /// The person at the registrar said yes.
    Operator,
}

/// What must be durable before anything is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persist {
    /// The log's next entries, with whoever signed them.
    Append(Appointment, Vec<SignedEntry>),
    /// The entries after this height count no more: another registrar's, before this one took over.
    Keep(u64),
    /// This invitation, a BLAKE3 hash, was used.
    Spent([u8; 32]),
    /// The network's log contradicts ours.
    Contradicted(Equivocation),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// To be put into the index.
    Certify(Signed<NameRecord>),
    /// To be told to whoever asked.
    Answer(AccountId, Name, Verdict),
    /// A person has to decide.
    Decide(AccountId, Claim),
    /// The network has more of the log than we: what follows this height is wanted.
    Behind(u64),
    /// The network's log is another one. Nothing is signed any more.
    Contradicted,
    /// The owner appointed another registrar.
    Succeeded,
}

/// How somebody wants a name.
struct Asked<'a> {
    listing: Option<&'a Listing>,
    invitation: Option<[u8; 32]>,
    by: By,
}

/// Whether it may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not heard from the network yet, or misses entries that others have.
    Behind,
    /// It gives names.
    Serving,
    /// The network's log contradicts its own.
    Contradicted,
    /// Somebody else is the network's registrar.
    Succeeded,
}

/// What was stored.
#[derive(Debug)]
pub struct Stored {
    /// Who signed the log, in the order of their epochs.
    pub offices: Vec<Appointment>,
    /// The log.
    pub log: Vec<SignedEntry>,
    /// How it was contradicted, if it was.
    pub contradiction: Option<Equivocation>,
}

/// Why no registrar begins with a stored log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the registrar's log on this machine has a gap or a change after entry {after}; it gives no names. \
     `starling registrar start --take-over` goes on from there with the supernodes' copies"
)]
pub struct Gap {
    /// The last entry that is as it was written.
    pub after: u64,
}

/// `NAMES-10`: whether every entry of a stored log is there, and follows the one before.
pub fn check_log(log: &[SignedEntry]) -> Result<(), Gap> {
    let mut before = (0, [0; 32]);
    for signed in log {
        let entry = &signed.entry;
        if entry.height != before.0 + 1 || entry.before != before.1 {
            return Err(Gap { after: before.0 });
        }
        before = (entry.height, entry.hash());
    }
    Ok(())
}

/// The registrar.
#[derive(Debug)]
pub struct Registrar {
    office: Office,
    rules: Rules,
    standing: Standing,
    history: History,
    entries: Vec<Entry>,
    book: Book,
    invitations: BTreeSet<[u8; 32]>,
    changes: VecDeque<(Time, AccountId)>,
    persists: Outputs<Persist>,
    events: Outputs<Event>,
}

impl Registrar {
    /// With the log as it was stored.
    pub fn new(office: Office, rules: Rules, stored: Stored) -> Self {
        let own = office.appointment().clone();
        let positions = stored.log.iter().map(SignedEntry::position).collect();
        let mut history = History::new(own.network, stored.offices, positions);
        history.follow(&own);
        let mut entries: Vec<Entry> = stored.log.into_iter().map(|signed| signed.entry).collect();
        let all = entries.len() as u64;
        let kept = history.height();
        entries.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        let mut persists = Outputs::default();
        if kept < all {
            persists.push(Persist::Keep(kept));
        }
        // NAMES-09: what a predecessor did is not ours.
        let counts = |proof: &Equivocation| proof.epoch() >= own.epoch;
        let standing = if history.epoch() > own.epoch {
            Standing::Succeeded
        } else if stored.contradiction.as_ref().is_some_and(counts) {
            Standing::Contradicted
        } else {
            Standing::Behind
        };
        let mut registrar = Self {
            office,
            rules,
            standing,
            history,
            entries,
            book: Book::default(),
            invitations: BTreeSet::new(),
            changes: VecDeque::new(),
            persists,
            events: Outputs::default(),
        };
        registrar.write_book();
        registrar
    }

    fn write_book(&mut self) {
        self.book = Book::default();
        for entry in &self.entries {
            self.book.apply(entry);
        }
    }

    /// Whether it may sign.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Who has what.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Who it is, for whom.
    pub const fn appointment(&self) -> &Appointment {
        self.office.appointment()
    }

    /// Entries of its log.
    pub fn height(&self) -> u64 {
        self.history.height()
    }

    /// The last entries, the newest first.
    pub fn newest(&self, count: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev().take(count)
    }

    /// What follows `height`, as much as fits a page of one registrar; `None` if nothing does.
    pub fn page_after(&self, height: u64) -> Option<Page> {
        let signer = self.history.signer(height + 1)?;
        let begin = usize::try_from(height).ok()?;
        let rest = self.entries.get(begin..).filter(|rest| !rest.is_empty())?;
        let same = |entry: &&Entry| {
            let by = self.history.signer(entry.height);
            by.is_some_and(|by| by.epoch == signer.epoch)
        };
        let entries = rest.iter().take(PAGE_ENTRIES_MAX).take_while(same);
        Some(Page {
            registrar: signer.clone(),
            entries: entries.filter_map(|entry| self.signed(entry)).collect(),
        })
    }

    /// The height at which a copy ends, if the log has been there; 0 for an empty one.
    pub fn height_of(&self, copy: Option<&Statement>) -> Option<u64> {
        let Some(end) = copy.map(|copy| copy.position) else {
            return Some(0);
        };
        let own = self.history.at(end.height);
        own.filter(|own| own.position.hash == end.hash)
            .map(|_| end.height)
    }

    fn signed(&self, entry: &Entry) -> Option<SignedEntry> {
        let said = self.history.at(entry.height)?;
        Some(SignedEntry {
            entry: entry.clone(),
            signature: said.position.signature,
        })
    }

    /// These invitations, BLAKE3 hashes, may be used.
    pub fn handle_invitations(&mut self, hashes: impl IntoIterator<Item = [u8; 32]>) {
        self.invitations.extend(hashes);
    }

    /// Somebody is registrar, says the network. `NAMES-09`: whoever has a successor signs nothing.
    pub fn handle_office(&mut self, office: &Appointment) {
        self.assert_drained();
        let own = self.office.appointment();
        if office.epoch > own.epoch && office.is_appointed_in(own.network) {
            self.succeeded();
        }
    }

    fn succeeded(&mut self) {
        if self.standing != Standing::Succeeded {
            self.standing = Standing::Succeeded;
            self.events.push(Event::Succeeded);
        }
    }

    /// What supernodes have of the log; none of them any if it is empty. `NAMES-08`: only after that is anything signed.
    pub fn handle_heads(&mut self, heads: &[Statement]) {
        self.assert_drained();
        let network = self.office.appointment().network;
        let valid = heads.iter().filter(|head| head.verify(network).is_ok());
        let mut missing = !self.history.reaches_office();
        for head in valid {
            let own = self.history.at(head.position.height);
            if let Some(proof) = own.and_then(|own| own.against(head)) {
                return self.contradicted(proof);
            }
            let height = head.position.height;
            missing |= height.min(self.history.end_of(&head.registrar)) > self.height();
        }
        if !matches!(self.standing, Standing::Behind | Standing::Serving) {
            return;
        }
        if missing {
            self.standing = Standing::Behind;
            self.events.push(Event::Behind(self.height()));
        } else {
            self.standing = Standing::Serving;
        }
    }

    /// What we were missing, from a supernode.
    pub fn handle_page(&mut self, page: VerifiedPage) {
        self.assert_drained();
        // NAMES-09
        if page.registrar().epoch > self.office.appointment().epoch {
            return self.succeeded();
        }
        self.history.follow(page.registrar());
        if let Some(proof) = self.history.contradicted_by(&page) {
            return self.contradicted(proof);
        }
        let Some(page) = self.history.rest_of(page) else {
            return;
        };
        let next = &page.entries()[0].entry;
        if next.height != self.height() + 1 || next.before != self.history.end() {
            return;
        }
        self.history.append(&page);
        if !self.history.leads_to_office() {
            // Another branch than the one that we took over from.
            self.history.start_over();
            self.entries.clear();
            self.write_book();
            return self.persists.push(Persist::Keep(0));
        }
        for signed in page.entries() {
            self.book.apply(&signed.entry);
            self.entries.push(signed.entry.clone());
        }
        let by = page.registrar().clone();
        let fresh = page.entries().to_vec();
        self.persists.push(Persist::Append(by, fresh));
    }

    /// An account wants something about a name. `at` is Unix seconds.
    pub fn handle_claim(&mut self, from: AccountId, claim: Claim, by: By, now: Time, at: u64) {
        self.assert_drained();
        let decided = match &claim.wish {
            Wish::Hold {
                listing,
                invitation,
            } => {
                let asked = Asked {
                    listing: listing.as_ref(),
                    invitation: invitation.as_deref().map(invitation_hash),
                    by,
                };
                self.hold(from, &claim.name, asked, (now, at))
            }
            Wish::Release => self.release(from, &claim.name, (now, at)),
        };
        if decided == Err(Refusal::Waiting) {
            self.events.push(Event::Decide(from, claim.clone()));
        }
        if let Ok(certificate) = &decided {
            self.events.push(Event::Certify(certificate.clone()));
        }
        self.events.push(Event::Answer(from, claim.name, decided));
    }

    /// What must be durable.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop()
    }

    /// What is to be done.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn hold(
        &mut self,
        from: AccountId,
        name: &Name,
        asked: Asked<'_>,
        (now, at): (Time, u64),
    ) -> Verdict {
        self.may_sign(at)?;
        let own = self.book.holding(name);
        let own = own.filter(|own| own.account == from && !own.released && own.until > at);
        let is_new = own.is_none();
        match own {
            // A letter that came twice changes nothing.
            Some(own) if is_fresh(own, at) && own.listing.as_ref() == asked.listing => {
                return self.certificate(own.height);
            }
            Some(_) => {}
            None => {
                self.book.is_free(name, from, at)?;
                // NAMES-04: so many for each.
                if self.book.names_of(from, at).count() >= self.rules.names_of_one {
                    return Err(Refusal::Enough);
                }
                self.admit(&asked)?;
            }
        }
        self.pace(from, now)?;
        if is_new
            && let Some(hash) = asked.invitation
            && self.invitations.remove(&hash)
        {
            self.persists.push(Persist::Spent(hash));
        }
        let until = (at + LEASE_S).min(self.office.appointment().until);
        let listing = asked.listing.cloned();
        self.write((name, Some(from)), until, listing, at)
    }

    fn release(&mut self, from: AccountId, name: &Name, (now, at): (Time, u64)) -> Verdict {
        self.may_sign(at)?;
        let own = self.book.holding(name);
        // One that was not renewed is given up already.
        let own = own.filter(|own| own.account == from && (own.released || own.until > at));
        match own.map(|own| (own.released, own.height)) {
            None => Err(Refusal::NotYours),
            Some((true, height)) => self.certificate(height),
            Some((false, _)) => {
                self.pace(from, now)?;
                self.write((name, None), at, None, at)
            }
        }
    }

    /// `NAMES-05`: whether the network wants him. Whoever brings an invitation waits for nobody.
    fn admit(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let invited = asked
            .invitation
            .is_some_and(|hash| self.invitations.contains(&hash));
        match (self.rules.admission, asked.by) {
            (Admission::Open, _) | (_, By::Operator) => Ok(()),
            (_, By::Rules) if invited => Ok(()),
            (Admission::ByHand, By::Rules) => Err(Refusal::Waiting),
            (Admission::Invitation, By::Rules) => Err(Refusal::Invitation),
        }
    }

    /// `NAMES-06`: not too often, by one or by all.
    fn pace(&mut self, from: AccountId, now: Time) -> Result<(), Refusal> {
        while self.changes.front().is_some_and(|(at, _)| *at + DAY <= now) {
            self.changes.pop_front();
        }
        let of_one = self.changes.iter().filter(|(_, who)| *who == from).count();
        let lately = self
            .changes
            .iter()
            .filter(|(at, _)| *at + HOUR > now)
            .count();
        if of_one >= CHANGES_OF_ONE || lately >= CHANGES_OF_ALL {
            return Err(Refusal::TooOften);
        }
        self.changes.push_back((now, from));
        Ok(())
    }

    fn may_sign(&self, at: u64) -> Result<(), Refusal> {
        if self.standing == Standing::Serving && at < self.office.appointment().until {
            Ok(())
        } else {
            Err(Refusal::NotReady)
        }
    }

    /// `NAMES-07`: into the log first; the certificate says what the log says.
    fn write(
        &mut self,
        (name, account): (&Name, Option<AccountId>),
        until: u64,
        listing: Option<Listing>,
        at: u64,
    ) -> Verdict {
        let entry = Entry {
            height: self.height() + 1,
            before: self.history.end(),
            at,
            name: name.clone(),
            account,
            until,
            listing,
        };
        self.book.apply(&entry);
        self.entries.push(entry.clone());
        let signed = self.office.enter(entry);
        self.history.push(signed.position());
        let append = Persist::Append(self.office.appointment().clone(), vec![signed]);
        self.persists.push(append);
        self.certificate(self.height())
    }

    /// What the log says there.
    fn certificate(&self, height: u64) -> Verdict {
        let index = usize::try_from(height - 1).map_err(|_| Refusal::NotReady)?;
        let entry = self.entries.get(index).ok_or(Refusal::NotReady)?;
        // That it was given up has to be known for as long as the last certificate says that it was somebody's.
        let expires = match entry.account {
            Some(_) => entry.until,
            None => entry.until + LEASE_S,
        };
        Ok(self.office.certify(entry, expires))
    }

    fn contradicted(&mut self, proof: Equivocation) {
        // NAMES-09: a predecessor's contradictions are not ours; our own are remembered.
        if proof.epoch() == self.office.appointment().epoch
            && self.standing != Standing::Contradicted
        {
            self.standing = Standing::Contradicted;
            self.persists.push(Persist::Contradicted(proof));
            self.events.push(Event::Contradicted);
        }
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.events.assert_drained();
    }
}

/// More than half of its lease is left.
const fn is_fresh(holding: &Holding, at: u64) -> bool {
    holding.until.saturating_sub(at) > LEASE_S / 2
}

#[cfg(test)]
mod tests;
