//! What our own crates warn of fails a test: in these scenarios nothing happens that an administrator has to look into.
//! The tests of this binary run side by side in one process, so it may be another test of the same run that is named.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes them.
pub struct Warnings;

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        // ERROR is below WARN here.
        if *about.level() > Level::WARN || !about.target().starts_with("starling") {
            return;
        }
        let mut line = Line(format!("{} {}:", about.level(), about.target()));
        event.record(&mut line);
        SEEN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

/// Fails the test that drops it if there was one.
pub struct NoWarnings;

impl Drop for NoWarnings {
    fn drop(&mut self) {
        let seen = std::mem::take(&mut *SEEN.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(
            seen.is_empty() || std::thread::panicking(),
            "this or another test of the run warned: {seen:#?}"
        );
    }
}

#[test]
fn a_warning_of_ours_is_seen_and_one_of_others_is_not() {
    use tracing_subscriber::layer::SubscriberExt;
    let subscriber = tracing_subscriber::registry().with(Warnings);
    let said = "only to see that it is seen";
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(target: "somebody_else", "{said}");
        tracing::info!(target: "starling_node", "{said}");
        tracing::error!(target: "starling_node", "{said}");
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.len();
        seen.retain(|line| !line.contains(said));
        assert_eq!(before - seen.len(), 1);
    });
}
