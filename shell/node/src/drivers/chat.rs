//! Chat: one task per contact that has something to say or to hear. Messages wait in the store until their receipt has
//! come; a connection lives while it is used and 30 s longer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_control::{ErrorKind, Event, Failure, view};
use starling_store::{StoreError, messages, outbox};
use starling_wire::alpn;
use starling_wire::chat::{CHAT_FRAME_MAX, ChatFrame, ChatMessage, check_text};
use starling_wire::frame;
use starling_wire::ids::{AccountId, MessageId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use super::views;
use crate::book::Relation;
use crate::clock::{random, wall_ms};
use crate::context::{Context, store_failure};
use crate::traffic::Purpose;
use crate::transport::stream;

/// Messages sent and not yet receipted.
const WINDOW: usize = 512;
/// Messages read from the store at once, and frames handled in one transaction.
const BATCH: usize = 256;
const SILENCE: Duration = Duration::from_secs(30);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
const INBOX: usize = 64;

/// All conversations.
#[derive(Debug)]
pub struct Chat {
    ctx: Arc<Context>,
    conversations: Mutex<BTreeMap<AccountId, mpsc::Sender<Input>>>,
}

#[derive(Debug)]
enum Input {
    /// Something was put into the outbox.
    Written,
    /// The contact's presence changed.
    Presence(view::Presence),
    /// The contact opened a connection.
    Arrival(Connection),
}

impl Chat {
    /// For a session; conversations with waiting messages are resumed at once.
    pub async fn start(ctx: Arc<Context>) -> Result<Self, StoreError> {
        let chat = Self {
            conversations: Mutex::default(),
            ctx,
        };
        for account in chat.ctx.db.read(outbox::contacts).await? {
            chat.tell(account, Input::Written);
        }
        Ok(chat)
    }

    /// Stores a message; it goes when it can.
    pub async fn send(&self, account: AccountId, text: &str) -> Result<view::Message, Failure> {
        check_text(text).map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
        if self.ctx.person(account)?.relation != Relation::Contact {
            let sentence = "messages go to accepted contacts only; this person has not accepted yet, or is blocked";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let message = ChatMessage {
            id: MessageId(random()),
            sent_at: wall_ms(),
            text: text.to_owned(),
        };
        let stored = self.ctx.db.write(move |tx| {
            messages::insert_outgoing(tx, account, &message, wall_ms())?;
            messages::get(tx, account, message.id)
        });
        let stored = stored.await.map_err(store_failure)?;
        let stored =
            stored.ok_or_else(|| Failure::new(ErrorKind::System, "the message was not stored"))?;
        let view = views::message(&self.ctx, stored);
        self.ctx.emit(Event::Message(view.clone()));
        self.tell(account, Input::Written);
        Ok(view)
    }

    /// A page of a conversation, oldest first.
    pub async fn log(
        &self,
        account: AccountId,
        limit: u32,
        before: Option<MessageId>,
    ) -> Result<Vec<view::Message>, Failure> {
        let page = self
            .ctx
            .db
            .read(move |tx| messages::page(tx, account, before, limit))
            .await;
        Ok(page
            .map_err(store_failure)?
            .into_iter()
            .map(|message| views::message(&self.ctx, message))
            .collect())
    }

    /// Everything of that contact was seen.
    pub async fn read(&self, account: AccountId) -> Result<(), Failure> {
        let seen = self
            .ctx
            .db
            .write(move |tx| messages::mark_seen(tx, account))
            .await
            .map_err(store_failure)?;
        if seen > 0 {
            views::announce_contact(&self.ctx, account).await;
        }
        Ok(())
    }

    /// The contact opened a connection.
    pub fn arrived(&self, account: AccountId, connection: Connection) {
        self.tell(account, Input::Arrival(connection));
    }

    /// The contact came or went.
    pub fn presence(&self, account: AccountId, presence: view::Presence) {
        let open = self
            .conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&account)
            .cloned();
        if let Some(open) = open {
            // A full inbox means the task is busy with newer news; it reads the book before it dials.
            let _ = open.try_send(Input::Presence(presence));
        }
    }

    fn tell(&self, account: AccountId, input: Input) {
        let mut open = self
            .conversations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let input = match open.get(&account) {
            None => input,
            Some(conversation) => match conversation.try_send(input) {
                // Full: it will look into the outbox anyway.
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return,
                Err(mpsc::error::TrySendError::Closed(input)) => input,
            },
        };
        let (sender, receiver) = mpsc::channel(INBOX);
        let _ = sender.try_send(input);
        open.insert(account, sender);
        tokio::spawn(Conversation::new(Arc::clone(&self.ctx), account).run(receiver));
    }
}

/// One connection of a conversation; there can be two for a moment when both sides dial.
#[derive(Debug)]
struct Link {
    number: u64,
    connection: Connection,
    send: SendStream,
}

struct Conversation {
    ctx: Arc<Context>,
    account: AccountId,
    links: Vec<Link>,
    frames: mpsc::Sender<(u64, Option<ChatFrame>)>,
    incoming: Option<mpsc::Receiver<(u64, Option<ChatFrame>)>>,
    readers: JoinSet<()>,
    next_link: u64,
    /// The last message written to the link.
    sent_up_to: Option<MessageId>,
    unreceipted: usize,
    all_sent: bool,
    used: Instant,
    retry_at: Instant,
    failures: u32,
}

impl Conversation {
    fn new(ctx: Arc<Context>, account: AccountId) -> Self {
        let (frames, incoming) = mpsc::channel(BATCH);
        Self {
            ctx,
            account,
            links: Vec::new(),
            frames,
            incoming: Some(incoming),
            readers: JoinSet::new(),
            next_link: 0,
            sent_up_to: None,
            unreceipted: 0,
            all_sent: false,
            used: Instant::now(),
            retry_at: Instant::now(),
            failures: 0,
        }
    }

    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let Some(mut incoming) = self.incoming.take() else {
            return;
        };
        loop {
            if let Err(error) = self.push().await {
                debug!(%error, "the outbox cannot be read");
            }
            let wake = if self.links.is_empty() {
                self.retry_at
            } else {
                self.used + SILENCE
            };
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.handle(input).await,
                    None => break,
                },
                Some(first) = incoming.recv() => {
                    let mut batch = vec![first];
                    while batch.len() < BATCH && let Ok(more) = incoming.try_recv() {
                        batch.push(more);
                    }
                    self.received(batch).await;
                }
                () = tokio::time::sleep_until(wake) => {
                    if self.links.is_empty() && self.all_sent && self.unreceipted == 0 {
                        // Nothing to say and nobody connected: the task ends, the next input starts another.
                        inputs.close();
                        if inputs.is_empty() {
                            break;
                        }
                    }
                    self.close_if_silent();
                }
            }
        }
        self.readers.shutdown().await;
    }

    async fn handle(&mut self, input: Input) {
        match input {
            Input::Written => self.all_sent = false,
            Input::Presence(view::Presence::Online) => {
                self.failures = 0;
                self.retry_at = Instant::now();
                self.all_sent = false;
            }
            Input::Presence(_) => {}
            Input::Arrival(connection) => {
                if let Ok((send, receive)) = connection.accept_bi().await {
                    self.add(connection, send, receive);
                }
            }
        }
    }

    fn add(&mut self, connection: Connection, send: SendStream, receive: RecvStream) {
        self.next_link += 1;
        self.used = Instant::now();
        self.readers.spawn(read_frames(
            receive,
            self.next_link,
            self.frames.clone(),
            Arc::clone(&self.ctx),
        ));
        self.links.push(Link {
            number: self.next_link,
            connection,
            send,
        });
    }

    /// Sends what waits, as far as the window allows.
    async fn push(&mut self) -> Result<(), StoreError> {
        while !self.all_sent && self.unreceipted < WINDOW {
            let (account, after) = (self.account, self.sent_up_to);
            let (pending, last) = self
                .ctx
                .db
                .read(move |tx| outbox::pending(tx, account, after, BATCH as u32))
                .await?;
            if pending.is_empty() {
                self.all_sent = true;
                break;
            }
            if self.links.is_empty() && !self.dial().await {
                break;
            }
            let Some(end) = pending.last().map(|message| message.id) else {
                break;
            };
            let count = pending.len();
            let bytes: Vec<u8> = pending
                .into_iter()
                .flat_map(|message| frame::encode(&ChatFrame::Message(message)))
                .collect();
            if !self.write(&bytes).await {
                break;
            }
            self.sent_up_to = Some(end);
            self.unreceipted += count;
            self.all_sent = last;
        }
        Ok(())
    }

    async fn dial(&mut self) -> bool {
        let Some(person) = self.ctx.book.person(self.account) else {
            return false;
        };
        if person.presence == view::Presence::Offline || Instant::now() < self.retry_at {
            self.retry_at = self.retry_at.max(Instant::now() + RETRY_FIRST);
            return false;
        }
        for door in person.doors() {
            let Ok(connection) = self.ctx.door.dial(door, alpn::CHAT).await else {
                continue;
            };
            if let Ok((send, receive)) = connection.open_bi().await {
                self.failures = 0;
                self.add(connection, send, receive);
                return true;
            }
        }
        let wait = RETRY_FIRST
            .saturating_mul(1 << self.failures.min(6))
            .min(RETRY_MAX);
        self.failures += 1;
        self.retry_at = Instant::now() + wait;
        false
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        while let Some(link) = self.links.last_mut() {
            if stream::write_bytes(&mut link.send, bytes).await.is_ok() {
                self.used = Instant::now();
                self.ctx.traffic.sent(Purpose::Chat, bytes.len() as u64);
                return true;
            }
            let number = link.number;
            self.lost(number);
        }
        false
    }

    /// Stores a batch in one transaction, then receipts it: a receipt means "on disk".
    async fn received(&mut self, batch: Vec<(u64, Option<ChatFrame>)>) {
        self.used = Instant::now();
        let mut messages: Vec<(u64, ChatMessage)> = Vec::new();
        let mut receipts = Vec::new();
        for (link, frame) in batch {
            match frame {
                Some(ChatFrame::Message(message)) => messages.push((link, message)),
                Some(ChatFrame::Receipt { ids }) => receipts.extend(ids),
                None => self.lost(link),
            }
        }
        let account = self.account;
        let stored = self.ctx.db.write(move |tx| {
            let now = wall_ms();
            let mut fresh = Vec::new();
            for (_, message) in &messages {
                if messages::insert_incoming(tx, account, message, now)? {
                    fresh.push(message.id);
                }
            }
            let delivered = messages::mark_delivered(tx, account, &receipts, now)?;
            let mut changed = Vec::new();
            for id in fresh.iter().chain(&delivered) {
                changed.extend(messages::get(tx, account, *id)?);
            }
            Ok((messages, changed, delivered.len()))
        });
        match stored.await {
            Ok((messages, changed, delivered)) => {
                self.unreceipted = self.unreceipted.saturating_sub(delivered);
                self.send_receipts(&messages).await;
                self.announce(changed).await;
            }
            // No receipt: the author sends it again.
            Err(error) => debug!(%error, "incoming messages could not be stored"),
        }
    }

    async fn send_receipts(&mut self, messages: &[(u64, ChatMessage)]) {
        let mut by_link: BTreeMap<u64, Vec<MessageId>> = BTreeMap::new();
        for (link, message) in messages {
            by_link.entry(*link).or_default().push(message.id);
        }
        for (number, ids) in by_link {
            let bytes = frame::encode(&ChatFrame::Receipt { ids });
            let Some(link) = self.links.iter_mut().find(|link| link.number == number) else {
                continue;
            };
            if stream::write_bytes(&mut link.send, &bytes).await.is_err() {
                self.lost(number);
            } else {
                self.ctx.traffic.sent(Purpose::Chat, bytes.len() as u64);
            }
        }
    }

    async fn announce(&self, changed: Vec<messages::Message>) {
        if changed.is_empty() {
            return;
        }
        for message in changed {
            self.ctx
                .emit(Event::Message(views::message(&self.ctx, message)));
        }
        views::announce_contact(&self.ctx, self.account).await;
    }

    fn lost(&mut self, number: u64) {
        self.links.retain(|link| {
            let keep = link.number != number;
            if !keep {
                link.connection.close(0u32.into(), b"lost");
            }
            keep
        });
        // What was sent without a receipt goes again; the other side knows it by its id.
        self.sent_up_to = None;
        self.unreceipted = 0;
        self.all_sent = false;
    }

    fn close_if_silent(&mut self) {
        if self.used.elapsed() >= SILENCE && self.unreceipted == 0 {
            for link in self.links.drain(..) {
                link.connection.close(0u32.into(), b"silence");
            }
            self.sent_up_to = None;
        } else if self.used.elapsed() >= SILENCE {
            // Receipts are due since 30 s: the connection is no good.
            let numbers: Vec<u64> = self.links.iter().map(|link| link.number).collect();
            numbers.into_iter().for_each(|number| self.lost(number));
        }
    }
}

/// Reads frames until the stream ends; the last item is `None`.
async fn read_frames(
    mut receive: RecvStream,
    link: u64,
    frames: mpsc::Sender<(u64, Option<ChatFrame>)>,
    ctx: Arc<Context>,
) {
    loop {
        let frame = match stream::read::<ChatFrame>(&mut receive, CHAT_FRAME_MAX).await {
            Ok(Some(frame)) if frame.check().is_ok() => frame,
            Ok(Some(_)) => {
                debug!(reason = "malformed", "a chat frame broke its bounds");
                break;
            }
            Ok(None) | Err(_) => break,
        };
        if let ChatFrame::Message(message) = &frame {
            ctx.traffic
                .received(Purpose::Chat, message.text.len() as u64);
        }
        if frames.send((link, Some(frame))).await.is_err() {
            return;
        }
    }
    let _ = frames.send((link, None)).await;
}
