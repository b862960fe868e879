//! The epochs of a group as one member sees them: what is settled, what was merged without being settled, and which branch counts.
//!
//! ```text
//!   settled ── settled ── provisional ── provisional ── tip (waits for its commit)
//!                         └─ a copy of the group at each of these: where another entry wins, we go back to it
//! ```
//!
//! Which entry of a slot wins is [`Evidence::winner`]'s to say and nothing else's; so members with the same evidence are on one branch.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use starling_wire::ids::{EntryId, EpochTag};
use starling_wire::ordering::choice::Certificate;
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Holders, Slot};

use super::evidence::{Evidence, Spoken, Standing};
use super::group::{Commit, Group, Look};
use knowledge::Knowledge;

mod knowledge;

/// Epochs that may be merged without being settled, each with a copy of the group (`ORDER-09`).
pub const PROVISIONAL_MAX: usize = 8;
/// Epochs that are over and remembered, to tell others and to hear of it when one of them was overturned.
pub const PAST_MAX: usize = 32;
/// Epochs we are not in and have commits for.
const AHEAD_MAX: usize = 64;
/// Epochs of branches that lost of which a copy is kept: messages that come late are still read there.
pub const FALLEN_MAX: usize = 8;

/// An epoch that was merged, its end not settled or standing on one that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unsettled {
    epoch: EpochTag,
    attempt: u16,
    holders: Holders,
    entry: EntryId,
    next: EpochTag,
}

/// An epoch that is over: settled, or too long ago to go back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    step: Unsettled,
    /// By attempt: what was said of those that came to nothing counts, too.
    evidence: BTreeMap<u16, Evidence>,
    void: BTreeSet<EntryId>,
}

/// What a slot's evidence says, void entries left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing is there to merge.
    Open,
    /// This entry is settled and not here.
    Missing(EntryId),
    /// This one wins.
    Wins(EntryId, Standing),
}

/// What came of new evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The group is in another epoch.
    Merged {
        /// The epoch that ended.
        epoch: EpochTag,
        /// By which commit.
        entry: EntryId,
        /// Whether that is settled.
        settled: bool,
    },
    /// What was merged provisionally is settled now.
    Settled {
        /// The epoch that ended.
        epoch: EpochTag,
        /// By which commit.
        entry: EntryId,
    },
    /// Another branch won: the group is back at this epoch, and what was built on it counts no more, oldest first.
    Overturned {
        /// Where the branches part.
        epoch: EpochTag,
        /// The epochs that fell away, with the commits that began them.
        fallen: Vec<(EntryId, EpochTag)>,
    },
    /// This commit is settled and has to be fetched.
    Fetch(EpochTag, EntryId),
    /// We cannot follow by ourselves: a member who has this commit at the end of this epoch has to let us in again.
    Rejoin(EpochTag, EntryId),
    /// This commit is settled, and takes this device out. The group stays in the epoch that ended, to be read.
    Removed(EpochTag, EntryId),
}

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    past: VecDeque<Past>,
    path: VecDeque<Unsettled>,
    known: BTreeMap<EpochTag, Knowledge>,
    /// Epochs of branches that lost, with copies, the one that fell last at the end.
    fallen: VecDeque<EpochTag>,
    /// Where we have to be let in again. It follows from the evidence like everything else, unless the group is broken.
    lost: Option<(EpochTag, EntryId)>,
    broken: bool,
    /// What took us out.
    removed: Option<(EpochTag, EntryId)>,
}

impl Chain {
    /// A commit was seen. `false` if it is known, or there is no room for it.
    pub fn add_commit(&mut self, commit: Commit, tip: EpochTag) -> bool {
        let epoch = commit.slot.epoch;
        if !commit.slot.is_within_bounds() || self.is_past(epoch) {
            return false;
        }
        let ahead = !self.is_ours(epoch, tip);
        if ahead && !self.known.contains_key(&epoch) && self.ahead(tip) >= AHEAD_MAX {
            return false;
        }
        let merged = self.merged(epoch);
        let known = self.known.entry(epoch).or_default();
        known.take(commit, merged)
    }

    /// A commit of ours, which stays whatever else comes.
    pub fn add_own(&mut self, commit: Commit, tip: EpochTag) {
        let (epoch, id) = (commit.slot.epoch, commit.id);
        if epoch == tip {
            self.known.entry(epoch).or_default().own = Some(id);
            self.add_commit(commit, tip);
        }
    }

    /// A holder's promise about an epoch of ours was seen. `true` if it was news.
    pub fn add_promise(&mut self, promise: &Known<Promise>, group: &impl Group) -> bool {
        let slot = promise.get().slot;
        self.evidence(slot, group)
            .is_some_and(|(evidence, holders)| evidence.promise(&holders, promise))
    }

    /// A holder's vote, likewise.
    pub fn add_vote(&mut self, vote: &Known<Vote>, group: &impl Group) -> bool {
        let slot = vote.get().slot;
        self.evidence(slot, group)
            .is_some_and(|(evidence, holders)| evidence.vote(&holders, vote))
    }

    /// A certificate, likewise. It was verified against [`Self::holders_of`] its epoch.
    pub fn add_certificate(&mut self, certificate: &Certificate, group: &impl Group) -> bool {
        let slot = certificate.slot();
        self.evidence(slot, group)
            .is_some_and(|(evidence, holders)| evidence.certificate(&holders, certificate))
    }

    /// From now on what wins at this epoch's end is merged also if it is not settled.
    pub fn allow_provisional(&mut self, epoch: EpochTag) {
        self.known.entry(epoch).or_default().may_be_provisional = true;
    }

    /// Whether that is so.
    pub fn is_provisional(&self, epoch: EpochTag) -> bool {
        self.known
            .get(&epoch)
            .is_some_and(|known| known.may_be_provisional)
    }

    /// Who decides the end of an epoch that is or was ours.
    pub fn holders_of(&self, epoch: EpochTag, group: &impl Group) -> Option<Holders> {
        if epoch == group.epoch() {
            return Some(group.holders());
        }
        let past = self.past.iter().map(|past| &past.step);
        let mut steps = past.chain(&self.path);
        let step = steps.find(|step| step.epoch == epoch)?;
        Some(step.holders.clone())
    }

    /// What is over.
    pub fn past(&self, epoch: EpochTag) -> Option<&Past> {
        self.past.iter().find(|past| past.step.epoch == epoch)
    }

    /// What holders say that they agreed to, where others may need it to come to the same entry: for epochs whose end is not settled, since
    /// members who cannot reach a majority go by it, and where somebody lied.
    pub fn agreements(&self, group: &impl Group) -> impl Iterator<Item = &Spoken> {
        let unsettled = self.unsettled(group);
        let known = unsettled
            .into_iter()
            .filter_map(|epoch| self.known.get(&epoch));
        let open = known.flat_map(|known| known.evidence.values());
        let disputed = self
            .told()
            .filter(|evidence| evidence.liars().next().is_some());
        open.chain(disputed).flat_map(Evidence::agreements)
    }

    /// All certificates that are known, and the statements that convict somebody: what others should hear.
    pub fn told(&self) -> impl Iterator<Item = &Evidence> {
        let known = self
            .known
            .values()
            .flat_map(|known| known.evidence.values());
        let past = self.past.iter().flat_map(|past| past.evidence.values());
        past.chain(known)
    }

    /// Epochs whose end is not settled, the oldest first, the tip last.
    pub fn unsettled(&self, group: &impl Group) -> Vec<EpochTag> {
        if self.is_removed() {
            return Vec::new();
        }
        let path = self.path.iter().map(|one| one.epoch);
        path.chain([group.epoch()]).collect()
    }

    /// What was merged at the end of this epoch, if that is not settled.
    pub fn merged(&self, epoch: EpochTag) -> Option<EntryId> {
        let one = self.path.iter().find(|one| one.epoch == epoch)?;
        Some(one.entry)
    }

    /// Epochs that may yet fall away: they stand on one that is not settled.
    pub fn may_fall(&self) -> BTreeSet<EpochTag> {
        self.path.iter().map(|one| one.next).collect()
    }

    /// Whether this commit ended this epoch here, settled or not, or was found void.
    pub fn has(&self, epoch: EpochTag, entry: EntryId) -> bool {
        match self.past(epoch) {
            Some(past) => past.step.entry == entry || past.void.contains(&entry),
            None => self.merged(epoch) == Some(entry),
        }
    }

    /// Where we have to be let in again, and by a member with which commit.
    pub const fn lost(&self) -> Option<(EpochTag, EntryId)> {
        self.lost
    }

    /// The slot that is on at an unsettled epoch's end, and the commits that may be proposed for it.
    pub fn candidates(&self, epoch: EpochTag, group: &impl Group) -> (Slot, Vec<EntryId>) {
        let on = self.known.get(&epoch).zip(self.holders_of(epoch, group));
        let (attempt, commits) = on.map_or((0, Vec::new()), |(known, holders)| {
            let attempt = known.attempt(&holders);
            (attempt, known.open(attempt))
        });
        (Slot { epoch, attempt }, commits)
    }

    /// A commit that is here.
    pub fn commit(&self, epoch: EpochTag, id: EntryId) -> Option<&Commit> {
        self.known.get(&epoch)?.commits.get(&id)
    }

    /// Whether a settled commit took this device out.
    pub const fn is_removed(&self) -> bool {
        self.removed.is_some()
    }

    /// Whether a commit of ours waits for the slot that is on at this epoch's end.
    pub fn own_waits(&self, epoch: EpochTag, group: &impl Group) -> bool {
        let own = self.known.get(&epoch).and_then(|known| known.own);
        let (_, candidates) = self.candidates(epoch, group);
        own.is_some_and(|own| candidates.contains(&own))
    }

    /// Commits that may be proposed for an unsettled epoch's end and are something: what is void is noted as that.
    pub fn proposable(&mut self, epoch: EpochTag, group: &mut impl Group) -> Option<EntryId> {
        let (_, candidates) = self.candidates(epoch, group);
        candidates.into_iter().find(|entry| {
            let look = self.look(epoch, *entry, group);
            matches!(look, Some(Look::Fits | Look::Removes))
        })
    }

    /// Goes where the evidence leads: back, where another entry wins than was merged, and then on as far as it goes.
    pub fn follow(&mut self, group: &mut impl Group) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let told = self.lost;
        if !self.broken {
            self.lost = None;
            if self.go_back(group, &mut outcomes) {
                // Each turn merges a commit or finds one void; both are bounded by what is here.
                while self.go_on(group, &mut outcomes) {}
                self.settle(group, &mut outcomes);
            }
        }
        if let Some((epoch, entry)) = self.lost.filter(|lost| told != Some(*lost)) {
            outcomes.push(Outcome::Rejoin(epoch, entry));
        }
        outcomes
    }

    /// `ORDER-07`: at the oldest slot where another entry wins, the group goes back. `false` if it cannot.
    fn go_back(&mut self, group: &mut impl Group, outcomes: &mut Vec<Outcome>) -> bool {
        if let Some((epoch, entry)) = self.past.iter().find_map(Past::overturned) {
            self.lost = Some((epoch, entry));
            return false;
        }
        let path: Vec<Unsettled> = self.path.iter().cloned().collect();
        let Some(at) = path
            .iter()
            .position(|one| self.is_wrong(one, group, outcomes))
        else {
            return true;
        };
        let Unsettled { epoch, holders, .. } = &path[at];
        if !group.back_to(*epoch) {
            if let Verdict::Wins(entry, _) = self.verdict(*epoch, holders) {
                self.lost = Some((*epoch, entry));
            }
            return false;
        }
        self.path.truncate(at);
        for one in &path[at..] {
            self.fallen.push_back(one.next);
        }
        while self.fallen.len() > FALLEN_MAX
            && let Some(oldest) = self.fallen.pop_front()
        {
            group.forget(oldest);
        }
        outcomes.push(Outcome::Overturned {
            epoch: *epoch,
            fallen: path[at..].iter().map(|one| (one.entry, one.next)).collect(),
        });
        true
    }

    /// Whether another entry wins than was merged. It is looked at first: what is void wins nothing.
    fn is_wrong(
        &mut self,
        one: &Unsettled,
        group: &mut impl Group,
        outcomes: &mut Vec<Outcome>,
    ) -> bool {
        // Each turn finds one void.
        loop {
            return match self.verdict(one.epoch, &one.holders) {
                Verdict::Wins(entry, _) if entry == one.entry => false,
                Verdict::Wins(entry, _) => match self.look(one.epoch, entry, group) {
                    Some(Look::Void) => continue,
                    _ => true,
                },
                // It goes back once the commit is here.
                Verdict::Missing(entry) => {
                    outcomes.push(Outcome::Fetch(one.epoch, entry));
                    false
                }
                // Its attempt was settled on something void, and nothing waits in the next one yet.
                Verdict::Open => self.attempt(one) != one.attempt,
            };
        }
    }

    /// One commit on from the tip. `false` when there is no more to do.
    fn go_on(&mut self, group: &mut impl Group, outcomes: &mut Vec<Outcome>) -> bool {
        let (epoch, holders) = (group.epoch(), group.holders());
        let (entry, standing) = match self.verdict(epoch, &holders) {
            Verdict::Wins(entry, standing) => (entry, standing),
            Verdict::Open => return false,
            Verdict::Missing(entry) => {
                outcomes.push(Outcome::Fetch(epoch, entry));
                return false;
            }
        };
        let settled = standing == Standing::Settled;
        // What is settled and stands on nothing unsettled needs no way back.
        let certain = settled && self.path.is_empty();
        let may = self.is_provisional(epoch) && self.path.len() < PROVISIONAL_MAX;
        if !settled && !may {
            return false;
        }
        match self.look(epoch, entry, group) {
            Some(Look::Void) => return true,
            Some(Look::Mine) => self.lost = Some((epoch, entry)),
            Some(Look::Removes) if certain => self.take_out(epoch, entry, outcomes),
            Some(Look::Fits) => {
                return self.merge(
                    (epoch, holders),
                    (entry, settled),
                    !certain,
                    group,
                    outcomes,
                );
            }
            Some(Look::Removes) | None => {}
        }
        false
    }

    fn merge(
        &mut self,
        (epoch, holders): (EpochTag, Holders),
        (entry, settled): (EntryId, bool),
        with_copy: bool,
        group: &mut impl Group,
        outcomes: &mut Vec<Outcome>,
    ) -> bool {
        let Some(known) = self.known.get(&epoch) else {
            return false;
        };
        let (attempt, Some(commit)) = (known.attempt(&holders), known.commits.get(&entry)) else {
            return false;
        };
        let next = commit.next;
        if with_copy {
            group.keep();
        }
        if !group.merge(commit) {
            if with_copy {
                group.forget(epoch);
            }
            (self.lost, self.broken) = (Some((epoch, entry)), true);
            return false;
        }
        self.fallen.retain(|fallen| *fallen != next);
        self.removed = None;
        outcomes.push(Outcome::Merged {
            epoch,
            entry,
            settled,
        });
        self.path.push_back(Unsettled {
            epoch,
            attempt,
            holders,
            entry,
            next,
        });
        true
    }

    /// `ORDER-08`: what a commit of an epoch of ours is; none if it is not here, or there is no copy to look at it. What is void is noted.
    fn look(&mut self, epoch: EpochTag, entry: EntryId, group: &mut impl Group) -> Option<Look> {
        let holders = self.holders_of(epoch, group)?;
        let known = self.known.get_mut(&epoch)?;
        let attempt = known.attempt(&holders);
        let commit = known.commits.get(&entry)?;
        let look = match commit.slot.attempt == attempt {
            true => group.look(commit)?,
            false => Look::Void,
        };
        if look == Look::Void {
            known.void.insert(entry);
        }
        Some(look)
    }

    fn take_out(&mut self, epoch: EpochTag, entry: EntryId, outcomes: &mut Vec<Outcome>) {
        let removed = Some((epoch, entry));
        if self.removed != removed {
            self.removed = removed;
            outcomes.push(Outcome::Removed(epoch, entry));
        }
    }

    /// The beginning of the path, as far as it is settled, becomes past; so does what is too long ago to go back to.
    fn settle(&mut self, group: &mut impl Group, outcomes: &mut Vec<Outcome>) {
        while let Some(first) = self.path.front() {
            let wins = self.verdict(first.epoch, &first.holders);
            let settled = wins == Verdict::Wins(first.entry, Standing::Settled);
            if !settled && self.path.len() <= PROVISIONAL_MAX {
                return;
            }
            let Some(step) = self.path.pop_front() else {
                return;
            };
            group.forget(step.epoch);
            let (epoch, entry) = (step.epoch, step.entry);
            let told = Outcome::Merged {
                epoch,
                entry,
                settled: true,
            };
            if settled && !outcomes.contains(&told) {
                outcomes.push(Outcome::Settled { epoch, entry });
            }
            self.put_by(step);
        }
    }

    fn attempt(&self, step: &Unsettled) -> u16 {
        let known = self.known.get(&step.epoch);
        known.map_or(0, |known| known.attempt(&step.holders))
    }

    fn put_by(&mut self, step: Unsettled) {
        let Knowledge { evidence, void, .. } = self.known.remove(&step.epoch).unwrap_or_default();
        self.past.push_back(Past {
            step,
            evidence,
            void,
        });
        if self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
    }

    /// Let in again by a member whose chain this is: we are where they are, and know what they know. Only the way back is not ours: where
    /// another entry wins on their path, we have to be let in once more.
    pub fn rejoined(&mut self, theirs: Self, group: &mut impl Group) {
        let copies = self.path.iter().map(|one| one.epoch);
        for epoch in copies.chain(self.fallen.iter().copied()) {
            group.forget(epoch);
        }
        *self = Self {
            fallen: VecDeque::new(),
            lost: None,
            broken: false,
            removed: None,
            ..theirs
        };
    }

    fn verdict(&self, epoch: EpochTag, holders: &Holders) -> Verdict {
        let Some(known) = self.known.get(&epoch) else {
            return Verdict::Open;
        };
        let attempt = known.attempt(holders);
        let nothing = Evidence::default();
        let evidence = known.evidence.get(&attempt).unwrap_or(&nothing);
        let here = known.open(attempt);
        match evidence.winner(holders, here.into_iter()) {
            None => Verdict::Open,
            Some((entry, _)) if !known.commits.contains_key(&entry) => Verdict::Missing(entry),
            Some((entry, standing)) => Verdict::Wins(entry, standing),
        }
    }

    fn evidence(&mut self, slot: Slot, group: &impl Group) -> Option<(&mut Evidence, Holders)> {
        let holders = self.holders_of(slot.epoch, group)?;
        if let Some(past) = self
            .past
            .iter_mut()
            .find(|past| past.step.epoch == slot.epoch)
        {
            let begun = slot.attempt <= past.step.attempt;
            return begun.then(|| (past.evidence.entry(slot.attempt).or_default(), holders));
        }
        let known = self.known.entry(slot.epoch).or_default();
        // A statement about an attempt that has not begun comes again.
        let begun = slot.attempt <= known.attempt(&holders);
        begun.then(|| (known.evidence.entry(slot.attempt).or_default(), holders))
    }

    fn is_ours(&self, epoch: EpochTag, tip: EpochTag) -> bool {
        epoch == tip || self.path.iter().any(|one| one.epoch == epoch)
    }

    fn is_past(&self, epoch: EpochTag) -> bool {
        self.past(epoch).is_some()
    }

    fn ahead(&self, tip: EpochTag) -> usize {
        let ahead = self
            .known
            .keys()
            .filter(|epoch| !self.is_ours(**epoch, tip));
        ahead.count()
    }
}

impl Past {
    /// The epoch that followed.
    pub const fn next(&self) -> EpochTag {
        self.step.next
    }

    /// What settled it, if it is settled.
    pub fn certificate(&self) -> Option<&Certificate> {
        let mut all = self.evidence.get(&self.step.attempt)?.certificates();
        all.find(|certificate| certificate.entry() == self.step.entry)
    }

    /// What should have ended it, if that is something else than did, in the attempt that was on or in one before. Nobody goes back that
    /// far for what is not settled: anybody can make a commit with a lower id.
    fn overturned(&self) -> Option<(EpochTag, EntryId)> {
        for (attempt, evidence) in &self.evidence {
            let winner = evidence.winner(&self.step.holders, std::iter::empty());
            let Some((entry, _)) = winner else {
                continue;
            };
            let is_right = match *attempt < self.step.attempt {
                true => self.void.contains(&entry),
                false => entry == self.step.entry,
            };
            if !is_right {
                return Some((self.step.epoch, entry));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
