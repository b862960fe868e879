//! The registrar of a network: gives names, first come, first served, and writes down in its log what it gave. What it
//! certifies is what the log says; nothing is certified that is not in it.
//!
//! Before it signs anything it hears from the network where its log stands there. One that was restored from an old backup
//! takes what it is missing from the supernodes, whose copy has its own signatures; one whose log contradicts theirs signs
//! nothing any more.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_claim::{Claim, Refusal, Verdict, Wish, invitation_hash};
use starling_wire::name_log::{
    Entry, Equivocation, Listing, Page, Position, SignedEntry, Statement, VerifiedPage,
};
use starling_wire::record::registrar::{Office, Registrar as Appointment};
use starling_wire::record::{NameRecord, Signed};

use super::book::{Book, Holding};
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
    /// This invitation, a BLAKE3 hash, was used.
    Spent([u8; 32]),
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
    Contradicted(Equivocation),
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
}

/// The registrar.
#[derive(Debug)]
pub struct Registrar {
    office: Office,
    rules: Rules,
    standing: Standing,
    log: Vec<SignedEntry>,
    book: Book,
    invitations: BTreeSet<[u8; 32]>,
    changes: VecDeque<(Time, AccountId)>,
    persists: Outputs<Persist>,
    events: Outputs<Event>,
}

impl Registrar {
    /// With the log as it was stored.
    pub fn new(office: Office, rules: Rules, log: Vec<SignedEntry>) -> Self {
        let mut book = Book::default();
        for signed in &log {
            book.apply(&signed.entry);
        }
        Self {
            office,
            rules,
            standing: Standing::Behind,
            log,
            book,
            invitations: BTreeSet::new(),
            changes: VecDeque::new(),
            persists: Outputs::default(),
            events: Outputs::default(),
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

    /// Where its log stands; `None` while it is empty.
    pub fn statement(&self) -> Option<Statement> {
        Some(self.statement_of(self.log.last()?.position()))
    }

    /// What follows `height`, as much as fits a page; `None` if nothing does.
    pub fn page_after(&self, height: u64) -> Option<Page> {
        let begin = usize::try_from(height).ok()?;
        let rest = self.log.get(begin..).filter(|rest| !rest.is_empty())?;
        let entries = rest.iter().take(starling_wire::name_log::PAGE_ENTRIES_MAX);
        Some(Page {
            registrar: self.office.appointment().clone(),
            entries: entries.cloned().collect(),
        })
    }

    /// These invitations, BLAKE3 hashes, may be used.
    pub fn handle_invitations(&mut self, hashes: impl IntoIterator<Item = [u8; 32]>) {
        self.invitations.extend(hashes);
    }

    /// What supernodes have of the log; none of them any if it is empty. `NAMES-08`: only after that is anything signed.
    pub fn handle_heads(&mut self, heads: &[Statement]) {
        self.assert_drained();
        let network = self.office.appointment().network;
        let valid = heads.iter().filter(|head| head.verify(network).is_ok());
        let mut missing = false;
        for head in valid {
            match self.own_at(head.position.height) {
                Some(own) => {
                    if let Some(proof) = own.against(head) {
                        return self.contradicted(proof);
                    }
                }
                None => missing |= head.position.height > self.height(),
            }
        }
        if missing {
            self.standing = Standing::Behind;
            self.events.push(Event::Behind(self.height()));
        } else if self.standing == Standing::Behind {
            self.standing = Standing::Serving;
        }
    }

    /// What we were missing, from a supernode.
    pub fn handle_page(&mut self, page: VerifiedPage) {
        self.assert_drained();
        let known = page.entries().iter().take_while(|signed| {
            let own = self.own_at(signed.entry.height);
            own.is_some_and(|own| own.position.hash == signed.entry.hash())
        });
        let known = known.count();
        let Some(next) = page.entries().get(known) else {
            return;
        };
        let theirs = Statement {
            registrar: page.registrar().clone(),
            position: next.position(),
        };
        if let Some(proof) = self
            .own_at(next.entry.height)
            .and_then(|own| own.against(&theirs))
        {
            return self.contradicted(proof);
        }
        let last = self
            .log
            .last()
            .map_or([0; 32], |signed| signed.entry.hash());
        if next.entry.height != self.height() + 1 || next.entry.before != last {
            return;
        }
        let fresh: Vec<SignedEntry> = page.entries()[known..].to_vec();
        for signed in &fresh {
            self.book.apply(&signed.entry);
        }
        self.log.extend(fresh.iter().cloned());
        let by = page.registrar().clone();
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

    /// `NAMES-05`: whether the network wants him.
    fn admit(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        match (self.rules.admission, asked.by) {
            (Admission::Open, _) | (_, By::Operator) => Ok(()),
            (Admission::ByHand, By::Rules) => Err(Refusal::Waiting),
            (Admission::Invitation, By::Rules) => {
                let valid = asked
                    .invitation
                    .is_some_and(|hash| self.invitations.contains(&hash));
                if valid {
                    Ok(())
                } else {
                    Err(Refusal::Invitation)
                }
            }
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
            before: self
                .log
                .last()
                .map_or([0; 32], |signed| signed.entry.hash()),
            at,
            name: name.clone(),
            account,
            until,
            listing,
        };
        self.book.apply(&entry);
        let signed = self.office.enter(entry);
        self.log.push(signed.clone());
        let append = Persist::Append(self.office.appointment().clone(), vec![signed]);
        self.persists.push(append);
        self.certificate(self.height())
    }

    /// What the log says there.
    fn certificate(&self, height: u64) -> Verdict {
        let entry = &self.entry_at(height).ok_or(Refusal::NotReady)?.entry;
        // That it was given up has to be known for as long as the last certificate says that it was somebody's.
        let expires = match entry.account {
            Some(_) => entry.until,
            None => entry.until + LEASE_S,
        };
        Ok(self.office.certify(entry, expires))
    }

    fn height(&self) -> u64 {
        self.log.len() as u64
    }

    fn entry_at(&self, height: u64) -> Option<&SignedEntry> {
        let index = usize::try_from(height.checked_sub(1)?).ok()?;
        self.log.get(index)
    }

    fn own_at(&self, height: u64) -> Option<Statement> {
        Some(self.statement_of(self.entry_at(height)?.position()))
    }

    fn statement_of(&self, position: Position) -> Statement {
        Statement {
            registrar: self.office.appointment().clone(),
            position,
        }
    }

    fn contradicted(&mut self, proof: Equivocation) {
        self.standing = Standing::Contradicted;
        self.events.push(Event::Contradicted(proof));
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
