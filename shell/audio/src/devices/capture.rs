//! The microphone.

use std::fmt;
use std::sync::Arc;

use super::health::Health;
use super::host::Host;
use super::intake::Intake;
use super::keeper::{Keeper, Kept, within_time};
use super::{DeviceError, Kind};
use crate::FRAME_SAMPLES;

const KIND: Kind = Kind::Microphone;

/// An open microphone.
pub struct Capture {
    intake: Intake,
    name: String,
    health: Arc<Health>,
    _keeper: Keeper,
}

impl Capture {
    /// Opens the microphone of this name, or the system's usual one. Returns within about two seconds; the first sound may
    /// take longer to come.
    pub fn open(choice: Option<&str>) -> Result<Capture, DeviceError> {
        let choice = choice.map(str::to_owned);
        let ((intake, name, health), keeper) = within_time(KIND, move || start(choice.as_deref()))?;
        Ok(Capture {
            intake,
            name,
            health,
            _keeper: keeper,
        })
    }

    /// Takes one frame; false while less than one is there.
    pub fn read(&mut self, out: &mut [f32; FRAME_SAMPLES]) -> bool {
        self.intake.read(out)
    }

    /// Samples lost since the last call, because nobody read for 200 ms.
    pub fn take_lost(&mut self) -> u64 {
        self.intake.take_lost()
    }

    /// Gaps since the last call that the device itself reported.
    pub fn take_gaps(&mut self) -> u64 {
        self.health.take_gaps()
    }

    /// The device's name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// False once the device is gone; no more sound will come from it.
    pub fn is_alive(&self) -> bool {
        self.health.is_alive()
    }

    /// Why it is gone.
    pub fn error(&self) -> Option<DeviceError> {
        let reason = self.health.reason()?;
        Some(DeviceError::Lost { kind: KIND, reason })
    }

    pub(super) fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

type Opened = (Intake, String, Arc<Health>);

fn start(choice: Option<&str>) -> Result<(Opened, Option<Kept>), DeviceError> {
    let (host, roster) = Host::answering(KIND)?;
    let listed = roster.pick(KIND, choice)?;
    let health = Arc::default();
    let (intake, kept) = host.record(KIND, listed, &health)?;
    Ok(((intake, listed.name.clone(), health), Some(kept)))
}
