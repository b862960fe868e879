//! What is done with the microphone's sound: a switch and a level for each of echo cancelling, noise suppression and gain.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most decibels that can be asked for.
const MOST: u8 = 30;

/// What is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processing {
    /// The speaker's sound in the microphone.
    pub echo: EchoLevel,
    /// What goes on all the time.
    pub noise: NoiseLevel,
    /// How loud the voice is.
    pub gain: GainLevel,
}

/// What is to change; the rest stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessingChange {
    /// The speaker's sound in the microphone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<EchoLevel>,
    /// What goes on all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseLevel>,
    /// How loud the voice is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<GainLevel>,
}

/// How echo is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EchoLevel {
    /// Not at all.
    Off,
    /// So that both can speak at once.
    #[default]
    On,
    /// So that less is left, at the cost of words spoken into it.
    Strong,
}

/// How much noise is suppressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseLevel {
    /// Not at all.
    Off,
    /// By 6 dB.
    Low,
    /// By 12 dB.
    #[default]
    Medium,
    /// By 18 dB.
    High,
}

/// How the voice is brought to a level. As text: `off`, `on`, or decibels from 0 to 30.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum GainLevel {
    /// As it is.
    Off,
    /// By what the voice needs.
    #[default]
    On,
    /// By so many decibels.
    Decibels(u8),
}

impl Processing {
    /// With what is to change.
    #[must_use]
    pub fn with(self, change: ProcessingChange) -> Self {
        Self {
            echo: change.echo.unwrap_or(self.echo),
            noise: change.noise.unwrap_or(self.noise),
            gain: change.gain.unwrap_or(self.gain),
        }
    }
}

impl EchoLevel {
    /// All of them, as a person would look through them.
    pub const ALL: [Self; 3] = [Self::On, Self::Strong, Self::Off];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Strong => "strong",
        }
    }
}

impl NoiseLevel {
    /// All of them, as a person would look through them.
    pub const ALL: [Self; 4] = [Self::Off, Self::Low, Self::Medium, Self::High];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for EchoLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for NoiseLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for GainLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On => f.write_str("on"),
            Self::Decibels(decibels) => write!(f, "{decibels}"),
        }
    }
}

impl FromStr for EchoLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|level| level.word() == text);
        known.ok_or_else(|| format!("\"{text}\" is none of: on, strong, off"))
    }
}

impl FromStr for NoiseLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|level| level.word() == text);
        known.ok_or_else(|| format!("\"{text}\" is none of: off, low, medium, high"))
    }
}

impl FromStr for GainLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            _ => text
                .parse()
                .ok()
                .filter(|decibels| *decibels <= MOST)
                .map(Self::Decibels)
                .ok_or_else(|| format!("\"{text}\" is none of: on, off, 0 to {MOST} (decibels)")),
        }
    }
}

impl TryFrom<String> for GainLevel {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<GainLevel> for String {
    fn from(level: GainLevel) -> Self {
        level.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_written() {
        for echo in EchoLevel::ALL {
            assert_eq!(echo.to_string().parse(), Ok(echo));
        }
        for noise in NoiseLevel::ALL {
            assert_eq!(noise.to_string().parse(), Ok(noise));
        }
        for gain in [GainLevel::Off, GainLevel::On, GainLevel::Decibels(30)] {
            assert_eq!(gain.to_string().parse(), Ok(gain));
        }
        for wrong in ["31", "-1", "", "loud"] {
            assert!(wrong.parse::<GainLevel>().is_err(), "{wrong}");
        }
        assert!("ON".parse::<EchoLevel>().is_err());
        assert!("strong".parse::<NoiseLevel>().is_err());
    }

    #[test]
    fn a_change_leaves_the_rest_as_it_is() {
        let change: ProcessingChange = serde_json::from_str(r#"{"gain":"12"}"#).unwrap();
        let changed = Processing::default().with(change);
        assert_eq!(changed.gain, GainLevel::Decibels(12));
        assert_eq!(changed.echo, EchoLevel::On);
        let text = serde_json::to_string(&changed).unwrap();
        assert_eq!(text, r#"{"echo":"on","noise":"medium","gain":"12"}"#);
        assert_eq!(serde_json::from_str::<Processing>(&text).unwrap(), changed);
        assert!(serde_json::from_str::<ProcessingChange>(r#"{"gain":"99"}"#).is_err());
    }
}
