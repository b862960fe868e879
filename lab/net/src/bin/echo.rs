//! `make bench-echo`: what is left of an echo, and of who speaks into it.
//!
//! ```text
//! echo [--python FILE] [--script FILE] [--markdown FILE]
//! ```
//!
//! Without `--python` PESQ is left out. Exit code 1 if nothing could be measured, 2 if it is called wrongly; a missed figure is no error.

use std::path::PathBuf;
use std::process::ExitCode;

use starling_audio::processing::{Echo, Gain, Noise, Settings};
use starling_lab_net::bench::machine::Machine;
use starling_lab_net::bench::page;
use starling_lab_net::echo::{EchoError, Voices, alone, measure, near_alone, rows};
use starling_lab_net::voice::Scorer;

const USAGE: &str = "usage: echo [--python FILE] [--script FILE] [--markdown FILE]";
const TITLE: &str = "Echo, noise, gain";
const METHOD: &str = "\
Signals alone, no clock waits: recorded speech through made-up rooms into the processing of a call. A voice has -26 dBFS at the microphone, its echo 6 dB less, \
the room's own noise -75 dBFS. A room is a direct sound and noise that decays by 60 dB in the time named; reverberation is 6, 3 and 0 dB \
softer than the direct sound, and the echo comes 60, 110 and 180 ms after the far end's sound. A loudspeaker that distorts is tanh(2 x) / 2. Reduction is the echo's power \
at the microphone against all that comes out, where there is echo. The delay grows by 100 ms after 12 s. Both speak: another voice begins after 10 s, while the far end \
goes on; STOI against what it said.\n\n";

struct Arguments {
    scorer: Option<Scorer>,
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(complaint) => {
            eprintln!("{complaint}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut python, mut markdown) = (None, None);
    let mut script = PathBuf::from("lab/voice/score.py");
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--python" => python = Some(PathBuf::from(value()?)),
            "--script" => script = PathBuf::from(value()?),
            "--markdown" => markdown = Some(PathBuf::from(value()?)),
            _ => return Err(format!("{argument} means nothing here")),
        }
    }
    let scorer = python.map(|python| Scorer { python, script });
    Ok(Arguments { scorer, markdown })
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let section = section(arguments.scorer.as_ref()).map_err(|error| error.to_string())?;
    print!("{section}");
    let Some(path) = &arguments.markdown else {
        return Ok(());
    };
    let before = std::fs::read_to_string(path).unwrap_or_default();
    std::fs::write(path, page::with_section(&before, TITLE, &section))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn section(scorer: Option<&Scorer>) -> Result<String, EchoError> {
    let machine = Machine::here();
    let voices = Voices::read()?;
    let mut text = METHOD.to_owned();
    let echo_alone = |echo| Settings {
        echo,
        noise: Noise::Off,
        gain: Gain::Off,
    };
    let mut late = 0.0;
    for (title, settings) in [
        (
            "All of it on, as it is unless somebody changes it",
            Settings::default(),
        ),
        ("Echo alone: noise and gain off", echo_alone(Echo::On)),
        ("Echo alone, `strong`", echo_alone(Echo::Strong)),
    ] {
        let measured = measure(&voices, settings)?;
        late = measured.first().map_or(late, |row| row.double.late_ms);
        text += &format!("**{title}**\n\n{}\n", rows(&measured));
    }
    let figures = near_alone(&voices, Settings::default(), scorer)?;
    Ok(text + &alone(&figures, late, &machine))
}
