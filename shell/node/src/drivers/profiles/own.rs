//! What the own person shows: kept by parts, the same on all devices of the account.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starling_control::{ErrorKind, Event, Failure, view};
use starling_protocol::people::asking::Asking;
use starling_store::{StoreError, Tx, own_parts};
use starling_wire::card::VerifiedCard;
use starling_wire::frame;
use starling_wire::ids::AccountId;
use starling_wire::limits::PICTURE_MAX;
use starling_wire::profile::{Document, Introduction, OwnPart, Part, ProfileError, Visibility};
use starling_wire::shown_name::shown_lines;
use starling_wire::sync::item::Item;
use tokio::sync::Semaphore;

use super::label;
use crate::avatar;
use crate::clock::{Clock, wall_ms};
use crate::context::{Context, Signal, store_failure};
use crate::db::Db;
use crate::drivers::letters::next_sequence;
use crate::drivers::people::People;
use crate::drivers::presence;
use crate::identity::Identity;
use crate::node::checked_name;
use crate::own::Own;
use crate::own_set::OwnSet;

/// Parts of the profile in the own set.
const FIELD: &str = "shown/";

type Parts = BTreeMap<Part, OwnPart>;

/// The own profile, and what is needed to talk about others'.
#[derive(Debug)]
pub struct Profiles {
    clock: Clock,
    parts: Mutex<Parts>,
    /// How often contacts talk about theirs.
    pace: Mutex<BTreeMap<AccountId, Asking>>,
    /// Large pictures are decoded one at a time.
    pub(super) decoding: Arc<Semaphore>,
}

impl Profiles {
    /// As it was kept.
    pub async fn load(db: &Db, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self {
            clock,
            parts: Mutex::new(db.read(read).await?),
            pace: Mutex::default(),
            decoding: Arc::new(Semaphore::new(1)),
        })
    }

    /// One part, as it was chosen or is at first.
    pub fn part(&self, part: Part) -> OwnPart {
        let kept = self.parts().get(&part).cloned();
        kept.unwrap_or_else(|| at_first(part))
    }

    /// What contacts are told.
    pub(super) fn document(&self) -> Document {
        Document::new(&self.part(Part::About), &self.part(Part::Avatar))
    }

    /// `PROFILE-02`: whether contacts refuse it for a number from more than a day ahead, by the clock here.
    pub fn is_ahead(&self) -> bool {
        self.document().check(wall_ms()) == Err(ProfileError::Ahead)
    }

    /// What whoever is asked to become a contact is shown.
    pub fn introduction(&self, ctx: &Context) -> Introduction {
        let part = |part| self.part(part).for_network().map(<[u8]>::to_vec);
        let mood = ctx.own_presence.view().mood;
        let shown = self.part(Part::Mood).visibility == Visibility::Network;
        Introduction {
            mood: Some(mood).filter(|mood| shown && !mood.is_empty()),
            about: part(Part::About).and_then(|about| String::from_utf8(about).ok()),
            avatar: part(Part::Avatar),
        }
    }

    /// Whether requests go out without the display name.
    pub fn hides_name_from_strangers(&self) -> bool {
        self.part(Part::Name).visibility == Visibility::Contacts
    }

    /// Whether nobody sees the mood.
    pub fn hides_mood(&self) -> bool {
        self.part(Part::Mood).visibility == Visibility::Nobody
    }

    /// `PROFILE-11`: whether a contact may talk about profiles now; it counts if so.
    pub(super) fn may_ask(&self, account: AccountId) -> bool {
        let now = self.clock.now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let asking = pace.entry(account).or_insert_with(|| Asking::new(now));
        asking.take(now)
    }

    /// As clients see it.
    pub fn view(&self, ctx: &Context) -> view::OwnProfile {
        let text = |part| {
            let value = self.part(part).value.unwrap_or_default();
            String::from_utf8_lossy(&value).into_owned()
        };
        let shown = |part| (part_view(part), visibility_view(self.part(part).visibility));
        let avatar = self.part(Part::Avatar).value;
        view::OwnProfile {
            name: ctx.identity.get().name.clone(),
            mood: ctx.own_presence.view().mood,
            about: text(Part::About),
            avatar: avatar.map(|bytes| label(blake3::hash(&bytes).as_bytes())),
            visibility: Part::ALL.map(shown).into(),
        }
    }

    /// Another device changed what is shown.
    pub async fn reload(&self, ctx: &Context) -> Result<(), StoreError> {
        let parts = ctx.db.read(read).await?;
        let hidden = parts.get(&Part::Name).cloned();
        let hid_mood = self.hides_mood();
        *self.parts() = parts;
        // A card that hides the name does not bring it.
        let name = hidden.and_then(|part| String::from_utf8(part.value?).ok());
        if let Some(name) = name
            && ctx.identity.get().name_hidden
        {
            let own = Arc::clone(&ctx.identity);
            let keep = move |tx: &Tx<'_>| own.change(tx, |identity| identity.name = name);
            ctx.db.write(keep).await?;
        }
        self.announce(ctx, hid_mood);
        Ok(())
    }

    /// Whoever shows it or tells of it looks again.
    fn announce(&self, ctx: &Context, hid_mood: bool) {
        if hid_mood != self.hides_mood() {
            ctx.own_presence.handle_mood_shown();
        }
        ctx.signal(Signal::Profile);
        ctx.emit(Event::OwnProfile(self.view(ctx)));
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that is another, or seen by others, than before: the card has to say so.
struct Renamed {
    name: String,
    hidden: bool,
    card: VerifiedCard,
}

impl Renamed {
    fn keep(self, tx: &Tx<'_>, own: &Arc<Own>, own_set: &Arc<OwnSet>) -> Result<(), StoreError> {
        own.change(tx, |identity| {
            identity.name = self.name;
            identity.name_hidden = self.hidden;
        })?;
        own_set.signed(tx, self.card)
    }
}

fn keep(tx: &Tx<'_>, own_set: &Arc<OwnSet>, parts: &Parts) -> Result<(), StoreError> {
    for (part, kept) in parts {
        own_parts::put(tx, *part, kept)?;
    }
    own_set.change(tx, &items(parts))
}

/// The person shows something else, or to others.
pub async fn show(
    ctx: &Arc<Context>,
    people: &People,
    change: view::ProfileChange,
) -> Result<view::OwnProfile, Failure> {
    let parts = next_parts(ctx, &change).await?;
    if parts.is_empty() {
        return Ok(ctx.own_presence.profiles.view(ctx));
    }
    let renamed = renamed(ctx, parts.get(&Part::Name)).await?;
    let tell = renamed.is_some();
    let (own, own_set) = (Arc::clone(&ctx.identity), Arc::clone(&ctx.own_set));
    let kept = parts.clone();
    let stored = ctx.db.write(move |tx| {
        keep(tx, &own_set, &kept)?;
        renamed.map_or(Ok(()), |renamed| renamed.keep(tx, &own, &own_set))
    });
    stored.await.map_err(store_failure)?;
    let profiles = &ctx.own_presence.profiles;
    let hid_mood = profiles.hides_mood();
    profiles.parts().extend(parts);
    if tell {
        people.send_updates().await.map_err(store_failure)?;
    }
    profiles.announce(ctx, hid_mood);
    Ok(profiles.view(ctx))
}

/// Those parts that change, as they are from now on.
async fn next_parts(ctx: &Arc<Context>, change: &view::ProfileChange) -> Result<Parts, Failure> {
    let mut values = chosen(ctx, change).await?;
    let mut parts = Parts::new();
    for part in Part::ALL {
        let visibility = change.visibility.get(&part_view(part));
        if visibility.is_none() && !values.contains_key(&part) {
            continue;
        }
        let now = today(ctx, part);
        let mut next = now.clone();
        next.visibility = visibility.map_or(now.visibility, |one| visibility_of(*one));
        next.value = values.remove(&part).unwrap_or(next.value);
        if next == now {
            continue;
        }
        next.number = wall_ms().max(now.number + 1);
        let checked = next.check(part);
        checked.map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
        parts.insert(part, next);
    }
    Ok(parts)
}

/// A part before it changes.
fn today(ctx: &Context, part: Part) -> OwnPart {
    let mut now = ctx.own_presence.profiles.part(part);
    // A name that is hidden reaches the other devices this way only.
    if part == Part::Name {
        now.value = Some(ctx.identity.get().name.clone().into_bytes());
    }
    now
}

/// What is to stand in parts from now on.
async fn chosen(
    ctx: &Arc<Context>,
    change: &view::ProfileChange,
) -> Result<BTreeMap<Part, Option<Vec<u8>>>, Failure> {
    let mut values = BTreeMap::new();
    if let Some(name) = &change.name {
        values.insert(Part::Name, Some(checked_name(name)?.as_bytes().to_vec()));
    }
    if let Some(about) = &change.about {
        let about = shown_lines(about);
        values.insert(Part::About, (!about.is_empty()).then(|| about.into_bytes()));
    }
    if let Some(path) = &change.avatar {
        values.insert(Part::Avatar, picture(ctx, path).await?);
    }
    Ok(values)
}

async fn picture(ctx: &Arc<Context>, path: &str) -> Result<Option<Vec<u8>>, Failure> {
    if path.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(path);
    let one = Arc::clone(&ctx.own_presence.profiles.decoding)
        .acquire_owned()
        .await;
    let work = move || {
        let made = avatar::from_file(&path);
        drop(one);
        made
    };
    let made = tokio::task::spawn_blocking(work).await;
    let made = made.map_err(|error| Failure::new(ErrorKind::System, error.to_string()))?;
    let made = made.map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()))?;
    debug_assert!(made.len() <= PICTURE_MAX);
    Ok(Some(made))
}

/// The card with that name, if it says another than today's.
async fn renamed(ctx: &Context, part: Option<&OwnPart>) -> Result<Option<Renamed>, Failure> {
    let Some(part) = part else {
        return Ok(None);
    };
    let mut identity = Identity::clone(&ctx.identity.get());
    let name = part.value.as_deref().map(String::from_utf8_lossy);
    let name = name.unwrap_or_default().into_owned();
    let hidden = part.visibility == Visibility::Nobody;
    if (&name, hidden) == (&identity.name, identity.name_hidden) {
        return Ok(None);
    }
    if !identity.can_sign() {
        let sentence = "this device does not hold the account's key; change the name on one of your devices that does";
        return Err(Failure::new(ErrorKind::State, sentence));
    }
    identity.name.clone_from(&name);
    identity.name_hidden = hidden;
    let sequence = next_sequence(ctx).await.map_err(store_failure)?;
    let card = identity.card(sequence, &ctx.home_list(), ctx.homes().network);
    let refused =
        |error: starling_wire::card::CardError| Failure::new(ErrorKind::System, error.to_string());
    let card = card.verify().map_err(refused)?;
    Ok(Some(Renamed { name, hidden, card }))
}

fn at_first(part: Part) -> OwnPart {
    OwnPart {
        visibility: part.at_first(),
        ..OwnPart::default()
    }
}

fn read(tx: &Tx<'_>) -> Result<Parts, StoreError> {
    let mut parts = Parts::new();
    for part in Part::ALL {
        if let Some(kept) = own_parts::get(tx, part)? {
            parts.insert(part, kept);
        }
    }
    Ok(parts)
}

/// The same for all devices of the account.
fn items(parts: &Parts) -> Vec<Item> {
    let item = |(part, kept): (&Part, &OwnPart)| {
        let name = format!("{FIELD}{}", part.word());
        Item::Profile(name, Some(frame::encode_body(kept)))
    };
    parts.iter().map(item).collect()
}

/// What the own set says of the profile; whether it is about what is shown. `PROFILE-13`: bounded as what is chosen here.
pub fn note(tx: &Tx<'_>, name: &str, value: Option<&[u8]>) -> Result<bool, StoreError> {
    let part = name.strip_prefix(FIELD).and_then(|part| part.parse().ok());
    let (Some(part), Some(value)) = (part, value) else {
        return Ok(false);
    };
    let kept = frame::decode_body::<OwnPart>(value, PICTURE_MAX + 64);
    match kept {
        Ok(kept) if kept.check(part).is_ok() => {
            own_parts::put(tx, part, &kept)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// What own devices that join later are to have.
pub fn kept(tx: &Tx<'_>) -> Result<Vec<Item>, StoreError> {
    Ok(items(&read(tx)?))
}

/// All of it, for a backup; the mood, too.
pub fn saved(tx: &Tx<'_>) -> Result<Vec<(Part, OwnPart)>, StoreError> {
    let mut parts = read(tx)?;
    let mood = presence::mood(tx)?;
    if !mood.is_empty() {
        let part = parts
            .entry(Part::Mood)
            .or_insert_with(|| at_first(Part::Mood));
        part.value = Some(mood.into_bytes());
    }
    Ok(parts.into_iter().collect())
}

/// For the rescue copy, which has no room for pictures.
pub fn without_picture(tx: &Tx<'_>) -> Result<Vec<(Part, OwnPart)>, StoreError> {
    let mut parts = saved(tx)?;
    if let Some((_, avatar)) = parts.iter_mut().find(|(part, _)| *part == Part::Avatar) {
        avatar.value = None;
    }
    Ok(parts)
}

/// Whether the card of a restored account says no name, as the one before.
pub fn hides_name((part, kept): &(Part, OwnPart)) -> bool {
    *part == Part::Name && kept.visibility == Visibility::Nobody
}

/// From a backup or a rescue copy.
pub fn restored(tx: &Tx<'_>, parts: Vec<(Part, OwnPart)>) -> Result<(), StoreError> {
    for (part, mut kept) in parts {
        if part == Part::Mood {
            presence::note_mood(tx, kept.value.take().as_deref())?;
        }
        own_parts::put(tx, part, &kept)?;
    }
    Ok(())
}

const fn part_view(part: Part) -> view::ProfilePart {
    match part {
        Part::Name => view::ProfilePart::Name,
        Part::Mood => view::ProfilePart::Mood,
        Part::About => view::ProfilePart::About,
        Part::Avatar => view::ProfilePart::Avatar,
    }
}

const fn visibility_view(visibility: Visibility) -> view::Visibility {
    match visibility {
        Visibility::Nobody => view::Visibility::Nobody,
        Visibility::Contacts => view::Visibility::Contacts,
        Visibility::Network => view::Visibility::Network,
    }
}

const fn visibility_of(visibility: view::Visibility) -> Visibility {
    match visibility {
        view::Visibility::Nobody => Visibility::Nobody,
        view::Visibility::Contacts => Visibility::Contacts,
        view::Visibility::Network => Visibility::Network,
    }
}
