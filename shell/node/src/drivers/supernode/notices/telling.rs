//! One notice to one door, each by a connection of its own. The way to a watcher is opened first; what is said is how things
//! stand by then.

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_wire::alpn;
use starling_wire::ids::{EndpointKey, SubscriptionId};
use starling_wire::presence::Sighting;
use starling_wire::supernode::{Notice, SupernodeAddr};
use tokio::sync::{mpsc, oneshot};

use super::Service;
use crate::transport::dial::{self, DialError};
use crate::transport::{congestion, stream};

/// What was announced comes within this, or is not waited for: a way there and back, and a packet that has to be repeated.
const ANNOUNCED_TIME: Duration = Duration::from_secs(1);

/// How watched ids stand.
pub(super) type Sightings = Vec<(SubscriptionId, Sighting)>;

/// A watcher who is reached, and where what is to be said goes.
pub(super) type Reached = (EndpointKey, oneshot::Sender<Sightings>);

/// Tells a watcher what there is to say once they are reached, or soon after (`PRESENCE-31`).
pub(super) async fn presence(
    service: Arc<Service>,
    (watcher, reply_to): (EndpointKey, SupernodeAddr),
    reached: mpsc::Sender<Reached>,
) -> Result<(), DialError> {
    // Clients of ours are reached over loopback, whatever address they know us by.
    let own = reply_to.id == service.own.id;
    let place = if own { &service.own } else { &reply_to };
    let connection = open(&service, watcher, place).await?;
    let (reply, answer) = oneshot::channel();
    let asked = reached.send((watcher, reply)).await;
    asked.map_err(|_| DialError::Refused)?;
    match come(answer).await {
        Some(told) => say(&connection, &Notice::Presence(told)).await,
        None => {
            connection.close(0u32.into(), b"told");
            Ok(())
        }
    }
}

/// Whoever sent it in time knows that it arrived.
async fn come(mut answer: oneshot::Receiver<Sightings>) -> Option<Sightings> {
    if let Ok(come) = tokio::time::timeout(ANNOUNCED_TIME, &mut answer).await {
        return come.ok();
    }
    answer.close();
    answer.try_recv().ok()
}

/// Tells a door one thing.
pub(super) async fn notify(
    service: &Service,
    door: EndpointKey,
    place: &SupernodeAddr,
    notice: &Notice,
) -> Result<(), DialError> {
    let connection = open(service, door, place).await?;
    say(&connection, notice).await
}

async fn open(
    service: &Service,
    door: EndpointKey,
    place: &SupernodeAddr,
) -> Result<Connection, DialError> {
    dial::through_homes(
        &service.endpoint,
        |supernode| {
            let place = service.pins.place(supernode);
            service.pins.learn(&place);
            Ok(place)
        },
        door,
        std::slice::from_ref(place),
        alpn::SUPER,
        congestion::signalling(),
    )
    .await
}

async fn say(connection: &Connection, notice: &Notice) -> Result<(), DialError> {
    let told = async {
        let mut send = connection
            .open_uni()
            .await
            .map_err(|_| stream::StreamError::Lost)?;
        stream::write(&mut send, notice).await?;
        send.finish().map_err(|_| stream::StreamError::Lost)?;
        send.stopped().await.map_err(|_| stream::StreamError::Lost)
    };
    let told = tokio::time::timeout(dial::DIAL_TIME, told).await;
    connection.close(0u32.into(), b"told");
    match told {
        Ok(Ok(_)) => Ok(()),
        _ => Err(DialError::TimedOut),
    }
}
