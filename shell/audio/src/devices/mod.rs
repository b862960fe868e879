//! The system's microphone and speaker, through PulseAudio (or PipeWire in its place) if its server answers, else through
//! ALSA. The device's own threads only move samples in and out of lock-free rings; rates are converted by the server, or on our
//! side of the rings. A machine without sound is no error of the program: opening says so in words, and calls go on with files.

mod alsa;
mod capture;
mod choices;
mod follow;
mod health;
mod host;
mod intake;
mod keeper;
mod outlet;
mod playback;
pub(crate) mod pulse;
mod roster;

use std::fmt;

pub use capture::Capture;
pub use choices::{Choices, Chosen};
pub use follow::{Followed, Following, Standing};
pub use playback::Playback;
pub use roster::{Listed, Roster};

/// What a device is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sound comes in.
    Microphone,
    /// Sound goes out.
    Speaker,
    /// It rings.
    Ringer,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Microphone, Self::Speaker, Self::Ringer];

    /// Whether sound comes in.
    pub const fn is_input(self) -> bool {
        matches!(self, Self::Microphone)
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Microphone => "microphone",
            Kind::Speaker => "speaker",
            Kind::Ringer => "ringer",
        })
    }
}

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The machine has none.
    #[error("no {0} was found")]
    None(Kind),
    /// None of this name.
    #[error("no {kind} is called \"{choice}\"; there is: {known}")]
    Unknown {
        /// What was looked for.
        kind: Kind,
        /// The name asked for.
        choice: String,
        /// The names there are.
        known: String,
    },
    /// More than one of this name.
    #[error("several {kind}s are called \"{choice}\"; say which: {known}")]
    Several {
        /// What was looked for.
        kind: Kind,
        /// The name asked for.
        choice: String,
        /// The ids there are.
        known: String,
    },
    /// The system says no.
    #[error("the {kind} cannot be opened: {reason}")]
    Open {
        /// Which.
        kind: Kind,
        /// In words.
        reason: String,
    },
    /// It worked, then it stopped.
    #[error("the {kind} is gone: {reason}")]
    Lost {
        /// Which.
        kind: Kind,
        /// In words.
        reason: String,
    },
    /// The sound server hangs.
    #[error("the {0} cannot be opened: the sound system does not answer")]
    Unanswered(Kind),
}

/// What a call could use right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// The microphone's name, if there is one.
    pub microphone: Option<String>,
    /// The speaker's name, if there is one.
    pub speaker: Option<String>,
    /// What is missing, in sentences; empty if all is well.
    pub words: Vec<String>,
}

/// Looks which devices there are, without making a sound. Takes at most as long as opening one.
pub fn report() -> DeviceReport {
    let asked = keeper::within_time(Kind::Speaker, || {
        let looks = [Kind::Microphone, Kind::Speaker].map(look);
        Ok((looks, None))
    });
    match asked {
        Ok(([microphone, speaker], _)) => {
            let missing = [&microphone, &speaker].map(|found| found.as_ref().err());
            DeviceReport {
                words: missing
                    .into_iter()
                    .flatten()
                    .map(ToString::to_string)
                    .collect(),
                microphone: microphone.ok(),
                speaker: speaker.ok(),
            }
        }
        Err(error) => DeviceReport {
            microphone: None,
            speaker: None,
            words: [DeviceError::Unanswered(Kind::Microphone), error]
                .map(|error| error.to_string())
                .to_vec(),
        },
    }
}

/// The name of the system's usual one, if it can be opened.
fn look(kind: Kind) -> Result<String, DeviceError> {
    let (host, roster) = host::Host::answering(kind)?;
    let usual = roster.pick(kind, None)?;
    host.check(kind, usual)?;
    Ok(usual.name.clone())
}
