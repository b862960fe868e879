//! One device's side of a group, its keys real and its holders played by the test.

use std::time::Duration;

use starling_chat::group::ground::founded;
use starling_chat::group::outputs::{Event, Persist};
use starling_chat::group::{Conversation, Edit, Wish};
use starling_chat::mls::Suite;
use starling_chat::order::group::Commit;
use starling_chat::order::member::Word;
use starling_wire::group::Record;
use starling_wire::ids::{EndpointKey, EntryId, EpochTag};
use starling_wire::log::Kind;
use starling_wire::ordering::choice::Certificate;
use starling_wire::ordering::grounds::Grounds;
use starling_wire::ordering::statement::{Known, Promise, Vote};
use starling_wire::ordering::{Ballot, Slot};

use crate::mls::cast::{Device, GROUP, now_s};

const NOW: Duration = Duration::from_secs(1);

struct Alice {
    device: Device,
    conversation: Conversation,
}

impl Alice {
    fn new() -> Self {
        let mut device = Device::new(1, 1);
        let holders = (1..4).map(|number| EndpointKey([number; 32])).collect();
        let record = Record::group(device.member().account, String::new(), holders);
        let context = record.write().unwrap();
        device
            .client
            .create(GROUP, Suite::Classic, &context, now_s())
            .unwrap();
        let ground = founded(&mut device.client, GROUP).unwrap();
        let mut alice = Self {
            device,
            conversation: Conversation::new(ground, [7; 32]),
        };
        alice.drain();
        alice
    }

    /// What happened, and whether the order went to disk.
    fn drain(&mut self) -> Vec<Event> {
        while let Some(persist) = self.conversation.poll_persist() {
            assert!(!matches!(persist, Persist::Said { .. }));
        }
        while self.conversation.poll_transmit().is_some() {}
        std::iter::from_fn(|| self.conversation.poll_event()).collect()
    }

    fn wishes(&mut self, number: u64, topic: &str) -> Vec<Event> {
        let wish = Wish {
            edits: vec![Edit::Topic(topic.into())],
            ..Wish::default()
        };
        self.conversation
            .handle_wish(number, wish, &mut self.device.client, NOW);
        self.drain()
    }

    fn hears(&mut self, words: Vec<Word>) -> Vec<Event> {
        self.conversation
            .handle_words(None, words, &mut self.device.client, NOW);
        self.drain()
    }

    fn epoch(&self) -> EpochTag {
        self.conversation.ground().epoch()
    }

    /// Two of the three holders settle a commit.
    fn certificate(&mut self, slot: Slot, entry: EntryId) -> Word {
        let holders = self
            .conversation
            .holders_of(slot.epoch, &mut self.device.client);
        let holders = holders.unwrap();
        let ballot = Ballot {
            counter: 1,
            salt: [1; 8],
        };
        let two = holders.seats[..2].to_vec();
        let vote = |seat| {
            Known::in_a_model(Vote {
                seat,
                slot,
                ballot,
                entry,
            })
        };
        let promise = |seat| {
            Known::in_a_model(Promise {
                seat,
                slot,
                ballot,
                accepted: None,
            })
        };
        let votes = two.iter().copied().map(vote).collect();
        let promises = two.into_iter().map(promise).collect();
        Word::Certificate(Certificate::new(&holders, votes, Grounds::first(promises)).unwrap())
    }
}

fn garbage(slot: Slot) -> Commit {
    let next = EpochTag([9; 16]);
    let body = vec![1, 2, 3];
    Commit {
        id: starling_wire::log::entry_id(Kind::Commit { next }, slot, &body),
        slot,
        next,
        external: false,
        body,
    }
}

#[test]
fn order_08_a_change_goes_on_when_its_slot_was_settled_on_something_void() {
    let mut alice = Alice::new();
    let epoch = alice.epoch();
    assert_eq!(alice.wishes(1, "birds"), []);
    assert!(alice.conversation.is_changing());
    for attempt in 0..3 {
        let slot = Slot { epoch, attempt };
        let void = garbage(slot);
        let settled = alice.certificate(slot, void.id);
        let happened = alice.hears(vec![Word::Commit(void), settled]);
        assert_eq!(happened, [], "neither refused nor done");
        assert!(alice.conversation.is_changing(), "it is tried again");
    }
    assert_eq!(alice.epoch(), epoch);
}

#[test]
fn what_is_so_already_is_done_at_once() {
    let mut alice = Alice::new();
    assert_eq!(alice.wishes(1, ""), [Event::Done(1)]);
    assert!(!alice.conversation.is_changing());
}
