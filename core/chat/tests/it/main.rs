//! Conversations from outside: one machine alone, and two over a network that loses links and processes that die.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has said what is wrong"
)]

mod alone;
#[path = "../../../wire/tests/it/corpus.rs"]
mod corpus;
mod group;
mod hostile;
mod mls;
#[path = "../../../wire/tests/it/mutator.rs"]
mod mutator;
mod together;

use starling_wire::chat::ChatMessage;
use starling_wire::ids::MessageId;

fn message(number: u64) -> ChatMessage {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    ChatMessage {
        id: MessageId(id),
        sent_at: number,
        text: format!("message {number}"),
    }
}
