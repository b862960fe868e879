//! `starling audio`: the sound of this machine's calls.

use clap::Subcommand;

use super::profile::Settings;
use super::{Outcome, processing};

#[derive(Debug, Subcommand)]
pub enum AudioCommand {
    /// Echo, noise and loudness of the microphone: shown, switched, set; a running call follows
    Processing(processing::ProcessingArgs),
}

pub async fn run(command: AudioCommand, settings: &Settings) -> Outcome {
    match command {
        AudioCommand::Processing(args) => processing::run(&args, settings).await,
    }
}
