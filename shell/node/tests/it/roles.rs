//! Roles and policy at whole nodes: who serves whom, in which words, and who may change it.

use std::path::PathBuf;

use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use starling_control::{Command, ErrorKind, Failure, view};
use starling_node::{Node, NodeConfig};
use starling_wire::ids::NetworkId;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;

use crate::cast::{Actor, PATIENCE, Town, config, folder};
use crate::home::supernode;

fn set(role: Option<&str>, on: Option<bool>) -> Command {
    Command::RolesSet(view::RolesChange {
        role: role.map(str::to_owned),
        on,
        cap_kbit_s: None,
        total_kbit_s: None,
        monthly_gb: None,
        clients: None,
    })
}

fn with_policy(home: &std::path::Path, text: &str) -> NodeConfig {
    let file: PathBuf = home.join("further.toml");
    std::fs::write(&file, text).expect("it is written");
    let mut config = config(&home.join("profile"));
    config.further_policy = Some(file);
    config
}

fn role<'a>(roles: &'a [view::Role], name: &str) -> &'a view::Role {
    roles.iter().find(|role| role.name == name).expect("a role")
}

#[tokio::test(flavor = "multi_thread")]
async fn role_01_a_member_serves_nobody_until_it_is_answered_and_then_again_nobody() {
    let a = folder();
    let town = Town::found().await;
    let alice = town.settle(a.path(), "Alice").await;
    let shown: view::Roles = alice.ask(Command::RolesShow {}).await;
    for name in ["supernode", "relay", "mailbox"] {
        let role = role(&shown.roles, name);
        assert!(!role.on, "{role:?}");
    }
    let words = &role(&shown.roles, "supernode").words;
    assert!(words.contains("not asked yet"), "{words}");
    let relay: view::Roles = alice.ask(set(Some("relay"), Some(true))).await;
    let words = &role(&relay.roles, "relay").words;
    assert!(words.contains("beside the supernode role"), "{words}");
    // A member may be asked by its network; that it serves at once is said on the command line.
    let all: view::Roles = alice.ask(set(None, Some(true))).await;
    let words = &role(&all.roles, "supernode").words;
    assert!(words.contains("off, though allowed"), "{words}");
    alice.node.stop().await;
    let told = || {
        let mut config = config(a.path());
        config.supernode = true;
        config
    };
    let alice = Actor::start_with(told()).await;
    let all: view::Roles = alice.ask(Command::RolesShow {}).await;
    assert!(all.roles.iter().all(|role| role.on), "{all:?}");
    let status: view::Status = alice.ask(Command::Status {}).await;
    assert_eq!(status.listening.len(), 4, "{:?}", status.listening);
    let capped = Command::RolesSet(view::RolesChange {
        role: Some("relay".to_owned()),
        on: None,
        cap_kbit_s: Some(800),
        total_kbit_s: Some(2_000),
        monthly_gb: Some(20),
        clients: Some(9),
    });
    let all: view::Roles = alice.ask(capped).await;
    assert!(
        role(&all.roles, "relay")
            .words
            .contains("at most 800 kbit/s")
    );
    assert_eq!((all.total_kbit_s, all.monthly_gb), (Some(2_000), Some(20)));
    alice.node.stop().await;
    // It stays so over a restart.
    let alice = Actor::start_with(told()).await;
    let again: view::Roles = alice.ask(Command::RolesShow {}).await;
    assert!(again.roles.iter().all(|role| role.on), "{again:?}");
    assert_eq!(again.clients, Some(9));
    let off: view::Roles = alice.ask(set(Some("supernode"), Some(false))).await;
    assert!(off.roles.iter().all(|role| !role.on), "{off:?}");
    let status: view::Status = alice.ask(Command::Status {}).await;
    assert!(status.listening.is_empty(), "{:?}", status.listening);
    alice.node.stop().await;
    town.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_06_what_the_administrator_forbids_stays_off_and_is_said() {
    let home = folder();
    let text = "format = 1\n[roles]\nsupernode = \"never\"\n[caps]\ntotal_kbit_s = 500\n\
                [network]\nudp = false\nlan_discovery = false\nsupernodes = \"listed\"";
    let alice = Actor::start_with(with_policy(home.path(), text)).await;
    let name = "Alice".to_owned();
    alice
        .ask::<view::Account>(Command::AccountCreate { name })
        .await;
    let status: view::Status = alice.ask(Command::Status {}).await;
    let supernode = role(&status.roles, "supernode");
    assert!(supernode.by_policy && !supernode.on, "{supernode:?}");
    assert!(supernode.words.contains("policy: supernode = never"));
    assert_eq!(status.policy.len(), 5, "{:?}", status.policy);
    assert_eq!(status.listening.len(), 1, "no UDP: {:?}", status.listening);
    for forbidden in [
        set(Some("supernode"), Some(true)),
        Command::NetworkInit {
            name: "Mine".to_owned(),
            advertise: None,
        },
    ] {
        let refused: Result<serde_json::Value, Failure> = alice.try_ask(forbidden).await;
        let failure = refused.expect_err("it is forbidden");
        assert_eq!(failure.data.kind, ErrorKind::Refused, "{failure}");
        assert!(failure.message.contains("your organisation"), "{failure}");
    }
    // By a link, only whom its writer liked.
    let town = Town::found().await;
    let source = town.link.clone();
    let refused = alice
        .try_ask::<view::Network>(Command::NetworkJoin { source })
        .await;
    let failure = refused.expect_err("links are not enough");
    assert!(failure.message.contains("supernodes = listed"), "{failure}");
    alice.node.stop().await;
    town.end().await;
}

#[tokio::test]
async fn policy_04_a_node_that_cannot_read_its_policy_does_not_start() {
    for text in ["format = 1\n[roles]\nrelay = \"no\"", "format = 9"] {
        let home = folder();
        let started = Box::pin(Node::start(with_policy(home.path(), text))).await;
        let error = started.expect_err("it does not start").to_string();
        assert!(error.contains("does not start"), "{error}");
    }
    let home = folder();
    let mut absent = config(home.path());
    absent.further_policy = Some(home.path().join("nowhere.toml"));
    assert!(Box::pin(Node::start(absent)).await.is_err());
}

/// Joins by a network's file and makes an account; how long until it is registered there.
async fn at_home(
    home: &std::path::Path,
    name: &str,
    file: &str,
    at: &SupernodeAddr,
) -> (Actor, Duration) {
    let actor = Actor::start(home).await;
    let source = file.to_owned();
    actor
        .ask::<view::Network>(Command::NetworkJoin { source })
        .await;
    let name = name.to_owned();
    let begin = Instant::now();
    actor
        .ask::<view::Account>(Command::AccountCreate { name })
        .await;
    loop {
        let status: view::Status = actor.ask(Command::Status {}).await;
        let there = |one: view::SupernodeStatus| one.connected && one.address == at.tcp.to_string();
        if status.supernode.is_some_and(there) {
            return (actor, begin.elapsed());
        }
        assert!(begin.elapsed() < PATIENCE, "not at {} in time", at.tcp);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn home_11_whoever_is_not_let_in_is_at_the_next_home_at_once() {
    let [s, t, a, b] = [folder(), folder(), folder(), folder()];
    let (sven, first) = supernode(&s, "Sven").await;
    let (sue, second) = supernode(&t, "Sue").await;
    let one = Command::RolesSet(view::RolesChange {
        role: None,
        on: None,
        cap_kbit_s: None,
        total_kbit_s: None,
        monthly_gb: None,
        clients: Some(1),
    });
    sven.ask::<view::Roles>(one).await;
    let owner = SigningKey::from_bytes(&[7; 32]);
    let network = Network {
        id: NetworkId(owner.verifying_key().to_bytes()),
        name: "Two".to_owned(),
        supernodes: vec![first.clone(), second.clone()],
    };
    let file = network.to_file(&owner);
    let (alice, _) = at_home(a.path(), "Alice", &file, &first).await;
    let status: view::Status = sven.ask(Command::Status {}).await;
    let words = &role(&status.roles, "supernode").words;
    assert!(words.contains("1 client"), "{words}");
    let (bob, took) = at_home(b.path(), "Bob", &file, &second).await;
    println!("at the next home after {took:?}");
    assert!(took < Duration::from_secs(4), "only after {took:?}");
    for actor in [alice, bob, sven, sue] {
        actor.node.stop().await;
    }
}
