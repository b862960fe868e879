//! Alice's profile with something of everything, for looking at the pages and for the documents' picture.

use std::time::{SystemTime, UNIX_EPOCH};

use starling_control::view::*;

use crate::window_peer::{BOB, CAROL, LINK, NOON, Script, alice, contact, message};

const MINUTE: u64 = 60_000;

/// The profile.
pub fn lively() -> Script {
    let mut script = alice();
    script.status = status(script.status);
    script.contacts = contacts();
    script.requests = vec![ContactRequest {
        id: CAROL.into(),
        name: "Carol".into(),
        message: "Hi Alice, it is Carol from the choir.".into(),
        at: NOON,
        ..ContactRequest::default()
    }];
    script.messages = messages();
    script.transfers = vec![
        file("t1", "sunday-photos.zip", true, TransferState::Running, 3),
        file(
            "t2",
            "concert-program.pdf",
            false,
            TransferState::Offered,
            10,
        ),
        file("t3", "bridge.jpg", false, TransferState::Done, 1),
    ];
    script.calls = calls();
    script
}

fn status(plain: Status) -> Status {
    let address = "192.0.2.9:27474";
    Status {
        supernode: Some(SupernodeStatus {
            id: "s1".into(),
            address: address.into(),
            connected: true,
            words: "connected".into(),
            own: false,
        }),
        network: Some(Network {
            id: Some("net0".into()),
            name: "Our family".into(),
            supernodes: vec![address.into()],
            owner: true,
            file: Some("starling-network 1\nname Our family\n".into()),
            link: Some(LINK.into()),
        }),
        roles: vec![Role {
            name: "supernode".into(),
            on: false,
            words: "not asked for".into(),
            ..Role::default()
        }],
        listening: vec!["27474/udp".into(), "27474/tcp".into()],
        paths: vec![PathView {
            who: "Bob".into(),
            purpose: "call".into(),
            kind: "direct".into(),
            remote: "198.51.100.4:27474".into(),
            rtt_ms: Some(23.4),
        }],
        traffic: vec![Traffic {
            purpose: "own: calls".into(),
            sent: 3_420_000,
            received: 3_380_000,
            ..Traffic::default()
        }],
        warnings: vec!["The key of the store lies beside it, because no keyring was found.".into()],
        online_after_ms: Some(412),
        ..plain
    }
}

fn contacts() -> Vec<Contact> {
    let said = |contact: Contact, text: &str, at: u64| Contact {
        last: starling_control::view::LastMessage {
            last_text: Some(text.into()),
            last_at: Some(at),
        },
        ..contact
    };
    let dana = contact("dana0dddd", "דנה", Presence::Offline);
    let dana = Contact {
        unread: 3,
        ..said(dana, "שלחתי לך את הקובץ report.pdf", NOON + 20 * MINUTE)
    };
    let emil = contact("emil1eeee", "Emil Nørgaard", Presence::Unknown);
    let fay = contact("fay00fffg", "Fay", Presence::Unknown);
    vec![
        said(
            contact(BOB, "Bob", Presence::Online),
            "See you at eight",
            NOON + 51 * MINUTE,
        ),
        dana,
        said(emil, "Thanks!", NOON - 3 * 24 * 60 * MINUTE),
        Contact {
            relation: Relation::Requested,
            ..fay
        },
    ]
}

fn messages() -> Vec<Message> {
    let say = |n: u64, out: bool, text: &str| {
        message(&format!("n{n}"), BOB, "Bob", out, text, NOON + n * MINUTE)
    };
    let mut all = vec![
        say(0, false, "Did the photos from Sunday come out?"),
        say(2, true, "They did. I am sending them over now."),
        say(4, true, "The one on the bridge is my favourite"),
        say(
            9,
            false,
            "Wonderful, thank you! Shall we call tonight and choose some for the album? I would like to print about \
             twenty of them, and you have the better eye for it.",
        ),
        say(
            50,
            true,
            "Yes, see https://example.org/albums for the sizes",
        ),
        say(51, true, "See you at eight"),
    ];
    all[5].delivery = Delivery::Sending;
    all
}

fn file(id: &str, name: &str, outgoing: bool, state: TransferState, minute: u64) -> Transfer {
    Transfer {
        id: id.into(),
        contact: BOB.into(),
        who: "Bob".into(),
        outgoing,
        name: name.into(),
        size: 48_300_000,
        done: 30_100_000,
        rate: 2_900_000,
        state,
        words: String::new(),
        path: Some(format!("/home/alice/Downloads/{name}")),
        at: NOON + minute * MINUTE,
    }
}

fn calls() -> Vec<Call> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64;
    let quality = CallQuality {
        path: "direct".into(),
        rtt_ms: Some(23.4),
        codec: "Opus, 48 kHz".into(),
        ..CallQuality::default()
    };
    let running = Call {
        id: "k1".into(),
        contact: BOB.into(),
        who: "Bob".into(),
        outgoing: true,
        state: CallState::Established,
        words: "in call".into(),
        started_at: NOON,
        answered_at: Some(now - 133_000),
        quality: Some(quality),
        ..Call::default()
    };
    let missed = Call {
        id: "k2".into(),
        contact: BOB.into(),
        who: "Bob".into(),
        words: "no answer".into(),
        started_at: NOON + 40 * MINUTE,
        ..Call::default()
    };
    vec![running, missed]
}
