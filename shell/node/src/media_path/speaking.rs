//! From the source to the wire: a frame of 20 ms is read when it is there (microphone) or due (file), encoded and sent.
//! What is not sent (muted, held, nobody connected yet) leaves a gap in the timestamps, so the other side knows that
//! nothing was lost.

use std::sync::Arc;
use std::time::Duration;

use starling_audio::devices::{Capture, Choices, Following, Kind};
use starling_audio::opus::{Encoder, EncoderSettings, OpusError, Protection};
use starling_audio::wav::WavReader;
use starling_media as media;
use starling_media::activity::Activity;
use starling_media::band::Band;
use starling_media::{Encoded, FRAME, FRAME_SAMPLES, Packetizer, Plan, Rate, Report};
use starling_protocol::machine::Time;
use starling_wire::limits::MEDIA_PAYLOAD_MAX;

use super::cleaning::Cleaning;
use super::sound::Source;
use super::trace::Trace;
use super::voice::{Notice, Shared};
use crate::traffic::Traffic;

/// Of libopus's ten, what costs no more than is heard.
const COMPLEXITY: u8 = 9;
/// A file that fell so far behind goes on from now, instead of catching up in a burst.
const BEHIND: Duration = Duration::from_millis(200);

enum Input {
    /// Nothing while nobody speaks into it, before the first frame or on hold.
    Microphone(Option<Following<Capture>>),
    File(WavReader),
    Echo,
    Nothing,
}

/// What is known of the sound that comes in.
#[derive(Debug, Default)]
struct Microphone {
    activity: Activity,
    band: Band,
    is_resting: bool,
    is_narrow: bool,
}

impl Microphone {
    /// Lets the encoder know what changed.
    fn tell(
        &mut self,
        frame: &[f32; FRAME_SAMPLES],
        encoder: &mut Encoder,
    ) -> Result<(), OpusError> {
        let is_resting = self.activity.is_resting(frame);
        if is_resting != std::mem::replace(&mut self.is_resting, is_resting) {
            encoder.set_dtx(is_resting)?;
        }
        let is_narrow = !self.band.is_wide(frame);
        if is_narrow != std::mem::replace(&mut self.is_narrow, is_narrow) {
            encoder.set_wide(!is_narrow)?;
        }
        Ok(())
    }
}

/// Where a frame goes, and when that is.
struct Out<'a> {
    now: Time,
    shared: &'a Shared,
    trace: &'a mut Trace,
}

/// What a stream is like from its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Makes its numbers unguessable.
    pub seed: u64,
    /// Bits a second at most.
    pub most: u32,
    /// Whether the other side understands deep redundancy.
    pub deep: bool,
}

/// The sending side.
pub struct Speaking {
    input: Input,
    cleaning: Cleaning,
    encoder: Encoder,
    heard: Microphone,
    packetizer: Packetizer,
    rate: Rate,
    plan: Plan,
    traffic: Arc<Traffic>,
    choices: Arc<Choices>,
    /// When the file's next frame is due.
    due: Option<Time>,
    /// Held: up to when time has passed.
    paused: Option<Time>,
    over: bool,
}

impl Speaking {
    /// Opens the source; while there is no microphone, it is silence.
    pub fn open(
        source: Source,
        cleaning: Cleaning,
        stream: Stream,
        traffic: Arc<Traffic>,
        choices: &Arc<Choices>,
    ) -> Result<Self, OpusError> {
        let input = match source {
            Source::Microphone => Input::Microphone(None),
            Source::File(reader) => Input::File(reader),
            Source::Echo => Input::Echo,
        };
        let rate = Rate::new(stream.most, stream.deep);
        let plan = rate.plan();
        let settings = EncoderSettings {
            bitrate: plan.bitrate,
            complexity: COMPLEXITY,
            protection: inside(plan),
        };
        Ok(Self {
            input,
            cleaning,
            encoder: Encoder::new(settings)?,
            heard: Microphone::default(),
            packetizer: Packetizer::new(stream.seed),
            rate,
            plan,
            traffic,
            choices: Arc::clone(choices),
            due: None,
            paused: None,
            over: false,
        })
    }

    /// How is sent now.
    pub const fn plan(&self) -> Plan {
        self.plan
    }

    /// Where what is sent is counted.
    pub const fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The other side told how it hears us: what is sent from now on follows that.
    pub fn heard(&mut self, report: &Report, now: Time) -> Result<(), OpusError> {
        // MEDIA-12: of a stream that is ours.
        if report.ssrc != self.packetizer.ssrc() {
            return Ok(());
        }
        self.rate.handle_report(report, now);
        let plan = self.rate.plan();
        if plan == std::mem::replace(&mut self.plan, plan) {
            return Ok(());
        }
        let back = match plan.protection {
            media::Protection::Repeat { back, .. } => Some(back),
            _ => None,
        };
        self.packetizer.repeat(back);
        self.packetizer.join(plan.joined);
        self.encoder.set_bitrate(plan.bitrate)?;
        self.encoder.set_protection(inside(plan))
    }

    /// What is sent goes another way from now on.
    pub const fn moved(&mut self, now: Time) {
        self.rate.handle_moved(now);
    }

    /// Sends what is there or due. `echo` is what was heard just now.
    pub fn speak(
        &mut self,
        now: Time,
        echo: &[[f32; FRAME_SAMPLES]],
        shared: &Shared,
        trace: &mut Trace,
        notify: &dyn Fn(Notice),
    ) {
        self.paused = None;
        self.cleaning.far_end(echo);
        let mut out = Out { now, shared, trace };
        match &mut self.input {
            Input::Microphone(microphone) => {
                let microphone = microphone
                    .get_or_insert_with(|| Following::start(Kind::Microphone, &self.choices));
                if let Some(standing) = microphone.poll() {
                    notify(Notice::Device(Kind::Microphone, standing.clone()));
                }
                let mut frame = [0.0; FRAME_SAMPLES];
                while self.captures(&mut frame) {
                    self.cleaning.near_end(&mut frame);
                    self.send(&frame, now, &mut out);
                }
            }
            Input::File(_) => self.play_file(&mut out, notify),
            Input::Echo => {
                for frame in echo {
                    self.send(frame, now, &mut out);
                }
            }
            Input::Nothing => {}
        }
    }

    /// Held: time passes without sound. `AUDIO-06`: nothing says that the microphone is in use, for it is not.
    pub fn pause(&mut self, now: Time) {
        self.due = None;
        if let Input::Microphone(microphone) = &mut self.input {
            *microphone = None;
        }
        let mut passed = self.paused.unwrap_or(now);
        while passed + FRAME <= now {
            self.packetizer.skip();
            passed += FRAME;
        }
        self.paused = Some(passed);
    }

    /// Takes a frame of the microphone, if one is there.
    fn captures(&mut self, frame: &mut [f32; FRAME_SAMPLES]) -> bool {
        match &mut self.input {
            Input::Microphone(Some(microphone)) => microphone.read(frame),
            _ => false,
        }
    }

    /// Nothing more is sent from `end` on; whether that is now.
    pub fn stop_at(&mut self, end: Time, now: Time) -> bool {
        self.over |= now >= end;
        self.over
    }

    fn play_file(&mut self, out: &mut Out<'_>, notify: &dyn Fn(Notice)) {
        let now = out.now;
        // The first word is not spoken before somebody hears it.
        if !out.shared.is_connected() {
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
                Ok(_) => {
                    self.cleaning.near_end(&mut frame);
                    self.send(&frame, due, out);
                }
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

    /// A frame whose last sample was there at `at`.
    fn send(&mut self, frame: &[f32; FRAME_SAMPLES], at: Time, out: &mut Out<'_>) {
        let (now, shared) = (out.now, out.shared);
        if self.over || shared.is_silent() || !shared.is_connected() {
            self.packetizer.skip();
            return;
        }
        let mut payload = [0; MEDIA_PAYLOAD_MAX];
        let encoded = self
            .heard
            .tell(frame, &mut self.encoder)
            .and_then(|()| self.encoder.encode(frame, &mut payload));
        match encoded {
            Ok(length) => {
                out.trace.said(self.packetizer.frame(), at, now);
                let datagrams = self.packetizer.packets(Encoded {
                    deep: matches!(self.plan.protection, media::Protection::Deep { .. }),
                    payload: &payload[..length],
                });
                for datagram in datagrams {
                    shared.send(datagram, &self.traffic);
                    self.rate.handle_sent(now);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a frame could not be encoded");
                self.packetizer.skip();
            }
        }
    }
}

/// What the encoder does of a plan; the packets do the rest.
const fn inside(plan: Plan) -> Protection {
    let (expected_loss, fec, deep_ms) = match plan.protection {
        media::Protection::Off => (0, false, 0),
        media::Protection::Fec(loss) | media::Protection::Repeat { loss, .. } => (loss, true, 0),
        media::Protection::Deep { loss, ms } => (loss, false, ms),
    };
    Protection {
        expected_loss,
        fec,
        deep_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processing::ProcessingChoice;

    #[test]
    fn media_12_a_report_on_another_stream_changes_nothing() {
        let traffic = Arc::new(Traffic::default());
        let stream = Stream {
            seed: 1,
            most: 64_000,
            deep: true,
        };
        let cleaning = Cleaning::new(ProcessingChoice::default(), &Source::Echo, false);
        let choices = Arc::default();
        let mut speaking =
            Speaking::open(Source::Echo, cleaning, stream, traffic, &choices).unwrap();
        let before = speaking.plan;
        let mut report = Report {
            ssrc: speaking.packetizer.ssrc() ^ 1,
            interval_ms: 500,
            expected: 25,
            received: 20,
            burst: 16,
            bytes: 1_500,
            ..Report::default()
        };
        for second in 1..10 {
            speaking
                .heard(&report, Duration::from_secs(second))
                .unwrap();
        }
        assert_eq!(speaking.plan, before);
        report.ssrc ^= 1;
        for second in 10..20 {
            speaking
                .heard(&report, Duration::from_secs(second))
                .unwrap();
        }
        assert_ne!(speaking.plan.protection, before.protection);
    }
}
