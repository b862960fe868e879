//! Chat (spec page "chat"): one task per contact that has something to say or to hear, each round a
//! [`starling_chat::Conversation`]. Messages wait in the store until their receipt has come.

mod conversation;
mod link;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iroh::endpoint::Connection;
use starling_chat::conversation::LINKS_MAX;
use starling_control::{ErrorKind, Event, Failure, view};
use starling_store::{StoreError, messages, outbox};
use starling_wire::chat::{ChatMessage, check_text};
use starling_wire::ids::{AccountId, MessageId};
use starling_wire::permissions::Permission;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::debug;

use super::views;
use crate::book::Relation;
use crate::clock::{random, wall_ms};
use crate::context::{Context, store_failure};
use conversation::Inputs;

/// All conversations.
#[derive(Debug)]
pub struct Chat {
    ctx: Arc<Context>,
    open: Arc<Open>,
    tasks: Mutex<JoinSet<()>>,
}

/// What happened for a conversation, as counters: any number of them is one look at store and book.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct News {
    /// Messages were stored.
    written: u64,
    /// The contact's presence changed.
    presence: u64,
}

/// The way to a running conversation. It ends when this is dropped.
#[derive(Debug)]
struct Handle {
    news: watch::Sender<News>,
    arrivals: mpsc::Sender<Connection>,
}

/// The running conversations.
#[derive(Debug, Default)]
struct Open(Mutex<BTreeMap<AccountId, Handle>>);

impl Chat {
    /// For a session; conversations with waiting messages are resumed at once.
    pub async fn start(ctx: Arc<Context>) -> Result<Self, StoreError> {
        let waiting = ctx.db.read(outbox::contacts).await?;
        let chat = Self {
            ctx,
            open: Arc::default(),
            tasks: Mutex::default(),
        };
        for account in waiting {
            chat.resume(account);
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
        // CONTACT-05: they could answer on the connection that this needs.
        if !self.ctx.abouts.allows(account, Permission::Chat) {
            let sentence = "you do not let this person write to you; allow it first (`starling contact allow WHO chat`)";
            return Err(Failure::new(ErrorKind::State, sentence));
        }
        let message = ChatMessage {
            id: MessageId(random()),
            sent_at: wall_ms(),
            text: text.to_owned(),
        };
        let ctx = Arc::clone(&self.ctx);
        let stored = self.ctx.db.write_then(
            move |tx| {
                messages::insert_outgoing(tx, account, &message, wall_ms())?;
                messages::get(tx, account, message.id)?.ok_or(StoreError::Missing("message"))
            },
            // Told before any later commit, so that "delivered" never comes before "on its way".
            move |stored| {
                let view = views::message(&ctx, stored);
                ctx.emit(Event::Message(view.clone()));
                view
            },
        );
        let view = stored.await.map_err(store_failure)?;
        self.with_open(account, |handle| {
            handle.news.send_modify(|news| news.written += 1);
        });
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
        // It was let in as a contact; that may have ended since.
        if !self.is_contact(account) {
            connection.close(link::REFUSED, b"not a contact");
            return;
        }
        // CONTACT-05: as a device that has no room; their messages wait where they are.
        if !self.ctx.abouts.allows(account, Permission::Chat) {
            debug!(reason = "not permitted", "turned a chat away");
            connection.close(link::REFUSED, b"too many");
            return;
        }
        self.with_open(account, |handle| {
            if let Err(refused) = handle.arrivals.try_send(connection) {
                refused.into_inner().close(link::REFUSED, b"too many");
            }
        });
    }

    /// The contact came or went: the book has it.
    pub fn presence(&self, account: AccountId) {
        if let Some(handle) = self.open.lock().get(&account) {
            handle.news.send_modify(|news| news.presence += 1);
        }
    }

    /// The contact may write again: what waits for them goes.
    pub fn resume(&self, account: AccountId) {
        if self.is_contact(account) && self.ctx.abouts.allows(account, Permission::Chat) {
            self.with_open(account, |handle| {
                handle.news.send_modify(|news| news.written += 1);
            });
        }
    }

    /// Ends the conversations with people who are no contacts any more.
    pub fn prune(&self) {
        self.open.lock().retain(|account, _| {
            self.is_contact(*account) && self.ctx.abouts.allows(*account, Permission::Chat)
        });
    }

    /// Ends all conversations. What was not receipted goes after the next start.
    pub async fn stop(&self) {
        self.open.lock().clear();
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }

    fn is_contact(&self, account: AccountId) -> bool {
        self.ctx
            .book
            .person(account)
            .is_some_and(|person| person.relation == Relation::Contact)
    }

    /// Acts on a conversation, started now if none runs.
    fn with_open(&self, account: AccountId, act: impl FnOnce(&Handle)) {
        let mut open = self.open.lock();
        let handle = open.entry(account).or_insert_with(|| self.spawn(account));
        act(handle);
    }

    fn spawn(&self, account: AccountId) -> Handle {
        let (news, news_seen) = watch::channel(News::default());
        let (arrivals, arrived) = mpsc::channel(LINKS_MAX);
        let inputs = Inputs {
            news: news_seen,
            arrivals: arrived,
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(conversation::run(
            Arc::clone(&self.ctx),
            Arc::clone(&self.open),
            account,
            inputs,
        ));
        Handle { news, arrivals }
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountId, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle conversation out, unless something came for it meanwhile. Also true for one that was ended.
    fn leave(&self, account: AccountId, inputs: &Inputs) -> bool {
        let mut open = self.lock();
        match inputs.news.has_changed() {
            Ok(false) if inputs.arrivals.is_empty() => {
                open.remove(&account);
                true
            }
            Ok(_) => false,
            Err(_) => true,
        }
    }
}
