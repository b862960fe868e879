//! Comparing lists with another member, and calling those who were gone.

use starling_wire::ids::EndpointKey;

use super::digest::{Digest, bucket, digest};
use super::peer::Peer;
use super::{
    CALL_EVERY, CALLED, COMPARE_EVERY, COMPARE_MERGED, DESCRIBED_MAX, Description,
    LISTED_BY_CHANCE, LISTED_LATEST, Membership, Message, NEWCOMER,
};
use crate::machine::Time;

impl<D: Description> Membership<D> {
    /// Another member's list, in short: where ours differs it is told what we have there (`MEMBER-09`).
    pub fn handle_digest(&mut self, from: EndpointKey, theirs: &Digest) {
        self.handle_digest_back(from, theirs);
        let ours = self.digest();
        if ours != *theirs {
            self.transmits
                .push((from, Message::DigestBack(Box::new(ours))));
        }
    }

    /// The answer to ours.
    pub fn handle_digest_back(&mut self, from: EndpointKey, theirs: &Digest) {
        self.assert_drained();
        let ours = self.digest();
        if ours == *theirs {
            return;
        }
        self.merge.note_difference();
        let differs = |key| {
            let at = usize::from(bucket(key));
            key != from && ours[at] != theirs[at]
        };
        let mut differing: Vec<(Time, EndpointKey)> = self
            .known
            .iter()
            .filter(|(key, known)| known.joined && differs(**key))
            .map(|(key, known)| (known.joined_at, *key))
            .collect();
        if !is_newcomer(&ours, theirs) {
            self.choose_told(&mut differing);
        }
        let own =
            differs(self.own.id()).then(|| (self.own.clone(), self.engine.identity().generation));
        let told: Vec<(D, u32)> = differing
            .iter()
            .filter_map(|(_, key)| self.known.get(key))
            .filter_map(|known| Some((known.description.clone()?, known.generation)))
            .chain(own)
            .collect();
        for part in told.chunks(DESCRIBED_MAX) {
            self.transmits.push((from, Message::Listed(part.to_vec())));
        }
    }

    /// `MEMBER-11`: in a network that grows fast every bucket differs, by a few; not everything is told everybody each time.
    fn choose_told(&mut self, differing: &mut Vec<(Time, EndpointKey)>) {
        differing.sort_unstable_by(|a, b| b.cmp(a));
        if differing.len() <= LISTED_LATEST + LISTED_BY_CHANCE {
            return;
        }
        let rest = differing.split_off(LISTED_LATEST);
        let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        for _ in 0..LISTED_BY_CHANCE {
            let chosen = rest.get(self.chance.below(count) as usize);
            differing.extend(chosen.filter(|chosen| !differing.contains(chosen)).copied());
        }
    }

    /// What another member has where ours differed, verified.
    pub fn handle_listed(&mut self, from: EndpointKey, members: Vec<(D, u32)>, now: Time) {
        self.assert_drained();
        let unknown = members
            .iter()
            .filter(|(member, _)| !self.known.contains_key(&member.id()))
            .count();
        if members.len() > DESCRIBED_MAX || !self.is_slow_enough(from, unknown, now) {
            return;
        }
        for (member, generation) in members {
            self.learn(member, generation, now);
        }
        self.carry_out(Some(from), now);
    }

    /// Of a list: what the engine has not heard of yet it hears now. Of the dead it keeps its own opinion.
    fn learn(&mut self, member: D, generation: u32, now: Time) {
        let key = member.id();
        if key == self.own.id() {
            return;
        }
        self.describe(member, now);
        let alive = self.known.get(&key).is_some_and(|known| known.joined);
        if !alive {
            let peer = Peer { key, generation };
            let news = std::iter::once(foca::Member::new(peer, 0, foca::State::Alive));
            let _ = self.engine.apply_many(news, true, &mut self.effects);
        }
    }

    /// With a member by chance.
    pub(super) fn compare(&mut self, now: Time) {
        let soon = self.merge.compare();
        let wait = if soon { COMPARE_MERGED } else { COMPARE_EVERY };
        self.compare_at = Some(now + self.chance.spread(wait));
        let joined: Vec<EndpointKey> = self.members().map(D::id).collect();
        let count = u32::try_from(joined.len()).unwrap_or(u32::MAX);
        let with = joined.get(self.chance.below(count) as usize).copied();
        if let Some(with) = with {
            let all = Message::Digest(Box::new(self.digest()));
            self.transmits.push((with, all));
        }
    }

    /// `MEMBER-12`: two halves of a network have found each other: what the news of that misses is found by comparing.
    pub(super) fn note_returned(&mut self, now: Time) {
        if self.merge.note_returned(self.known.len()) {
            let soon = now + self.chance.spread(COMPARE_MERGED);
            self.compare_at = self.compare_at.map(|at| at.min(soon));
        }
    }

    pub(super) fn digest(&self) -> Digest {
        let all = self.members().chain(std::iter::once(&self.own));
        digest(all.map(|member| (member.id(), member.issued())))
    }

    /// A network that fell apart becomes one again by this: each who hears of one calls some of the others.
    pub(super) fn call_departed(&mut self, now: Time) {
        if self.called.is_some_and(|(at, _)| at + CALL_EVERY > now) {
            return;
        }
        let after = self.called.map(|(_, last)| last);
        let later = self.departed.iter().filter(|key| Some(**key) > after);
        let earlier = self.departed.iter().filter(|key| Some(**key) <= after);
        let called: Vec<EndpointKey> = later.chain(earlier).take(CALLED).copied().collect();
        for key in &called {
            let peer = Peer {
                key: *key,
                generation: 0,
            };
            let _ = self.engine.announce(peer, &mut self.effects);
        }
        let last = called.last().copied().or(after);
        self.called = last.map(|last| (now, last));
    }
}

/// Whether most of the buckets where we have somebody are empty there.
fn is_newcomer(ours: &Digest, theirs: &Digest) -> bool {
    let filled = ours.iter().filter(|bucket| **bucket != 0).count();
    let both = ours.iter().zip(theirs);
    let both = both.filter(|(ours, theirs)| **ours != 0 && **theirs != 0);
    both.count() * NEWCOMER < filled
}
