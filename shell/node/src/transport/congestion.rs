//! Congestion control by purpose (DESIGN 3.9, 3.11). Voice: a constant window, because the media's own rate control
//! decides how much is sent and a loss must not hold the next frame back. Files: BBR3, which random loss does not starve.
//! Signalling and chat: the library's default, but for how it begins.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iroh::endpoint::{
    Controller, ControllerFactory, ControllerMetrics, QuicTransportConfig, RttEstimator, VarInt,
};
use noq_proto::congestion::{Bbr3Config, Cubic, CubicConfig};

/// Room for a second of the highest audio rate with repetition; never the limit in a working call.
const VOICE_WINDOW: u64 = 64 * 1024;
/// Datagrams that wait longer than about 100 ms are stale: the queue holds no more.
const VOICE_QUEUE: usize = 16 * 1024;
/// What is spoken over a connection that the other side opened: random loss, at which Cubic falls to two packets, must not hold it back.
pub(super) const LEAST_WINDOW: u64 = 16 * 1024;
/// DESIGN 3.1: more than 2,048 packets queued behind one loss abort the connection.
const STREAM_WINDOW: u32 = 1_250_000;
/// A direct path on which nothing comes for so long is left for the relay's: both sides speak at least every 100 ms, and ask every 20 ms
/// where nothing comes. A line that loses packets in bursts is silent for half a second once in a few minutes. iroh
/// gives the relay's path its own, longer time.
const DIRECT_SILENCE: Duration = Duration::from_millis(700);
const SILENCE: Duration = Duration::from_secs(30);

/// A window is sent at once if it is not larger than it was at first (RFC 9002 section 7.7).
const AT_ONCE: Duration = Duration::from_millis(10);

/// Signalling and chat.
pub fn signalling() -> QuicTransportConfig {
    base()
        .congestion_controller_factory(Arc::new(FirstAtOnceConfig { least: 0 }))
        .build()
}

/// An endpoint with a UDP port, for what others open to it: what a connection is for is known after this was chosen. A supernode's links
/// and calls that it forwards; at an inner endpoint the voice of whoever was called, and files that come.
pub fn direct() -> QuicTransportConfig {
    base()
        .congestion_controller_factory(Arc::new(FirstAtOnceConfig {
            least: LEAST_WINDOW,
        }))
        .datagram_send_buffer_size(VOICE_QUEUE)
        .datagram_receive_buffer_size(Some(VOICE_QUEUE))
        .build()
}

/// Voice.
pub fn voice() -> QuicTransportConfig {
    base()
        .congestion_controller_factory(Arc::new(ConstantWindowConfig))
        .datagram_send_buffer_size(VOICE_QUEUE)
        .default_path_max_idle_timeout(DIRECT_SILENCE)
        .build()
}

/// Files.
pub fn bulk() -> QuicTransportConfig {
    base()
        .congestion_controller_factory(Arc::new(Bbr3Config::default()))
        .receive_window(VarInt::from_u32(8 * STREAM_WINDOW))
        .send_window(u64::from(8 * STREAM_WINDOW))
        .build()
}

fn base() -> iroh::endpoint::QuicTransportConfigBuilder {
    let idle = SILENCE
        .try_into()
        .expect("30 s is a valid QUIC idle time-out");
    QuicTransportConfig::builder()
        .max_idle_timeout(Some(idle))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
}

#[derive(Debug)]
struct FirstAtOnceConfig {
    least: u64,
}

impl ControllerFactory for FirstAtOnceConfig {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let config = Arc::new(CubicConfig::default());
        Box::new(FirstAtOnce {
            cubic: Cubic::new(config, now, mtu),
            least: self.least,
        })
    }
}

/// Cubic, whose first window goes out at once, and whose window does not fall below the least. The library spreads it as if the way took 333 ms, one packet each 10 ms, and so
/// holds back whatever is said first on a connection for a fifth of the way there and back.
#[derive(Debug, Clone)]
struct FirstAtOnce {
    cubic: Cubic,
    least: u64,
}

impl Controller for FirstAtOnce {
    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        number: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.cubic
            .on_ack(now, sent, bytes, number, app_limited, rtt);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        persistent: bool,
        ecn: bool,
        lost: u64,
        number: u64,
    ) {
        self.cubic
            .on_congestion_event(now, sent, persistent, ecn, lost, number);
    }

    fn on_spurious_congestion_event(&mut self) {
        self.cubic.on_spurious_congestion_event();
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.cubic.on_mtu_update(mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().max(self.least)
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = metrics.congestion_window.max(self.least);
        if metrics.congestion_window <= self.initial_window() {
            metrics.pacing_rate = Some(at_once(self.initial_window()));
        }
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// The rate, in bytes a second, at which so many bytes are not held back.
fn at_once(window: u64) -> u64 {
    window.saturating_mul(1_000) / AT_ONCE.as_millis().max(1) as u64
}

#[derive(Debug)]
struct ConstantWindowConfig;

impl ControllerFactory for ConstantWindowConfig {
    fn build(self: Arc<Self>, _now: Instant, _mtu: u16) -> Box<dyn Controller> {
        Box::new(ConstantWindow)
    }
}

#[derive(Debug, Clone)]
struct ConstantWindow;

impl Controller for ConstantWindow {
    fn on_ack(&mut self, _: Instant, _: Instant, _: u64, _: u64, _: bool, _: &RttEstimator) {}

    fn on_congestion_event(&mut self, _: Instant, _: Instant, _: bool, _: bool, _: u64, _: u64) {}

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        VOICE_WINDOW
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = VOICE_WINDOW;
        metrics.pacing_rate = Some(at_once(VOICE_WINDOW));
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        VOICE_WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
