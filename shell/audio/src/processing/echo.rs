//! The canceller of `starling-media` between the bands of 16 bits that the rest of the processing works on. PROC-02 is what it has to
//! reach.

use starling_media::echo::{Canceller, Strength};

use super::SCALE;
use super::bands::{Bands, Bank, STEP};
use super::settings::Echo;

/// For one microphone and one speaker.
#[derive(Debug)]
pub(super) struct EchoControl {
    linear: Bank,
    cubic: Bank,
    canceller: Canceller,
}

impl EchoControl {
    pub(super) fn new(echo: Echo) -> Option<Self> {
        let strength = match echo {
            Echo::Off => return None,
            Echo::On => Strength::On,
            Echo::Strong => Strength::Strong,
        };
        Some(Self {
            linear: Bank::default(),
            cubic: Bank::default(),
            canceller: Canceller::new(strength),
        })
    }

    /// What is played, full scale being 1. Its cube is made here: in the lowest band alone it would have no room.
    pub(super) fn far_end(&mut self, step: &[f32; STEP]) {
        let cubes = step.map(|sample| sample * sample * sample);
        let [linear, ..] = self.linear.split(step);
        let [cubic, ..] = self.cubic.split(&cubes);
        self.canceller.far_end(&linear, &cubic);
    }

    /// What was taken, without echo.
    pub(super) fn near_end(&mut self, bands: &mut Bands) {
        scale(bands, 1.0 / SCALE);
        self.canceller.near_end(bands);
        scale(bands, SCALE);
    }
}

fn scale(bands: &mut Bands, factor: f32) {
    for sample in bands.iter_mut().flatten() {
        *sample *= factor;
    }
}
