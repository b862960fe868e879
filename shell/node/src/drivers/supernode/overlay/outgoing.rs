//! What is on its way to other supernodes and to the disk: bounded, with what comes of it as a [`Done`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use starling_protocol::index::Transmit;
use starling_protocol::index::holder::Persist;
use starling_protocol::index::resolver::LookupId;
use starling_protocol::overlay::membership::Message;
use starling_store::{StoreError, Tx, index_records};
use starling_wire::descriptor::{SignedDescriptor, VerifiedDescriptor};
use starling_wire::ids::EndpointKey;
use starling_wire::overlay::{Question, Reply, Word};
use starling_wire::placement::IndexKey;
use starling_wire::record::VerifiedRecord;
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::db::Db;
use crate::transport::overlay::{OverlayLinks, Peer, Place};

/// On their way at once.
const RUNNING_MAX: usize = 500;
/// Waiting for their turn; beyond it, what is said is lost, as a packet may be.
const WAITING_MAX: usize = 20_000;

/// Called when a commit is on disk, or failed.
pub(super) type After = Box<dyn FnOnce(bool) + Send>;

/// What came of something that was on its way.
pub(super) enum Done {
    /// Something was said, or the supernode could not be reached.
    Said(EndpointKey, bool),
    /// A holder answered, or did not.
    Asked(LookupId, EndpointKey, Option<Reply>),
    /// A supernode we were told of described itself, or did not.
    Introduced(SupernodeAddr, Option<SignedDescriptor>),
    /// What had to be on disk first is, records up to these numbers: now this may be said.
    Committed(
        Vec<(IndexKey, u64)>,
        Vec<Transmit<EndpointKey, VerifiedRecord>>,
    ),
    /// Something was written that nobody waits for.
    Noted,
}

/// Everything on its way.
#[derive(Default)]
pub(super) struct Outgoing {
    running: JoinSet<Done>,
    waiting: VecDeque<(Arc<OverlayLinks>, Peer, Saying)>,
    when_empty: Option<oneshot::Sender<()>>,
}

enum Saying {
    Word(Word),
    Put(Question),
}

impl Outgoing {
    /// What came of the next; `None` when nothing is on its way.
    pub(super) async fn next(&mut self) -> Option<Done> {
        let done = self.running.join_next().await;
        self.go_on();
        match done? {
            Ok(done) => Some(done),
            Err(_) => Some(Done::Noted),
        }
    }

    /// Something that needs no answer.
    pub(super) fn say(&mut self, links: &Arc<OverlayLinks>, to: Peer, word: Word) {
        self.queue(links, to, Saying::Word(word));
    }

    /// A record; whether it was kept is the holder's business.
    pub(super) fn put(&mut self, links: &Arc<OverlayLinks>, to: Peer, question: Question) {
        self.queue(links, to, Saying::Put(question));
    }

    fn queue(&mut self, links: &Arc<OverlayLinks>, to: Peer, saying: Saying) {
        if self.waiting.len() >= WAITING_MAX {
            debug!(
                reason = "too much to say",
                "dropped a message to a supernode"
            );
            return;
        }
        self.waiting.push_back((Arc::clone(links), to, saying));
        self.go_on();
    }

    fn go_on(&mut self) {
        while self.running.len() < RUNNING_MAX
            && let Some((links, to, saying)) = self.waiting.pop_front()
        {
            self.running.spawn(async move {
                let said = match saying {
                    Saying::Word(word) => links.say(&to, &word).await,
                    Saying::Put(question) => links.ask(&to, &question).await.map(|_| ()),
                };
                Done::Said(to.key, said.is_ok())
            });
        }
        if self.running.is_empty()
            && self.waiting.is_empty()
            && let Some(told) = self.when_empty.take()
        {
            let _ = told.send(());
        }
    }

    /// Tells when nothing is on its way any more.
    pub(super) fn call_when_empty(&mut self, told: oneshot::Sender<()>) {
        self.when_empty = Some(told);
        self.go_on();
    }

    /// A look-up's question. People wait for it, so it waits for nobody; look-ups are bounded.
    pub(super) fn ask(
        &mut self,
        links: &Arc<OverlayLinks>,
        id: LookupId,
        holder: Peer,
        question: Question,
    ) {
        let links = Arc::clone(links);
        self.running.spawn(async move {
            let reply = links.ask(&holder, &question).await.ok();
            Done::Asked(id, holder.key, reply)
        });
    }

    /// A packet to whoever asked for one.
    pub(super) fn answer_knock(
        &mut self,
        links: &Arc<OverlayLinks>,
        to: EndpointKey,
        at: SocketAddr,
    ) {
        let links = Arc::clone(links);
        self.running.spawn(async move {
            links.answer_knock(to, at).await;
            Done::Noted
        });
    }

    /// "Who are you?"
    pub(super) fn introduce(&mut self, links: &Arc<OverlayLinks>, supernode: SupernodeAddr) {
        let links = Arc::clone(links);
        self.running.spawn(async move {
            let at = supernode.clone();
            let one = Peer {
                key: at.id,
                place: Some(Place::of(at)),
            };
            let described = match links.ask(&one, &Question::Describe).await {
                Ok(Reply::Description(signed)) => Some(*signed),
                Ok(_) => None,
                Err(error) => {
                    debug!(%error, supernode = %supernode.tcp, "a supernode did not answer");
                    None
                }
            };
            Done::Introduced(supernode, described)
        });
    }

    /// Writes what the index wants to have on disk; `transmits` may be said after it.
    pub(super) fn commit(
        &mut self,
        db: &Db,
        persists: Vec<Persist<VerifiedRecord>>,
        transmits: Vec<Transmit<EndpointKey, VerifiedRecord>>,
        after: Option<After>,
    ) {
        let kept = kept(&persists);
        // Asked for here and not in the task: two changes of one record reach the disk in their order.
        let written = db.write(move |tx| persist(tx, &persists));
        self.running.spawn(async move {
            let written = written.await;
            if let Err(error) = &written {
                warn!(%error, "the index could not be written");
            }
            if let Some(after) = after {
                after(written.is_ok());
            }
            match written {
                Ok(()) => Done::Committed(kept, transmits),
                Err(_) => Done::Noted,
            }
        });
    }

    /// Writes something that nobody waits for.
    pub(super) fn write<F>(&mut self, db: &Db, work: F)
    where
        F: FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let written = db.write(work);
        self.running.spawn(async move {
            if let Err(error) = written.await {
                warn!(%error, "the host cache could not be written");
            }
            Done::Noted
        });
    }
}

fn persist(tx: &Tx<'_>, persists: &[Persist<VerifiedRecord>]) -> Result<(), StoreError> {
    for persist in persists {
        match persist {
            Persist::Keep(record) => {
                index_records::keep(tx, record.key(), record.signed())?;
            }
            Persist::Forget(key) => index_records::forget(tx, *key)?,
        }
    }
    Ok(())
}

/// The records to be kept, and their numbers.
fn kept(persists: &[Persist<VerifiedRecord>]) -> Vec<(IndexKey, u64)> {
    let kept = persists.iter().filter_map(|persist| match persist {
        Persist::Keep(record) => Some((record.key(), record.signed().order())),
        Persist::Forget(_) => None,
    });
    kept.collect()
}

/// What the list of members has to say, as it goes over a link.
pub(super) fn word(message: Message<VerifiedDescriptor>) -> Word {
    let signed = |one: VerifiedDescriptor| one.signed().clone();
    match message {
        Message::Gossip(packet) => Word::Gossip(packet),
        Message::Describe(keys) => Word::Describe(keys),
        Message::Descriptions(list) => Word::Descriptions(list.into_iter().map(signed).collect()),
        Message::Digest(digest) => Word::Digest(digest.to_vec()),
        Message::DigestBack(digest) => Word::DigestBack(digest.to_vec()),
        Message::Listed(list) => {
            let list = list.into_iter();
            Word::Listed(list.map(|(one, life)| (signed(one), life)).collect())
        }
        Message::Ping => Word::Ping,
        Message::Pong(load) => Word::Pong(load),
    }
}
