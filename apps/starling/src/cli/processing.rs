//! `starling audio processing`: what is done with the microphone's sound.

use clap::Args;
use starling_control::Command;
use starling_control::view::{EchoLevel, GainLevel, NoiseLevel, Processing, ProcessingChange};

use super::profile::Settings;
use super::{Outcome, launch, print};

#[derive(Debug, Args)]
pub struct ProcessingArgs {
    /// Echo of the other side: on; strong leaves less of it, and less of what is said into it
    #[arg(long, value_name = "on|strong|off")]
    echo: Option<EchoLevel>,
    /// Steady noise: softer by 6, 12 or 18 dB
    #[arg(long, value_name = "off|low|medium|high")]
    noise: Option<NoiseLevel>,
    /// How loud the voice is: on lets it be found out, a number is so many decibels, up to 30
    #[arg(long, value_name = "on|off|DB")]
    gain: Option<GainLevel>,
}

pub async fn run(args: &ProcessingArgs, settings: &Settings) -> Outcome {
    let change = ProcessingChange {
        echo: args.echo,
        noise: args.noise,
        gain: args.gain,
    };
    let command = if change == ProcessingChange::default() {
        Command::ProcessingShow {}
    } else {
        Command::ProcessingSet(change)
    };
    let processing: Processing = launch::ask(settings, command).await?;
    if settings.json {
        print::json(&processing);
        return Ok(());
    }
    print::line(&format!("echo        {}", echo(processing.echo)));
    print::line(&format!("noise       {}", noise(processing.noise)));
    print::line(&format!("gain        {}", gain(processing.gain)));
    Ok(())
}

const fn echo(level: EchoLevel) -> &'static str {
    match level {
        EchoLevel::Off => "off: the other side may hear itself",
        EchoLevel::On => "on",
        EchoLevel::Strong => "strong: while the other side speaks, less is heard of you",
    }
}

const fn noise(level: NoiseLevel) -> &'static str {
    match level {
        NoiseLevel::Off => "off",
        NoiseLevel::Low => "low: 6 dB softer",
        NoiseLevel::Medium => "medium: 12 dB softer",
        NoiseLevel::High => "high: 18 dB softer",
    }
}

fn gain(level: GainLevel) -> String {
    match level {
        GainLevel::Off => "off".to_owned(),
        GainLevel::On => "on: as much as your voice needs".to_owned(),
        GainLevel::Decibels(decibels) => format!("{decibels} dB"),
    }
}
