//! One call of the matrix: how soon it is connected, which way it goes, and how soon that way is direct.

use std::path::Path;
use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, Event, view};

use crate::actor::{Actor, ActorError};
use crate::matrix::behaviour::{Behaviour, Way, kind_of_direct};
use crate::story::speech::{self, Voice};

/// A call that is relayed after this long stays so; one that is forwarded is so after two seconds.
const WATCH: Duration = Duration::from_secs(5);
/// How often the caller's node is asked for the path.
const POLL: Duration = Duration::from_millis(10);
/// What a call plays lasts longer than the watch.
const SPEECH: Duration = Duration::from_secs(9);
/// A direct call goes on for so long: the one called looks once a second how its packets travel.
const AFTERWARDS: Duration = Duration::from_millis(1_500);

/// What was measured of a call, from calling.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Which way it went at the end.
    pub way: Way,
    /// Until both were connected for sound, the call having been answered as soon as it rang.
    pub connected: Duration,
    /// Until the caller's path was direct.
    pub direct: Option<Duration>,
    /// Until a forwarder carried the caller's sound.
    pub forwarded: Option<Duration>,
}

/// `caller` calls `callee`, who answers at once.
pub(super) fn measure(
    caller: &Actor,
    callee: &Actor,
    folder: &Path,
    behaviours: [Behaviour; 2],
) -> Result<Measured, ActorError> {
    let sounds = [sound(caller, folder)?, sound(callee, folder)?];
    caller.drain();
    callee.drain();
    let result = converse(caller, callee, sounds);
    // Whatever happened, the next call finds nobody in one. That it is over already is the usual reason for a refusal.
    let _ = caller.ask::<view::Call>(Command::CallHangup { id: None });
    let (connected, direct, forwarded) = result?;
    let ends = [ended(caller)?, ended(callee)?];
    let all_are = |path: &str| ends.iter().all(|quality| quality.path == path);
    let is_direct = direct.is_some() && all_are("direct");
    let is_forwarded = forwarded.is_some() && all_are("forwarded");
    let [one, other] = behaviours;
    Ok(Measured {
        way: match (is_direct, is_forwarded) {
            (true, _) => kind_of_direct(one, other),
            (_, true) => Way::Forwarded,
            _ => Way::Relayed,
        },
        connected,
        direct: direct.filter(|_| is_direct),
        forwarded: forwarded.filter(|_| is_forwarded),
    })
}

fn converse(
    caller: &Actor,
    callee: &Actor,
    [out, back]: [Sound; 2],
) -> Result<(Duration, Option<Duration>, Option<Duration>), ActorError> {
    let begin = Instant::now();
    let who = callee.name().to_owned();
    caller.ask::<view::Call>(Command::CallStart { who, sound: out })?;
    let (_, id) = callee.until("the ringing", |event| match event {
        Event::Call(call) if call.state == view::CallState::Ringing => Some(call.id.clone()),
        _ => None,
    })?;
    let answer = Command::CallAnswer {
        id: Some(id),
        sound: back,
    };
    callee.ask::<view::Call>(answer)?;
    let (direct, forwarded) = watch(caller)?;
    let both = [established(caller)?, established(callee)?];
    let connected = both[0].max(both[1]).duration_since(begin);
    let after = |at: Instant| at.duration_since(begin);
    Ok((connected, direct.map(after), forwarded.map(after)))
}

/// When the caller's path became direct, and when a forwarder was found, if that came.
fn watch(caller: &Actor) -> Result<(Option<Instant>, Option<Instant>), ActorError> {
    let begin = Instant::now();
    let mut forwarded = None;
    while begin.elapsed() < WATCH {
        let status: view::Status = caller.ask(Command::Status {})?;
        let has = |kind: &str| {
            let mut calls = status.paths.iter().filter(|path| path.purpose == "call");
            calls.any(|path| path.kind == kind)
        };
        if has("direct") {
            let at = Instant::now();
            std::thread::sleep(AFTERWARDS);
            return Ok((Some(at), forwarded));
        }
        if has("forwarded") {
            forwarded.get_or_insert_with(Instant::now);
        }
        std::thread::sleep(POLL);
    }
    Ok((None, forwarded))
}

fn established(person: &Actor) -> Result<Instant, ActorError> {
    let (at, ()) = person.until("the call's sound", |event| match event {
        Event::Call(call) if call.state == view::CallState::Established => Some(()),
        _ => None,
    })?;
    Ok(at)
}

fn ended(person: &Actor) -> Result<view::CallQuality, ActorError> {
    let (_, quality) = person.until("the call's end", |event| match event {
        Event::Call(call) if call.state == view::CallState::Ended => Some(call.quality.clone()),
        _ => None,
    })?;
    quality.ok_or_else(|| person.story("does not say how the call was"))
}

/// Plays speech, and records into a file that is made anew.
fn sound(person: &Actor, folder: &Path) -> Result<Sound, ActorError> {
    let (play, record) = (
        folder.join("says.wav"),
        folder.join(format!("{}.wav", person.name())),
    );
    if !play.exists() {
        let failed = |error: speech::SpeechError| ActorError::Story(error.to_string());
        speech::write(Voice::Alice, SPEECH, &play).map_err(failed)?;
    }
    // The last call's.
    let _ = std::fs::remove_file(&record);
    Ok(Sound {
        play: Some(play.display().to_string()),
        record: Some(record.display().to_string()),
        ..Sound::default()
    })
}
