//! What messages say: the fuzz body over mutated inputs of its committed corpus.

use starling_wire::card::Door;
use starling_wire::content::emoji::Emoji;
use starling_wire::content::long::{Long, write};
use starling_wire::content::voice::Voice;
use starling_wire::content::{Body, Content, FileRef, Image, Mention, Text, Words};
use starling_wire::fuzz;
use starling_wire::group::leave::Wish;
use starling_wire::ids::{AccountId, DeviceId, EndpointKey, EntryId, MessageId};

use crate::{corpus, mutator};

const OTHER: MessageId = MessageId([3; 16]);

fn bodies() -> Vec<(&'static str, Body)> {
    let words = Words {
        text: "*Hi* @Bob, see https://example.org/_x_\n> _so_\n```\ncode\n```".into(),
        mentions: vec![Mention {
            account: AccountId([0xb0; 32]),
            start: 5,
            end: 9,
        }],
    };
    let text = Text {
        words: words.clone(),
        reply_to: Some(OTHER),
    };
    let react = Body::React {
        to: OTHER,
        emoji: Emoji::new("👩‍🚀").expect("an emoji"),
        on: true,
    };
    let read = Body::Read {
        up_to: OTHER,
        place: 1_795_500_000_000,
    };
    let newer = Body::Newer {
        version: 2,
        bytes: vec![1, 2, 3],
    };
    let wish = Wish {
        all_devices: true,
        generation: 3,
        signature: ([4; 32], [5; 32]),
    };
    let said = vec![
        ("text", Body::Text(text)),
        ("edit", Body::Edit { of: OTHER, words }),
        ("delete", Body::Delete { of: OTHER }),
        ("react", react),
        ("read", read),
        ("typing", Body::Typing { on: true }),
        ("remove-me", Body::RemoveMe(wish)),
        ("received", Body::Received { ids: vec![OTHER] }),
        (
            "again",
            Body::Again {
                entries: vec![EntryId([9; 32])],
            },
        ),
        ("newer", newer),
    ];
    said.into_iter().chain(large()).collect()
}

fn large() -> Vec<(&'static str, Body)> {
    let packets = [&[72, 1, 2, 3][..], &[72 | 3, 2, 0]];
    let image = Image {
        preview: vec![0xff, 0xd8, 0xff],
        width: 4_000,
        height: 3_000,
        file: FileRef {
            root: [9; 32],
            size: 4_000_000,
            name: "photo.jpg".into(),
        },
        caption: "The harbour".into(),
    };
    let door = Door {
        device: DeviceId([1; 32]),
        endpoint: EndpointKey([2; 32]),
        home: Vec::new(),
        sequence: 3,
        proof: ([4; 32], [5; 32]),
        signature: ([6; 32], [7; 32]),
    };
    let long = Long {
        size: 70_000,
        parts: vec![OTHER, MessageId([4; 16])],
    };
    let part = Body::Part {
        number: 1,
        bytes: vec![0, 2, b'h', b'i', 0, 0],
    };
    let voice = Voice::new(true, packets).expect("a recording");
    vec![
        ("voice", Body::Voice(voice)),
        ("image", Body::Image(image)),
        ("long", Body::Long(long)),
        ("part", part),
        ("door", Body::Door(Box::new(door))),
    ]
}

#[test]
fn contents() {
    let made: Vec<_> = bodies()
        .into_iter()
        .map(|(name, body)| {
            let content = Content {
                sent_at: 1_795_500_000_000,
                predecessors: vec![MessageId([7; 16]), MessageId([8; 16])],
                body,
            };
            (name, content.write().expect("within bounds"))
        })
        .collect();
    mutator::run(20, &corpus::committed("contents", &made), fuzz::content);
}

/// What a long message is put together from is read without the head.
#[test]
fn msg_10_whatever_parts_hold() {
    let content = Content {
        sent_at: 0,
        predecessors: Vec::new(),
        body: Body::Text(Text {
            words: Words::new("long ".repeat(20_000)),
            reply_to: None,
        }),
    };
    let written = write(AccountId([1; 32]), content).expect("within bounds");
    let parts: Vec<_> = written
        .into_iter()
        .filter_map(|one| match one.content.body {
            Body::Part { bytes, .. } => Some(bytes[..200].to_vec()),
            _ => None,
        })
        .collect();
    mutator::run(21, &parts, fuzz::content);
}
