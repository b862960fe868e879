//! A registrar that gives one name to two people, each before another half of the network.

use starling_control::{Command, Event, view};
use starling_node::clock::wall_s;
use starling_protocol::machine::Time;
use starling_protocol::names::registrar::{Admission, By, Registrar, Rules, Stored};
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_claim::{Claim, Wish};
use starling_wire::name_log::Page;
use starling_wire::name_query::{NameQuestion, NameReply};
use starling_wire::record::registrar::{Office, Registrar as Appointment};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};

use super::{claim, end, owner, settle, settle_owner, start, verify};
use crate::cast::{Actor, folder};
use crate::overlay::{Land, Person};

/// The registrar's log with these names, each of another account.
fn log(at: u64, names: [(&str, u8); 3]) -> Page {
    let key = || ed25519_dalek::SigningKey::from_bytes(&[31; 32]);
    let public = key().verifying_key().to_bytes();
    let office = Appointment::appoint(&owner(), AccountId([99; 32]), public, wall_s() + 100_000);
    let rules = Rules {
        admission: Admission::Open,
        names_of_one: 9,
    };
    let nothing = Stored {
        offices: Vec::new(),
        log: Vec::new(),
        contradiction: None,
    };
    let office = Office::new(office, key()).expect("its key");
    let mut registrar = Registrar::new(office, rules, nothing);
    registrar.handle_heads(&[]);
    for (name, who) in names {
        let claim = Claim {
            name: Name::typed(name).expect("a name"),
            wish: Wish::Hold {
                listing: None,
                invitation: None,
            },
        };
        // One second for both halves: what they have in common is the same.
        registrar.handle_claim(AccountId([who; 32]), claim, By::Operator, Time::ZERO, at);
        while registrar.poll_persist().is_some() {}
        while registrar.poll_event().is_some() {}
    }
    registrar.page_after(0).expect("three entries")
}

async fn bring(by: &Person, (to, sequence): (&SupernodeAddr, u64), page: Page) {
    by.settle(to, sequence).await.expect("at home");
    let question = NameQuestion::Entries(Box::new(page));
    let answer = by.ask(to, Request::Names(question)).await;
    let Ok(Answer::Names(NameReply::Head(head))) = answer else {
        panic!("{answer:?}");
    };
    assert!(head.head.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_02_a_registrar_that_tells_two_halves_different_things_is_found_out_and_replaced() {
    let land = Land::of(3).await;
    let mallory = Person::new("Mallory").await;
    let now = wall_s();
    let one = log(now, [("first", 1), ("prize", 2), ("third", 3)]);
    let other = log(now, [("first", 1), ("prize", 66), ("third", 3)]);
    assert_eq!(one.entries[0], other.entries[0]);
    // Before the supernodes compare: each is told its own story.
    bring(&mallory, (land.towns[0].at(), now), one).await;
    // Two records of one second would contradict each other.
    bring(&mallory, (land.towns[1].at(), now + 1), other).await;

    let home = folder();
    let mut alice = settle(&land, home.path(), "Alice").await;
    let warned = |status: &view::Status| {
        status
            .warnings
            .iter()
            .any(|w| w.contains("different things"))
    };
    let status: view::Status = alice.ask(Command::Status {}).await;
    if !warned(&status) {
        alice
            .until("the alarm", |event| match event {
                Event::NameAlarm(words) if !words.is_empty() => Some(()),
                _ => None,
            })
            .await;
    }
    let refused = alice.try_ask::<view::OwnName>(claim("alice")).await;
    let refused = refused.expect_err("nobody trusts that registrar");
    assert!(refused.message.contains("different things"), "{refused}");
    let (link, message) = ("prize".to_owned(), String::new());
    let add = Command::ContactAdd { link, message };
    let refused = alice.try_ask::<view::Contact>(add).await;
    let refused = refused.expect_err("nor its names");
    assert!(refused.message.contains("by their link"), "{refused}");
    let status: view::Status = alice.ask(Command::Status {}).await;
    assert!(warned(&status), "{:?}", status.warnings);
    // After a restart, too.
    alice.node.stop().await;
    let alice = Actor::start(home.path()).await;
    let status: view::Status = alice.ask(Command::Status {}).await;
    assert!(warned(&status), "{:?}", status.warnings);
    alice.until_registered().await;

    replaced(&land, &alice).await;
    let status: view::Status = alice.ask(Command::Status {}).await;
    assert!(!warned(&status), "{:?}", status.warnings);
    end(land, [alice]).await;
}

/// The owner appoints another one, which goes on after the entry that nobody disputes.
async fn replaced(land: &Land, alice: &Actor) {
    let owner_home = folder();
    let olga = settle_owner(land, owner_home.path()).await;
    let refused = olga.try_ask::<view::NameOffice>(start("open", false)).await;
    assert!(
        refused
            .expect_err("there is one")
            .message
            .contains("--take-over")
    );
    let office: view::NameOffice = olga.ask(start("open", true)).await;
    assert_eq!((office.epoch, office.entries), (2, 1), "{}", office.words);
    let held: view::OwnName = alice.ask(claim("prize")).await;
    assert_eq!(held.state, "held");
    let check: view::NameCheck = alice.ask(verify("prize")).await;
    assert!(
        check.verified && check.entry == 2 && check.epoch == 2,
        "{check:?}"
    );
    olga.node.stop().await;
}
