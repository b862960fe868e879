//! First contact, and again after each has removed the other: from asking by a link to the request on the other's screen, and from yes to both seeing each other online.

use starling_control::Command;

use crate::Line;
use crate::actor::{Actor, ActorError};
use crate::bench::Findings;
use crate::bench::stage::LinkStage;
use crate::story;

const RUNS: usize = 7;

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let stage = LinkStage::build(Line::reference())?;
    let (alice, bob) = (&stage.cast.alice, &stage.cast.bob);
    for _ in 0..RUNS {
        remove(alice, "Bob")?;
        remove(bob, "Alice")?;
        let meeting = story::befriend(bob, alice)?;
        findings.add("request", meeting.asked.as_secs_f64() * 1e3);
        findings.add("accepted", meeting.accepted.as_secs_f64() * 1e3);
    }
    stage.cast.dismiss()
}

fn remove(person: &Actor, who: &str) -> Result<(), ActorError> {
    person.ask(Command::ContactRemove { who: who.into() })
}
