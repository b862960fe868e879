//! From rows and the book to what clients see, and from what a person typed to an account.

use std::sync::Arc;

use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::presence::person::Presence;
use starling_store::about::About;
use starling_store::contacts::{self, Contact};
use starling_store::{StoreError, Tx, contact_profiles, messages, requests};
use starling_wire::card::SignedCard;
use starling_wire::ids::AccountId;
use starling_wire::permissions::{Permission, Permissions};
use starling_wire::profile::{Introduction, Shown};
use starling_wire::shown_name::{shown_lines, shown_name};

use super::{people, profiles};
use crate::book::Person;
use crate::context::{Context, store_failure};

/// Characters of the newest message in a contact's view.
const PREVIEW_CHARS: usize = 80;

/// Short for the sound test, where nobody else is called so.
const ECHO: &str = "echo";

/// A contact as clients see it.
pub async fn contact(ctx: &Arc<Context>, account: AccountId) -> Result<view::Contact, Failure> {
    let found = ctx.db.read(move |tx| match contacts::get(tx, account)? {
        Some(contact) => Ok(Some((beside(tx, account)?, contact))),
        None => Ok(None),
    });
    match found.await.map_err(store_failure)? {
        Some((beside, contact)) => Ok(contact_view(ctx, contact, beside)),
        None => Err(Failure::new(
            ErrorKind::NotFound,
            "this person is not among your contacts",
        )),
    }
}

/// Everybody but the removed.
pub async fn contact_list(ctx: &Arc<Context>) -> Result<Vec<view::Contact>, Failure> {
    listed(ctx, contacts::list).await
}

/// The removed.
pub async fn earlier(ctx: &Arc<Context>) -> Result<Vec<view::Contact>, Failure> {
    listed(ctx, contacts::removed).await
}

async fn listed(
    ctx: &Arc<Context>,
    which: fn(&Tx<'_>) -> Result<Vec<Contact>, StoreError>,
) -> Result<Vec<view::Contact>, Failure> {
    let found = ctx.db.read(move |tx| {
        which(tx)?
            .into_iter()
            .map(|contact| Ok((beside(tx, contact.account)?, contact)))
            .collect()
    });
    let found: Vec<(Beside, Contact)> = found.await.map_err(store_failure)?;
    Ok(found
        .into_iter()
        .map(|(beside, contact)| contact_view(ctx, contact, beside))
        .collect())
}

/// What is stored about a contact beside the row: the conversation, and what they show.
type Beside = (messages::Summary, Option<Shown>);

fn beside(tx: &Tx<'_>, account: AccountId) -> Result<Beside, StoreError> {
    let shown = contact_profiles::get(tx, account)?;
    Ok((messages::summary(tx, account)?, shown))
}

/// Tells the clients about a contact; failing to read it is only logged, the change itself is stored.
pub async fn announce_contact(ctx: &Arc<Context>, account: AccountId) {
    match contact(ctx, account).await {
        Ok(view) => ctx.emit(Event::Contact(view)),
        Err(failure) => tracing::debug!(%failure, "a contact could not be shown"),
    }
}

fn contact_view(ctx: &Context, contact: Contact, (summary, profile): Beside) -> view::Contact {
    let known = ctx.book.person(contact.account);
    let shown = known.map(|person| person.shown).unwrap_or_default();
    let last = summary.last;
    let about = ctx.abouts.of(contact.account);
    let always_relay = ctx.relaying.holds(contact.account);
    view::Contact {
        id: contact.account.to_string(),
        name: shown_name(&contact.name),
        nickname: contact.nickname,
        relation: match contact.relation {
            contacts::Relation::Requested => view::Relation::Requested,
            contacts::Relation::Blocked => view::Relation::Blocked,
            contacts::Relation::Contact => view::Relation::Contact,
            contacts::Relation::Removed => view::Relation::Removed,
            contacts::Relation::Ended => view::Relation::Ended,
        },
        presence: presence(shown.presence),
        mood: shown.mood,
        in_call: shown.in_call,
        last_seen: shown.seen.map(|at| at * 1_000),
        unread: summary.unseen,
        waiting: summary.pending,
        last: view::LastMessage {
            last_at: last.as_ref().map(|message| message.stored_at),
            last_text: last.map(|message| message.text.chars().take(PREVIEW_CHARS).collect()),
        },
        shows: profile.map(shows).unwrap_or_default(),
        echo: contact.echo,
        always_relay,
        favourite: about.favourite,
        denied: denied(about.permissions, always_relay),
        verification: verification(&about, contact.card.as_ref()),
        key_changed_at: about.key_changed_at,
        note: about.note,
        lists: about.lists,
    }
}

/// What a contact shows, in the words of the local API.
fn shows(profile: Shown) -> view::ShownProfile {
    let about = profile.about.value.unwrap_or_default();
    view::ShownProfile {
        about: shown_lines(&about),
        avatar: profile.avatar.value.as_ref().map(profiles::label),
    }
}

/// `CONTACT-12`: a mark belongs to the key that was verified.
fn verification(about: &About, card: Option<&SignedCard>) -> view::Verification {
    match (about.verified, card) {
        (None, _) => view::Verification::None,
        (Some(key), Some(card)) if people::key_of(card) == key => view::Verification::Verified,
        (Some(_), _) => view::Verification::BeforeKeyChanged,
    }
}

/// What somebody may not do, in the words of the local API.
fn denied(permissions: Permissions, always_relay: bool) -> Vec<String> {
    let denied = Permission::ALL.into_iter();
    let denied = denied.filter(|what| !permissions.allows(*what));
    let names = denied.map(people::permission_name);
    let direct = always_relay.then_some(people::DIRECT);
    names.chain(direct).map(str::to_owned).collect()
}

/// How somebody is shown, as clients see it.
pub const fn presence(presence: Presence) -> view::Presence {
    match presence {
        Presence::Online => view::Presence::Online,
        Presence::Away => view::Presence::Away,
        Presence::Busy => view::Presence::DoNotDisturb,
        Presence::Offline => view::Presence::Offline,
        Presence::Unknown => view::Presence::Unknown,
    }
}

/// A waiting request as clients see it.
pub fn request(
    request: &requests::Request,
    introduction: Option<&Introduction>,
) -> view::ContactRequest {
    let shown = introduction.cloned().unwrap_or_default();
    let avatar = shown.avatar.as_deref().map(blake3::hash);
    view::ContactRequest {
        id: request.account.to_string(),
        name: shown_name(&request.card.card.name),
        message: request.text.clone(),
        at: request.at,
        mood: shown_name(&shown.mood.unwrap_or_default()),
        shows: view::ShownProfile {
            about: shown_lines(&shown.about.unwrap_or_default()),
            avatar: avatar.map(|hash| profiles::label(hash.as_bytes())),
        },
    }
}

/// A message as clients see it.
pub fn message(ctx: &Context, message: messages::Message) -> view::Message {
    let delivery = match message.delivery {
        messages::Delivery::Received => view::Delivery::Received,
        messages::Delivery::Delivered => view::Delivery::Delivered,
        messages::Delivery::Pending => match ctx.book.person(message.contact) {
            Some(person) if is_going(&person) => view::Delivery::Sending,
            _ => view::Delivery::Waiting,
        },
    };
    view::Message {
        id: message.id.to_string(),
        contact: message.contact.to_string(),
        who: ctx.title(message.contact),
        outgoing: message.outgoing,
        text: message.text,
        sent_at: message.sent_at,
        stored_at: message.stored_at,
        delivery,
        delivered_at: message.delivered_at,
    }
}

/// Whether a message to somebody is on its way, or waits for their return.
pub fn is_going(person: &Person) -> bool {
    person.linked || person.is_there()
}

/// The one account that `who` means, or a failure that lists those it may mean.
pub async fn find(ctx: &Arc<Context>, who: &str) -> Result<AccountId, Failure> {
    let wanted = who.to_owned();
    let found = ctx
        .db
        .read(move |tx| {
            let found = contacts::find(tx, &wanted)?;
            if !(found.is_empty() && wanted.eq_ignore_ascii_case(ECHO)) {
                return Ok(found);
            }
            let all = contacts::list(tx)?;
            Ok(all.into_iter().filter(|contact| contact.echo).collect())
        })
        .await
        .map_err(store_failure)?;
    one(&found, who)
}

/// The same for what only reads a history: the removed count where nobody else fits.
pub async fn find_with_removed(ctx: &Arc<Context>, who: &str) -> Result<AccountId, Failure> {
    let wanted = who.to_owned();
    let found = ctx
        .db
        .read(move |tx| contacts::find_with_removed(tx, &wanted));
    let found = found.await.map_err(store_failure)?;
    if found.is_empty() {
        return find(ctx, who).await;
    }
    one(&found, who)
}

fn one(found: &[Contact], who: &str) -> Result<AccountId, Failure> {
    match found {
        [] => Err(Failure::new(
            ErrorKind::NotFound,
            format!("nobody among your contacts is called \"{who}\""),
        )),
        [one] => Ok(one.account),
        several => {
            let line = |contact: &Contact| {
                let title = contact.nickname.as_deref().unwrap_or(&contact.name);
                format!("{} {title}", contact.account)
            };
            let candidates = several.iter().map(line).collect();
            Err(Failure::ambiguous(
                format!("\"{who}\" fits several contacts; use one of these ids"),
                candidates,
            ))
        }
    }
}
