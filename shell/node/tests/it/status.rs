//! What a client hears of the node itself, without asking for it.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_control::{Command, Event, view};
use starling_wire::ids::NetworkId;
use starling_wire::network::Network;
use starling_wire::supernode::SupernodeAddr;

use crate::cast::{Actor, folder};
use crate::home::supernode;
use crate::shim::Shim;

async fn until_status(
    actor: &mut Actor,
    what: &str,
    fits: impl Fn(&view::Status) -> bool,
) -> view::Status {
    actor
        .until(what, |event| match event {
            Event::Status(status) if fits(status) => Some((**status).clone()),
            _ => None,
        })
        .await
}

fn connected(status: &view::Status) -> Option<bool> {
    status.supernode.as_ref().map(|home| home.connected)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomers_window_hears_of_the_account_and_that_it_is_online() {
    let a = folder();
    let mut alice = Actor::start(a.path()).await;
    let name = "Alice".to_owned();
    alice
        .ask::<view::Account>(Command::AccountCreate { name })
        .await;
    let status = until_status(&mut alice, "the account", |status| status.account.is_some()).await;
    assert_eq!(
        status.account.map(|account| account.name),
        Some("Alice".into())
    );
    assert!(
        !status
            .warnings
            .iter()
            .any(|line| line.contains("no account"))
    );
    let status = until_status(&mut alice, "being online", |status| {
        connected(status) == Some(true)
    })
    .await;
    assert!(status.online_after_ms.is_some());
    assert!(status.roles[0].on);
    alice.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_that_the_home_supernode_died_and_that_it_came_back() {
    let [s, a] = [folder(), folder()];
    let (sue, behind) = supernode(&s, "Sue").await;
    let mut shim = Shim::before(behind.tcp).await;
    let owner = SigningKey::from_bytes(&[7; 32]);
    let network = Network {
        id: NetworkId(owner.verifying_key().to_bytes()),
        name: "Town".into(),
        supernodes: vec![SupernodeAddr {
            tcp: shim.address,
            ..behind
        }],
    };
    let mut alice = Actor::create(a.path(), "Alice").await;
    let source = network.to_file(&owner);
    alice
        .ask::<view::Network>(Command::NetworkJoin { source })
        .await;
    let there = |status: &view::Status| status.network.is_some() && connected(status) == Some(true);
    let status = until_status(&mut alice, "the network", there).await;
    assert!(!status.roles[0].on, "the network's supernode serves now");
    // The relay's link stands some 200 ms after registering; only a link that stood can be seen to break.
    tokio::time::sleep(Duration::from_millis(500)).await;
    shim.die();
    let lost = |status: &view::Status| connected(status) == Some(false);
    let status = until_status(&mut alice, "the loss", lost).await;
    let words = status.supernode.expect("it is known").words;
    assert!(words.starts_with("not answering"), "{words}");
    shim.come_back().await;
    until_status(&mut alice, "the return", there).await;
    alice.node.stop().await;
    sue.node.stop().await;
}
