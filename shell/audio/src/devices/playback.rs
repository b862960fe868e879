//! The speaker.

use std::fmt;
use std::sync::Arc;

use super::health::Health;
use super::host::Host;
use super::keeper::{Keeper, Kept, within_time};
use super::outlet::Outlet;
use super::{DeviceError, Kind};

/// An open speaker.
pub struct Playback {
    kind: Kind,
    outlet: Outlet,
    name: String,
    health: Arc<Health>,
    _keeper: Keeper,
}

impl Playback {
    /// Opens the speaker of this name, or the system's usual one. Returns within about two seconds.
    pub fn open(choice: Option<&str>) -> Result<Playback, DeviceError> {
        Self::open_as(Kind::Speaker, choice)
    }

    /// The same for another purpose.
    pub(super) fn open_as(kind: Kind, choice: Option<&str>) -> Result<Playback, DeviceError> {
        let choice = choice.map(str::to_owned);
        let ((outlet, name, health), keeper) =
            within_time(kind, move || start(kind, choice.as_deref()))?;
        Ok(Playback {
            kind,
            outlet,
            name,
            health,
            _keeper: keeper,
        })
    }

    /// Queues samples. What exceeds half a second of waiting sound is dropped and counted.
    pub fn write(&mut self, pcm: &[f32]) {
        self.outlet.write(pcm);
    }

    /// Samples queued here that the device has not taken yet.
    pub fn queued(&self) -> usize {
        self.outlet.queued()
    }

    /// How often since the last call the device wanted more than was queued. Silence that follows counts once.
    pub fn take_underruns(&mut self) -> u64 {
        self.health.take_gaps()
    }

    /// Samples dropped since the last call, because too many were queued.
    pub fn take_lost(&mut self) -> u64 {
        self.outlet.take_lost()
    }

    /// The device's name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// False once the device is gone; nothing will be heard any more.
    pub fn is_alive(&self) -> bool {
        self.health.is_alive()
    }

    /// Why it is gone.
    pub fn error(&self) -> Option<DeviceError> {
        let reason = self.health.reason()?;
        let kind = self.kind;
        Some(DeviceError::Lost { kind, reason })
    }

    pub(super) fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }
}

impl fmt::Debug for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playback")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

type Opened = (Outlet, String, Arc<Health>);

fn start(kind: Kind, choice: Option<&str>) -> Result<(Opened, Option<Kept>), DeviceError> {
    let (host, roster) = Host::answering(kind)?;
    let listed = roster.pick(kind, choice)?;
    let health = Arc::default();
    let (outlet, kept) = host.play(kind, listed, &health)?;
    Ok(((outlet, listed.name.clone(), health), Some(kept)))
}
