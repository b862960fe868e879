//! A hostile contact: valid frames, damaged at random, in any order. 200,000 inputs or five seconds.

use starling_chat::fuzz;
use starling_wire::chat::ChatFrame;
use starling_wire::frame;
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
