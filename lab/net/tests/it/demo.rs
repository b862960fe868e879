//! What `make demo` shows, in small, with five times the budgets of DESIGN 5 as limits.

use std::time::Duration;

use starling_lab_net::demo::{self, Options};
use starling_lab_net::story;

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[("demo", holds)];

/// A ring may take 2 RTT and 50 ms; loopback has no RTT to speak of.
const RING_BUDGET: Duration = Duration::from_millis(5 * 50);
/// Without a connection yet, sound may come 1 s after the call.
const SOUND_BUDGET: Duration = Duration::from_millis(5 * 1000);
/// Two commits to a slow disk stand on the way of a message, beside its 5 ms.
const MESSAGE_BUDGET: Duration = Duration::from_millis(5 * 5 + 2 * 100);
const ONLINE_BUDGET: Duration = Duration::from_millis(5 * 1500);

fn holds() {
    let recordings = story::temporary_folder().unwrap();
    let options = Options {
        recordings: recordings.path().to_owned(),
        call: Duration::from_secs(5),
        file_bytes: 10_000_003,
    };
    let outcome = demo::run(&options, &mut |line| eprintln!("{line}")).unwrap();
    assert_eq!(outcome.failures(), Vec::<String>::new());
    assert!(outcome.start_to_online < ONLINE_BUDGET, "{outcome:?}");
    for text in &outcome.texts {
        assert!(text.one_way < MESSAGE_BUDGET, "{text:?}");
    }
    let call = &outcome.call;
    assert!(call.ring < RING_BUDGET, "{call:?}");
    for heard in [call.caller_heard, call.callee_heard] {
        assert!(heard.unwrap() < SOUND_BUDGET, "{call:?}");
    }
}
