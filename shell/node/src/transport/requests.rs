//! Asking a supernode: one connection per supernode, kept while it is used, closed after 30 s of silence (DESIGN 3.1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_store::StoreError;
use starling_wire::alpn;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{Answer, REQUEST_MAX, Refusal, Request, SupernodeAddr};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::debug;

use super::dial::DialError;
use super::front_door::FrontDoor;
use super::stream::{self, StreamError};

const ANSWER_TIME: Duration = Duration::from_secs(5);
/// A connection is closed after so much silence.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It could not be reached.
    #[error("the supernode could not be reached: {0}")]
    Dial(#[from] DialError),
    /// Our own store, before anything was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was lost while answering.
    #[error("the supernode did not answer: {0}")]
    Stream(#[from] StreamError),
    /// Too slow.
    #[error("the supernode did not answer in time")]
    TimedOut,
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// This device cannot sign for the account, and none that can has signed of late.
    #[error("this device waits for another one of yours that can sign for the account")]
    Unsigned,
    /// Its answer does not fit the question.
    #[error("the supernode's answer does not fit the question")]
    Unexpected,
}

/// Open connections to supernodes.
#[derive(Debug)]
pub struct Supernodes {
    door: Arc<FrontDoor>,
    open: Mutex<BTreeMap<EndpointKey, (Connection, Instant)>>,
}

impl Supernodes {
    /// None open yet.
    pub fn new(door: Arc<FrontDoor>) -> Self {
        Self {
            door,
            open: Mutex::default(),
        }
    }

    /// Asks; one fresh dial if the kept connection turns out to be dead.
    pub async fn ask(
        &self,
        supernode: &SupernodeAddr,
        request: &Request,
    ) -> Result<Answer, RequestError> {
        if let Some(connection) = self.kept(supernode.id).await {
            match exchange(&connection, request).await {
                Ok(answer) => return refused(answer),
                Err(RequestError::Unexpected) => return Err(RequestError::Unexpected),
                Err(_) => self.forget(supernode.id).await,
            }
        }
        let connection = self.dial(supernode, alpn::SUPER).await?;
        refused(exchange(&connection, request).await?)
    }

    /// It will be told in a moment how the person is, and may announce that (`PRESENCE-31`).
    pub async fn approach(&self, supernode: &SupernodeAddr) {
        if self.kept(supernode.id).await.is_none()
            && let Err(error) = self.dial(supernode, alpn::PUBLISH).await
        {
            debug!(%error, "a supernode could not be dialled beforehand");
        }
    }

    async fn dial(&self, supernode: &SupernodeAddr, alpn: &[u8]) -> Result<Connection, DialError> {
        let connection = self.door.dial_supernode(supernode, alpn).await?;
        self.open
            .lock()
            .await
            .insert(supernode.id, (connection.clone(), Instant::now()));
        Ok(connection)
    }

    /// A probe for silence: a new stream on the kept connection, or a dial.
    pub async fn probe(
        &self,
        supernode: &SupernodeAddr,
        request: &Request,
        limit: Duration,
    ) -> bool {
        matches!(
            tokio::time::timeout(limit, self.ask(supernode, request)).await,
            Ok(Ok(_) | Err(RequestError::Refused(_)))
        )
    }

    /// Closes what was silent for too long.
    pub async fn close_silent(&self) {
        let mut open = self.open.lock().await;
        open.retain(|_, (connection, used)| {
            let keep = used.elapsed() < SILENCE && connection.close_reason().is_none();
            if !keep {
                connection.close(0u32.into(), b"silence");
            }
            keep
        });
    }

    /// Drops a connection that is of no use any more.
    pub async fn forget(&self, supernode: EndpointKey) {
        if let Some((connection, _)) = self.open.lock().await.remove(&supernode) {
            connection.close(0u32.into(), b"renewed");
        }
    }

    async fn kept(&self, supernode: EndpointKey) -> Option<Connection> {
        let mut open = self.open.lock().await;
        let (connection, used) = open.get_mut(&supernode)?;
        if connection.close_reason().is_some() {
            return None;
        }
        *used = Instant::now();
        Some(connection.clone())
    }
}

/// One request and its answer.
pub async fn exchange(connection: &Connection, request: &Request) -> Result<Answer, RequestError> {
    let talk = async {
        let (mut send, mut receive) = connection.open_bi().await.map_err(|_| StreamError::Lost)?;
        stream::write(&mut send, request).await?;
        send.finish().map_err(|_| StreamError::Lost)?;
        stream::read::<Answer>(&mut receive, REQUEST_MAX)
            .await?
            .ok_or(StreamError::Lost)
    };
    match tokio::time::timeout(ANSWER_TIME, talk).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RequestError::TimedOut),
    }
}

fn refused(answer: Answer) -> Result<Answer, RequestError> {
    match answer {
        Answer::Refused(refusal) => Err(refusal.into()),
        answer => Ok(answer),
    }
}
