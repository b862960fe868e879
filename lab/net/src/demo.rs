//! The demonstration: a supernode, Alice and Bob as three `starling` processes on loopback become
//! contacts, chat, call and send files, and every step is measured. It holds only if what arrives is
//! what was sent. `make demo` runs it, and so does a test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::actor::{Actor, ActorError, Seat};
use crate::score::Score;
use crate::story::call::{self, Called};
use crate::story::{self, Cast, Meeting, Sent, Spoken};

/// Every step ends within this.
const PATIENCE: Duration = Duration::from_secs(20);
const TEXTS: [&str; 2] = [
    "Hello Bob, can you read me? 👋",
    "Grüße, Alice! Loud and clear: 你好, שלום.",
];

/// How the demonstration runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the recordings are left; made if it is not there, earlier recordings are replaced.
    pub recordings: PathBuf,
    /// Length of the call, at most ten seconds.
    pub call: Duration,
    /// Size of the file that goes each way.
    pub file_bytes: usize,
}

/// What was measured. Pairs are what Alice did, then what Bob did.
#[derive(Debug)]
pub struct Outcome {
    /// Bob asked, Alice accepted.
    pub meeting: Meeting,
    /// From starting Alice's node again to her seeing Bob online.
    pub start_to_online: Duration,
    /// A text each way.
    pub texts: [Spoken; 2],
    /// Alice called Bob.
    pub call: Called,
    /// What was heard of Alice, and of Bob.
    pub heard: [Heard; 2],
    /// A file each way.
    pub files: [Sent; 2],
    /// What the three warned of in their logs.
    pub warnings: Vec<String>,
}

/// A recording of somebody's voice at the other side.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Whose voice.
    pub name: &'static str,
    /// The recording.
    pub path: PathBuf,
    /// What it is worth.
    pub score: Score,
}

impl Outcome {
    /// The recordings that are not as they must be and what was warned of, in words. Texts and files that differ ended the
    /// demonstration before.
    pub fn failures(&self) -> Vec<String> {
        self.heard
            .iter()
            .filter(|heard| !call::is_good(&heard.score))
            .map(|heard| {
                format!(
                    "{} is not what {} said: {} ms longer ({} allowed), STOI {:.3} ({} asked)",
                    heard.path.display(),
                    heard.name,
                    (heard.score.length_difference * 1e3).round(),
                    call::LENGTH_TOLERANCE.as_millis(),
                    heard.score.stoi,
                    call::INTELLIGIBLE
                )
            })
            .chain(self.warnings.iter().cloned())
            .collect()
    }
}

/// Who is told each line of the account as it happens.
type Listener<'a> = &'a mut dyn FnMut(&str);

/// Runs it.
pub fn run(options: &Options, tell: Listener<'_>) -> Result<Outcome, ActorError> {
    let folder = story::temporary_folder()?;
    let here = Seat::here();
    tell("A supernode, Alice and Bob start: three `starling` processes on loopback.");
    let cast = Cast::assemble(folder.path(), here, here, here, PATIENCE)?;
    let (supernode, alice, bob) = (cast.supernode, cast.alice, cast.bob);
    let meeting = meet(&alice, &bob, tell)?;
    let (alice, start_to_online) = start_again(alice, &bob, tell)?;
    let texts = [
        chat(&alice, &bob, TEXTS[0], tell)?,
        chat(&bob, &alice, TEXTS[1], tell)?,
    ];
    let (call, heard) = phone(&alice, &bob, options, tell)?;
    let files = [
        exchange(&alice, &bob, folder.path(), options.file_bytes, tell)?,
        exchange(&bob, &alice, folder.path(), options.file_bytes, tell)?,
    ];
    let cast = [alice, bob, supernode];
    let warnings = cast.iter().flat_map(Actor::warnings).collect();
    for actor in cast {
        actor.stop()?;
    }
    tell("All three have ended.");
    Ok(Outcome {
        meeting,
        start_to_online,
        texts,
        call,
        heard,
        files,
        warnings,
    })
}

fn meet(alice: &Actor, bob: &Actor, tell: Listener<'_>) -> Result<Meeting, ActorError> {
    let meeting = story::befriend(bob, alice)?;
    tell(&line("Bob asks; Alice is shown the request", meeting.asked));
    tell(&line(
        "Alice accepts; each sees the other online",
        meeting.accepted,
    ));
    Ok(meeting)
}

fn start_again(
    alice: Actor,
    bob: &Actor,
    tell: Listener<'_>,
) -> Result<(Actor, Duration), ActorError> {
    let home = alice.home().to_owned();
    alice.stop()?;
    story::wait_presence(bob, "Alice", false)?;
    let started = story::start_to_online("Alice", &home, Seat::here(), "Bob", PATIENCE)?;
    story::wait_presence(bob, "Alice", true)?;
    tell(&line("Alice's node starts again; Bob is online", started.1));
    Ok(started)
}

fn chat(from: &Actor, to: &Actor, text: &str, tell: Listener<'_>) -> Result<Spoken, ActorError> {
    let spoken = story::chat(from, to, text)?;
    let (from, to) = (from.name(), to.name());
    tell(&line(
        &format!("{from} writes; {to} has stored it"),
        spoken.one_way,
    ));
    tell(&line("    and the receipt is back", spoken.receipt));
    Ok(spoken)
}

fn phone(
    alice: &Actor,
    bob: &Actor,
    options: &Options,
    tell: Listener<'_>,
) -> Result<(Called, [Heard; 2]), ActorError> {
    let tracks = call::Tracks::prepare(&options.recordings, options.call)?;
    let seconds = options.call.as_secs();
    tell(&format!(
        "Alice calls Bob; each plays {seconds} s of recorded speech to the other."
    ));
    let called = call::call((alice, &tracks.alice), (bob, &tracks.bob), options.call)?;
    tell(&line("    it rings at Bob's", called.ring));
    for (name, heard) in [("Alice", called.caller_heard), ("Bob", called.callee_heard)] {
        if let Some(heard) = heard {
            tell(&line(
                &format!("    answered; first sound at {name}'s after"),
                heard,
            ));
        }
    }
    let heard = [
        listen("Alice", &tracks.alice.play, &tracks.bob.record, tell)?,
        listen("Bob", &tracks.bob.play, &tracks.alice.record, tell)?,
    ];
    Ok((called, heard))
}

fn listen(
    name: &'static str,
    played: &Path,
    recorded: &Path,
    tell: Listener<'_>,
) -> Result<Heard, ActorError> {
    let score = call::score(played, recorded)?;
    tell(&format!(
        "    heard of {name}: {:+.0} ms in length, STOI {:.3}, in {}",
        score.length_difference * 1e3,
        score.stoi,
        recorded.display()
    ));
    Ok(Heard {
        name,
        path: recorded.to_owned(),
        score,
    })
}

fn exchange(
    from: &Actor,
    to: &Actor,
    folder: &Path,
    bytes: usize,
    tell: Listener<'_>,
) -> Result<Sent, ActorError> {
    let path = folder.join(format!("from-{}.bin", from.name().to_lowercase()));
    story::write_noise(&path, bytes, bytes as u64 + u64::from(from.pid()))?;
    let sent = story::send_file(from, to, &path)?;
    let megabytes = bytes as f64 / 1e6;
    let what = format!(
        "{} sends {megabytes:.0} MB; {} has it",
        from.name(),
        to.name()
    );
    let rate = sent.rate() / 1e6;
    tell(&format!(
        "{}, identical ({rate:.0} MB/s)",
        line(&what, sent.took)
    ));
    Ok(sent)
}

/// One line of the account: what happened, and after how long.
fn line(what: &str, took: Duration) -> String {
    format!("{what:<44} {:>8.1} ms", took.as_secs_f64() * 1e3)
}
