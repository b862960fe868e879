//! What is done with the microphone's sound: a setting of this device, read by every call that runs.

use std::sync::{Arc, PoisonError, RwLock};

use starling_audio::processing::{Echo, Gain, Noise, Settings};
use starling_control::view::{EchoLevel, GainLevel, NoiseLevel, Processing, ProcessingChange};
use starling_store::{StoreError, Tx, settings};

use crate::db::Db;

/// The setting: the view as JSON.
const NAME: &str = "audio processing";

/// What was chosen. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ProcessingChoice(Arc<RwLock<Processing>>);

impl ProcessingChoice {
    /// As it was chosen before.
    pub fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(RwLock::new(stored(tx)?))))
    }

    /// For people.
    pub fn view(&self) -> Processing {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the call.
    pub fn settings(&self) -> Settings {
        meant(self.view())
    }

    /// Stores a change, also beside another one; running calls follow.
    pub async fn set(&self, db: &Db, change: ProcessingChange) -> Result<Processing, StoreError> {
        let choose = move |tx: &Tx<'_>| {
            let chosen = stored(tx)?.with(change);
            let text = serde_json::to_string(&chosen).unwrap_or_default();
            settings::set(tx, NAME, &text)?;
            Ok(chosen)
        };
        let choice = self.clone();
        db.write_then(choose, move |chosen| {
            *choice.0.write().unwrap_or_else(PoisonError::into_inner) = chosen;
            chosen
        })
        .await
    }
}

/// What cannot be read is as if nothing had been chosen.
fn stored(tx: &Tx<'_>) -> Result<Processing, StoreError> {
    let text = settings::get(tx, NAME)?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

const fn meant(chosen: Processing) -> Settings {
    Settings {
        echo: match chosen.echo {
            EchoLevel::Off => Echo::Off,
            EchoLevel::On => Echo::On,
            EchoLevel::Strong => Echo::Strong,
        },
        noise: match chosen.noise {
            NoiseLevel::Off => Noise::Off,
            NoiseLevel::Low => Noise::Low,
            NoiseLevel::Medium => Noise::Medium,
            NoiseLevel::High => Noise::High,
        },
        gain: match chosen.gain {
            GainLevel::Off => Gain::Off,
            GainLevel::On => Gain::Automatic,
            GainLevel::Decibels(decibels) => Gain::Fixed(decibels),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_for_people_is_on_in_the_call() {
        assert_eq!(meant(Processing::default()), Settings::default());
        let off = Processing {
            echo: EchoLevel::Off,
            noise: NoiseLevel::Off,
            gain: GainLevel::Off,
        };
        assert_eq!(meant(off), Settings::OFF);
    }
}
