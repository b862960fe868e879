//! A supernode's copy of the registrar's log. Whoever brings a part of it, it counts only as far as the registrar signed it and
//! it continues what is there. Supernodes tell each other how much they have and fetch what they lack, so the log is read
//! while the registrar is away.
//!
//! What is there is never replaced: if the registrar says something else about the same height, the two are kept as a proof,
//! told to everybody, and the log grows no more.

use std::time::Duration;

use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::name_log::{Equivocation, Page, Statement, VerifiedPage};

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
    head: Option<Statement>,
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
    /// As it was stored: where the log ends, and what was proved.
    pub fn new(
        network: NetworkId,
        head: Option<Statement>,
        proof: Option<Equivocation>,
        seed: u64,
        now: Time,
    ) -> Self {
        let mut jitter = Jitter::new(seed);
        Self {
            network,
            head,
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
        self.head.as_ref().map_or(0, |head| head.position.height)
    }

    /// Where the log ends, as the registrar signed it.
    pub const fn head(&self) -> Option<&Statement> {
        self.head.as_ref()
    }

    /// The proof against the registrar, if there is one.
    pub const fn proof(&self) -> Option<&Equivocation> {
        self.proof.as_ref()
    }

    /// The other supernodes of the network.
    pub fn handle_others(&mut self, others: Vec<EndpointKey>) {
        self.assert_drained();
        self.others = others;
    }

    /// Somebody asks how much there is.
    pub fn handle_ask(&mut self, from: EndpointKey) {
        self.assert_drained();
        if let Some(proof) = self.proof.clone() {
            self.transmits.push((from, Message::Proof(proof)));
        }
        if let Some(head) = self.head.clone() {
            self.transmits.push((from, Message::Head(head)));
        }
    }

    /// Another supernode, or a record of the index, says how far the log goes. `own` is what the driver has stored at the same height.
    pub fn handle_head(
        &mut self,
        from: EndpointKey,
        head: &Statement,
        own: Option<&Statement>,
        now: Time,
    ) {
        self.assert_drained();
        // MIRROR-01: only what a registrar of this network signed is looked at.
        if head.verify(self.network).is_err() {
            return;
        }
        if let Some(proof) = own.and_then(|own| own.against(head)) {
            return self.prove(proof);
        }
        if head.position.height > self.height() {
            self.fetch(from, head.position.height, now);
        }
    }

    /// Entries came: from a supernode that was asked, or from the registrar.
    pub fn handle_page(&mut self, from: EndpointKey, page: Page, now: Time) {
        self.assert_drained();
        let wanted = self.fetching.take_if(|(whom, ..)| *whom == from);
        if self.proof.is_some() {
            return;
        }
        // MIRROR-01
        let Ok(page) = page.verify(self.network) else {
            return;
        };
        // MIRROR-03: the entry that both have has to be the same one.
        let overlap = page
            .entries()
            .iter()
            .find(|signed| signed.entry.height == self.height());
        let theirs = overlap.map(|signed| Statement {
            registrar: page.registrar().clone(),
            position: signed.position(),
        });
        if let Some(proof) = self
            .head
            .as_ref()
            .zip(theirs)
            .and_then(|(own, theirs)| own.against(&theirs))
        {
            return self.prove(proof);
        }
        let Some(page) = page.after(self.height()) else {
            return;
        };
        // MIRROR-02: what continues the copy is taken, and nothing else.
        let first = &page.entries()[0].entry;
        let end = self
            .head
            .as_ref()
            .map_or([0; 32], |head| head.position.hash);
        if first.height != self.height() + 1 {
            // Somebody has more, with a gap in between.
            let height = page.last().position.height;
            return self.fetch(from, height, now);
        }
        if first.before != end {
            // It follows another entry of the height that we have: his is compared.
            return self.ask_from(from, page.last().position.height, now);
        }
        self.append(page);
        if let Some((_, height, _)) = wanted.filter(|(_, height, _)| *height > self.height()) {
            self.fetch(from, height, now);
        }
    }

    /// Somebody says that the registrar contradicted itself.
    pub fn handle_proof(&mut self, proof: Equivocation) {
        self.assert_drained();
        // MIRROR-04: a proof that proves nothing is no alarm.
        if proof.verify(self.network).is_ok() {
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
        if self.proof.is_none() && !waits {
            self.ask_from(from, height, now);
        }
    }

    fn ask_from(&mut self, from: EndpointKey, height: u64, now: Time) {
        self.fetching = Some((from, height, now + PATIENCE));
        let begin = self.height().max(1);
        self.transmits.push((from, Message::AskFrom(begin)));
    }

    fn append(&mut self, page: VerifiedPage) {
        let head = page.last();
        self.events.push(Event::Grown(head.position.height));
        self.persists.push(Persist::Append(page));
        self.tell(&Message::Head(head.clone()));
        self.head = Some(head);
    }

    fn prove(&mut self, proof: Equivocation) {
        if self.proof.is_some() {
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
