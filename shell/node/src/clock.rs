//! The only place that reads clocks. Machines get [`Clock::now`] (time since the node started, never jumps); what people
//! and other machines see gets wall time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time since the node started.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// The moment `at` after the start, for timers.
    pub fn instant(self, at: Duration) -> tokio::time::Instant {
        (self.0 + at).into()
    }
}

/// Until that moment; for ever if there is none.
pub async fn sleep_until(wake: Option<tokio::time::Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Unix milliseconds.
pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        })
}

/// Unix microseconds, for measurements.
pub fn wall_us() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_micros())
}

/// Unix seconds.
pub fn wall_s() -> u64 {
    wall_ms() / 1000
}

/// Fresh random bytes from the system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .expect("the system's random number generator is available since boot");
    bytes
}
