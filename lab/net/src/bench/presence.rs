//! From a change of one's own state to a contact's seeing it, over connections that have closed in the meantime.

use std::time::{Duration, Instant};

use starling_control::{Command, Event, view};

use crate::Line;
use crate::actor::ActorError;
use crate::bench::Findings;
use crate::bench::stage::LinkStage;

const RUNS: usize = 8;
/// Connections to supernodes close after 30 s of silence.
const SILENCE: Duration = Duration::from_secs(35);

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    let stage = LinkStage::build(Line::reference())?;
    let mut took = Vec::new();
    for run in 0..RUNS {
        std::thread::sleep(SILENCE);
        took.push(change(&stage, &format!("change {run}"))?);
    }
    took.sort_unstable();
    let [least, median, slowest] = [0, RUNS / 2, RUNS - 1].map(|at| took[at].as_secs_f64() * 1e3);
    // Of so few the slowest is the 95th percentile.
    findings.add("presence", slowest);
    findings.remark(format!(
        "Of {RUNS} changes of presence the fastest was seen after {least:.0} ms, half of them within {median:.0} ms."
    ));
    stage.cast.dismiss()
}

fn change(stage: &LinkStage, mood: &str) -> Result<Duration, ActorError> {
    let begin = Instant::now();
    let change = view::PresenceChange {
        mood: Some(mood.to_owned()),
        ..view::PresenceChange::default()
    };
    let _: view::OwnPresence = stage.cast.alice.ask(Command::PresenceSet(change))?;
    let (seen, ()) = stage.cast.bob.until("the change", |event| match event {
        Event::Contact(contact) => (contact.mood == mood).then_some(()),
        _ => None,
    })?;
    Ok(seen.duration_since(begin))
}
