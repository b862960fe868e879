//! How values become frames: a four-byte big-endian length, then the value in postcard's published format
//! (varints, little surprises). One bound per protocol, checked before a byte of the body is read.

use serde::{Serialize, de::DeserializeOwned};

use crate::limits::FRAME_MAX;

/// Bytes of the length in front of each frame.
pub const LENGTH_BYTES: usize = 4;

/// Why a frame was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than its protocol allows.
    #[error("the other side sent a frame of {size} bytes where {max} are allowed")]
    TooLong {
        /// Claimed or actual size.
        size: usize,
        /// The bound.
        max: usize,
    },
    /// Not a value of this protocol.
    #[error("the other side sent a frame that this version of Starling cannot read")]
    Malformed,
    /// A value followed by bytes that do not belong to it.
    #[error("the other side sent a frame with bytes left over")]
    TrailingBytes,
}

/// A value's bytes, without the length.
pub fn encode_body<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value)
        .expect("our own types have no floats, maps or unsized sequences postcard refuses")
}

/// Reads exactly one value from `bytes` (`FRAME-02`).
pub fn decode_body<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, FrameError> {
    if bytes.len() > max {
        return Err(FrameError::TooLong {
            size: bytes.len(),
            max,
        });
    }
    match postcard::take_from_bytes::<T>(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(FrameError::TrailingBytes),
        Err(_) => Err(FrameError::Malformed),
    }
}

/// Reads one value from the start of `bytes`, which are bounded already, and gives back what follows it.
pub fn decode_start<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), FrameError> {
    postcard::take_from_bytes(bytes).map_err(|_| FrameError::Malformed)
}

/// A whole frame: length and body.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let body = encode_body(value);
    debug_assert!(
        body.len() <= FRAME_MAX,
        "a frame of ours broke the bound it is sent under"
    );
    let mut frame = Vec::with_capacity(LENGTH_BYTES + body.len());
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&body);
    frame
}

/// The body's length from a frame's first four bytes, refused before anything is allocated (`FRAME-01`).
pub fn body_length(prefix: [u8; LENGTH_BYTES], max: usize) -> Result<usize, FrameError> {
    let size = u32::from_be_bytes(prefix) as usize;
    if size > max.min(FRAME_MAX) {
        return Err(FrameError::TooLong {
            size,
            max: max.min(FRAME_MAX),
        });
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(text in ".{0,200}", number: u64) {
            let frame = encode(&(text.clone(), number));
            let length = body_length(frame[..4].try_into().unwrap(), FRAME_MAX).unwrap();
            prop_assert_eq!(length, frame.len() - 4);
            prop_assert_eq!(decode_body::<(String, u64)>(&frame[4..], FRAME_MAX).unwrap(), (text, number));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_body::<Vec<(String, Option<u64>)>>(&bytes, FRAME_MAX);
        }
    }

    #[test]
    fn frame_01_a_claimed_length_beyond_the_bound_is_refused_unread() {
        assert_eq!(
            body_length([0xff; 4], 100),
            Err(FrameError::TooLong {
                size: 0xffff_ffff,
                max: 100
            })
        );
        assert_eq!(body_length([0, 0, 0, 100], 100), Ok(100));
    }

    #[test]
    fn frame_02_left_over_bytes_are_refused() {
        assert_eq!(
            decode_body::<u8>(&[1, 2], 10),
            Err(FrameError::TrailingBytes)
        );
    }
}
