//! Signalling streams between front doors: one bidirectional stream each, a task that reads and a task that writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_protocol::call::calls::LinkId;
use starling_wire::alpn;
use starling_wire::call::{CALL_FRAME_MAX, CallFrame, EndReason};
use starling_wire::card::Door;
use starling_wire::frame;
use starling_wire::ids::{AccountId, CallId, DeviceId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::debug;

use super::Input;
use super::task::Task;
use crate::clock::random;
use crate::context::Context;
use crate::drivers::turns::Turn;
use crate::transport::stream;

/// Frames that wait for a slow peer; a call has a handful.
const OUTBOX: usize = 32;
/// A contact that opened a connection opens its stream, and says what for, within this.
const ACCEPT_TIME: Duration = Duration::from_secs(10);
/// Whoever may not call hears it ring for so long at least, and at most as long again and two seconds.
const DECLINE_AFTER: Duration = Duration::from_secs(3);

/// A stream that was opened.
pub struct Opened {
    /// The other side.
    pub owner: AccountId,
    /// The stream's connection; it carries nothing else.
    pub connection: Connection,
    /// To them.
    pub send: SendStream,
    /// From them.
    pub receive: RecvStream,
    /// Theirs; given back when the stream is closed. None for one that we opened.
    pub turn: Option<Turn<AccountId>>,
}

/// The open ones.
pub struct Links {
    next: LinkId,
    open: BTreeMap<LinkId, Link>,
    writers: JoinSet<()>,
    inputs: mpsc::Sender<Input>,
}

struct Link {
    owner: AccountId,
    connection: Connection,
    /// Dropping it ends the writer, which flushes and closes.
    outbox: mpsc::Sender<Vec<u8>>,
}

impl Links {
    pub fn new(inputs: mpsc::Sender<Input>) -> Self {
        Self {
            next: 0,
            open: BTreeMap::new(),
            writers: JoinSet::new(),
            inputs,
        }
    }

    /// Takes a stream; its frames come as inputs from now on.
    pub fn add(&mut self, opened: Opened) -> LinkId {
        self.next += 1;
        let (outbox, frames) = mpsc::channel(OUTBOX);
        while self.writers.try_join_next().is_some() {}
        let Opened {
            owner,
            connection,
            send,
            receive,
            turn,
        } = opened;
        let link = Link {
            owner,
            connection: connection.clone(),
            outbox,
        };
        self.writers.spawn(async move {
            stream::write_queued(connection, send, frames).await;
            drop(turn);
        });
        tokio::spawn(read(self.next, receive, self.inputs.clone()));
        self.open.insert(self.next, link);
        self.next
    }

    pub fn owner(&self, link: LinkId) -> Option<AccountId> {
        self.open.get(&link).map(|link| link.owner)
    }

    pub fn send(&mut self, link: LinkId, frame: &CallFrame) {
        let full = self
            .open
            .get(&link)
            .is_some_and(|open| open.outbox.try_send(frame::encode(frame)).is_err());
        if full {
            debug!(reason = "peer does not read", "closed a signalling stream");
            self.open.remove(&link);
        }
    }

    /// Closes it once what was sent is flushed.
    pub fn close(&mut self, link: LinkId) {
        self.open.remove(&link);
    }

    /// Closes it at once: nobody is heard.
    pub fn cut(&mut self, link: LinkId) {
        if let Some(link) = self.open.remove(&link) {
            link.connection.close(1u32.into(), b"silent");
        }
    }

    /// Closes all and waits until what was said has arrived, for [`stream::FLUSH_TIME`] at most.
    pub async fn flush(&mut self) {
        self.open.clear();
        while self.writers.join_next().await.is_some() {}
    }

    /// It ended by itself.
    pub fn forget(&mut self, link: LinkId) {
        self.open.remove(&link);
    }
}

async fn read(link: LinkId, mut receive: RecvStream, inputs: mpsc::Sender<Input>) {
    loop {
        let frame = match stream::read::<CallFrame>(&mut receive, CALL_FRAME_MAX).await {
            Ok(Some(frame)) if frame.fits() => frame,
            Ok(Some(_)) => {
                debug!(reason = "malformed", "a call frame broke its bounds");
                break;
            }
            Ok(None) => break,
            Err(error) => {
                debug!(%error, "a signalling stream ended");
                break;
            }
        };
        if inputs.send(Input::Frame(link, frame)).await.is_err() {
            return;
        }
    }
    let _ = inputs.send(Input::LinkLost(link)).await;
}

/// `CALL-21`: a contact's connection counts when its stream is open and the first frame says what for.
pub async fn accept(turn: Turn<AccountId>, connection: Connection, inputs: mpsc::Sender<Input>) {
    let begin = async {
        let (send, mut receive) = connection.accept_bi().await.ok()?;
        let frame = stream::read::<CallFrame>(&mut receive, CALL_FRAME_MAX).await;
        let frame = frame.ok().flatten().filter(CallFrame::fits)?;
        Some((send, receive, frame))
    };
    match tokio::time::timeout(ACCEPT_TIME, begin).await {
        Ok(Some((send, receive, frame))) => {
            let opened = Opened {
                owner: turn.key(),
                connection,
                send,
                receive,
                turn: Some(turn),
            };
            let _ = inputs.send(Input::Knock(opened, frame)).await;
        }
        Ok(None) => connection.close(1u32.into(), b"malformed"),
        Err(_) => connection.close(1u32.into(), b"silent"),
    }
}

/// Until the caller hangs up; where its sound comes from is not heard.
async fn given_up(receive: &mut RecvStream) {
    while let Ok(Some(frame)) = stream::read::<CallFrame>(receive, CALL_FRAME_MAX).await {
        if matches!(frame, CallFrame::End { .. }) {
            return;
        }
    }
}

/// `CONTACT-04`: it rings at the caller for a while, and then somebody says no. Nobody here hears of it.
pub async fn decline(turn: Turn<AccountId>, connection: Connection) {
    let talk = async {
        let (mut send, mut receive) = connection.accept_bi().await.ok()?;
        let frame = stream::read::<CallFrame>(&mut receive, CALL_FRAME_MAX).await;
        frame.ok().flatten().filter(CallFrame::fits)?;
        let ringing = CallFrame::Ringing { inner: None };
        stream::write(&mut send, &ringing).await.ok()?;
        let [tenths] = random::<1>();
        let thinking = DECLINE_AFTER + Duration::from_millis(20) * u32::from(tenths);
        tokio::select! {
            () = tokio::time::sleep(thinking) => {}
            () = given_up(&mut receive) => return None,
        }
        let reason = EndReason::Declined;
        stream::write(&mut send, &CallFrame::End { reason })
            .await
            .ok()?;
        stream::flush(&mut send).await;
        Some(())
    };
    let _ = tokio::time::timeout(ACCEPT_TIME + DECLINE_AFTER * 4, talk).await;
    connection.close(0u32.into(), b"done");
    drop(turn);
}

/// Opens a stream to each of a contact's front doors, or to that of the device that was answering, and says when all have been
/// tried. One that we were talking to is sought by all its homes at once.
pub fn dial(task: &mut Task, call: CallId, peer: AccountId, device: Option<DeviceId>) {
    let (ctx, inputs) = (Arc::clone(&task.ctx), task.inputs.clone());
    let was_heard = task.voice(call).is_some();
    task.tasks.spawn(async move {
        let person = ctx.book.person(peer);
        let doors = person.iter().flat_map(|person| person.doors());
        let meant = doors.filter(|door| device.is_none_or(|device| door.device == device));
        let opening = meant.map(|door| open(&ctx, peer, door, was_heard));
        let mut opening: FuturesUnordered<_> = opening.collect();
        while let Some(opened) = opening.next().await {
            if let Some((device, opened)) = opened {
                let _ = inputs.send(Input::Linked(call, device, opened)).await;
            }
        }
        let _ = inputs.send(Input::Dialled(call)).await;
    });
}

async fn open(
    ctx: &Context,
    owner: AccountId,
    door: &Door,
    was_heard: bool,
) -> Option<(DeviceId, Opened)> {
    let dialled = if was_heard {
        ctx.door.seek(door, alpn::CALL).await
    } else {
        ctx.door.dial(door, alpn::CALL).await
    };
    let connection = match dialled {
        Ok(connection) => connection,
        Err(error) => {
            debug!(%error, "a front door does not answer a call");
            return None;
        }
    };
    let (send, receive) = connection.open_bi().await.ok()?;
    let opened = Opened {
        owner,
        connection,
        send,
        receive,
        turn: None,
    };
    Some((door.device, opened))
}
