//! The store as its callers see it: opened, written, killed, filled up, opened again.

#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has said what is wrong"
)]

mod blobs;
mod faults;
mod group_commit;
mod history;
mod key_packages;
mod logs;
mod mailbox;
mod many_messages;
mod names;
mod people;
mod profiles;
mod rescue;
mod supernode;
mod talk;

use starling_store::Store;
use starling_store::contacts::{self, Contact, Relation};
use starling_wire::chat::ChatMessage;
use starling_wire::ids::{AccountId, MessageId};

/// 2026-11-24, in milliseconds.
const NOW: u64 = 1_795_500_000_000;
const ALICE: AccountId = AccountId([0xa1; 32]);
const BOB: AccountId = AccountId([0xb0; 32]);

/// Carol's new profile in a folder that lives as long as the test.
fn carol() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("profile")).unwrap();
    (dir, store)
}

/// Carol with Alice and Bob as contacts.
fn carol_with_friends() -> (tempfile::TempDir, Store) {
    let (dir, mut store) = carol();
    store
        .write(|tx| {
            contacts::put(tx, &contact(ALICE, "Alice"))?;
            contacts::put(tx, &contact(BOB, "Bob"))
        })
        .unwrap();
    (dir, store)
}

fn contact(account: AccountId, name: &str) -> Contact {
    Contact {
        account,
        relation: Relation::Contact,
        card: None,
        name: name.to_owned(),
        nickname: None,
        network: None,
        homes: Vec::new(),
        echo: false,
        added_at: NOW,
    }
}

fn message(number: u64, text: &str) -> ChatMessage {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_le_bytes());
    ChatMessage {
        id: MessageId(id),
        sent_at: NOW + number,
        text: text.to_owned(),
    }
}
