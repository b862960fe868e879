//! How the own person is: what was chosen, kept over a restart, and what follows from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starling_control::{ErrorKind, Failure, view};
use starling_protocol::machine::Time;
use starling_protocol::presence::publisher::{Before, Choice, Own, Publisher};
use starling_store::{StoreError, Tx, settings};
use starling_wire::ids::{AccountId, EndpointKey, SubscriptionId};
use starling_wire::limits::MOOD_MAX;
use starling_wire::presence::{Availability, Sealed, subscription};
use starling_wire::supernode::SupernodeAddr;
use starling_wire::sync::AHEAD_MAX_MS;
use starling_wire::sync::item::Item;
use tokio::sync::Notify;
use tracing::debug;

use crate::clock::{Clock, random, wall_ms, wall_s};
use crate::context::{Context, Signal, store_failure};
use crate::db::Db;
use crate::drivers::profiles::Profiles;

/// The account's, the same on all its devices: entries of the own set, and settings here. The first is the choice, whether calls are
/// shared, when that was chosen, and what was seen before the person became invisible: seconds and mood.
const CHOICE: &str = "presence";
const MOOD: &str = "mood";
/// This device's.
const AWAY_AFTER: &str = "presence away after seconds";
const COUNTER: &str = "presence counter";
/// As people give it.
const MINUTE_S: u32 = 60;
const AWAY_AFTER_MAX_MINUTES: u32 = 24 * 60;
const AWAY_AFTER_DEFAULT: u32 = 10 * MINUTE_S;
/// Ids that are remembered: making one costs a tenth of a millisecond.
const IDS_MAX: usize = 8_000;

/// What an id is made of; a hash stands for the own secret.
type Pair = (blake3::Hash, [u8; 32], EndpointKey, AccountId);

/// How contacts see us.
#[derive(Debug)]
pub struct OwnPresence {
    /// What else they see.
    pub profiles: Profiles,
    clock: Clock,
    kept: Mutex<Kept>,
    ids: Mutex<HashMap<Pair, Option<SubscriptionId>>>,
    changed: Notify,
}

#[derive(Debug)]
struct Kept {
    publisher: Publisher,
    /// Seconds.
    away_after: u32,
    counter: u64,
    /// Contacts came, went or changed, or our keys did.
    contacts: bool,
    /// The key with which it was sealed last.
    sealed_with: Option<[u8; 32]>,
}

impl OwnPresence {
    /// What was chosen in the last run.
    pub async fn load(db: &Db, clock: Clock) -> Result<Self, StoreError> {
        let (own, away_after, counter) = db.read(read).await?;
        let idle = Duration::from_secs(away_after.into());
        Ok(Self {
            profiles: Profiles::load(db, clock).await?,
            clock,
            kept: Mutex::new(Kept {
                publisher: Publisher::new(own, idle, clock.now()),
                away_after,
                counter,
                contacts: true,
                sealed_with: None,
            }),
            ids: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// As clients see it.
    pub fn view(&self) -> view::OwnPresence {
        let kept = self.kept();
        let own = kept.publisher.own();
        view::OwnPresence {
            choice: choice_view(own.choice),
            shown: match kept.publisher.availability() {
                Availability::Online => view::Presence::Online,
                Availability::Away => view::Presence::Away,
                Availability::Busy => view::Presence::DoNotDisturb,
                Availability::Invisible => view::Presence::Offline,
            },
            mood: own.mood.clone(),
            share_calls: own.share_calls,
            away_after: kept.away_after.div_ceil(MINUTE_S),
        }
    }

    /// The person wants to be seen otherwise.
    pub async fn set(
        &self,
        ctx: &Context,
        change: view::PresenceChange,
    ) -> Result<view::OwnPresence, Failure> {
        check(&change)?;
        let was_invisible = self.is_invisible();
        let (own, away_after) = {
            let mut kept = self.kept();
            let own = kept.publisher.own().clone();
            let choice = change.choice.map_or(own.choice, choice_of);
            let mood = change.mood.map_or(own.mood, |mood| mood.trim().to_owned());
            let share = change.share_calls.unwrap_or(own.share_calls);
            kept.publisher.set(choice, mood, share, wall_s());
            let minutes = change.away_after;
            kept.away_after = minutes.map_or(kept.away_after, |minutes| minutes * MINUTE_S);
            let idle = Duration::from_secs(kept.away_after.into());
            kept.publisher.set_idle_after(idle);
            kept.publisher.handle_act(self.clock.now());
            (kept.publisher.own().clone(), kept.away_after)
        };
        self.changed.notify_one();
        let own_set = Arc::clone(&ctx.own_set);
        let write = move |tx: &Tx<'_>| {
            settings::set(tx, AWAY_AFTER, &away_after.to_string())?;
            let items = items(&own);
            for item in &items {
                if let Item::Profile(name, value) = item {
                    note(tx, name, value.as_deref())?;
                }
            }
            own_set.change(tx, &items)
        };
        ctx.db.write(write).await.map_err(store_failure)?;
        self.end_silence(ctx, was_invisible);
        Ok(self.view())
    }

    /// Another device changed what was chosen.
    pub async fn reload(&self, ctx: &Context) -> Result<(), StoreError> {
        let own = ctx.db.read(read_own).await?;
        let was_invisible = self.is_invisible();
        self.kept().publisher.adopt(own);
        self.changed.notify_one();
        self.end_silence(ctx, was_invisible);
        Ok(())
    }

    /// `PROFILE-10`: what contacts were not told while the person was invisible.
    fn end_silence(&self, ctx: &Context, was_invisible: bool) {
        if was_invisible && !self.is_invisible() {
            ctx.signal(Signal::Profile);
        }
    }

    /// The person did something on this device.
    pub fn handle_act(&self) {
        let was_away = {
            let mut kept = self.kept();
            let before = kept.publisher.availability();
            kept.publisher.handle_act(self.clock.now());
            before != kept.publisher.availability()
        };
        if was_away {
            self.changed.notify_one();
        }
    }

    /// What other drivers say.
    pub fn handle(&self, signal: &Signal) {
        match signal {
            Signal::InCall(in_call) => self.set_in_call(*in_call),
            // PRESENCE-27: with other keys ids are others, too.
            Signal::Keys | Signal::Contact(_) | Signal::Gone(_) | Signal::Permissions(_) => {
                self.handle_contacts();
            }
            _ => {}
        }
    }

    /// Signals were lost.
    pub fn make_good(&self, in_call: bool) {
        self.set_in_call(in_call);
        self.handle_contacts();
    }

    /// A call began or the last one ended.
    fn set_in_call(&self, in_call: bool) {
        let now = self.clock.now();
        self.kept().publisher.set_in_call(in_call, now);
        self.changed.notify_one();
    }

    /// Whether calls and messages are not to make themselves heard.
    pub fn is_quiet(&self) -> bool {
        self.kept().publisher.availability() == Availability::Busy
    }

    /// Whether contacts and supernodes are to notice nothing.
    pub fn is_invisible(&self) -> bool {
        self.kept().publisher.availability() == Availability::Invisible
    }

    /// `PROFILE-04`: from now on nobody sees the mood, or contacts do again.
    pub fn handle_mood_shown(&self) {
        self.say_anew();
        self.changed.notify_one();
    }

    /// Contacts came, went or changed.
    fn handle_contacts(&self) {
        self.kept().contacts = true;
        self.changed.notify_one();
    }

    /// The id by which `watcher` watches `door`, from an own request secret and the other side's request key.
    pub fn subscription(
        &self,
        (secret, request_key): (&[u8; 32], &[u8; 32]),
        door: EndpointKey,
        watcher: AccountId,
    ) -> Option<SubscriptionId> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() >= IDS_MAX {
            ids.clear();
        }
        let pair = (blake3::hash(secret), *request_key, door, watcher);
        *ids.entry(pair)
            .or_insert_with(|| subscription(secret, request_key, door, watcher))
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn next(&self) -> Time {
        let (at, _) = self.kept().publisher.poll_timeout();
        at
    }

    pub(super) fn say_anew(&self) {
        self.kept().publisher.say_anew(self.clock.now());
    }

    pub(super) fn take_contacts(&self) -> bool {
        std::mem::take(&mut self.kept().contacts)
    }

    /// What is to be said now to our home, if anything, with a number that is on disk: none is used twice. The way there is opened
    /// meanwhile.
    pub(super) async fn poll_state(&self, ctx: &Context, home: &SupernodeAddr) -> Option<Sealed> {
        let identity = ctx.identity.get();
        let (key, discovery) = (identity.front_door_key(), identity.discovery_key);
        let now = self.clock.now();
        let (state, counter) = {
            let mut kept = self.kept();
            if kept.sealed_with.replace(discovery) != Some(discovery) {
                kept.publisher.say_anew(now);
            }
            let mut state = kept.publisher.poll_state(now)?;
            kept.counter = counter_after(kept.counter, wall_ms());
            state.counter = kept.counter;
            if self.profiles.hides_mood() {
                state.mood.clear();
            }
            (state, kept.counter)
        };
        let keep = move |tx: &Tx<'_>| settings::set(tx, COUNTER, &counter.to_string());
        let (kept, ()) = tokio::join!(ctx.db.write(keep), ctx.supernodes.approach(home));
        let sealed = state.seal(&key, &discovery, random());
        match (kept, sealed) {
            (Ok(()), Ok(sealed)) => Some(sealed),
            (kept, sealed) => {
                debug!(?kept, ?sealed, "the own state could not be sealed");
                self.handle_said(false);
                None
            }
        }
    }

    pub(super) fn handle_said(&self, arrived: bool) {
        let now = self.clock.now();
        self.kept().publisher.handle_said(arrived, now);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(change: &view::PresenceChange) -> Result<(), Failure> {
    let usage = |words: String| Err(Failure::new(ErrorKind::Usage, words));
    let mood = change.mood.as_deref().unwrap_or_default();
    if mood.len() > MOOD_MAX {
        return usage(format!(
            "what you say about yourself is too long; {MOOD_MAX} bytes are allowed"
        ));
    }
    if mood.chars().any(char::is_control) {
        return usage("what you say about yourself is one line of text".to_owned());
    }
    if change
        .away_after
        .is_some_and(|after| !(1..=AWAY_AFTER_MAX_MINUTES).contains(&after))
    {
        return usage(format!(
            "you can turn to away after 1 to {AWAY_AFTER_MAX_MINUTES} minutes"
        ));
    }
    Ok(())
}

const fn choice_of(choice: view::PresenceChoice) -> Choice {
    match choice {
        view::PresenceChoice::Auto => Choice::Auto,
        view::PresenceChoice::Online => Choice::Set(Availability::Online),
        view::PresenceChoice::Away => Choice::Set(Availability::Away),
        view::PresenceChoice::Dnd => Choice::Set(Availability::Busy),
        view::PresenceChoice::Invisible => Choice::Set(Availability::Invisible),
    }
}

const fn choice_view(choice: Choice) -> view::PresenceChoice {
    match choice {
        Choice::Auto => view::PresenceChoice::Auto,
        Choice::Set(Availability::Online) => view::PresenceChoice::Online,
        Choice::Set(Availability::Away) => view::PresenceChoice::Away,
        Choice::Set(Availability::Busy) => view::PresenceChoice::Dnd,
        Choice::Set(Availability::Invisible) => view::PresenceChoice::Invisible,
    }
}

/// Higher than all before, but for those of a clock that was wrong: contacts do not believe them (`PRESENCE-30`).
fn counter_after(last: u64, now_ms: u64) -> u64 {
    if last > now_ms.saturating_add(AHEAD_MAX_MS) {
        return now_ms;
    }
    now_ms.max(last + 1)
}

fn read(tx: &Tx<'_>) -> Result<(Own, u32, u64), StoreError> {
    let away_after = settings::get(tx, AWAY_AFTER)?.and_then(|text| text.parse().ok());
    let counter = settings::get(tx, COUNTER)?.and_then(|text| text.parse().ok());
    let away_after = away_after.unwrap_or(AWAY_AFTER_DEFAULT);
    Ok((read_own(tx)?, away_after, counter.unwrap_or(0)))
}

fn read_own(tx: &Tx<'_>) -> Result<Own, StoreError> {
    let kept = settings::get(tx, &setting(CHOICE))?.unwrap_or_default();
    let mut words = kept.splitn(5, ' ');
    let choice = words.next().and_then(|word| word.parse().ok());
    let share_calls = words.next() == Some("yes");
    let chosen = words.next().and_then(|word| word.parse().ok());
    let before = words.next().map(|seen| Before {
        seen: seen.parse().ok(),
        mood: words.next().unwrap_or_default().to_owned(),
    });
    Ok(Own {
        choice: choice_of(choice.unwrap_or_default()),
        chosen: chosen.unwrap_or(0),
        mood: mood(tx)?,
        share_calls,
        before,
    })
}

/// The same for all devices of the account.
fn items(own: &Own) -> [Item; 2] {
    let share = if own.share_calls { "yes" } else { "no" };
    let mut choice = format!("{} {share} {}", choice_view(own.choice), own.chosen);
    if let Some(before) = &own.before {
        let seen = before.seen.map_or("-".to_owned(), |seen| seen.to_string());
        choice.push_str(&format!(" {seen} {}", before.mood));
    }
    let item = |name: &str, text: &str| Item::Profile(name.into(), Some(text.into()));
    [item(CHOICE, &choice), item(MOOD, &own.mood)]
}

fn setting(name: &str) -> String {
    format!("profile/{name}")
}

/// What the own set says of the profile; whether it is about presence.
pub fn note(tx: &Tx<'_>, name: &str, value: Option<&[u8]>) -> Result<bool, StoreError> {
    let Some(text) = readable(name, value) else {
        return Ok(false);
    };
    settings::set(tx, &setting(name), text)?;
    Ok(true)
}

/// What the person says at the moment.
pub fn mood(tx: &Tx<'_>) -> Result<String, StoreError> {
    Ok(settings::get(tx, &setting(MOOD))?.unwrap_or_default())
}

/// The same, from a backup.
pub fn note_mood(tx: &Tx<'_>, value: Option<&[u8]>) -> Result<bool, StoreError> {
    note(tx, MOOD, value)
}

/// `PRESENCE-26`: what another device says is bounded as what is typed here.
fn readable<'a>(name: &str, value: Option<&'a [u8]>) -> Option<&'a str> {
    let most = match name {
        // Before the mood of then stand choice, sharing and twice seconds.
        CHOICE => MOOD_MAX + 60,
        MOOD => MOOD_MAX,
        _ => return None,
    };
    let text = std::str::from_utf8(value.unwrap_or_default()).ok()?;
    (text.len() <= most && !text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_30_after_a_wrong_clock_the_counter_is_plausible_again() {
        let now = 1_800_000_000_000;
        assert_eq!(counter_after(0, now), now);
        assert_eq!(counter_after(now, now), now + 1);
        assert_eq!(counter_after(now + 5_000, now), now + 5_001);
        assert_eq!(counter_after(now + AHEAD_MAX_MS + 1, now), now);
    }

    #[test]
    fn presence_26_what_another_device_says_is_bounded() {
        let long = "m".repeat(MOOD_MAX);
        let own = Own {
            choice: Choice::Set(Availability::Invisible),
            chosen: u64::MAX,
            mood: long.clone(),
            share_calls: true,
            before: Some(Before {
                seen: Some(u64::MAX),
                mood: long.clone(),
            }),
        };
        for item in items(&own) {
            let Item::Profile(name, value) = item else {
                panic!("a part of the profile");
            };
            assert!(readable(&name, value.as_deref()).is_some(), "{name}");
        }
        let longer = format!("{long}m");
        for value in [longer.as_bytes(), b"two\nlines", b"\xff"] {
            assert_eq!(readable(MOOD, Some(value)), None);
        }
        assert_eq!(readable("name", Some(b"Alice")), None);
        assert_eq!(readable(MOOD, None), Some(""));
    }
}
