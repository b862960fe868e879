//! The way straight from machine to machine is sought when a call's connection begins, and a minute later again: that is iroh's
//! pace. On a bad line the first attempt fails at times, and a way that was found is lost in a long burst. So the caller seeks it
//! again, sooner, for as long as the call is not direct: another connection beside makes iroh punch anew.

use std::time::Duration;

use iroh::EndpointAddr;
use iroh::endpoint::Connection;
use starling_protocol::machine::Time;
use starling_wire::alpn;
use starling_wire::ids::CallId;
use tokio::time::Instant;
use tracing::debug;

use super::task::Task;
use crate::media_path::REPLACED;
use crate::transport::{congestion, dial, endpoint};

/// One round of iroh's takes four seconds, and another one does not begin within five.
const ROUND: Duration = Duration::from_secs(5);
/// Twice as long after each round, up to this.
const SELDOM: Duration = Duration::from_secs(60);
/// A round that takes longer has failed, dialling included: before the next, and before the other side closes what says no hello.
const PATIENCE: Duration = Duration::from_millis(4_500);
const LOOK: Duration = Duration::from_millis(200);

/// When the way is sought again. A machine: it is told once a second how the call goes.
#[derive(Debug, Default)]
pub struct Punching {
    /// When the next round is due, and how long after it the one after that; nothing while the call is direct.
    next: Option<(Time, Duration)>,
    was_direct: bool,
}

impl Punching {
    /// `CALL-37`: whether a round is due.
    pub fn look(&mut self, is_direct: bool, now: Time) -> bool {
        if is_direct {
            (self.next, self.was_direct) = (None, true);
            return false;
        }
        // A way that was there a moment ago is sought at once; the first round is iroh's own.
        let first = if self.was_direct { now } else { now + ROUND };
        let (due, wait) = *self.next.get_or_insert((first, ROUND));
        if now < due {
            return false;
        }
        self.was_direct = false;
        self.next = Some((now + wait, (wait * 2).min(SELDOM)));
        true
    }
}

impl Task {
    /// Seeks a direct way for the calls that have none and might have one.
    pub(super) fn punch_anew(&mut self) {
        let now = self.ctx.clock.now();
        let calls: Vec<CallId> = self.running.keys().copied().collect();
        for call in calls {
            let Some(running) = self.running.get_mut(&call) else {
                continue;
            };
            if !running.punches(now) {
                continue;
            }
            let (Some(lease), Some(inner)) = (&running.lease, &running.peer_inner) else {
                continue;
            };
            let (from, address) = (lease.endpoint().clone(), endpoint::inner_addr(inner));
            let sound = running.sound.as_ref().map(|sound| sound.connection.clone());
            if let (Some(address), Some(sound)) = (address, sound) {
                let round = async move { round(&from, address, &sound).await };
                self.tasks.spawn(round);
            }
        }
    }
}

/// Another connection to the same place, which carries nothing, until the sound goes directly or the round is over.
async fn round(from: &iroh::Endpoint, address: EndpointAddr, sound: &Connection) {
    let begun = Instant::now();
    let beside = dial::connect(from, address, alpn::MEDIA, congestion::signalling()).await;
    let beside = match beside {
        Ok(beside) => beside,
        Err(error) => return debug!(%error, "no direct way was sought"),
    };
    let direct = async {
        while !crate::paths::travel(sound).is_none_or(|travel| travel.direct) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let found = tokio::time::timeout_at(begun + PATIENCE, direct)
        .await
        .is_ok();
    debug!(found, "sought a direct way");
    beside.close(REPLACED.into(), b"punched");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds in which a round is due, by whether the call is direct in each.
    fn rounds(punching: &mut Punching, from: u64, until: u64, is_direct: bool) -> Vec<u64> {
        let due = |second: &u64| punching.look(is_direct, Time::from_secs(*second));
        (from..until).filter(due).collect()
    }

    #[test]
    fn call_37_a_call_that_does_not_become_direct_seeks_the_way_less_and_less_often() {
        let mut punching = Punching::default();
        let due = rounds(&mut punching, 0, 300, false);
        assert_eq!(due, [5, 10, 20, 40, 80, 140, 200, 260]);
    }

    #[test]
    fn call_37_a_way_that_was_lost_is_sought_at_once() {
        let mut punching = Punching::default();
        assert!(rounds(&mut punching, 0, 2, false).is_empty());
        assert!(rounds(&mut punching, 2, 60, true).is_empty());
        assert_eq!(rounds(&mut punching, 60, 80, false), [60, 65, 75]);
        assert!(rounds(&mut punching, 80, 90, true).is_empty());
        assert_eq!(rounds(&mut punching, 90, 92, false), [90]);
    }
}
