//! Echo cancelling, noise suppression and gain control, between the microphone and the encoder.
//!
//! The canceller is ours, [`starling_media::echo`]; noise suppression and gain control are those of WebRTC's audio processing
//! module (NS, AGC2) in their Rust port, the crates `sonora*`. Everything works in steps of 10 ms on
//! three bands of 16 kHz; the canceller and the suppressor work on the lowest and let the upper ones follow.
//!
//! How long the echo takes is found out from the sound: what counts is that the far end is given every frame that the
//! speaker is given, in the same order. Samples inside are on the scale of 16 bits, but for the canceller's.

mod bands;
mod echo;
mod gain;
mod noise;
mod rumble;
mod settings;
#[cfg(test)]
mod tests;
mod tuning;

pub use settings::{Echo, Gain, Noise, Settings};

use starling_media::FRAME_SAMPLES;

use self::bands::{Bank, STEP};
use self::echo::EchoControl;
use self::gain::Control;
use self::noise::Suppressor;
use self::rumble::HighPass;
use crate::tame;

/// Full scale.
const SCALE: f32 = 32_768.0;

/// The processing of one microphone.
#[derive(Debug)]
pub struct Processing {
    settings: Settings,
    high_pass: HighPass,
    bank: Bank,
    echo: Option<EchoControl>,
    noise: Option<Suppressor>,
    gain: Option<Control>,
}

impl Processing {
    /// As wanted.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            high_pass: HighPass::new(),
            bank: Bank::default(),
            echo: EchoControl::new(settings.echo),
            noise: Suppressor::new(settings.noise),
            gain: Control::new(settings.gain),
        }
    }

    /// As wanted from now on. PROC-05: what stays as it was keeps what it has learnt.
    pub fn change(&mut self, settings: Settings) {
        let before = std::mem::replace(&mut self.settings, settings);
        if before.echo != settings.echo {
            self.echo = EchoControl::new(settings.echo);
        }
        if before.noise != settings.noise {
            self.noise = Suppressor::new(settings.noise);
        }
        if before.gain != settings.gain {
            self.gain = Control::new(settings.gain);
        }
    }

    /// What is wanted now.
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// What the speaker is given now.
    pub fn far_end(&mut self, frame: &[f32; FRAME_SAMPLES]) {
        let Some(echo) = &mut self.echo else {
            return;
        };
        for step in frame.chunks_exact(STEP) {
            let mut tamed = [0.0; STEP];
            for (to, from) in tamed.iter_mut().zip(step) {
                *to = tame(*from);
            }
            echo.far_end(&tamed);
        }
    }

    /// What the microphone took, in place. It comes out 13 ms late: 6 are the noise suppressor's, 2 the canceller's.
    pub fn near_end(&mut self, frame: &mut [f32; FRAME_SAMPLES]) {
        if self.settings == Settings::OFF {
            // PROC-03: not even the high-pass filter.
            return;
        }
        for step in frame.chunks_exact_mut(STEP) {
            let mut scaled = [0.0; STEP];
            for (to, from) in scaled.iter_mut().zip(&*step) {
                *to = tame(*from) * SCALE;
            }
            let done = self.step(scaled);
            for (to, from) in step.iter_mut().zip(done) {
                // PROC-04: what comes was tamed above, what goes is here.
                *to = tame(from / SCALE);
            }
        }
    }

    /// The order is WebRTC's: noise is measured before the canceller puts some of its own in the echo's place.
    fn step(&mut self, mut done: [f32; STEP]) -> [f32; STEP] {
        self.high_pass.process(&mut done);
        if self.echo.is_some() || self.noise.is_some() {
            let mut bands = self.bank.split(&done);
            if let Some(noise) = &mut self.noise {
                noise.listen(&bands);
            }
            if let Some(echo) = &mut self.echo {
                echo.near_end(&mut bands);
            }
            if let Some(noise) = &mut self.noise {
                noise.suppress(&mut bands);
            }
            done = self.bank.join(&bands);
        }
        if let Some(gain) = &mut self.gain {
            gain.apply(&mut done);
        }
        done
    }
}
