//! Fuzzing a registrar's log, as `fuzz.rs` does everything else.

use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::ids::{AccountId, NetworkId};
use starling_wire::name::Name;
use starling_wire::name_log::{Entry, Listing, Page, Position, Statement};
use starling_wire::name_query::{Found, NameQuestion, NameReply, NameWord};
use starling_wire::overlay::{Question, Reply, Word};
use starling_wire::record::registrar::Registrar;

use crate::{corpus, mutator};

const AT: u64 = 1_800_000_000;
const EXPIRES: u64 = AT + 1_000;

fn key(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

/// Three entries of a log, and two statements that contradict each other.
#[test]
fn logs_of_names() {
    let network = NetworkId(key(1).verifying_key().to_bytes());
    let public = key(12).verifying_key().to_bytes();
    let registrar = Registrar::appoint(&key(1), AccountId([5; 32]), public, EXPIRES);
    let mut before = [0; 32];
    let entries = (1..=3_u8).map(|height| {
        let entry = Entry {
            height: height.into(),
            before,
            at: AT,
            name: Name::typed("alice").expect("it is one"),
            account: (height < 3).then_some(AccountId([height; 32])),
            until: EXPIRES,
            listing: Listing::new("Alice Liddell".into()).ok(),
        };
        before = entry.hash();
        entry.sign(&registrar, &key(12))
    });
    let page = Page {
        registrar: registrar.clone(),
        entries: entries.collect(),
    };
    let stated = |hash| Statement {
        registrar: registrar.clone(),
        position: Position::sign(&registrar, (7, [hash; 32]), AT, &key(12)),
    };
    let proof = stated(1).against(&stated(2)).expect("they differ");
    assert!(page.clone().verify(network).is_ok() && proof.verify(network).is_ok());
    let found = page.entries.iter().map(|entry| Found {
        registrar: registrar.clone(),
        entry: entry.clone(),
    });
    let found = Reply::Names(NameReply::Found(found.collect()));
    let search = Question::Names(NameQuestion::Search("alice".into()));
    let word = Word::Names(Box::new(NameWord::Proof(proof.clone())));
    let said = [
        ("names-found", encode_body(&found)),
        ("names-asked", encode_body(&search)),
        ("names-said", encode_body(&word)),
    ];
    mutator::run(12, &corpus::committed("names-said", &said), fuzz::overlay);
    let made = [("page", encode_body(&page)), ("proof", encode_body(&proof))];
    mutator::run(11, &corpus::committed("name-logs", &made), fuzz::name_log);
}
