//! The index as one supernode sees it that knows all the others (DESIGN 3.5: up to about 5,000): [`Holder`] and [`Resolver`]
//! joined, with the list of members that both stand on. It is what the node and the simulator drive.

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::placement::{self, IndexKey, Position};

use super::holder::{Holder, Persist, PutRefusal, Source, Transmit as HolderTransmit};
use super::resolver::{AT_ONCE, LookupId, Reply, Resolver, ResolverEvent, Transmit as Asking};
use super::scores::Scores;
use super::{Index, IndexEvent, Record, Transmit, Wake};
use crate::machine::{Deadline, Outputs, Time};

/// The full view.
#[derive(Debug)]
pub struct FullIndex<M, B, R> {
    own: M,
    members: BTreeMap<M, Position>,
    holder: Holder<M, B, R>,
    resolver: Resolver<M, R>,
    scores: Scores<M>,
    persists: Outputs<Persist<R>>,
    transmits: Outputs<Transmit<M, R>>,
    events: Outputs<IndexEvent<M, R>>,
}

impl<M: Copy + Ord, B: Copy + Ord, R: Record> FullIndex<M, B, R> {
    /// Holds nothing and knows itself only.
    pub fn new(own: M, position: Position, seed: u64, now: Time) -> Self {
        Self {
            own,
            members: BTreeMap::from([(own, position)]),
            holder: Holder::new(own, position, seed, now),
            resolver: Resolver::new(AT_ONCE),
            scores: Scores::new(),
            persists: Outputs::default(),
            transmits: Outputs::default(),
            events: Outputs::default(),
        }
    }

    /// A record from before a restart.
    pub fn restore(&mut self, record: R, lives_for: Duration, now: Time) {
        self.holder.restore(record, lives_for, now);
    }

    /// Records held.
    pub fn len(&self) -> usize {
        self.holder.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.holder.is_empty()
    }

    fn assert_drained(&self) {
        self.persists.assert_drained();
        self.transmits.assert_drained();
        self.events.assert_drained();
    }

    fn members(&self) -> impl Iterator<Item = (M, Position)> {
        self.members.iter().map(|(member, at)| (*member, *at))
    }

    /// Moves what the holder wants into the outer queues.
    fn gather(&mut self) {
        while let Some(persist) = self.holder.poll_persist() {
            self.persists.push(persist);
        }
        while let Some(transmit) = self.holder.poll_transmit() {
            self.transmits.push(match transmit {
                HolderTransmit::Hand(to, record) => Transmit::Hand(to, record),
                HolderTransmit::Compare(to, list) => Transmit::Compare(to, list),
                HolderTransmit::Want(to, keys) => Transmit::Want(to, keys),
            });
        }
    }

    /// And what the resolver wants; what it noticed of others is weighed.
    fn gather_answers(&mut self, now: Time) {
        while let Some(transmit) = self.resolver.poll_transmit() {
            self.transmits.push(match transmit {
                Asking::Ask(id, holder, key) => Transmit::Ask(id, holder, key),
                Asking::Repair(holder, record) => {
                    let (key, order) = (record.key(), record.order());
                    self.scores.handle_told(holder, key, order, now);
                    Transmit::Hand(holder, record)
                }
            });
        }
        while let Some(event) = self.resolver.poll_event() {
            self.events.push(match event {
                ResolverEvent::Found(id, at, record) => IndexEvent::Found(id, Some(at), record),
                ResolverEvent::Newer(id, at, record) => IndexEvent::Newer(id, at, record),
                ResolverEvent::NotFound(id) => IndexEvent::NotFound(id),
                ResolverEvent::Blame(holder, fault) => {
                    self.scores.handle_fault(holder, fault, now);
                    IndexEvent::Blame(holder, fault)
                }
                ResolverEvent::Ended(id) => IndexEvent::Ended(id),
            });
        }
    }
}

impl<M: Copy + Ord, B: Copy + Ord, R: Record> Index<M, B, R> for FullIndex<M, B, R> {
    fn handle_joined(&mut self, member: M, position: Position, now: Time) {
        self.assert_drained();
        self.members.insert(member, position);
        self.holder.handle_joined(member, position, now);
        self.gather();
    }

    fn handle_left(&mut self, member: M, now: Time) {
        self.assert_drained();
        if member != self.own {
            self.members.remove(&member);
        }
        self.scores.handle_left(member);
        self.holder.handle_left(member, now);
        self.gather();
    }

    fn handle_publish(
        &mut self,
        source: Source<M, B>,
        record: R,
        lives_for: Duration,
        now: Time,
    ) -> Result<(), PutRefusal> {
        self.assert_drained();
        let holders = placement::holders(record.key(), self.members());
        if holders.contains(&self.own) {
            let kept = self
                .holder
                .handle_put(source, record.clone(), lives_for, None, now);
            self.gather();
            kept?;
        } else if let Source::Client(block) = source {
            self.holder.handle_passed(block, &record, lives_for, now)?;
        }
        for holder in holders.into_iter().filter(|holder| *holder != self.own) {
            self.transmits.push(Transmit::Put(holder, record.clone()));
        }
        Ok(())
    }

    fn handle_put(
        &mut self,
        from: M,
        record: R,
        lives_for: Duration,
        now: Time,
    ) -> Result<(), PutRefusal> {
        self.assert_drained();
        let source = Source::Member(from);
        let kept = self.holder.handle_put(source, record, lives_for, None, now);
        self.gather();
        kept
    }

    fn handle_written(&mut self, key: IndexKey, order: u64) {
        self.holder.handle_written(key, order);
    }

    fn get(&self, key: IndexKey, now: Time) -> Option<&R> {
        self.holder.get(key, now)
    }

    fn handle_lookup(&mut self, id: LookupId, key: IndexKey, now: Time) {
        self.assert_drained();
        if let Some(record) = self.holder.get(key, now) {
            self.events
                .push(IndexEvent::Found(id, None, record.clone()));
            self.events.push(IndexEvent::Ended(id));
            return;
        }
        let others = self.members().filter(|(member, _)| *member != self.own);
        let holders = self.scores.order(placement::ask_order(key, others), now);
        self.resolver.handle_lookup(id, key, holders, None, now);
        self.gather_answers(now);
    }

    fn handle_reply(&mut self, id: LookupId, from: M, reply: Reply<R>, now: Time) {
        self.assert_drained();
        if Scores::<M>::is_own(id) {
            let fault = self.scores.handle_answer(id, from, &reply, now);
            if let Some(fault) = fault {
                self.events.push(IndexEvent::Blame(from, fault));
            }
            return;
        }
        if matches!(reply, Reply::Record(_) | Reply::None) {
            self.scores.handle_heard(from, now);
        }
        self.resolver.handle_reply(id, from, reply, now);
        self.gather_answers(now);
    }

    fn handle_compare(&mut self, from: M, theirs: &[(IndexKey, u64)], now: Time) {
        self.assert_drained();
        self.holder.handle_compare(from, theirs, now);
        self.gather();
    }

    fn handle_want(&mut self, from: M, keys: &[IndexKey], now: Time) {
        self.assert_drained();
        self.holder.handle_want(from, keys, now);
        self.gather();
    }

    fn handle_leaving(&mut self) {
        self.assert_drained();
        self.holder.handle_leaving();
        self.gather();
    }

    fn handle_timeout(&mut self, now: Time) {
        self.assert_drained();
        self.holder.handle_timeout(now);
        self.gather();
        self.resolver.handle_timeout(now);
        self.gather_answers(now);
        for question in self.scores.handle_timeout(now) {
            self.transmits.push(question);
        }
    }

    fn poll_timeout(&self) -> Option<Deadline<Wake>> {
        let holder = self.holder.poll_timeout();
        let resolver = self.resolver.poll_timeout();
        Deadline::earliest([
            holder.map(|due| Deadline::new(due.at, Wake::Holder(due.reason))),
            resolver.map(|due| Deadline::new(due.at, Wake::Resolver(due.reason))),
            self.scores
                .poll_timeout()
                .map(|at| Deadline::new(at, Wake::Told)),
        ])
    }

    fn poll_persist(&mut self) -> Option<Persist<R>> {
        self.persists.pop()
    }

    fn poll_transmit(&mut self) -> Option<Transmit<M, R>> {
        self.transmits.pop()
    }

    fn poll_event(&mut self) -> Option<IndexEvent<M, R>> {
        self.events.pop()
    }
}

#[cfg(test)]
mod tests;
