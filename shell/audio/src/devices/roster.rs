//! Which sound devices there are at one moment, and which of them are to be tried for a purpose.

use std::sync::Arc;

use super::choices::Chosen;
use super::follow::Standing;
use super::host::Line;
use super::keeper::within_time;
use super::pulse::{Devices, Listing};
use super::{DeviceError, Kind};

/// Of each kind; more are not shown.
const DEVICES_MAX: usize = 64;
/// So many ids stand in an error.
const IDS_MAX: usize = 8;

/// A device as the system shows it. One that does both is listed twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the system calls it; the same when it is plugged in again.
    pub id: String,
    /// For people.
    pub name: String,
    /// Whether sound comes in from it; else it goes out.
    pub is_input: bool,
    /// Whether the system uses it where nothing else is asked for.
    pub is_default: bool,
}

/// All there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster(pub(super) Vec<Listed>);

impl Roster {
    /// Looks, without making a sound. Takes at most two seconds.
    pub(super) fn look(kind: Kind, line: Arc<Line>) -> Result<Self, DeviceError> {
        let look = move || Ok((line.roster(kind)?, None));
        within_time(kind, look).map(|(roster, _)| roster)
    }

    /// Those for this purpose.
    pub fn devices(&self, kind: Kind) -> impl Iterator<Item = &Listed> {
        let fits = move |listed: &&Listed| listed.is_input == kind.is_input();
        self.0.iter().filter(fits)
    }

    /// The device that is meant by this word, or the one that the system uses by default.
    pub(super) fn pick(&self, kind: Kind, word: Option<&str>) -> Result<&Listed, DeviceError> {
        match word {
            Some(word) => self.named(kind, word),
            None => self.usual(kind).ok_or(DeviceError::None(kind)),
        }
    }

    fn usual(&self, kind: Kind) -> Option<&Listed> {
        self.devices(kind).find(|listed| listed.is_default)
    }

    /// The device that a person means: by its id, or by a name that no other has.
    pub fn named(&self, kind: Kind, word: &str) -> Result<&Listed, DeviceError> {
        if let Some(exact) = self.devices(kind).find(|listed| listed.id == word) {
            return Ok(exact);
        }
        let mut alike = self.devices(kind).filter(|listed| listed.name == word);
        match (alike.next(), alike.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(self.unknown(kind, word, true)),
            (None, _) if self.devices(kind).next().is_none() => Err(DeviceError::None(kind)),
            (None, _) => Err(self.unknown(kind, word, false)),
        }
    }

    fn unknown(&self, kind: Kind, word: &str, several: bool) -> DeviceError {
        let ids = self.devices(kind).map(|listed| listed.id.as_str());
        let ids = ids.take(IDS_MAX);
        let (choice, known) = (word.to_owned(), ids.collect::<Vec<_>>().join(", "));
        match several {
            true => DeviceError::Several {
                kind,
                choice,
                known,
            },
            false => DeviceError::Unknown {
                kind,
                choice,
                known,
            },
        }
    }

    /// What would be used, if it can be opened.
    pub fn standing(&self, kind: Kind, chosen: Option<&Chosen>) -> Standing {
        let mut plan = self.plan(kind, chosen).into_iter();
        plan.next().map_or_else(
            || Standing::Nothing(DeviceError::None(kind)),
            |(_, standing)| standing,
        )
    }

    /// `AUDIO-01`: what is tried, best first, and what it would mean: the chosen one, then the system's default.
    pub(super) fn plan(&self, kind: Kind, chosen: Option<&Chosen>) -> Vec<(&Listed, Standing)> {
        let there = chosen.and_then(|chosen| {
            let mut devices = self.devices(kind);
            devices.find(|listed| listed.id == chosen.id)
        });
        let usual = self.usual(kind);
        let mut plan = Vec::new();
        if let Some(there) = there {
            plan.push((there, Standing::Wanted(there.name.clone())));
        }
        if let Some(usual) = usual.filter(|usual| there.is_none_or(|there| there.id != usual.id)) {
            let name = usual.name.clone();
            let standing = match chosen {
                Some(chosen) => Standing::StandIn {
                    name,
                    chosen: chosen.name.clone(),
                },
                None => Standing::Wanted(name),
            };
            plan.push((usual, standing));
        }
        plan
    }
}

/// What the sound server has, without what it offers where there is no hardware.
impl From<Devices> for Roster {
    fn from(devices: Devices) -> Self {
        let inputs = of(&devices.sources, devices.default_source, true);
        let outputs = of(&devices.sinks, devices.default_sink, false);
        inputs.chain(outputs).collect()
    }
}

fn of(
    listings: &[Listing],
    default: Option<String>,
    is_input: bool,
) -> impl Iterator<Item = Listed> {
    let real = listings.iter().filter(|device| !is_dummy(&device.id));
    real.take(DEVICES_MAX).map(move |device| Listed {
        id: device.id.clone(),
        name: device.name.clone(),
        is_input,
        // What a speaker plays is a microphone for those who choose it.
        is_default: !device.is_monitor && default.as_ref() == Some(&device.id),
    })
}

/// What PulseAudio offers where there is no hardware.
fn is_dummy(id: &str) -> bool {
    id == "auto_null" || id == "auto_null.monitor"
}

impl FromIterator<Listed> for Roster {
    fn from_iter<I: IntoIterator<Item = Listed>>(listed: I) -> Self {
        Self(listed.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, is_input: bool, is_default: bool) -> Listed {
        Listed {
            id: id.to_owned(),
            name: id.to_uppercase(),
            is_input,
            is_default,
        }
    }

    fn chosen(id: &str) -> Chosen {
        Chosen {
            id: id.to_owned(),
            name: id.to_uppercase(),
        }
    }

    fn ids(plan: &[(&Listed, Standing)]) -> Vec<String> {
        plan.iter().map(|(listed, _)| listed.id.clone()).collect()
    }

    #[test]
    fn audio_01_the_chosen_device_is_tried_before_the_default_which_stands_in() {
        let roster = Roster(vec![
            listed("mic", true, true),
            listed("box", false, true),
            listed("headset", false, false),
        ]);
        let plan = roster.plan(Kind::Ringer, None);
        assert_eq!(ids(&plan), ["box"]);
        assert_eq!(plan[0].1, Standing::Wanted("BOX".into()));
        let headset = chosen("headset");
        assert_eq!(
            ids(&roster.plan(Kind::Speaker, Some(&headset))),
            ["headset", "box"]
        );
        // Of that name there is only an output.
        let plan = roster.plan(Kind::Microphone, Some(&headset));
        let stand_in = Standing::StandIn {
            name: "MIC".into(),
            chosen: "HEADSET".into(),
        };
        assert_eq!((ids(&plan), &plan[0].1), (vec!["mic".into()], &stand_in));
        // The default itself, chosen: once.
        assert_eq!(
            ids(&roster.plan(Kind::Speaker, Some(&chosen("box")))),
            ["box"]
        );
        assert!(
            Roster::default()
                .plan(Kind::Speaker, Some(&headset))
                .is_empty()
        );
    }

    #[test]
    fn a_name_means_one_device_or_is_refused_with_what_there_is() {
        let mut roster = Roster(vec![listed("a", false, true), listed("b", false, false)]);
        assert_eq!(
            roster.named(Kind::Speaker, "B").map(|one| &*one.id),
            Ok("b")
        );
        assert_eq!(
            roster.named(Kind::Speaker, "a").map(|one| &*one.id),
            Ok("a")
        );
        let unknown = roster.named(Kind::Ringer, "c").map_err(|e| e.to_string());
        let words = "no ringer is called \"c\"; there is: a, b";
        assert_eq!(unknown, Err(words.to_owned()));
        let none = roster
            .named(Kind::Microphone, "a")
            .map_err(|e| e.to_string());
        assert_eq!(none, Err("no microphone was found".to_owned()));
        roster.0[1].name = "A".into();
        let several = roster.named(Kind::Speaker, "A").map_err(|e| e.to_string());
        let words = "several speakers are called \"A\"; say which: a, b";
        assert_eq!(several, Err(words.to_owned()));
    }
}
