//! One contact's conversation: the task that feeds [`starling_chat::Conversation`] and carries out what it wants, in the
//! order of the loop contract. It ends when there is nothing to say and nobody connected.

use std::collections::BTreeMap;
use std::sync::Arc;

use iroh::endpoint::Connection;
use starling_chat::conversation::LINKS_MAX;
use starling_chat::{
    Batch, CloseReason, Conversation as Machine, Event as Wish, LinkId, Load, Outcome, Reach,
};
use starling_control::Event;
use starling_store::{StoreError, messages, outbox};
use starling_wire::chat::ChatFrame;
use starling_wire::ids::{AccountId, MessageId};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::{trace, warn};

use super::link::{self, Ends, Heard, Link};
use super::{News, Open};
use crate::book;
use crate::clock::wall_ms;
use crate::context::Context;
use crate::drivers::views;

/// Frames read and not handled yet, all links together: with the longest texts 4 MiB.
const UNHANDLED_MAX: usize = 256;
/// Waiting messages that are shown anew when they begin to go or to wait: more than a page of a client's listing.
const SHOWN_ANEW: u32 = 100;

/// What others give to the task.
pub(super) struct Inputs {
    pub news: watch::Receiver<News>,
    pub arrivals: mpsc::Receiver<Connection>,
}

/// A connection that is there, or is not.
enum Opened {
    Dialled(Option<Ends>),
    Accepted(Option<Ends>),
}

struct Conversation {
    ctx: Arc<Context>,
    account: AccountId,
    machine: Machine,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    /// Dials and accepted connections under way.
    opening: JoinSet<Opened>,
    /// The links' readers and writers.
    pumps: JoinSet<()>,
    heard: mpsc::Sender<Heard>,
    /// Whether messages that wait were last shown as being on their way.
    going: bool,
    /// What the machine wants to read next.
    load: Option<Load>,
    /// Messages that are new or were delivered and not shown yet.
    changed: Vec<MessageId>,
}

/// Runs until there is nothing to do, or until the other end of `inputs` is dropped.
pub(super) async fn run(
    ctx: Arc<Context>,
    open: Arc<Open>,
    account: AccountId,
    mut inputs: Inputs,
) {
    let (heard, mut hearing) = mpsc::channel(UNHANDLED_MAX);
    let mut conversation = Conversation {
        ctx,
        account,
        machine: Machine::default(),
        links: BTreeMap::new(),
        next_link: 0,
        opening: JoinSet::new(),
        pumps: JoinSet::new(),
        heard,
        going: false,
        load: None,
        changed: Vec::new(),
    };
    let mut known = News::default();
    conversation.going = conversation.is_going();
    conversation.presence().await;
    loop {
        let idle = conversation.machine.is_idle() && conversation.opening.is_empty();
        if idle && open.leave(account, &inputs) {
            break;
        }
        let deadline = conversation.machine.poll_timeout();
        let wake = deadline.map(|deadline| conversation.ctx.clock.instant(deadline.at));
        tokio::select! {
            changed = inputs.news.changed() => {
                if changed.is_err() {
                    break;
                }
                let news = *inputs.news.borrow_and_update();
                let before = std::mem::replace(&mut known, news);
                conversation.news(before, news).await;
            }
            Some(connection) = inputs.arrivals.recv() => conversation.accept(connection),
            Some(opened) = conversation.opening.join_next(), if !conversation.opening.is_empty() => {
                conversation.opened(opened).await;
            }
            Some(first) = hearing.recv(), if conversation.machine.has_room() => {
                let mut batch = vec![first];
                while batch.len() < UNHANDLED_MAX && let Ok(more) = hearing.try_recv() {
                    batch.push(more);
                }
                conversation.heard(batch).await;
            }
            () = crate::clock::sleep_until(wake) => {
                trace!(reason = ?deadline.map(|deadline| deadline.reason), "woken");
                conversation.machine.handle_timeout(conversation.ctx.clock.now());
                conversation.drain().await;
            }
        }
    }
    conversation.set_linked(false);
}

impl Conversation {
    async fn news(&mut self, before: News, news: News) {
        if before.presence != news.presence {
            self.presence().await;
        }
        if before.written != news.written {
            self.machine.handle_written(self.ctx.clock.now());
            self.drain().await;
        }
    }

    /// The book says how the contact is reached now.
    async fn presence(&mut self) {
        let reach = self.ctx.book.person(self.account).map(|p| p.reach);
        let reach = match reach.unwrap_or_default() {
            book::Reach::Here => Reach::Online,
            book::Reach::Gone => Reach::Offline,
            book::Reach::Unknown => Reach::Unknown,
        };
        self.machine.handle_reach(reach, self.ctx.clock.now());
        self.drain().await;
        self.show_waiting().await;
    }

    fn accept(&mut self, connection: Connection) {
        if self.opening.len() > LINKS_MAX {
            connection.close(link::REFUSED, b"too many");
            return;
        }
        self.opening
            .spawn(async move { Opened::Accepted(link::accept(connection).await) });
    }

    async fn opened(&mut self, opened: Result<Opened, JoinError>) {
        let now = self.ctx.clock.now();
        match opened {
            Ok(Opened::Dialled(Some(ends)) | Opened::Accepted(Some(ends))) => {
                while self.pumps.try_join_next().is_some() {}
                self.next_link += 1;
                let id = LinkId(self.next_link);
                let link = Link::start(id, ends, &self.ctx, self.heard.clone(), &mut self.pumps);
                self.links.insert(id, link);
                self.machine.handle_link_up(id, now);
            }
            Ok(Opened::Accepted(None)) => return,
            Ok(Opened::Dialled(None)) | Err(_) => self.machine.handle_dial_failed(now),
        }
        self.drain().await;
    }

    async fn heard(&mut self, batch: Vec<Heard>) {
        let mut frames: Vec<(LinkId, ChatFrame)> = Vec::with_capacity(batch.len());
        let mut gone = Vec::new();
        for (link, frame) in batch {
            match frame {
                Some(frame) => frames.push((link, frame)),
                None => gone.push(link),
            }
        }
        if !frames.is_empty() {
            self.machine.handle_frames(frames, self.ctx.clock.now());
            self.drain().await;
        }
        for link in gone {
            self.links.remove(&link);
            self.machine.handle_link_down(link, self.ctx.clock.now());
            self.drain().await;
        }
    }

    /// Carries out what the machine wants until it wants nothing: what is to be durable is committed before anything of
    /// the same drain is sent. The store's answers are the machine's next inputs.
    async fn drain(&mut self) {
        loop {
            let stored = match self.machine.poll_persist() {
                Some(batch) => Some(self.commit(batch).await),
                None => None,
            };
            while let Some(transmit) = self.machine.poll_transmit() {
                if let Some(link) = self.links.get(&transmit.link) {
                    link.send(&transmit.frame);
                }
            }
            while let Some(wish) = self.machine.poll_event() {
                self.act(wish).await;
            }
            self.show_changed().await;
            match (stored, self.load.take()) {
                (Some(stored), load) => {
                    self.load = load;
                    self.persisted(stored);
                }
                (None, Some(load)) => self.read_outbox(load).await,
                (None, None) => return,
            }
        }
    }

    async fn act(&mut self, wish: Wish) {
        match wish {
            Wish::Load(load) => self.load = Some(load),
            Wish::Dial => {
                let (ctx, account) = (Arc::clone(&self.ctx), self.account);
                self.opening
                    .spawn(async move { Opened::Dialled(link::dial(&ctx, account).await) });
            }
            Wish::Close(link, reason) => self.close(link, reason),
            Wish::Arrived(ids) | Wish::Delivered(ids) => self.changed.extend(ids),
            Wish::Linked(linked) => {
                self.set_linked(linked);
                self.show_waiting().await;
            }
        }
    }

    fn close(&mut self, link: LinkId, reason: CloseReason) {
        if let Some(link) = self.links.remove(&link) {
            link.close(reason);
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Outcome, StoreError> {
        let account = self.account;
        self.ctx
            .db
            .write(move |tx| messages::commit(tx, account, &batch, wall_ms()))
            .await
    }

    fn persisted(&mut self, stored: Result<Outcome, StoreError>) {
        let now = self.ctx.clock.now();
        match stored {
            Ok(outcome) => self.machine.handle_persisted(outcome, now),
            Err(error) => {
                warn!(%error, "messages could not be stored; they are asked for again");
                self.machine.handle_store_failed(now);
            }
        }
    }

    async fn read_outbox(&mut self, load: Load) {
        let account = self.account;
        let read = self
            .ctx
            .db
            .read(move |tx| outbox::pending(tx, account, load.after, load.limit))
            .await;
        let now = self.ctx.clock.now();
        match read {
            Ok((found, last)) => self.machine.handle_loaded(load.number, found, last, now),
            Err(error) => {
                warn!(%error, "waiting messages could not be read");
                self.machine.handle_store_failed(now);
            }
        }
    }

    /// Whether a message that waits is shown as being on its way.
    fn is_going(&self) -> bool {
        self.ctx
            .book
            .person(self.account)
            .is_some_and(|person| views::is_going(&person))
    }

    fn set_linked(&self, linked: bool) {
        self.ctx
            .book
            .change(self.account, |person| person.linked = linked);
    }

    /// The newest waiting messages begin to go, or to wait: clients are told.
    async fn show_waiting(&mut self) {
        let going = self.is_going();
        if std::mem::replace(&mut self.going, going) == going {
            return;
        }
        let account = self.account;
        let waiting = self
            .ctx
            .db
            .read(move |tx| outbox::newest(tx, account, SHOWN_ANEW))
            .await;
        self.show(waiting);
    }

    async fn show_changed(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        let (account, ids) = (self.account, std::mem::take(&mut self.changed));
        let changed = self.ctx.db.read(move |tx| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(messages::get(tx, account, id)?);
            }
            Ok(found)
        });
        self.show(changed.await);
        views::announce_contact(&self.ctx, account).await;
    }

    fn show(&self, messages: Result<Vec<messages::Message>, StoreError>) {
        match messages {
            Ok(messages) => {
                for message in messages {
                    let view = views::message(&self.ctx, message);
                    self.ctx.emit(Event::Message(view));
                }
            }
            // They are stored; a client that asks finds them.
            Err(error) => warn!(%error, "messages could not be shown"),
        }
    }
}
