//! Networks: made whole or not at all, and described as they are.

use starling_control::{Command, ErrorKind, view};
use starling_wire::link::Link;

use crate::cast::{Actor, folder};

fn init(name: &str, advertise: Option<&str>) -> Command {
    Command::NetworkInit {
        name: name.into(),
        advertise: advertise.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_nobody_could_join_is_not_made() {
    let home = folder();
    let actor = Actor::create(home.path(), "Alice").await;
    actor.until_registered().await;
    let too_long = "\u{5bb6}".repeat(43);
    for (name, advertise) in [
        ("", None),
        (" ", None),
        ("a\nb", None),
        (too_long.as_str(), None),
        ("Town", Some("example.org")),
        ("Town", Some("203.0.113.7:")),
    ] {
        let refused = actor
            .try_ask::<view::NetworkMade>(init(name, advertise))
            .await
            .expect_err("refused");
        assert_eq!(refused.data.kind, ErrorKind::Usage, "{name} {advertise:?}");
    }
    let network: Option<view::Network> = actor.ask(Command::NetworkShow {}).await;
    assert_eq!(network, None);
    let status: view::Status = actor.ask(Command::Status {}).await;
    assert!(status.supernode.expect("a home").connected);
    actor.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_serves_everybody_and_says_so_also_after_a_restart() {
    let home = folder();
    let actor = Actor::create(home.path(), "Alice").await;
    let before = actor.node.listening();
    let made: view::NetworkMade = actor.ask(init("Town", Some("203.0.113.7:443"))).await;
    let after = actor.node.listening();
    assert!(after.starts_with(&before), "the ports stay: {after:?}");
    let link: Link = made.link.parse().expect("a link");
    assert_eq!(link.supernodes[0].tcp.to_string(), "203.0.113.7:443");
    let ports = ports(&actor).await;
    assert!(!ports.contains(":443 "), "{ports}");
    actor.node.stop().await;

    let again = Actor::start(home.path()).await;
    assert_eq!(self::ports(&again).await, ports, "others know them");
    let network: Option<view::Network> = again.ask(Command::NetworkShow {}).await;
    assert!(network.expect("the network").owner);
    again.node.stop().await;
}

/// What it listens on; and that it says whom it serves.
async fn ports(actor: &Actor) -> String {
    let status: view::Status = actor.ask(Command::Status {}).await;
    let role = status.roles.first().expect("a role");
    assert!(role.on && !role.words.contains("local"), "{}", role.words);
    actor.node.listening().join(" ")
}
