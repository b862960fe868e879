//! Alice offers, Bob receives: every command and frame in every state, hostile frames, lost links, restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use starling_wire::file::{FileFrame, Offer, Pull, PullAnswer, ReceiverState};
use starling_wire::ids::TransferId;

use super::*;

mod world;

const NOW: Time = Duration::from_secs(100);

fn id(n: u8) -> TransferId {
    TransferId([n; 16])
}

fn offer(n: u8) -> Offer {
    Offer {
        id: id(n),
        name: format!("{n}.txt"),
        size: 100_000,
        root: [n; 32],
        sent_at: 1,
    }
}

fn state(n: u8, state: ReceiverState) -> FileFrame {
    FileFrame::State { id: id(n), state }
}

/// One side with its store. `pump` is the driver: it commits, then collects what is sent and what is to be done.
#[derive(Default)]
struct Actor {
    machine: Transfers,
    stored: BTreeMap<TransferId, (Entry, Option<Reason>)>,
    order: Vec<TransferId>,
    sent: Vec<TransferTransmit>,
    events: Vec<TransferEvent>,
}

impl Actor {
    fn pump(&mut self) {
        while let Some(persist) = self.machine.poll_persist() {
            match persist {
                Persist::Offer(offer) => self.insert(offer, false),
                Persist::Step(id, step) => {
                    let (entry, reason) = self.stored.get_mut(&id).expect("stored before");
                    assert!(entry.state.is_open(), "one that is over never changes");
                    assert!(step.state > entry.state, "only forwards: {step:?}");
                    entry.state = step.state;
                    *reason = step.reason;
                }
            }
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            self.sent.push(transmit);
        }
        while let Some(event) = self.machine.poll_event() {
            self.events.push(event);
        }
    }

    fn insert(&mut self, offer: Offer, outgoing: bool) {
        let entry = Entry {
            offer: offer.clone(),
            outgoing,
            state: State::Offered,
        };
        assert!(self.stored.insert(offer.id, (entry, None)).is_none());
        self.order.push(offer.id);
    }

    fn offers(&mut self, n: u8) {
        self.insert(offer(n), true);
        let command = TransferCommand::Offer(offer(n));
        self.machine.handle_command(command, NOW).unwrap();
        self.pump();
    }

    fn command(&mut self, command: TransferCommand) -> Result<(), TransferRefused> {
        let result = self.machine.handle_command(command, NOW);
        self.pump();
        result
    }

    fn frame(&mut self, link: LinkId, frame: FileFrame) {
        let past = self.machine.asks_for(&frame);
        let past = past.and_then(|id| self.stored.get(&id)).map(|row| &row.0);
        self.machine.handle_frame(link, frame, past, NOW);
        self.pump();
    }

    fn pull(&mut self, pull: Pull) -> PullAnswer {
        let past = self.stored.get(&pull.id).map(|row| &row.0);
        let answer = self.machine.handle_pull(&pull, past, NOW);
        self.pump();
        answer
    }

    fn up(&mut self, link: LinkId) {
        self.machine.handle_link_up(link, NOW);
        self.pump();
    }

    fn down(&mut self, link: LinkId) {
        self.machine.handle_link_down(link, LinkEnd::Lost, NOW);
        self.pump();
    }

    fn restart(&mut self) {
        let entries = self.order.iter().map(|id| self.stored[id].0.clone());
        self.machine = Transfers::new(entries.collect::<Vec<_>>());
        self.sent.clear();
        self.events.clear();
    }

    fn frames(&mut self) -> Vec<FileFrame> {
        self.sent.drain(..).map(|transmit| transmit.frame).collect()
    }

    fn events(&mut self) -> Vec<TransferEvent> {
        std::mem::take(&mut self.events)
    }

    fn state(&self, n: u8) -> State {
        self.stored[&id(n)].0.state
    }

    fn reason(&self, n: u8) -> Option<Reason> {
        self.stored[&id(n)].1.clone()
    }
}

impl PartialOrd for State {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let rank = |state: &Self| match state {
            Self::Offered => 0,
            Self::Accepted => 1,
            Self::Done | Self::Cancelled | Self::Failed => 2,
        };
        Some(rank(self).cmp(&rank(other)))
    }
}

/// Bob with Alice's offer, on link 1.
fn asked() -> Actor {
    let mut bob = Actor::default();
    bob.up(1);
    bob.frame(1, FileFrame::Offer(offer(1)));
    assert_eq!(bob.frames(), [state(1, ReceiverState::Offered)]);
    assert_eq!(bob.events(), [TransferEvent::Changed(id(1))]);
    bob
}

fn accepted() -> Actor {
    let mut bob = asked();
    bob.command(TransferCommand::Accept(id(1))).unwrap();
    assert_eq!(bob.frames(), [state(1, ReceiverState::Accepted)]);
    assert_eq!(
        bob.events(),
        [
            TransferEvent::Changed(id(1)),
            TransferEvent::Fetch(id(1), 1)
        ]
    );
    bob
}

#[test]
fn an_offer_is_said_at_once_or_on_the_next_link() {
    let mut alice = Actor::default();
    alice.offers(1);
    assert_eq!(
        alice.events(),
        [TransferEvent::Changed(id(1)), TransferEvent::Dial]
    );
    alice.up(1);
    assert_eq!(alice.frames(), [FileFrame::Offer(offer(1))]);
    alice.offers(2);
    assert_eq!(alice.frames(), [FileFrame::Offer(offer(2))]);
    alice.restart();
    alice.up(2);
    assert_eq!(
        alice.frames(),
        [FileFrame::Offer(offer(1)), FileFrame::Offer(offer(2))]
    );
}

#[test]
fn nothing_is_fetched_before_the_person_said_yes() {
    let mut bob = asked();
    for word in [ReceiverState::Accepted, ReceiverState::Done] {
        bob.frame(1, state(1, word));
    }
    bob.frame(1, FileFrame::Offer(offer(1)));
    bob.up(2);
    assert!(
        !bob.events()
            .iter()
            .any(|event| matches!(event, TransferEvent::Fetch(..)))
    );
    assert_eq!(bob.state(1), State::Offered);
}

#[test]
fn every_command_in_every_state() {
    let outcomes = |bob: &mut Actor| {
        let accept = bob.command(TransferCommand::Accept(id(1)));
        (accept, bob.command(TransferCommand::Cancel(id(1))))
    };
    assert_eq!(outcomes(&mut asked()), (Ok(()), Ok(())));
    assert_eq!(
        outcomes(&mut accepted()),
        (Err(TransferRefused::NotAsking), Ok(()))
    );
    let mut done = accepted();
    done.machine.handle_fetched(id(1), 1, FetchEnd::Done, NOW);
    done.pump();
    let over = (Err(TransferRefused::NotAsking), Err(TransferRefused::Over));
    assert_eq!(outcomes(&mut done), over);
    assert_eq!(outcomes(&mut Actor::default()), over);
    let mut alice = Actor::default();
    alice.offers(1);
    assert_eq!(
        outcomes(&mut alice),
        (Err(TransferRefused::NotAsking), Ok(())),
        "nobody accepts his own offer"
    );
}

#[test]
fn who_ended_it_is_remembered() {
    let mut bob = asked();
    bob.command(TransferCommand::Cancel(id(1))).unwrap();
    assert_eq!(bob.reason(1), Some(Reason::DeclinedByUs));
    assert_eq!(bob.frames(), [state(1, ReceiverState::Declined)]);
    let mut bob = accepted();
    bob.command(TransferCommand::Cancel(id(1))).unwrap();
    assert_eq!(bob.reason(1), Some(Reason::CancelledByUs));
    assert_eq!(
        bob.events(),
        [
            TransferEvent::Stop(id(1)),
            TransferEvent::Tidy(id(1)),
            TransferEvent::Changed(id(1))
        ]
    );
    let mut bob = accepted();
    bob.frame(1, FileFrame::Withdraw { id: id(1) });
    assert_eq!(bob.reason(1), Some(Reason::CancelledByThem));
    assert_eq!(bob.events()[0], TransferEvent::Stop(id(1)));
    let mut alice = Actor::default();
    alice.up(1);
    alice.offers(1);
    alice.offers(2);
    alice.frame(1, state(1, ReceiverState::Declined));
    alice.frame(1, state(2, ReceiverState::Accepted));
    alice.frame(1, state(2, ReceiverState::Declined));
    assert_eq!(alice.reason(1), Some(Reason::DeclinedByThem));
    assert_eq!(alice.reason(2), Some(Reason::CancelledByThem));
}

#[test]
fn how_a_fetch_ends() {
    let cases = [
        (FetchEnd::Done, State::Done, Some(ReceiverState::Done)),
        (
            FetchEnd::Gone,
            State::Cancelled,
            Some(ReceiverState::Declined),
        ),
        (
            FetchEnd::Changed,
            State::Failed,
            Some(ReceiverState::Failed),
        ),
        (
            FetchEnd::Corrupt,
            State::Failed,
            Some(ReceiverState::Failed),
        ),
        (
            FetchEnd::Storage("no space left".into()),
            State::Failed,
            Some(ReceiverState::Failed),
        ),
        (FetchEnd::Lost, State::Accepted, None),
    ];
    for (end, expected, word) in cases {
        let mut bob = accepted();
        bob.machine.handle_fetched(id(1), 1, end.clone(), NOW);
        bob.pump();
        assert_eq!(bob.state(1), expected, "{end:?}");
        assert_eq!(
            bob.frames(),
            word.map(|word| state(1, word))
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert_eq!(
            bob.events().contains(&TransferEvent::Close(1)),
            end == FetchEnd::Lost
        );
        // Once more, late: nothing.
        bob.machine.handle_fetched(id(1), 1, FetchEnd::Done, NOW);
        bob.pump();
        assert_eq!((bob.state(1), bob.frames()), (expected, vec![]));
    }
}

#[test]
fn file_11_what_is_complete_cannot_be_cancelled_any_more() {
    let mut bob = accepted();
    bob.events();
    bob.machine
        .handle_fetched(id(1), 1, FetchEnd::Complete, NOW);
    bob.pump();
    assert_eq!(bob.events(), [TransferEvent::Finish(id(1), 1)]);
    let refused = bob.command(TransferCommand::Cancel(id(1)));
    assert_eq!(refused, Err(TransferRefused::Complete));
    bob.frame(1, FileFrame::Withdraw { id: id(1) });
    assert_eq!(bob.state(1), State::Accepted, "it is theirs no more");
    assert_eq!(bob.events(), [], "and is not fetched a second time");
    bob.machine.handle_fetched(id(1), 1, FetchEnd::Done, NOW);
    bob.pump();
    assert_eq!(bob.state(1), State::Done);
    assert_eq!(bob.frames(), [state(1, ReceiverState::Done)]);
}

#[test]
fn file_10_offers_withdrawn_in_a_loop_count_as_open_for_a_minute() {
    let mut bob = Actor::default();
    bob.up(1);
    let count = receiver::OFFERS_MAX as u8;
    for n in 1..=count {
        bob.frame(1, FileFrame::Offer(offer(n)));
        bob.frame(1, FileFrame::Withdraw { id: id(n) });
    }
    bob.frames();
    bob.frame(1, FileFrame::Offer(offer(count + 1)));
    assert_eq!(bob.frames(), [state(count + 1, ReceiverState::Declined)]);
    assert_eq!(bob.stored.len(), usize::from(count), "nothing was stored");
    bob.down(1);
    assert!(!bob.machine.is_idle(), "a new connection changes nothing");
    let deadline = bob.machine.poll_timeout().expect("it is remembered");
    let due = Deadline::new(NOW + WITHDRAWN_COUNTS, TransferReason::Withdrawn);
    assert_eq!(deadline, due);
    bob.machine.handle_timeout(due.at);
    bob.pump();
    assert!(bob.machine.is_idle());
    bob.up(2);
    bob.frame(2, FileFrame::Offer(offer(count + 1)));
    assert_eq!(bob.state(count + 1), State::Offered);
}

#[test]
fn a_pull_that_overtakes_the_yes_is_served() {
    let mut alice = Actor::default();
    alice.up(1);
    alice.offers(1);
    let pull = Pull {
        id: id(1),
        start: 0,
        end: 7,
    };
    assert_eq!(alice.pull(pull), PullAnswer::Bytes);
    assert_eq!(alice.state(1), State::Accepted);
    assert_eq!(
        alice.pull(Pull { id: id(2), ..pull }),
        PullAnswer::Gone,
        "never offered"
    );
    alice
        .machine
        .handle_source_lost(id(1), "it changed".into(), NOW);
    alice.pump();
    assert_eq!(alice.pull(pull), PullAnswer::Changed);
    assert_eq!(
        alice.reason(1),
        Some(Reason::SourceLost("it changed".into()))
    );
}

#[test]
fn a_cancellation_that_could_not_be_said_is_said_later() {
    let mut bob = accepted();
    bob.down(1);
    bob.command(TransferCommand::Cancel(id(1))).unwrap();
    assert!(!bob.machine.is_idle());
    bob.events();
    bob.up(2);
    assert_eq!(bob.frames(), [state(1, ReceiverState::Declined)]);
    // The sender that never heard it hears it when the offer comes again, also after a restart.
    bob.restart();
    bob.up(3);
    bob.frame(3, FileFrame::Offer(offer(1)));
    assert_eq!(bob.frames(), [state(1, ReceiverState::Declined)]);
}

#[test]
fn a_withdrawal_never_heard_is_heard_when_the_receiver_returns() {
    let mut alice = Actor::default();
    alice.offers(1);
    alice.command(TransferCommand::Cancel(id(1))).unwrap();
    alice.restart();
    let mut bob = asked();
    bob.restart();
    assert!(
        bob.machine.wants_link(),
        "an open offer is asked about once"
    );
    bob.up(2);
    alice.up(2);
    for frame in bob.frames() {
        alice.frame(2, frame);
    }
    for frame in alice.frames() {
        bob.frame(2, frame);
    }
    assert_eq!(bob.reason(1), Some(Reason::CancelledByThem));
}

#[test]
fn a_lost_link_is_sought_with_growing_waits() {
    let mut bob = accepted();
    bob.down(1);
    bob.machine.handle_fetched(id(1), 1, FetchEnd::Lost, NOW);
    bob.pump();
    bob.events();
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..8 {
        let deadline = bob.machine.poll_timeout().expect("a redial");
        assert_eq!(deadline.reason, TransferReason::Redial);
        waits.push((deadline.at - now).as_secs());
        now = deadline.at;
        bob.machine.handle_timeout(now);
        bob.pump();
        assert_eq!(bob.events(), [TransferEvent::Dial]);
        bob.machine.handle_dial_failed(now);
        bob.pump();
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    bob.machine.handle_reach(Reach::Offline, now);
    bob.pump();
    assert_eq!(bob.machine.poll_timeout(), None);
    assert!(bob.machine.is_idle(), "it comes back with the contact");
    bob.machine.handle_reach(Reach::Online, now);
    bob.pump();
    assert_eq!(bob.events(), [TransferEvent::Dial]);
}

#[test]
fn an_unanswered_offer_does_not_hold_a_connection() {
    let mut alice = Actor::default();
    alice.up(1);
    alice.offers(1);
    alice.frame(1, state(1, ReceiverState::Offered));
    alice.events();
    let deadline = alice.machine.poll_timeout().expect("silence");
    assert_eq!(
        deadline,
        Deadline::new(NOW + SILENCE, TransferReason::Silence)
    );
    alice.machine.handle_timeout(deadline.at);
    alice.pump();
    assert_eq!(alice.events(), [TransferEvent::Close(1)]);
    assert!(alice.machine.is_idle());
    assert_eq!(alice.machine.poll_timeout(), None);
}

#[test]
fn a_serving_or_fetching_link_is_never_silent() {
    let mut bob = accepted();
    assert_eq!(bob.machine.poll_timeout(), None);
    bob.machine.handle_timeout(NOW + SILENCE * 2);
    bob.pump();
    assert_eq!(bob.events(), []);
    let mut alice = Actor::default();
    alice.up(1);
    alice.offers(1);
    let pull = Pull {
        id: id(1),
        start: 0,
        end: 1,
    };
    assert_eq!(alice.pull(pull), PullAnswer::Bytes);
    assert_eq!(alice.machine.poll_timeout(), None);
    alice.machine.handle_served(NOW);
    alice.pump();
    assert!(alice.machine.poll_timeout().is_some());
}

#[test]
fn the_oldest_link_goes_when_there_are_too_many() {
    let mut bob = Actor::default();
    for link in 1..=5 {
        bob.up(link);
    }
    assert_eq!(
        bob.events(),
        [
            TransferEvent::Refused(Refusal::Links),
            TransferEvent::Close(1)
        ]
    );
    bob.frame(1, FileFrame::Offer(offer(1)));
    assert_eq!(bob.frames(), [], "it is closed");
}

#[test]
fn files_wait_their_turn_oldest_first() {
    let mut bob = Actor::default();
    bob.up(1);
    for n in 1..=5 {
        bob.frame(1, FileFrame::Offer(offer(n)));
        bob.command(TransferCommand::Accept(id(n))).unwrap();
    }
    let fetches = |bob: &mut Actor| -> Vec<TransferId> {
        let fetch = |event| match event {
            TransferEvent::Fetch(id, _) => Some(id),
            _ => None,
        };
        bob.events().into_iter().filter_map(fetch).collect()
    };
    assert_eq!(fetches(&mut bob), [id(1), id(2), id(3)]);
    bob.machine.handle_fetched(id(2), 1, FetchEnd::Done, NOW);
    bob.pump();
    assert_eq!(fetches(&mut bob), [id(4)]);
}

#[test]
fn both_sides_may_dial_at_once() {
    let mut bob = accepted();
    bob.up(2);
    assert_eq!(bob.frames(), [state(1, ReceiverState::Accepted)]);
    assert_eq!(bob.events(), [], "it is being fetched");
    bob.down(2);
    assert_eq!(
        bob.frames(),
        [state(1, ReceiverState::Accepted)],
        "said again on the link that is left"
    );
}

fn any_frame() -> impl Strategy<Value = FileFrame> {
    let words = [
        ReceiverState::Offered,
        ReceiverState::Accepted,
        ReceiverState::Declined,
        ReceiverState::Done,
        ReceiverState::Failed,
    ];
    let transfer = 1u8..4;
    prop_oneof![
        (transfer.clone(), 0u8..2, 0u64..3).prop_map(|(n, root, size)| {
            FileFrame::Offer(Offer {
                root: [n + root; 32],
                size: 100_000 + size / 2,
                ..offer(n)
            })
        }),
        (transfer.clone(), prop::sample::select(words.to_vec()))
            .prop_map(|(n, word)| state(n, word)),
        transfer.prop_map(|n| FileFrame::Withdraw { id: id(n) }),
    ]
}

proptest! {
    /// Somebody hostile says anything at any time. `Actor` checks that what is over stays so.
    #[test]
    fn no_frames_lead_astray(
        frames in prop::collection::vec((1u64..3, any_frame()), 0..80),
        ours in any::<bool>(),
    ) {
        let mut actor = Actor::default();
        actor.up(1);
        actor.up(2);
        if ours {
            actor.offers(1);
        }
        for (link, frame) in frames {
            actor.sent.clear();
            actor.frame(link, frame);
            prop_assert!(actor.sent.len() <= 1, "one frame never makes two");
            let pull = Pull { id: id(2), start: 0, end: 1 };
            prop_assert_ne!(actor.machine.handle_pull(&pull, None, NOW), PullAnswer::Bytes);
            actor.pump();
        }
        let fetched = actor.events.iter().any(|event| matches!(event, TransferEvent::Fetch(..)));
        prop_assert!(!fetched, "nobody said yes");
    }
}
