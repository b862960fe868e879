//! What a device's threads tell about themselves: counters, and why they stopped. The callbacks that move sound touch only
//! the atomics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use cpal::ErrorKind;

use super::pulse::ServerError;

/// Sound servers and libraries do not always tell these two apart.
const GONE: &str = "it was removed, or the sound system stopped";

/// Shared between a device and its threads.
#[derive(Debug, Default)]
pub struct Health {
    /// Samples at the device's rate that found no room.
    lost: AtomicU64,
    /// Gaps in what was played or captured.
    gaps: AtomicU64,
    failed: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Health {
    pub(super) fn lose(&self, samples: u64) {
        self.lost.fetch_add(samples, Ordering::Relaxed);
    }

    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take_gaps(&self) -> u64 {
        self.gaps.swap(0, Ordering::Relaxed)
    }

    /// cpal's report of an error, on one of its threads.
    pub(super) fn report(&self, error: &cpal::Error) {
        match error.kind() {
            ErrorKind::Xrun => self.gap(),
            // The sound goes on.
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
            ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated => self.end(GONE.into()),
            _ => self.end(error.to_string()),
        }
    }

    /// Why the sound server's stream ended.
    pub(super) fn fail(&self, error: &ServerError) {
        self.end(match error {
            ServerError::Killed | ServerError::Closed => GONE.to_owned(),
            _ => error.to_string(),
        });
    }

    fn end(&self, why: String) {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert(why);
        self.failed.store(true, Ordering::Release);
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    pub(super) fn reason(&self) -> Option<String> {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.clone()
    }
}
