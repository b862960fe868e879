//! What supernodes say to us unasked: one connection with one [`Notice`] each. Every contact names supernodes of its
//! own, so none of them may keep the others, and our home above all, from being heard.

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{NOTICE_MAX, Notice};
use tokio::task::JoinSet;
use tracing::debug;

use crate::transport::front_door::Arrival;
use crate::transport::stream;

/// For a notice to be there.
const NOTICE_TIME: Duration = Duration::from_secs(10);
/// Notices of one supernode that are read at once. An honest one says a few: its contacts of ours that came or went.
const NOTICES_OF_ONE: usize = 16;
/// Our home may say as much at once as a supernode says at all.
const NOTICES_OF_HOME: usize = 1_000;
/// And all that are not our home together.
const NOTICES_OF_OTHERS: usize = 512;

/// Notices that are being read.
#[derive(Debug, Default)]
pub struct Notices {
    reading: JoinSet<(EndpointKey, Option<Notice>)>,
    open: Open,
}

impl Notices {
    /// Reads what a supernode has to say, if it may have another turn.
    pub fn read(&mut self, arrival: Arrival, home: Option<EndpointKey>) {
        if !self.open.begin(arrival.key, home) {
            debug!(reason = "too many at once", "turned a notice away");
            arrival.connection.close(1u32.into(), b"too many");
            return;
        }
        self.reading.spawn(read_notice(arrival));
    }

    /// The next notice; `None` when none is being read.
    pub async fn next(&mut self) -> Option<(EndpointKey, Notice)> {
        loop {
            let Ok((key, notice)) = self.reading.join_next().await? else {
                continue;
            };
            self.open.end(key);
            if let Some(notice) = notice {
                return Some((key, notice));
            }
        }
    }
}

async fn read_notice(arrival: Arrival) -> (EndpointKey, Option<Notice>) {
    let read = async {
        let mut receive = arrival.connection.accept_uni().await.ok()?;
        stream::read::<Notice>(&mut receive, NOTICE_MAX)
            .await
            .ok()
            .flatten()
    };
    let notice = tokio::time::timeout(NOTICE_TIME, read).await;
    (arrival.key, notice.ok().flatten())
}

/// How many connections each supernode has open.
#[derive(Debug, Default)]
struct Open {
    by_key: BTreeMap<EndpointKey, usize>,
    all: usize,
}

impl Open {
    /// `HOME-10`: whether one more of this supernode is read. What others have open takes nothing from our home.
    fn begin(&mut self, key: EndpointKey, home: Option<EndpointKey>) -> bool {
        let own = self.by_key.get(&key).copied().unwrap_or(0);
        let of_home = home.and_then(|home| self.by_key.get(&home)).unwrap_or(&0);
        let fits = if home == Some(key) {
            own < NOTICES_OF_HOME
        } else {
            own < NOTICES_OF_ONE && self.all - of_home < NOTICES_OF_OTHERS
        };
        if fits {
            *self.by_key.entry(key).or_default() += 1;
            self.all += 1;
        }
        fits
    }

    fn end(&mut self, key: EndpointKey) {
        let Some(count) = self.by_key.get_mut(&key) else {
            return;
        };
        *count -= 1;
        self.all -= 1;
        if *count == 0 {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> EndpointKey {
        EndpointKey([number; 32])
    }

    #[test]
    fn home_10_nobody_keeps_our_home_from_being_heard() {
        let (mut open, home) = (Open::default(), Some(key(0)));
        let taken = (0..100).filter(|_| open.begin(key(1), home)).count();
        assert_eq!(taken, NOTICES_OF_ONE);
        assert!(open.begin(key(2), home), "another is not kept out by it");
        let crowd = (2..200).flat_map(|number| [key(number); NOTICES_OF_ONE]);
        let taken = crowd.filter(|key| open.begin(*key, home)).count();
        assert_eq!(taken + NOTICES_OF_ONE + 1, NOTICES_OF_OTHERS);
        let taken = (0..2_000).filter(|_| open.begin(key(0), home)).count();
        assert_eq!(taken, NOTICES_OF_HOME);
        open.end(key(1));
        assert!(open.begin(key(1), home) && !open.begin(key(1), home));
    }

    #[test]
    fn what_is_over_is_not_counted() {
        let mut open = Open::default();
        for _ in 0..10_000 {
            assert!(open.begin(key(1), None) && open.begin(key(2), Some(key(2))));
            open.end(key(1));
            open.end(key(2));
        }
        open.end(key(3));
        assert!(open.by_key.is_empty() && open.all == 0);
    }
}
