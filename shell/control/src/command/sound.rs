//! The sound of a call, as whoever calls or answers wants it.

use serde::{Deserialize, Serialize};

/// Where a call's sound comes from and goes to. Without a file it is the system's microphone and speaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Absolute path of a WAV file to play to the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play: Option<String>,
    /// Absolute path of a WAV file to record the other side into; must not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Send back what is heard: the sound-test node's way to answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub echo: bool,
    /// Hang up after so many milliseconds of conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
    /// Send with so many kbit/s at most, what is spent against losses included; 8 to 64, which is also the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_kbits: Option<u32>,
    /// Absolute path of a file to write down in when each frame of voice was there and when it was played, for measurements; must
    /// not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The file's sound goes through echo cancelling, noise suppression and gain control as a microphone's does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub processed: bool,
}
