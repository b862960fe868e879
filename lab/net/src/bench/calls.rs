//! How soon a call rings and is heard.

use std::time::Duration;

use crate::Line;
use crate::actor::ActorError;
use crate::bench::Findings;
use crate::bench::stage::LinkStage;
use crate::story::call::{self, Tracks};

/// Calls after the first.
const RUNS: usize = 5;
const LENGTH: Duration = Duration::from_secs(3);
/// Between two calls: the front doors stay connected, and nothing of the last call is under way.
const PAUSE: Duration = Duration::from_secs(1);

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let stage = LinkStage::build(Line::reference())?;
    let (alice, bob) = (&stage.cast.alice, &stage.cast.bob);
    for number in 0..=RUNS {
        let tracks = Tracks::prepare(stage.folder.path(), LENGTH)?;
        let called = call::call((alice, &tracks.alice), (bob, &tracks.bob), LENGTH)?;
        let missing = || bob.story("does not say when sound was first heard");
        let heard = called.callee_heard.ok_or_else(missing)?;
        if number == 0 {
            findings.add("first_call_audio_no_nat", milliseconds(called.ring + heard));
        } else {
            findings.add("ring", milliseconds(called.ring));
            findings.add("first_audio", milliseconds(heard));
        }
        std::thread::sleep(PAUSE);
    }
    findings.remark(
        "A call is signalled from front door to front door through the supernode, where a round trip takes 100 ms, \
         twice the link's: ring and answer pay for it."
            .to_owned(),
    );
    stage.cast.dismiss()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
