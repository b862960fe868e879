//! Finding out whether packets arrive: asking others for one, and sending it to those who ask.

use std::net::SocketAddr;

use starling_wire::ids::EndpointKey;
use starling_wire::overlay::Word;

use super::Driver;

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
        if let Some(place) = self.places.get(&from) {
            let at = SocketAddr::new(place.at.tcp.ip(), port);
            self.outgoing.answer_knock(&self.links, from, at);
        }
    }
}
