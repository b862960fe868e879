//! How the voice of two real nodes sounds on bad lines: recorded speech through the whole of both, scored by a program beside.
//! What is measured is the median over seeds and directions; a figure that is missed is written down as missed.

mod condition;
mod scorer;
mod table;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

pub use condition::{CONDITIONS, Condition};
pub use scorer::{Scorer, ScorerError};
pub use table::table;

use starling_control::command::Sound;

use crate::actor::ActorError;
use crate::bench::stage::LinkStage;
use crate::story::call::{Track, sound, talk};
use crate::story::speech;
use crate::{Line, Net};

/// The call may learn what the line is like for so long; then it is judged.
pub const ADAPTATION: Duration = Duration::from_secs(10);
/// Until both hear.
const BEGINNING: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_secs(1);

/// What one direction of one call was worth.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The condition's name.
    pub condition: &'static str,
    /// PESQ of each part.
    pub pesq: Vec<f64>,
    /// Added delay once a second, milliseconds.
    pub delays: Vec<f64>,
    /// The share of the seconds in which packets went directly.
    pub direct: f64,
    /// What the call was sent with at its end: kbit/s, and against losses.
    pub plan: String,
    /// Packets lost, in percent.
    pub loss: f64,
    /// Estimated mean opinion score.
    pub mos: f64,
}

/// What is to be measured.
#[derive(Debug)]
pub struct Order {
    /// Which conditions, in this order.
    pub conditions: Vec<Condition>,
    /// So many times, each with other losses.
    pub seeds: u64,
    /// So many calls at once.
    pub at_once: usize,
}

/// Measures; each call is told.
pub fn measure(
    order: &Order,
    scorer: &Scorer,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Sample>, ActorError> {
    let seeds = Mutex::new(1..=order.seeds);
    let next = || seeds.lock().ok()?.next();
    let work = || {
        let mut samples = Vec::new();
        while let Some(seed) = next() {
            samples.extend(one_seed(order, seed, scorer, tell)?);
        }
        Ok::<_, ActorError>(samples)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..order.at_once.max(1))
            .map(|_| scope.spawn(work))
            .collect();
        let mut samples = Vec::new();
        for worker in workers {
            let done = worker.join();
            samples.extend(done.map_err(|_| ActorError::Story("a worker failed".into()))??);
        }
        Ok(samples)
    })
}

fn one_seed(
    order: &Order,
    seed: u64,
    scorer: &Scorer,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Sample>, ActorError> {
    let net = Net::builder(Line::reference()).seed(seed);
    let net = net.host("supernode").host("alice").host("bob").build()?;
    let stage = LinkStage::enter(net)?;
    let mut samples = Vec::new();
    for condition in &order.conditions {
        stage.net.set("alice", "bob", condition.line);
        let both = one_call(&stage, condition, scorer);
        stage.net.set("alice", "bob", Line::reference());
        let both = both?;
        for sample in &both {
            let mean = sample.pesq.iter().sum::<f64>() / sample.pesq.len().max(1) as f64;
            tell(&format!(
                "{} seed {seed}: PESQ {mean:.2}, {}",
                condition.name, sample.plan
            ));
        }
        samples.extend(both);
        std::thread::sleep(PAUSE);
    }
    stage.cast.dismiss()?;
    Ok(samples)
}

/// Alice calls Bob; both speak and both record.
fn one_call(
    stage: &LinkStage,
    condition: &Condition,
    scorer: &Scorer,
) -> Result<[Sample; 2], ActorError> {
    let folder = stage.folder.path();
    let says = folder.join("says.wav");
    let (length, parts) = write_speech(&says)?;
    let hears = ["alice", "bob"].map(|name| folder.join(format!("{name}-hears.wav")));
    let length = length + BEGINNING;
    let [caller, callee] = [(&hears[0], Some(length)), (&hears[1], None)].map(|(record, limit)| {
        // What the call before left; that there is none is the usual case.
        let _ = std::fs::remove_file(record);
        let track = Track {
            play: says.clone(),
            record: record.clone(),
        };
        Sound {
            max_kbits: Some(condition.kbits),
            ..sound(&track, limit)
        }
    });
    let cast = &stage.cast;
    let called = talk((&cast.alice, caller), (&cast.bob, callee), length)?;
    // Who hears is told by the other's plan what it is sent with.
    let [at_alice, at_bob] = &called.meanwhile;
    let heard =
        |at, record: &PathBuf, meanwhile: &[_], sent: &starling_control::view::CallQuality| {
            let pesq = scorer.score(&says, record, &parts);
            let pesq = pesq.map_err(|error| ActorError::Story(error.to_string()))?;
            Ok::<_, ActorError>(sample(condition, pesq, (at, meanwhile, sent)))
        };
    Ok([
        heard(&called.caller, &hears[0], at_alice, &called.callee)?,
        heard(&called.callee, &hears[1], at_bob, &called.caller)?,
    ])
}

fn sample(condition: &Condition, pesq: Vec<f64>, (at, meanwhile, sent): Qualities<'_>) -> Sample {
    let adapted = usize::try_from(ADAPTATION.as_secs()).unwrap_or(usize::MAX);
    let judged = meanwhile.get(adapted..).unwrap_or_default();
    let direct = judged.iter().filter(|quality| quality.path == "direct");
    Sample {
        condition: condition.name,
        pesq,
        direct: direct.count() as f64 / judged.len().max(1) as f64,
        delays: judged.iter().map(|quality| quality.delay_ms).collect(),
        plan: format!("{} kbit/s, {}", sent.bitrate / 1_000, sent.protection),
        loss: at.loss_percent,
        mos: at.mos,
    }
}

/// At the end, once a second before, and at the other's end.
type Qualities<'a> = (
    &'a starling_control::view::CallQuality,
    &'a [starling_control::view::CallQuality],
    &'a starling_control::view::CallQuality,
);

/// Its length, and the parts that are judged.
fn write_speech(path: &Path) -> Result<(Duration, speech::Parts), ActorError> {
    let failed = |error: String| ActorError::Story(error);
    let judged = speech::judged(ADAPTATION);
    let (speech, parts) = judged.map_err(|error| failed(error.to_string()))?;
    speech
        .write_wav(path)
        .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
    let length = speech.samples.len() as f64 / f64::from(speech.rate);
    Ok((Duration::from_secs_f64(length), parts))
}
