//! What people are shown of calls: the running ones as they are, the others from the log.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use starling_control::view;
use starling_store::calls as log;
use starling_wire::ids::CallId;
use tokio::sync::mpsc;
use tracing::debug;

use crate::context::Context;

/// The running calls and the one shown last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<Mutex<Views>>);

#[derive(Debug, Default)]
struct Views {
    running: Vec<(CallId, view::Call)>,
    last: Option<(CallId, view::Call)>,
    in_call: bool,
}

impl Shown {
    /// A call as it is now.
    pub fn put(&self, call: CallId, view: &view::Call) {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.running.retain(|(running, _)| *running != call);
        if view.state != view::CallState::Ended {
            views.running.push((call, view.clone()));
        }
        views.last = Some((call, view.clone()));
    }

    /// The calls that are not over.
    pub fn now(&self) -> Vec<view::Call> {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.running.iter().map(|(_, view)| view.clone()).collect()
    }

    /// The call that was shown last, if it is this one.
    pub fn last(&self, call: CallId) -> Option<view::Call> {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, view) = views.last.as_ref()?;
        (*last == call).then(|| view.clone())
    }

    /// Notes whether there is a call; returns what was noted before.
    pub fn in_call(&self, now: bool) -> bool {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut views.in_call, now)
    }
}

/// Running calls first, then the log, each call once.
pub fn merge(
    ctx: &Context,
    now: Vec<view::Call>,
    before: Vec<log::Call>,
    limit: u32,
) -> Vec<view::Call> {
    let running: BTreeSet<String> = now.iter().map(|call| call.id.clone()).collect();
    let logged = before
        .into_iter()
        .filter(|call| !running.contains(&call.id.to_string()))
        .map(|call| from_log(ctx, call));
    now.into_iter()
        .rev()
        .chain(logged)
        .take(limit as usize)
        .collect()
}

fn from_log(ctx: &Context, call: log::Call) -> view::Call {
    view::Call {
        id: call.id.to_string(),
        contact: call.contact.to_string(),
        who: ctx.title(call.contact),
        outgoing: call.outgoing,
        state: view::CallState::Ended,
        words: call.reason.unwrap_or_else(|| "ended".to_owned()),
        started_at: call.started_at,
        answered_at: call.answered_at,
        ended_at: call.ended_at,
        quality: call.path.map(|path| view::CallQuality {
            path,
            ..view::CallQuality::default()
        }),
        ..view::Call::default()
    }
}

/// Writes the log, in order, beside the calls: a slow disk delays no call.
pub async fn keep_log(ctx: Arc<Context>, mut records: mpsc::Receiver<log::Call>) {
    while let Some(record) = records.recv().await {
        let write = ctx.db.write(move |tx| log::put(tx, &record)).await;
        if let Err(error) = write {
            debug!(%error, "a call could not be logged");
        }
    }
}
