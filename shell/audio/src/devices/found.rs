//! Finds a device and the form of sound it takes that is nearest to ours.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{
    BufferSize, DeviceDirection, ErrorKind, HostId, SampleFormat, StreamConfig,
    SupportedBufferSize, SupportedStreamConfigRange,
};

use super::host::{Lent, with_host};
use super::{DeviceError, Kind};
use crate::SAMPLE_RATE;
use crate::resample::RATES;

/// Device buffers are this share of a second: 10 ms. A device's default may be seconds.
const BUFFERS_PER_SECOND: u32 = 100;
/// So many names stand in an error.
const NAMES_MAX: usize = 8;

/// A device, and how to open it.
pub(super) struct Found {
    pub(super) device: cpal::Device,
    pub(super) name: String,
    pub(super) config: StreamConfig,
    pub(super) format: SampleFormat,
    /// What the stream runs on.
    pub(super) lent: Lent,
}

/// The device of this name, or the system's usual one.
pub(super) fn find(kind: Kind, choice: Option<&str>) -> Result<Found, DeviceError> {
    let (device, lent) = with_host(kind, |host, devices| match choice {
        Some(choice) => chosen(host, devices, kind, choice),
        None => usual(host, kind).ok_or(DeviceError::None(kind)),
    })?;
    let (config, format) = form(&device, kind)?;
    Ok(Found {
        name: name(&device),
        device,
        config,
        format,
        lent,
    })
}

/// The name of the system's usual one, if it can be opened.
pub(super) fn look(kind: Kind) -> Result<String, DeviceError> {
    with_host(kind, |host, _| {
        let device = usual(host, kind).ok_or(DeviceError::None(kind))?;
        form(&device, kind)?;
        Ok(name(&device))
    })
    .map(|(name, _)| name)
}

/// What to say about an error of the system.
pub(super) fn failed(kind: Kind, error: &cpal::Error) -> DeviceError {
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

/// What the system uses where nothing else is asked for.
pub(super) fn usual(host: &cpal::Host, kind: Kind) -> Option<cpal::Device> {
    let device = if kind.is_input() {
        host.default_input_device()
    } else {
        host.default_output_device()
    }?;
    let id = device.id().ok()?;
    // Without hardware, PulseAudio offers what the speaker plays as a microphone, and a speaker that nobody hears.
    let stand_in = if kind.is_input() {
        id.id().ends_with(".monitor")
    } else {
        id.id() == "auto_null"
    };
    (id.host() != HostId::PulseAudio || !stand_in).then_some(device)
}

fn chosen(
    host: &cpal::Host,
    devices: Vec<cpal::Device>,
    kind: Kind,
    choice: &str,
) -> Result<cpal::Device, DeviceError> {
    let mut known = Vec::new();
    // ALSA does not list every name that it knows.
    let all = devices.into_iter().chain(usual(host, kind));
    for device in all.filter(|device| serves(device, kind)) {
        let id = device.id().map(|id| id.id().to_owned()).unwrap_or_default();
        if id == choice || name(&device) == choice {
            return Ok(device);
        }
        if !known.contains(&id) {
            known.push(id);
        }
    }
    if known.is_empty() {
        return Err(DeviceError::None(kind));
    }
    known.truncate(NAMES_MAX);
    Err(DeviceError::Unknown {
        kind,
        choice: choice.to_owned(),
        known: known.join(", "),
    })
}

/// Whether sound goes that way.
pub(super) fn serves(device: &cpal::Device, kind: Kind) -> bool {
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

/// For people.
pub(super) fn name(device: &cpal::Device) -> String {
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
