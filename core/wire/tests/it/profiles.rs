//! The fuzz body of what contacts tell each other of their profiles, over mutated inputs of its committed corpus.

use starling_wire::frame::encode_body;
use starling_wire::fuzz;
use starling_wire::profile::{Document, Introduction, OwnPart, ProfileFrame, Visibility};

use crate::{corpus, mutator};

#[test]
fn profiles() {
    let part = |value: &[u8]| OwnPart {
        number: 1_800_000_000_000,
        visibility: Visibility::Contacts,
        value: Some(value.to_vec()),
    };
    let told = Document::new(
        &part("Sailor.\n\nفارسی \u{202e}".as_bytes()),
        &part(&[7; 40]),
    );
    let introduction = Introduction {
        mood: Some("at sea".into()),
        about: Some("Sailor.".into()),
        avatar: Some(vec![7; 40]),
    };
    let made = [
        ("ask", encode_body(&ProfileFrame::Ask)),
        ("tell", encode_body(&ProfileFrame::Tell(told))),
        ("picture", encode_body(&ProfileFrame::Picture(vec![7; 40]))),
        ("introduction", encode_body(&introduction)),
        ("refused", encode_body(&ProfileFrame::Refused)),
        ("later", encode_body(&ProfileFrame::Later)),
    ];
    mutator::run(15, &corpus::committed("profiles", &made), fuzz::profile);
}
