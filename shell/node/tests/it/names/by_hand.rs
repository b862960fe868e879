//! A person decides about names: yes, no, nothing for too long; and the registrar is stopped.

use starling_control::command::NameWish;
use starling_node::clock::wall_s;
use starling_store::registrar as rows;
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_claim::{Claim, Wish};
use starling_wire::postage::LetterKeys;

use super::*;
use crate::devices::until_list;

async fn waits(land: &Land, home: &Path, person: &str, name: &str) -> Actor {
    let actor = settle(land, home, person).await;
    let _: view::OwnName = actor.ask(claim(name)).await;
    until_state(&actor, "waiting").await;
    actor
}

async fn until_state(actor: &Actor, state: &str) -> view::OwnName {
    let fits = |names: &[view::OwnName]| names.first().is_some_and(|own| own.state == state);
    let mut names = until_list(actor, Command::NameShow {}, state, fits).await;
    names.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_12_a_claim_is_declined_or_waits_for_thirty_days_and_says_so() {
    let (land, home, registrar) = town_of(1).await;
    let _: view::NameOffice = registrar.ask(start("by hand", false)).await;
    let homes = [folder(), folder()];
    let alice = waits(&land, homes[0].path(), "Alice", "alice").await;
    let own = until_state(&alice, "waiting").await;
    assert!(own.words.contains("within 30 days"), "{}", own.words);
    let decline = |name: &str| {
        Command::RegistrarDecline(NameWish {
            name: name.into(),
            account: None,
        })
    };
    let office: view::NameOffice = registrar.ask(decline("alice")).await;
    assert!(office.waiting.is_empty() && office.entries == 0);
    let own = until_state(&alice, "refused").await;
    assert!(own.words.contains("did not give you"), "{}", own.words);
    let nobody = registrar
        .try_ask::<view::NameOffice>(decline("alice"))
        .await;
    assert_eq!(nobody.expect_err("once").data.kind, ErrorKind::NotFound);

    let bob = waits(&land, homes[1].path(), "Bob", "bob").await;
    registrar.node.stop().await;
    let mut store = Store::open(home.path()).expect("a store");
    let name = Name::typed("bob").expect("a name");
    let age = move |tx: &starling_store::Tx<'_>| {
        let claim = rows::claims_about(tx, &name)?.remove(0);
        let long_ago = wall_s() - 30 * 24 * 3600;
        rows::keep_claim(tx, claim.account, &claim.claim, &claim.keys, long_ago)?;
        let claim = rows::claims(tx)?.remove(0);
        rows::by_hand(tx, claim.number)
    };
    store.write(age).expect("kept");
    drop(store);
    let registrar = Actor::start(home.path()).await;
    let own = until_state(&bob, "refused").await;
    assert!(own.words.contains("ask again"), "{}", own.words);
    end(land, [alice, bob, registrar]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registrar_that_was_stopped_gives_no_names_and_those_of_before_are_read() {
    let (land, home, registrar) = town_of(1).await;
    let homes = [folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice").await;
    let _: view::OwnName = alice.ask(claim("alice")).await;
    until_state(&alice, "held").await;
    let stopped: view::NameOffice = registrar.ask(Command::RegistrarStop {}).await;
    assert!(!stopped.running, "{stopped:?}");
    assert!(stopped.words.starts_with("Stopped"), "{}", stopped.words);
    // Also after a restart.
    registrar.node.stop().await;
    let registrar = Actor::start(home.path()).await;
    registrar.until_registered().await;
    let shown: view::NameOffice = registrar.ask(Command::RegistrarShow {}).await;
    assert!(!shown.running && shown.words == stopped.words);
    let bob = settle(&land, homes[1].path(), "Bob").await;
    let asked: view::OwnName = bob.ask(claim("bob")).await;
    assert_eq!(asked.state, "asked");
    let check: view::NameCheck = bob.ask(verify("alice")).await;
    assert!(check.verified, "{check:?}");
    let accept = Command::RegistrarAccept(NameWish {
        name: "bob".into(),
        account: None,
    });
    let nobody = registrar.try_ask::<view::NameOffice>(accept).await;
    assert_eq!(nobody.expect_err("stopped").data.kind, ErrorKind::NotFound);
    end(land, [alice, bob, registrar]).await;
}

/// All places for claims that an account has.
fn take_places(home: &Path, account: AccountId) {
    let mut store = Store::open(home).expect("a store");
    let fill = move |tx: &starling_store::Tx<'_>| {
        for number in 0..5 {
            let claim = Claim {
                name: Name::typed(&format!("nr{number}x")).expect("a name"),
                wish: Wish::Release,
            };
            let keys = LetterKeys::of_stranger([1; 32]);
            assert!(rows::keep_claim(tx, account, &claim, &keys, wall_s())?);
        }
        Ok(())
    };
    store.write(fill).expect("kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_the_registrars_own_account_that_finds_no_place_is_refused_and_forgotten() {
    let (land, home, registrar) = town_of(1).await;
    let _: view::NameOffice = registrar.ask(Command::RegistrarStop {}).await;
    let own: view::Account = registrar.ask(Command::AccountShow {}).await;
    registrar.node.stop().await;
    take_places(home.path(), own.id.parse().expect("an account"));
    let registrar = Actor::start(home.path()).await;
    registrar.until_registered().await;
    let crowded = registrar.try_ask::<view::OwnName>(claim("olga")).await;
    let crowded = crowded.expect_err("no place");
    assert_eq!(crowded.data.kind, ErrorKind::Refused);
    assert!(
        crowded.message.contains("too many people wait"),
        "{crowded}"
    );
    let names: Vec<view::OwnName> = registrar.ask(Command::NameShow {}).await;
    assert!(names.is_empty(), "{names:?}");
    end(land, [registrar]).await;
}
