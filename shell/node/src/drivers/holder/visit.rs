//! One connection at the holder: what is asked comes in, within its bounds, and what is answered goes out as fast as the other side
//! takes it. Whoever does not take his answers is not read any further.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_protocol::mailbox::holder::{Connection as Who, Transmit};
use starling_store::{StoreError, logs};
use starling_wire::frame;
use starling_wire::ids::MailboxId;
use starling_wire::log::Head;
use starling_wire::log::frames::{Answer, Ask, LOG_FRAME_MAX};
use starling_wire::ordering::grounds::{SignedGrounded, SignedGrounds};
use starling_wire::ordering::statement::Signed;
use tokio::sync::{Notify, mpsc};
use tracing::debug;

use super::Input;
use super::rows;
use crate::db::Db;
use crate::roles::carrier::Carrier;
use crate::transport::stream::{self, StreamError};

/// Whoever connected shows within this which box it is for.
pub const ENTER_TIME: Duration = Duration::from_secs(10);
/// Whoever does not follow its box and says nothing for so long is sent away (DESIGN 3.1).
const SILENCE: Duration = Duration::from_secs(30);
/// For a body to come, and for an answer to be taken.
const BODY_TIME: Duration = Duration::from_secs(30);
/// With so many answers on their way, nothing more is read.
const ANSWERS_CALM: usize = 1_024;
/// With so many, the connection is given up.
pub const ANSWERS_MAX: usize = 4_096;
/// Bodies that were read from disk and are not sent yet; one comes in any case.
const READ_AHEAD: usize = 64 * 1024;
/// Answers looked at in one go.
const AT_ONCE: usize = 64;
/// Room for a body is made as it comes, in pieces of so many bytes.
const PIECE: usize = 64 * 1024;

/// What the loop and the connection's task know of each other.
#[derive(Debug, Default)]
pub struct Seat {
    /// The deposit key was shown: bodies are taken.
    pub deposits: AtomicBool,
    /// It is in a box.
    pub entered: AtomicBool,
    /// Answers on their way.
    pub waiting: AtomicUsize,
    taken: Notify,
}

/// What a connection's task works with.
#[derive(Debug, Clone)]
pub struct Desk {
    /// To the loop.
    pub inputs: mpsc::Sender<Input>,
    /// Where entries lie.
    pub db: Db,
    /// Signs what the holder states.
    pub key: Arc<SigningKey>,
    /// Counts what passes.
    pub carrier: Carrier,
}

/// Who it is.
#[derive(Debug)]
pub struct Visit {
    /// Its number.
    pub who: Who,
    /// The connection.
    pub connection: Connection,
    /// What is known of it.
    pub seat: Arc<Seat>,
    /// What the loop wants to be sent; when that ends, the connection ends.
    pub answers: mpsc::UnboundedReceiver<Transmit>,
}

impl Visit {
    /// Until the connection ends.
    pub async fn run(self, desk: Desk) {
        let connection = self.connection;
        connection.set_max_concurrent_uni_streams(0u32.into());
        connection.set_max_concurrent_bi_streams(1u32.into());
        let streams = tokio::time::timeout(ENTER_TIME, connection.accept_bi()).await;
        if let Ok(Ok((send, receive))) = streams {
            let reader = Reader {
                who: self.who,
                seat: Arc::clone(&self.seat),
                desk: desk.clone(),
                receive,
                follows: false,
            };
            let writer = Writer {
                connection: connection.clone(),
                seat: self.seat,
                desk: desk.clone(),
                send,
            };
            tokio::join!(reader.run(), writer.run(self.answers));
        } else {
            let _ = desk.inputs.send(Input::Gone(self.who)).await;
        }
        connection.close(0u32.into(), b"over");
    }
}

struct Reader {
    who: Who,
    seat: Arc<Seat>,
    desk: Desk,
    receive: RecvStream,
    follows: bool,
}

/// Why a connection is not read any further.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("the other side has finished")]
    Finished,
    #[error("nothing was said for a while")]
    Silent,
    #[error("a body was announced that is not taken")]
    Body,
    #[error("the holder ends")]
    Closed,
}

impl Reader {
    async fn run(mut self) {
        let ended = loop {
            if let Err(ended) = self.next().await {
                break ended;
            }
        };
        debug!(reason = %ended, "a connection at a box ends");
        if matches!(ended, Ended::Stream(StreamError::Frame(_))) {
            let _ = self.desk.inputs.send(Input::Unreadable(self.who)).await;
        }
        let _ = self.desk.inputs.send(Input::Gone(self.who)).await;
    }

    async fn next(&mut self) -> Result<(), Ended> {
        self.seat.calm().await;
        let ask = self.ask().await?;
        self.follows |= matches!(ask, Ask::Follow { .. });
        // BOX-02, BOX-08: room for a body is made only of what was checked, and for who may leave something.
        let takes = ask.check().is_ok() && self.seat.deposits.load(Ordering::Relaxed);
        let is_deposit = matches!(ask, Ask::Deposit(_));
        let body = match is_deposit && takes {
            true => self.body(ask.body_bytes()).await?,
            false => Arc::default(),
        };
        let input = Input::Asked(self.who, Box::new(ask), body);
        let sent = self.desk.inputs.send(input).await;
        sent.map_err(|_| Ended::Closed)?;
        // What follows on the stream would be the body.
        match is_deposit && !takes {
            true => Err(Ended::Body),
            false => Ok(()),
        }
    }

    async fn ask(&mut self) -> Result<Ask, Ended> {
        let read = stream::read::<Ask>(&mut self.receive, LOG_FRAME_MAX);
        if self.follows {
            return read.await?.ok_or(Ended::Finished);
        }
        let limit = match self.seat.entered.load(Ordering::Relaxed) {
            true => SILENCE,
            false => ENTER_TIME,
        };
        match tokio::time::timeout(limit, read).await {
            Ok(read) => read?.ok_or(Ended::Finished),
            Err(_) => Err(Ended::Silent),
        }
    }

    async fn body(&mut self, bytes: usize) -> Result<Arc<[u8]>, Ended> {
        let mut body = Vec::new();
        let read = async {
            while body.len() < bytes {
                let have = body.len();
                body.resize(bytes.min(have + PIECE), 0);
                let read = self.receive.read_exact(&mut body[have..]).await;
                read.map_err(|_| StreamError::Lost)?;
            }
            Ok(())
        };
        match tokio::time::timeout(BODY_TIME, read).await {
            Ok(read) => read.map(|()| body.into()),
            Err(_) => Err(Ended::Silent),
        }
    }
}

impl Seat {
    /// Until what was asked before is answered, for the most part.
    async fn calm(&self) {
        loop {
            let taken = self.taken.notified();
            if self.waiting.load(Ordering::Relaxed) <= ANSWERS_CALM {
                return;
            }
            taken.await;
        }
    }

    fn took(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        self.taken.notify_one();
    }
}

struct Writer {
    connection: Connection,
    seat: Arc<Seat>,
    desk: Desk,
    send: SendStream,
}

impl Writer {
    async fn run(mut self, mut answers: mpsc::UnboundedReceiver<Transmit>) {
        let mut some = Vec::new();
        while answers.recv_many(&mut some, AT_ONCE).await > 0 {
            let count = some.len();
            if let Err(reason) = self.write(some.drain(..).collect()).await {
                debug!(%reason, "an answer of a holder was not taken");
                self.connection.close(1u32.into(), b"slow");
                return;
            }
            self.seat.took(count);
        }
        stream::flush(&mut self.send).await;
        // Whoever is read still is not heard any more.
        self.connection.close(0u32.into(), b"over");
    }

    async fn write(&mut self, mut some: VecDeque<Transmit>) -> Result<(), WriteError> {
        let mut bytes = Vec::new();
        while let Some(next) = some.pop_front() {
            match next {
                Transmit::Entry { mailbox, number } => {
                    let run = some.iter().map_while(|one| match one {
                        Transmit::Entry { mailbox, number } => Some((*mailbox, *number)),
                        _ => None,
                    });
                    let wanted: Vec<_> = std::iter::once((mailbox, number)).chain(run).collect();
                    let read = self.entries(wanted, &mut bytes).await?;
                    some.drain(..read - 1);
                }
                other => bytes.extend(self.encoded(other).await?),
            }
            if bytes.len() >= READ_AHEAD || some.is_empty() {
                let sent = stream::write_bytes(&mut self.send, &bytes);
                tokio::time::timeout(BODY_TIME, sent).await??;
                bytes.clear();
            }
        }
        Ok(())
    }

    /// Reads some of these entries, at least one, and says how many.
    async fn entries(
        &self,
        wanted: Vec<(MailboxId, u64)>,
        bytes: &mut Vec<u8>,
    ) -> Result<usize, WriteError> {
        let numbers: Vec<u64> = wanted.iter().map(|(_, number)| *number).collect();
        let read = self
            .desk
            .db
            .read(move |tx| rows::bodies(tx, &wanted, READ_AHEAD));
        let read = read.await?;
        let mut sent = 0;
        for (entry, number) in read.iter().zip(numbers) {
            // What has gone meanwhile is left out.
            if let Some((head, body)) = entry {
                put_item(bytes, number, *head, body);
                sent += body.len();
            }
        }
        self.desk.carrier.meter().letter_sent(sent as u64);
        Ok(read.len())
    }

    async fn encoded(&self, one: Transmit) -> Result<Vec<u8>, WriteError> {
        let key = &self.desk.key;
        let answer = match one {
            Transmit::Answer(answer) => answer,
            Transmit::Receipt(receipt) => Answer::Receipt(Signed::new(receipt, key)),
            Transmit::Promise(promise) => {
                let (mailbox, slot) = (promise.seat.mailbox, promise.slot);
                let read = move |tx: &starling_store::Tx<'_>| logs::grounds(tx, mailbox, slot);
                let grounds = match promise.accepted {
                    Some(_) => self.desk.db.read(read).await?,
                    None => SignedGrounds::default(),
                };
                // Where something else was agreed to meanwhile, or settled, the asker takes it for no answer and asks again.
                Answer::Promise(Box::new(SignedGrounded {
                    promise: Signed::new(promise, key),
                    grounds,
                }))
            }
            Transmit::Vote(vote) => Answer::Vote(Signed::new(vote, key)),
            Transmit::Certificate { mailbox, slot } => {
                let read = move |tx: &starling_store::Tx<'_>| logs::certificate(tx, mailbox, slot);
                match self.desk.db.read(read).await? {
                    Some(certificate) => Answer::Settled(Box::new(certificate)),
                    None => return Ok(Vec::new()),
                }
            }
            Transmit::Entry { .. } => return Ok(Vec::new()),
        };
        Ok(frame::encode(&answer))
    }
}

fn put_item(bytes: &mut Vec<u8>, number: u64, head: Head, body: &[u8]) {
    bytes.extend(frame::encode(&Answer::Item { number, head }));
    bytes.extend_from_slice(body);
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("it was not taken in time")]
    Slow(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Store(#[from] StoreError),
}
