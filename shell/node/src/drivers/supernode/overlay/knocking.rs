//! Finding out whether packets arrive: asking others for one, and sending it to those who ask.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use starling_wire::ids::EndpointKey;
use starling_wire::overlay::Word;
use tracing::debug;

use super::Driver;

/// One supernode is answered so often.
const KNOCK_EVERY: Duration = Duration::from_secs(8);
/// And so many of them within that time.
const KNOCKS_MAX: usize = 100;
/// Ports below are other services'.
const PORT_MIN: u16 = 1_024;

/// Who was sent a packet of late, because he asked for one.
#[derive(Debug, Default)]
pub(super) struct Knocks(BTreeMap<EndpointKey, Duration>);

impl Knocks {
    /// `OVER-08`: whether he is sent one.
    fn admit(&mut self, from: EndpointKey, port: u16, now: Duration) -> bool {
        self.0.retain(|_, at| *at + KNOCK_EVERY > now);
        let free = port >= PORT_MIN && self.0.len() < KNOCKS_MAX && !self.0.contains_key(&from);
        if free {
            self.0.insert(from, now);
        }
        free
    }
}

impl Driver {
    /// `OVER-07`: until others' packets come in by themselves, one of the others is asked to send one.
    pub(super) fn knock(&mut self) {
        let asked = self.links.unproved().zip(self.seen.some(1).pop());
        if let Some((port, other)) = asked {
            self.say(other.at.id, Word::Knock(port));
        }
    }

    /// Somebody wants to know whether packets reach him.
    pub(super) fn answer_knock(&mut self, from: EndpointKey, port: u16) {
        if !self.knocks.admit(from, port, self.clock.now()) {
            debug!(reason = "too often, or a system port", "ignored a knock");
            return;
        }
        if let Some(place) = self.places.get(&from) {
            let at = SocketAddr::new(place.at.tcp.ip(), port);
            self.outgoing.answer_knock(&self.links, from, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_08_a_knock_is_answered_seldom_and_not_at_system_ports() {
        let mut knocks = Knocks::default();
        let (at, later) = (Duration::from_secs(5), Duration::from_secs(5) + KNOCK_EVERY);
        let key = |number: u8| EndpointKey([number; 32]);
        assert!(!knocks.admit(key(1), 53, at), "a system port");
        assert!(knocks.admit(key(1), 27_475, at));
        assert!(!knocks.admit(key(1), 27_476, at), "again");
        let others = (2..=200).filter(|number| knocks.admit(key(*number), 27_475, at));
        assert_eq!(others.count(), KNOCKS_MAX - 1);
        assert!(knocks.admit(key(1), 27_475, later));
    }
}
