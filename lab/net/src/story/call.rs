//! A call in which each side plays a recording and records the other, and what the recordings are worth.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, Event, view};

use crate::actor::{Actor, ActorError};
use crate::score::{Recording, Score};
use crate::story::speech::{self, Voice};

/// Recordings shorter or longer than this than what was sent have lost something.
pub const LENGTH_TOLERANCE: Duration = Duration::from_millis(100);
/// Below this a listener begins to miss words.
pub const INTELLIGIBLE: f64 = 0.9;

const POLL: Duration = Duration::from_millis(5);

/// What one side plays, and where it records.
#[derive(Debug, Clone)]
pub struct Track {
    /// A WAV file to play.
    pub play: PathBuf,
    /// A WAV file to record into; must not exist.
    pub record: PathBuf,
}

/// What both sides play and where they record.
#[derive(Debug, Clone)]
pub struct Tracks {
    /// Alice's.
    pub alice: Track,
    /// Bob's.
    pub bob: Track,
}

impl Tracks {
    /// Writes speech of that length for both into the folder, and makes way for their recordings.
    pub fn prepare(folder: &Path, length: Duration) -> Result<Self, ActorError> {
        std::fs::create_dir_all(folder).map_err(|source| ActorError::File {
            what: "cannot make the folder",
            path: folder.to_owned(),
            source,
        })?;
        let track = |name: &str, voice| {
            let track = Track {
                play: folder.join(format!("{name}-says.wav")),
                record: folder.join(format!("{name}-hears.wav")),
            };
            // What an earlier run left would be refused; that there is none is the usual case.
            let _ = std::fs::remove_file(&track.record);
            speech::write(voice, length, &track.play)
                .map_err(|error| ActorError::Story(error.to_string()))?;
            Ok::<_, ActorError>(track)
        };
        Ok(Self {
            alice: track("alice", Voice::Alice)?,
            bob: track("bob", Voice::Bob)?,
        })
    }
}

/// How a call went.
#[derive(Debug, Clone)]
pub struct Called {
    /// From calling to the other's ringing.
    pub ring: Duration,
    /// From answering to the first frame played, as the caller's node measured it.
    pub caller_heard: Option<Duration>,
    /// The same at the one who answered.
    pub callee_heard: Option<Duration>,
    /// The caller's path and quality at the end.
    pub caller: view::CallQuality,
    /// The other's.
    pub callee: view::CallQuality,
    /// What both said once a second meanwhile, the caller first.
    pub meanwhile: [Vec<view::CallQuality>; 2],
}

/// `caller` calls `callee`, who answers; the caller hangs up after `length`.
pub fn call(
    (caller, out): (&Actor, &Track),
    (callee, back): (&Actor, &Track),
    length: Duration,
) -> Result<Called, ActorError> {
    talk(
        (caller, sound(out, Some(length))),
        (callee, sound(back, None)),
        length,
        &|| {},
    )
}

/// The same with any sound; the caller's ends the call after `length`. `connected` is done when both have sound.
pub fn talk(
    (caller, out): (&Actor, Sound),
    (callee, back): (&Actor, Sound),
    length: Duration,
    connected: &dyn Fn(),
) -> Result<Called, ActorError> {
    let start = Instant::now();
    caller.ask::<view::Call>(Command::CallStart {
        who: callee.name().into(),
        sound: out,
    })?;
    let (rang, ringing) = callee.until("the ringing", |event| match event {
        Event::Call(call) if !call.outgoing && call.state == view::CallState::Ringing => {
            Some(call.id.clone())
        }
        _ => None,
    })?;
    callee.ask::<view::Call>(Command::CallAnswer {
        id: Some(ringing.clone()),
        sound: back,
    })?;
    for person in [caller, callee] {
        wait(
            person,
            &[view::CallState::Established, view::CallState::Ended],
        )?;
    }
    connected();
    let (at_caller, caller_meanwhile) = ended(caller, length)?;
    let (at_callee, callee_meanwhile) = ended(callee, length)?;
    let heard = |quality: &view::CallQuality| quality.first_sound_ms.map(Duration::from_millis);
    Ok(Called {
        ring: rang.duration_since(start),
        caller_heard: heard(&at_caller),
        callee_heard: heard(&at_callee),
        caller: at_caller,
        callee: at_callee,
        meanwhile: [caller_meanwhile, callee_meanwhile],
    })
}

/// A track as a call's sound.
pub fn sound(track: &Track, limit: Option<Duration>) -> Sound {
    Sound {
        play: Some(track.play.display().to_string()),
        record: Some(track.record.display().to_string()),
        limit_ms: limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        ..Sound::default()
    }
}

/// Asks until a person's newest call is in one of these states; what is told of it meanwhile is left for whoever listens.
pub fn wait(person: &Actor, states: &[view::CallState]) -> Result<view::Call, ActorError> {
    let deadline = Instant::now() + person.patience;
    loop {
        let calls: Vec<view::Call> = person.ask(Command::CallList { limit: Some(1) })?;
        let call = calls.into_iter().next();
        if let Some(call) = call.filter(|call| states.contains(&call.state)) {
            return Ok(call);
        }
        if Instant::now() > deadline {
            return Err(person.story(format!("no call was {states:?}")));
        }
        std::thread::sleep(POLL);
    }
}

/// Waits for the call's end; it must have been established before. Also says how it was until then.
fn ended(
    person: &Actor,
    length: Duration,
) -> Result<(view::CallQuality, Vec<view::CallQuality>), ActorError> {
    let mut meanwhile = Vec::new();
    let deadline = Instant::now() + length + person.patience;
    let mut had_sound = false;
    // A call is told of once a second, so each wait is one for the next sign of life.
    while Instant::now() < deadline {
        let (_, call) = person.until("news of the call", |event| match event {
            Event::Call(call) => Some(call.clone()),
            _ => None,
        })?;
        had_sound |= call.state == view::CallState::Established;
        if call.state != view::CallState::Ended {
            meanwhile.extend(call.quality);
            continue;
        }
        return match call.quality {
            Some(quality) if had_sound => Ok((quality, meanwhile)),
            _ => Err(person.story(format!("never had sound: {}", call.words))),
        };
    }
    Err(person.story("the call did not end by itself"))
}

/// Scores what was recorded against what was played.
pub fn score(played: &Path, recorded: &Path) -> Result<Score, ActorError> {
    let read = |path: &Path| {
        Recording::read_wav(path).map_err(|error| ActorError::Story(error.to_string()))
    };
    read(recorded)?
        .score_against(&read(played)?)
        .map_err(|error| ActorError::Story(format!("{}: {error}", recorded.display())))
}

/// Whether a listener missed nothing.
pub fn is_good(score: &Score) -> bool {
    score.length_difference.abs() <= LENGTH_TOLERANCE.as_secs_f64() && score.stoi >= INTELLIGIBLE
}
