//! What clients hear of the node itself: the whole status, whenever account, network, reachability, roles or warnings
//! are no more what was told last.

use std::sync::Arc;
use std::time::Duration;

use starling_control::{Event, view};
use tokio::sync::watch;
use tracing::debug;

use crate::drivers::home::HomeState;
use crate::node::App;
use crate::status::status;

/// Devices, clients of a supernode and the like do not say when they change: they are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// And so often while no supernode answers: the words say for how long.
const LOOK_OFFLINE: Duration = Duration::from_secs(5);

/// Tells until the node ends.
pub async fn run(app: Arc<App>) {
    let mut home: Option<watch::Receiver<HomeState>> = None;
    let mut told = view::Status::default();
    loop {
        if home.is_none() {
            home = app.session().ok().map(|session| session.home_changes());
        }
        // What changes from here on is seen below.
        if let Some(home) = &mut home {
            home.borrow_and_update();
        }
        tell(&app, &mut told).await;
        if !wait(&app, &mut home, &told).await {
            home = None;
        }
    }
}

async fn tell(app: &Arc<App>, told: &mut view::Status) {
    let now = match status(app).await {
        Ok(now) => now,
        Err(error) => {
            debug!(%error, "the status cannot be told");
            return;
        }
    };
    let lasting = lasting(&now);
    if lasting != *told {
        *told = lasting;
        let _ = app.events.send(Event::Status(Box::new(now)));
    }
}

/// Until there may be something new; whether the session is still there.
async fn wait(
    app: &App,
    home: &mut Option<watch::Receiver<HomeState>>,
    told: &view::Status,
) -> bool {
    let offline = told.supernode.as_ref().is_some_and(|home| !home.connected);
    let look = if offline { LOOK_OFFLINE } else { LOOK_EVERY };
    let moved = async {
        match home {
            Some(home) => home.changed().await.is_ok(),
            None => std::future::pending().await,
        }
    };
    let looked = async {
        loop {
            tokio::time::sleep(look).await;
            // Where nobody listens, nobody need look.
            if app.events.receiver_count() > 0 {
                return;
            }
        }
    };
    tokio::select! {
        there = moved => there,
        () = app.changed.notified() => true,
        () = looked => true,
    }
}

/// A status without what changes all the time: paths and bytes are asked for by whoever shows them.
fn lasting(status: &view::Status) -> view::Status {
    view::Status {
        paths: Vec::new(),
        traffic: Vec::new(),
        roles: status.roles.iter().map(lasting_role).collect(),
        ..status.clone()
    }
}

fn lasting_role(role: &view::Role) -> view::Role {
    view::Role {
        used_kbit_s: 0,
        ..role.clone()
    }
}
