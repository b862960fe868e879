//! Deep redundancy (DRED, draft-ietf-mlcodec-opus-dred): a packet describes up to a second of what was said before it, coarsely,
//! so a burst of losses is recovered from the first packet after it.

use super::ffi::{RawDeep, Reach};
use super::{DEEP_MAX_MS, OpusError};
use crate::{FRAME_SAMPLES, SAMPLE_RATE};

/// Reads packets' deep redundancy. One packet serves for a whole burst, so what was read last is kept.
#[derive(Debug)]
pub(super) struct Deep {
    raw: RawDeep,
    payload: Vec<u8>,
    reach: Reach,
}

impl Deep {
    pub(super) fn new() -> Result<Deep, OpusError> {
        Ok(Deep {
            raw: RawDeep::new()?,
            payload: Vec::new(),
            reach: Reach::default(),
        })
    }

    /// Where the frame `back` frames before this packet begins, in samples before it; nothing if the packet does not describe it.
    pub(super) fn read(&mut self, payload: &[u8], back: u8) -> Result<Option<i32>, OpusError> {
        if self.payload != payload {
            self.payload.clear();
            self.reach = self.raw.read(payload, MOST)?;
            self.payload.extend_from_slice(payload);
        }
        let samples = i32::from(back) * FRAME;
        let described = self.reach.to < samples && samples <= self.reach.from;
        Ok(described.then_some(samples))
    }

    pub(super) const fn raw(&self) -> &RawDeep {
        &self.raw
    }
}

const FRAME: i32 = FRAME_SAMPLES as i32;
const MOST: i32 = (DEEP_MAX_MS as i32) * (SAMPLE_RATE as i32 / 1_000);
