//! The microphone's sound on its way to the encoder: without echo and noise, and as loud as it should be. The setting is
//! looked at for each frame, so a change is heard at once.

use starling_audio::hiss::Hiss;
use starling_audio::processing::{Processing, Settings};
use starling_media::FRAME_SAMPLES;

use super::sound::Source;
use crate::processing::ProcessingChoice;

/// Of one call.
#[derive(Debug)]
pub struct Cleaning {
    choice: ProcessingChoice,
    /// A microphone's sound, or a file's that is to be taken for one.
    applies: bool,
    processing: Processing,
    /// Of the far end, and of the near one.
    hisses: [Hiss; 2],
}

impl Cleaning {
    /// For this source; a file only where that was asked for.
    pub fn new(choice: ProcessingChoice, source: &Source, files_too: bool) -> Self {
        let applies = match source {
            Source::Microphone => true,
            // PROC-06: it was recorded as it should be.
            Source::File(_) => files_too,
            Source::Echo => false,
        };
        let wanted = if applies {
            choice.settings()
        } else {
            Settings::OFF
        };
        Self {
            processing: Processing::new(wanted),
            choice,
            applies,
            hisses: [1, 2].map(Hiss::new),
        }
    }

    /// PROC-01: what the speaker was handed just now. Both streams are counted in frames, so its buffer belongs to the echo's way.
    pub fn far_end(&mut self, frames: &[[f32; FRAME_SAMPLES]]) {
        if self.applies {
            self.follow();
            for frame in frames {
                let mut frame = *frame;
                self.hisses[0].lift(&mut frame);
                self.processing.far_end(&frame);
            }
        }
    }

    /// What is to be sent, in place.
    pub fn near_end(&mut self, frame: &mut [f32; FRAME_SAMPLES]) {
        // PROC-03: what is not processed stays as it is.
        if self.applies && self.processing.settings() != Settings::OFF {
            self.hisses[1].lift(frame);
            self.processing.near_end(frame);
        }
    }

    fn follow(&mut self) {
        let wanted = self.choice.settings();
        if wanted != self.processing.settings() {
            self.processing.change(wanted);
        }
    }
}
