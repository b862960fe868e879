//! Rooms at a forwarder, told on the stream of an answered call: who seeks one, and when, is the business of
//! [`participant`](crate::conference::participant).

use starling_wire::call::CallFrame;
use starling_wire::conference::Room;
use starling_wire::ids::CallId;

use super::{CallEvent, CallTransmit, Calls};
use crate::call::leg::State;

impl Calls {
    /// We are in this room: the other side is told, if there is a stream to tell it on.
    pub fn handle_room(&mut self, call: CallId, room: Room) {
        self.assert_drained();
        let entry = self.entries.get(&call);
        let answered = entry.filter(|entry| entry.leg.state() == State::Established);
        if let Some(link) = answered.and_then(|entry| entry.link) {
            let frame = CallFrame::Room(room);
            self.transmits.push(CallTransmit { link, frame });
        }
    }

    /// `FWD-13`: the other side of an answered call is in this room.
    pub(super) fn told(&mut self, call: CallId, room: Room) {
        let entry = self.entries.get(&call);
        if entry.is_some_and(|entry| entry.leg.state() == State::Established) {
            self.events.push(CallEvent::Room(call, room));
        }
    }
}
