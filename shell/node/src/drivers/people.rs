//! People: contact requests out and in, answers, the book and its rows, sealed letters (`post`). Decisions are
//! `protocol::people::requests`.

mod carry;
mod introducing;
mod organise;
mod parting;
mod post;
mod rows;
mod verify;

use std::sync::{Arc, Mutex, PoisonError};

use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::people::asking::Asking;
use starling_store::contacts::{self, Contact};
use starling_store::letters::{self, LetterKind, Sealed};
use starling_store::{StoreError, requests};
use starling_wire::envelope::Letter;
use starling_wire::ids::AccountId;
use starling_wire::limits::{NAME_MAX, REQUEST_TEXT_MAX};
use starling_wire::link::{Link, Target};
use starling_wire::postage::LetterKeys;
use starling_wire::record::{AccountRecord, Verified};
use starling_wire::supernode::{Answer, Request};
use tokio::sync::Notify;
use tracing::debug;

pub use organise::{DIRECT, permission_name};
pub use verify::{announce_key, key_of, key_warnings, note_key};

use self::rows::nobody;
pub use self::rows::remember;
use super::letters::{contact_of, next_sequence, seal};
use super::records::Records;
use super::views;
use crate::book::Relation;
use crate::clock::{wall_ms, wall_s};
use crate::context::{Context, Signal, store_failure};
use crate::relaying::{self, Relaying};

/// Contacts of one account.
#[derive(Debug)]
pub struct People {
    ctx: Arc<Context>,
    records: Records,
    /// Wakes the post to people who know us.
    post: Notify,
    /// And the one to strangers.
    paid_post: Notify,
    asking: Mutex<Asking>,
}

impl People {
    /// For a session.
    pub fn new(ctx: Arc<Context>, records: Records) -> Self {
        Self {
            asking: Mutex::new(Asking::new(ctx.clock.now())),
            ctx,
            records,
            post: Notify::new(),
            paid_post: Notify::new(),
        }
    }

    /// `CONTACT-15`: whether one more stranger from a file may be asked now.
    fn may_ask(&self) -> bool {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.take(self.ctx.clock.now())
    }

    /// Asks the person behind a link to be a contact. When this returns the request is on disk, and at their supernode if
    /// that could be reached; else the post goes on trying.
    pub async fn add(&self, link: &str, message: &str) -> Result<view::Contact, Failure> {
        if message.len() > REQUEST_TEXT_MAX {
            let sentence = format!("the message is too long; {REQUEST_TEXT_MAX} bytes are allowed");
            return Err(Failure::new(ErrorKind::Usage, sentence));
        }
        let (account, link) = account_link(link)?;
        if account == self.ctx.identity.account() {
            return Err(Failure::new(
                ErrorKind::State,
                "this is your own link; give it to somebody else",
            ));
        }
        match self.ctx.book.person(account).map(|person| person.relation) {
            Some(Relation::Contact) => {
                return Err(Failure::new(
                    ErrorKind::State,
                    "this person is among your contacts already",
                ));
            }
            Some(Relation::Blocked) => {
                return Err(Failure::new(
                    ErrorKind::State,
                    "you have blocked this person; remove them first",
                ));
            }
            Some(Relation::Requested) | None => {}
        }
        // They may have asked us before: then our request is the answer.
        let waiting = self
            .ctx
            .db
            .read(move |tx| requests::get(tx, account))
            .await
            .map_err(store_failure)?;
        if waiting.is_some() {
            return self.accept(&account.to_string()).await;
        }
        let record = self.look_up(account, &link).await?;
        let keys = LetterKeys::of_stranger(record.record().request_key);
        let sealed = self.introduce(account, &keys, message).await?;
        let record = record.record();
        let contact = Contact {
            account,
            relation: contacts::Relation::Requested,
            card: None,
            name: String::new(),
            nickname: None,
            network: link.network,
            homes: record.home.clone(),
            echo: false,
            added_at: wall_ms(),
        };
        // Stored before it is sent: whoever is asked and says yes is never a stranger to us, also after a crash.
        self.store_request(&contact, sealed).await?;
        self.post_to(account).await;
        views::contact(&self.ctx, account).await
    }

    /// Answers a waiting request with yes.
    pub async fn accept(&self, who: &str) -> Result<view::Contact, Failure> {
        let request = self.find_request(who).await?;
        let account = request.account;
        let card = request
            .card
            .verify()
            .map_err(|error| Failure::new(ErrorKind::Refused, error.to_string()))?;
        let contact = contact_of(&card, contacts::Relation::Contact);
        let sequence = next_sequence(&self.ctx).await.map_err(store_failure)?;
        let keys = LetterKeys::of(account, card.card());
        let sealed = seal(&self.ctx, sequence, account, &keys, Letter::Accept)
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        let row = contact.clone();
        let own_set = Arc::clone(&self.ctx.own_set);
        // One transaction: a contact without its acceptance on the way would be a contact on one side only.
        let stored = self.ctx.db.write(move |tx| {
            contacts::put(tx, &row)?;
            requests::remove(tx, account)?;
            letters::put(tx, account, LetterKind::Accept, &sealed, wall_ms())?;
            own_set.mirror(tx, account)
        });
        stored.await.map_err(store_failure)?;
        remember(&self.ctx, &contact);
        self.ctx.emit(Event::RequestGone(account.to_string()));
        self.ctx.signal(Signal::Contact(account));
        self.wake_post();
        self.announced(account).await
    }

    /// The same with somebody who is never to learn an address of ours.
    pub async fn accept_relayed(&self, who: &str) -> Result<view::Contact, Failure> {
        let account = self.find_request(who).await?.account;
        self.choose_relay(Some(account), true).await?;
        self.accept(who).await
    }

    /// Answers with silence.
    pub async fn decline(&self, who: &str) -> Result<(), Failure> {
        let account = self.find_request(who).await?.account;
        let own_set = Arc::clone(&self.ctx.own_set);
        self.ctx
            .db
            .write(move |tx| {
                requests::remove(tx, account)?;
                own_set.mirror(tx, account)
            })
            .await
            .map_err(store_failure)?;
        self.ctx.emit(Event::RequestGone(account.to_string()));
        Ok(())
    }

    /// Ends a contact. History stays on this machine.
    pub async fn remove(&self, account: AccountId) -> Result<(), Failure> {
        let own_set = Arc::clone(&self.ctx.own_set);
        let keys = self.other_keys(account).await.map_err(store_failure)?;
        let changed = keys.is_some();
        let removed = self.ctx.db.write(move |tx| {
            contacts::remove(tx, account)?;
            keys.map_or(Ok(()), |keys| keys.keep(tx))?;
            own_set.mirror(tx, account)
        });
        removed.await.map_err(store_failure)?;
        self.forget(account).await;
        self.tell_others(changed).await;
        self.ctx.emit(Event::ContactRemoved(account.to_string()));
        Ok(())
    }

    /// Ends a contact or a request, and hears no more of them.
    pub async fn block(&self, who: &str) -> Result<(), Failure> {
        let account = match views::find(&self.ctx, who).await {
            Ok(account) => account,
            Err(failure) if failure.data.kind == ErrorKind::NotFound => {
                self.find_request(who).await?.account
            }
            Err(failure) => return Err(failure),
        };
        let own_set = Arc::clone(&self.ctx.own_set);
        let keys = self.other_keys(account).await.map_err(store_failure)?;
        let changed = keys.is_some();
        let stored = self.ctx.db.write(move |tx| {
            keys.map_or(Ok(()), |keys| keys.keep(tx))?;
            if contacts::get(tx, account)?.is_none() {
                let name = requests::get(tx, account)?.map(|request| request.card.card.name);
                contacts::put(tx, &nobody(account, name.unwrap_or_default()))?;
            }
            requests::remove(tx, account)?;
            // Card, letters, unsent messages and running transfers go as well.
            contacts::block(tx, account)?;
            own_set.mirror(tx, account)?;
            contacts::get(tx, account)?.ok_or(StoreError::Missing("contact"))
        });
        let row = stored.await.map_err(store_failure)?;
        self.forget(account).await;
        remember(&self.ctx, &row);
        self.ctx.emit(Event::RequestGone(account.to_string()));
        let _ = self.announced(account).await;
        self.tell_others(changed).await;
        Ok(())
    }

    /// Our own name for a contact.
    pub async fn nickname(
        &self,
        account: AccountId,
        nickname: &str,
    ) -> Result<view::Contact, Failure> {
        if nickname.len() > NAME_MAX {
            return Err(Failure::new(
                ErrorKind::Usage,
                format!("a nickname may have {NAME_MAX} bytes"),
            ));
        }
        let nickname = (!nickname.trim().is_empty()).then(|| nickname.trim().to_owned());
        let row = nickname.clone();
        let own_set = Arc::clone(&self.ctx.own_set);
        self.ctx
            .db
            .write(move |tx| {
                contacts::set_nickname(tx, account, row.as_deref())?;
                own_set.mirror(tx, account)
            })
            .await
            .map_err(store_failure)?;
        self.ctx
            .book
            .change(account, |person| person.nickname = nickname);
        self.announced(account).await
    }

    /// Marks a contact as the sound-test node.
    pub async fn mark_echo(&self, account: AccountId) -> Result<view::Contact, Failure> {
        let own_set = Arc::clone(&self.ctx.own_set);
        self.ctx
            .db
            .write(move |tx| {
                contacts::set_echo(tx, account, true)?;
                own_set.mirror(tx, account)
            })
            .await
            .map_err(store_failure)?;
        self.ctx.book.change(account, |person| person.echo = true);
        self.announced(account).await
    }

    /// What a link leads to; nothing is changed and nobody is asked.
    pub fn preview(&self, text: &str) -> Result<view::LinkPreview, Failure> {
        let link = parse(text)?;
        let supernodes = link
            .supernodes
            .iter()
            .map(|supernode| supernode.tcp.to_string())
            .collect();
        let network = link.network.map(|network| network.to_string());
        let Target::Account(account) = link.target else {
            let kind = "network".to_owned();
            return Ok(view::LinkPreview {
                kind,
                account: None,
                network,
                supernodes,
                relation: "new".to_owned(),
            });
        };
        let relation = match self.ctx.book.person(account).map(|person| person.relation) {
            _ if account == self.ctx.identity.account() => "own",
            Some(Relation::Contact) => "contact",
            Some(Relation::Requested) => "requested",
            Some(Relation::Blocked) => "blocked",
            None => "new",
        };
        Ok(view::LinkPreview {
            kind: "account".to_owned(),
            account: Some(account.to_string()),
            network,
            supernodes,
            relation: relation.to_owned(),
        })
    }

    /// Our home changed: contacts get the new card, at their own supernodes.
    pub async fn send_updates(&self) -> Result<(), StoreError> {
        let sequence = next_sequence(&self.ctx).await?;
        let mut sealed = Vec::new();
        for (account, person) in self.ctx.book.people() {
            let Some(card) = person.card.filter(|_| person.relation == Relation::Contact) else {
                continue;
            };
            let keys = LetterKeys::of(account, &card.card);
            match seal(&self.ctx, sequence, account, &keys, Letter::Update) {
                Ok(letter) => sealed.push((account, letter)),
                Err(error) => debug!(%error, "a contact cannot be told of the new home"),
            }
        }
        let now = wall_ms();
        self.ctx
            .db
            .write(move |tx| {
                sealed.iter().try_for_each(|(account, letter)| {
                    letters::put(tx, *account, LetterKind::Update, letter, now)
                })
            })
            .await?;
        self.wake_post();
        Ok(())
    }

    /// Our own supernodes find whoever is in our network's index; a link's own supernodes know the rest.
    async fn look_up(
        &self,
        account: AccountId,
        link: &Link,
    ) -> Result<Verified<AccountRecord>, Failure> {
        let own = self.ctx.homes().network;
        let same_network = own.is_some() && link.network == own;
        if same_network && let Some(record) = self.records.look_up(account).await {
            return Ok(record);
        }
        let mut last = "no supernode is known".to_owned();
        for supernode in &link.supernodes {
            let question = Request::Lookup { account };
            match self.ctx.supernodes.ask(supernode, &question).await {
                Ok(Answer::Record(Some(record))) => match record.verify(account, wall_s()) {
                    Ok(record) => return Ok(record),
                    Err(error) => last = error.to_string(),
                },
                Ok(_) => last = "the supernode in the link does not know this person".to_owned(),
                Err(error) => last = error.to_string(),
            }
        }
        if !same_network && let Some(record) = self.records.look_up(account).await {
            return Ok(record);
        }
        Err(Failure::new(
            ErrorKind::Unreachable,
            format!("this person could not be found: {last}"),
        ))
    }

    async fn store_request(&self, contact: &Contact, sealed: Sealed) -> Result<(), Failure> {
        let (account, row) = (contact.account, contact.clone());
        let own_set = Arc::clone(&self.ctx.own_set);
        let stored = self.ctx.db.write(move |tx| {
            contacts::put(tx, &row)?;
            letters::put(tx, account, LetterKind::Request, &sealed, wall_ms())?;
            own_set.mirror(tx, account)
        });
        stored.await.map_err(store_failure)?;
        remember(&self.ctx, contact);
        self.ctx.signal(Signal::Contact(account));
        self.announced(account).await.map(|_| ())
    }

    /// `PEER-08`: from now on somebody is relayed, or not. What they knew of our inner endpoints leads nowhere any more.
    pub async fn relay(&self, account: AccountId, always: bool) -> Result<view::Contact, Failure> {
        self.choose_relay(Some(account), always).await?;
        self.ctx.inner.forget(account).await;
        self.announced(account).await
    }

    /// The same for everybody.
    pub async fn relay_everybody(&self, always: bool) -> Result<(), Failure> {
        self.choose_relay(None, always).await?;
        for (account, _) in self.ctx.book.people() {
            self.ctx.inner.forget(account).await;
            self.announced(account).await?;
        }
        Ok(())
    }

    async fn choose_relay(&self, who: Option<AccountId>, always: bool) -> Result<(), Failure> {
        let own_set = Arc::clone(&self.ctx.own_set);
        let stored = self.ctx.db.write(move |tx| {
            relaying::note(tx, who, always)?;
            own_set.change(tx, &[relaying::item(who, always)])?;
            Relaying::load(tx)
        });
        let stored = stored.await.map_err(store_failure)?;
        self.ctx.relaying.set(&stored);
        Ok(())
    }

    async fn announced(&self, account: AccountId) -> Result<view::Contact, Failure> {
        let view = views::contact(&self.ctx, account).await?;
        self.ctx.emit(Event::Contact(view.clone()));
        Ok(view)
    }

    /// Nobody knows them any more.
    pub(super) async fn forget(&self, account: AccountId) {
        self.ctx.book.remove(account);
        self.ctx.abouts.forget(account);
        self.ctx.inner.forget(account).await;
        self.ctx.signal(Signal::Gone(account));
    }

    async fn find_request(&self, who: &str) -> Result<requests::Request, Failure> {
        let wanted = who.to_owned();
        let found = self.ctx.db.read(move |tx| requests::find(tx, &wanted));
        let mut found = found.await.map_err(store_failure)?;
        match found.len() {
            0 => Err(Failure::new(
                ErrorKind::NotFound,
                format!("there is no request from \"{who}\""),
            )),
            1 => Ok(found.remove(0)),
            _ => {
                let names = found
                    .iter()
                    .map(|request| format!("{} {}", request.account, request.card.card.name))
                    .collect();
                Err(Failure::ambiguous(
                    format!("\"{who}\" fits several requests"),
                    names,
                ))
            }
        }
    }
}

fn parse(text: &str) -> Result<Link, Failure> {
    text.parse()
        .map_err(|error: starling_wire::link::LinkError| {
            Failure::new(ErrorKind::Usage, error.to_string())
        })
}

fn account_link(text: &str) -> Result<(AccountId, Link), Failure> {
    let link = parse(text)?;
    match link.target {
        Target::Account(account) => Ok((account, link)),
        Target::Network => {
            let sentence =
                "this link leads to a network, not to a person; use `starling network join`";
            Err(Failure::new(ErrorKind::Usage, sentence))
        }
    }
}
