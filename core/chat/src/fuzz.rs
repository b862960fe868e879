//! Fuzz bodies: what a hostile contact can do to a conversation, and hostile members to a transcript. Plain functions, run in
//! the tests by a seeded mutator and usable by `cargo fuzz` as they are.

use std::time::Duration;

use starling_wire::chat::{CHAT_FRAME_MAX, ChatFrame, ChatMessage};
use starling_wire::content::long::Long;
use starling_wire::content::{Body, Content, Text, Words};
use starling_wire::frame;
use starling_wire::ids::{AccountId, DeviceId, MessageId};

use crate::conversation::{Conversation, Event, LinkId};
use crate::inbox::Outcome;
use crate::outbox::Load;
use crate::transcript::{Author, Memory, Said, take, whole};

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

/// What hostile members can do to a transcript: `data` is steps, each of which says who, what and about which message that
/// was said before; every fourth one is a plaintext of their own making.
pub fn transcript(data: &[u8]) {
    let mut memory = Memory::default();
    let mut known = vec![MessageId([7; 16])];
    let mut rest = data;
    while let Some((&[who, what, which, length], tail)) = rest.split_first_chunk::<4>() {
        let (bytes, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        let author = Author {
            account: AccountId([who % 4; 32]),
            device: DeviceId([who; 32]),
            rank: who % 2,
        };
        let named = known[usize::from(which) % known.len()];
        let said = if what % 4 == 3 {
            Said::read(author, bytes)
        } else {
            Said::new(author, said_of(named, what, bytes))
        };
        if let Ok(said) = said {
            known.push(said.id());
            let Ok(_) = take(&mut memory, said, &|one, other| one.rank > other.rank);
        }
    }
    for (_, kept) in memory.shown() {
        let Ok(_) = whole(&memory, kept);
    }
}

fn said_of(named: MessageId, what: u8, bytes: &[u8]) -> Content {
    let words = Words::new(String::from_utf8_lossy(bytes));
    let body = match what / 4 % 6 {
        0 => Body::Edit { of: named, words },
        1 => Body::Delete { of: named },
        2 => Body::Long(Long {
            size: 61_441,
            parts: vec![named, MessageId([what; 16])],
        }),
        3 => Body::Part {
            number: what % 4,
            bytes: bytes.to_vec(),
        },
        4 => Body::Read {
            up_to: named,
            place: u64::MAX >> (what % 64),
        },
        _ => Body::Text(Text {
            words,
            reply_to: Some(named),
        }),
    };
    Content {
        sent_at: u64::MAX >> (what % 64),
        predecessors: vec![named],
        body,
    }
}
