//! Several frames in one packet of Opus (RFC 6716 section 3.2): where a path is narrow, headers cost more than sound. Frames that belong
//! together are put into one packet of "code 3" with lengths of their own, and taken apart again where they arrive, so that all others
//! know frames of 20 ms only. Sizes are bytes.

use starling_wire::limits::MEDIA_PAYLOAD_MAX;

/// What is put together at most: 60 ms.
pub const FRAMES_MAX: usize = 3;
/// Of Opus: a frame is not longer.
const FRAME_MAX: usize = 1_275;
/// From this on a length takes two bytes.
const LONG: usize = 252;
/// In the first byte: how frames are counted; the rest says how they are coded.
const CODE: u8 = 3;
/// In the second byte of code 3: each frame has its own length, there is padding, how many there are.
const VARIABLE: u8 = 0x80;
const PADDED: u8 = 0x40;
const COUNT: u8 = 0x3f;

/// Frames in order, each a packet of one frame, as one packet; nothing if they are coded differently, are not such packets, or are
/// too long together (`MEDIA-15`).
pub fn join(frames: &[Vec<u8>]) -> Option<Vec<u8>> {
    let (first, _) = frames.first()?.split_first()?;
    let is_alike = |frame: &Vec<u8>| frame.first() == Some(first) && frame.len() <= FRAME_MAX;
    let is_single = first & CODE == 0 && (2..=FRAMES_MAX).contains(&frames.len());
    if !is_single || !frames.iter().all(is_alike) {
        return None;
    }
    let (_, before) = frames.split_last()?;
    let mut joined = vec![first | CODE, VARIABLE | frames.len() as u8];
    for frame in before {
        let length = frame.len() - 1;
        if length < LONG {
            joined.push(length as u8);
        } else {
            let low = LONG + (length & 3);
            joined.extend([low as u8, ((length - low) / 4) as u8]);
        }
    }
    for frame in frames {
        joined.extend(&frame[1..]);
    }
    (joined.len() <= MEDIA_PAYLOAD_MAX).then_some(joined)
}

/// The frames of a packet that [`join`] made, each a packet of one frame; nothing if it is not such a packet.
pub fn split(packet: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (&[first, count], mut rest) = packet.split_first_chunk()?;
    let frames = usize::from(count & COUNT);
    let is_ours = first & CODE == CODE
        && count & (VARIABLE | PADDED) == VARIABLE
        && (2..=FRAMES_MAX).contains(&frames);
    if !is_ours {
        return None;
    }
    let mut lengths = Vec::new();
    for _ in 1..frames {
        let (length, after) = take_length(rest)?;
        lengths.push(length);
        rest = after;
    }
    let last = rest.len().checked_sub(lengths.iter().sum())?;
    lengths.push(last);
    let frame = |length: usize| {
        let (data, after) = rest.split_at_checked(length)?;
        rest = after;
        (length < FRAME_MAX).then(|| [&[first & !CODE], data].concat())
    };
    lengths.into_iter().map(frame).collect()
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, after) = bytes.split_first()?;
    let first = usize::from(*first);
    if first < LONG {
        return Some((first, after));
    }
    let (second, after) = after.split_first()?;
    Some((usize::from(*second) * 4 + first, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_joined_is_taken_apart_again(
            coded in (0_u8..64).prop_map(|config| config << 2),
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..330), 2..=3),
        ) {
            let frames: Vec<Vec<u8>> =
                frames.into_iter().map(|data| [vec![coded], data].concat()).collect();
            let joined = join(&frames).unwrap();
            prop_assert_eq!(split(&joined), Some(frames));
        }

        #[test]
        fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(frames) = split(&bytes) {
                prop_assert!(frames.len() <= FRAMES_MAX);
                let all: usize = frames.iter().map(Vec::len).sum();
                prop_assert!(all <= bytes.len() + FRAMES_MAX);
            }
        }
    }

    #[test]
    fn only_frames_of_one_kind_are_joined() {
        let one = vec![0x78, 1, 2];
        assert_eq!(join(std::slice::from_ref(&one)), None);
        assert_eq!(join(&[one.clone(), vec![0x70, 1]]), None);
        assert_eq!(join(&[vec![0x79, 1], vec![0x79, 1]]), None);
        assert_eq!(join(&[one.clone(), vec![]]), None);
        assert_eq!(join(&vec![one.clone(); 4]), None);
        assert_eq!(
            join(&[one.clone(), one]),
            Some(vec![0x7b, 0x82, 2, 1, 2, 1, 2])
        );
    }

    #[test]
    fn media_15_what_is_too_long_together_is_not_joined() {
        let frame = |length: usize| vec![0x78; length];
        // Two bytes of header, two of the first length, one of each frame's.
        let fits = MEDIA_PAYLOAD_MAX - 4 - 499;
        let joined = join(&[frame(500), frame(fits + 1)]);
        assert_eq!(joined.map(|joined| joined.len()), Some(MEDIA_PAYLOAD_MAX));
        assert_eq!(join(&[frame(500), frame(fits + 2)]), None);
    }

    #[test]
    fn other_packets_are_left_whole() {
        for packet in [
            &[0x78, 1, 2][..],
            &[0x7b],
            &[],
            &[0x7b, 0xc2, 0, 1, 1],
            &[0x7b, 2, 1, 1],
        ] {
            assert_eq!(split(packet), None, "{packet:?}");
        }
    }
}
