//! What people are shown of calls: the running ones as they are, the others from the log.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use starling_control::view;
use starling_store::{Tx, calls as log};
use starling_wire::ids::CallId;
use tokio::sync::mpsc;
use tracing::debug;

use super::running::Technical;
use crate::clock::wall_ms;
use crate::context::Context;

/// The running calls and the one that ended last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<Mutex<Views>>);

#[derive(Debug, Default)]
struct Views {
    running: Vec<(CallId, view::Call)>,
    /// The one that ended last.
    last: Option<(CallId, view::Call)>,
    in_call: bool,
}

impl Shown {
    /// A call as it is now.
    pub fn put(&self, call: CallId, view: &view::Call) {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.running.retain(|(running, _)| *running != call);
        match view.state {
            view::CallState::Ended => views.last = Some((call, view.clone())),
            _ => views.running.push((call, view.clone())),
        }
    }

    /// The calls that are not over.
    pub fn now(&self) -> Vec<view::Call> {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        views.running.iter().map(|(_, view)| view.clone()).collect()
    }

    /// The call that ended last, if it is this one.
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
        record: view::CallRecord {
            rang_at: call.rang_at,
            missed: call.missed,
            seen: call.seen,
            answered_on: call.answered_on,
            next: None,
            merged: false,
            course: None,
        },
        ..view::Call::default()
    }
}

/// With what its sound was like.
pub fn with_course(ctx: &Context, mut call: log::Call) -> view::Call {
    let technical = call.technical.take();
    let kept = technical.and_then(|text| serde_json::from_str::<Technical>(&text).ok());
    let mut view = from_log(ctx, call);
    if let Some(Technical { last, course }) = kept {
        view.quality = Some(last);
        view.record.course = course;
    }
    view
}

/// Writes the log, in order, beside the calls: a slow disk delays no call.
pub async fn keep_log(ctx: Arc<Context>, mut records: mpsc::Receiver<log::Call>) {
    while let Some(record) = records.recv().await {
        let keep = move |tx: &Tx<'_>| {
            log::put(tx, &record)?;
            if record.ended_at.is_some() {
                log::prune(tx, wall_ms())?;
            }
            Ok(())
        };
        let write = ctx.db.write(keep).await;
        if let Err(error) = write {
            debug!(%error, "a call could not be logged");
        }
    }
}
