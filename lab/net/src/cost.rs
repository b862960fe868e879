//! What one whole call costs, between devices that are null sinks: processor time with echo cancelling, noise suppression and gain control
//! on, bytes on the wire with all headers, and what is sent while nobody speaks.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use starling_control::command::Sound;
use starling_control::{Command, view};

use crate::Line;
use crate::actor::{Actor, ActorError, Seat};
use crate::bench::machine::Machine;
use crate::bench::stage::{PATIENCE, three_hosts};
use crate::net::Net;
use crate::pulse::{RATE, Server, choose};
use crate::score::Recording;
use crate::story::call::wait;
use crate::story::speech::{self, Voice};
use crate::story::{self, Cast};

/// What Alice's node takes for its microphone and its speaker, and what Bob's does.
const SINKS: [&str; 4] = ["alice-says", "alice-hears", "bob-says", "bob-hears"];
/// The call may settle for so long, and the sound of a phase before it is measured.
const SETTLING: Duration = Duration::from_secs(10);
const LEAD: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(20);
/// Of a voice, again and again.
const SPEECH: Duration = Duration::from_secs(10);
/// Of a quiet room, 60 dB below the loudest sample.
const ROOM: f32 = 0.001;
/// Asked: this share of a core, in percent, and so many kbit/s of payload in silence.
const CORE: f64 = 4.0;
const SILENT: f64 = 4.0;

/// What is said meanwhile, at both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Speech,
    Nothing,
    Noise,
}

/// One phase of a call.
#[derive(Debug)]
pub struct Cost {
    said: Said,
    /// What was sent with at most, kbit/s.
    limit: Option<u32>,
    /// What the node then said it sends with, in words.
    plan: String,
    /// Share of a core, percent, of the caller's node and of the other's.
    cores: [f64; 2],
    /// IP packets that the caller's machine sent: kbit/s, and how many a second.
    wire: f64,
    packets: f64,
    /// Datagrams of voice without QUIC's, UDP's and IP's part, kbit/s: Opus, our own header, and reports.
    payload: f64,
}

/// Measures a call as calls are, and one limited to 24 kbit/s.
pub fn measure(tell: &dyn Fn(&str)) -> Result<Vec<Cost>, ActorError> {
    let server = Server::start(&SINKS)?;
    let runtime = server.runtime();
    let variables = [("XDG_RUNTIME_DIR", runtime.as_str())];
    let net = three_hosts(Line::reference())?;
    let folder = story::temporary_folder()?;
    let [supernode, alice, bob] =
        ["supernode", "alice", "bob"].map(|name| Seat::on(net.host(name)));
    let (alice, bob) = (alice.with(&variables), bob.with(&variables));
    let cast = Cast::assemble(folder.path(), supernode, alice, bob, PATIENCE)?;
    story::befriend(&cast.bob, &cast.alice)?;
    choose(&cast.alice, ["alice-says.monitor", "alice-hears"])?;
    choose(&cast.bob, ["bob-says.monitor", "bob-hears"])?;
    let room = Room { server, net, cast };
    let mut costs = Vec::new();
    for limit in [None, Some(24)] {
        room.begin(limit)?;
        for said in [Said::Speech, Said::Nothing, Said::Noise] {
            let cost = room.phase(said, limit)?;
            tell(&format!("{cost:?}"));
            costs.push(cost);
        }
        room.end()?;
    }
    room.cast.dismiss()?;
    Ok(costs)
}

struct Room {
    server: Server,
    net: Net,
    cast: Cast,
}

impl Room {
    fn begin(&self, limit: Option<u32>) -> Result<(), ActorError> {
        let (alice, bob) = (&self.cast.alice, &self.cast.bob);
        let sound = || Sound {
            max_kbits: limit,
            ..Sound::default()
        };
        alice.ask::<view::Call>(Command::CallStart {
            who: bob.name().to_owned(),
            sound: sound(),
        })?;
        let ringing = wait(bob, &[view::CallState::Ringing])?;
        bob.ask::<view::Call>(Command::CallAnswer {
            id: Some(ringing.id),
            sound: sound(),
        })?;
        let call = wait(alice, &[view::CallState::Established])?;
        if let Some(warning) = call.warnings.first() {
            return Err(alice.story(warning));
        }
        thread::sleep(SETTLING);
        Ok(())
    }

    fn end(&self) -> Result<(), ActorError> {
        let (alice, bob) = (&self.cast.alice, &self.cast.bob);
        alice.ask::<view::Call>(Command::CallHangup { id: None })?;
        wait(bob, &[view::CallState::Ended])?;
        Ok(())
    }

    /// Both say it at once.
    fn phase(&self, said: Said, limit: Option<u32>) -> Result<Cost, ActorError> {
        let sounds = [Voice::Alice, Voice::Bob].map(|voice| sound(said, voice));
        let [alice, bob] = sounds;
        let (alice, bob, server) = (alice?, bob?, &self.server);
        thread::scope(|scope| {
            let playing: Vec<_> = [("alice-says", alice), ("bob-says", bob)]
                .into_iter()
                .map(|(sink, sound)| {
                    scope.spawn(move || sound.map_or(Ok(()), |sound| server.play(sink, &sound)))
                })
                .collect();
            let cost = self.window(said, limit);
            for player in playing {
                let played = player.join();
                played.map_err(|_| ActorError::Story("a player broke off".into()))??;
            }
            cost
        })
    }

    fn window(&self, said: Said, limit: Option<u32>) -> Result<Cost, ActorError> {
        let (alice, bob) = (&self.cast.alice, &self.cast.bob);
        let look = || {
            let counters = self.net.host("alice").counters()?;
            Ok::<_, ActorError>((sent(alice)?, counters, [alice.usage()?, bob.usage()?]))
        };
        thread::sleep(LEAD);
        let (before, begin) = (look()?, Instant::now());
        thread::sleep(WINDOW);
        let (after, seconds) = (look()?, begin.elapsed().as_secs_f64());
        let kbits = |bytes: u64| bytes as f64 * 8.0 / 1e3 / seconds;
        let call = wait(alice, &[view::CallState::Established])?;
        let quality = call.quality.unwrap_or_default();
        let [one, other] = [0, 1].map(|who| after.2[who].cpu_since(&before.2[who]) * 100.0);
        Ok(Cost {
            said,
            limit,
            plan: format!(
                "{}, {} kbit/s, {}, {}",
                quality.codec,
                quality.bitrate / 1_000,
                quality.protection,
                quality.path
            ),
            cores: [one, other],
            wire: kbits(after.1.tx_bytes - before.1.tx_bytes),
            packets: (after.1.tx_packets - before.1.tx_packets) as f64 / seconds,
            payload: kbits(after.0 - before.0),
        })
    }
}

/// Bytes of voice that a node has sent.
fn sent(person: &Actor) -> Result<u64, ActorError> {
    let status: view::Status = person.ask(Command::Status {})?;
    let calls = status
        .traffic
        .iter()
        .find(|row| row.purpose == "own: calls");
    Ok(calls.map_or(0, |row| row.sent))
}

/// What is played in a phase; none where nothing is.
fn sound(said: Said, voice: Voice) -> Result<Option<Recording>, ActorError> {
    let wanted = (LEAD + WINDOW).as_secs() as usize * RATE as usize;
    let samples = match said {
        Said::Nothing => return Ok(None),
        Said::Speech => {
            let speech = speech::speech(voice, SPEECH);
            let speech = speech.map_err(|error| ActorError::Story(error.to_string()))?;
            speech.samples.into_iter().cycle().take(wanted).collect()
        }
        Said::Noise => noise(wanted),
    };
    Ok(Some(Recording {
        samples,
        rate: RATE,
    }))
}

/// White, the same each time.
fn noise(wanted: usize) -> Vec<f32> {
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let sample = |_| (random.next_u32() as f32 / u32::MAX as f32 * 2.0 - 1.0) * ROOM * 1.7;
    (0..wanted).map(sample).collect()
}

/// As a section of the page of benchmarks.
pub fn table(machine: &Machine, costs: &[Cost]) -> String {
    let mut text = format!(
        "By `make bench-cost`: a call between two nodes whose microphones and speakers are null sinks of a private PulseAudio server, echo cancelling, noise suppression and gain \
         control on, 25 ms each way, direct; windows of {} s. Recorded speech is played into both microphones at once, then nothing, then white noise at \
         -60 dBFS. Processor: of the whole node, all its threads. On the wire: all IP packets that the caller's machine sent, its link to the supernode included. Payload: \
         datagrams of voice before QUIC's, UDP's and IP's headers, our own of a packet and the receiver's reports included. Asked: {CORE} % of a core; in silence {SILENT} kbit/s of payload; \
         bytes on the wire at 24 kbit/s stated. {}, commit {}, {} build, {}, {} cores, load {:.1} before.\n\n\
         | limit | both say | sends with | processor, caller and called | on the wire | packets | payload |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        WINDOW.as_secs(),
        machine.date,
        machine.commit,
        machine.profile,
        machine.processor,
        machine.cores,
        machine.load,
    );
    for cost in costs {
        let _ = writeln!(text, "{}", row(cost));
    }
    text
}

fn row(cost: &Cost) -> String {
    let limit = cost
        .limit
        .map_or("none".to_owned(), |kbits| format!("{kbits} kbit/s"));
    let said = match cost.said {
        Said::Speech => "speech",
        Said::Nothing => "nothing",
        Said::Noise => "noise of a room",
    };
    let [one, other] = cost.cores;
    let is_silent = cost.said != Said::Speech;
    format!(
        "| {limit} | {said} | {} | {}{one:.1} %, {other:.1} % | {:.1} kbit/s | {:.0} 1/s | {}{:.1} kbit/s |",
        cost.plan,
        missed(one.max(other) > CORE),
        cost.wire,
        cost.packets,
        missed(is_silent && cost.payload > SILENT),
        cost.payload,
    )
}

const fn missed(is_missed: bool) -> &'static str {
    if is_missed { "**missed** " } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_that_costs_too_much_is_a_miss_and_speech_is_not() {
        let cost = |said, payload| Cost {
            said,
            limit: Some(24),
            plan: "Opus".into(),
            cores: [3.0, 3.5],
            wire: 40.0,
            packets: 50.0,
            payload,
        };
        let silent = row(&cost(Said::Nothing, 5.0));
        assert!(silent.ends_with("| **missed** 5.0 kbit/s |"), "{silent}");
        let spoken = row(&cost(Said::Speech, 22.0));
        assert_eq!(
            spoken,
            "| 24 kbit/s | speech | Opus | 3.0 %, 3.5 % | 40.0 kbit/s | 50 1/s | 22.0 kbit/s |"
        );
    }

    #[test]
    fn a_quiet_room_has_its_loudness() {
        let noise = noise(16_000);
        let power: f32 = noise.iter().map(|s| s * s).sum::<f32>() / 16_000.0;
        assert!((power.sqrt() / ROOM - 1.0).abs() < 0.05, "{}", power.sqrt());
    }
}
