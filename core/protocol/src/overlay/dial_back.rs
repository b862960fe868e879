//! A supernode's side of what others ask of it to find out whether they could serve: who may ask for it now (`DIAL-03`).
//! The address that counts is the one the asker's packets come from; none stands in any message (`DIAL-01`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use starling_wire::ids::EndpointKey;

use crate::machine::Time;

/// What is counted is counted for so long.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Dial-backs of one key, and of one address, within it.
pub const DIAL_BACKS: usize = 1;
/// Measurements of the way up, likewise.
pub const MEASUREMENTS: usize = 4;
/// Of one address block, so many times as many: whoever has a block for himself cannot take every place.
const OF_BLOCK: usize = 4;
/// Keys and addresses that are remembered; whoever comes beyond them waits.
const REMEMBERED_MAX: usize = 10_000;

/// Lets everybody in so many times a minute.
#[derive(Debug)]
pub struct Gate {
    times: usize,
    of_key: BTreeMap<EndpointKey, Vec<Time>>,
    of_address: BTreeMap<IpAddr, Vec<Time>>,
    of_block: BTreeMap<IpAddr, Vec<Time>>,
}

impl Gate {
    /// So many times for each key and for each address.
    pub const fn new(times: usize) -> Self {
        Self {
            times,
            of_key: BTreeMap::new(),
            of_address: BTreeMap::new(),
            of_block: BTreeMap::new(),
        }
    }

    /// `DIAL-03`: whether this one may now; if so, it is counted. `block` is where its address belongs.
    pub fn admit(&mut self, key: EndpointKey, address: IpAddr, block: IpAddr, now: Time) -> bool {
        forget_old(&mut self.of_key, now);
        forget_old(&mut self.of_address, now);
        forget_old(&mut self.of_block, now);
        let address = address.to_canonical();
        let room = self.of_key.len().max(self.of_address.len()) < REMEMBERED_MAX;
        let count = |counted: Option<&Vec<Time>>| counted.map_or(0, Vec::len);
        let may = count(self.of_key.get(&key)) < self.times
            && count(self.of_address.get(&address)) < self.times
            && count(self.of_block.get(&block)) < self.times * OF_BLOCK;
        if room && may {
            self.of_key.entry(key).or_default().push(now);
            self.of_address.entry(address).or_default().push(now);
            self.of_block.entry(block).or_default().push(now);
        }
        room && may
    }
}

fn forget_old<K: Ord>(counted: &mut BTreeMap<K, Vec<Time>>, now: Time) {
    counted.retain(|_, times| {
        times.retain(|at| *at + WINDOW > now);
        !times.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> EndpointKey {
        EndpointKey([n; 32])
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    /// A block of its own for each.
    fn block(n: u8) -> IpAddr {
        IpAddr::from([198, 51, n, 0])
    }

    #[test]
    fn dial_03_once_a_minute_for_a_key_and_once_for_an_address() {
        let mut gate = Gate::new(DIAL_BACKS);
        let at = Duration::from_secs;
        let mut admit = |k, ip, seconds| gate.admit(key(k), ip, block(k), at(seconds));
        assert!(admit(1, address(1), 0));
        assert!(!admit(1, address(2), 1), "the same key");
        assert!(!admit(2, address(1), 1), "the same address");
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert!(!admit(3, mapped, 1), "in another dress");
        assert!(admit(2, address(2), 1));
        assert!(!admit(1, address(1), 59));
        assert!(admit(1, address(1), 60));
    }

    #[test]
    fn dial_03_four_times_for_all_of_a_block() {
        let mut gate = Gate::new(DIAL_BACKS);
        let mut admit = |n, of| gate.admit(key(n), address(n), block(of), Duration::ZERO);
        assert_eq!((1..9).filter(|n| admit(*n, 1)).count(), OF_BLOCK);
        assert!(admit(9, 2), "another block");
    }

    proptest! {
        /// Whatever the order, nobody and no address gets through more often than that within any minute.
        #[test]
        fn dial_03_no_minute_has_more(asks in prop::collection::vec((0_u8..4, 0_u8..4, 0_u64..20), 1..200), times in 1_usize..4) {
            let mut gate = Gate::new(times);
            let mut now = Duration::ZERO;
            let mut let_in: Vec<(u8, u8, Time)> = Vec::new();
            for (k, a, wait) in asks {
                now += Duration::from_secs(wait);
                if gate.admit(key(k), address(a), block(a), now) {
                    let_in.push((k, a, now));
                }
            }
            for (k, a, at) in &let_in {
                let within = |other: &&(u8, u8, Time)| other.2 <= *at && other.2 + WINDOW > *at;
                prop_assert!(let_in.iter().filter(within).filter(|o| o.0 == *k).count() <= times);
                prop_assert!(let_in.iter().filter(within).filter(|o| o.1 == *a).count() <= times);
            }
        }
    }
}
