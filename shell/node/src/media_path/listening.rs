//! From the playout to the sink: whenever the speaker (or, without one, the clock) wants the next 20 ms, the playout says
//! what they are made of, the decoder makes them.

use std::path::Path;
use std::sync::Arc;

use starling_audio::devices::{Choices, Following, Kind, Playback};
use starling_audio::opus::{Decoder, OpusError, carries_redundancy};
use starling_audio::tuning::Tuning;
use starling_audio::wav::{WavError, WavWriter};
use starling_media::comfort::Comfort;
use starling_media::loudness::Limiter;
use starling_media::timescale::Scaler;
use starling_media::{FRAME, FRAME_SAMPLES, PathKind, Playout, Report, Statistics, Step, is_quiet};
use starling_protocol::machine::Time;
use std::time::Duration;

use super::sound::Sink;
use super::trace::Trace;
use super::voice::Notice;

/// The speaker's queue is filled up to this: a frame, and half of one while the thread sleeps.
const QUEUE: usize = FRAME_SAMPLES * 3 / 2;
/// Playback by the clock that fell so far behind goes on from now.
const BEHIND: Duration = Duration::from_millis(200);

enum Output {
    /// Nothing before the first frame, and on hold.
    Speaker(Option<Following<Playback>>),
    File(Recorder),
    Nowhere,
}

/// The receiving side.
pub struct Listening {
    output: Output,
    choices: Arc<Choices>,
    playout: Playout,
    decoder: Decoder,
    scaler: Scaler,
    comfort: Comfort,
    limiter: Limiter,
    tuning: Tuning,
    /// Whether what the scaler gives holds sound of the other side.
    is_sound: bool,
    /// When the next frame is due where no speaker asks for it.
    due: Option<Time>,
    first_sound: Option<Time>,
    is_deaf: bool,
}

impl Listening {
    /// Opens the sink; what cannot be opened is told, and the call goes on unheard.
    pub fn open(
        sink: Sink,
        choices: &Arc<Choices>,
        notify: &dyn Fn(Notice),
    ) -> Result<Self, OpusError> {
        let opened = match sink {
            Sink::Speaker => Ok(Output::Speaker(None)),
            Sink::File(path) => Recorder::create(&path)
                .map(Output::File)
                .map_err(|error| format!("nothing is recorded: {error}")),
            Sink::Nowhere => Ok(Output::Nowhere),
        };
        let output = opened.unwrap_or_else(|words| {
            notify(Notice::Trouble(words));
            Output::Nowhere
        });
        Ok(Self {
            output,
            choices: Arc::clone(choices),
            playout: Playout::new(),
            decoder: Decoder::new()?,
            scaler: Scaler::default(),
            comfort: Comfort::default(),
            limiter: Limiter::default(),
            tuning: Tuning::default(),
            is_sound: false,
            due: None,
            first_sound: None,
            is_deaf: false,
        })
    }

    /// The speaker is silent, or not; a recording goes on.
    pub const fn deafen(&mut self, on: bool) {
        self.is_deaf = on;
    }

    /// What comes takes a path of this kind from now on.
    pub fn take_path(&mut self, path: PathKind) {
        self.playout.take_path(path);
    }

    /// A datagram came.
    pub fn insert(&mut self, datagram: &[u8], at: Time) {
        if let Err(reason) = self.playout.insert(datagram, at) {
            tracing::trace!(%reason, "dropped a voice packet");
        }
    }

    /// What the other side is to be told now.
    pub fn report(&mut self, now: Time) -> Option<Report> {
        self.playout.report(now)
    }

    /// Plays what is due; returns what was heard, for an echo.
    pub fn play(
        &mut self,
        now: Time,
        trace: &mut Trace,
        notify: &dyn Fn(Notice),
    ) -> Vec<[f32; FRAME_SAMPLES]> {
        if let Output::Speaker(speaker) = &mut self.output {
            let speaker =
                speaker.get_or_insert_with(|| Following::start(Kind::Speaker, &self.choices));
            if let Some(standing) = speaker.poll() {
                notify(Notice::Device(Kind::Speaker, standing.clone()));
            }
        }
        let mut heard = Vec::new();
        while self.is_due(now) {
            let (frame, is_sound) = self.next(now, trace);
            if is_sound {
                self.first_sound.get_or_insert(now);
            }
            if self.first_sound.is_some() {
                self.put(&frame, is_sound, notify);
                heard.push(frame);
            } else if let Output::Speaker(Some(speaker)) = &mut self.output
                && let Some(playback) = speaker.device()
            {
                playback.write(&frame);
            }
        }
        heard
    }

    /// Held: nothing is heard, and what comes meanwhile is not kept; nor is the speaker (`AUDIO-06`).
    pub fn pause(&mut self) {
        self.due = None;
        if let Output::Speaker(speaker) = &mut self.output {
            *speaker = None;
        }
        self.playout = Playout::new();
        self.scaler = Scaler::default();
    }

    /// How it goes.
    pub fn statistics(&self) -> Statistics {
        self.playout.statistics()
    }

    /// When the first frame of the other side was played.
    pub const fn first_sound(&self) -> Option<Time> {
        self.first_sound
    }

    /// Completes a recording.
    pub fn finish(self, notify: &dyn Fn(Notice)) {
        if let Output::File(recorder) = self.output
            && let Err(error) = recorder.finish()
        {
            notify(Notice::Trouble(format!(
                "the recording is incomplete: {error}"
            )));
        }
    }

    fn is_due(&mut self, now: Time) -> bool {
        if let Output::Speaker(Some(speaker)) = &mut self.output {
            if let Some(playback) = speaker.device() {
                return playback.queued() < QUEUE;
            }
            // What comes until it is open waits, and is caught up with.
            if speaker.standing().is_none() {
                return false;
            }
        }
        let due = self.due.filter(|due| *due + BEHIND >= now).unwrap_or(now);
        let is_due = due <= now;
        self.due = Some(if is_due { due + FRAME } else { due });
        is_due
    }

    /// The next frame, and whether it holds sound of the other side.
    fn next(&mut self, now: Time, trace: &mut Trace) -> ([f32; FRAME_SAMPLES], bool) {
        // Each step brings at least a frame.
        if !self.scaler.is_ready() {
            let waiting = self.scaler.waiting();
            let step = self.playout.pull(now + waiting);
            if let Some(ppm) = self.playout.hasten() {
                self.tuning.hasten(ppm);
            }
            self.is_sound = !matches!(step, Step::Conceal | Step::Silence);
            if let Some(frame) = self.playout.frame()
                && self.is_sound
            {
                trace.heard(frame, waiting);
            }
            self.bring(step);
        }
        let mut frame = self.scaler.take();
        self.limiter.limit(&mut frame);
        (frame, self.is_sound)
    }

    fn bring(&mut self, step: Step) {
        let mut frame = [0.0; FRAME_SAMPLES];
        match step {
            Step::Decode(payload) => self.decode(&payload, &mut frame),
            Step::Recover { payload, back } => self.recover(&payload, back, &mut frame),
            Step::Conceal => self.decoder.conceal(&mut frame),
            Step::Comfort => frame = self.comfort.make(),
            Step::Silence => {}
            Step::Shorten(first, second) => {
                let mut next = frame;
                self.decode(&first, &mut frame);
                self.decode(&second, &mut next);
                return self.scaler.shorten(&frame, &next);
            }
            Step::Lengthen(payload) => {
                self.decode(&payload, &mut frame);
                return self.scaler.lengthen(&frame);
            }
        }
        self.scaler.push(&frame);
    }

    /// In-band FEC is better than a description, where there is both.
    fn recover(&mut self, later: &[u8], back: u8, frame: &mut [f32; FRAME_SAMPLES]) {
        let recovered = if back == 1 && carries_redundancy(later) {
            self.decoder.recover(later, frame)
        } else {
            self.decoder.recover_deep(later, back, frame).map(drop)
        };
        if let Err(error) = recovered {
            tracing::trace!(%error, "a lost frame could not be recovered");
        }
    }

    /// A payload that is no Opus is concealed.
    fn decode(&mut self, payload: &[u8], frame: &mut [f32; FRAME_SAMPLES]) {
        if is_quiet(payload) {
            *frame = self.comfort.make();
            return;
        }
        if let Err(error) = self.decoder.decode(payload, frame) {
            tracing::trace!(%error, "a voice packet could not be decoded");
        }
        self.comfort.hear(frame);
    }

    fn put(&mut self, frame: &[f32; FRAME_SAMPLES], is_sound: bool, notify: &dyn Fn(Notice)) {
        let result = match &mut self.output {
            Output::Speaker(speaker) => {
                let silence = [0.0; FRAME_SAMPLES];
                let heard = if self.is_deaf { &silence } else { frame };
                if let Some(playback) = speaker.as_mut().and_then(Following::device) {
                    playback.write(self.tuning.tune(heard));
                }
                Ok(())
            }
            Output::File(recorder) => recorder.write(frame, is_sound),
            Output::Nowhere => Ok(()),
        };
        if let Err(error) = result {
            notify(Notice::Trouble(format!("the recording stopped: {error}")));
            self.output = Output::Nowhere;
        }
    }
}

/// Records from the first to the last frame that the other side really sent: what is made up in between is kept, what is
/// made up after the end is not.
struct Recorder {
    writer: WavWriter,
    made_up: Vec<[f32; FRAME_SAMPLES]>,
    silent: u64,
}

/// Made-up frames that are kept as they are; what is longer is silence.
const MADE_UP_MAX: usize = 16;

impl Recorder {
    fn create(path: &Path) -> Result<Self, WavError> {
        Ok(Self {
            writer: WavWriter::create(path)?,
            made_up: Vec::new(),
            silent: 0,
        })
    }

    fn write(&mut self, frame: &[f32; FRAME_SAMPLES], is_sound: bool) -> Result<(), WavError> {
        if !is_sound {
            if self.made_up.len() < MADE_UP_MAX {
                self.made_up.push(*frame);
            } else {
                self.silent += 1;
            }
            return Ok(());
        }
        for made_up in std::mem::take(&mut self.made_up) {
            self.writer.write(&made_up)?;
        }
        for _ in 0..std::mem::take(&mut self.silent) {
            self.writer.write(&[0.0; FRAME_SAMPLES])?;
        }
        self.writer.write(frame)
    }

    fn finish(self) -> Result<(), WavError> {
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use starling_audio::wav::WavReader;
    use starling_media::loudness::LOUDEST;

    use super::*;
    use crate::clock::random;

    /// A packet of the stream whose sound is chance.
    fn noise(number: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 111];
        packet.extend(number.to_be_bytes());
        packet.extend((u32::from(number) * 960).to_be_bytes());
        packet.extend([7; 4]);
        // Two of three are Opus that a decoder takes for 20 ms of any kind, the others are anything.
        let kinds = [0x08, 0x28, 0x48, 0x68, 0x78, 0x98, 0xb8, 0xd8, 0xf8];
        let bytes: [u8; 120] = random();
        let kind = kinds[usize::from(bytes[0]) % kinds.len()];
        packet.push(if number.is_multiple_of(3) {
            bytes[1]
        } else {
            kind
        });
        packet.extend(&bytes[2..]);
        packet
    }

    #[test]
    fn media_13_bytes_that_are_no_sound_make_no_burst() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("heard.wav");
        let silent = |notice| panic!("{notice:?}");
        let mut listening =
            Listening::open(Sink::File(file.clone()), &Arc::default(), &silent).unwrap();
        let mut trace = Trace::default();
        for number in 0..1_500 {
            let now = Duration::from_secs(1) + FRAME * u32::from(number);
            listening.insert(&noise(number), now);
            listening.play(now, &mut trace, &silent);
        }
        listening.finish(&silent);
        let mut reader = WavReader::open(&file).unwrap();
        let (mut frame, mut loudest) = ([0.0; FRAME_SAMPLES], 0.0_f32);
        while reader.read(&mut frame).unwrap() > 0 {
            let power = frame.iter().map(|sample| sample * sample).sum::<f32>();
            loudest = loudest.max((power / FRAME_SAMPLES as f32).sqrt());
        }
        println!("the loudest 20 ms: {loudest}");
        assert!((0.01..LOUDEST * 1.26).contains(&loudest), "{loudest}");
    }
}
