//! A backup brings back everything but messages and files, and the machine then serves as the old one did.

use starling_control::{Command, view};
use tempfile::TempDir;

use crate::cast::{Actor, befriend, folder};

const WORDS: &str = "correct horse battery";

async fn back_up(actor: &Actor, place: &TempDir) -> String {
    let file = place.path().join("backup").display().to_string();
    let command = Command::AccountBackup {
        file: file.clone(),
        passphrase: WORDS.into(),
    };
    actor.ask::<()>(command).await;
    file
}

async fn restore(file: &str, home: &TempDir) -> Actor {
    let actor = Actor::start(home.path()).await;
    let command = Command::AccountRestore {
        file: file.into(),
        passphrase: WORDS.into(),
    };
    actor.ask::<view::Account>(command).await;
    actor
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_survives_its_owners_disk_and_the_blocked_stay_blocked() {
    let (home, bobs, fresh, place) = (folder(), folder(), folder(), folder());
    let mut alice = Actor::create(home.path(), "Alice").await;
    let init = Command::NetworkInit {
        name: "Town".into(),
        advertise: None,
    };
    let made: view::NetworkMade = alice.ask(init).await;
    let mut bob = Actor::create(bobs.path(), "Bob").await;
    let join = Command::NetworkJoin {
        source: made.file.clone(),
    };
    bob.ask::<view::Network>(join).await;
    befriend(&mut alice, &mut bob).await;
    alice
        .ask::<()>(Command::ContactBlock { who: "Bob".into() })
        .await;
    let status: view::Status = alice.ask(Command::Status {}).await;
    let home_id = status.supernode.expect("a home").id;
    let file = back_up(&alice, &place).await;
    alice.node.stop().await;

    let again = restore(&file, &fresh).await;
    again.until_registered().await;
    let network: Option<view::Network> = again.ask(Command::NetworkShow {}).await;
    assert_eq!(network.as_ref(), Some(&made.network), "with link and file");
    let status: view::Status = again.ask(Command::Status {}).await;
    assert_eq!(status.supernode.expect("a home").id, home_id);
    let role = status.roles.first().expect("a role");
    assert!(role.on && !role.words.contains("local"), "{}", role.words);
    let people: Vec<view::Contact> = again.ask(Command::ContactList {}).await;
    let bob_there = people.iter().find(|contact| contact.name == "Bob");
    assert_eq!(bob_there.expect("Bob").relation, view::Relation::Blocked);
    bob.until_registered().await;
    again.node.stop().await;
    bob.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_member_serves_nobody() {
    let (home, members, fresh, place) = (folder(), folder(), folder(), folder());
    let owner = Actor::start(home.path()).await;
    let init = Command::NetworkInit {
        name: "Town".into(),
        advertise: None,
    };
    let made: view::NetworkMade = owner.ask(init).await;
    let member = Actor::create(members.path(), "Alice").await;
    let join = Command::NetworkJoin { source: made.link };
    let network: view::Network = member.ask(join).await;
    assert_eq!((network.link, network.file), (None, None), "not theirs");
    let file = back_up(&member, &place).await;
    member.node.stop().await;

    let again = restore(&file, &fresh).await;
    assert_eq!(again.node.listening(), Vec::<String>::new());
    again.until_registered().await;
    again.node.stop().await;
    owner.node.stop().await;
}
