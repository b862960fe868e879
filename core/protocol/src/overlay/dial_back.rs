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
/// Keys and addresses that are remembered; whoever comes beyond them waits.
const REMEMBERED_MAX: usize = 10_000;

/// Lets everybody in so many times a minute.
#[derive(Debug)]
pub struct Gate {
    times: usize,
    of_key: BTreeMap<EndpointKey, Vec<Time>>,
    of_address: BTreeMap<IpAddr, Vec<Time>>,
}

impl Gate {
    /// So many times for each key and for each address.
    pub const fn new(times: usize) -> Self {
        Self {
            times,
            of_key: BTreeMap::new(),
            of_address: BTreeMap::new(),
        }
    }

    /// `DIAL-03`: whether this one may now; if so, it is counted.
    pub fn admit(&mut self, key: EndpointKey, address: IpAddr, now: Time) -> bool {
        forget_old(&mut self.of_key, now);
        forget_old(&mut self.of_address, now);
        let address = address.to_canonical();
        let room = self.of_key.len().max(self.of_address.len()) < REMEMBERED_MAX;
        let free = |counted: Option<&Vec<Time>>| counted.map_or(0, Vec::len) < self.times;
        let may = free(self.of_key.get(&key)) && free(self.of_address.get(&address));
        if room && may {
            self.of_key.entry(key).or_default().push(now);
            self.of_address.entry(address).or_default().push(now);
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

    #[test]
    fn dial_03_once_a_minute_for_a_key_and_once_for_an_address() {
        let mut gate = Gate::new(DIAL_BACKS);
        let at = Duration::from_secs;
        assert!(gate.admit(key(1), address(1), at(0)));
        assert!(!gate.admit(key(1), address(2), at(1)), "the same key");
        assert!(!gate.admit(key(2), address(1), at(1)), "the same address");
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert!(!gate.admit(key(3), mapped, at(1)), "in another dress");
        assert!(gate.admit(key(2), address(2), at(1)));
        assert!(!gate.admit(key(1), address(1), at(59)));
        assert!(gate.admit(key(1), address(1), at(60)));
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
                if gate.admit(key(k), address(a), now) {
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
