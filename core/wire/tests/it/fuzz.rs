//! Each fuzz body over mutated valid inputs.

use starling_wire::call::fuzz::fuzz_call;
use starling_wire::call::{CallFrame, EndReason, Media, MediaHello};
use starling_wire::chat::{ChatFrame, ChatMessage};
use starling_wire::file::fuzz::{fuzz_file, fuzz_name};
use starling_wire::file::{FileFrame, Offer, Pull, PullAnswer, ReceiverState};
use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::ids::{AccountId, CallId, EndpointKey, MessageId, TransferId};
use starling_wire::peer::{InnerAddr, LinkFrame};
use starling_wire::supernode::{Answer, Notice, Refusal, Request, SupernodeAddr};

use crate::mutator;

fn supernode() -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp: "192.0.2.7:27474".parse().expect("an address"),
        discovery_port: 27476,
    }
}

fn inner() -> InnerAddr {
    InnerAddr {
        endpoint: EndpointKey([7; 32]),
        home: Some(supernode()),
        direct: ["192.0.2.1:5000", "[2001:db8::1]:5000"]
            .map(|address| address.parse().expect("an address"))
            .to_vec(),
    }
}

#[test]
fn calls() {
    let call = CallId([1; 16]);
    let corpus = [
        encode_body(&CallFrame::Invite {
            call,
            offer: vec![Media::OPUS; 2],
            inner: Some(inner()),
        }),
        encode_body(&CallFrame::Ringing {
            inner: Some(inner()),
        }),
        encode_body(&CallFrame::Accept {
            answer: Media::OPUS,
        }),
        encode_body(&CallFrame::Hold { on: true }),
        encode_body(&CallFrame::End {
            reason: EndReason::Busy,
        }),
        encode_body(&CallFrame::Resume { call, inner: None }),
        encode_body(&CallFrame::Inner { inner: inner() }),
        encode_body(&MediaHello { call }),
    ];
    mutator::run(1, &corpus, fuzz_call);
}

#[test]
fn files() {
    let id = TransferId([1; 16]);
    let corpus = [
        encode_body(&FileFrame::Offer(Offer {
            id,
            name: "holiday.jpg".into(),
            size: 1 << 30,
            root: [5; 32],
            sent_at: 1_800_000_000_000,
        })),
        encode_body(&FileFrame::State {
            id,
            state: ReceiverState::Accepted,
        }),
        encode_body(&FileFrame::Withdraw { id }),
        encode_body(&Pull {
            id,
            start: 256,
            end: 512,
        }),
        encode_body(&PullAnswer::Changed),
    ];
    mutator::run(2, &corpus, fuzz_file);
}

#[test]
fn file_names() {
    let corpus = [
        "../../etc/passwd",
        "C:\\Windows\\con.txt",
        " . . name.tar.gz . ",
        "photo\u{202e}gpj.exe",
        "名前 é\u{301}.pdf",
        "lpt¹",
    ]
    .map(|name| name.as_bytes().to_vec());
    mutator::run(3, &corpus, fuzz_name);
}

#[test]
fn supernodes_and_front_doors() {
    let account = AccountId([3; 32]);
    let corpus = [
        encode_body(&Request::Lookup { account }),
        encode_body(&Request::Deposit {
            account,
            envelope: vec![1; 40],
        }),
        encode_body(&Request::Watch {
            doors: vec![EndpointKey([4; 32]); 3],
            reply_to: supernode(),
        }),
        encode_body(&Answer::Presence(vec![(EndpointKey([4; 32]), true)])),
        encode_body(&Answer::Refused(Refusal::Full)),
        encode_body(&Notice::Presence(EndpointKey([4; 32]), false)),
        encode_body(&LinkFrame::Meet { inner: inner() }),
    ];
    mutator::run(4, &corpus, |data| {
        fuzz::supernode(data);
        fuzz::link_frame(data);
        fuzz::record(data);
        fuzz::envelope(data);
    });
}

#[test]
fn chat() {
    let corpus = [
        encode_body(&ChatFrame::Message(ChatMessage {
            id: MessageId([1; 16]),
            sent_at: 1_800_000_000_000,
            text: "Grüße".into(),
        })),
        encode_body(&ChatFrame::Receipt {
            ids: vec![MessageId([1; 16]); 3],
        }),
    ];
    mutator::run(5, &corpus, fuzz::chat);
}

#[test]
fn links_and_network_files() {
    let corpus = [
        "starling:1?n=abc&a=def&s=192.0.2.7:27474"
            .as_bytes()
            .to_vec(),
        b"name = \"home\"\n[[supernode]]\naddress = \"192.0.2.7:27474\"\n".to_vec(),
    ];
    mutator::run(6, &corpus, fuzz::text);
}
