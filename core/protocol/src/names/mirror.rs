//! A supernode's copy of the registrar's log. Whoever brings a part of it, it counts only as far as the registrar signed it and
//! it continues what is there. Supernodes tell each other how much they have and fetch what they lack, so the log is read
//! while the registrar is away.
//!
//! What is there is never replaced: if the registrar says something else about the same height, the two are kept as a proof,
//! told to everybody, and the log grows no more until the network's owner appoints another registrar, which says after which
//! entry it takes over.

use std::time::Duration;

use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::name_log::{Equivocation, Page, Statement, VerifiedPage};
use starling_wire::name_query::NameHead;
use starling_wire::record::registrar::Registrar;

use super::history::{Followed, History};
use crate::backoff::Jitter;
use crate::machine::{Deadline, Outputs, Time};

/// One of the others is asked so often what it has; up to twice as long goes by.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// Whoever was asked for entries and sent none within this is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many are told at once when the log grew; the others ask.
const TOLD: usize = 3;

/// What must be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persist {
    /// Somebody is registrar, or is it for longer.
    Office(Registrar),
    /// The entries after this height count no more.
    Keep(u64),
    /// These come next.
    Append(VerifiedPage),
    /// The registrar contradicted itself.
    Proof(Equivocation),
}

/// What is said to another supernode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// "How much do you have?"
    AskHead,
    /// "The owner appointed this registrar."
    Office(Registrar),
    /// "That much."
    Head(Statement),
    /// "Send me what begins at this height." It may be one that the asker has, so that he can compare.
    AskFrom(u64),
    /// "The registrar contradicts itself."
    Proof(Equivocation),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The log has that many entries now.
    Grown(u64),
    /// The registrar of this number is the network's now, or for longer.
    Office(u64),
    /// The registrar contradicted itself; said once.
    Alarm,
}

/// Why it wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorReason {
    /// Somebody is to be asked.
    AskDue,
}

/// The copy: how far it goes. The entries lie with the driver.
#[derive(Debug)]
pub struct Mirror {
    network: NetworkId,
    history: History,
    proof: Option<Equivocation>,
    others: Vec<EndpointKey>,
    /// Who was asked for entries, how many he has, and until when he is waited for.
    fetching: Option<(EndpointKey, u64, Time)>,
    ask_at: Time,
    jitter: Jitter,
    persists: Outputs<Persist>,
    transmits: Outputs<(EndpointKey, Message)>,
    events: Outputs<Event>,
}

impl Mirror {
    /// As it was stored: how far the log goes, and what was proved.
    pub fn new(
        network: NetworkId,
        history: History,
        proof: Option<Equivocation>,
        seed: u64,
        now: Time,
    ) -> Self {
        let mut jitter = Jitter::new(seed);
        Self {
            network,
            history,
            proof,
            others: Vec::new(),
            fetching: None,
            ask_at: now + jitter.spread(ASK_EVERY),
            jitter,
            persists: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// Entries it has.
    pub fn height(&self) -> u64 {
        self.history.height()
    }

    /// How far it goes, and who signed what.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The proof against the network's registrar, if there is one.
    pub fn proof(&self) -> Option<&Equivocation> {
        let counts = |proof: &&Equivocation| proof.epoch() >= self.history.epoch();
        self.proof.as_ref().filter(counts)
    }

    /// The other supernodes of the network.
    pub fn handle_others(&mut self, others: Vec<EndpointKey>) {
        self.assert_drained();
        self.others = others;
    }

    /// Another supernode, or a client, says who the registrar is.
    pub fn handle_office(&mut self, office: &Registrar) {
        self.assert_drained();
        self.follow(office);
    }

    /// Another supernode answers how far its copy goes.
    pub fn handle_said(&mut self, from: EndpointKey, said: NameHead, now: Time) {
        self.assert_drained();
        if let Some(office) = &said.office {
            self.follow(office);
        }
        if let Some(proof) = said.proof {
            self.check_proof(proof);
        }
        if let Some(head) = &said.head {
            self.compare(from, head, now);
        }
    }

    /// Another supernode, or a client, says how far the log goes.
    pub fn handle_head(&mut self, from: EndpointKey, head: &Statement, now: Time) {
        self.assert_drained();
        self.compare(from, head, now);
    }

    fn compare(&mut self, from: EndpointKey, head: &Statement, now: Time) {
        // MIRROR-01: only what a registrar of this network signed is looked at.
        if head.verify(self.network).is_err() {
            return;
        }
        self.follow(&head.registrar);
        let own = self.history.at(head.position.height);
        if let Some(proof) = own.and_then(|own| own.against(head)) {
            return self.prove(proof);
        }
        let ends = self.history.end_of(&head.registrar);
        let height = head.position.height.min(ends);
        if height > self.height() {
            self.fetch(from, height, now);
        }
    }

    /// Entries came: from a supernode that was asked, or from the registrar.
    pub fn handle_page(&mut self, from: EndpointKey, page: Page, now: Time) {
        self.assert_drained();
        let wanted = self.fetching.take_if(|(whom, ..)| *whom == from);
        // MIRROR-01
        let Ok(page) = page.verify(self.network) else {
            return;
        };
        self.follow(page.registrar());
        // MIRROR-03: what both have has to be the same.
        if let Some(proof) = self.history.contradicted_by(&page) {
            return self.prove(proof);
        }
        if self.proof().is_some() {
            return;
        }
        let ends_here = page.last().position.height == self.height();
        let Some(page) = self.history.rest_of(page) else {
            // A page of one registrar that we had whole: what follows is the next one's.
            let wanted = wanted.filter(|(_, height, _)| ends_here && *height > self.height());
            if let Some((_, height, _)) = wanted {
                self.ask_at(from, (self.height() + 1, height), now);
            }
            return;
        };
        // MIRROR-02: what continues the copy is taken, and nothing else.
        let first = &page.entries()[0].entry;
        let height = page.last().position.height;
        if first.height != self.height() + 1 {
            // Somebody has more, with a gap in between.
            return self.fetch(from, height, now);
        }
        if first.before != self.history.end() {
            // It follows another entry of the height that we have: his is compared.
            return self.ask_from(from, height, now);
        }
        if !self.append(page) {
            return;
        }
        let height = wanted.map_or(0, |(_, height, _)| height);
        if height > self.height() {
            self.fetch(from, height, now);
        }
    }

    /// Somebody says that the registrar contradicted itself.
    pub fn handle_proof(&mut self, proof: Equivocation) {
        self.assert_drained();
        self.check_proof(proof);
    }

    /// Whoever was asked does not answer.
    pub fn handle_silence(&mut self, from: EndpointKey) {
        self.assert_drained();
        self.fetching.take_if(|(whom, ..)| *whom == from);
    }

    fn check_proof(&mut self, proof: Equivocation) {
        // MIRROR-04: a proof that proves nothing is no alarm.
        if proof.verify(self.network).is_ok() {
            self.follow(&proof.one.registrar);
            self.prove(proof);
        }
    }

    /// The time is there.
    pub fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        self.fetching.take_if(|(.., until)| *until <= now);
        if self.ask_at > now {
            return;
        }
        self.ask_at = now + ASK_EVERY + self.jitter.spread(ASK_EVERY);
        if let Some(whom) = self.anybody() {
            self.transmits.push((whom, Message::AskHead));
        }
    }

    /// When to be woken, and why.
    pub const fn poll_timeout(&self) -> Deadline<MirrorReason> {
        Deadline::new(self.ask_at, MirrorReason::AskDue)
    }

    /// What must be durable.
    pub fn poll_persist(&mut self) -> Option<Persist> {
        self.persists.pop()
    }

    /// What is said to whom.
    pub fn poll_transmit(&mut self) -> Option<(EndpointKey, Message)> {
        self.transmits.pop()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn fetch(&mut self, from: EndpointKey, height: u64, now: Time) {
        let waits = self.fetching.is_some_and(|(.., until)| until > now);
        if self.proof().is_none() && !waits {
            self.ask_from(from, height, now);
        }
    }

    fn ask_from(&mut self, from: EndpointKey, height: u64, now: Time) {
        // From the last one that we have, so that the two are compared.
        self.ask_at(from, (self.height().max(1), height), now);
    }

    fn ask_at(&mut self, from: EndpointKey, (begin, height): (u64, u64), now: Time) {
        self.fetching = Some((from, height, now + PATIENCE));
        self.transmits.push((from, Message::AskFrom(begin)));
    }

    /// Whether it fits what the latest registrar took over from.
    fn append(&mut self, page: VerifiedPage) -> bool {
        self.history.append(&page);
        let fits = self.history.leads_to_office();
        if fits {
            let head = page.last();
            self.events.push(Event::Grown(head.position.height));
            self.persists.push(Persist::Append(page));
            self.tell(&Message::Head(head));
        } else {
            // MIRROR-05: the other branch of a log that a registrar forked; another one of us has the right one.
            self.history.start_over();
            self.persists.push(Persist::Keep(0));
        }
        fits
    }

    /// `MIRROR-05`: whom the network's owner appoints, the copy follows: back to where he took over, and on from there.
    fn follow(&mut self, office: &Registrar) {
        let before = self.history.height();
        let Followed::Kept(kept) = self.history.follow(office) else {
            return;
        };
        self.persists.push(Persist::Office(office.clone()));
        if kept < before {
            self.fetching = None;
            self.persists.push(Persist::Keep(kept));
        }
        if office.epoch == self.history.epoch() {
            self.tell(&Message::Office(office.clone()));
            self.events.push(Event::Office(office.epoch));
        }
    }

    fn prove(&mut self, proof: Equivocation) {
        if self.proof().is_some() || proof.epoch() < self.history.epoch() {
            return;
        }
        self.fetching = None;
        self.persists.push(Persist::Proof(proof.clone()));
        self.tell(&Message::Proof(proof.clone()));
        self.events.push(Event::Alarm);
        self.proof = Some(proof);
    }

    fn tell(&mut self, message: &Message) {
        for _ in 0..TOLD.min(self.others.len()) {
            if let Some(whom) = self.anybody() {
                self.transmits.push((whom, message.clone()));
            }
        }
    }

    fn anybody(&mut self) -> Option<EndpointKey> {
        let count = u32::try_from(self.others.len()).unwrap_or(u32::MAX);
        let index = usize::try_from(self.jitter.below(count)).ok()?;
        self.others.get(index).copied()
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }
}

#[cfg(test)]
mod tests;
