//! How long a body may be: 512 bytes, then 1, 2, 4 ... 64 KiB, then Padmé's lengths up to a commit's 1 MiB (Nikitin et al., "Reducing
//! Metadata Leakage from Encrypted Files and Communication with PURBs", 2019: at most 12 % more). What is padded ends with one byte
//! `0x80` and zeros (ISO/IEC 7816-4), and is sealed afterwards.

use super::{BODY_MAX, COMMIT_BODY_MAX};

/// The shortest body.
pub const SHORTEST: usize = 512;

/// What was opened is not padded as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was opened is not padded")]
pub struct NotPadded;

/// The length that a body of `bytes` is given, or `None` beyond [`COMMIT_BODY_MAX`].
pub const fn class(bytes: usize) -> Option<usize> {
    if bytes > COMMIT_BODY_MAX {
        return None;
    }
    if bytes <= SHORTEST {
        return Some(SHORTEST);
    }
    if bytes <= BODY_MAX {
        return Some(bytes.next_power_of_two());
    }
    // Padmé: of a length of E bits after the first, all but the first few (as many as E's own length) become zero.
    let exponent = bytes.ilog2();
    let mask = (1 << (exponent - (exponent.ilog2() + 1))) - 1;
    Some((bytes + mask) & !mask)
}

/// `plain` made so long that it has one of these lengths once sealing has added `overhead` bytes. `None` if it is too long.
pub fn pad(mut plain: Vec<u8>, overhead: usize) -> Option<Vec<u8>> {
    let whole = class(plain.len().checked_add(overhead)?.checked_add(1)?)?;
    plain.push(0x80);
    plain.resize(whole - overhead, 0);
    Some(plain)
}

/// What was padded.
pub fn unpad(padded: &[u8]) -> Result<&[u8], NotPadded> {
    let end = padded.iter().rposition(|byte| *byte != 0);
    match end.and_then(|end| padded[..=end].split_last()) {
        Some((0x80, plain)) => Ok(plain),
        _ => Err(NotPadded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn box_02_lengths_are_few() {
        let classes = [0, 512, 513, 1025, 40_000, 65_536, 65_537, 70_000, 1 << 20].map(class);
        let expected = [
            512, 512, 1024, 2048, 65_536, 65_536, 67_584, 71_680, 1_048_576,
        ];
        assert_eq!(classes, expected.map(Some));
        assert_eq!(class((1 << 20) + 1), None);
        let mut all: Vec<_> = (0..=COMMIT_BODY_MAX).filter_map(class).collect();
        all.dedup();
        assert_eq!(all.len(), 8 + 4 * 32);
    }

    #[test]
    fn what_is_too_long_is_not_padded_and_nothing_overflows() {
        assert!(pad(vec![0; COMMIT_BODY_MAX - 16], 16).is_none());
        assert!(pad(vec![0; COMMIT_BODY_MAX - 17], 16).is_some());
        assert!(pad(vec![1], usize::MAX).is_none());
        assert_eq!(unpad(&[]), Err(NotPadded));
        assert_eq!(unpad(&[0, 0]), Err(NotPadded));
        assert_eq!(unpad(&[1, 0]), Err(NotPadded));
    }

    proptest! {
        #[test]
        fn what_is_padded_comes_back_and_is_little_longer(
            plain in proptest::collection::vec(any::<u8>(), 0..200_000),
            overhead in 0_usize..100,
        ) {
            let padded = pad(plain.clone(), overhead).unwrap();
            let body = padded.len() + overhead;
            prop_assert_eq!(class(body), Some(body));
            prop_assert_eq!(unpad(&padded), Ok(plain.as_slice()));
            let least = plain.len() + overhead + 1;
            prop_assert!(body == SHORTEST || body < 2 * least);
            prop_assert!(body <= BODY_MAX || body * 100 <= least * 112);
        }
    }
}
