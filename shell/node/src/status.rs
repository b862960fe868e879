//! `status`: who am I, how am I reached, what do I carry, and what a person should know.

use std::sync::Arc;

use starling_control::{Failure, view};

use crate::book::Relation;
use crate::context::{Context, store_failure};
use crate::drivers::people::key_warnings;
use crate::node::{App, account_view};
use crate::paths::OpenPath;
use crate::recovery;
use crate::roles::show;
use crate::session::Session;

/// Of a network that puts a certificate of its own in the supernode's place.
const INSPECTED: &str = "this network opens the outer layer of your connections: whoever runs it sees with which \
    supernodes you speak and when; what you say, write and send stays sealed between you and your contacts";

/// Of a profile that was changed while a clock was wrong.
const AHEAD: &str = "by this computer's clock, what you show in your profile was changed more than a day from now: contacts do not \
    take it before that day; if the clock is wrong, set it";

/// Of a device that was removed from its account.
const REVOKED: &str = "this device was removed from its account on another device: it receives and sends nothing any more; \
    what is stored here can still be read";

/// Everything at once.
pub async fn status(app: &Arc<App>) -> Result<view::Status, Failure> {
    let session = app.session().ok();
    let supernode = app.supernode();
    let mut traffic = session
        .as_ref()
        .map(|session| session.ctx.traffic.view())
        .unwrap_or_default();
    let rules = app.rules().await.map_err(store_failure)?;
    if supernode.is_some() {
        traffic.extend(show::traffic(&rules, &app.carrier));
    }
    let mut warnings = vec![app.db.key_words()];
    warnings.extend(missing_devices().await);
    warnings.extend(session.iter().flat_map(|session| of_session(session)));
    if session.is_none() {
        warnings.insert(0, "this profile has no account yet".to_owned());
    }
    let reminder = match session {
        Some(_) => recovery::reminder(app).await?,
        None => None,
    };
    let serving = session.as_ref();
    let serving = serving.filter(|session| !session.ctx.identity.is_revoked());
    let home = serving.map(|session| session.home_state());
    Ok(view::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        home: app.config.home.display().to_string(),
        account: session
            .as_ref()
            .map(|session| account_view(&session.ctx.identity.get())),
        presence: session.as_deref().map(own_presence),
        network: app.network_view().await?,
        supernode: home.as_ref().and_then(|home| supernode_status(app, home)),
        roles: app.role_views(&rules),
        policy: show::policy(&rules),
        paths: session
            .as_ref()
            .map(|session| paths(&session.ctx))
            .unwrap_or_default(),
        traffic,
        index: supernode
            .as_ref()
            .map(|supernode| supernode.index_words())
            .unwrap_or_default(),
        listening: supernode
            .map(|supernode| supernode.listening())
            .unwrap_or_default(),
        warnings,
        missed_calls: missed_calls(session.as_deref()).await?,
        reminder,
        online_after_ms: home
            .and_then(|home| home.first_online)
            .map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX)),
    })
}

async fn missed_calls(session: Option<&Session>) -> Result<u32, Failure> {
    match session {
        Some(session) => session.calls.unseen().await,
        None => Ok(0),
    }
}

fn own_presence(session: &Session) -> view::OwnPresence {
    session.ctx.own_presence.view()
}

fn paths(ctx: &Context) -> Vec<view::PathView> {
    let view = |open: OpenPath| view::PathView {
        who: ctx.title(open.account),
        purpose: open.purpose.to_owned(),
        kind: open.kind().to_owned(),
        remote: open.travel.remote,
        rtt_ms: Some(open.travel.rtt.as_secs_f64() * 1000.0),
    };
    ctx.paths.list().into_iter().map(view).collect()
}

/// What an account should know, in words.
fn of_session(session: &Session) -> Vec<String> {
    let mut words = about_session(&session.ctx);
    words.extend(session.names.warnings());
    words
}

/// What is in the way to the supernode, and whose key has changed, in words.
fn about_session(ctx: &Context) -> Vec<String> {
    let mut words = about_devices(ctx);
    words.extend(ctx.door.shim().words());
    if ctx.door.is_opened() {
        // INSPECT-02
        words.push(INSPECTED.to_owned());
    }
    words.extend(key_warnings(ctx));
    words.extend(ctx.strangers.words(|account| ctx.title(account)));
    let asked = |account| {
        let person = ctx.book.person(account)?;
        (person.relation == Relation::Requested).then(|| ctx.title(account))
    };
    words.extend(ctx.strangers.requests_that_wait(asked));
    words
}

/// What is wrong with the account's devices, in words.
fn about_devices(ctx: &Context) -> Vec<String> {
    let mut words = Vec::new();
    if ctx.identity.is_revoked() {
        words.push(REVOKED.to_owned());
    }
    if ctx.own_presence.profiles.is_ahead() {
        words.push(AHEAD.to_owned());
    }
    for name in ctx.identity.clocks_apart() {
        words.push(format!(
            "the clocks of this device and of your device \"{name}\" are more than a day apart: set the one that is wrong"
        ));
    }
    words
}

/// What a call would lack, in words.
async fn missing_devices() -> Vec<String> {
    let report = tokio::task::spawn_blocking(starling_audio::devices::report).await;
    report.map(|report| report.words).unwrap_or_default()
}

fn supernode_status(
    app: &App,
    home: &crate::drivers::home::HomeState,
) -> Option<view::SupernodeStatus> {
    let supernode = home.supernode.as_ref()?;
    let own = app
        .supernode()
        .is_some_and(|own| own.address().id == supernode.id);
    let seconds = app.clock.now().saturating_sub(home.since).as_secs();
    let words = if home.registered && home.nearby {
        "connected; found on the local network, since no other supernode answers".to_owned()
    } else if home.registered {
        "connected".to_owned()
    } else {
        format!("not answering since {seconds} s")
    };
    Some(view::SupernodeStatus {
        id: supernode.id.to_string(),
        address: supernode.tcp.to_string(),
        connected: home.registered,
        words,
        own,
    })
}
