//! Telling contacts what the own person shows: those that are there at once, the others when they are there again. Whoever was
//! told is noted, so that nothing is said twice; whoever never heard of a contact's profile asks once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starling_protocol::machine::Time;
use starling_store::contact_profiles;
use starling_wire::alpn;
use starling_wire::card::Door;
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::peer::LinkFrame;
use starling_wire::permissions::Permission;
use starling_wire::profile::{Document, Part, Picture, ProfileFrame};
use tokio::sync::{Semaphore, broadcast};
use tokio::time::MissedTickBehavior;
use tracing::debug;

use super::{EXCHANGE_TIME, Talk, hearing};
use crate::book::{Person, Reach, Relation};
use crate::context::{Context, Signal};
use crate::drivers::rounds::Rounds;
use crate::transport::stream;

/// Contacts that are told at once.
const AT_ONCE: usize = 4;
/// Whoever could not be told, or not yet, is looked at again.
const LOOK: Duration = Duration::from_secs(20);
/// A new contact's messages and presence go first.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// A door that did not answer is dialled again after this, doubling.
const AGAIN: Duration = Duration::from_secs(15);
const AGAIN_MAX: Duration = Duration::from_secs(15 * 60);

/// One session's.
#[derive(Debug)]
struct Teller {
    ctx: Arc<Context>,
    rounds: Rounds,
    turns: Semaphore,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Contacts with whom something is left to do.
    pending: BTreeSet<AccountId>,
    /// Doors that did not answer: when they are dialled again, and how often they were.
    silent: BTreeMap<EndpointKey, (Time, u32)>,
}

/// What there is to say to one device of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Ask,
    Tell,
}

/// Whether somebody is told or asked anything, as things stand at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Now,
    /// When the person is visible again.
    Later,
    Never,
}

/// Tells contacts as long as the session lives.
pub async fn run(ctx: Arc<Context>) {
    let mut signals = ctx.signals.subscribe();
    let teller = Arc::new(Teller {
        ctx: Arc::clone(&ctx),
        rounds: Rounds::default(),
        turns: Semaphore::new(AT_ONCE),
        notes: Mutex::default(),
    });
    teller.everybody();
    // It goes on however many signals come.
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => teller.pending(),
            signal = signals.recv() => match signal {
                Ok(Signal::Presence(account) | Signal::Contact(account) | Signal::Permissions(account)) => {
                    teller.look(account);
                }
                Ok(Signal::Profile) | Err(broadcast::error::RecvError::Lagged(_)) => teller.everybody(),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}

impl Teller {
    fn everybody(self: &Arc<Self>) {
        for (account, _) in self.ctx.book.people() {
            self.look(account);
        }
    }

    fn pending(self: &Arc<Self>) {
        let pending = std::mem::take(&mut self.notes().pending);
        for account in pending {
            self.look(account);
        }
    }

    /// Nobody waits for a slow one.
    fn look(self: &Arc<Self>, account: AccountId) {
        let Some(person) = self.ctx.book.person(account) else {
            return;
        };
        if person.relation != Relation::Contact || person.reach != Reach::Here {
            return;
        }
        let teller = Arc::clone(self);
        self.rounds.begin(account, move || {
            let teller = Arc::clone(&teller);
            async move {
                if !teller.one(account).await {
                    teller.notes().pending.insert(account);
                }
            }
        });
    }

    /// Does what there is to do with one contact; whether nothing is left.
    async fn one(&self, account: AccountId) -> bool {
        let ctx = &self.ctx;
        let Some(person) = ctx.book.person(account) else {
            return true;
        };
        match may(ctx, account) {
            May::Never => return true,
            May::Later => return false,
            May::Now => {}
        }
        let mut done = true;
        let tasks = self.tasks(account, &person).await;
        if tasks.iter().any(|(_, task)| *task == Task::Ask) {
            tokio::time::sleep(ASK_AFTER).await;
        }
        for (door, task) in tasks {
            done &= self.dial(account, &door, task).await;
        }
        done
    }

    /// `PROFILE-09`: whom of a contact's devices to tell, and whether to ask.
    async fn tasks(&self, account: AccountId, person: &Person) -> Vec<(Door, Task)> {
        let read = self.ctx.db.read(move |tx| {
            let known = contact_profiles::get(tx, account)?;
            Ok((known.is_some(), contact_profiles::told(tx, account)?))
        });
        let Ok((known, told)) = read.await else {
            return Vec::new();
        };
        let document = self.ctx.own_presence.profiles.document();
        let hash = document.hash();
        let has = |door: &Door| match told.iter().find(|(told, _)| *told == door.endpoint) {
            Some((_, told)) => *told == hash,
            None => document.is_empty(),
        };
        let task = |door: &Door| {
            let ask = (!known).then(|| (door.clone(), Task::Ask));
            let tell = (!has(door)).then(|| (door.clone(), Task::Tell));
            ask.into_iter().chain(tell)
        };
        person.doors().iter().flat_map(task).collect()
    }

    async fn dial(&self, account: AccountId, door: &Door, task: Task) -> bool {
        let now = self.ctx.clock.now();
        let silent = self.notes().silent.get(&door.endpoint).copied();
        if silent.is_some_and(|(again, _)| again > now) {
            return false;
        }
        let Ok(_turn) = self.turns.acquire().await else {
            return false;
        };
        // The second before a question and the turn may have taken long: blocked, or invisible, meanwhile.
        match may(&self.ctx, account) {
            May::Never => return true,
            May::Later => return false,
            May::Now => {}
        }
        let exchange = exchange(&self.ctx, account, door, task);
        let spoke = tokio::time::timeout(EXCHANGE_TIME, exchange).await;
        let spoke = matches!(spoke, Ok(Some(())));
        let mut notes = self.notes();
        if spoke {
            notes.silent.remove(&door.endpoint);
        } else {
            let times = silent.map_or(0, |(_, times)| times);
            let wait = AGAIN.saturating_mul(1 << times.min(8)).min(AGAIN_MAX);
            let again = self.ctx.clock.now() + wait;
            notes.silent.insert(door.endpoint, (again, times + 1));
            debug!(?task, "a contact's device did not talk about profiles");
        }
        spoke
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `PROFILE-10`, `PROFILE-12`: what arrives says that somebody is there.
fn may(ctx: &Context, account: AccountId) -> May {
    let person = ctx.book.person(account);
    let contact = person.is_some_and(|person| person.relation == Relation::Contact);
    if !contact || !ctx.abouts.allows(account, Permission::Presence) {
        return May::Never;
    }
    if ctx.own_presence.is_invisible() {
        return May::Later;
    }
    May::Now
}

async fn exchange(ctx: &Arc<Context>, account: AccountId, door: &Door, task: Task) -> Option<()> {
    let connection = ctx.door.dial(door, alpn::LINK).await.ok()?;
    let (send, receive) = connection.open_bi().await.ok()?;
    if may(ctx, account) != May::Now {
        return None;
    }
    let mut talk = Talk { send, receive };
    stream::write(&mut talk.send, &LinkFrame::Profile)
        .await
        .ok()?;
    let spoke = match task {
        Task::Tell => say(ctx, (account, door.endpoint), &mut talk).await,
        Task::Ask => ask(ctx, account, &mut talk).await,
    };
    connection.close(0u32.into(), b"told");
    spoke
}

async fn ask(ctx: &Arc<Context>, account: AccountId, talk: &mut Talk) -> Option<()> {
    talk.say(&ProfileFrame::Ask).await?;
    let ProfileFrame::Tell(told) = talk.hear().await? else {
        return None;
    };
    let settled = hearing::hear(ctx, account, talk, told).await;
    talk.send.finish().ok()?;
    // Until the other side has read it.
    (talk.hear().await.is_none() && settled).then_some(())
}

/// Says what is shown, and notes that it was heard.
pub(super) async fn say(
    ctx: &Arc<Context>,
    (account, door): (AccountId, EndpointKey),
    talk: &mut Talk,
) -> Option<()> {
    // Whoever asks is answered while the person is invisible, too.
    if may(ctx, account) == May::Never {
        return None;
    }
    let document = ctx.own_presence.profiles.document();
    talk.say(&ProfileFrame::Tell(document.clone())).await?;
    let mut answer = talk.hear().await?;
    if answer == ProfileFrame::PictureWanted {
        let bytes = picture(ctx, &document)?;
        talk.say(&ProfileFrame::Picture(bytes)).await?;
        answer = talk.hear().await?;
    }
    // Whoever refuses would refuse again; whoever says "later" is told again.
    if !matches!(answer, ProfileFrame::Kept | ProfileFrame::Refused) {
        return None;
    }
    let told = document.hash();
    let note = ctx
        .db
        .write(move |tx| contact_profiles::note_told(tx, account, door, told));
    note.await.ok()
}

/// The announced picture, unless it was changed meanwhile: then it is told anew.
fn picture(ctx: &Context, document: &Document) -> Option<Vec<u8>> {
    let bytes = ctx.own_presence.profiles.part(Part::Avatar).value?;
    let same = Picture::of(&bytes) == document.avatar.value;
    same.then_some(bytes)
}
