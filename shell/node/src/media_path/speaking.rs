//! From the source to the wire: a frame of 20 ms is read when it is there (microphone) or due (file), encoded and sent.
//! What is not sent (muted, held, nobody connected yet) leaves a gap in the timestamps, so the other side knows that
//! nothing was lost.

use std::sync::Arc;
use std::time::Duration;

use starling_audio::devices::Capture;
use starling_audio::opus::{Encoder, EncoderSettings, OpusError, Protection};
use starling_audio::wav::WavReader;
use starling_media::{FRAME, FRAME_SAMPLES, Packetizer};
use starling_protocol::machine::Time;
use starling_wire::limits::MEDIA_PAYLOAD_MAX;

use super::sound::Source;
use super::voice::{Notice, Shared};
use crate::traffic::Traffic;

/// Full-band speech; part 4's rate control will decide.
const SETTINGS: EncoderSettings = EncoderSettings {
    bitrate: 32_000,
    complexity: 9,
    protection: Protection {
        expected_loss: 5,
        fec: true,
        deep_ms: 0,
    },
    dtx: false,
};
/// A file that fell so far behind goes on from now, instead of catching up in a burst.
const BEHIND: Duration = Duration::from_millis(200);

enum Input {
    Microphone(Capture),
    File(WavReader),
    Echo,
    Nothing,
}

/// The sending side.
pub struct Speaking {
    input: Input,
    encoder: Encoder,
    packetizer: Packetizer,
    traffic: Arc<Traffic>,
    /// When the file's next frame is due.
    due: Option<Time>,
    over: bool,
}

impl Speaking {
    /// Opens the source; a microphone that cannot be opened is told and replaced by silence.
    pub fn open(
        source: Source,
        seed: u64,
        traffic: Arc<Traffic>,
        notify: &dyn Fn(Notice),
    ) -> Result<Self, OpusError> {
        let input = match source {
            Source::Microphone => match Capture::open(None) {
                Ok(capture) => Input::Microphone(capture),
                Err(error) => {
                    notify(Notice::Trouble(format!(
                        "{error}: the other side hears silence"
                    )));
                    Input::Nothing
                }
            },
            Source::File(reader) => Input::File(reader),
            Source::Echo => Input::Echo,
        };
        Ok(Self {
            input,
            encoder: Encoder::new(SETTINGS)?,
            packetizer: Packetizer::new(seed),
            traffic,
            due: None,
            over: false,
        })
    }

    /// Sends what is there or due. `echo` is what was heard just now.
    pub fn speak(
        &mut self,
        now: Time,
        echo: &[[f32; FRAME_SAMPLES]],
        shared: &Shared,
        notify: &dyn Fn(Notice),
    ) {
        let mut frame = [0.0; FRAME_SAMPLES];
        match &mut self.input {
            Input::Microphone(capture) => {
                if let Some(error) = capture.error() {
                    notify(Notice::Trouble(error.to_string()));
                    self.input = Input::Nothing;
                    return;
                }
                while let Input::Microphone(capture) = &mut self.input
                    && capture.read(&mut frame)
                {
                    self.send(&frame, shared);
                }
            }
            Input::File(_) => self.play_file(now, shared, notify),
            Input::Echo => {
                for frame in echo {
                    self.send(frame, shared);
                }
            }
            Input::Nothing => {}
        }
    }

    /// Held: time passes without sound.
    pub fn pause(&mut self) {
        self.due = None;
        let mut frame = [0.0; FRAME_SAMPLES];
        while let Input::Microphone(capture) = &mut self.input
            && capture.read(&mut frame)
        {
            self.packetizer.skip();
        }
    }

    /// Nothing more is sent from `end` on; whether that is now.
    pub fn stop_at(&mut self, end: Time, now: Time) -> bool {
        self.over |= now >= end;
        self.over
    }

    fn play_file(&mut self, now: Time, shared: &Shared, notify: &dyn Fn(Notice)) {
        // The first word is not spoken before somebody hears it.
        if !shared.is_connected() {
            self.due = None;
            return;
        }
        let mut due = self.due.unwrap_or(now);
        if due + BEHIND < now {
            due = now;
        }
        while due <= now
            && let Input::File(reader) = &mut self.input
        {
            let mut frame = [0.0; FRAME_SAMPLES];
            match reader.read(&mut frame) {
                Ok(0) => self.input = Input::Nothing,
                Ok(_) => self.send(&frame, shared),
                Err(error) => {
                    notify(Notice::Trouble(format!(
                        "the file cannot be played: {error}"
                    )));
                    self.input = Input::Nothing;
                }
            }
            due += FRAME;
        }
        self.due = Some(due);
    }

    fn send(&mut self, frame: &[f32; FRAME_SAMPLES], shared: &Shared) {
        if self.over || shared.is_silent() || !shared.is_connected() {
            self.packetizer.skip();
            return;
        }
        let mut payload = [0; MEDIA_PAYLOAD_MAX];
        match self.encoder.encode(frame, &mut payload) {
            Ok(length) => {
                let datagram = self.packetizer.packet(&payload[..length]);
                shared.send(datagram, &self.traffic);
            }
            Err(error) => {
                tracing::debug!(%error, "a frame could not be encoded");
                self.packetizer.skip();
            }
        }
    }
}
