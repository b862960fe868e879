//! What is kept of it: one setting of this device, as JSON.

use serde::{Deserialize, Serialize};
use starling_audio::devices::{Choices, Chosen, Kind};
use starling_store::{StoreError, Tx, settings};

const SETTING: &str = "audio";

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    microphone: Option<Device>,
    speaker: Option<Device>,
    ringer: Option<Device>,
    pub(super) push_to_talk: bool,
    pub(super) tones: bool,
    /// Of tones, in percent.
    pub(super) volume: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            microphone: None,
            speaker: None,
            ringer: None,
            push_to_talk: false,
            tones: true,
            volume: 60,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Device {
    id: String,
    name: String,
}

impl Settings {
    pub(super) fn chosen(&self, kind: Kind) -> Option<Chosen> {
        let device = match kind {
            Kind::Microphone => &self.microphone,
            Kind::Speaker => &self.speaker,
            Kind::Ringer => &self.ringer,
        };
        let chosen = |Device { id, name }| Chosen { id, name };
        device.clone().map(chosen)
    }

    pub(super) fn choose(&mut self, kind: Kind, chosen: Option<Chosen>) {
        let device = chosen.map(|Chosen { id, name }| Device { id, name });
        match kind {
            Kind::Microphone => self.microphone = device,
            Kind::Speaker => self.speaker = device,
            Kind::Ringer => self.ringer = device,
        }
    }

    pub(super) fn apply(&self, choices: &Choices) {
        for kind in Kind::ALL {
            choices.choose(kind, self.chosen(kind));
        }
    }
}

/// What was kept; what cannot be read is as if nothing was decided.
pub(super) fn load(tx: &Tx<'_>) -> Result<Settings, StoreError> {
    let text = settings::get(tx, SETTING)?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

pub(super) fn keep(tx: &Tx<'_>, kept: &Settings) -> Result<(), StoreError> {
    let text =
        serde_json::to_string(kept).map_err(|error| StoreError::Internal(error.to_string()))?;
    settings::set(tx, SETTING, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_by_an_older_or_newer_program_is_read_as_far_as_it_goes() {
        let kept = r#"{"speaker":{"id":"usb","name":"Headset"},"colour":"blue"}"#;
        let settings: Settings = serde_json::from_str(kept).expect("it is read");
        let chosen = settings.chosen(Kind::Speaker).expect("a speaker");
        assert_eq!((&*chosen.id, &*chosen.name), ("usb", "Headset"));
        assert_eq!(settings.chosen(Kind::Ringer), None);
        assert!(!settings.push_to_talk && settings.tones);
        assert_eq!(settings.volume, 60);
    }
}
