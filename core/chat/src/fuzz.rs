//! Fuzz body: what a hostile contact can do to a conversation. A plain function, run in the tests by a seeded mutator and
//! usable by `cargo fuzz` as it is.

use std::time::Duration;

use starling_wire::chat::{CHAT_FRAME_MAX, ChatFrame, ChatMessage};
use starling_wire::frame;
use starling_wire::ids::MessageId;

use crate::conversation::{Conversation, Event, LinkId};
use crate::inbox::Outcome;
use crate::outbox::Load;

/// Reads `data` as frames, each with its two-byte length and a byte that chooses link and time, and feeds a conversation.
pub fn conversation(data: &[u8]) {
    let mut bob = Conversation::default();
    let mut now = Duration::ZERO;
    let mut rest = data;
    while let Some((&[choice, high, low], tail)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (body, tail) = tail.split_at(length);
        rest = tail;
        now += Duration::from_millis(u64::from(choice) * 300);
        let link = LinkId(u64::from(choice % 6));
        step(&mut bob, choice, link, body, now);
        drain(&mut bob, now);
    }
}

fn step(bob: &mut Conversation, choice: u8, link: LinkId, body: &[u8], now: Duration) {
    match choice % 7 {
        0 => bob.handle_link_up(link, now),
        1 => bob.handle_link_down(link, now),
        2 => bob.handle_timeout(now),
        3 => bob.handle_store_failed(now),
        _ => {
            if let Ok(frame) = frame::decode_body::<ChatFrame>(body, CHAT_FRAME_MAX) {
                bob.handle_frames([(link, frame)], now);
            }
        }
    }
}

/// Plays the store: it commits what it is given, and always has two more messages to send.
fn drain(bob: &mut Conversation, now: Duration) {
    let batch = bob.poll_persist();
    if let Some(load) = take_outputs(bob) {
        let texts = [1, 2].map(|id| ChatMessage {
            id: MessageId([id; 16]),
            sent_at: 0,
            text: "hello".to_owned(),
        });
        bob.handle_loaded(load.number, texts.into(), true, now);
        take_outputs(bob);
    }
    if let Some(batch) = batch {
        let fresh = batch.incoming.iter().map(|message| message.id).collect();
        let outcome = Outcome {
            number: batch.number,
            fresh,
            delivered: batch.delivered,
        };
        bob.handle_persisted(outcome, now);
        take_outputs(bob);
    }
}

fn take_outputs(bob: &mut Conversation) -> Option<Load> {
    while bob.poll_transmit().is_some() {}
    let mut asked = None;
    while let Some(event) = bob.poll_event() {
        match event {
            Event::Load(load) => asked = Some(load),
            Event::Dial => assert!(!bob.is_idle(), "nobody is dialled for nothing"),
            _ => {}
        }
    }
    asked
}
