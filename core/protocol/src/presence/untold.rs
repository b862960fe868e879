//! The supernode's side: which watchers have to hear how somebody is, and of whom. What was handed over to be said is kept until it
//! was heard; whoever could not be reached is owed it as long as a newer list stands.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use starling_wire::ids::{EndpointKey, SubscriptionId};
use starling_wire::limits::SIGHTINGS_MAX;
use starling_wire::supernode::SupernodeAddr;

use super::desk::Tell;

/// What became of telling a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What was handed over was heard.
    Heard,
    /// It was not, but a list that came meanwhile stands, whose owner is reached there.
    Missed(SupernodeAddr),
    /// It was not, and the watcher is forgotten.
    Forgotten,
}

/// The watchers who are to be told. As many as have lists, at most; each is told by one connection at a time.
#[derive(Debug, Default)]
pub struct Untold {
    watchers: BTreeMap<EndpointKey, Owed>,
    /// Who waits to be reached; whoever is being told stands above only.
    order: VecDeque<EndpointKey>,
}

#[derive(Debug)]
struct Owed {
    reply_to: SupernodeAddr,
    /// Of whom; nobody yet, if something was only announced.
    ids: BTreeSet<SubscriptionId>,
    /// Of whom something is being said at this moment.
    handed: BTreeSet<SubscriptionId>,
    is_told: bool,
    /// Whether more was announced after what is being said was handed over.
    more_announced: bool,
}

impl Owed {
    const fn new(reply_to: SupernodeAddr) -> Self {
        Self {
            reply_to,
            ids: BTreeSet::new(),
            handed: BTreeSet::new(),
            is_told: false,
            more_announced: false,
        }
    }
}

impl Untold {
    /// Somebody is to be told. A newer word of the same person replaces an older one: what is said is how things stand by then.
    pub fn handle_tell(&mut self, tell: Tell) {
        let owed = self.watchers.entry(tell.watcher).or_insert_with(|| {
            self.order.push_back(tell.watcher);
            Owed::new(tell.reply_to.clone())
        });
        owed.reply_to = tell.reply_to;
        owed.ids.insert(tell.id);
    }

    /// `PRESENCE-31`: something to say was announced. Whether the watcher is to be reached now, because nobody does yet. Whoever is being
    /// told something else is reached once more after that.
    pub fn handle_announced(&mut self, watcher: EndpointKey, reply_to: SupernodeAddr) -> bool {
        match self.watchers.entry(watcher) {
            Entry::Vacant(owed) => {
                owed.insert(Owed::new(reply_to)).is_told = true;
                true
            }
            Entry::Occupied(mut owed) => {
                let owed = owed.get_mut();
                owed.more_announced |= !owed.handed.is_empty();
                false
            }
        }
    }

    /// The next watcher to reach, and where; not named again before [`Self::handle_told`].
    pub fn poll_watcher(&mut self) -> Option<(EndpointKey, SupernodeAddr)> {
        let watcher = self.order.pop_front()?;
        let owed = self.watchers.get_mut(&watcher)?;
        owed.is_told = true;
        Some((watcher, owed.reply_to.clone()))
    }

    /// Whether a watcher is being told.
    pub fn is_told(&self, watcher: EndpointKey) -> bool {
        self.watchers.get(&watcher).is_some_and(|owed| owed.is_told)
    }

    /// The watcher is reached: of whom it is told, as much as fits one notice. Nothing, where there is nothing to say yet.
    pub fn hand_over(&mut self, watcher: EndpointKey) -> Vec<SubscriptionId> {
        let mut handed = Vec::new();
        let owed = self.watchers.get_mut(&watcher);
        let Some(owed) = owed.filter(|owed| owed.is_told && owed.handed.is_empty()) else {
            return handed;
        };
        while handed.len() < SIGHTINGS_MAX
            && let Some(id) = owed.ids.pop_first()
        {
            handed.push(id);
        }
        owed.handed.extend(&handed);
        handed
    }

    /// What was handed over came too late to be said.
    pub fn handle_late(&mut self, watcher: EndpointKey) {
        if let Some(owed) = self.watchers.get_mut(&watcher) {
            owed.ids.append(&mut owed.handed);
        }
    }

    /// `PRESENCE-32`: what was heard is not owed any more; what was not is, as long as a list stands that is newer than the attempt.
    pub fn handle_told(&mut self, watcher: EndpointKey, outcome: Outcome) {
        let owed = self.watchers.get_mut(&watcher);
        let Some(owed) = owed.filter(|owed| owed.is_told) else {
            return;
        };
        match outcome {
            Outcome::Heard => owed.handed.clear(),
            Outcome::Missed(reply_to) => {
                owed.reply_to = reply_to;
                owed.ids.append(&mut owed.handed);
            }
            Outcome::Forgotten => {
                owed.ids.clear();
                owed.more_announced = false;
            }
        }
        owed.is_told = false;
        let more = std::mem::take(&mut owed.more_announced);
        if owed.ids.is_empty() && !more {
            self.watchers.remove(&watcher);
        } else {
            self.order.push_back(watcher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: EndpointKey = EndpointKey([1; 32]);
    const CAROL: EndpointKey = EndpointKey([3; 32]);

    fn home(byte: u8) -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([byte; 32]),
            tcp: ([192, 0, 2, byte], 27474).into(),
            discovery_port: 0,
        }
    }

    fn id(n: u8) -> SubscriptionId {
        SubscriptionId([n; 16])
    }

    fn owing(ids: std::ops::Range<u8>) -> Untold {
        let mut untold = Untold::default();
        for n in ids {
            tell(&mut untold, ALICE, n);
        }
        untold
    }

    fn tell(untold: &mut Untold, watcher: EndpointKey, n: u8) {
        untold.handle_tell(Tell {
            watcher,
            reply_to: home(1),
            id: id(n),
        });
    }

    #[test]
    fn presence_32_what_was_handed_over_and_not_heard_is_owed_again() {
        let mut untold = owing(0..1);
        assert_eq!(untold.poll_watcher(), Some((ALICE, home(1))));
        assert_eq!(untold.hand_over(ALICE), [id(0)]);
        // The way fails; meanwhile she moved, and said so.
        untold.handle_told(ALICE, Outcome::Missed(home(2)));
        assert_eq!(untold.poll_watcher(), Some((ALICE, home(2))));
        assert_eq!(untold.hand_over(ALICE), [id(0)]);
        untold.handle_told(ALICE, Outcome::Heard);
        assert_eq!(untold.poll_watcher(), None);
        assert!(untold.watchers.is_empty());
    }

    #[test]
    fn presence_32_who_is_forgotten_is_owed_nothing() {
        let mut untold = owing(0..40);
        assert_eq!(untold.poll_watcher(), Some((ALICE, home(1))));
        assert_eq!(untold.hand_over(ALICE).len(), SIGHTINGS_MAX);
        untold.handle_told(ALICE, Outcome::Forgotten);
        assert!(untold.watchers.is_empty() && untold.order.is_empty());
        // A word that comes too late changes nothing.
        untold.handle_told(ALICE, Outcome::Missed(home(2)));
        assert_eq!(untold.hand_over(ALICE), []);
        assert!(untold.watchers.is_empty() && untold.order.is_empty());
    }

    #[test]
    fn presence_32_one_notice_at_a_time_and_all_is_said_once() {
        let mut untold = owing(0..20);
        tell(&mut untold, CAROL, 1);
        assert_eq!(untold.hand_over(ALICE), [], "nobody reached her");
        assert_eq!(untold.poll_watcher(), Some((ALICE, home(1))));
        assert_eq!(untold.hand_over(ALICE).len(), 16);
        assert_eq!(untold.hand_over(ALICE), [], "that is not heard yet");
        tell(&mut untold, ALICE, 3);
        assert_eq!(untold.poll_watcher(), Some((CAROL, home(1))));
        assert_eq!(untold.poll_watcher(), None);
        untold.handle_told(ALICE, Outcome::Heard);
        assert_eq!(untold.poll_watcher(), Some((ALICE, home(1))));
        let rest = [3, 16, 17, 18, 19].map(id);
        assert_eq!(untold.hand_over(ALICE), rest, "3 is news again");
    }

    #[test]
    fn presence_31_what_was_announced_is_handed_over_once_it_is_there() {
        let mut untold = Untold::default();
        assert!(untold.handle_announced(ALICE, home(1)));
        assert!(!untold.handle_announced(ALICE, home(1)), "she is reached");
        assert_eq!(untold.poll_watcher(), None);
        assert!(untold.is_told(ALICE) && !untold.is_told(CAROL));
        assert_eq!(untold.hand_over(ALICE), []);
        tell(&mut untold, ALICE, 7);
        assert_eq!(untold.poll_watcher(), None, "one connection at a time");
        assert_eq!(untold.hand_over(ALICE), [id(7)]);
        // Nobody waited for it any more.
        untold.handle_late(ALICE);
        untold.handle_told(ALICE, Outcome::Heard);
        assert_eq!(untold.poll_watcher(), Some((ALICE, home(1))));
        assert_eq!(untold.hand_over(ALICE), [id(7)]);
        untold.handle_told(ALICE, Outcome::Heard);
        assert!(untold.handle_announced(ALICE, home(1)), "a new time");
    }

    #[test]
    fn presence_31_what_is_announced_while_something_else_is_said_is_not_forgotten() {
        let mut untold = owing(0..1);
        untold.poll_watcher();
        assert_eq!(untold.hand_over(ALICE), [id(0)]);
        assert!(
            !untold.handle_announced(ALICE, home(1)),
            "one connection at a time"
        );
        untold.handle_told(ALICE, Outcome::Heard);
        assert_eq!(
            untold.poll_watcher(),
            Some((ALICE, home(1))),
            "reached for it now"
        );
        assert_eq!(untold.hand_over(ALICE), []);
        tell(&mut untold, ALICE, 7);
        assert_eq!(untold.hand_over(ALICE), [id(7)]);
        untold.handle_told(ALICE, Outcome::Heard);
        assert!(untold.watchers.is_empty() && untold.order.is_empty());
    }
}
