//! Each fuzz body over mutated valid inputs.

use ed25519_dalek::SigningKey;
use starling_wire::account::{Chain, sign};
use starling_wire::call::fuzz::fuzz_call;
use starling_wire::call::{CallFrame, EndReason, Media, MediaHello};
use starling_wire::card::{Card, Door, SignedCard};
use starling_wire::chat::{ChatFrame, ChatMessage};
use starling_wire::envelope::{self, Letter, Sender, request_key, seal};
use starling_wire::file::fuzz::{fuzz_file, fuzz_name};
use starling_wire::file::{FileFrame, Offer, Pull, PullAnswer, ReceiverState};
use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::ids::{
    AccountId, CallId, DeviceId, EndpointKey, MessageId, NetworkId, TransferId,
};
use starling_wire::link::{Link, Target};
use starling_wire::network::Network;
use starling_wire::peer::{InnerAddr, LinkFrame};
use starling_wire::record::{AccountRecord, SignedRecord};
use starling_wire::registration::{Place, Registration};
use starling_wire::supernode::{Answer, Notice, Refusal, Request, SupernodeAddr};

use crate::mutator;

fn supernode() -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp: "192.0.2.7:27474".parse().expect("an address"),
        discovery_port: 27476,
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn device() -> DeviceId {
    DeviceId(key(3).verifying_key().to_bytes())
}

fn chain() -> Chain {
    Chain::create(
        &key(1),
        &key(2).verifying_key(),
        [0; 16],
        device(),
        "laptop",
    )
}

fn record() -> SignedRecord {
    AccountRecord {
        inception: chain().inception,
        head: chain().head(),
        request_key: [6; 32],
        home: vec![supernode()],
        sequence: 1_800_000_000,
        expires: 1_800_000_100,
    }
    .sign(&key(1))
}

fn registration() -> Registration {
    let place = Place {
        door: EndpointKey([7; 32]),
        supernode: EndpointKey([8; 32]),
    };
    Registration::new(record(), chain(), &key(3), place)
}

fn card() -> SignedCard {
    let door = Door::new(chain().id(), device(), &key(4), vec![supernode()]);
    Card {
        chain: chain(),
        network: Some(NetworkId([5; 32])),
        name: "Bob".into(),
        doors: vec![door],
        request_key: [6; 32],
        discovery_key: [7; 32],
        sequence: 1_800_000_000,
    }
    .sign(&key(1))
}

/// An envelope, and what lies inside it (card, letter, time, signature), in the order of their fields.
fn letter() -> [Vec<u8>; 2] {
    let to = AccountId([7; 32]);
    let letter = Letter::Request { text: "Hi".into() };
    let mut message = b"starling 1 letter".to_vec();
    message.extend_from_slice(&encode_body(&(to, &letter, 5_u64)));
    let inside = (card(), &letter, 5_u64, sign(&key(1), &message));
    let inside = encode_body(&inside);
    let signing = key(1);
    let sender = Sender {
        key: &signing,
        card: card(),
    };
    let sealed = seal(sender, to, &request_key(&[8; 32]), letter, 5, [9; 32]);
    [sealed.expect("it is short"), inside]
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
        encode_body(&Request::Register(Box::new(registration()))),
        encode_body(&Answer::Record(Some(record()))),
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
    });
}

#[test]
fn records_cards_and_envelopes() {
    let [sealed, inside] = letter();
    // A seed that is not valid would leave everything behind its first check untried.
    assert!(envelope::open(&sealed, AccountId([7; 32]), &[8; 32]).is_ok());
    assert!(record().verify(chain().id(), 1_800_000_000).is_ok());
    assert!(card().verify().is_ok());
    assert!(sealed.len() > inside.len() && sealed.len() - inside.len() == 1 + 32 + 16);
    let corpus = [encode_body(&record()), encode_body(&card()), sealed, inside];
    mutator::run(7, &corpus, |data| {
        fuzz::record(data);
        fuzz::card(data);
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
    let link = Link {
        target: Target::Account(AccountId([3; 32])),
        network: Some(NetworkId([5; 32])),
        supernodes: vec![supernode(), supernode()],
    };
    let network = Network {
        id: NetworkId(key(1).verifying_key().to_bytes()),
        name: "home".into(),
        supernodes: vec![supernode()],
    };
    let (link, file) = (link.to_string(), network.to_file(&key(1)));
    assert!(link.parse::<Link>().is_ok() && Network::from_file(&file).is_ok());
    // A mutated link does not get past its check bytes: its body is fed on its own.
    let body = encode_body(&link.parse::<Link>().expect("valid"));
    let corpus = [link.into_bytes(), file.into_bytes(), body];
    mutator::run(6, &corpus, fuzz::text);
}
