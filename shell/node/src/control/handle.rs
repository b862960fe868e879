//! The in-process end of the local API. The window's page server and the socket server both hold one; neither can reach
//! anything of the node but what a [`Command`] asks for.

use serde::de::DeserializeOwned;
use serde_json::Value;
use starling_control::{Command, ErrorKind, Event, Failure};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Requests that may wait for the node before a client has to.
const INBOX: usize = 64;
/// Events a slow client may be behind before it is told that it lagged.
const EVENTS: usize = 1024;

/// Asks the node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlHandle {
    requests: mpsc::Sender<ControlRequest>,
    events: broadcast::Sender<Event>,
}

/// The node's end.
#[derive(Debug)]
pub struct ControlInbox {
    /// What clients ask.
    pub requests: mpsc::Receiver<ControlRequest>,
    /// Where events go.
    pub events: broadcast::Sender<Event>,
}

/// One request and where its answer goes.
#[derive(Debug)]
pub struct ControlRequest {
    /// What is asked.
    pub command: Command,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Value, Failure>>,
}

/// Both ends.
pub fn channel() -> (ControlHandle, ControlInbox) {
    let (sender, requests) = mpsc::channel(INBOX);
    let (events, _) = broadcast::channel(EVENTS);
    (
        ControlHandle {
            requests: sender,
            events: events.clone(),
        },
        ControlInbox { requests, events },
    )
}

impl ControlHandle {
    /// Asks and waits for the answer.
    pub async fn call(&self, command: Command) -> Result<Value, Failure> {
        let stopping = || Failure::new(ErrorKind::State, "the node is stopping");
        let (answer, reply) = oneshot::channel();
        self.requests
            .send(ControlRequest { command, answer })
            .await
            .map_err(|_| stopping())?;
        reply.await.map_err(|_| stopping())?
    }

    /// Asks and reads the view the command promises.
    pub async fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, Failure> {
        let value = self.call(command).await?;
        serde_json::from_value(value).map_err(|error| {
            Failure::new(
                ErrorKind::System,
                format!("the node's answer could not be read: {error}"),
            )
        })
    }

    /// Events from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
