//! Messages there and back, and what is refused.

use proptest::prelude::*;

use super::long::{Written, write};
use super::*;
use crate::group::leave::Wish;
use crate::ids::{DeviceId, EndpointKey};
use crate::limits::{LONG_MAX, PART_MAX, PARTS_MAX};

const ALICE: AccountId = AccountId([0xa1; 32]);
const BOB: AccountId = AccountId([0xb0; 32]);

fn text(text: impl Into<String>) -> Body {
    Body::Text(Text {
        words: Words::new(text),
        reply_to: None,
    })
}

fn content(body: Body) -> Content {
    Content {
        sent_at: 1_795_500_000_000,
        predecessors: vec![MessageId([7; 16])],
        body,
    }
}

fn door() -> Door {
    Door {
        device: DeviceId([1; 32]),
        endpoint: EndpointKey([2; 32]),
        home: Vec::new(),
        sequence: 3,
        proof: ([4; 32], [5; 32]),
        signature: ([6; 32], [7; 32]),
    }
}

fn image() -> Image {
    Image {
        preview: vec![1; 500],
        width: 4_000,
        height: 3_000,
        file: FileRef {
            root: [9; 32],
            size: 4_000_000,
            name: "photo.jpg".into(),
        },
        caption: String::new(),
    }
}

fn body() -> impl Strategy<Value = Body> {
    let id = || any::<[u8; 16]>().prop_map(MessageId);
    let words = || ".{0,50}[a-z]".prop_map(Words::new);
    let emoji = ["👍", "❤️", "👩‍🚀"].map(|emoji| Emoji::new(emoji).expect("an emoji"));
    let emoji = prop::sample::select(emoji.to_vec());
    let sound = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        (words(), prop::option::of(id()))
            .prop_map(|(words, reply_to)| Body::Text(Text { words, reply_to })),
        (id(), words()).prop_map(|(of, words)| Body::Edit { of, words }),
        id().prop_map(|of| Body::Delete { of }),
        (id(), emoji, any::<bool>()).prop_map(|(to, emoji, on)| Body::React { to, emoji, on }),
        (id(), any::<u64>()).prop_map(|(up_to, place)| Body::Read { up_to, place }),
        any::<bool>().prop_map(|on| Body::Typing { on }),
        prop::collection::vec(sound, 1..5).prop_map(|packets| {
            let packets = packets
                .into_iter()
                .map(|packet| [vec![72], packet].concat());
            let packets: Vec<_> = packets.collect();
            Body::Voice(Voice::new(true, packets.iter().map(Vec::as_slice)).expect("a recording"))
        }),
        Just(Body::Image(image())),
        prop::collection::btree_set(any::<[u8; 16]>(), 2..=PARTS_MAX).prop_map(|parts| {
            let size = ((parts.len() - 1) * PART_MAX + 1) as u32;
            let parts = parts.into_iter().map(MessageId).collect();
            Body::Long(Long { size, parts })
        }),
        (
            0..PARTS_MAX as u8,
            prop::collection::vec(any::<u8>(), 1..50)
        )
            .prop_map(|(number, bytes)| Body::Part { number, bytes }),
        Just(Body::Door(Box::new(door()))),
        (any::<bool>(), any::<u32>(), any::<[[u8; 32]; 2]>()).prop_map(
            |(all_devices, generation, [r, s])| {
                Body::RemoveMe(Wish {
                    all_devices,
                    generation,
                    signature: (r, s),
                })
            }
        ),
        prop::collection::btree_set(any::<[u8; 16]>(), 1..=RECEIVED_MAX).prop_map(|ids| {
            let ids = ids.into_iter().map(MessageId).collect();
            Body::Received { ids }
        }),
        prop::collection::btree_set(any::<[u8; 32]>(), 1..=AGAIN_MAX).prop_map(|ids| {
            let entries = ids.into_iter().map(EntryId).collect();
            Body::Again { entries }
        }),
        (2..=u8::MAX, prop::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(version, bytes)| Body::Newer { version, bytes }),
    ]
}

proptest! {
    #[test]
    fn msg_01_what_is_written_is_read(
        body in body(),
        sent_at: u64,
        predecessors in prop::collection::btree_set(any::<[u8; 16]>(), 0..=PREDECESSORS_MAX),
    ) {
        let predecessors = predecessors.into_iter().map(MessageId).collect();
        let content = Content { sent_at, predecessors, body };
        let bytes = content.write().unwrap();
        prop_assert_eq!(Content::read(&bytes).unwrap(), content.clone());
        prop_assert_eq!(content.id(ALICE), message_id(ALICE, &bytes));
    }

    #[test]
    fn msg_01_no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::content(&bytes);
        let with_head = [&[VERSION, 5, 0], &bytes[..]].concat();
        crate::fuzz::content(&with_head);
    }
}

#[test]
fn msg_01_one_message_has_one_form() {
    let bytes = content(text("hi")).write().unwrap();
    assert_eq!(
        Content::read(&[&bytes[..], &[0]].concat()),
        Err(ContentError::Malformed)
    );
    // The number of the body, written longer than it has to be.
    let head = bytes.len() - frame::encode_body(&text("hi")).len();
    let longer = [&bytes[..head], &[0x80, 0x00], &bytes[head + 1..]].concat();
    assert_eq!(Content::read(&longer), Err(ContentError::Malformed));
    assert_eq!(Content::read(&[]), Err(ContentError::Malformed));
    assert_eq!(Content::read(&[0, 0, 0, 0]), Err(ContentError::Malformed));
    assert_eq!(
        Content::read(&vec![1; CONTENT_MAX + 1]),
        Err(ContentError::TooLong)
    );
}

#[test]
fn msg_02_an_id_says_who_wrote_what() {
    let hi = content(text("hi"));
    assert_ne!(hi.id(ALICE), hi.id(BOB));
    assert_ne!(hi.id(ALICE), content(text("ho")).id(ALICE));
    let id = hi.id(ALICE).to_string();
    assert_eq!(
        id, "uhj4j4hlrpc5ta7icwyifqb2ea",
        "as the page says it is made"
    );
}

#[test]
fn msg_03_predecessors_are_few_and_different() {
    let naming = |predecessors| Content {
        predecessors,
        ..content(text("hi"))
    };
    let many = (0..=PREDECESSORS_MAX as u8)
        .map(|n| MessageId([n; 16]))
        .collect();
    assert_eq!(naming(many).write(), Err(ContentError::Predecessors));
    let twice = vec![MessageId([1; 16]); 2];
    assert_eq!(naming(twice).write(), Err(ContentError::Predecessors));
}

#[test]
fn msg_20_a_receipt_is_for_some_messages_each_once() {
    let of = |ids: &[u8]| {
        let ids = ids.iter().map(|n| MessageId([*n; 16])).collect();
        let said = content(Body::Received { ids });
        let bytes = said.bytes();
        assert_eq!(Content::read(&bytes).map(|_| ()), said.write().map(|_| ()));
        assert!(!said.body.is_history());
        said.write().map(|_| ())
    };
    let most: Vec<u8> = (0..RECEIVED_MAX as u8).collect();
    assert_eq!(of(&most), Ok(()));
    assert_eq!(of(&[5]), Ok(()));
    let more: Vec<u8> = (0..=RECEIVED_MAX as u8).collect();
    for odd in [&[][..], &more, &[1, 2, 1]] {
        assert_eq!(of(odd), Err(ContentError::Received));
    }
}

#[test]
fn msg_22_what_is_to_be_said_again_are_some_entries_each_once() {
    let of = |ids: &[u8]| {
        let entries = ids.iter().map(|n| EntryId([*n; 32])).collect();
        let said = content(Body::Again { entries });
        let bytes = said.bytes();
        assert_eq!(Content::read(&bytes).map(|_| ()), said.write().map(|_| ()));
        assert!(!said.body.is_history());
        said.write().map(|_| ())
    };
    let most: Vec<u8> = (0..AGAIN_MAX as u8).collect();
    assert_eq!((of(&most), of(&[5])), (Ok(()), Ok(())));
    let more: Vec<u8> = (0..=AGAIN_MAX as u8).collect();
    for odd in [&[][..], &more, &[1, 2, 1]] {
        assert_eq!(of(odd), Err(ContentError::Again));
    }
}

#[test]
fn msg_04_what_is_newer_is_kept_whole() {
    let old = content(Body::Typing { on: true });
    let bytes = old.write().unwrap();
    let head = bytes.len() - 2;
    for (version, kind) in [
        (2, vec![0, 1, 2]),
        (VERSION, vec![14, 9, 9]),
        (VERSION, vec![0xff, 0xff, 3]),
    ] {
        let newer = [&[version], &bytes[1..head], &kind[..]].concat();
        let read = Content::read(&newer).unwrap();
        assert_eq!(read.predecessors, old.predecessors);
        assert_eq!(
            read.body,
            Body::Newer {
                version,
                bytes: kind
            }
        );
        assert!(read.body.is_history());
        assert_eq!(read.write().unwrap(), newer);
    }
    let last = frame::encode_body(&Body::Again {
        entries: Vec::new(),
    });
    assert_eq!(u32::from(last[0]) + 1, KINDS, "the last kind that is known");
    let damaged = [&bytes[..head], &[5, 7]].concat();
    assert_eq!(
        Content::read(&damaged),
        Err(ContentError::Malformed),
        "no rubbish as something newer"
    );
}

#[test]
fn msg_05_a_text_shows_something() {
    for blank in ["", " \n", "\u{200B}\u{2060}", "\u{202E}\u{0}", "\u{3164}"] {
        assert_eq!(
            content(text(blank)).write(),
            Err(ContentError::Empty),
            "{blank:?}"
        );
    }
    assert!(content(text("✔")).write().is_ok());
    let edit = Body::Edit {
        of: MessageId([1; 16]),
        words: Words::new(" "),
    };
    assert_eq!(content(edit).write(), Err(ContentError::Empty));
}

#[test]
fn msg_06_mentions_stand_in_the_text() {
    let mentioning = |ranges: &[(u32, u32)]| {
        let mention = |(start, end): &(u32, u32)| Mention {
            account: BOB,
            start: *start,
            end: *end,
        };
        let words = Words {
            text: "@Zoë and @Bob".into(),
            mentions: ranges.iter().map(mention).collect(),
        };
        let body = Body::Text(Text {
            words,
            reply_to: None,
        });
        content(body).write().map(drop)
    };
    assert_eq!(mentioning(&[(0, 5), (10, 14)]), Ok(()));
    for wrong in [
        &[(0, 4)][..],
        &[(10, 15)],
        &[(5, 5)],
        &[(5, 0)],
        &[(10, 14), (0, 5)],
        &[(0, 6), (5, 9)],
        &[(0, u32::MAX)],
        &[(0, 1); MENTIONS_MAX + 1],
    ] {
        assert_eq!(mentioning(wrong), Err(ContentError::Mentions), "{wrong:?}");
    }
}

#[test]
fn msg_09_pictures_are_bounded() {
    type Damage = fn(&mut Image);
    let damages: [Damage; 6] = [
        |image| image.preview.clear(),
        |image| image.preview = vec![0; PREVIEW_MAX + 1],
        |image| image.width = 0,
        |image| image.file.name = "n".repeat(FILE_NAME_MAX + 1),
        |image| image.file.size = FILE_SIZE_MAX + 1,
        |image| image.caption = "c".repeat(CAPTION_MAX + 1),
    ];
    for damage in damages {
        let mut image = image();
        damage(&mut image);
        assert_eq!(
            content(Body::Image(image)).write(),
            Err(ContentError::Image)
        );
    }
}

#[test]
fn msg_10_a_long_text_is_cut_and_put_together() {
    // The same piece again and again: the parts are still different messages.
    let said = text("x".repeat(TEXT_MAX));
    let written = write(ALICE, content(said.clone())).unwrap();
    assert_eq!(written.len(), PARTS_MAX + 1);
    let Some((Written { content: last, .. }, parts)) = written.split_last() else {
        panic!("parts");
    };
    let Body::Long(long) = &last.body else {
        panic!("a long message");
    };
    let bytes: Vec<&[u8]> = parts
        .iter()
        .map(|part| match &part.content.body {
            Body::Part { bytes, .. } => bytes.as_slice(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(long.join(&bytes), Ok(said));
    assert_eq!(long.join(&bytes[1..]), Err(ContentError::Parts));
    for part in &written {
        assert_eq!(Content::read(&part.bytes).unwrap(), part.content);
        assert_eq!(part.id, part.content.id(ALICE));
    }
    assert_eq!(
        write(ALICE, content(text("x".repeat(TEXT_MAX + 1)))),
        Err(ContentError::TooLong)
    );
    assert_eq!(write(ALICE, content(text("short"))).unwrap().len(), 1);
    let edit = Body::Edit {
        of: MessageId([1; 16]),
        words: Words::new("x".repeat(CONTENT_MAX)),
    };
    assert_eq!(write(ALICE, content(edit)), Err(ContentError::TooLong));
}

#[test]
fn msg_10_parts_of_nonsense_make_nothing() {
    let id = |n| MessageId([n; 16]);
    let long = |size: usize, parts: Vec<MessageId>| {
        let size = size as u32;
        content(Body::Long(Long { size, parts })).write().map(drop)
    };
    assert_eq!(long(PART_MAX + 1, vec![id(1), id(2)]), Ok(()));
    for (size, parts) in [
        (PART_MAX, vec![id(1)]),
        (0, vec![]),
        (PART_MAX + 1, vec![id(1), id(1)]),
        (PART_MAX + 1, vec![id(1), id(2), id(3)]),
        (LONG_MAX + 1, (0..PARTS_MAX as u8).map(id).collect()),
        (usize::MAX, vec![id(1); 3_000]),
    ] {
        assert_eq!(long(size, parts), Err(ContentError::Parts));
    }
    let nested = frame::encode_body(&Body::Typing { on: true });
    let outer = Long {
        size: nested.len() as u32,
        parts: vec![id(1)],
    };
    assert_eq!(outer.join(&[&nested]), Err(ContentError::Parts));
    let empty = Body::Part {
        number: 0,
        bytes: vec![],
    };
    assert_eq!(content(empty).write(), Err(ContentError::Parts));
}

#[test]
fn msg_11_a_door_stands_where_somebody_can_answer() {
    assert!(content(Body::Door(Box::new(door()))).write().is_ok());
    let supernode = crate::supernode::SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp: "0.0.0.0:0".parse().unwrap(),
        discovery_port: 27_476,
    };
    let nowhere = Door {
        home: vec![supernode],
        ..door()
    };
    assert_eq!(
        content(Body::Door(Box::new(nowhere))).write(),
        Err(ContentError::Door)
    );
}
