//! Connections to the sound system, lent and given back. cpal's client of PulseAudio keeps a thread and a connection for each that
//! was ever made, also after it was dropped, and the server takes 64: so they are used again. One that carries a stream
//! answers nothing else until the stream has ended.

use std::sync::{Mutex, PoisonError};

use cpal::traits::HostTrait;
use cpal::{Device, Host, HostId};

use super::found::failed;
use super::{DeviceError, Kind};

/// Those that nobody uses.
static IDLE: Mutex<Vec<Host>> = Mutex::new(Vec::new());

/// A connection that is given back when this is dropped; what was made with it goes before.
pub(super) struct Lent(Option<Host>);

impl Drop for Lent {
    fn drop(&mut self) {
        // ALSA's holds nothing.
        if let Some(host) = self.0.take_if(|host| host.id() == HostId::PulseAudio) {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(host);
        }
    }
}

/// Does `work` with a connection that answers, PulseAudio's or else ALSA's, and all devices.
pub(super) fn with_host<T>(
    kind: Kind,
    work: impl FnOnce(&Host, Vec<Device>) -> Result<T, DeviceError>,
) -> Result<(T, Lent), DeviceError> {
    let (host, devices) = answering(kind)?;
    let done = work(&host, devices);
    let lent = Lent(Some(host));
    Ok((done?, lent))
}

fn answering(kind: Kind) -> Result<(Host, Vec<Device>), DeviceError> {
    while let Some(host) = idle() {
        // Else the server is another one by now, or there is none.
        if let Ok(devices) = host.devices() {
            return Ok((host, devices.collect()));
        }
    }
    let host = cpal::host_from_id(HostId::PulseAudio)
        .or_else(|_| cpal::host_from_id(HostId::Alsa))
        .map_err(|error| failed(kind, &error))?;
    let devices = host.devices().map_err(|error| failed(kind, &error))?;
    Ok((host, devices.collect()))
}

fn idle() -> Option<Host> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop()
}
