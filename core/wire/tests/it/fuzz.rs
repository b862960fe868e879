//! Each fuzz body over mutated inputs of its committed corpus.

use ed25519_dalek::SigningKey;
use starling_wire::account::{Chain, Change, sign};
use starling_wire::card::{Card, Door, DoorKeys, SignedCard};
use starling_wire::chat::{ChatFrame, ChatMessage};
use starling_wire::descriptor::{Descriptor, Roles};
use starling_wire::envelope::{self, Letter, Sender, request_key, seal};
use starling_wire::file::fuzz::{fuzz_file, fuzz_name};
use starling_wire::file::{FileFrame, Offer, Pull, PullAnswer, ReceiverState};
use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::ids::{
    AccountId, DeviceId, EndpointKey, MessageId, NetworkId, SubscriptionId, TransferId,
};
use starling_wire::link::{Link, Target};
use starling_wire::name::Name;
use starling_wire::name_log::Position;
use starling_wire::network::Network;
use starling_wire::overlay::{Question, Reply, Word};
use starling_wire::peer::{InnerAddr, LinkFrame};
use starling_wire::placement::IndexKey;
use starling_wire::postage::ContactsKey;
use starling_wire::presence::{SEALED, Sealed, Sighting};
use starling_wire::record::device::DeviceHome;
use starling_wire::record::gateways::{Gateway, Publisher};
use starling_wire::record::registrar::Registrar;
use starling_wire::record::{
    AccountRecord, Content, DeviceRecord, GatewaysRecord, LogHead, NameRecord, Signed, SignedRecord,
};
use starling_wire::registration::{Place, Registration};
use starling_wire::speaker::Recovery;
use starling_wire::supernode::{
    Answer, Notice, Ports, Reached, Refusal, Request, SupernodeAddr, Watch,
};
use starling_wire::tunnel::Tunnel;

use crate::{corpus, mutator};

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

fn record() -> Signed<AccountRecord> {
    AccountRecord {
        by: chain().speaker(),
        head: chain().head(),
        request_key: [6; 32],
        home: vec![supernode()],
        sequence: 1_800_000_000,
        expires: 1_800_000_100,
    }
    .sign(&key(1))
}

/// Of somebody who has entered the 24 words.
fn recovered_record() -> Signed<AccountRecord> {
    let record = AccountRecord {
        by: recovered_chain().speaker(),
        head: recovered_chain().head(),
        ..record().record
    };
    record.sign(&key(5))
}

const SEQUENCE: u64 = 1_800_000_000;
const EXPIRES: u64 = SEQUENCE + 100;

fn device_record() -> Signed<DeviceRecord> {
    let publisher = key(11).verifying_key().to_bytes();
    let sealed = home().seal(&publisher, &[8; 32], [9; 32]);
    let record = DeviceRecord {
        publisher,
        sealed: sealed.expect("it is short"),
        sequence: SEQUENCE,
        expires: EXPIRES,
    };
    record.sign(&key(11))
}

fn home() -> DeviceHome {
    DeviceHome {
        home: vec![supernode(); 2],
        request_key: [6; 32],
    }
}

/// One record of every other kind, in the network of `key(1)`.
fn vouched_for() -> [(&'static str, SignedRecord); 4] {
    let network = NetworkId(key(1).verifying_key().to_bytes());
    let registrar = Registrar::appoint(
        &key(1),
        AccountId([5; 32]),
        key(12).verifying_key().to_bytes(),
        EXPIRES,
    );
    let name = NameRecord {
        registrar: registrar.clone(),
        name: Name::typed("alice").expect("it is one"),
        account: Some(chain().id()),
        sequence: SEQUENCE,
        expires: EXPIRES,
    };
    let head = LogHead {
        registrar: registrar.clone(),
        position: Position::sign(&registrar, (7, [5; 32]), SEQUENCE, &key(12)),
        sequence: SEQUENCE,
        expires: EXPIRES,
    };
    let gateways = |by| GatewaysRecord {
        by,
        gateways: vec![Gateway {
            account: chain().id(),
            prefixes: vec!["49".into(), "4930".into()],
        }],
        sequence: SEQUENCE,
        expires: EXPIRES,
    };
    let own = gateways(Publisher::Gateway(chain().speaker()));
    let owners = gateways(Publisher::Owner(network));
    [
        ("name", name.sign(&key(12)).into()),
        ("log-head", head.sign(&key(12)).into()),
        ("gateways", owners.sign(&key(1)).into()),
        ("gateway", own.sign(&key(1)).into()),
    ]
}

/// Of all five kinds, each valid: a seed that is not would leave everything behind its first check untried.
fn records() -> Vec<(&'static str, Vec<u8>)> {
    let network = NetworkId(key(1).verifying_key().to_bytes());
    let own: [(_, SignedRecord); 3] = [
        ("account", record().into()),
        ("recovered-account", recovered_record().into()),
        ("device", device_record().into()),
    ];
    let all = own.into_iter().chain(vouched_for());
    all.map(|(name, record)| {
        let verified = record.verify(Some(network), SEQUENCE);
        assert!(verified.is_ok(), "{name}: {verified:?}");
        (name, encode_body(&record))
    })
    .collect()
}

fn registration() -> Registration {
    let place = Place {
        door: EndpointKey([7; 32]),
        supernode: EndpointKey([8; 32]),
    };
    Registration::new(record(), chain(), &key(3), place, ContactsKey([4; 32]))
}

fn own_card() -> Card {
    Card {
        chain: chain(),
        network: Some(NetworkId([5; 32])),
        name: "Bob".into(),
        request_key: [6; 32],
        discovery_key: [7; 32],
        sequence: 1_800_000_000,
    }
}

fn doors() -> Vec<Door> {
    let keeper = DoorKeys {
        account: chain().id(),
        device: &key(3),
        door: &key(4),
    };
    vec![Door::new(&keeper, vec![supernode()], 1_800_000_000)]
}

fn card() -> SignedCard {
    own_card().sign(&key(1), doors())
}

/// The 24 words were entered, then another device was added.
fn recovered_chain() -> Chain {
    let mut chain = chain();
    let recover = Change::Recover {
        word: Recovery::new(&key(2), chain.id(), 1, &key(5).verifying_key()),
        device: device(),
        name: "found again".into(),
    };
    chain.append(&key(2), recover);
    let add = Change::AddDevice {
        device: DeviceId([4; 32]),
        name: "phone".into(),
        owner: false,
    };
    chain.append(&key(5), add);
    chain
}

fn recovered_card() -> SignedCard {
    let card = Card {
        chain: recovered_chain(),
        ..own_card()
    };
    card.sign(&key(5), doors())
}

/// An envelope, and what lies inside it (card, stamp, letter, signature), in the order of their fields.
fn letter() -> [Vec<u8>; 2] {
    let to = AccountId([7; 32]);
    let letter = Letter::request("Hi");
    let stamp = (device(), 9_u64, 5_u64);
    let mut message = b"starling 1 letter".to_vec();
    message.extend_from_slice(&encode_body(&(to, stamp, &letter)));
    let inside = (card(), stamp, &letter, sign(&key(3), &message));
    let inside = encode_body(&inside);
    let device = key(3);
    let sender = Sender {
        key: &device,
        card: card(),
        number: 9,
    };
    let sealed = seal(sender, to, &request_key(&[8; 32]), letter, 5, [9; 32]);
    [sealed.expect("it is short"), inside]
}

pub fn inner() -> InnerAddr {
    InnerAddr {
        endpoint: EndpointKey([7; 32]),
        home: Some(supernode()),
        direct: ["192.0.2.1:5000", "[2001:db8::1]:5000"]
            .map(|address| address.parse().expect("an address"))
            .to_vec(),
    }
}

#[test]
fn files() {
    let id = TransferId([1; 16]);
    let made = [
        (
            "offer",
            encode_body(&FileFrame::Offer(Offer {
                id,
                name: "holiday.jpg".into(),
                size: 1 << 30,
                root: [5; 32],
                sent_at: 1_800_000_000_000,
            })),
        ),
        (
            "state",
            encode_body(&FileFrame::State {
                id,
                state: ReceiverState::Accepted,
            }),
        ),
        ("withdraw", encode_body(&FileFrame::Withdraw { id })),
        (
            "pull",
            encode_body(&Pull {
                id,
                start: 256,
                end: 512,
            }),
        ),
        ("pull-answer", encode_body(&PullAnswer::Changed)),
    ];
    mutator::run(2, &corpus::committed("files", &made), fuzz_file);
}

#[test]
fn file_names() {
    let made = [
        ("up", "../../etc/passwd"),
        ("reserved", "C:\\Windows\\con.txt"),
        ("dots", " . . name.tar.gz . "),
        ("backwards", "photo\u{202e}gpj.exe"),
        ("marks", "名前 é\u{301}.pdf"),
        ("port", "lpt¹"),
    ]
    .map(|(title, name)| (title, name.as_bytes().to_vec()));
    mutator::run(3, &corpus::committed("file-names", &made), fuzz_name);
}

/// What is said about becoming a supernode.
fn promotion() -> [(&'static str, Vec<u8>); 5] {
    [
        (
            "dial-back",
            encode_body(&Request::DialBack(Ports {
                tcp: 27474,
                udp: 27474,
            })),
        ),
        (
            "upstream",
            encode_body(&Request::Upstream {
                filler: vec![1; 40],
            }),
        ),
        ("willing", encode_body(&Request::Willing(true))),
        (
            "reached",
            encode_body(&Answer::Reached(Reached {
                ip: supernode().tcp.ip(),
                tcp: true,
                udp: false,
            })),
        ),
        (
            "load",
            encode_body(&Notice::Load {
                percent: 80,
                candidates: 300,
            }),
        ),
    ]
}

#[test]
fn supernodes_and_front_doors() {
    let account = AccountId([3; 32]);
    let made = [
        (
            "register",
            encode_body(&Request::Register(Box::new(registration()))),
        ),
        ("record", encode_body(&Answer::Record(Some(record())))),
        ("lookup", encode_body(&Request::Lookup { account })),
        (
            "publish",
            encode_body(&Request::Publish(Box::new(record().into()))),
        ),
        ("find", encode_body(&Request::Find(IndexKey([5; 32])))),
        (
            "found",
            encode_body(&Answer::Found(Some(Box::new(device_record().into())))),
        ),
        (
            "watch",
            encode_body(&Request::Watch(Watch {
                list: 1,
                ids: [4, 5, 6].map(|byte| SubscriptionId([byte; 16])).to_vec(),
                reply_to: supernode(),
            })),
        ),
        (
            "presence",
            encode_body(&Answer::Presence(vec![Sighting::Here(Sealed(vec![
                1;
                SEALED
            ]))])),
        ),
        ("refused", encode_body(&Answer::Refused(Refusal::Full))),
        (
            "notice",
            encode_body(&Notice::Presence(vec![(
                SubscriptionId([4; 16]),
                Sighting::Nothing,
            )])),
        ),
        ("meet", encode_body(&LinkFrame::Meet { inner: inner() })),
    ];
    let made: Vec<_> = made.into_iter().chain(promotion()).collect();
    mutator::run(4, &corpus::committed("supernodes", &made), |data| {
        fuzz::supernode(data);
        fuzz::link_frame(data);
    });
}

#[test]
fn supernodes_among_themselves() {
    let described = Descriptor {
        at: SupernodeAddr {
            id: EndpointKey(key(9).verifying_key().to_bytes()),
            ..supernode()
        },
        udp_port: 27474,
        packet_port: 27475,
        network: None,
        roles: Roles::default(),
        clients_max: 10_000,
        load: 50,
        issued: 1_800_000_000,
    }
    .sign(&key(9));
    assert!(described.verify(None, 1_800_000_000).is_ok());
    let index_key = IndexKey([5; 32]);
    let made = [
        ("ask", encode_body(&Question::Record(index_key))),
        (
            "put",
            encode_body(&Question::Put(Box::new(record().into()))),
        ),
        (
            "description",
            encode_body(&Reply::Description(Box::new(described.clone()))),
        ),
        ("gossip", encode_body(&Word::Gossip(vec![7; 40]))),
        ("digest", encode_body(&Word::Digest(vec![1; 128]))),
        ("listed", encode_body(&Word::Listed(vec![(described, 3)]))),
        ("compare", encode_body(&Word::Compare(vec![(index_key, 7)]))),
    ];
    mutator::run(10, &corpus::committed("overlay", &made), fuzz::overlay);
}

#[test]
fn records_cards_and_envelopes() {
    let [sealed, inside] = letter();
    // A seed that is not valid would leave everything behind its first check untried.
    assert!(envelope::open(&sealed, AccountId([7; 32]), &[8; 32]).is_ok());
    assert!(card().verify().is_ok() && recovered_card().verify().is_ok());
    assert!(sealed.len() > inside.len() && sealed.len() - inside.len() == 1 + 32 + 16);
    let made = [
        ("device-alone", encode_body(&device_record())),
        ("device-home", encode_body(&home())),
        ("card", encode_body(&card())),
        ("recovered-card", encode_body(&recovered_card())),
        ("envelope", sealed),
        ("inside", inside),
    ];
    let made: Vec<_> = made.into_iter().chain(records()).collect();
    mutator::run(7, &corpus::committed("records", &made), |data| {
        fuzz::records(data);
        fuzz::card(data);
        fuzz::envelope(data);
    });
}

#[test]
fn chat() {
    let made = [
        (
            "message",
            encode_body(&ChatFrame::Message(ChatMessage {
                id: MessageId([1; 16]),
                sent_at: 1_800_000_000_000,
                text: "Grüße".into(),
            })),
        ),
        (
            "receipt",
            encode_body(&ChatFrame::Receipt {
                ids: vec![MessageId([1; 16]); 3],
            }),
        ),
    ];
    mutator::run(5, &corpus::committed("chat", &made), fuzz::chat);
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
    let made = [
        ("link", link.into_bytes()),
        ("network-file", file.into_bytes()),
        ("link-body", body),
    ];
    mutator::run(6, &corpus::committed("texts", &made), fuzz::text);
}

#[test]
fn names_of_announced_services() {
    let made = [
        (
            "token",
            "00112233445566778899aabbccddeeff._starling._tcp.local.",
        ),
        (
            "upper-case",
            "00112233445566778899AABBCCDDEEFF._starling._tcp.local.",
        ),
        ("person", "Alice's laptop._starling._tcp.local."),
        ("no-label", "._starling._tcp.local."),
    ]
    .map(|(title, name)| (title, name.as_bytes().to_vec()));
    let corpus = corpus::committed("service-names", &made);
    mutator::run(8, &corpus, fuzz::service_name);
}

#[test]
fn tunnels_asked_for() {
    let target = "203.0.113.7:443".parse().expect("an address");
    let supernode = EndpointKey([8; 32]);
    let ticket = Tunnel { supernode, target }.ticket(&key(7));
    let made = [
        ("valid", format!("{target}\n{ticket}")),
        ("short", format!("{target}\nStarling 00")),
        ("name", format!("relay.example:443\n{ticket}")),
    ]
    .map(|(title, text)| (title, text.into_bytes()));
    mutator::run(9, &corpus::committed("tunnels", &made), fuzz::connect);
}

#[test]
fn heads_of_http_messages() {
    let ticket = "Proxy-Authorization: Basic QQ==";
    let made = [
        (
            "request",
            format!("CONNECT 192.0.2.1:443 HTTP/1.1\r\n{ticket}\r\n\r\n"),
        ),
        ("ok", "HTTP/1.1 200 OK\r\n\r\n".to_owned()),
        (
            "asked",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n\r\n".to_owned(),
        ),
        (
            "name",
            "CONNECT 20010db8000000000000000000000001.ip6.invalid:1 HTTP/1.1\r\n\r\n".to_owned(),
        ),
    ]
    .map(|(title, text)| (title, text.into_bytes()));
    mutator::run(10, &corpus::committed("http-heads", &made), fuzz::http_head);
}
