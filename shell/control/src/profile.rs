//! What people show beside presence: oneself, with who sees what, and contacts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who sees a part of the own profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Accepted contacts.
    #[default]
    Contacts,
    /// Contacts, and whoever is asked to become one.
    Network,
    /// Nobody: it stays on the own devices.
    Nobody,
}

/// A part of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfilePart {
    /// The display name.
    Name,
    /// What the person says at the moment.
    Mood,
    /// A text about the person.
    About,
    /// The picture.
    Avatar,
}

impl Visibility {
    /// All of them, as a person would look through them.
    pub const ALL: [Self; 3] = [Self::Contacts, Self::Network, Self::Nobody];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Network => "network",
            Self::Nobody => "nobody",
        }
    }

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Contacts => "my contacts",
            Self::Network => "contacts, and people I ask",
            Self::Nobody => "nobody",
        }
    }
}

impl ProfilePart {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Name, Self::Mood, Self::About, Self::Avatar];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Mood => "mood",
            Self::About => "about",
            Self::Avatar => "avatar",
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Visibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.word() == text);
        found.ok_or_else(|| format!("\"{text}\" is none of contacts, network and nobody"))
    }
}

impl FromStr for ProfilePart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.word() == text);
        found.ok_or_else(|| format!("\"{text}\" is none of name, mood, about and avatar"))
    }
}

/// What the own person shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnProfile {
    /// The display name.
    pub name: String,
    /// What is said at the moment; it is changed with the presence.
    pub mood: String,
    /// About oneself; lines of text.
    pub about: String,
    /// Stands for the picture, if there is one; another picture has another.
    pub avatar: Option<String>,
    /// Who sees which part.
    pub visibility: BTreeMap<ProfilePart, Visibility>,
}

/// What a person changes about it; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChange {
    /// The display name, at most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// About oneself, at most 500 characters; empty removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Absolute path of a JPEG, PNG or WebP file, which is made small; empty removes the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Who sees which part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub visibility: BTreeMap<ProfilePart, Visibility>,
}

/// What a contact shows beside presence; not verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownProfile {
    /// About them; lines of text.
    #[serde(default)]
    pub about: String,
    /// Stands for their picture, if they show one; another picture has another.
    #[serde(default)]
    pub avatar: Option<String>,
}

/// A picture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avatar {
    /// As in [`OwnProfile`] and [`ShownProfile`].
    pub avatar: String,
    /// `image/jpeg`.
    pub media_type: String,
    /// Its bytes in base64, 16 KiB at most.
    pub data: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for one in Visibility::ALL {
            assert_eq!(one.to_string().parse(), Ok(one));
            let json = serde_json::to_string(&one).unwrap();
            assert_eq!(json, format!("\"{one}\""));
        }
        for one in ProfilePart::ALL {
            assert_eq!(one.word().parse(), Ok(one));
        }
        assert!("friends".parse::<Visibility>().is_err());
        let change = ProfileChange {
            visibility: BTreeMap::from([(ProfilePart::About, Visibility::Nobody)]),
            ..ProfileChange::default()
        };
        let json = serde_json::to_string(&change).unwrap();
        assert_eq!(json, r#"{"visibility":{"about":"nobody"}}"#);
    }
}
