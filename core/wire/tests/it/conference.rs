//! The fuzz bodies of what a focus, its participants and its clients say, over mutated inputs of their committed corpora.

use starling_wire::call::CallFrame;
use starling_wire::call::fuzz::fuzz_call;
use starling_wire::conference::fuzz::fuzz_focus;
use starling_wire::conference::{Join, JoinRefusal, Joined, Room, RoomKey, Sign};
use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::ids::{EndpointKey, RoomId};
use starling_wire::supernode::{Answer, Refusal, Request, SupernodeAddr};

use crate::{corpus, mutator};

const ID: RoomId = RoomId([4; 16]);

#[test]
fn rooms() {
    let sign = Sign {
        hears: true,
        rtt_ms: 50,
    };
    let made = [
        ("join", encode_body(&Join { room: ID })),
        ("welcome", encode_body(&Joined::Welcome)),
        (
            "refused",
            encode_body(&Joined::Refused(JoinRefusal::NoRoom)),
        ),
        ("sign", sign.write().to_vec()),
    ];
    mutator::run(17, &corpus::committed("rooms", &made), fuzz_focus);
}

#[test]
fn rooms_that_are_told() {
    let room = Room {
        forwarder: SupernodeAddr {
            id: EndpointKey([9; 32]),
            tcp: "192.0.2.7:27474".parse().expect("an address"),
            discovery_port: 27476,
        },
        port: 27474,
        id: ID,
        key: RoomKey([5; 32]),
    };
    let made = [("room", encode_body(&CallFrame::Room(room)))];
    mutator::run(18, &corpus::committed("rooms-told", &made), fuzz_call);
}

#[test]
fn rooms_that_are_opened() {
    let made = [
        ("open", encode_body(&Request::OpenRoom)),
        (
            "opened",
            encode_body(&Answer::Room {
                id: ID,
                port: 27474,
            }),
        ),
        (
            "no-forwarder",
            encode_body(&Answer::Refused(Refusal::NoForwarder)),
        ),
    ];
    mutator::run(
        19,
        &corpus::committed("rooms-opened", &made),
        fuzz::supernode,
    );
}
