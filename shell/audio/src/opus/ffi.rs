//! The calls into libopus, wrapped so that nothing outside this file can break memory. Everything is mono at 48 kHz and in
//! frames of 960 samples, so no buffer length is ever the caller's to choose.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use opusic_sys as sys;

use super::OpusError;
use crate::{FRAME_SAMPLES, SAMPLE_RATE};

const CHANNELS: c_int = 1;
const RATE: i32 = SAMPLE_RATE as i32;
const FRAME: c_int = FRAME_SAMPLES as c_int;

/// Owns a libopus encoder.
#[derive(Debug)]
pub(super) struct RawEncoder(NonNull<sys::OpusEncoder>);

// SAFETY: a libopus encoder is plain memory without thread affinity; `RawEncoder` is its only owner and lends it out by
// `&mut` alone.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    pub(super) fn new() -> Result<RawEncoder, OpusError> {
        let mut error: c_int = sys::OPUS_OK;
        // SAFETY: the arguments are constants libopus allows, and `error` outlives the call.
        let raw = unsafe {
            sys::opus_encoder_create(RATE, CHANNELS, sys::OPUS_APPLICATION_AUDIO, &raw mut error)
        };
        NonNull::new(raw)
            .map(RawEncoder)
            .ok_or(OpusError::Library(error))
    }

    pub(super) fn encode(
        &mut self,
        pcm: &[f32; FRAME_SAMPLES],
        out: &mut [u8],
    ) -> Result<usize, OpusError> {
        let room = i32::try_from(out.len()).unwrap_or(i32::MAX);
        // SAFETY: the encoder is alive; `pcm` holds exactly FRAME mono samples; libopus writes at most `room` bytes to
        // `out`, which is no more than its length.
        let written = unsafe {
            sys::opus_encode_float(self.0.as_ptr(), pcm.as_ptr(), FRAME, out.as_mut_ptr(), room)
        };
        match written {
            sys::OPUS_BUFFER_TOO_SMALL => Err(OpusError::Room(out.len())),
            written => usize::try_from(written).map_err(|_| OpusError::Library(written)),
        }
    }

    pub(super) fn set_bitrate(&mut self, bitrate: u32) -> Result<(), OpusError> {
        let value = c_int::try_from(bitrate).unwrap_or(c_int::MAX);
        self.set(sys::OPUS_SET_BITRATE_REQUEST, value)
    }

    pub(super) fn set_complexity(&mut self, complexity: u8) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_COMPLEXITY_REQUEST, complexity.into())
    }

    pub(super) fn set_fec(&mut self, on: bool) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_INBAND_FEC_REQUEST, on.into())
    }

    pub(super) fn set_expected_loss(&mut self, percent: u8) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, percent.into())
    }

    /// `tens`: how many 10 ms of the past each packet describes; 0 switches it off.
    pub(super) fn set_deep_redundancy(&mut self, tens: u8) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_DRED_DURATION_REQUEST, tens.into())
    }

    /// Up to 20 kHz, as far as the rate is worth it, or up to 8.
    pub(super) fn set_wide(&mut self, on: bool) -> Result<(), OpusError> {
        let most = if on {
            sys::OPUS_BANDWIDTH_FULLBAND
        } else {
            sys::OPUS_BANDWIDTH_WIDEBAND
        };
        self.set(sys::OPUS_SET_MAX_BANDWIDTH_REQUEST, most)
    }

    pub(super) fn set_dtx(&mut self, on: bool) -> Result<(), OpusError> {
        self.set(sys::OPUS_SET_DTX_REQUEST, on.into())
    }

    /// `request` is one of libopus's setters whose only argument is an int.
    fn set(&mut self, request: c_int, value: c_int) -> Result<(), OpusError> {
        // SAFETY: the encoder is alive, and each request passed by the methods above reads exactly one int.
        checked(unsafe { sys::opus_encoder_ctl(self.0.as_ptr(), request, value) })
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_encoder_create`, owned by us alone, and not used after.
        unsafe { sys::opus_encoder_destroy(self.0.as_ptr()) }
    }
}

/// Owns a libopus decoder.
#[derive(Debug)]
pub(super) struct RawDecoder(NonNull<sys::OpusDecoder>);

// SAFETY: as for `RawEncoder`.
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    pub(super) fn new() -> Result<RawDecoder, OpusError> {
        let mut error: c_int = sys::OPUS_OK;
        // SAFETY: the arguments are constants libopus allows, and `error` outlives the call.
        let raw = unsafe { sys::opus_decoder_create(RATE, CHANNELS, &raw mut error) };
        NonNull::new(raw)
            .map(RawDecoder)
            .ok_or(OpusError::Library(error))
    }

    pub(super) fn set_complexity(&mut self, complexity: u8) -> Result<(), OpusError> {
        let value = c_int::from(complexity);
        // SAFETY: the decoder is alive, and this request reads exactly one int.
        checked(unsafe {
            sys::opus_decoder_ctl(self.0.as_ptr(), sys::OPUS_SET_COMPLEXITY_REQUEST, value)
        })
    }

    /// Decodes one frame: the payload's own, the one before it (`redundancy`), or without a payload a guess.
    pub(super) fn decode(
        &mut self,
        payload: Option<&[u8]>,
        redundancy: bool,
        pcm: &mut [f32; FRAME_SAMPLES],
    ) -> Result<(), OpusError> {
        let (data, length) = match payload {
            Some(bytes) => (bytes.as_ptr(), length(bytes)?),
            None => (ptr::null(), 0),
        };
        // SAFETY: the decoder is alive; `data` is null with length 0 or points at `length` readable bytes; libopus writes at
        // most FRAME mono samples to `pcm`, which has room for exactly that.
        let decoded = unsafe {
            sys::opus_decode_float(
                self.0.as_ptr(),
                data,
                length,
                pcm.as_mut_ptr(),
                FRAME,
                redundancy.into(),
            )
        };
        one_frame(decoded)
    }

    /// Decodes the frame that begins `back` samples before the packet that `deep` was read from.
    pub(super) fn decode_deep(
        &mut self,
        deep: &RawDeep,
        back: i32,
        pcm: &mut [f32; FRAME_SAMPLES],
    ) -> Result<(), OpusError> {
        // SAFETY: the decoder and the state are alive; libopus looks up `back` within what the state holds, and writes at most
        // FRAME mono samples to `pcm`, which has room for exactly that.
        let decoded = unsafe {
            sys::opus_decoder_dred_decode_float(
                self.0.as_ptr(),
                deep.state.as_ptr(),
                back,
                pcm.as_mut_ptr(),
                FRAME,
            )
        };
        one_frame(decoded)
    }
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_decoder_create`, owned by us alone, and not used after.
        unsafe { sys::opus_decoder_destroy(self.0.as_ptr()) }
    }
}

/// Owns a libopus decoder of deep redundancy (DRED) and what it read last.
#[derive(Debug)]
pub(super) struct RawDeep {
    decoder: NonNull<sys::OpusDREDDecoder>,
    state: NonNull<sys::OpusDRED>,
}

// SAFETY: as for `RawEncoder`: both are plain memory with one owner.
unsafe impl Send for RawDeep {}

impl RawDeep {
    pub(super) fn new() -> Result<RawDeep, OpusError> {
        let mut error: c_int = sys::OPUS_OK;
        // SAFETY: `error` outlives the call.
        let decoder = unsafe { sys::opus_dred_decoder_create(&raw mut error) };
        let decoder = NonNull::new(decoder).ok_or(OpusError::Library(error))?;
        // SAFETY: as above.
        let state = unsafe { sys::opus_dred_alloc(&raw mut error) };
        match NonNull::new(state) {
            Some(state) => Ok(RawDeep { decoder, state }),
            None => {
                // SAFETY: made above and used by nobody.
                unsafe { sys::opus_dred_decoder_destroy(decoder.as_ptr()) };
                Err(OpusError::Library(error))
            }
        }
    }

    /// Reads what a packet says of the samples before it: of those from `reach` to `end` before its beginning, at most.
    pub(super) fn read(&mut self, payload: &[u8], most: i32) -> Result<Reach, OpusError> {
        let length = length(payload)?;
        let mut end: c_int = 0;
        // SAFETY: decoder and state are alive, `payload` has `length` readable bytes, and `end` outlives the call.
        let reach = unsafe {
            sys::opus_dred_parse(
                self.decoder.as_ptr(),
                self.state.as_ptr(),
                payload.as_ptr(),
                length,
                most,
                RATE,
                &raw mut end,
                0,
            )
        };
        checked(reach)?;
        Ok(Reach {
            from: reach,
            to: end,
        })
    }
}

impl Drop for RawDeep {
    fn drop(&mut self) {
        // SAFETY: both made by `new`, owned by us alone, and not used after.
        unsafe {
            sys::opus_dred_free(self.state.as_ptr());
            sys::opus_dred_decoder_destroy(self.decoder.as_ptr());
        }
    }
}

/// What a packet's deep redundancy covers, in samples before the packet's beginning; nothing if `from` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) from: i32,
    pub(super) to: i32,
}

fn one_frame(decoded: c_int) -> Result<(), OpusError> {
    match usize::try_from(decoded) {
        Ok(FRAME_SAMPLES) => Ok(()),
        Ok(samples) => Err(OpusError::Duration(samples)),
        Err(_) => checked(decoded),
    }
}

/// How many samples a packet decodes to, from its first bytes.
pub(super) fn packet_samples(payload: &[u8]) -> Result<usize, OpusError> {
    let length = length(payload)?;
    // SAFETY: `payload` has `length` readable bytes.
    let samples = unsafe { sys::opus_packet_get_nb_samples(payload.as_ptr(), length, RATE) };
    usize::try_from(samples).map_err(|_| error(samples))
}

/// Whether a packet carries a copy of the frame before it.
pub(super) fn has_redundancy(payload: &[u8]) -> bool {
    let Ok(length) = length(payload) else {
        return false;
    };
    // SAFETY: `payload` has `length` readable bytes, which libopus parses within that bound.
    unsafe { sys::opus_packet_has_lbrr(payload.as_ptr(), length) == 1 }
}

/// The length for libopus, which reads the first byte of a packet before it looks at this.
fn length(payload: &[u8]) -> Result<i32, OpusError> {
    match i32::try_from(payload.len()) {
        Ok(length) if length > 0 => Ok(length),
        _ => Err(OpusError::Length(payload.len())),
    }
}

fn checked(code: c_int) -> Result<(), OpusError> {
    if code < 0 { Err(error(code)) } else { Ok(()) }
}

fn error(code: c_int) -> OpusError {
    match code {
        sys::OPUS_INVALID_PACKET | sys::OPUS_BUFFER_TOO_SMALL => OpusError::Damaged,
        code => OpusError::Library(code),
    }
}
