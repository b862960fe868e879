//! Devices through ALSA, by cpal: where no sound server answers. Finds a device and the form of sound it takes that is nearest to
//! ours.

use std::sync::Arc;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{
    BufferSize, DeviceDirection, ErrorKind, FromSample, HostId, SampleFormat, SizedSample, Stream,
    StreamConfig, SupportedBufferSize, SupportedStreamConfigRange,
};

use super::health::Health;
use super::intake::{Intake, Mouth, intake};
use super::keeper::{Carried, Kept};
use super::outlet::{Outlet, Tap, outlet};
use super::roster::{Listed, Roster};
use super::{DeviceError, Kind};
use crate::SAMPLE_RATE;
use crate::resample::RATES;

/// Device buffers are this share of a second: 10 ms. A device's default may be seconds.
const BUFFERS_PER_SECOND: u32 = 100;

/// All devices, and the usual ones, in and out.
pub(super) struct Alsa {
    devices: Vec<cpal::Device>,
    usual: [Option<cpal::Device>; 2],
}

impl Alsa {
    pub(super) fn open(kind: Kind) -> Result<Self, DeviceError> {
        let host = cpal::host_from_id(HostId::Alsa).map_err(|error| failed(kind, &error))?;
        let devices = host.devices().map_err(|error| failed(kind, &error))?;
        Ok(Self {
            devices: devices.collect(),
            usual: [host.default_output_device(), host.default_input_device()],
        })
    }

    pub(super) fn roster(&self) -> Roster {
        [Kind::Microphone, Kind::Speaker]
            .into_iter()
            .flat_map(|kind| self.listed(kind))
            .collect()
    }

    fn listed(&self, kind: Kind) -> Vec<Listed> {
        let usual = self.usual(kind);
        let default = usual.and_then(id);
        let known = self.devices.iter().filter(|device| serves(device, kind));
        // ALSA does not list every name that it knows.
        let unlisted = usual.filter(|_| known.clone().all(|device| id(device) != default));
        let listed = unlisted.into_iter().chain(known).filter_map(|device| {
            let id = id(device)?;
            Some(Listed {
                is_default: default.as_ref() == Some(&id),
                name: name(device),
                is_input: kind.is_input(),
                id,
            })
        });
        listed.collect()
    }

    pub(super) fn check(&self, kind: Kind, wanted: &str) -> Result<(), DeviceError> {
        form(self.device(kind, wanted)?, kind).map(drop)
    }

    pub(super) fn record(
        &self,
        kind: Kind,
        wanted: &str,
        health: &Arc<Health>,
    ) -> Result<(Intake, Kept), DeviceError> {
        let device = self.device(kind, wanted)?;
        let (config, format) = form(device, kind)?;
        let (mouth, intake) = intake(config.sample_rate, config.channels, health);
        let build = match format {
            SampleFormat::F32 => build_input::<f32>,
            SampleFormat::I32 => build_input::<i32>,
            SampleFormat::I24 => build_input::<cpal::I24>,
            SampleFormat::I16 => build_input::<i16>,
            _ => build_input::<u8>,
        };
        let stream = build(device, config, mouth, Arc::clone(health));
        Ok((intake, kept(kind, stream, health)?))
    }

    pub(super) fn play(
        &self,
        kind: Kind,
        wanted: &str,
        health: &Arc<Health>,
    ) -> Result<(Outlet, Kept), DeviceError> {
        let device = self.device(kind, wanted)?;
        let (config, format) = form(device, kind)?;
        let (tap, outlet) = outlet(config.sample_rate, config.channels, health);
        let build = match format {
            SampleFormat::F32 => build_output::<f32>,
            SampleFormat::I32 => build_output::<i32>,
            SampleFormat::I24 => build_output::<cpal::I24>,
            SampleFormat::I16 => build_output::<i16>,
            _ => build_output::<u8>,
        };
        let stream = build(device, config, tap, Arc::clone(health));
        Ok((outlet, kept(kind, stream, health)?))
    }

    fn device(&self, kind: Kind, wanted: &str) -> Result<&cpal::Device, DeviceError> {
        let known = self.devices.iter().filter(|device| serves(device, kind));
        let mut all = known.chain(self.usual(kind));
        all.find(|device| id(device).as_deref() == Some(wanted))
            .ok_or(DeviceError::None(kind))
    }

    fn usual(&self, kind: Kind) -> Option<&cpal::Device> {
        self.usual[usize::from(kind.is_input())].as_ref()
    }
}

fn kept(
    kind: Kind,
    stream: Result<Stream, cpal::Error>,
    health: &Arc<Health>,
) -> Result<Kept, DeviceError> {
    let stream = stream.map_err(|error| failed(kind, &error))?;
    Ok(Kept {
        stream: Carried::Alsa(stream),
        health: Arc::clone(health),
    })
}

fn build_input<T: SizedSample>(
    device: &cpal::Device,
    config: StreamConfig,
    mut mouth: Mouth,
    health: Arc<Health>,
) -> Result<Stream, cpal::Error>
where
    f32: FromSample<T>,
{
    device.build_input_stream(
        config,
        move |data: &[T], _| mouth.put(data),
        move |error| health.report(&error),
        None,
    )
}

fn build_output<T: SizedSample + FromSample<f32>>(
    device: &cpal::Device,
    config: StreamConfig,
    mut tap: Tap,
    health: Arc<Health>,
) -> Result<Stream, cpal::Error> {
    device.build_output_stream(
        config,
        move |data: &mut [T], _| tap.take(data),
        move |error| health.report(&error),
        None,
    )
}

/// What to say about an error of the system.
fn failed(kind: Kind, error: &cpal::Error) -> DeviceError {
    let reason = match error.kind() {
        ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable => {
            return DeviceError::None(kind);
        }
        ErrorKind::DeviceBusy => "another program is using it".to_owned(),
        ErrorKind::PermissionDenied => "this user may not use it".to_owned(),
        _ => error.to_string(),
    };
    DeviceError::Open { kind, reason }
}

/// Whether sound goes that way.
fn serves(device: &cpal::Device, kind: Kind) -> bool {
    let Ok(description) = device.description() else {
        return false;
    };
    match description.direction() {
        DeviceDirection::Duplex => true,
        DeviceDirection::Input => kind.is_input(),
        DeviceDirection::Output => !kind.is_input(),
        _ => false,
    }
}

fn id(device: &cpal::Device) -> Option<String> {
    device.id().ok().map(|id| id.id().to_owned())
}

/// For people.
fn name(device: &cpal::Device) -> String {
    device
        .description()
        .map_or_else(|_| "unnamed".to_owned(), |words| words.name().to_owned())
}

/// The device's form of sound that is nearest to ours.
fn form(device: &cpal::Device, kind: Kind) -> Result<(StreamConfig, SampleFormat), DeviceError> {
    let offered: Result<Vec<SupportedStreamConfigRange>, cpal::Error> = if kind.is_input() {
        device.supported_input_configs().map(Iterator::collect)
    } else {
        device.supported_output_configs().map(Iterator::collect)
    };
    let offered = offered.map_err(|error| failed(kind, &error))?;
    nearest(&offered).ok_or_else(|| DeviceError::Open {
        kind,
        reason: "it takes no form of sound that Starling knows".to_owned(),
    })
}

/// Our rate before few channels before a good format: what costs least to convert.
fn nearest(offered: &[SupportedStreamConfigRange]) -> Option<(StreamConfig, SampleFormat)> {
    let rate = |range: &SupportedStreamConfigRange| {
        SAMPLE_RATE.clamp(range.min_sample_rate(), range.max_sample_rate())
    };
    offered
        .iter()
        .filter(|range| RATES.contains(&rate(range)))
        .filter_map(|range| Some((range, rank(range.sample_format())?)))
        .min_by_key(|(range, rank)| (rate(range).abs_diff(SAMPLE_RATE), range.channels(), *rank))
        .map(|(range, _)| (config(rate(range), range), range.sample_format()))
}

/// The formats we convert, the best first.
fn rank(format: SampleFormat) -> Option<usize> {
    use SampleFormat::{F32, I16, I24, I32, U8};
    [F32, I32, I24, I16, U8]
        .iter()
        .position(|known| *known == format)
}

fn config(rate: u32, range: &SupportedStreamConfigRange) -> StreamConfig {
    let frames = rate / BUFFERS_PER_SECOND;
    let frames = match *range.buffer_size() {
        SupportedBufferSize::Range { min, max } if min <= max => frames.clamp(min, max),
        _ => frames,
    };
    StreamConfig {
        channels: range.channels(),
        sample_rate: rate,
        buffer_size: BufferSize::Fixed(frames),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(
        channels: u16,
        rates: [u32; 2],
        frames: [u32; 2],
        format: SampleFormat,
    ) -> SupportedStreamConfigRange {
        let [min, max] = frames;
        let frames = SupportedBufferSize::Range { min, max };
        SupportedStreamConfigRange::new(channels, rates[0], rates[1], frames, format)
    }

    #[test]
    fn our_own_form_is_taken_where_it_is_offered() {
        let best = nearest(&[
            offer(2, [44_100, 44_100], [1, 9_999], SampleFormat::F32),
            offer(2, [8_000, 96_000], [1, 9_999], SampleFormat::F32),
            offer(1, [8_000, 96_000], [1, 9_999], SampleFormat::I16),
            offer(1, [8_000, 96_000], [1, 9_999], SampleFormat::F32),
        ]);
        let want = StreamConfig {
            channels: 1,
            sample_rate: 48_000,
            buffer_size: BufferSize::Fixed(480),
        };
        assert_eq!(best, Some((want, SampleFormat::F32)));
    }

    #[test]
    fn a_device_with_a_form_of_its_own_keeps_it() {
        let best = nearest(&[
            offer(1, [44_100, 44_100], [1_024, 4_096], SampleFormat::U16),
            offer(2, [44_100, 44_100], [1_024, 4_096], SampleFormat::I16),
        ]);
        let want = StreamConfig {
            channels: 2,
            sample_rate: 44_100,
            buffer_size: BufferSize::Fixed(1_024),
        };
        assert_eq!(best, Some((want, SampleFormat::I16)));
    }

    #[test]
    fn a_device_with_no_form_we_know_is_refused() {
        assert_eq!(
            nearest(&[
                offer(1, [4_000, 4_000], [1, 99], SampleFormat::F32),
                offer(1, [48_000, 48_000], [1, 99], SampleFormat::DsdU8),
            ]),
            None
        );
    }
}
