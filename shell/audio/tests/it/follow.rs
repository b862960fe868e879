//! Devices that come and go on a real sound server: what is followed, and that looking costs the server nothing. As in
//! `devices`, each case runs in a process of its own; that process plugs devices in and out with `pactl`.

use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use starling_audio::devices::{
    Capture, Choices, Chosen, Followed, Following, Kind, Playback, Standing, report,
};

use crate::devices::{assert_is_tone, play_and_hear};
use crate::sound_server::{SoundServer, run};

/// Five times what the loss of a device and the next look take.
const PATIENCE: Duration = Duration::from_secs(10);

fn pactl(arguments: &[&str]) -> String {
    let output = Command::new("pactl").args(arguments).output();
    let output = output.expect("pactl runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pactl {arguments:?}: {words}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn plug(sink: &str, name: &str) -> String {
    let properties = format!("sink_properties=device.description={name}");
    let sink = format!("sink_name={sink}");
    pactl(&["load-module", "module-null-sink", &sink, &properties])
}

fn unplug(module: &str) {
    pactl(&["unload-module", module]);
}

fn chosen(id: &str, name: &str) -> Option<Chosen> {
    let (id, name) = (id.to_owned(), name.to_owned());
    Some(Chosen { id, name })
}

/// Waits until this is in use; says how long that took.
fn until<D: Followed>(following: &mut Following<D>, wanted: &Standing) {
    let began = Instant::now();
    while following.poll() != Some(wanted) {
        let now = following.standing();
        assert!(began.elapsed() < PATIENCE, "{now:?}, not {wanted:?}");
        sleep(Duration::from_millis(2));
    }
    println!("{wanted:?} after {} ms", began.elapsed().as_millis());
}

fn wanted(name: &str) -> Standing {
    Standing::Wanted(name.to_owned())
}

fn stand_in(name: &str, chosen: &str) -> Standing {
    Standing::StandIn {
        name: name.to_owned(),
        chosen: chosen.to_owned(),
    }
}

#[test]
fn audio_02_a_lost_device_is_replaced_by_the_default_and_used_again_when_it_is_back() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    println!("{}", run("follow::in_process_lost", server.folder()));
}

#[test]
#[ignore = "run by the test above"]
fn in_process_lost() {
    pactl(&["set-default-sink", "speaker"]);
    let choices = Arc::new(Choices::default());
    choices.choose(Kind::Speaker, chosen("headset", "Headset"));
    choices.choose(Kind::Microphone, chosen("headset.monitor", "Headset"));
    let mut speaker: Following<Playback> = Following::start(Kind::Speaker, &choices);
    let mut microphone: Following<Capture> = Following::start(Kind::Microphone, &choices);
    let usual = [
        stand_in("Loudspeaker", "Headset"),
        stand_in("Mic", "Headset"),
    ];
    until(&mut speaker, &usual[0]);
    until(&mut microphone, &usual[1]);
    for round in 0..2 {
        let headset = plug("headset", "Headset");
        until(&mut speaker, &wanted("Headset"));
        until(&mut microphone, &wanted("Monitor of Headset"));
        if round == 0 {
            hear(&mut speaker, &mut microphone);
        }
        unplug(&headset);
        until(&mut speaker, &usual[0]);
        until(&mut microphone, &usual[1]);
    }
    hear(&mut speaker, &mut microphone);
}

/// What one plays, the other captures.
fn hear(speaker: &mut Following<Playback>, microphone: &mut Following<Capture>) {
    let (speaker, microphone) = (speaker.device(), microphone.device());
    let (speaker, microphone) = (speaker.expect("open"), microphone.expect("open"));
    let heard = play_and_hear(speaker, microphone, 20);
    assert_is_tone(&heard);
}

#[test]
fn the_systems_default_is_followed_where_nothing_is_chosen() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    println!("{}", run("follow::in_process_default", server.folder()));
}

#[test]
#[ignore = "run by the test above"]
fn in_process_default() {
    pactl(&["set-default-sink", "speaker"]);
    let choices = Arc::new(Choices::default());
    let mut ringer: Following<Playback> = Following::start(Kind::Ringer, &choices);
    until(&mut ringer, &wanted("Loudspeaker"));
    let headset = plug("headset", "Headset");
    pactl(&["set-default-sink", "headset"]);
    until(&mut ringer, &wanted("Headset"));
    choices.choose(Kind::Ringer, chosen("speaker", "Loudspeaker"));
    until(&mut ringer, &wanted("Loudspeaker"));
    choices.choose(Kind::Ringer, None);
    until(&mut ringer, &wanted("Headset"));
    unplug(&headset);
    until(&mut ringer, &wanted("Loudspeaker"));
    let there = choices.roster(Kind::Ringer).expect("it answers");
    let names = |kind| there.devices(kind).map(|one| one.name.clone());
    assert_eq!(names(Kind::Ringer).collect::<Vec<_>>(), ["Loudspeaker"]);
    let microphones: Vec<String> = names(Kind::Microphone).collect();
    assert_eq!(microphones, ["Monitor of Loudspeaker", "Mic"]);
}

#[test]
fn a_server_that_was_looked_at_a_hundred_times_still_answers() {
    let Some(server) = SoundServer::with_devices() else {
        return;
    };
    println!("{}", run("follow::in_process_often", server.folder()));
}

#[test]
#[ignore = "run by the test above"]
fn in_process_often() {
    let threads = || std::fs::read_dir("/proc/self/task").expect("Linux").count();
    assert!(report().words.is_empty());
    let before = threads();
    // The server takes 64 connections.
    for _ in 0..100 {
        assert!(report().words.is_empty());
    }
    // A stream's connection is used again.
    for _ in 0..80 {
        let speaker = Playback::open(None);
        sleep(Duration::from_millis(5));
        assert_eq!(speaker.err(), None);
    }
    let clients = || pactl(&["list", "short", "clients"]).lines().count();
    let began = Instant::now();
    while threads() > before + 2 || clients() > 4 {
        let (now, clients) = (threads(), clients());
        assert!(
            began.elapsed() < PATIENCE,
            "{before} threads, then {now}; {clients} clients"
        );
        sleep(Duration::from_millis(50));
    }
}
