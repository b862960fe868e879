//! What is done with the microphone's sound, as a form, and what the form asks.

use std::str::FromStr;

use maud::{Markup, html};
use starling_control::view::{EchoLevel, GainLevel, NoiseLevel, Processing, ProcessingChange};
use starling_control::{Command, ErrorKind, Failure};

use super::frame::{Shell, form};
use crate::window::action::{Next, Plan};
use crate::window::server::Fields;

/// What a voice that is too soft may be raised by, in steps a person hears.
const STEPS: [u8; 4] = [6, 12, 18, 24];

/// The page.
pub fn page(shell: &Shell, processing: Processing) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Your microphone" } }
            p { "What is done with its sound before the others hear it. A change is heard at once, also in a running call." }
            (form(shell, "processing-set", "stack", fields(processing)))
        }
    }
}

fn fields(processing: Processing) -> Markup {
    html! {
        label for="processing-echo" { "Echo: the other side's voice, out of your speaker" }
        select id="processing-echo" name="echo" {
            @for level in EchoLevel::ALL { option value=(level) selected[level == processing.echo] { (echo(level)) } }
        }
        label for="processing-noise" { "Steady noise: fans, traffic, hum" }
        select id="processing-noise" name="noise" {
            @for level in NoiseLevel::ALL { option value=(level) selected[level == processing.noise] { (noise(level)) } }
        }
        label for="processing-gain" { "Loudness of your voice" }
        select id="processing-gain" name="gain" {
            @for level in gains(processing.gain) { option value=(level) selected[level == processing.gain] { (gain(level)) } }
        }
        p.hint { "With headphones there is no echo. Music sounds best with all of it off." }
        button.primary type="submit" { "Use these" }
    }
}

/// What is offered, and what was chosen elsewhere.
fn gains(chosen: GainLevel) -> Vec<GainLevel> {
    let steps = STEPS.map(GainLevel::Decibels);
    let mut gains: Vec<_> = [GainLevel::On, GainLevel::Off]
        .into_iter()
        .chain(steps)
        .collect();
    if !gains.contains(&chosen) {
        gains.push(chosen);
    }
    gains
}

const fn echo(level: EchoLevel) -> &'static str {
    match level {
        EchoLevel::Off => "left as it is",
        EchoLevel::On => "removed",
        EchoLevel::Strong => {
            "removed more strongly; less is heard of you while the other side speaks"
        }
    }
}

const fn noise(level: NoiseLevel) -> &'static str {
    match level {
        NoiseLevel::Off => "left as it is",
        NoiseLevel::Low => "a little softer",
        NoiseLevel::Medium => "softer",
        NoiseLevel::High => "much softer; the voice suffers a little",
    }
}

fn gain(level: GainLevel) -> String {
    match level {
        GainLevel::Off => "as the microphone gives it".to_owned(),
        GainLevel::On => "brought to a good level by itself".to_owned(),
        GainLevel::Decibels(decibels) => format!("{decibels} dB louder, always"),
    }
}

/// What a form asks.
pub fn read(name: &str, fields: &Fields) -> Result<Option<Plan>, Failure> {
    if name != "processing-set" {
        return Ok(None);
    }
    let change = ProcessingChange {
        echo: given(fields, "echo")?,
        noise: given(fields, "noise")?,
        gain: given(fields, "gain")?,
    };
    let commands = vec![Command::ProcessingSet(change)];
    let next = Next::Go("microphone".into());
    Ok(Some(Plan { commands, next }))
}

fn given<T: FromStr<Err = String>>(fields: &Fields, name: &str) -> Result<Option<T>, Failure> {
    let given = fields.get(name).map(|text| text.parse());
    given
        .transpose()
        .map_err(|words| Failure::new(ErrorKind::Usage, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_says_all_of_it_and_an_unknown_level_is_refused() {
        let fields = |gain: &str| -> Fields {
            let pairs = [("echo", "strong"), ("noise", "off"), ("gain", gain)];
            pairs
                .map(|(k, v)| (k.into(), v.into()))
                .into_iter()
                .collect()
        };
        let plan = read("processing-set", &fields("18")).unwrap().unwrap();
        let change = ProcessingChange {
            echo: Some(EchoLevel::Strong),
            noise: Some(NoiseLevel::Off),
            gain: Some(GainLevel::Decibels(18)),
        };
        assert_eq!(plan.commands, [Command::ProcessingSet(change)]);
        assert!(read("processing-set", &fields("loud")).is_err());
        assert!(read("processing-gone", &fields("on")).unwrap().is_none());
    }

    #[test]
    fn what_was_chosen_on_the_command_line_is_among_what_is_offered() {
        assert!(gains(GainLevel::Decibels(7)).contains(&GainLevel::Decibels(7)));
        assert_eq!(gains(GainLevel::On).len(), 6);
    }
}
