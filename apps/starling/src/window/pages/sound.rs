//! The page of the sound devices: what speaks, what is heard, what rings; and what its form asks.

use maud::{Markup, html};
use starling_control::view::{Audio, AudioChange, AudioChoice, AudioDevice, AudioMeter, AudioTest};
use starling_control::{Command, Failure};

use super::frame::{Shell, button, form};
use super::words;
use crate::window::action::{Next, Plan};
use crate::window::server::Fields;

/// What `with` is called where the level is looked at.
pub const LEVEL: &str = "level";

/// How it sounds.
pub struct Heard {
    /// The test that runs or was the last.
    pub test: AudioTest,
    /// The level, where somebody looks at it: or why there is none.
    pub level: Option<Result<AudioMeter, Failure>>,
}

/// The page.
pub fn page(shell: &Shell, audio: &Audio, heard: &Heard) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Sound" } p.line { "What you speak into, what you hear with, what rings" } }
            (now(shell, audio, heard))
        }
    }
}

/// What there is and what is used; replaced by the event stream, which looks again and again.
pub fn now(shell: &Shell, audio: &Audio, heard: &Heard) -> Markup {
    html! {
        div id="sound-now" {
            (form(shell, "audio-use", "stack", choices(audio)))
            div role="status" {
                @if !audio.warnings.is_empty() {
                    ul.warnings { @for warning in &audio.warnings { li { (words::plain(warning)) } } }
                }
            }
            h2 { "Does it work?" }
            (level(heard))
            (test(shell, &heard.test))
        }
    }
}

/// The microphone is open while this is shown, so somebody has to ask for it.
fn level(heard: &Heard) -> Markup {
    html! {
        @match &heard.level {
            None => p { a href="sound?level=on" { "Show how loud the microphone is" } },
            Some(Err(failure)) => p.warning role="status" { (words::plain(&failure.message)) },
            Some(Ok(meter)) => {
                p {
                    label for="sound-level" { "How loud the microphone is: " (format!("{:.0}", meter.rms_dbfs)) " dBFS" } " "
                    meter id="sound-level" min="-60" max="0" low="-40" high="-3" value=(format!("{:.0}", meter.rms_dbfs.max(-60.0))) {}
                }
                p { a href="sound" { "Close the microphone" } }
            },
        }
    }
}

fn test(shell: &Shell, test: &AudioTest) -> Markup {
    html! {
        p role="status" {
            @if !test.words.is_empty() { (words::plain(&test.words)) }
            @if test.state.is_running() { ": " (test.left_ms.div_ceil(1000)) " s" }
        }
        @if !test.state.is_running() {
            (button(shell, "audio-test", &[], "quiet", html! { "Speak for five seconds, then hear yourself" }))
        }
    }
}

fn choices(audio: &Audio) -> Markup {
    html! {
        (chooser(audio, "microphone", "Microphone", &audio.microphone))
        (chooser(audio, "speaker", "Speaker, for calls", &audio.speaker))
        (chooser(audio, "ringer", "Ringer, for what rings", &audio.ringer))
        label.check {
            input type="checkbox" name="push_to_talk" value="yes" checked[audio.push_to_talk];
            " Push to talk: calls begin with the microphone off"
        }
        label.check {
            input type="checkbox" name="tones" value="yes" checked[audio.tones];
            " Calls ring, and are heard to end"
        }
        label for="sound-volume" { "How loud that is" }
        input id="sound-volume" name="volume" type="range" min="0" max="100" step="5" value=(audio.volume);
        button.primary type="submit" { "Use these" }
        p.hint { "It applies at once, also in a call. A device that is unplugged is used again when it is back." }
    }
}

fn chooser(audio: &Audio, purpose: &str, label: &str, choice: &AudioChoice) -> Markup {
    let comes_in = purpose == "microphone";
    let fits = |device: &&AudioDevice| device.input == comes_in;
    let devices: Vec<&AudioDevice> = audio.devices.iter().filter(fits).collect();
    let chosen = choice.chosen.as_deref();
    let is_there = devices.iter().any(|one| Some(one.id.as_str()) == chosen);
    let usual = devices.iter().find(|device| device.default);
    let id = format!("sound-{purpose}");
    html! {
        label for=(id) { (label) }
        select id=(id) name=(purpose) {
            option value="default" selected[chosen.is_none()] {
                "The system's default"
                @if let Some(usual) = usual { ": " (words::plain(&usual.name)) }
            }
            @if let (Some(id), false) = (chosen, is_there) {
                option value=(id) selected { (words::plain(choice.name.as_deref().unwrap_or(id))) " (not there now)" }
            }
            @for device in devices {
                option value=(device.id) selected[Some(device.id.as_str()) == chosen] { (words::plain(&device.name)) }
            }
        }
    }
}

/// What a form asks.
pub fn read(name: &str, fields: &Fields) -> Result<Option<Plan>, Failure> {
    let (command, next) = match name {
        "audio-test" => (Command::AudioTest {}, "sound?level=on"),
        "audio-use" => (
            Command::AudioUse(AudioChange {
                microphone: fields.get("microphone").cloned(),
                speaker: fields.get("speaker").cloned(),
                ringer: fields.get("ringer").cloned(),
                push_to_talk: Some(fields.contains_key("push_to_talk")),
                tones: Some(fields.contains_key("tones")),
                volume: fields.get("volume").and_then(|volume| volume.parse().ok()),
            }),
            "sound",
        ),
        _ => return Ok(None),
    };
    Ok(Some(Plan {
        commands: vec![command],
        next: Next::Go(next.into()),
    }))
}
