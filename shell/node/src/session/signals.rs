//! What the drivers tell each other, and who acts on it.

use std::sync::{Arc, Weak};

use starling_control::Event;
use tokio::sync::broadcast;
use tracing::debug;

use super::{Session, card};
use crate::book::Relation;
use crate::context::Signal;
use crate::drivers::home::HomeInput;
use crate::drivers::views;

/// Runs until the session ends.
pub(super) async fn route(session: Weak<Session>, mut signals: broadcast::Receiver<Signal>) {
    loop {
        let signal = match signals.recv().await {
            Ok(signal) => signal,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                debug!(missed, "signals were lost: everything is looked at again");
                if let Some(session) = session.upgrade() {
                    make_good(&session).await;
                }
                continue;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(session) = session.upgrade() else {
            return;
        };
        act_on(&session, signal).await;
    }
}

/// The table above.
async fn act_on(session: &Arc<Session>, signal: Signal) {
    session.ctx.own_presence.handle(&signal);
    match signal {
        Signal::Presence(account) => {
            session.chat.presence(account);
            session.tell_files(account);
            views::announce_contact(&session.ctx, account).await;
        }
        Signal::Contact(_) => {
            session.tell_home(HomeInput::Targets).await;
            // Their request may just have been answered by itself.
            session.people.wake_post();
        }
        Signal::Found(_) => {
            session.tell_home(HomeInput::Targets).await;
            session.people.retry_post().await;
        }
        Signal::Permissions(account) => {
            session.chat.prune();
            session.chat.resume(account);
        }
        Signal::Gone(account) => {
            session.chat.prune();
            session.calls.prune().await;
            session.tell_files(account);
            session.tell_home(HomeInput::Targets).await;
        }
        Signal::Home(_) => {
            session.calls.home_changed().await;
            session.records.supernodes().await;
            session.people.retry_post().await;
            card::tell_contacts(session).await;
            session.devices.at_home().await;
            session.names.office().poke();
        }
        Signal::Claim => session.names.office().poke(),
        Signal::Verdict => session.names.heard().await,
        Signal::DeviceGone(account) => session.device_gone(account).await,
        Signal::Keys => session.tell_home(HomeInput::Targets).await,
        Signal::Account => session.records.account().await,
        Signal::Revoked => end(session),
        Signal::Candidates => session.records.supernodes().await,
        // For the promotion driver, which is not the session's, and for those who listen themselves.
        Signal::Load { .. } | Signal::Profile => {}
        Signal::InCall(in_call) => session.tell_home(HomeInput::InCall(in_call)).await,
        Signal::CallSettings => session.calls.reload().await,
        Signal::Silence => session.tell_home(HomeInput::Suspicion).await,
        Signal::Network => {
            session.tell_home(HomeInput::Network).await;
            session.ctx.inner.look_round().await;
        }
    }
}

/// Not from a task of its own, which ends with it.
fn end(session: &Arc<Session>) {
    let session = Arc::clone(session);
    tokio::spawn(async move { session.stop().await });
}

/// Whatever was missed: the book, the calls and the store say how things stand.
async fn make_good(session: &Arc<Session>) {
    session.tell_home(HomeInput::Targets).await;
    let in_call = session.calls.in_call();
    session.tell_home(HomeInput::InCall(in_call)).await;
    session.ctx.own_presence.make_good(in_call);
    session.chat.prune();
    session.calls.prune().await;
    session.calls.reload().await;
    let people = session.ctx.book.people().into_iter();
    for (account, _) in people.filter(|(_, person)| person.relation == Relation::Contact) {
        session.chat.presence(account);
        session.tell_files(account);
    }
    for account in session.files.partners() {
        session.tell_files(account);
    }
    session.calls.home_changed().await;
    session.records.supernodes().await;
    session.records.account().await;
    session.close_strangers();
    session.people.retry_post().await;
    if session.home_state().registered {
        card::tell_contacts(session).await;
        session.devices.at_home().await;
    }
    if session.ctx.identity.is_revoked() {
        return end(session);
    }
    session.ctx.emit(Event::Lagged);
}
