//! Unique names on real sockets: three supernodes, a registrar at a node of the owner's, and people who want names.

mod by_hand;
mod impostors;
mod lying;
mod own;

use starling_control::command::NameWish;
use std::path::Path;

use ed25519_dalek::SigningKey;
use starling_control::{Command, ErrorKind, Event, view};
use starling_store::Store;
use starling_store::networks::{self, Joined};
use starling_wire::network::Network;
use tempfile::TempDir;

use crate::cast::{Actor, PATIENCE, folder};
use crate::overlay::Land;

/// The seed of the owner of the land's network.
const OWNER: [u8; 32] = [7; 32];

fn owner() -> SigningKey {
    SigningKey::from_bytes(&OWNER)
}

/// The land's network file.
fn file(land: &Land) -> String {
    let network = Network {
        id: land.network,
        name: "Land".into(),
        supernodes: land.towns.iter().map(|town| town.at().clone()).collect(),
    };
    network.to_file(&owner())
}

/// Somebody in the network.
async fn settle(land: &Land, home: &Path, name: &str) -> Actor {
    let actor = Actor::start(home).await;
    let source = file(land);
    actor
        .ask::<view::Network>(Command::NetworkJoin { source })
        .await;
    actor
        .ask::<view::Account>(Command::AccountCreate { name: name.into() })
        .await;
    actor.until_registered().await;
    actor
}

/// The network's owner, on a machine that is no supernode.
async fn settle_owner(land: &Land, home: &Path) -> Actor {
    let mut store = Store::open(home).expect("a store");
    let joined = Joined {
        network: Some(land.network),
        name: "Land".into(),
        file: Some(file(land)),
        owner: Some(OWNER.into()),
        supernodes: land.towns.iter().map(|town| town.at().clone()).collect(),
        joined_at: 0,
    };
    store.write(|tx| networks::join(tx, &joined)).expect("kept");
    drop(store);
    let actor = Actor::create(home, "Olga").await;
    actor.until_registered().await;
    actor
}

/// The end of a story.
async fn end<const N: usize>(land: Land, actors: [Actor; N]) {
    for actor in actors {
        actor.node.stop().await;
    }
    land.end().await;
}

fn start(admission: &str, take_over: bool) -> Command {
    Command::RegistrarStart {
        admission: Some(admission.into()),
        names_per_account: None,
        take_over,
    }
}

fn claim(name: &str) -> Command {
    Command::NameClaim {
        name: name.into(),
        invitation: None,
        findable: true,
    }
}

fn verify(name: &str) -> Command {
    Command::NameVerify { name: name.into() }
}

async fn search(actor: &Actor, text: &str) -> Vec<String> {
    let found: Vec<view::FoundName> = actor.ask(Command::Search { text: text.into() }).await;
    found.into_iter().map(|one| one.name).collect()
}

/// Three supernodes, and a registrar that gives names to everybody.
async fn town() -> (Land, TempDir, Actor) {
    town_of(3).await
}

async fn town_of(supernodes: u8) -> (Land, TempDir, Actor) {
    let land = Land::of(supernodes).await;
    let home = folder();
    let owner = settle_owner(&land, home.path()).await;
    let office: view::NameOffice = owner.ask(start("open", false)).await;
    assert!(
        office.running && office.words.contains("gives names"),
        "{}",
        office.words
    );
    (land, home, owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_claimed_found_read_without_its_registrar_and_given_up() {
    let (land, _home, registrar) = town().await;
    let homes = [folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice Liddell").await;
    let bob = settle(&land, homes[1].path(), "Bob").await;
    let held: view::OwnName = alice.ask(claim("  ALICE ")).await;
    assert_eq!((held.name.as_str(), held.state.as_str()), ("alice", "held"));
    let own: view::Account = alice.ask(Command::AccountShow {}).await;
    // Once more changes nothing.
    let again: view::OwnName = alice.ask(claim("alice")).await;
    assert_eq!(again, held);
    registrar.node.stop().await;

    let check: view::NameCheck = bob.ask(verify("Alice")).await;
    assert!(check.verified, "{check:?}");
    assert_eq!(check.account, Some(own.id.clone()));
    assert_eq!((check.entry, check.epoch, check.compared.len()), (1, 1, 3));
    assert_eq!(search(&bob, "alice").await, ["alice"]);
    assert_eq!(search(&bob, "lid").await, ["alice"]);
    let nobody = bob.try_ask::<view::NameCheck>(verify("carol")).await;
    assert_eq!(nobody.expect_err("nobody").data.kind, ErrorKind::NotFound);
    let added: view::Contact = bob
        .ask(Command::ContactAdd {
            link: "alice".into(),
            message: "by name".into(),
        })
        .await;
    assert_eq!(added.id, own.id);
    // It is WHO, too.
    let nickname = Command::ContactNickname {
        who: "alice".into(),
        nickname: "Al".into(),
    };
    let named: view::Contact = bob.ask(nickname).await;
    assert_eq!(named.id, own.id);
    end(land, [alice, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_its_registrar_and_what_is_given_up_is_nobodys() {
    let (land, registrar_home, registrar) = town().await;
    let home = folder();
    let mut bob = settle(&land, home.path(), "Bob").await;
    registrar.node.stop().await;
    let waits: view::OwnName = bob.ask(claim("bobby")).await;
    assert_eq!(waits.state, "asked");
    let registrar = Actor::start(registrar_home.path()).await;
    bob.until("the answer", |event| match event {
        Event::Names(names) => names.iter().find(|own| own.state == "held").cloned(),
        _ => None,
    })
    .await;
    let more = bob.try_ask::<view::OwnName>(claim("bob2")).await;
    let more = more.expect_err("one name each");
    assert!(more.message.contains("as many names"), "{more}");
    let release = Command::NameRelease {
        name: "bobby".into(),
    };
    let released: view::OwnName = bob.ask(release).await;
    assert_eq!(released.state, "released");
    // The answer comes first, the certificate in the index a moment later.
    let began = std::time::Instant::now();
    loop {
        let check = bob.try_ask::<view::NameCheck>(verify("bobby")).await;
        if check.is_ok_and(|check| check.account.is_none()) {
            break;
        }
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(search(&bob, "bobby").await, [""; 0]);
    end(land, [bob, registrar]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_in_the_same_second_one_has_the_name_and_the_other_a_sentence() {
    let (land, _home, registrar) = town().await;
    let homes = [folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice").await;
    let bob = settle(&land, homes[1].path(), "Bob").await;
    let claims = [&alice, &bob].map(|actor| actor.try_ask::<view::OwnName>(claim("ace")));
    let mut results = futures_util::future::join_all(claims).await;
    results.sort_by_key(Result::is_err);
    assert_eq!(results[0].as_ref().expect("one has it").state, "held");
    let refused = results[1].as_ref().expect_err("the other has not");
    assert_eq!(refused.data.kind, ErrorKind::Refused);
    assert!(
        refused.message.contains("somebody has this name"),
        "{refused}"
    );
    // Nor one that looks like it, nor what is no name.
    let loser = if search(&bob, "ace").await.len() == 1 {
        &bob
    } else {
        &alice
    };
    for (name, kind) in [
        ("", ErrorKind::Usage),
        ("a", ErrorKind::Usage),
        ("no spaces", ErrorKind::Usage),
        ("pаypal", ErrorKind::Usage),
        ("al\u{202e}ice", ErrorKind::Usage),
        ("al\u{200b}ice", ErrorKind::Usage),
        (&"x".repeat(10_000), ErrorKind::Usage),
    ] {
        let refused = loser.try_ask::<view::OwnName>(claim(name)).await;
        let refused = refused.expect_err("it is none");
        assert_eq!(refused.data.kind, kind, "{name:.20}: {refused}");
    }
    end(land, [alice, bob, registrar]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_given_in_every_script_and_by_hand_or_by_invitation() {
    let (land, _home, registrar) = town().await;
    let home = folder();
    let maria = settle(&land, home.path(), "Мария").await;
    let more = Command::RegistrarStart {
        admission: Some("invitation".into()),
        names_per_account: Some(3),
        take_over: false,
    };
    let _: view::NameOffice = registrar.ask(more).await;
    let refused = maria.try_ask::<view::OwnName>(claim("мария")).await;
    assert!(
        refused
            .expect_err("not invited")
            .message
            .contains("invitation")
    );
    let codes: Vec<String> = registrar.ask(Command::RegistrarInvite { count: 1 }).await;
    let invited = Command::NameClaim {
        name: "мария".into(),
        invitation: codes.first().cloned(),
        findable: true,
    };
    let held: view::OwnName = maria.ask(invited).await;
    assert_eq!(held.state, "held");
    assert_eq!(search(&registrar, "мар").await, ["мария"]);

    let _: view::NameOffice = registrar.ask(start("by hand", false)).await;
    let waits: view::OwnName = maria.ask(claim("美玲ちゃん")).await;
    assert_eq!(waits.state, "waiting", "{}", waits.words);
    let office: view::NameOffice = registrar.ask(Command::RegistrarShow {}).await;
    assert_eq!(office.waiting.len(), 1);
    let mut maria = maria;
    let name = office.waiting[0].name.clone();
    let accept = Command::RegistrarAccept(NameWish {
        name,
        account: None,
    });
    let _: view::NameOffice = registrar.ask(accept).await;
    maria
        .until("the answer", |event| match event {
            Event::Names(names) if names.iter().all(|own| own.state == "held") => Some(()),
            _ => None,
        })
        .await;
    end(land, [maria, registrar]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_08_a_registrar_from_an_old_backup_takes_what_it_misses_from_the_copies() {
    let (land, home, registrar) = town().await;
    let homes = [folder(), folder()];
    let alice = settle(&land, homes[0].path(), "Alice").await;
    let bob = settle(&land, homes[1].path(), "Bob").await;
    let _: view::OwnName = alice.ask(claim("alice")).await;
    registrar.node.stop().await;
    let backup = folder();
    copy(home.path(), backup.path());
    let registrar = Actor::start(home.path()).await;
    let _: view::OwnName = bob.ask(claim("bob")).await;
    registrar.node.stop().await;

    let restored = Actor::start(backup.path()).await;
    restored.until_registered().await;
    let carol_home = folder();
    let carol = settle(&land, carol_home.path(), "Carol").await;
    let taken = carol.try_ask::<view::OwnName>(claim("bob")).await;
    let taken = taken.expect_err("it knows whose that is");
    assert!(taken.message.contains("somebody has this name"), "{taken}");
    let _: view::OwnName = carol.ask(claim("carol")).await;
    let check: view::NameCheck = alice.ask(verify("carol")).await;
    assert!(check.verified && check.entry == 3, "{check:?}");
    end(land, [alice, bob, carol, restored]).await;
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn search_04_who_searches_all_the_time_is_refused_with_a_sentence() {
    let (land, _home, registrar) = town().await;
    let mut refused = None;
    for _ in 0..40 {
        let text = "nobody".to_owned();
        let found = registrar.try_ask::<Vec<view::FoundName>>(Command::Search { text });
        if let Err(failure) = found.await {
            refused = Some(failure);
            break;
        }
    }
    let refused = refused.expect("refused in the end");
    assert_eq!(refused.data.kind, ErrorKind::Refused);
    assert!(refused.message.contains("too often"), "{refused}");
    let short = Command::Search { text: "a".into() };
    let short = registrar.try_ask::<Vec<view::FoundName>>(short).await;
    assert_eq!(short.expect_err("too short").data.kind, ErrorKind::Usage);
    end(land, [registrar]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_gives_names_a_sentence_says_so() {
    let land = Land::of(1).await;
    let home = folder();
    let alice = settle(&land, home.path(), "Alice").await;
    let refused = alice.try_ask::<view::OwnName>(claim("alice")).await;
    let refused = refused.expect_err("nobody gives names");
    assert_eq!(refused.data.kind, ErrorKind::State);
    assert!(refused.message.contains("registrar start"), "{refused}");
    let not_owner = alice
        .try_ask::<view::NameOffice>(start("open", false))
        .await;
    let not_owner = not_owner.expect_err("Alice does not own it");
    assert!(not_owner.message.contains("owner's key"), "{not_owner}");
    end(land, [alice]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_gives_its_name_up() {
    let (land, _home, registrar) = town().await;
    let home = folder();
    let alice = settle(&land, home.path(), "Alice").await;
    let held: view::OwnName = alice.ask(claim("alice")).await;
    assert_eq!(held.state, "held");
    let delete = Command::AccountDelete {
        name: "Alice".into(),
        with_network: false,
    };
    let deleted: view::Deleted = alice.ask(delete).await;
    assert!(deleted.supernodes > 0, "{deleted:?}");
    alice.node.stop().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let check: view::NameCheck = registrar.ask(verify("alice")).await;
        if check.account.is_none() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{check:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    end(land, [registrar]).await;
}
