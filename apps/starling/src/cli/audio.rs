//! `starling audio`: which sound devices there are, which are used to speak, to hear and to ring, and what is done with a microphone's
//! sound.

use clap::{Args, Subcommand};
use starling_control::view::{Audio, AudioChange, AudioChoice, AudioDevice};
use starling_control::{Command, ErrorKind, Failure};

use super::profile::Settings;
use super::{Outcome, Switch, audio_level, launch, print, processing};

#[derive(Debug, Subcommand)]
pub enum AudioCommand {
    /// What there is and what is used
    Devices,
    /// Choose devices; a call goes on with what is chosen
    Use(UseArgs),
    /// How loud the microphone is, ten times a second
    Meter(audio_level::MeterArgs),
    /// Speak for five seconds, then hear yourself
    Test,
    /// Echo, noise and loudness of the microphone: shown, switched, set; a running call follows
    Processing(processing::ProcessingArgs),
}

#[derive(Debug, Args)]
pub struct UseArgs {
    /// What you speak into: a device's name or id, or "default" for the system's
    #[arg(long, value_name = "NAME")]
    microphone: Option<String>,
    /// What you hear calls with
    #[arg(long, value_name = "NAME")]
    speaker: Option<String>,
    /// What rings
    #[arg(long, value_name = "NAME")]
    ringer: Option<String>,
    /// Whether calls begin with the microphone off, for `starling talk`
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    push_to_talk: Option<Switch>,
    /// Whether calls ring, and are heard to end
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    tones: Option<Switch>,
    /// How loud that is: 0 to 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    volume: Option<u8>,
}

pub async fn run(command: AudioCommand, settings: &Settings) -> Outcome {
    match command {
        AudioCommand::Devices => {
            let audio = launch::ask(settings, Command::AudioDevices {}).await?;
            show(&audio, settings);
            Ok(())
        }
        AudioCommand::Use(args) => choose(args, settings).await,
        AudioCommand::Meter(args) => audio_level::meter(args, settings).await,
        AudioCommand::Test => audio_level::test(settings).await,
        AudioCommand::Processing(args) => processing::run(&args, settings).await,
    }
}

async fn choose(args: UseArgs, settings: &Settings) -> Outcome {
    let change = AudioChange {
        microphone: args.microphone,
        speaker: args.speaker,
        ringer: args.ringer,
        push_to_talk: args.push_to_talk.map(|on| on == Switch::On),
        tones: args.tones.map(|on| on == Switch::On),
        volume: args.volume,
    };
    if change == AudioChange::default() {
        let sentence = "say what is to change; `starling audio devices` shows what there is";
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let audio = launch::ask(settings, Command::AudioUse(change)).await?;
    show(&audio, settings);
    Ok(())
}

fn show(audio: &Audio, settings: &Settings) {
    if settings.json {
        return print::json(audio);
    }
    let rows: Vec<Vec<String>> = audio.devices.iter().map(|one| row(audio, one)).collect();
    if !rows.is_empty() {
        let head = ["sound", "name", "id", ""];
        print::table(&head, &rows)
            .iter()
            .for_each(|line| print::line(line));
    }
    for (purpose, choice) in purposes(audio) {
        print::line(&format!("{purpose:<14}{}", uses(choice)));
    }
    let switch = |on: bool| if on { "on" } else { "off" };
    print::line(&format!("push to talk  {}", switch(audio.push_to_talk)));
    let (tones, volume) = (switch(audio.tones), audio.volume);
    print::line(&format!("tones         {tones}, volume {volume}"));
    for warning in &audio.warnings {
        print::say(&print::text(warning));
    }
}

fn purposes(audio: &Audio) -> [(&'static str, &AudioChoice); 3] {
    [
        ("microphone", &audio.microphone),
        ("speaker", &audio.speaker),
        ("ringer", &audio.ringer),
    ]
}

fn uses(choice: &AudioChoice) -> String {
    let used = choice.uses.as_deref().unwrap_or("none");
    match &choice.name {
        Some(name) if choice.uses.as_ref() != Some(name) => {
            format!("{} (chosen: {})", print::text(used), print::text(name))
        }
        Some(_) => format!("{} (chosen)", print::text(used)),
        None => format!("{} (the system's default)", print::text(used)),
    }
}

fn row(audio: &Audio, device: &AudioDevice) -> Vec<String> {
    let chosen = purposes(audio).into_iter().filter(|(purpose, choice)| {
        let comes_in = *purpose == "microphone";
        comes_in == device.input && choice.chosen.as_ref() == Some(&device.id)
    });
    let mut marks: Vec<&str> = chosen.map(|(purpose, _)| purpose).collect();
    if device.default {
        marks.push("default");
    }
    vec![
        if device.input { "in" } else { "out" }.to_owned(),
        print::text(&device.name),
        print::text(&device.id),
        marks.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_marks_what_is_chosen_and_what_the_system_uses() {
        let device = |id: &str, input, default| AudioDevice {
            id: id.into(),
            name: id.to_uppercase(),
            input,
            default,
        };
        let audio = Audio {
            devices: vec![device("usb", true, false), device("usb", false, true)],
            microphone: AudioChoice {
                chosen: Some("usb".into()),
                name: Some("USB".into()),
                uses: Some("USB".into()),
            },
            ringer: AudioChoice {
                chosen: Some("gone".into()),
                name: Some("GONE".into()),
                uses: Some("USB".into()),
            },
            ..Audio::default()
        };
        let marks: Vec<String> = audio
            .devices
            .iter()
            .map(|one| row(&audio, one).remove(3))
            .collect();
        assert_eq!(marks, ["microphone", "default"]);
        assert_eq!(uses(&audio.microphone), "USB (chosen)");
        assert_eq!(uses(&audio.ringer), "USB (chosen: GONE)");
        assert_eq!(uses(&audio.speaker), "none (the system's default)");
    }
}
