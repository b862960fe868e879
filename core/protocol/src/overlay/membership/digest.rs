//! Two lists of members compared without sending them: 128 buckets, one number each.

use starling_wire::ids::EndpointKey;
pub use starling_wire::overlay::DIGEST_LEN as BUCKETS;

/// One number for each bucket: equal lists give equal digests.
pub type Digest = [u16; BUCKETS];

/// The digest of these members, each with the number of its description.
pub fn digest(members: impl Iterator<Item = (EndpointKey, u64)>) -> Digest {
    let mut digest = [0; BUCKETS];
    for (key, issued) in members {
        let bytes = key.0.iter().copied().chain(issued.to_le_bytes());
        // The upper bits: the lower ones choose the bucket.
        let number = u16::try_from(fnv(bytes) >> 48).unwrap_or(0);
        digest[usize::from(bucket(key))] ^= number;
    }
    digest
}

/// The bucket of a member.
pub fn bucket(key: EndpointKey) -> u8 {
    let hash = fnv(key.0.iter().copied());
    u8::try_from(hash % BUCKETS as u64).unwrap_or(0)
}

/// FNV-1a: spreads, and that is all that is asked of it; whoever forges a collision hides members from himself alone.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: u8) -> impl Iterator<Item = (EndpointKey, u64)> {
        (0..count).map(|n| (EndpointKey([n; 32]), 7))
    }

    #[test]
    fn one_member_more_changes_its_bucket_only() {
        let (before, after) = (digest(members(100)), digest(members(101)));
        let changed: Vec<usize> = (0..BUCKETS).filter(|b| before[*b] != after[*b]).collect();
        assert_eq!(changed, [usize::from(bucket(EndpointKey([100; 32])))]);
    }

    #[test]
    fn the_order_means_nothing_and_a_new_description_something() {
        let turned: Vec<_> = members(50).collect();
        assert_eq!(digest(turned.into_iter().rev()), digest(members(50)));
        let renewed = members(50).map(|(key, issued)| (key, issued + u64::from(key.0[0] == 3)));
        assert_ne!(digest(renewed), digest(members(50)));
    }
}
