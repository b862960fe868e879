//! The cast: Alice, Bob and a supernode, each a whole node on loopback with free ports.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use starling_control::{Command, Event, Failure, view};
use starling_node::clock::wall_s;
use starling_node::{ControlHandle, Node, NodeConfig};
use starling_wire::ids::AccountId;
use starling_wire::postage::{Postage, Search, Step};
use starling_wire::supernode::Request;
use tempfile::TempDir;
use tokio::sync::broadcast;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::warnings::{NoWarnings, Warnings};

/// Every wait of a test ends.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// A node and what it told.
pub struct Actor {
    pub node: Node,
    pub control: ControlHandle,
    pub events: broadcast::Receiver<Event>,
    /// Looks at the end of the test.
    _calm: NoWarnings,
}

pub fn config(home: &Path) -> NodeConfig {
    let mut config = NodeConfig::new(home.to_owned());
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.lan_discovery = false;
    config.tones = false;
    config
}

/// Shows what `STARLING_LOG` asks for, and notes warnings.
pub fn listen_for_warnings() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STARLING_LOG").unwrap_or_default();
    let shown = tracing_subscriber::fmt::layer().with_test_writer();
    let _ = tracing_subscriber::registry()
        .with(shown.with_filter(filter))
        .with(Warnings)
        .try_init();
}

impl Actor {
    pub async fn start(home: &Path) -> Self {
        Self::start_with(config(home)).await
    }

    pub async fn start_with(config: NodeConfig) -> Self {
        listen_for_warnings();
        let node = Box::pin(Node::start(config))
            .await
            .expect("the node starts");
        let control = node.control();
        let events = control.events();
        Self {
            node,
            control,
            events,
            _calm: NoWarnings,
        }
    }

    /// A node with an account.
    pub async fn create(home: &Path, name: &str) -> Self {
        let actor = Self::start(home).await;
        actor
            .ask::<view::Account>(Command::AccountCreate { name: name.into() })
            .await;
        actor
    }

    pub async fn ask<T: DeserializeOwned>(&self, command: Command) -> T {
        self.try_ask(command).await.expect("the command succeeds")
    }

    pub async fn try_ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, Failure> {
        tokio::time::timeout(PATIENCE, self.control.ask(command))
            .await
            .expect("an answer in time")
    }

    /// Waits for an event that fits.
    pub async fn until<T>(&mut self, what: &str, mut fits: impl FnMut(&Event) -> Option<T>) -> T {
        let wait = async {
            loop {
                match self.events.recv().await {
                    Ok(event) => {
                        if let Some(value) = fits(&event) {
                            return value;
                        }
                    }
                    Err(error) => panic!("waiting for {what}: {error}"),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(value) => value,
            Err(_) => panic!("waited {PATIENCE:?} for {what}"),
        }
    }

    pub async fn until_registered(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status: view::Status = self.ask(Command::Status {}).await;
            if status
                .supernode
                .is_some_and(|supernode| supernode.connected)
            {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "not registered in time"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_online(&mut self, name: &str) {
        let list: Vec<view::Contact> = self.ask(Command::ContactList {}).await;
        if list
            .iter()
            .any(|contact| contact.name == name && contact.presence == view::Presence::Online)
        {
            return;
        }
        self.until(&format!("{name} online"), |event| match event {
            Event::Contact(contact)
                if contact.name == name && contact.presence == view::Presence::Online =>
            {
                Some(())
            }
            _ => None,
        })
        .await;
    }
}

/// Leaves a letter for somebody whose card is not known, for so much work.
pub fn paid(account: AccountId, envelope: Vec<u8>, bits: u8) -> Request {
    let found = Search::new(account, &envelope, bits, wall_s()).step(u64::MAX);
    let Step::Found(work) = found else {
        panic!("{found:?}");
    };
    Request::Deposit {
        account,
        postage: Postage::Work(work),
        envelope,
    }
}

pub fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A network whose only supernode is a node of its own, so that people's restarts do not move it.
pub struct Town {
    supernode: Actor,
    pub link: String,
    _home: TempDir,
}

impl Town {
    pub async fn found() -> Self {
        let home = folder();
        let mut config = config(home.path());
        config.supernode = true;
        let supernode = Actor::start_with(config).await;
        let made: view::NetworkMade = supernode
            .ask(Command::NetworkInit {
                name: "Town".into(),
                advertise: None,
            })
            .await;
        Self {
            supernode,
            link: made.link,
            _home: home,
        }
    }

    /// A node with an account, at home here.
    pub async fn settle(&self, home: &Path, name: &str) -> Actor {
        let actor = self.join(home).await;
        actor
            .ask::<view::Account>(Command::AccountCreate { name: name.into() })
            .await;
        actor
    }

    /// A node without an account, in this network.
    pub async fn join(&self, home: &Path) -> Actor {
        let actor = Actor::start(home).await;
        let source = self.link.clone();
        actor
            .ask::<view::Network>(Command::NetworkJoin { source })
            .await;
        actor
    }

    /// Of the supernode's node.
    pub async fn ask<T: DeserializeOwned>(&self, command: Command) -> T {
        self.supernode.ask(command).await
    }

    pub async fn end(self) {
        self.supernode.node.stop().await;
    }
}

/// Bob asks Alice, Alice accepts, both see each other online.
pub async fn befriend(alice: &mut Actor, bob: &mut Actor) {
    acquaint((alice, "Alice"), (bob, "Bob")).await;
}

/// The same for anybody: the second asks the first.
pub async fn acquaint((host, name): (&mut Actor, &str), (guest, guests): (&mut Actor, &str)) {
    host.until_registered().await;
    guest.until_registered().await;
    let link: view::OwnLink = host.ask(Command::ContactLink {}).await;
    let message = format!("It is {guests}");
    let asked: view::Contact = guest
        .ask(Command::ContactAdd {
            link: link.link,
            message: message.clone(),
        })
        .await;
    assert_eq!(asked.relation, view::Relation::Requested);
    let request = host
        .until("a request", |event| match event {
            Event::Request(request) => Some(request.clone()),
            _ => None,
        })
        .await;
    assert_eq!((request.name.as_str(), request.message), (guests, message));
    host.ask::<view::Contact>(Command::ContactAccept { id: request.id })
        .await;
    host.until_online(guests).await;
    guest.until_online(name).await;
}
