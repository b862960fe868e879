//! The microphone.

use std::fmt;
use std::sync::Arc;

use cpal::traits::DeviceTrait;
use cpal::{FromSample, SampleFormat, SizedSample};

use super::found::{Found, failed, find};
use super::health::Health;
use super::intake::{Intake, Mouth, intake};
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
        let ((intake, name, health), keeper) =
            within_time(KIND, move || start(find(KIND, choice.as_deref())?))?;
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

fn start(found: Found) -> Result<(Opened, Option<Kept>), DeviceError> {
    let health = Arc::new(Health::default());
    let (mouth, intake) = intake(found.config.sample_rate, found.config.channels, &health);
    let build = match found.format {
        SampleFormat::F32 => build::<f32>,
        SampleFormat::I32 => build::<i32>,
        SampleFormat::I24 => build::<cpal::I24>,
        SampleFormat::I16 => build::<i16>,
        _ => build::<u8>,
    };
    let stream = build(&found, mouth, Arc::clone(&health)).map_err(|error| failed(KIND, &error))?;
    let kept = Kept {
        stream,
        health: Arc::clone(&health),
        _lent: found.lent,
    };
    Ok(((intake, found.name, health), Some(kept)))
}

fn build<T: SizedSample>(
    found: &Found,
    mut mouth: Mouth,
    health: Arc<Health>,
) -> Result<cpal::Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    found.device.build_input_stream(
        found.config,
        move |data: &[T], _| mouth.put(data),
        move |error| health.report(&error),
        None,
    )
}
