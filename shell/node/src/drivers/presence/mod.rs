//! Presence on the client's side: how the own person is told (here; machine `presence::publisher`), and what contacts are
//! shown as ([`contacts`]; machine `presence::person`). Watching them is the home driver's. Spec page: `presence.md`.

pub mod contacts;
mod own;

use std::sync::Arc;
use std::time::Duration;

use starling_control::Event;
use starling_protocol::machine::Time;
use starling_wire::limits::GRANTED_TO_MAX;
use starling_wire::permissions::Permission;
use starling_wire::presence::Sealed;
use starling_wire::supernode::{Answer, Grant, Request, SupernodeAddr};
use tokio::sync::watch;
use tracing::debug;

pub use self::own::{OwnPresence, mood, note, note_mood};
use super::home::HomeState;
use crate::clock::sleep_until;
use crate::context::{Context, Signal};

/// What could not be granted is tried again after this, doubling.
const RETRY: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Contacts that may not see the own presence and are named.
const UNSEEN_MAX: usize = 400;

/// What the home supernode was told of who may see the own presence.
#[derive(Debug, Default)]
struct Granted {
    /// None before it was told.
    to: Option<Grant>,
    not_before: Time,
    failures: u32,
}

/// Tells the home supernode how the own person is and who may see it, until the session ends.
pub async fn run(ctx: Arc<Context>, mut home: watch::Receiver<HomeState>) {
    let mut granted = Granted::default();
    let mut since = None;
    let mut shown = None;
    let mut keys = ctx.identity.keys();
    // They may have changed since others looked.
    keys.mark_changed();
    loop {
        let state = home.borrow_and_update().clone();
        let at = ctx.door.home().filter(|_| state.registered);
        if let Some(at) = &at {
            // Whoever has just let us in knows nothing of us, even if it did before.
            if since.replace(state.since) != Some(state.since) {
                granted = Granted::default();
                ctx.own_presence.say_anew();
            }
            tell(&ctx, at, &mut granted).await;
        }
        let now_shown = ctx.own_presence.view();
        if shown.as_ref() != Some(&now_shown) {
            ctx.emit(Event::OwnPresence(now_shown.clone()));
            shown = Some(now_shown);
        }
        let wake = at.map(|_| ctx.clock.instant(next(&ctx, &granted)));
        tokio::select! {
            () = ctx.own_presence.changed() => {}
            () = sleep_until(wake) => {}
            Ok(()) = keys.changed() => ctx.signal(Signal::Keys),
            changed = home.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

fn next(ctx: &Context, granted: &Granted) -> Time {
    let due = ctx.own_presence.next();
    match granted.to {
        Some(_) => due,
        None => due.min(granted.not_before),
    }
}

/// Both are said at once: the supernode takes them in this order.
async fn tell(ctx: &Context, home: &SupernodeAddr, granted: &mut Granted) {
    let now = ctx.clock.now();
    let to = ctx.own_presence.take_contacts().then(|| granted_to(ctx));
    if to.is_some() && granted.to != to {
        granted.to = None;
    }
    let grant = (granted.to.is_none() && granted.not_before <= now).then(|| granted_to(ctx));
    let state = ctx.own_presence.poll_state(ctx, home).await;
    let (told, said) = tokio::join!(
        send_grant(ctx, home, grant.clone()),
        send_state(ctx, home, state),
    );
    let now = ctx.clock.now();
    match told {
        Some(true) => {
            *granted = Granted {
                to: grant,
                ..Granted::default()
            };
        }
        Some(false) => {
            let wait = RETRY.saturating_mul(1 << granted.failures.min(8));
            granted.not_before = now + wait.min(RETRY_MAX);
            granted.failures += 1;
        }
        None => {}
    }
    if let Some(said) = said {
        ctx.own_presence.handle_said(said);
    }
}

/// Contacts may see how the own person is, unless that was denied them. Who has not heard of a new request key yet
/// (`PRESENCE-27`) goes on by the one before.
fn granted_to(ctx: &Context) -> Grant {
    let identity = ctx.identity.get();
    let door = identity.front_door();
    let before = identity.earlier_requests.first();
    let ids = |allowed: bool, most: usize| {
        let secrets = [Some(&identity.request_secret), before];
        let of = |secret| {
            ctx.book.granted(|account, key| {
                let may = ctx.abouts.allows(account, Permission::Presence);
                let id = || ctx.own_presence.subscription((secret, key), door, account);
                (may == allowed).then(id).flatten()
            })
        };
        let mut ids: Vec<_> = secrets.into_iter().flatten().flat_map(of).collect();
        ids.truncate(most);
        ids.sort_unstable();
        ids
    };
    Grant {
        ids: ids(true, GRANTED_TO_MAX - UNSEEN_MAX),
        unseen: ids(false, UNSEEN_MAX),
    }
}

async fn send_grant(ctx: &Context, home: &SupernodeAddr, grant: Option<Grant>) -> Option<bool> {
    Some(arrives(ctx, home, Request::Grant(grant?)).await)
}

async fn send_state(ctx: &Context, home: &SupernodeAddr, state: Option<Sealed>) -> Option<bool> {
    Some(arrives(ctx, home, Request::State(state?)).await)
}

async fn arrives(ctx: &Context, home: &SupernodeAddr, request: Request) -> bool {
    match ctx.supernodes.ask(home, &request).await {
        Ok(Answer::Ok) => true,
        Ok(_) => false,
        Err(error) => {
            debug!(%error, "the home supernode did not take the own presence");
            false
        }
    }
}
