//! How the voice of two real nodes sounds on bad lines: recorded speech through the whole of both, scored by a program beside when all
//! calls are over. A figure that is missed is written down as missed.

mod condition;
mod plain;
mod plot;
mod scorer;
mod speaker;
mod table;
mod timing;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

pub use condition::{CONDITIONS, Condition};
pub use plot::plot;
pub use scorer::{Scorer, ScorerError};
pub use speaker::{SPEAKERS, Speaker};
pub use table::table;

use starling_control::command::Sound;
use starling_control::view;

use crate::actor::ActorError;
use crate::bench::stage::LinkStage;
use crate::score::Recording;
use crate::story;
use crate::story::call::{Track, sound, talk};
use crate::{Line, Net};
use scorer::Scores;
use speaker::Script;

/// The call may learn what the line is like for so long; then it is judged.
pub const ADAPTATION: Duration = Duration::from_secs(10);
/// Until both hear.
const BEGINNING: Duration = Duration::from_millis(300);
/// After a bad line the links to the supernode have to come to themselves.
const PAUSE: Duration = Duration::from_secs(3);
const SILENCE: &str = "silence.wav";
/// Recordings are judged by so many programs at once.
const JUDGES: usize = 2;

/// What is to be measured.
#[derive(Debug)]
pub struct Order {
    /// Which conditions, in this order.
    pub conditions: Vec<Condition>,
    /// So many times for each speaker, each with other losses.
    pub seeds: u64,
    /// So many calls at once.
    pub at_once: usize,
}

/// One direction of one call, or one run of plain Opus.
#[derive(Debug)]
pub struct Heard {
    /// The condition's name.
    pub condition: &'static str,
    /// Who spoke.
    pub speaker: Speaker,
    /// What it was worth.
    pub scores: Scores,
    /// How it was, unless it was no call.
    pub call: Option<CallFigures>,
    said: Script,
    recording: PathBuf,
}

/// What the nodes know of a direction.
#[derive(Debug, Clone)]
pub struct CallFigures {
    /// Added delay of each frame, milliseconds.
    pub delays: Vec<f64>,
    /// The share of the seconds in which packets went directly.
    pub direct: f64,
    /// What the call was sent with at its end: kbit/s, and against losses.
    pub plan: String,
    /// Packets lost, in percent.
    pub loss: f64,
}

impl std::fmt::Display for CallFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let delay = table::percentile(self.delays.clone()).unwrap_or_default();
        let (plan, direct) = (&self.plan, self.direct * 100.0);
        write!(f, "{delay:.0} ms, {direct:.0} % direct, {plan}")
    }
}

/// Measures all that was ordered: first the calls, then plain Opus on the same lines, then the scores.
pub fn measure(
    order: &Order,
    scorer: &Scorer,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Heard>, ActorError> {
    let folder = story::temporary_folder()?;
    let scripts = SPEAKERS.map(|speaker| speaker.script(folder.path(), &scorer.python));
    let [one, two, three] = scripts;
    silence(folder.path())?;
    let scripts = [one?, two?, three?];
    let works = (1..=order.seeds).flat_map(|seed| (0..SPEAKERS.len()).map(move |who| (seed, who)));
    let works: Vec<Work<'_>> = works
        .map(|(seed, who)| Work {
            seed,
            speaker: SPEAKERS[who],
            script: &scripts[who],
            folder: folder.path(),
        })
        .collect();
    let calls = shared_out(&works, order.at_once, |work| work.calls(order, tell))?;
    let plain = shared_out(&works, JUDGES, |work| work.plain(order))?;
    let mut heard: Vec<Heard> = calls.into_iter().chain(plain).flatten().collect();
    tell("scoring");
    score(&mut heard, scorer)?;
    Ok(heard)
}

/// What is played where nothing is said.
fn silence(folder: &Path) -> Result<(), ActorError> {
    let rate = 16_000;
    let silence = Recording {
        samples: vec![0.0; rate as usize],
        rate,
    };
    let written = silence.write_wav(&folder.join(SILENCE));
    written.map_err(|error| ActorError::Story(error.to_string()))
}

/// What one seed and one speaker are.
struct Work<'a> {
    seed: u64,
    speaker: Speaker,
    script: &'a Script,
    folder: &'a Path,
}

/// Several threads take what is next until all is done.
fn shared_out<T: Sync, R: Send>(
    all: &[T],
    at_once: usize,
    work: impl Fn(&T) -> Result<R, ActorError> + Sync,
) -> Result<Vec<R>, ActorError> {
    let next = Mutex::new(all.iter());
    let worker = || {
        let take = || next.lock().ok()?.next();
        std::iter::from_fn(take).map(&work).collect()
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.max(1)).map(|_| scope.spawn(worker)).collect();
        let mut results = Vec::new();
        for worker in workers {
            let done: Result<Vec<R>, ActorError> = worker
                .join()
                .unwrap_or_else(|_| Err(ActorError::Story("a worker failed".into())));
            results.extend(done?);
        }
        Ok(results)
    })
}

fn score(heard: &mut [Heard], scorer: &Scorer) -> Result<(), ActorError> {
    let share = heard.len().div_ceil(JUDGES).max(1);
    std::thread::scope(|scope| {
        let judges: Vec<_> = heard
            .chunks_mut(share)
            .map(|share| scope.spawn(|| judge(share, scorer)))
            .collect();
        for judge in judges {
            let judged = judge.join();
            judged.map_err(|_| ActorError::Story("a judge failed".into()))??;
        }
        Ok(())
    })
}

fn judge(share: &mut [Heard], scorer: &Scorer) -> Result<(), ActorError> {
    let failed = |error: ScorerError| ActorError::Story(error.to_string());
    let mut judge = scorer.judge().map_err(failed)?;
    for heard in share {
        let script = &heard.said;
        heard.scores = judge
            .score(&script.file, &heard.recording, &script.parts)
            .map_err(failed)?;
    }
    Ok(())
}

impl Work<'_> {
    /// One call for each condition.
    fn calls(&self, order: &Order, tell: &(dyn Fn(&str) + Sync)) -> Result<Vec<Heard>, ActorError> {
        let net = Net::builder(Line::reference()).seed(self.seed);
        let net = net.host("supernode").host("alice").host("bob").build()?;
        let stage = LinkStage::enter(net)?;
        let mut all = Vec::new();
        for condition in &order.conditions {
            stage.net.set("alice", "bob", condition.line);
            let heard = self.call(&stage, condition);
            for other in ["bob", "supernode"] {
                stage.net.set("alice", other, Line::reference());
            }
            story::wait_registered(&stage.cast.alice)?;
            let directions = heard?;
            for call in directions.iter().filter_map(|heard| heard.call.as_ref()) {
                let (name, seed, speaker) = (condition.name, self.seed, self.speaker);
                tell(&format!("{name} seed {seed} {speaker:?}: {call}"));
            }
            all.extend(directions);
            std::thread::sleep(PAUSE);
        }
        stage.cast.dismiss()?;
        Ok(all)
    }

    /// Alice calls Bob; both say the same, or he says nothing, and both record.
    fn call(&self, stage: &LinkStage, condition: &Condition) -> Result<Vec<Heard>, ActorError> {
        let length = self.script.length + BEGINNING;
        let [alice, bob] = ["alice", "bob"].map(|name| self.file(condition, name));
        let said = &self.script.file;
        let silence = self.folder.join(SILENCE);
        let back = if condition.processed { &silence } else { said };
        let out = self.sound(condition, (said, &alice), Some(length));
        let back = self.sound(condition, (back, &bob), None);
        let cast = &stage.cast;
        // A bad line is somebody's access: it loses whatever way is taken. How a call begins on it is not measured here.
        let connected = || stage.net.set("alice", "supernode", condition.line);
        let called = talk((&cast.alice, out), (&cast.bob, back), length, &connected)?;
        let [at_alice, at_bob] = &called.meanwhile;
        // Who hears is told by the other's plan what it is sent with.
        let there = (&at_bob[..], &called.caller);
        let mut directions = vec![self.heard(condition, (&alice, &bob), there)?];
        if !condition.processed {
            let here = (&at_alice[..], &called.callee);
            directions.push(self.heard(condition, (&bob, &alice), here)?);
        }
        Ok(directions)
    }

    fn sound(
        &self,
        condition: &Condition,
        (play, record): (&Path, &Path),
        limit: Option<Duration>,
    ) -> Sound {
        let track = Track {
            play: play.to_owned(),
            record: record.to_owned(),
        };
        Sound {
            max_kbits: Some(condition.kbits),
            trace: Some(trace_of(record).display().to_string()),
            processed: condition.processed,
            ..sound(&track, limit)
        }
    }

    fn heard(
        &self,
        condition: &Condition,
        (speaks, listens): (&Path, &Path),
        (meanwhile, sent): Qualities<'_>,
    ) -> Result<Heard, ActorError> {
        let adapted = usize::try_from(ADAPTATION.as_secs()).unwrap_or(usize::MAX);
        let judged = meanwhile.get(adapted..).unwrap_or_default();
        let direct = judged.iter().filter(|quality| quality.path == "direct");
        let (said, heard) = (trace_of(speaks), trace_of(listens));
        let delays = timing::added_delays(&said, &heard, condition.propagation(), ADAPTATION)
            .map_err(|error| ActorError::Story(format!("the times of frames: {error}")))?;
        let figures = CallFigures {
            delays,
            direct: direct.count() as f64 / judged.len().max(1) as f64,
            plan: format!("{} kbit/s, {}", sent.bitrate / 1_000, sent.protection),
            loss: mean_loss(judged),
        };
        Ok(self.entry(condition, listens.to_owned(), Some(figures)))
    }

    /// The same speech on the conditions' lines by Opus alone.
    fn plain(&self, order: &Order) -> Result<Vec<Heard>, ActorError> {
        let of = |condition: &Condition| {
            let recording = self.file(condition, "plain");
            plain::plain(condition, self.seed, &self.script.file, &recording)?;
            Ok(self.entry(condition, recording, None))
        };
        order.conditions.iter().map(of).collect()
    }

    fn entry(&self, condition: &Condition, recording: PathBuf, call: Option<CallFigures>) -> Heard {
        Heard {
            condition: condition.name,
            speaker: self.speaker,
            scores: Scores::default(),
            call,
            said: self.script.clone(),
            recording,
        }
    }

    fn file(&self, condition: &Condition, who: &str) -> PathBuf {
        let (name, seed) = (condition.name, self.seed);
        self.folder
            .join(format!("{name}-{seed}-{:?}-{who}.wav", self.speaker))
    }
}

fn trace_of(recording: &Path) -> PathBuf {
    recording.with_extension("times")
}

/// Percent; each look tells of some seconds.
fn mean_loss(looks: &[view::CallQuality]) -> f64 {
    let sum: f64 = looks.iter().map(|quality| quality.loss_percent).sum();
    sum / looks.len().max(1) as f64
}

/// Once a second, and at the other's end.
type Qualities<'a> = (&'a [view::CallQuality], &'a view::CallQuality);
