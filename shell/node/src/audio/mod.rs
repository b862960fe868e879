//! The machine's sound as its person wants it: which device speaks, is heard and rings. Kept on this device alone; what is
//! chosen applies at once, also in a call.

mod cues;
mod meter;
mod ringing;
mod settings;
mod trial;

pub use self::ringing::run;

use std::sync::{Arc, Mutex, PoisonError};

use starling_audio::devices::{Choices, Chosen, DeviceError, Kind, Roster};
use starling_control::view::{
    Audio as View, AudioChange, AudioChoice, AudioDevice, AudioMeter, AudioTest,
};
use starling_control::{ErrorKind, Failure};
use starling_store::StoreError;

use self::meter::Meter;
use self::settings::Settings;
use self::trial::Trial;
use crate::context::store_failure;
use crate::db::Db;

/// The system's own choice, as people write it.
const DEFAULT: &str = "default";
/// The largest sample of a tone at full volume.
const LOUDEST: f32 = 0.8;

/// What a person chose, and who follows it.
#[derive(Debug)]
pub struct Audio {
    db: Db,
    choices: Arc<Choices>,
    settings: Mutex<Settings>,
    /// Held by whoever changes them: what two ask for at once both holds.
    changing: tokio::sync::Mutex<()>,
    meter: Meter,
    trial: Trial,
}

impl Audio {
    /// As it was chosen before.
    pub async fn load(db: &Db) -> Result<Arc<Self>, StoreError> {
        let settings = db.read(settings::load).await?;
        let choices = Arc::new(Choices::default());
        settings.apply(&choices);
        Ok(Arc::new(Self {
            db: db.clone(),
            choices,
            settings: Mutex::new(settings),
            changing: tokio::sync::Mutex::default(),
            meter: Meter::default(),
            trial: Trial::default(),
        }))
    }

    /// What whoever opens a device follows.
    pub const fn choices(&self) -> &Arc<Choices> {
        &self.choices
    }

    /// Whether a call begins with the microphone off.
    pub fn push_to_talk(&self) -> bool {
        self.settings().push_to_talk
    }

    /// How large the tones of calls are, 0 to 1; nothing if there are to be none.
    fn tones(&self) -> Option<f32> {
        let settings = self.settings();
        // The ear hears ratios: half of the way is a quarter of the size.
        let part = f32::from(settings.volume) / 100.0;
        settings.tones.then_some(LOUDEST * part * part)
    }

    /// How it is now.
    pub async fn view(&self) -> Result<View, Failure> {
        let settings = self.settings();
        let looked = self.look().await;
        let mut warnings: Vec<String> = looked
            .as_ref()
            .err()
            .map(ToString::to_string)
            .into_iter()
            .collect();
        let roster = looked.clone().unwrap_or_default();
        let [microphone, speaker, ringer] = Kind::ALL.map(|kind| {
            let (choice, warning) = choice(&roster, kind, settings.chosen(kind));
            warnings.extend(warning.filter(|_| looked.is_ok()));
            choice
        });
        Ok(View {
            devices: devices(&roster),
            microphone,
            speaker,
            ringer,
            push_to_talk: settings.push_to_talk,
            tones: settings.tones,
            volume: settings.volume,
            warnings,
        })
    }

    /// Changes what is given, keeps it, and lets everybody move over.
    pub async fn change(&self, change: AudioChange) -> Result<View, Failure> {
        // Somebody may have plugged in at this moment what he asks for.
        self.choices.forget();
        let changing = self.changing.lock().await;
        let mut settings = self.settings();
        let wanted = [&change.microphone, &change.speaker, &change.ringer];
        for (kind, wanted) in Kind::ALL.into_iter().zip(wanted) {
            match wanted.as_deref().map(str::trim) {
                None => {}
                Some(DEFAULT | "") => settings.choose(kind, None),
                Some(word) => settings.choose(kind, Some(self.named(kind, word).await?)),
            }
        }
        settings.push_to_talk = change.push_to_talk.unwrap_or(settings.push_to_talk);
        settings.tones = change.tones.unwrap_or(settings.tones);
        settings.volume = volume(change.volume.unwrap_or(settings.volume))?;
        let kept = settings.clone();
        let keep = self.db.write(move |tx| settings::keep(tx, &kept));
        keep.await.map_err(store_failure)?;
        settings.apply(&self.choices);
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        drop(changing);
        self.view().await
    }

    /// How loud the microphone is.
    pub async fn meter(&self) -> Result<AudioMeter, Failure> {
        self.meter.read(&self.choices).await
    }

    /// Records and plays back, beside everything else.
    pub fn start_test(&self) -> Result<AudioTest, Failure> {
        self.trial.start(&self.choices)
    }

    /// How that stands.
    pub fn test(&self) -> AudioTest {
        self.trial.view()
    }

    /// A device that is there; or the one that is chosen already, which may be away.
    async fn named(&self, kind: Kind, word: &str) -> Result<Chosen, Failure> {
        if let Some(chosen) = self.choices.chosen(kind).filter(|chosen| chosen.id == word) {
            return Ok(chosen);
        }
        let roster = self.look().await.map_err(|error| failure(&error))?;
        let listed = roster.named(kind, word).map_err(|error| failure(&error))?;
        Ok(Chosen {
            id: listed.id.clone(),
            name: listed.name.clone(),
        })
    }

    async fn look(&self) -> Result<Roster, DeviceError> {
        let choices = Arc::clone(&self.choices);
        let look = tokio::task::spawn_blocking(move || choices.roster(Kind::Speaker));
        look.await
            .unwrap_or(Err(DeviceError::Unanswered(Kind::Speaker)))
    }

    fn settings(&self) -> Settings {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.clone()
    }
}

fn volume(percent: u8) -> Result<u8, Failure> {
    if percent <= 100 {
        return Ok(percent);
    }
    let sentence = format!("a volume is 0 to 100, not {percent}");
    Err(Failure::new(ErrorKind::Usage, sentence))
}

fn devices(roster: &Roster) -> Vec<AudioDevice> {
    let both = [Kind::Microphone, Kind::Speaker];
    let all = both.into_iter().flat_map(|kind| roster.devices(kind));
    let view = all.map(|listed| AudioDevice {
        id: listed.id.clone(),
        name: listed.name.clone(),
        input: listed.is_input,
        default: listed.is_default,
    });
    view.collect()
}

/// What is chosen, what that comes to, and what a person should know of it.
fn choice(roster: &Roster, kind: Kind, chosen: Option<Chosen>) -> (AudioChoice, Option<String>) {
    let standing = roster.standing(kind, chosen.as_ref());
    let (id, name) = chosen
        .map(|Chosen { id, name }| (Some(id), Some(name)))
        .unwrap_or_default();
    let choice = AudioChoice {
        chosen: id,
        name,
        uses: standing.name().map(str::to_owned),
    };
    (choice, standing.words(kind))
}

fn failure(error: &DeviceError) -> Failure {
    let kind = match error {
        DeviceError::Unknown { .. } | DeviceError::None(_) => ErrorKind::NotFound,
        DeviceError::Several { .. } => ErrorKind::Ambiguous,
        _ => ErrorKind::System,
    };
    Failure::new(kind, error.to_string())
}
