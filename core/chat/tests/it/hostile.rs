//! A hostile contact: valid frames, damaged at random, in any order. 200,000 inputs or five seconds.

use starling_chat::fuzz;
use starling_wire::chat::ChatFrame;
use starling_wire::content::{Body, Content};
use starling_wire::frame;
use starling_wire::group::leave::Wish;
use starling_wire::ids::MessageId;

use crate::{corpus, message, mutator};

/// A script of the fuzz body: before each frame come a choice of link and time, and the frame's length.
fn script(steps: &[(u8, Option<ChatFrame>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (choice, frame) in steps {
        let body = frame.as_ref().map(frame::encode_body).unwrap_or_default();
        bytes.push(*choice);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

#[test]
fn no_frames_make_a_conversation_panic() {
    let says = |n| Some(ChatFrame::Message(message(n)));
    let receipt = |ids: &[u8]| {
        let ids = ids.iter().map(|n| MessageId([*n; 16])).collect();
        Some(ChatFrame::Receipt { ids })
    };
    // A choice modulo 7: 0 link up, 1 link down, 2 time passes, 3 the store fails, else a frame; modulo 6: the link.
    let made = [
        (
            "talk",
            script(&[
                (0, None),
                (18, says(1)),
                (18, says(2)),
                (60, receipt(&[1, 2])),
                (6, says(1)),
            ]),
        ),
        (
            "links-come-and-go",
            script(&[
                (0, None),
                (7, None),
                (18, says(1)),
                (36, None),
                (25, says(3)),
                (1, None),
            ]),
        ),
        (
            "the-store-fails",
            script(&[
                (0, None),
                (18, says(1)),
                (3, None),
                (9, None),
                (18, says(1)),
            ]),
        ),
        (
            "receipts-for-nothing",
            script(&[(0, None), (18, receipt(&[])), (18, receipt(&[7, 7, 9]))]),
        ),
        (
            "silence",
            script(&[(42, None), (254, None), (254, None), (254, None)]),
        ),
    ];
    let corpus = corpus::committed("conversation", &made);
    mutator::run(27_474, &corpus, fuzz::conversation);
}

/// A script of the fuzz body: who, what, about which message, and what it says.
fn steps(steps: &[(u8, u8, u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (who, what, which, says) in steps {
        bytes.extend([*who, *what, *which, says.len() as u8]);
        bytes.extend(*says);
    }
    bytes
}

#[test]
fn no_messages_make_a_transcript_panic() {
    let raw = Content {
        sent_at: 5,
        predecessors: vec![],
        body: Body::RemoveMe(Wish {
            all_devices: true,
            generation: 1,
            signature: ([1; 32], [2; 32]),
        }),
    };
    let raw = raw.write().unwrap();
    // What divided by four, modulo 6: 0 edit, 1 delete, 2 long, 3 part, 4 read, 5 text; what modulo 4 = 3: the bytes.
    let made = [
        (
            "talk",
            steps(&[
                (1, 20, 0, b"hi"),
                (2, 21, 1, b"ho"),
                (1, 1, 1, b"hey"),
                (2, 4, 1, b""),
                (1, 5, 2, b""),
                (3, 16, 2, b""),
            ]),
        ),
        (
            "changes-before-what-they-change",
            steps(&[
                (1, 2, 0, b"x"),
                (1, 6, 1, b""),
                (2, 20, 2, b"y"),
                (1, 0, 2, b"z"),
            ]),
        ),
        (
            "long-messages",
            steps(&[
                (1, 12, 0, b"\0\x02hi\0\0"),
                (1, 8, 1, b""),
                (2, 9, 1, b""),
                (1, 4, 2, b""),
            ]),
        ),
        (
            "made-by-themselves",
            steps(&[(1, 3, 0, &raw), (1, 3, 0, &raw)]),
        ),
    ];
    let corpus = corpus::committed("transcript", &made);
    mutator::run(27_476, &corpus, fuzz::transcript);
}
