//! People: contact requests out and in, answers, the book and its rows, sealed letters with retries. Decisions are
//! `protocol::people::requests`.

use std::sync::Arc;
use std::time::Duration;

use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::people::requests::{self as rules, Outcome, Standing};
use starling_store::contacts::{self, Contact};
use starling_store::letters::{self, LetterKind};
use starling_store::{StoreError, requests};
use starling_wire::envelope::{self, Letter, Opened, Sender};
use starling_wire::ids::AccountId;
use starling_wire::limits::{NAME_MAX, REQUEST_TEXT_MAX};
use starling_wire::link::{Link, Target};
use starling_wire::record::VerifiedRecord;
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::sync::Notify;
use tracing::debug;

use super::views;
use crate::book::{Person, Relation};
use crate::clock::{random, wall_ms, wall_s};
use crate::context::{Context, Signal, store_failure};
use crate::transport::dial::{DialError, staggered};

const LETTERS_AT_ONCE: u32 = 20;
const RETRY_MAX: Duration = Duration::from_secs(30 * 60);

/// Contacts of one account.
#[derive(Debug)]
pub struct People {
    ctx: Arc<Context>,
    post: Notify,
}

impl People {
    /// For a session.
    pub fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            post: Notify::new(),
        }
    }

    /// Asks the person behind a link to be a contact. The request is at their supernode when this returns.
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
        let (record, supernode) = self.look_up(account, &link.supernodes).await?;
        let letter = Letter::Request {
            text: message.to_owned(),
        };
        let sealed = self
            .seal(account, &record.record().request_key, letter)
            .map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
        self.deposit(account, &supernode, &record.record().home, sealed)
            .await?;
        let contact = Contact {
            account,
            relation: contacts::Relation::Requested,
            card: None,
            name: String::new(),
            nickname: None,
            network: link.network,
            homes: record.record().home.clone(),
            echo: false,
            added_at: wall_ms(),
        };
        self.store_contact(contact).await?;
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
        let sealed = self
            .seal(account, &card.card().request_key, Letter::Accept)
            .map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
        let row = contact.clone();
        // One transaction: a contact without its acceptance on the way would be a contact on one side only.
        let stored = self.ctx.db.write(move |tx| {
            contacts::put(tx, &row)?;
            requests::remove(tx, account)?;
            letters::put(tx, account, LetterKind::Accept, &sealed, wall_ms())
        });
        stored.await.map_err(store_failure)?;
        remember(&self.ctx, &contact);
        self.ctx.emit(Event::RequestGone(account.to_string()));
        self.ctx.signal(Signal::Contact(account));
        self.post.notify_one();
        self.announced(account).await
    }

    /// Answers with silence.
    pub async fn decline(&self, who: &str) -> Result<(), Failure> {
        let account = self.find_request(who).await?.account;
        self.ctx
            .db
            .write(move |tx| requests::remove(tx, account))
            .await
            .map_err(store_failure)?;
        self.ctx.emit(Event::RequestGone(account.to_string()));
        Ok(())
    }

    /// Ends a contact. History stays on this machine.
    pub async fn remove(&self, account: AccountId) -> Result<(), Failure> {
        let gone = self.ctx.db.write(move |tx| contacts::remove(tx, account));
        gone.await.map_err(store_failure)?;
        self.forget(account).await;
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
        let stored = self.ctx.db.write(move |tx| {
            let existing = contacts::get(tx, account)?;
            let request = requests::get(tx, account)?;
            let blocked = Contact {
                account,
                relation: contacts::Relation::Blocked,
                name: request
                    .map(|request| request.card.card.name)
                    .unwrap_or_default(),
                card: None,
                nickname: None,
                network: None,
                homes: Vec::new(),
                echo: false,
                added_at: wall_ms(),
            };
            if existing.is_none() {
                contacts::put(tx, &blocked)?;
            }
            requests::remove(tx, account)?;
            // Also drops what waits for them: nobody who was blocked is dialled.
            contacts::block(tx, account)?;
            contacts::get(tx, account)?.ok_or(StoreError::Missing("contact"))
        });
        let row = stored.await.map_err(store_failure)?;
        self.forget(account).await;
        remember(&self.ctx, &row);
        self.ctx.emit(Event::RequestGone(account.to_string()));
        let _ = self.announced(account).await;
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
        self.ctx
            .db
            .write(move |tx| contacts::set_nickname(tx, account, row.as_deref()))
            .await
            .map_err(store_failure)?;
        self.ctx
            .book
            .change(account, |person| person.nickname = nickname);
        self.announced(account).await
    }

    /// Marks a contact as the sound-test node.
    pub async fn mark_echo(&self, account: AccountId) -> Result<view::Contact, Failure> {
        self.ctx
            .db
            .write(move |tx| contacts::set_echo(tx, account, true))
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
        let mut sealed = Vec::new();
        for (account, person) in self.ctx.book.people() {
            let Some(card) = person.card.filter(|_| person.relation == Relation::Contact) else {
                continue;
            };
            if let Ok(letter) = self.seal(account, &card.card.request_key, Letter::Update) {
                sealed.push((account, letter));
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
        self.post.notify_one();
        Ok(())
    }

    /// Deposits what is due, as long as the session lives. A new home means that everything may be tried again.
    pub async fn run_post(&self) {
        loop {
            let due = self
                .ctx
                .db
                .read(|tx| letters::due(tx, wall_ms(), LETTERS_AT_ONCE))
                .await
                .unwrap_or_default();
            for letter in &due {
                self.post_one(letter).await;
            }
            let next = self.ctx.db.read(letters::next_due).await.ok().flatten();
            let wait = next.map_or(RETRY_MAX, |at| {
                Duration::from_millis(at.saturating_sub(wall_ms()).max(50))
            });
            tokio::select! {
                () = self.post.notified() => {}
                () = tokio::time::sleep(wait.min(RETRY_MAX)) => {}
            }
        }
    }

    /// The post may go out again now.
    pub async fn retry_post(&self) {
        let _ = self
            .ctx
            .db
            .write(|tx| letters::retry_all(tx, wall_ms()))
            .await;
        self.post.notify_one();
    }

    async fn post_one(&self, letter: &letters::Letter) {
        let account = letter.account;
        let homes = self
            .ctx
            .book
            .person(account)
            .map(|person| homes_of(&person))
            .unwrap_or_default();
        let result = match homes.first() {
            Some(first) => {
                self.deposit(account, first, &homes, letter.envelope.clone())
                    .await
            }
            None => Err(Failure::new(
                ErrorKind::Unreachable,
                "no supernode is known",
            )),
        };
        let number = letter.number;
        let attempts = letter.attempts;
        let stored = match result {
            Ok(()) => {
                self.ctx
                    .db
                    .write(move |tx| letters::deposited(tx, number))
                    .await
            }
            Err(failure) => {
                debug!(%failure, "a letter waits");
                let wait = Duration::from_secs(2)
                    .saturating_mul(1 << attempts.min(10))
                    .min(RETRY_MAX);
                let next = wall_ms() + u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.ctx
                    .db
                    .write(move |tx| letters::failed(tx, number, next))
                    .await
            }
        };
        if let Err(error) = stored {
            debug!(%error, "the post could not be noted");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn deposit(
        &self,
        account: AccountId,
        first: &SupernodeAddr,
        homes: &[SupernodeAddr],
        envelope: Vec<u8>,
    ) -> Result<(), Failure> {
        let mut places = vec![first];
        places.extend(homes.iter().filter(|home| *home != first));
        let request = Request::Deposit { account, envelope };
        let leave = |supernode| {
            self.ctx.pins.learn(supernode);
            self.ctx.supernodes.ask(supernode, &request)
        };
        match staggered(places, leave, DialError::NoAddress.into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(
                ErrorKind::Unreachable,
                format!("the request could not be delivered: {error}"),
            )),
        }
    }

    async fn look_up(
        &self,
        account: AccountId,
        supernodes: &[SupernodeAddr],
    ) -> Result<(VerifiedRecord, SupernodeAddr), Failure> {
        let mut last = "no supernode is known".to_owned();
        for supernode in supernodes {
            self.ctx.pins.learn(supernode);
            match self
                .ctx
                .supernodes
                .ask(supernode, &Request::Lookup { account })
                .await
            {
                Ok(Answer::Record(Some(record))) => match record.verify(account, wall_s()) {
                    Ok(record) => return Ok((record, supernode.clone())),
                    Err(error) => last = error.to_string(),
                },
                Ok(_) => last = "the supernode in the link does not know this person".to_owned(),
                Err(error) => last = error.to_string(),
            }
        }
        Err(Failure::new(
            ErrorKind::Unreachable,
            format!("this person could not be found: {last}"),
        ))
    }

    fn seal(
        &self,
        account: AccountId,
        request_key: &[u8; 32],
        letter: Letter,
    ) -> Result<Vec<u8>, envelope::EnvelopeError> {
        let identity = &self.ctx.identity;
        let card = identity.card(&self.ctx.home_list(), self.ctx.homes().network);
        let sender = Sender {
            key: &identity.signing,
            card,
        };
        envelope::seal(sender, account, request_key, letter, wall_s(), random())
    }

    async fn store_contact(&self, contact: Contact) -> Result<(), Failure> {
        let row = contact.clone();
        self.ctx
            .db
            .write(move |tx| contacts::put(tx, &row))
            .await
            .map_err(store_failure)?;
        let account = contact.account;
        remember(&self.ctx, &contact);
        self.ctx.signal(Signal::Contact(account));
        self.announced(account).await.map(|_| ())
    }

    async fn announced(&self, account: AccountId) -> Result<view::Contact, Failure> {
        let view = views::contact(&self.ctx, account).await?;
        self.ctx.emit(Event::Contact(view.clone()));
        Ok(view)
    }

    async fn forget(&self, account: AccountId) {
        self.ctx.book.remove(account);
        self.ctx.inner.forget(account).await;
        self.ctx.signal(Signal::Gone(account));
    }

    async fn find_request(&self, who: &str) -> Result<requests::Request, Failure> {
        let wanted = who.to_owned();
        let mut found = self
            .ctx
            .db
            .read(move |tx| requests::find(tx, &wanted))
            .await
            .map_err(store_failure)?;
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

/// Acts on a sealed envelope. `Ok` when it was acted on or dropped for good: its supernode may forget it.
pub async fn receive(ctx: &Arc<Context>, sealed: &[u8]) -> Result<(), StoreError> {
    let identity = &ctx.identity;
    let opened = match envelope::open(sealed, identity.account(), &identity.request_secret) {
        Ok(opened) => opened,
        Err(error) => {
            debug!(%error, "dropped an envelope");
            return Ok(());
        }
    };
    let account = opened.sender.account().id();
    if account == identity.account() {
        return Ok(());
    }
    let standing = match ctx.book.person(account).map(|person| person.relation) {
        None => Standing::Stranger,
        Some(Relation::Requested) => Standing::Requested,
        Some(Relation::Contact) => Standing::Contact,
        Some(Relation::Blocked) => Standing::Blocked,
    };
    let waiting = ctx
        .db
        .read(requests::list)
        .await?
        .iter()
        .filter(|request| request.account != account)
        .count();
    match rules::decide(standing, &opened.letter, waiting) {
        Outcome::Drop(reason) => {
            debug!(?reason, "dropped a letter");
            Ok(())
        }
        Outcome::Ask => ask(ctx, opened).await,
        Outcome::Befriend { answer } => befriend(ctx, &opened, answer).await,
        Outcome::Update => update(ctx, &opened).await,
    }
}

async fn ask(ctx: &Arc<Context>, opened: Opened) -> Result<(), StoreError> {
    let Letter::Request { text } = opened.letter else {
        return Ok(());
    };
    let account = opened.sender.account().id();
    let request = requests::Request {
        account,
        card: opened.sender.signed().clone(),
        text,
        at: wall_ms(),
    };
    let row = request.clone();
    ctx.db.write(move |tx| requests::put(tx, &row)).await?;
    ctx.emit(Event::Request(views::request(&request)));
    Ok(())
}

async fn befriend(ctx: &Arc<Context>, opened: &Opened, answer: bool) -> Result<(), StoreError> {
    let account = opened.sender.account().id();
    let contact = merged(ctx, contact_of(&opened.sender, contacts::Relation::Contact)).await?;
    let sealed = if answer {
        let sender = Sender {
            key: &ctx.identity.signing,
            card: ctx.identity.card(&ctx.home_list(), ctx.homes().network),
        };
        let key = &opened.sender.card().request_key;
        envelope::seal(sender, account, key, Letter::Accept, wall_s(), random()).ok()
    } else {
        None
    };
    let row = contact.clone();
    ctx.db
        .write(move |tx| {
            contacts::put(tx, &row)?;
            match &sealed {
                Some(sealed) => letters::put(tx, account, LetterKind::Accept, sealed, wall_ms()),
                None => Ok(()),
            }
        })
        .await?;
    remember(ctx, &contact);
    ctx.signal(Signal::Contact(account));
    views::announce_contact(ctx, account).await;
    Ok(())
}

async fn update(ctx: &Arc<Context>, opened: &Opened) -> Result<(), StoreError> {
    let account = opened.sender.account().id();
    let known = ctx
        .book
        .person(account)
        .and_then(|person| person.card)
        .map_or(0, |card| card.card.sequence);
    if opened.sender.card().sequence <= known {
        return Ok(());
    }
    let contact = merged(ctx, contact_of(&opened.sender, contacts::Relation::Contact)).await?;
    let row = contact.clone();
    ctx.db.write(move |tx| contacts::put(tx, &row)).await?;
    remember(ctx, &contact);
    ctx.signal(Signal::Contact(account));
    views::announce_contact(ctx, account).await;
    Ok(())
}

/// Keeps what is ours (nickname, mark, date) when a contact's row is renewed.
async fn merged(ctx: &Arc<Context>, fresh: Contact) -> Result<Contact, StoreError> {
    let account = fresh.account;
    let existing = ctx.db.read(move |tx| contacts::get(tx, account)).await?;
    Ok(match existing {
        Some(old) => Contact {
            nickname: old.nickname,
            echo: old.echo,
            added_at: old.added_at,
            ..fresh
        },
        None => fresh,
    })
}

fn contact_of(card: &starling_wire::card::VerifiedCard, relation: contacts::Relation) -> Contact {
    let signed = card.signed().clone();
    let homes = card
        .card()
        .doors
        .first()
        .map(|door| door.home.clone())
        .unwrap_or_default();
    Contact {
        account: card.account().id(),
        relation,
        name: signed.card.name.clone(),
        network: signed.card.network,
        card: Some(signed),
        nickname: None,
        homes,
        echo: false,
        added_at: wall_ms(),
    }
}

/// Puts a stored contact into the book.
pub fn remember(ctx: &Context, contact: &Contact) {
    let (presence, linked) = ctx
        .book
        .person(contact.account)
        .map_or((view::Presence::Unknown, false), |person| {
            (person.presence, person.linked)
        });
    let relation = match contact.relation {
        contacts::Relation::Contact => Relation::Contact,
        contacts::Relation::Requested => Relation::Requested,
        contacts::Relation::Blocked => Relation::Blocked,
        contacts::Relation::Removed => return,
    };
    for home in &contact.homes {
        ctx.pins.learn(home);
    }
    let card = contact.card.clone();
    let person = Person {
        relation,
        card,
        nickname: contact.nickname.clone(),
        echo: contact.echo,
        presence,
        linked,
    };
    ctx.book.put(contact.account, person);
}

fn homes_of(person: &Person) -> Vec<SupernodeAddr> {
    person
        .doors()
        .first()
        .map(|door| door.home.clone())
        .unwrap_or_default()
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
