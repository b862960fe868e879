//! Mouth to ear: recorded speech is played into what Alice's node takes for a microphone, and what Bob's node plays is recorded,
//! both on a private PulseAudio server with null sinks; all of it on this machine, over loopback. What is told is how much later
//! each second of speech leaves Bob's speaker than it entered Alice's microphone: devices' buffers, codec, packets, jitter buffer.

use std::thread;
use std::time::Duration;

use starling_control::command::Sound;
use starling_control::{Command, view};

use crate::actor::{ActorError, Seat};
use crate::align::best_lag;
use crate::pulse::{RATE, Recorded, Server, choose};
use crate::score::Recording as Speech;
use crate::story::call::wait;
use crate::story::speech::{self, Voice};
use crate::story::{self, Cast};

const PATIENCE: Duration = Duration::from_secs(30);
/// What is said, again and again.
const SPEECH: Duration = Duration::from_secs(10);
/// The call may settle for so long.
const SETTLING: Duration = Duration::from_secs(3);
/// Speech is compared by the second, and searched for in as much again.
const WINDOW: usize = RATE as usize;
/// A second in which less is said is left out (root mean square).
const QUIET: f32 = 0.01;

/// What is said, what is heard, what Alice hears and what Bob says: nothing.
const SINKS: [&str; 4] = ["mouth", "ear", "void", "hush"];

/// Measures so many calls; milliseconds, one for each second of speech.
pub fn measure(calls: u32, tell: &dyn Fn(&str)) -> Result<Vec<f64>, ActorError> {
    let server = Server::start(&SINKS)?;
    let runtime = server.runtime();
    let variables = [("XDG_RUNTIME_DIR", runtime.as_str())];
    let folder = story::temporary_folder()?;
    let seat = Seat::here().with(&variables);
    let cast = Cast::assemble(folder.path(), Seat::here(), seat, seat, PATIENCE)?;
    story::befriend(&cast.bob, &cast.alice)?;
    choose(&cast.alice, ["mouth.monitor", "void"])?;
    choose(&cast.bob, ["hush.monitor", "ear"])?;
    let says = speech::speech(Voice::Alice, SPEECH).map_err(|error| failed(&error))?;
    let mut delays = Vec::new();
    for call in 1..=calls {
        let heard = one_call(&cast, &server, &says)?;
        tell(&format!("call {call}: {} seconds of speech", heard.len()));
        delays.extend(heard);
    }
    cast.dismiss()?;
    Ok(delays)
}

fn one_call(cast: &Cast, server: &Server, says: &Speech) -> Result<Vec<f64>, ActorError> {
    let who = cast.bob.name().to_owned();
    let sound = Sound::default();
    cast.alice
        .ask::<view::Call>(Command::CallStart { who, sound })?;
    wait(&cast.bob, &[view::CallState::Ringing])?;
    let sound = Sound::default();
    cast.bob
        .ask::<view::Call>(Command::CallAnswer { id: None, sound })?;
    wait(&cast.alice, &[view::CallState::Established])?;
    thread::sleep(SETTLING);
    let mouth = server.record("mouth")?;
    let ear = server.record("ear")?;
    server.play("mouth", says)?;
    let (mouth, ear) = (mouth.stop()?, ear.stop()?);
    cast.alice
        .ask::<view::Call>(Command::CallHangup { id: None })?;
    wait(&cast.bob, &[view::CallState::Ended])?;
    Ok(delays(&mouth, &ear))
}

/// How much later each second was heard.
fn delays(mouth: &Recorded, ear: &Recorded) -> Vec<f64> {
    let ahead = ear
        .began
        .saturating_duration_since(mouth.began)
        .as_secs_f64()
        - mouth
            .began
            .saturating_duration_since(ear.began)
            .as_secs_f64();
    let seconds = mouth.samples.chunks_exact(WINDOW).enumerate();
    let said = seconds.filter(|(_, said)| loudness(said) > QUIET);
    let delay = |(number, said): (usize, &[f32])| {
        let from = number * WINDOW;
        let there = ear
            .samples
            .get(from..(from + 2 * WINDOW).min(ear.samples.len()))?;
        let lag = best_lag(said, there, RATE);
        Some((lag as f64 / f64::from(RATE) + ahead) * 1_000.0)
    };
    said.filter_map(delay).collect()
}

fn loudness(samples: &[f32]) -> f32 {
    let sum: f32 = samples.iter().map(|sample| sample * sample).sum();
    (sum / samples.len().max(1) as f32).sqrt()
}

fn failed(error: &dyn std::fmt::Display) -> ActorError {
    ActorError::Story(error.to_string())
}
