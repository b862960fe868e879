//! The own side of a call's sound: what is switched off, and which devices are in use.

use starling_audio::devices::{Kind, Standing};
use starling_control::view::CallSound;
use starling_wire::ids::CallId;

use super::task::Task;
use crate::media_path::Voice;

/// What a person switches, and which way.
#[derive(Debug, Clone, Copy)]
pub enum Switch {
    /// The microphone off.
    Mute(bool),
    /// Speaker and microphone off.
    Deafen(bool),
    /// The microphone on for the moment, and off else.
    Talk(bool),
}

/// As it is now.
#[derive(Debug, Default)]
pub struct OwnSide {
    muted: bool,
    deafened: bool,
    /// Whether one talks, where the microphone is on only then.
    talks: Option<bool>,
    microphone: Option<Standing>,
    speaker: Option<Standing>,
}

impl OwnSide {
    /// The call is answered.
    pub fn begin(&mut self, push_to_talk: bool) {
        self.talks = self.talks.or(push_to_talk.then_some(false));
    }

    pub const fn switch(&mut self, to: Switch) {
        match to {
            Switch::Mute(on) => self.muted = on,
            Switch::Deafen(on) => self.deafened = on,
            Switch::Talk(on) => self.talks = Some(on),
        }
    }

    pub fn apply(&self, voice: &Voice) {
        voice.mute(self.is_silent());
        voice.deafen(self.deafened);
    }

    pub const fn is_muted(&self) -> bool {
        self.muted
    }

    /// `AUDIO-04`: who hears nothing says nothing that he does not know of.
    fn is_silent(&self) -> bool {
        self.muted || self.deafened || self.talks == Some(false)
    }

    fn uses(&mut self, kind: Kind, standing: Standing) {
        match kind {
            Kind::Microphone => self.microphone = Some(standing),
            Kind::Speaker | Kind::Ringer => self.speaker = Some(standing),
        }
    }

    /// What a person should know of the devices, and what it means for the call.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let sides = [
            (
                Kind::Microphone,
                &self.microphone,
                "the other side hears silence",
            ),
            (Kind::Speaker, &self.speaker, "you hear nothing"),
        ];
        sides.into_iter().filter_map(|(kind, standing, without)| {
            let standing = standing.as_ref()?;
            let words = standing.words(kind)?;
            Some(match standing {
                Standing::Nothing(_) => format!("{words}: {without}"),
                _ => words,
            })
        })
    }

    /// For people.
    pub fn view(&self) -> CallSound {
        let name = |standing: &Option<Standing>| {
            let name = standing.as_ref().and_then(Standing::name);
            name.map(str::to_owned)
        };
        CallSound {
            microphone: name(&self.microphone),
            speaker: name(&self.speaker),
            deafened: self.deafened,
            push_to_talk: self.talks.is_some(),
            talking: self.talks == Some(true),
        }
    }
}

impl Task {
    /// A call moved over to another device, or lost the only one.
    pub(super) fn uses(&mut self, call: CallId, kind: Kind, standing: Standing) {
        if let Some(running) = self.running.get_mut(&call) {
            running.own.uses(kind, standing);
            self.show(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use starling_audio::devices::DeviceError;

    use super::*;

    #[test]
    fn audio_04_the_microphone_is_off_for_each_reason_alone() {
        let mut own = OwnSide::default();
        assert!(!own.is_silent());
        for to in [Switch::Mute, Switch::Deafen] {
            own.switch(to(true));
            assert!(own.is_silent());
            own.switch(to(false));
            assert!(!own.is_silent());
        }
        own.begin(true);
        assert!(own.is_silent() && !own.view().talking);
        own.switch(Switch::Talk(true));
        assert!(!own.is_silent() && own.view().talking && own.view().push_to_talk);
        own.switch(Switch::Mute(true));
        assert!(own.is_silent(), "muted is muted");
        own.begin(true);
        assert!(own.view().talking, "a call begins once");
    }

    #[test]
    fn a_lost_device_is_said_and_forgotten_when_it_is_back() {
        let mut own = OwnSide::default();
        let headset = || Standing::Wanted("Headset".into());
        own.uses(Kind::Microphone, headset());
        own.uses(Kind::Speaker, headset());
        assert_eq!(own.warnings().count(), 0);
        own.uses(
            Kind::Microphone,
            Standing::StandIn {
                name: "Webcam".into(),
                chosen: "Headset".into(),
            },
        );
        own.uses(
            Kind::Speaker,
            Standing::Nothing(DeviceError::None(Kind::Speaker)),
        );
        let warnings: Vec<String> = own.warnings().collect();
        assert_eq!(
            warnings,
            [
                "the microphone \"Headset\" cannot be used now; \"Webcam\" is used until it can",
                "no speaker was found: you hear nothing"
            ]
        );
        let view = own.view();
        assert_eq!(
            (view.microphone.as_deref(), view.speaker),
            (Some("Webcam"), None)
        );
        own.uses(Kind::Microphone, headset());
        own.uses(Kind::Speaker, headset());
        assert_eq!(own.warnings().count(), 0);
    }
}
