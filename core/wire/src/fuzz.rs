//! Fuzz bodies: one plain function per parser of outside bytes. They must return for every input; `tests/it/fuzz.rs` runs
//! them over mutated valid inputs, and `cargo fuzz` can call them as they are.

use crate::card::SignedCard;
use crate::chat::{CHAT_FRAME_MAX, ChatFrame};
use crate::content::long::Long;
use crate::content::{Body, Content, Text, markup, message_id};
use crate::credential::Credential;
use crate::discovery;
use crate::envelope;
use crate::frame;
use crate::group::Record;
use crate::group::leave::Leave;
use crate::http_head::{HEAD_MAX, Head};
use crate::ids::{AccountId, DeviceId, EndpointKey, GroupId, MessageId, NetworkId};
use crate::invitation;
use crate::limits::{ABOUT_MAX, VOICE_MS_MAX};
use crate::link::Link;
use crate::name_log::{Equivocation, Page};
use crate::name_query::NameReply;
use crate::network::Network;
use crate::overlay::{QUESTION_MAX, Question, REPLY_MAX, Reply, WORD_MAX, Word};
use crate::packet::Packets;
use crate::pairing::{Doors, FROM_OWNER_MAX, PairingFrame, PairingLink, Secret};
use crate::peer::{LINK_FRAME_MAX, LinkFrame};
use crate::postage::{ContactsKey, Postage};
use crate::presence::{self, Sealed};
use crate::profile::{Introduction, PROFILE_FRAME_MAX, Picture, ProfileFrame};
use crate::record::{self, DeviceRecord, Signed, SignedRecord};
use crate::registration::Place;
use crate::rescue;
use crate::shown_name::shown_lines;
use crate::supernode::{Answer, Notice, REQUEST_MAX, Request, relay_address};
use crate::sync::item::Item;
use crate::sync::{FIELD_MAX, SYNC_FRAME_MAX, SyncFrame, VALUE_MAX};
use crate::tunnel::{self, Standing, Tunnel};

/// Requests, answers and notices of a supernode.
pub fn supernode(data: &[u8]) {
    if let Ok(request) = frame::decode_body::<Request>(data, REQUEST_MAX) {
        let _ = request.check();
        if let Request::Register(registration) = request {
            let place = Place {
                door: EndpointKey([7; 32]),
                supernode: EndpointKey([8; 32]),
            };
            let _ = registration.verify(place, 1_800_000_000);
        } else if let Request::End(ending) = request {
            let _ = ending.verify(1_800_000_000);
        }
    }
    postage(data);
    if let Ok(Answer::Presence(sightings)) = frame::decode_body::<Answer>(data, REQUEST_MAX) {
        for sighting in sightings {
            let _ = sighting.is_whole();
        }
    }
    presence::fuzz_inside(data);
    let _ = Sealed(data.to_vec()).open(EndpointKey([7; 32]), &[5; 32]);
    let _ = frame::decode_body::<Notice>(data, REQUEST_MAX);
}

/// What a letter shows where it is left, and where it is collected.
fn postage(data: &[u8]) {
    let shown = |postage: &Postage, envelope: &[u8]| match postage {
        Postage::Work(work) => {
            assert!(work.bits(AccountId([7; 32]), envelope) <= 64);
            let _ = work.is_fresh(1_800_000_000);
        }
        Postage::Contact(mark) => {
            let _ = ContactsKey([8; 32]).mark(envelope) == *mark;
        }
    };
    if let Ok(Request::Deposit {
        postage, envelope, ..
    }) = frame::decode_body(data, REQUEST_MAX)
    {
        shown(&postage, &envelope);
    }
    if let Ok(Answer::Envelopes { letters, .. }) = frame::decode_body(data, REQUEST_MAX) {
        for letter in letters {
            shown(&letter.postage, &letter.envelope);
        }
    }
}

/// What is inside a rescue copy, of an account whose signing key has this seed.
pub fn rescue(data: &[u8]) {
    let signing = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let key = signing.verifying_key().to_bytes();
    let _ = rescue::read_inside(data, AccountId([7; 32]), &key);
    let _ = rescue::open(data, AccountId([7; 32]), &signing, &key);
}

/// What is inside an invitation, and a sealed one, for the device whose key has this seed.
pub fn invitation(data: &[u8]) {
    let own = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
    let device = DeviceId(own.verifying_key().to_bytes());
    let opened = invitation::read_inside(data, device).ok();
    for opened in opened.into_iter().chain(invitation::open(data, &own).ok()) {
        assert!(opened.invitation.earlier.len() <= invitation::EARLIER_MAX);
    }
}

/// What supernodes say to each other.
pub fn overlay(data: &[u8]) {
    let _ = frame::decode_body::<Question>(data, QUESTION_MAX);
    if let Ok(Reply::Names(NameReply::Found(found))) = frame::decode_body(data, REPLY_MAX) {
        let network = NetworkId([8; 32]);
        let _ = found.iter().all(|one| one.verify(network).is_ok());
    }
    if let Ok(Reply::Description(signed)) = frame::decode_body(data, QUESTION_MAX) {
        let _ = signed.verify(None, 1_800_000_000);
    }
    if let Ok(word) = frame::decode_body::<Word>(data, WORD_MAX) {
        let _ = word.fits();
    }
    let own = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let _ = Packets::new(own).open(data, 1_800_000_000_000);
}

/// Records of every kind, through all of their checks, in the network whose owner's key has this seed; and what is sealed in
/// a device's.
pub fn records(data: &[u8]) {
    let owner = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let network = NetworkId(owner.verifying_key().to_bytes());
    if let Ok(record) = frame::decode_body::<SignedRecord>(data, crate::limits::RECORD_MAX) {
        let verified = record.verify(Some(network), 1_800_000_000);
        assert!(verified.is_err() || record.encoded_len() <= crate::limits::RECORD_MAX);
    }
    if let Ok(device) = frame::decode_body::<Signed<DeviceRecord>>(data, crate::limits::RECORD_MAX)
        && let Ok(verified) = device.verify_in(None, 1_800_000_000)
    {
        let _ = verified.open(&[8; 32]);
    }
    record::device::fuzz_inside(data);
}

/// Pages of a registrar's log, and proofs against one.
pub fn name_log(data: &[u8]) {
    let owner = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let network = NetworkId(owner.verifying_key().to_bytes());
    if let Ok(page) = frame::decode_body::<Page>(data, crate::limits::FRAME_MAX) {
        let _ = page.verify(network);
    }
    if let Ok(proof) = frame::decode_body::<Equivocation>(data, crate::limits::FRAME_MAX) {
        let _ = proof.verify(network);
    }
}

/// Frames between two front doors.
pub fn link_frame(data: &[u8]) {
    if let Ok(LinkFrame::Meet { inner } | LinkFrame::Met { inner }) =
        frame::decode_body(data, LINK_FRAME_MAX)
    {
        let _ = inner.fits();
    }
}

/// What contacts tell each other of their profiles, and what stands beside a request.
pub fn profile(data: &[u8]) {
    let introduction = frame::decode_body::<Introduction>(data, crate::limits::ENVELOPE_MAX);
    let _ = introduction.map(|introduction| introduction.check());
    match frame::decode_body(data, PROFILE_FRAME_MAX) {
        Ok(ProfileFrame::Tell(told)) => {
            let checked = told.check(1_800_000_000_000);
            let about = told.about.value.unwrap_or_default();
            assert!(checked.is_err() || shown_lines(&about).len() <= ABOUT_MAX);
        }
        Ok(ProfileFrame::Picture(bytes)) => {
            let announced = Picture::of(&bytes);
            assert!(announced.is_none_or(|picture| picture.check(&bytes).is_ok()));
        }
        _ => {}
    }
}

/// Chat frames.
pub fn chat(data: &[u8]) {
    if let Ok(frame) = frame::decode_body::<ChatFrame>(data, CHAT_FRAME_MAX) {
        let _ = frame.check();
    }
}

/// What messages say, down to how a text is shown; and any bytes as the parts of a long one.
pub fn content(data: &[u8]) {
    let long = Long {
        size: u32::try_from(data.len()).unwrap_or(u32::MAX),
        parts: vec![MessageId([1; 16])],
    };
    let _ = long.join(&[data]).map(|body| shown(&body));
    let Ok(content) = Content::read(data) else {
        return;
    };
    assert_eq!(content.write().as_deref(), Ok(data), "one form");
    assert_eq!(
        content.id(AccountId([7; 32])),
        message_id(AccountId([7; 32]), data)
    );
    shown(&content.body);
}

/// What a group agrees on, and what stands beside a commit.
pub fn group(data: &[u8]) {
    if let Ok(record) = Record::read(data) {
        assert_eq!(record.write().as_deref(), Ok(data), "one form");
        let all = record
            .roles()
            .all(|(account, role)| record.role(account) == role);
        assert!(all);
    }
    if let Ok(leaves) = Leave::read_list(data) {
        assert_eq!(Leave::write_list(&leaves), data, "one form");
        let _ = leaves.iter().all(|leave| leave.is_signed(GroupId([7; 32])));
    }
}

fn shown(body: &Body) {
    match body {
        Body::Text(Text { words, .. }) | Body::Edit { words, .. } => {
            assert!(!markup::blocks(words).is_empty());
        }
        Body::Voice(voice) => assert!(voice.duration_ms() <= VOICE_MS_MAX),
        _ => {}
    }
}

/// Sealed envelopes, and what is inside one: no mutated envelope gets past its tag.
pub fn envelope(data: &[u8]) {
    let _ = envelope::open(data, AccountId([7; 32]), &[8; 32]);
    let _ = envelope::read_inside(data, AccountId([7; 32]));
}

/// Contact cards, through all of their checks.
pub fn card(data: &[u8]) {
    if let Ok(card) = frame::decode_body::<SignedCard>(data, crate::limits::ENVELOPE_MAX) {
        let _ = card.verify();
    }
}

/// What a device shows in a group: verified only as the bytes that it would write itself.
pub fn credential(data: &[u8]) {
    if let Ok(credential) = Credential::read(data) {
        let _ = credential.verify();
        assert_eq!(Credential::read(&credential.to_bytes()), Ok(credential));
    }
}

/// Links and network files.
pub fn text(data: &[u8]) {
    let _ = Link::read_body(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<Link>();
        let _ = Network::from_file(text);
    }
}

/// Links for new devices and what is said when one joins, through all checks.
pub fn pairing(data: &[u8]) {
    let _ = PairingLink::read_body(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<PairingLink>();
    }
    let doors = Doors {
        owner: EndpointKey([7; 32]),
        newcomer: EndpointKey([8; 32]),
    };
    match frame::decode_body(data, FROM_OWNER_MAX) {
        Ok(PairingFrame::Hello(hello)) => {
            let secret = Secret::new([9; 16]);
            let _ = hello.verify(&secret, doors);
            let _ = hello.words(&secret, doors, &[1; 32], &[2; 32]);
        }
        Ok(PairingFrame::Welcome(welcome)) => {
            let device = welcome.card.card.chain.entries.last();
            let device = device.map(|entry| match entry.change {
                crate::account::Change::AddDevice { device, .. } => device,
                _ => DeviceId([0; 32]),
            });
            let _ = welcome.verify(device.unwrap_or(DeviceId([0; 32])));
        }
        _ => {}
    }
}

/// What own devices tell each other, down to what an entry says.
pub fn sync(data: &[u8]) {
    match frame::decode_body(data, SYNC_FRAME_MAX) {
        Ok(SyncFrame::Card { card, .. }) => {
            let _ = card.verify();
        }
        Ok(SyncFrame::Entries(entries)) => {
            for entry in entries {
                let value = entry.value.as_deref();
                if Item::read(&entry.key, value).is_ok() {
                    assert!(entry.key.field.len() <= FIELD_MAX);
                    assert!(value.is_none_or(|value| value.len() <= VALUE_MAX));
                }
                let _ = (entry.fits(), entry.version());
            }
        }
        _ => {}
    }
}

/// Names of services announced on the local network.
pub fn service_name(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(token) = discovery::from_service_name(name) {
        assert!(name.starts_with(&data_encoding::HEXLOWER.encode(&token)));
    }
}

/// What a supernode reads of a `CONNECT`: the address, a line break, the ticket.
pub fn connect(data: &[u8]) {
    let Some(at) = data.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let Some(Ok(target)) = std::str::from_utf8(&data[..at]).ok().map(tunnel::target) else {
        return;
    };
    let standing = Standing {
        private: false,
        asker: target.ip(),
    };
    let _ = standing.may_reach(target);
    let supernode = EndpointKey([8; 32]);
    let _ = Tunnel { supernode, target }.door(&data[at + 1..]);
}

/// The head of an HTTP message: a request's and an answer's.
pub fn http_head(data: &[u8]) {
    let Some(head) = Head::read(data) else {
        return;
    };
    let _ = head.connect().and_then(relay_address);
    let _ = head.status();
    assert!(head.fields("Proxy-Authenticate").count() < HEAD_MAX);
}
