//! One machine: order of effects, bounds, waiting times.

use std::time::Duration;

use starling_chat::conversation::{LINKS_MAX, OVERDUE, RETRY_FIRST, RETRY_MAX, SILENCE};
use starling_chat::receipts::FLUSH_AFTER;
use starling_chat::{CloseReason, Conversation, Event, LinkId, Outcome, Reach, Reason, Transmit};
use starling_wire::chat::{ChatError, ChatFrame, ChatMessage};
use starling_wire::ids::MessageId;

use crate::message;

const START: Duration = Duration::from_secs(100);
const LINK: LinkId = LinkId(1);

fn sent(bob: &mut Conversation) -> Vec<Transmit> {
    std::iter::from_fn(|| bob.poll_transmit()).collect()
}

fn events(bob: &mut Conversation) -> Vec<Event> {
    std::iter::from_fn(|| bob.poll_event()).collect()
}

fn drain(bob: &mut Conversation) {
    sent(bob);
    events(bob);
}

/// Bob with a link and nothing to say.
fn linked() -> Conversation {
    let mut bob = Conversation::default();
    bob.handle_link_up(LINK, START);
    answer_loads(&mut bob, vec![], START);
    bob
}

/// Gives the store's answer to the question that is open.
fn answer_loads(bob: &mut Conversation, messages: Vec<ChatMessage>, now: Duration) {
    sent(bob);
    let asked = events(bob).into_iter().find_map(|event| match event {
        Event::Load(load) => Some(load),
        _ => None,
    });
    bob.handle_loaded(asked.unwrap().number, messages, true, now);
}

#[test]
fn chat_04_nothing_is_receipted_or_shown_before_it_is_on_disk() {
    let mut bob = linked();
    drain(&mut bob);
    bob.handle_frames([(LINK, ChatFrame::Message(message(1)))], START);
    assert_eq!((sent(&mut bob), events(&mut bob)), (vec![], vec![]));
    let batch = bob.poll_persist().unwrap();
    assert_eq!(batch.incoming, [message(1)]);
    let outcome = Outcome {
        number: batch.number,
        fresh: vec![message(1).id],
        delivered: vec![],
    };
    bob.handle_persisted(outcome, START);
    assert_eq!(events(&mut bob), [Event::Arrived(vec![message(1).id])]);
    let deadline = bob.poll_timeout().unwrap();
    assert_eq!(
        (deadline.at, deadline.reason),
        (START + FLUSH_AFTER, Reason::Receipts)
    );
    bob.handle_timeout(deadline.at);
    let frame = ChatFrame::Receipt {
        ids: vec![message(1).id],
    };
    assert_eq!(sent(&mut bob), [Transmit { link: LINK, frame }]);
}

#[test]
fn chat_03_a_message_that_comes_again_is_receipted_again_but_not_shown_again() {
    let mut bob = linked();
    drain(&mut bob);
    bob.handle_frames([(LINK, ChatFrame::Message(message(1)))], START);
    let batch = bob.poll_persist().unwrap();
    let known = Outcome {
        number: batch.number,
        fresh: vec![],
        delivered: vec![],
    };
    bob.handle_persisted(known, START);
    assert_eq!(events(&mut bob), []);
    assert_eq!(bob.poll_timeout().unwrap().reason, Reason::Receipts);
}

#[test]
fn chat_01_and_chat_02_a_frame_beyond_its_bounds_closes_the_link_and_nothing_else() {
    let empty = ChatFrame::Message(ChatMessage {
        text: " ".into(),
        ..message(1)
    });
    let receipt = ChatFrame::Receipt { ids: vec![] };
    for (frame, error) in [(empty, ChatError::Empty), (receipt, ChatError::Receipt)] {
        let mut bob = linked();
        drain(&mut bob);
        let frames = [
            (LINK, ChatFrame::Message(message(1))),
            (LINK, frame),
            (LINK, ChatFrame::Message(message(2))),
        ];
        bob.handle_frames(frames, START);
        let expected = [
            Event::Close(LINK, CloseReason::Malformed(error)),
            Event::Linked(false),
        ];
        assert_eq!(events(&mut bob), expected);
        let batch = bob.poll_persist().unwrap();
        assert_eq!(batch.incoming, [message(1)], "what came before counts");
    }
}

#[test]
fn chat_05_a_receipt_for_what_was_not_sent_changes_nothing() {
    let mut bob = linked();
    drain(&mut bob);
    let ids = vec![MessageId([9; 16])];
    bob.handle_frames([(LINK, ChatFrame::Receipt { ids })], START);
    assert_eq!(bob.poll_persist(), None);
}

#[test]
fn chat_08_a_contact_has_few_links() {
    let mut bob = Conversation::default();
    for number in 0..LINKS_MAX as u64 {
        bob.handle_link_up(LinkId(number), START);
        drain(&mut bob);
    }
    bob.handle_link_up(LinkId(99), START);
    let closed = Event::Close(LinkId(99), CloseReason::TooMany);
    assert_eq!(events(&mut bob), [closed]);
}

#[test]
fn nobody_is_dialled_without_something_to_say_or_while_offline() {
    let mut bob = Conversation::default();
    bob.handle_reach(Reach::Online, START);
    assert_eq!(events(&mut bob), []);
    assert!(bob.is_idle());
    bob.handle_reach(Reach::Offline, START);
    bob.handle_written(START);
    assert_eq!(events(&mut bob), []);
    assert_eq!(
        bob.poll_timeout(),
        None,
        "only the contact's return changes anything"
    );
    bob.handle_reach(Reach::Online, START);
    assert_eq!(events(&mut bob), [Event::Dial]);
    bob.handle_written(START);
    assert_eq!(events(&mut bob), [], "once is enough");
}

#[test]
fn dialling_is_repeated_ever_more_slowly() {
    let mut bob = Conversation::default();
    let mut now = START;
    bob.handle_written(now);
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(events(&mut bob), [Event::Dial]);
        bob.handle_dial_failed(now);
        let deadline = bob.poll_timeout().unwrap();
        assert_eq!(deadline.reason, Reason::Redial);
        waits.push(deadline.at - now);
        now = deadline.at;
        bob.handle_timeout(now);
    }
    assert_eq!(waits[..3], [RETRY_FIRST, RETRY_FIRST * 2, RETRY_FIRST * 4]);
    assert_eq!(waits[8], RETRY_MAX);
}

#[test]
fn a_contact_that_takes_connections_and_drops_them_is_not_dialled_in_a_circle() {
    let mut bob = Conversation::default();
    let mut now = START;
    bob.handle_written(now);
    let mut dials = 0;
    while now < START + Duration::from_secs(60) {
        if events(&mut bob).contains(&Event::Dial) {
            dials += 1;
            bob.handle_link_up(LinkId(dials), now);
            answer_loads(&mut bob, vec![message(1)], now);
            drain(&mut bob);
            bob.handle_link_down(LinkId(dials), now);
            drain(&mut bob);
        }
        now = bob.poll_timeout().unwrap().at.max(now);
        bob.handle_timeout(now);
    }
    assert!((4..=8).contains(&dials), "{dials}");
}

#[test]
fn missing_receipts_close_the_link_and_everything_is_read_again() {
    let mut bob = Conversation::default();
    bob.handle_link_up(LINK, START);
    answer_loads(&mut bob, vec![message(1)], START);
    drain(&mut bob);
    let deadline = bob.poll_timeout().unwrap();
    assert_eq!(
        (deadline.at, deadline.reason),
        (START + OVERDUE, Reason::Overdue)
    );
    bob.handle_timeout(deadline.at);
    assert_eq!(
        events(&mut bob),
        [
            Event::Close(LINK, CloseReason::Overdue),
            Event::Linked(false)
        ]
    );
    drain(&mut bob);
    bob.handle_link_up(LinkId(2), deadline.at);
    let asked = events(&mut bob);
    assert!(matches!(&asked[..], [Event::Linked(true), Event::Load(load)] if load.after.is_none()));
}

#[test]
fn a_silent_link_is_closed_and_the_conversation_is_over() {
    let mut bob = linked();
    drain(&mut bob);
    let deadline = bob.poll_timeout().unwrap();
    assert_eq!(
        (deadline.at, deadline.reason),
        (START + SILENCE, Reason::Silence)
    );
    bob.handle_timeout(deadline.at);
    let expected = [
        Event::Close(LINK, CloseReason::Silence),
        Event::Linked(false),
    ];
    assert_eq!(events(&mut bob), expected);
    assert!(bob.is_idle());
    assert_eq!(bob.poll_timeout(), None);
}

#[test]
fn when_the_disk_is_full_nothing_is_receipted() {
    let mut bob = linked();
    drain(&mut bob);
    bob.handle_frames([(LINK, ChatFrame::Message(message(1)))], START);
    let batch = bob.poll_persist().unwrap();
    bob.handle_store_failed(START);
    assert_eq!(
        events(&mut bob),
        [
            Event::Close(LINK, CloseReason::StoreFailed),
            Event::Linked(false)
        ]
    );
    drain(&mut bob);
    // A late answer about the batch that was given up says nothing.
    let outcome = Outcome {
        number: batch.number,
        fresh: vec![],
        delivered: vec![],
    };
    bob.handle_persisted(outcome, START);
    assert_eq!(bob.poll_timeout(), None);
}

#[test]
fn when_one_of_two_links_dies_the_other_begins_with_what_has_no_receipt() {
    let mut bob = Conversation::default();
    bob.handle_link_up(LINK, START);
    answer_loads(&mut bob, vec![message(1), message(2)], START);
    drain(&mut bob);
    bob.handle_link_up(LinkId(2), START);
    assert_eq!(events(&mut bob), [], "one link at a time carries messages");
    bob.handle_link_down(LINK, START);
    answer_loads(&mut bob, vec![message(1), message(2)], START);
    let first = Transmit {
        link: LinkId(2),
        frame: ChatFrame::Message(message(1)),
    };
    assert_eq!(sent(&mut bob)[0], first);
    assert_eq!(events(&mut bob), [], "linked all the time");
}
