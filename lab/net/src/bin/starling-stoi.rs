//! `starling-stoi REFERENCE.wav RECORDING.wav`: prints as JSON how well a recording can be understood.
//! Exit code 1 if it cannot be scored, 2 if it is called wrongly.

use std::path::Path;
use std::process::ExitCode;

use starling_lab_net::score::{Recording, Score, ScoreError};

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect::<Vec<_>>();
    let [reference, recording] = arguments.as_slice() else {
        eprintln!("usage: starling-stoi REFERENCE.wav RECORDING.wav");
        return ExitCode::from(2);
    };
    match score(Path::new(reference), Path::new(recording)) {
        Ok(score) => {
            println!("{}", serde_json::json!(score));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn score(reference: &Path, recording: &Path) -> Result<Score, ScoreError> {
    let reference = Recording::read_wav(reference)?;
    Recording::read_wav(recording)?.score_against(&reference)
}
