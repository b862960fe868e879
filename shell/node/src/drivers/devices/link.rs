//! Streams with own devices: the first frame says what for, then a task reads into the set and a task writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_protocol::device::sync::LinkId;
use starling_wire::frame;
use starling_wire::ids::{DeviceId, EndpointKey};
use starling_wire::peer::{LINK_FRAME_MAX, LinkFrame};
use starling_wire::sync::{SYNC_FRAME_MAX, SyncFrame};
use tokio::sync::mpsc;
use tracing::debug;

use super::Devices;
use crate::clock::wall_ms;
use crate::transport::front_door::Visitor;
use crate::transport::stream;

/// Frames that wait for a device: the largest set in frames of 64 kB, and changes meanwhile.
const UNWRITTEN_MAX: usize = 2_048;
/// Whoever opened a connection says within this time what for.
const OPEN_TIME: Duration = Duration::from_secs(10);

/// The open ones.
#[derive(Debug, Default)]
pub struct Links {
    last: AtomicU64,
    open: Mutex<BTreeMap<LinkId, Link>>,
}

#[derive(Debug)]
struct Link {
    device: DeviceId,
    /// Dropping it ends the writer, which flushes and closes.
    unwritten: mpsc::Sender<Vec<u8>>,
}

impl Links {
    /// Whether there is one with this device.
    pub fn has(&self, device: DeviceId) -> bool {
        self.lock().values().any(|link| link.device == device)
    }

    /// Queues a frame. Who does not read is left.
    pub fn send(&self, link: LinkId, frame: &SyncFrame) {
        let mut open = self.lock();
        let full = |link: &Link| link.unwritten.try_send(frame::encode(frame)).is_err();
        if open.get(&link).is_some_and(full) {
            open.remove(&link);
        }
    }

    /// Closes it once what was sent is flushed.
    pub fn close(&self, link: LinkId) {
        self.lock().remove(&link);
    }

    /// The same with all.
    pub fn close_all(&self) {
        self.lock().clear();
    }

    fn add(&self, device: DeviceId, unwritten: mpsc::Sender<Vec<u8>>) -> LinkId {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Link { device, unwritten });
        id
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LinkId, Link>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Devices {
    /// Hears what a connection is for, and serves it to its end.
    pub(super) async fn admit(
        self: &Arc<Self>,
        visitor: Visitor,
        key: EndpointKey,
        connection: Connection,
    ) {
        let opening = async {
            let (send, mut receive) = connection.accept_bi().await.ok()?;
            let frame = stream::read::<LinkFrame>(&mut receive, LINK_FRAME_MAX).await;
            Some((send, receive, frame.ok()??))
        };
        let opened = tokio::time::timeout(OPEN_TIME, opening).await;
        let Ok(Some((send, receive, first))) = opened else {
            return connection.close(1u32.into(), b"silent");
        };
        match (visitor, first) {
            (Visitor::Own(device), LinkFrame::Sync) => {
                self.serve(device, connection, send, receive).await;
            }
            (Visitor::Removed, LinkFrame::Sync) => {
                self.tell_removed(send).await;
                connection.close(1u32.into(), b"removed");
            }
            (_, LinkFrame::Pair) => self.pair(key, connection, send, receive).await,
            _ => connection.close(1u32.into(), b"not here"),
        }
    }

    /// A connection that we opened becomes a link.
    pub(super) async fn open(
        self: &Arc<Self>,
        device: DeviceId,
        connection: Connection,
    ) -> Option<()> {
        let (mut send, receive) = connection.open_bi().await.ok()?;
        stream::write(&mut send, &LinkFrame::Sync).await.ok()?;
        let devices = Arc::clone(self);
        self.spawn(async move { devices.serve(device, connection, send, receive).await });
        Some(())
    }

    /// Until it ends. Then the device is looked for again if there is more to tell.
    async fn serve(
        self: &Arc<Self>,
        device: DeviceId,
        connection: Connection,
        send: SendStream,
        receive: RecvStream,
    ) {
        let (unwritten, queue) = mpsc::channel(UNWRITTEN_MAX);
        let link = self.links.add(device, unwritten);
        debug!(device = %device.short(), "linked with another own device");
        let writer = tokio::spawn(stream::write_queued(connection.clone(), send, queue));
        let set = Arc::clone(&self.ctx.own_set);
        let up = self.ctx.db.write(move |tx| set.link_up(tx, link, device));
        if up.await.is_ok() {
            self.read(link, receive).await;
        }
        self.links.close(link);
        let set = Arc::clone(&self.ctx.own_set);
        let down = self.ctx.db.write(move |tx| set.link_down(tx, link));
        if let Err(error) = down.await {
            debug!(%error, "a link with an own device ended badly");
        }
        // It flushes what was said last.
        let _ = writer.await;
        debug!(device = %device.short(), "the link with another own device ended");
    }

    async fn read(&self, link: LinkId, mut receive: RecvStream) {
        loop {
            match stream::read::<SyncFrame>(&mut receive, SYNC_FRAME_MAX).await {
                Ok(Some(frame)) => {
                    let set = Arc::clone(&self.ctx.own_set);
                    let heard = self.ctx.db.write(move |tx| set.heard(tx, link, frame));
                    if let Err(error) = heard.await {
                        debug!(%error, "what an own device said could not be stored");
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    debug!(%error, "a link with an own device was lost");
                    return;
                }
            }
        }
    }

    /// A device that was removed and does not know it is shown the account's card, and nothing else.
    async fn tell_removed(&self, mut send: SendStream) {
        let identity = self.ctx.identity.get();
        let Some(card) = identity.seen.clone() else {
            return;
        };
        let card = SyncFrame::Card {
            card: Box::new(card),
            clock: wall_ms(),
            wants_key: false,
        };
        if stream::write(&mut send, &card).await.is_ok() {
            stream::flush(&mut send).await;
        }
    }
}
