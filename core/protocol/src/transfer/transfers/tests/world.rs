//! Alice, Bob and a network that loses, power that fails, people who change their minds: in the end both agree.

use std::collections::{BTreeSet, VecDeque};

use super::*;

proptest! {
    /// Two machines, any order of what people, networks and power cuts do: in the end both agree.
    #[test]
    fn in_the_end_both_agree(acts in prop::collection::vec((0u8..10, 1u8..4), 0..120)) {
        let mut world = World::default();
        for (act, n) in acts {
            world.act(act, n);
        }
        world.heal();
        for n in 1..4 {
            world.check(n)?;
        }
    }
}

/// Alice, Bob and what is between them.
#[derive(Default)]
struct World {
    alice: Actor,
    bob: Actor,
    link: Option<LinkId>,
    links: LinkId,
    wire: VecDeque<(bool, TransferTransmit)>,
    offered: BTreeSet<u8>,
}

impl World {
    fn act(&mut self, act: u8, n: u8) {
        match act {
            0 => {
                if self.offered.insert(n) {
                    self.alice.offers(n);
                }
            }
            1 => drop(self.bob.command(TransferCommand::Accept(id(n)))),
            2 => drop(self.bob.command(TransferCommand::Cancel(id(n)))),
            3 => drop(self.alice.command(TransferCommand::Cancel(id(n)))),
            4 => self.connect(),
            5 => self.cut(),
            6 => {
                self.cut();
                self.alice.restart();
            }
            7 => {
                self.cut();
                self.bob.restart();
            }
            8 => self.fetch(n),
            _ => self.deliver(usize::from(n)),
        }
        self.collect();
    }

    fn connect(&mut self) {
        if self.link.is_none() {
            self.links += 1;
            self.link = Some(self.links);
            self.alice.up(self.links);
            self.bob.up(self.links);
        }
    }

    fn cut(&mut self) {
        self.wire.clear();
        let Some(link) = self.link.take() else { return };
        self.alice.down(link);
        self.bob.down(link);
        for n in 1..4 {
            // A file gets its name without a link.
            if !self.is_finishing(n) {
                self.bob
                    .machine
                    .handle_fetched(id(n), link, FetchEnd::Lost, NOW);
                self.bob.pump();
            }
        }
    }

    fn is_finishing(&self, n: u8) -> bool {
        let open = self.bob.machine.open.get(&id(n));
        open.is_some_and(|open| open.finishing)
    }

    /// What a fetch of Bob's that runs, if it does, finds at Alice; one that is complete gets its name.
    fn fetch(&mut self, n: u8) {
        if self.is_finishing(n) {
            self.bob
                .machine
                .handle_fetched(id(n), self.links, FetchEnd::Done, NOW);
            self.bob.pump();
            assert_eq!(self.bob.state(n), State::Done, "nothing ended it meanwhile");
            return;
        }
        let Some(link) = self.link else { return };
        let fetching = self
            .bob
            .machine
            .open
            .get(&id(n))
            .is_some_and(|open| open.fetching);
        if !fetching {
            return;
        }
        let pull = Pull {
            id: id(n),
            start: 0,
            end: 7,
        };
        let end = match self.alice.pull(pull) {
            PullAnswer::Bytes => {
                self.alice.machine.handle_served(NOW);
                self.alice.pump();
                FetchEnd::Complete
            }
            PullAnswer::Gone => FetchEnd::Gone,
            PullAnswer::Changed => FetchEnd::Changed,
        };
        self.bob.machine.handle_fetched(id(n), link, end, NOW);
        self.bob.pump();
    }

    fn collect(&mut self) {
        for (from_alice, actor) in [(true, &mut self.alice), (false, &mut self.bob)] {
            for transmit in actor.sent.drain(..) {
                if Some(transmit.link) == self.link {
                    self.wire.push_back((from_alice, transmit));
                }
            }
        }
    }

    fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            let Some((from_alice, transmit)) = self.wire.pop_front() else {
                return;
            };
            let to = if from_alice {
                &mut self.bob
            } else {
                &mut self.alice
            };
            to.frame(transmit.link, transmit.frame);
            self.collect();
        }
    }

    /// Both there, connected, nothing lost, everything fetched.
    fn heal(&mut self) {
        self.cut();
        self.connect();
        for _ in 0..20 {
            self.collect();
            self.deliver(1_000);
            for n in 1..4 {
                self.fetch(n);
            }
        }
        self.collect();
        assert!(self.wire.is_empty(), "they talk without end");
    }

    fn check(&self, n: u8) -> Result<(), TestCaseError> {
        let Some((alice, _)) = self.alice.stored.get(&id(n)) else {
            return Ok(());
        };
        let Some((bob, _)) = self.bob.stored.get(&id(n)) else {
            // Withdrawn before he heard of it.
            prop_assert_eq!(alice.state, State::Cancelled);
            return Ok(());
        };
        let agreed = match (alice.state, bob.state) {
            (State::Offered, State::Offered) => true,
            // It was complete before the withdrawal arrived.
            (State::Cancelled, State::Done) => true,
            (State::Offered | State::Accepted, _) | (_, State::Offered | State::Accepted) => false,
            (alice, bob) => alice == bob,
        };
        prop_assert!(agreed, "{:?} and {:?}", alice.state, bob.state);
        Ok(())
    }
}
