//! One call of a series: when it rang, when each side heard the other, and whether both did up to the end.

use std::f32::consts::TAU;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, Event, view};

use crate::actor::{Actor, ActorError};
use crate::score::Recording;

/// A call goes on for so long after it is as it should be; both must be heard in it.
const TALK: Duration = Duration::from_millis(400);
/// At the end of a recording, where the tone has to be.
const LISTENED: f32 = 0.1;
/// What is under way when the call ends is not heard: twice the way of the relay, and a buffer.
const UNHEARD: Duration = Duration::from_millis(300);
/// Of a tone at half the greatest amplitude the root mean square is 0.35.
const LOUD: f32 = 0.1;
/// The path a call is to have has to be found within this.
const PATH_TIME: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(20);

const TONE: Duration = Duration::from_secs(30);
const PITCH: f32 = 440.0;
const RATE: u32 = 16_000;

/// Where the tone and the recordings are.
#[derive(Debug)]
pub struct Booth {
    folder: PathBuf,
    tone: PathBuf,
}

/// A call in which both heard each other.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// From calling to the other's ringing.
    pub ring: Duration,
    /// From answering to the first frame that is played at the one who answered.
    pub callee_heard: Duration,
    /// From answering to the first frame at the later of the two.
    pub both_heard: Duration,
    /// From calling to that; it was answered as soon as it rang.
    pub from_calling: Duration,
    /// From calling until both sides' sound took the path it should, if one was waited for.
    pub on_path: Option<Duration>,
}

/// A call that failed.
#[derive(Debug)]
pub enum Failed {
    /// It did not ring.
    NotRinging(ActorError),
    /// It was answered, and this side never had sound.
    Stuck(ActorError),
    /// This person heard nothing, or nothing at the end.
    OneWay(String),
    /// Its sound did not come to the path it should take.
    OtherPath(String),
    /// It did not end.
    Endless(ActorError),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRinging(error) => write!(f, "did not ring: {error}"),
            Self::Stuck(error) => write!(f, "stuck in connecting: {error}"),
            Self::OneWay(who) => write!(f, "one-way: {who}"),
            Self::OtherPath(paths) => write!(f, "on another path: {paths}"),
            Self::Endless(error) => write!(f, "did not end: {error}"),
        }
    }
}

impl Booth {
    /// In this folder.
    pub fn open(folder: &Path) -> Result<Self, ActorError> {
        let samples = (0..TONE.as_secs() as u32 * RATE)
            .map(|number| 0.5 * (TAU * PITCH * number as f32 / RATE as f32).sin());
        let tone = Recording {
            samples: samples.collect(),
            rate: RATE,
        };
        let path = folder.join("tone.wav");
        tone.write_wav(&path)
            .map_err(|error| ActorError::Story(error.to_string()))?;
        Ok(Self {
            folder: folder.to_owned(),
            tone: path,
        })
    }

    fn recording(&self, person: &Actor) -> PathBuf {
        self.folder.join(format!("{}-heard.wav", person.name()))
    }

    fn sound(&self, person: &Actor) -> Sound {
        let record = self.recording(person);
        // The last call's; that there is none is the usual case at first.
        let _ = std::fs::remove_file(&record);
        Sound {
            play: Some(self.tone.display().to_string()),
            record: Some(record.display().to_string()),
            ..Sound::default()
        }
    }

    /// Whether the other's tone was there from when it was first heard up to the call's end.
    fn heard(&self, person: &Actor, call: &view::Call) -> Result<(), Failed> {
        let nothing = |why: String| Failed::OneWay(format!("{}: {why}", person.name()));
        let path = self.recording(person);
        let recording = Recording::read_wav(&path).map_err(|error| nothing(error.to_string()))?;
        let (first, end) = (heard_at(call), call.ended_at);
        let wanted = first.zip(end).map(|(first, end)| end.saturating_sub(first));
        let wanted = wanted.ok_or_else(|| nothing("it does not say when".to_owned()))?;
        is_whole(&recording, Duration::from_millis(wanted)).map_err(nothing)
    }
}

/// Whether a recording is as long as it should be, and loud at its end; a recording ends with the last frame that came.
fn is_whole(recording: &Recording, wanted: Duration) -> Result<(), String> {
    let rate = recording.rate as f32;
    let length = Duration::from_secs_f32(recording.samples.len() as f32 / rate);
    if length + UNHEARD < wanted {
        return Err(format!("heard {length:?} of {wanted:?}"));
    }
    let last = (rate * LISTENED) as usize;
    let begin = recording.samples.len().saturating_sub(last);
    let power: f32 = recording.samples[begin..].iter().map(|s| s * s).sum();
    let loudness = (power / last as f32).sqrt();
    if loudness < LOUD {
        return Err(format!("{loudness} at the end of {length:?}"));
    }
    Ok(())
}

/// One calls, the other answers as soon as it rings; when both sides' sound takes `path`, or at once without one, they talk for a
/// moment, and who called hangs up.
pub fn call(
    booth: &Booth,
    [caller, callee]: [&Actor; 2],
    path: Option<&str>,
) -> Result<Made, Failed> {
    let result = talk(booth, [caller, callee], path);
    if result.is_err() {
        // The next call finds nobody in one. That there is none is the usual reason for a refusal.
        for person in [caller, callee] {
            let _ = person.ask::<view::Call>(Command::CallHangup { id: None });
        }
    }
    result
}

fn talk(booth: &Booth, [caller, callee]: [&Actor; 2], path: Option<&str>) -> Result<Made, Failed> {
    caller.drain();
    callee.drain();
    let sounds = [caller, callee].map(|person| booth.sound(person));
    let begin = Instant::now();
    let ring = ring(caller, callee, sounds)?;
    for person in [caller, callee] {
        established(person)?;
    }
    let on_path = path.map(|path| wait_path([caller, callee], path));
    let on_path = on_path.transpose()?.map(|at| at.duration_since(begin));
    std::thread::sleep(TALK);
    caller
        .ask::<view::Call>(Command::CallHangup { id: None })
        .map_err(Failed::Endless)?;
    let ended = [ended(caller)?, ended(callee)?];
    for (person, call) in [caller, callee].into_iter().zip(&ended) {
        booth.heard(person, call)?;
    }
    times(ring.duration_since(begin), on_path, &ended)
}

/// When it rang. It was answered then.
fn ring(caller: &Actor, callee: &Actor, [out, back]: [Sound; 2]) -> Result<Instant, Failed> {
    let who = callee.name().to_owned();
    caller
        .ask::<view::Call>(Command::CallStart { who, sound: out })
        .map_err(Failed::NotRinging)?;
    let rings = |event: &Event| match event {
        Event::Call(call) if !call.outgoing && call.state == view::CallState::Ringing => {
            Some(call.id.clone())
        }
        _ => None,
    };
    let (rang, id) = callee
        .until("the ringing", rings)
        .map_err(Failed::NotRinging)?;
    let answer = Command::CallAnswer {
        id: Some(id),
        sound: back,
    };
    callee.ask::<view::Call>(answer).map_err(Failed::Stuck)?;
    Ok(rang)
}

fn established(person: &Actor) -> Result<(), Failed> {
    let (_, over) = person
        .until("the call's sound", |event| match event {
            Event::Call(call) if call.state == view::CallState::Established => Some(None),
            Event::Call(call) if call.state == view::CallState::Ended => {
                Some(Some(call.words.clone()))
            }
            _ => None,
        })
        .map_err(Failed::Stuck)?;
    over.map_or(Ok(()), |words| Err(Failed::Stuck(person.story(words))))
}

fn wait_path(people: [&Actor; 2], path: &str) -> Result<Instant, Failed> {
    let begin = Instant::now();
    loop {
        let kinds = people.map(kinds);
        if kinds
            .iter()
            .all(|kinds| kinds.iter().any(|kind| kind == path))
        {
            return Ok(Instant::now());
        }
        if begin.elapsed() > PATH_TIME {
            return Err(Failed::OtherPath(format!("{kinds:?} instead of {path}")));
        }
        std::thread::sleep(POLL);
    }
}

/// How the sound of a person's call travels.
fn kinds(person: &Actor) -> Vec<String> {
    let status = person.ask::<view::Status>(Command::Status {});
    let paths = status.map(|status| status.paths).unwrap_or_default();
    let calls = paths.into_iter().filter(|path| path.purpose == "call");
    calls.map(|path| path.kind).collect()
}

fn ended(person: &Actor) -> Result<view::Call, Failed> {
    let (_, call) = person
        .until("the call's end", |event| match event {
            Event::Call(call) if call.state == view::CallState::Ended => Some(call.clone()),
            _ => None,
        })
        .map_err(Failed::Endless)?;
    Ok(call)
}

/// When the first frame was played, in Unix milliseconds.
fn heard_at(call: &view::Call) -> Option<u64> {
    let after = call.quality.as_ref()?.first_sound_ms?;
    Some(call.answered_at? + after)
}

/// Both nodes are on this machine: one clock.
fn times(
    ring: Duration,
    on_path: Option<Duration>,
    [caller, callee]: &[view::Call; 2],
) -> Result<Made, Failed> {
    let silent = |who| Failed::OneWay(format!("the {who} does not say when it heard"));
    let at_caller = heard_at(caller).ok_or_else(|| silent("caller"))?;
    let at_callee = heard_at(callee).ok_or_else(|| silent("called"))?;
    let answered = callee.answered_at.ok_or_else(|| silent("called"))?;
    let later = at_caller.max(at_callee);
    let since = |begin: u64, end: u64| Duration::from_millis(end.saturating_sub(begin));
    Ok(Made {
        ring,
        callee_heard: since(answered, at_callee),
        both_heard: since(answered, later),
        from_calling: since(caller.started_at, later),
        on_path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(started_at: u64, answered_at: u64, first_sound_ms: Option<u64>) -> view::Call {
        view::Call {
            started_at,
            answered_at: Some(answered_at),
            quality: Some(view::CallQuality {
                first_sound_ms,
                ..view::CallQuality::default()
            }),
            ..view::Call::default()
        }
    }

    #[test]
    fn the_later_of_two_who_hear_counts() {
        let calls = [call(1_000, 1_300, Some(40)), call(1_100, 1_200, Some(90))];
        let made = times(Duration::ZERO, None, &calls).unwrap();
        let expected = [90, 140, 340].map(Duration::from_millis);
        assert_eq!(
            [made.callee_heard, made.both_heard, made.from_calling],
            expected
        );
    }

    #[test]
    fn who_never_heard_is_one_way() {
        let calls = [call(0, 1, Some(1)), call(0, 1, None)];
        let failed = times(Duration::ZERO, None, &calls);
        assert!(matches!(failed, Err(Failed::OneWay(_))), "{failed:?}");
    }

    #[test]
    fn a_recording_that_breaks_off_or_ends_in_silence_is_one_way() {
        let second = Duration::from_secs(1);
        let of = |loud: usize, silent: usize| Recording {
            samples: [vec![0.5; loud], vec![0.0; silent]].concat(),
            rate: RATE,
        };
        assert!(is_whole(&of(16_000, 0), second).is_ok());
        assert!(is_whole(&of(12_000, 0), second).is_ok());
        assert!(is_whole(&of(8_000, 0), second).is_err());
        assert!(is_whole(&of(8_000, 8_000), second).is_err());
        assert!(is_whole(&of(0, 0), Duration::ZERO).is_err());
    }
}
