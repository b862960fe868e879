//! Rooms at a forwarder: told in answered calls, and heard there alone.

use starling_wire::conference::{Room, RoomKey};
use starling_wire::ids::RoomId;
use starling_wire::supernode::SupernodeAddr;

use super::*;

fn room() -> Room {
    Room {
        forwarder: SupernodeAddr {
            id: EndpointKey([1; 32]),
            tcp: ([192, 0, 2, 1], 27474).into(),
            discovery_port: 0,
        },
        port: 27474,
        id: RoomId([2; 16]),
        key: RoomKey([3; 32]),
    }
}

#[test]
fn fwd_13_a_room_is_told_and_heard_in_an_answered_call_alone() {
    let mut alice = talking_alice();
    alice.frames();
    alice.happened();
    alice.frame(BOB, 1, CallFrame::Room(room()), seconds(3));
    assert_eq!(alice.happened(), [CallEvent::Room(LOW, room())]);
    alice.calls.handle_room(LOW, room());
    alice.drain();
    assert_eq!(alice.frames(), [CallFrame::Room(room())]);
    // With the stream gone there is nobody to tell.
    alice.lost(1, seconds(4));
    alice.frames();
    alice.calls.handle_room(LOW, room());
    alice.drain();
    assert_eq!(alice.frames(), []);

    let mut bob = Device::default();
    bob.frame(ALICE, 9, invite(LOW), seconds(0));
    bob.frames();
    bob.happened();
    bob.frame(ALICE, 9, CallFrame::Room(room()), seconds(1));
    assert_eq!(bob.happened(), []);
    bob.calls.handle_room(LOW, room());
    bob.drain();
    assert_eq!(bob.frames(), [], "it rings only");
}
