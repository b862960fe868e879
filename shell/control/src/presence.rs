//! How people are there: a contact, and oneself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How somebody is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// There.
    Online,
    /// There, but not at the machine.
    Away,
    /// There, and not to be disturbed.
    #[serde(rename = "dnd")]
    DoNotDisturb,
    /// Not there, or not to be seen.
    Offline,
    /// Cannot be told: their home supernode cannot be asked.
    #[default]
    Unknown,
}

impl Presence {
    /// Whether somebody is shown as there.
    pub const fn is_there(self) -> bool {
        matches!(self, Self::Online | Self::Away | Self::DoNotDisturb)
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::DoNotDisturb => "do not disturb",
            Self::Offline => "offline",
            Self::Unknown => "not known",
        }
    }
}

/// How a person wants to be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceChoice {
    /// Online, and away while nothing is done.
    #[default]
    Auto,
    /// Online.
    Online,
    /// Away.
    Away,
    /// There, but calls do not ring and nothing makes itself heard.
    Dnd,
    /// Contacts see "offline".
    Invisible,
}

impl PresenceChoice {
    /// All of them, as a person would look through them.
    pub const ALL: [Self; 5] = [
        Self::Auto,
        Self::Online,
        Self::Away,
        Self::Dnd,
        Self::Invisible,
    ];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Online => "online",
            Self::Away => "away",
            Self::Dnd => "dnd",
            Self::Invisible => "invisible",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Auto => "online",
            Self::Online => "always online",
            Self::Away => "away",
            Self::Dnd => "do not disturb",
            Self::Invisible => "invisible",
        }
    }
}

impl fmt::Display for PresenceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for PresenceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|choice| choice.word() == text);
        found.ok_or_else(|| format!("\"{text}\" is none of auto, online, away, dnd and invisible"))
    }
}

/// What a person changes about it; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceChange {
    /// How to be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<PresenceChoice>,
    /// What is said about oneself, at most 128 bytes; empty removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mood: Option<String>,
    /// Whether contacts see that one is in a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_calls: Option<bool>,
    /// After how many minutes without an act `auto` turns to away, on this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_after: Option<u32>,
}

/// How the own person is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPresence {
    /// What was chosen.
    pub choice: PresenceChoice,
    /// What contacts see: `online`, `away`, `dnd` or, when invisible, `offline`.
    pub shown: Presence,
    /// What is said about oneself.
    pub mood: String,
    /// Whether contacts see that one is in a call.
    pub share_calls: bool,
    /// Minutes without an act after which `auto` turns to away.
    pub away_after: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for choice in PresenceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(json, format!("\"{choice}\""));
        }
        assert!("busy".parse::<PresenceChoice>().is_err());
        let json = serde_json::to_string(&Presence::DoNotDisturb).unwrap();
        assert_eq!(json, "\"dnd\"");
    }
}
