//! Sound devices: which there are, which a person chose, and what is used.

use serde::{Deserialize, Serialize};

/// The machine's sound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    /// What can be chosen. A device that does both is listed twice.
    pub devices: Vec<AudioDevice>,
    /// Speaks.
    pub microphone: AudioChoice,
    /// Is heard in calls.
    pub speaker: AudioChoice,
    /// Rings.
    pub ringer: AudioChoice,
    /// Calls begin with the microphone off; it is on while one talks.
    pub push_to_talk: bool,
    /// Calls ring, and are heard to end.
    pub tones: bool,
    /// How loud that is, 0 to 100.
    pub volume: u8,
    /// What a person should know, in sentences.
    pub warnings: Vec<String>,
}

/// One device, in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioDevice {
    /// What the system calls it; the same when it is plugged in again.
    pub id: String,
    /// For people.
    pub name: String,
    /// Sound comes in from it; else it goes out.
    pub input: bool,
    /// The system uses it where nothing else is asked for.
    pub default: bool,
}

/// What a person chose for one purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioChoice {
    /// The device's id; the system's default if absent.
    pub chosen: Option<String>,
    /// What it was called when it was chosen.
    pub name: Option<String>,
    /// The name of the device that is used, or would be now; none if there is none.
    pub uses: Option<String>,
}

/// What is to change; what is absent stays. A device is named by its id or its name; `default` is the system's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioChange {
    /// Speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microphone: Option<String>,
    /// Is heard in calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// Rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ringer: Option<String>,
    /// Whether calls begin with the microphone off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_to_talk: Option<bool>,
    /// Whether calls ring, and are heard to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tones: Option<bool>,
    /// How loud that is, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<u8>,
}

/// The own side of a call's sound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSound {
    /// Nothing is heard, and nothing said.
    pub deafened: bool,
    /// The microphone is on only while one talks.
    pub push_to_talk: bool,
    /// One does.
    pub talking: bool,
    /// The microphone in use, by name.
    pub microphone: Option<String>,
    /// The speaker in use, by name.
    pub speaker: Option<String>,
}

/// How loud the microphone is at the moment, in dBFS: 0 is the most there can be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioMeter {
    /// Root mean square of the latest 20 ms.
    pub rms_dbfs: f64,
    /// Their largest sample.
    pub peak_dbfs: f64,
}

/// The test without anybody else: what the microphone heard is played back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AudioTest {
    /// Where it stands.
    pub state: AudioTestState,
    /// In words.
    pub words: String,
    /// How long this goes on, in milliseconds.
    pub left_ms: u64,
    /// How loud it is at the moment; at the end, how loud the loudest was.
    pub rms_dbfs: Option<f64>,
}

/// State of a test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioTestState {
    /// None was made.
    #[default]
    None,
    /// The person speaks.
    Recording,
    /// The person listens.
    Playing,
    /// It went through.
    Done,
    /// It did not.
    Failed,
}

impl AudioTestState {
    /// Whether it is still going on.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Recording | Self::Playing)
    }
}

/// Switches the own side of a call's sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSwitch {
    /// Which call; the only one, or the active one, if absent.
    pub id: Option<String>,
    /// What is switched.
    pub what: Switched,
    /// Which way.
    pub on: bool,
}

impl CallSwitch {
    /// All of it.
    pub const fn of(id: Option<String>, what: Switched, on: bool) -> Self {
        Self { id, what, on }
    }
}

/// What a [`CallSwitch`] switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switched {
    /// Neither hear nor speak.
    Deafen,
    /// The microphone is on for the moment, and from now on only then.
    Talk,
}
