//! Letters: sealing ours, each with a card of its own, and acting on those that arrive. Decisions are
//! `protocol::people::requests`; what is replayed is dropped here, in the transaction that would act on it.

use std::sync::Arc;

use starling_control::Event;
use starling_protocol::people::requests::{self as rules, DropReason, Outcome, Standing};
use starling_store::contacts::{self, Contact};
use starling_store::introductions;
use starling_store::letters::{self, LetterKind, Sealed};
use starling_store::{StoreError, profile, requests};
use starling_wire::card::{SignedCard, VerifiedCard};
use starling_wire::envelope::{self, EnvelopeError, Letter, Opened, Sender};
use starling_wire::ids::AccountId;
use starling_wire::postage::{ContactsKey, LetterKeys, Postage, Stamped, WORK_MAX, WORK_MIN};
use tracing::debug;

use super::people::{announce_key, note_key, remember};
use super::{profiles, views};
use crate::book::Relation;
use crate::clock::{random, wall_ms, wall_s};
use crate::context::{Context, Signal};

/// The next number of a letter: higher than all of this device before, so that its reader can tell a replay.
pub(crate) async fn next_sequence(ctx: &Context) -> Result<u64, StoreError> {
    ctx.db
        .write(|tx| profile::next_sequence(tx, wall_s()))
        .await
}

pub(crate) fn seal(
    ctx: &Context,
    sequence: u64,
    account: AccountId,
    keys: &LetterKeys,
    letter: Letter,
) -> Result<Sealed, EnvelopeError> {
    let identity = ctx.identity.get();
    let mut card = identity.card(sequence, &ctx.home_list(), ctx.homes().network);
    // PROFILE-14: a stranger is not told a name that is for contacts.
    if ctx.own_presence.profiles.hides_name_from_strangers() && to_stranger(ctx, account, &letter) {
        card = identity.without_name(card);
    }
    let sender = Sender {
        key: &identity.device,
        number: sequence,
        card,
    };
    let (request, now) = (&keys.request, wall_s());
    let envelope = envelope::seal(sender, account, request, letter, now, random())?;
    let mark = keys.contacts.map(|key| key.mark(&envelope));
    Ok(Sealed { envelope, mark })
}

/// Whether whoever reads it may be no contact. A registrar and whoever asks one for a name rarely are.
fn to_stranger(ctx: &Context, account: AccountId, letter: &Letter) -> bool {
    match letter {
        Letter::Request { .. } => true,
        Letter::Claim(_) | Letter::Verdict(..) => standing_of(ctx, account) != Standing::Contact,
        // To contacts, and to those who become that by it.
        Letter::Accept | Letter::Update | Letter::Farewell(_) => false,
    }
}

/// What a letter cost its sender.
enum Paid {
    /// It has the mark of whoever knows our card.
    OfContact,
    /// So many bits of work.
    Work(u8),
    /// Nothing that counts here; perhaps the mark of a card of before, which our supernode knew.
    Nothing,
}

impl Paid {
    /// `POSTAGE-01`, `POSTAGE-03`, before anything is opened. `None` when the letter is not worth to be.
    fn of(ctx: &Context, letter: &Stamped) -> Option<Self> {
        let identity = ctx.identity.get();
        match letter.postage {
            Postage::Contact(mark) => {
                let key = ContactsKey::new(identity.account(), &identity.discovery_key);
                let same = key.mark(&letter.envelope) == mark;
                Some(if same { Self::OfContact } else { Self::Nothing })
            }
            Postage::Work(work) => {
                let bits = work.bits(identity.account(), &letter.envelope);
                // POSTAGE-02: its day was looked at where it was left. A letter would be lost here for a clock of ours that is wrong.
                (bits >= WORK_MIN).then_some(Self::Work(bits.min(WORK_MAX)))
            }
        }
    }

    const fn work(&self) -> u8 {
        match self {
            Self::Work(bits) => *bits,
            Self::OfContact | Self::Nothing => 0,
        }
    }
}

/// Acts on a sealed envelope. `Ok` when it was acted on or dropped for good: its supernode may forget it.
pub async fn receive(ctx: &Arc<Context>, letter: &Stamped) -> Result<(), StoreError> {
    let Some(paid) = Paid::of(ctx, letter) else {
        debug!(reason = "unpaid", "dropped an envelope");
        return Ok(());
    };
    let Some(opened) = open(ctx, &letter.envelope) else {
        return Ok(());
    };
    let account = opened.sender.account().id();
    match opened.letter {
        _ if account == ctx.identity.account() => return Ok(()),
        Letter::Claim(_) if matches!(paid, Paid::Nothing) => return Ok(()),
        Letter::Claim(_) | Letter::Verdict(..) => {
            return super::names::receive(ctx, opened).await;
        }
        _ => {}
    }
    let standing = standing_of(ctx, account);
    let outcome = match rules::decide(standing, &opened.letter, paid.work() > 0) {
        Outcome::Drop(reason) => Err(reason),
        Outcome::Ask => ask(ctx, opened, paid.work()).await?,
        Outcome::Befriend { answer } => befriend(ctx, &opened, answer).await?,
        Outcome::Update => befriend(ctx, &opened, false).await?,
        Outcome::End => bury(ctx, opened).await?,
    };
    if let Err(reason) = outcome {
        debug!(?reason, "dropped a letter");
    }
    Ok(())
}

fn standing_of(ctx: &Context, account: AccountId) -> Standing {
    match ctx.book.person(account).map(|person| person.relation) {
        None => Standing::Stranger,
        Some(Relation::Requested) => Standing::Requested,
        Some(Relation::Contact) => Standing::Contact,
        Some(Relation::Blocked) => Standing::Blocked,
    }
}

fn open(ctx: &Context, envelope: &[u8]) -> Option<Opened> {
    let identity = ctx.identity.get();
    // CONTACT-07
    let opened = identity
        .request_secrets()
        .map(|secret| envelope::open(envelope, identity.account(), secret))
        .reduce(|newest, earlier| newest.or(earlier))?;
    opened
        .inspect_err(|error| debug!(%error, "dropped an envelope"))
        .ok()
}

async fn ask(
    ctx: &Arc<Context>,
    opened: Opened,
    work: u8,
) -> Result<Result<(), DropReason>, StoreError> {
    let Letter::Request { text, introduction } = opened.letter else {
        return Ok(Err(DropReason::Unasked));
    };
    let introduction = profiles::introduced(*introduction).await;
    let account = opened.sender.account().id();
    let (sender, stamp) = (opened.sender, opened.stamp);
    let own_set = Arc::clone(&ctx.own_set);
    let stored = ctx.db.write(move |tx| {
        let known = requests::get(tx, account)?;
        let card = newest(known.as_ref().map(|request| &request.card), &sender);
        // PEOPLE-07
        if !card.account().devices().contains_key(&stamp.device) {
            return Ok(Err(DropReason::Revoked));
        }
        if !requests::first_read(tx, account, stamp.device, stamp.number, wall_ms())? {
            return Ok(Err(DropReason::Replayed));
        }
        let request = requests::Request {
            account,
            card: card.signed().clone(),
            text,
            at: wall_ms(),
            work,
        };
        let requests::Put::Kept(gone) = requests::put(tx, &request)? else {
            return Ok(Err(DropReason::TooMany));
        };
        introductions::put(tx, account, &introduction)?;
        for account in gone.into_iter().chain([account]) {
            own_set.mirror(tx, account)?;
        }
        Ok(Ok((request, gone, introduction)))
    });
    Ok(stored.await?.map(|(request, gone, shown)| {
        if let Some(gone) = gone {
            ctx.emit(Event::RequestGone(gone.to_string()));
        }
        ctx.emit(Event::Request(views::request(&request, Some(&shown))));
    }))
}

/// Keeps what is newer in a card than all before, and answers if `answer`. In one transaction with the check for replays: two of
/// these may run at once.
async fn befriend(
    ctx: &Arc<Context>,
    opened: &Opened,
    answer: bool,
) -> Result<Result<(), DropReason>, StoreError> {
    let account = opened.sender.account().id();
    let sealed = match answer_to(ctx, account, answer) {
        Some((kind, letter)) => {
            let sequence = next_sequence(ctx).await?;
            let keys = LetterKeys::of(account, opened.sender.card());
            let sealed = seal(ctx, sequence, account, &keys, letter).ok();
            sealed.map(|sealed| (kind, sealed))
        }
        None => None,
    };
    let (sender, stamp) = (opened.sender.clone(), opened.stamp);
    let own_set = Arc::clone(&ctx.own_set);
    let noting = Arc::clone(ctx);
    let stored = ctx.db.write(move |tx| {
        // Removed or blocked since the letter was judged.
        let known = contacts::get(tx, account)?;
        let relation = known.as_ref().map(|contact| contact.relation);
        if !matches!(
            relation,
            Some(contacts::Relation::Contact | contacts::Relation::Requested)
        ) {
            return Ok(Err(DropReason::NoContact));
        }
        let known_card = known.as_ref().and_then(|contact| contact.card.clone());
        let card = newest(known_card.as_ref(), &sender);
        // PEOPLE-07: the history that counts does not list the device any more.
        if !card.account().devices().contains_key(&stamp.device) {
            return Ok(Err(DropReason::Revoked));
        }
        if !requests::first_read(tx, account, stamp.device, stamp.number, wall_ms())? {
            return Ok(Err(DropReason::Replayed));
        }
        let contact = merged(known, contact_of(&card, contacts::Relation::Contact));
        contacts::put(tx, &contact)?;
        let new_key = note_key(&noting, tx, account, (known_card.as_ref(), card.signed()))?;
        if let Some((kind, sealed)) = &sealed {
            letters::put(tx, account, *kind, sealed, wall_ms())?;
        }
        own_set.mirror(tx, account)?;
        Ok(Ok((contact, new_key)))
    });
    let (contact, new_key) = match stored.await? {
        Ok(contact) => contact,
        Err(reason) => return Ok(Err(reason)),
    };
    remember(ctx, &contact);
    ctx.signal(Signal::Contact(account));
    views::announce_contact(ctx, account).await;
    if new_key {
        announce_key(ctx, account).await;
    }
    Ok(Ok(()))
}

/// What goes out when somebody becomes a contact, or asks again: "yes", or else (`PROFILE-14`) the name that the request did
/// not say.
fn answer_to(ctx: &Context, account: AccountId, answer: bool) -> Option<(LetterKind, Letter)> {
    if answer {
        return Some((LetterKind::Accept, Letter::Accept));
    }
    let asked = ctx.book.person(account)?.relation == Relation::Requested;
    let unnamed = asked && ctx.own_presence.profiles.hides_name_from_strangers();
    unnamed.then_some((LetterKind::Update, Letter::Update))
}

/// `PEOPLE-08`: somebody's account is no more, if the history that counts goes on to that end.
async fn bury(ctx: &Arc<Context>, opened: Opened) -> Result<Result<(), DropReason>, StoreError> {
    let account = opened.sender.account().id();
    let Letter::Farewell(last) = opened.letter else {
        return Ok(Err(DropReason::Unasked));
    };
    let sender = opened.sender;
    let own_set = Arc::clone(&ctx.own_set);
    let stored = ctx.db.write(move |tx| {
        let known = contacts::get(tx, account)?;
        let known = known.as_ref().and_then(|contact| contact.card.as_ref());
        let mut chain = newest(known, &sender).card().chain.clone();
        chain.entries.push(*last);
        if !chain.verify().is_ok_and(|account| account.is_deleted()) {
            return Ok(Err(DropReason::GoesOn));
        }
        contacts::bury(tx, account)?;
        requests::remove(tx, account)?;
        own_set.mirror(tx, account)?;
        Ok(Ok(()))
    });
    if let Err(reason) = stored.await? {
        return Ok(Err(reason));
    }
    ctx.book.remove(account);
    ctx.inner.forget(account).await;
    ctx.signal(Signal::Gone(account));
    ctx.emit(Event::ContactRemoved(account.to_string()));
    Ok(Ok(()))
}

/// What is known of somebody after this card was seen.
fn newest(known: Option<&SignedCard>, seen: &VerifiedCard) -> VerifiedCard {
    let known = known.and_then(|card| card.verify().ok());
    known.map_or_else(|| seen.clone(), |known| known.merged(seen))
}

/// Keeps what is ours (nickname, mark, date) when a contact's row is renewed.
fn merged(known: Option<Contact>, fresh: Contact) -> Contact {
    match known {
        Some(old) => Contact {
            nickname: old.nickname,
            echo: old.echo,
            added_at: old.added_at,
            ..fresh
        },
        None => fresh,
    }
}

/// A row for the holder of a card.
pub(super) fn contact_of(card: &VerifiedCard, relation: contacts::Relation) -> Contact {
    let signed = card.signed().clone();
    let homes = card
        .doors()
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
