//! Messages: how late one is, and how many go through.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use starling_control::{Command, Event, view};

use crate::Line;
use crate::actor::{Actor, ActorError};
use crate::bench::Findings;
use crate::bench::stage::{self, LinkStage, LoopbackStage, PROPAGATION};
use crate::story;

/// Messages one after the other.
const LATE: usize = 200;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);
/// Messages of a burst, and how many may be unanswered at once.
const BURST: usize = 5_000;
const UNANSWERED: usize = 64;
const BURSTS: usize = 3;

pub fn run(findings: &mut Findings) -> Result<(), ActorError> {
    lateness(findings)?;
    rate(findings)
}

fn lateness(findings: &mut Findings) -> Result<(), ActorError> {
    let stage = LinkStage::build(Line::reference())?;
    let (alice, bob) = (&stage.cast.alice, &stage.cast.bob);
    story::chat(alice, bob, "The connection is open now.")?;
    let fsync = stage::fsync_time(stage.folder.path())?;
    let (propagation, way) = match kind_of_path(alice, "chat")?.as_deref() {
        Some("direct") => (PROPAGATION, "directly"),
        _ => (
            2 * PROPAGATION,
            "through the supernode, twice the link's propagation",
        ),
    };
    for number in 0..LATE {
        std::thread::sleep(PAUSE);
        let spoken = story::chat(alice, bob, &format!("message {number}"))?;
        let beyond = spoken.one_way.as_secs_f64() - (propagation + fsync).as_secs_f64();
        findings.add("message", beyond * 1e3);
    }
    findings.remark(format!(
        "A message went {way}; one fsync took {:.2} ms here.",
        fsync.as_secs_f64() * 1e3
    ));
    stage.cast.dismiss()
}

/// "direct" or "relay", if the path is open.
fn kind_of_path(person: &Actor, purpose: &str) -> Result<Option<String>, ActorError> {
    let status: view::Status = person.ask(Command::Status {})?;
    Ok(status
        .paths
        .into_iter()
        .find(|path| path.purpose == purpose)
        .map(|path| path.kind))
}

fn rate(findings: &mut Findings) -> Result<(), ActorError> {
    let stage = LoopbackStage::build()?;
    story::chat(
        &stage.cast.alice,
        &stage.cast.bob,
        "The connection is open now.",
    )?;
    for _ in 0..BURSTS {
        let took = burst(&stage.cast.alice)?;
        findings.add("messages", BURST as f64 / took.as_secs_f64());
    }
    stage.cast.dismiss()
}

/// From the first message to the last receipt.
fn burst(alice: &Actor) -> Result<Duration, ActorError> {
    alice.drain();
    let start = Instant::now();
    let mut unanswered = VecDeque::new();
    for number in 0..BURST {
        if unanswered.len() >= UNANSWERED
            && let Some(oldest) = unanswered.pop_front()
        {
            alice.answer::<view::Message>(oldest)?;
        }
        unanswered.push_back(alice.send(Command::ChatSend {
            who: "Bob".into(),
            text: format!("message {number}"),
        })?);
    }
    for pending in unanswered {
        alice.answer::<view::Message>(pending)?;
    }
    let mut delivered = 0;
    let (last, complete) = alice.until("all receipts", |event| match event {
        Event::Message(message) if message.delivery == view::Delivery::Delivered => {
            delivered += 1;
            (delivered == BURST).then_some(true)
        }
        Event::Lagged => Some(false),
        _ => None,
    })?;
    if !complete {
        return Err(alice.story("told of receipts faster than the benchmark could read"));
    }
    Ok(last.duration_since(start))
}
