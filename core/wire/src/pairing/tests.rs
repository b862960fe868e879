//! Links that were copied badly, introductions of others, words that must differ, welcomes with something wrong in them.

use proptest::prelude::*;

use super::*;
use crate::account::{Chain, Change};
use crate::card::Card;
use crate::envelope::request_key;
use crate::ids::NetworkId;
use crate::limits::{CHAIN_ENTRIES_MAX, DEVICES_MAX, SUPERNODES_MAX};
use crate::link::Link;

const DOORS: Doors = Doors {
    owner: EndpointKey([1; 32]),
    newcomer: EndpointKey([2; 32]),
};
const NUMBER: [u8; 32] = [7; 32];

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn device(seed: u8) -> DeviceId {
    DeviceId(key(seed).verifying_key().to_bytes())
}

fn secret() -> Secret {
    Secret::new([5; 16])
}

fn supernode(ip: &str) -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([9; 32]),
        tcp: format!("{ip}:27474").parse().unwrap(),
        discovery_port: 27476,
    }
}

fn link(count: usize) -> PairingLink {
    PairingLink {
        secret: secret(),
        door: DOORS.owner,
        supernodes: vec![supernode("[2001:db8::1234]"); count],
    }
}

fn hello() -> Hello {
    Hello::new(&key(4), "phone".into(), &secret(), DOORS, &NUMBER)
}

/// Of Alice, whose signing key is 1 and whose first device is 3; the phone is 4.
fn card(owner: bool) -> Card {
    let recovery = key(2).verifying_key();
    let mut chain = Chain::create(&key(1), &recovery, [0; 16], device(3), "laptop");
    let phone = Change::AddDevice {
        device: device(4),
        name: "phone".into(),
        owner,
    };
    chain.append(&key(1), phone);
    Card {
        chain,
        network: None,
        name: "Alice".into(),
        request_key: request_key(&[8; 32]),
        discovery_key: [0; 32],
        sequence: 1,
    }
}

fn welcome(owner: bool) -> Welcome {
    Welcome {
        card: card(owner).sign(&key(1), Vec::new()),
        request_secret: [8; 32],
        signing_key: owner.then_some([1; 32]),
        network: "Family".into(),
        supernodes: vec![supernode("192.0.2.7")],
    }
}

proptest! {
    #[test]
    fn pair_01_no_text_makes_it_panic(text in "(starling-device:)?[a-zA-Z2-7]{0,300}") {
        let _ = text.parse::<PairingLink>();
    }

    #[test]
    fn pair_01_one_changed_letter_is_noticed(at in 0usize..140, letter in 0u8..26) {
        let text = link(1).to_string();
        let at = DEVICE_SCHEME.len() + at;
        let mut damaged = text.clone().into_bytes();
        damaged[at] = b'a' + letter;
        let damaged = String::from_utf8(damaged).unwrap();
        if damaged != text {
            prop_assert!(damaged.parse::<PairingLink>().is_err());
        }
    }

    /// Whatever differs between the two sides, the words do.
    #[test]
    fn pair_05_any_difference_makes_other_words(which in 0usize..7, bit in 0usize..8) {
        let flip = |mut bytes: [u8; 32]| { bytes[bit] ^= 1; bytes };
        let same = hello().words(&secret(), DOORS, &[3; 32], &NUMBER);
        let (mut hello, mut doors, mut secret) = (hello(), DOORS, secret());
        let (mut owners, mut newcomers) = ([3; 32], NUMBER);
        match which {
            0 => hello.device = DeviceId(flip(hello.device.0)),
            1 => hello.name.push('!'),
            2 => doors.owner = EndpointKey(flip(doors.owner.0)),
            3 => doors.newcomer = EndpointKey(flip(doors.newcomer.0)),
            4 => owners = flip(owners),
            5 => newcomers = flip(newcomers),
            _ => secret = Secret::new([6; 16]),
        }
        prop_assert_ne!(hello.words(&secret, doors, &owners, &newcomers), same);
    }
}

#[test]
fn pair_01_a_link_round_trips_in_both_cases_and_stays_short() {
    for count in 1..=SUPERNODES_MAX {
        let text = link(count).to_string();
        assert!(text.len() <= LINK_MAX, "{}", text.len());
        assert_eq!(text.parse(), Ok(link(count)));
        assert_eq!(text.to_uppercase().parse(), Ok(link(count)));
        assert_eq!(format!(" {text}\n").parse(), Ok(link(count)));
    }
    let of_ipv4 = PairingLink {
        supernodes: vec![supernode("192.0.2.7"); 1],
        ..link(1)
    };
    assert_eq!(of_ipv4.to_string().len(), 172);
    assert_eq!(link(3).to_string().len(), 367);
    let nowhere = link(0).to_string().parse::<PairingLink>();
    assert_eq!(nowhere, Err(LinkError::NoSupernode));
    assert!(link(4).to_string().parse::<PairingLink>().is_err());
}

#[test]
fn pair_01_links_of_the_two_kinds_are_told_apart() {
    let device = link(1).to_string();
    assert_eq!(device.parse::<Link>(), Err(LinkError::Device));
    let person = device.replacen(DEVICE_SCHEME, "starling:", 1);
    assert_eq!(person.parse::<PairingLink>(), Err(LinkError::NotDevice));
    // Its check bytes fit, and it is still no link to a person.
    assert!(person.parse::<Link>().is_err());
}

#[test]
fn pair_01_nothing_shows_the_secret_in_a_log() {
    let shown = format!("{:?} {:?}", link(1), welcome(true));
    assert!(
        !shown.contains("5, 5") && !shown.contains("8, 8"),
        "{shown}"
    );
}

#[test]
fn pair_02_who_does_not_know_the_secret_is_refused() {
    assert_eq!(hello().verify(&secret(), DOORS), Ok(()));
    let wrong = Err(EndReason::WrongSecret);
    assert_eq!(hello().verify(&Secret::new([6; 16]), DOORS), wrong);
    // Somebody passes it on over a connection of his own, or to somebody else.
    for doors in [
        Doors {
            newcomer: EndpointKey([6; 32]),
            ..DOORS
        },
        Doors {
            owner: EndpointKey([6; 32]),
            ..DOORS
        },
    ] {
        assert_eq!(hello().verify(&secret(), doors), wrong);
    }
    let mut renamed = hello();
    renamed.name = "mine".into();
    assert_eq!(renamed.verify(&secret(), DOORS), wrong);
}

#[test]
fn pair_03_a_device_proves_its_key_and_has_a_name() {
    let mut foreign = hello();
    foreign.device = device(6);
    foreign.proof = *secret()
        .hash(PROOF_CONTEXT, &foreign.bytes(DOORS))
        .as_bytes();
    let refused = Err(EndReason::Malformed);
    assert_eq!(foreign.verify(&secret(), DOORS), refused);
    let long = "p".repeat(DEVICE_NAME_MAX + 1);
    for name in ["", " ", "a\nb", "\u{7}", &long] {
        let hello = Hello::new(&key(4), name.into(), &secret(), DOORS, &NUMBER);
        assert_eq!(hello.verify(&secret(), DOORS), refused, "{name:?}");
    }
    let named = Hello::new(&key(4), "電話 \u{1f4f1}".into(), &secret(), DOORS, &NUMBER);
    assert_eq!(named.verify(&secret(), DOORS), Ok(()));
}

#[test]
fn pair_04_only_the_number_it_was_bound_to_counts() {
    assert!(hello().commits_to(&NUMBER));
    assert!(!hello().commits_to(&[8; 32]));
}

#[test]
fn pair_05_words_are_four_of_the_list_and_spread_over_it() {
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..=255_u8 {
        let words = hello()
            .words(&secret(), DOORS, &[n; 32], &NUMBER)
            .to_string();
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        assert_eq!(words.len(), WORDS);
        assert!(
            words
                .iter()
                .all(|word| English::words().contains(&word.as_str()))
        );
        seen.extend(words);
    }
    // 1,024 draws out of 2,048: about 806 different ones.
    assert!((700..900).contains(&seen.len()), "{}", seen.len());
}

#[test]
fn pair_06_a_welcome_that_is_right_is_taken() {
    for owner in [false, true] {
        let verified = welcome(owner).verify(device(4)).unwrap();
        assert_eq!(verified.card.account().id(), card(owner).chain.id());
        assert_eq!(verified.welcome, welcome(owner));
    }
}

#[test]
fn pair_06_a_welcome_with_something_wrong_is_refused() {
    let refused = |change: &dyn Fn(&mut Welcome)| {
        let mut wrong = welcome(true);
        change(&mut wrong);
        wrong.verify(device(4)).unwrap_err()
    };
    let not_listed = welcome(true).verify(device(6));
    assert_eq!(not_listed, Err(WelcomeError::NotListed));
    assert_eq!(refused(&|w| w.request_secret[0] ^= 1), WelcomeError::Keys);
    assert_eq!(refused(&|w| w.signing_key = None), WelcomeError::Keys);
    assert_eq!(
        refused(&|w| w.signing_key = Some([6; 32])),
        WelcomeError::Keys
    );
    let plain = |w: &mut Welcome| w.card = card(false).sign(&key(1), Vec::new());
    assert_eq!(refused(&plain), WelcomeError::Keys, "the key for no owner");
    let changed = refused(&|w| w.card.card.name = "Mallory".into());
    assert_eq!(changed, WelcomeError::Card(CardError::Signature));
    assert_eq!(
        refused(&|w| w.network = "n".repeat(200)),
        WelcomeError::Network
    );
    let many = SUPERNODES_IN_FILE_MAX + 1;
    assert_eq!(
        refused(&|w| w.supernodes = vec![supernode("192.0.2.7"); many]),
        WelcomeError::Network
    );
    assert_eq!(
        refused(&|w| w.supernodes = vec![supernode("0.0.0.0")]),
        WelcomeError::Network
    );
}

#[test]
fn pair_06_the_largest_frames_of_both_sides_fit() {
    let name = "p".repeat(DEVICE_NAME_MAX);
    let hello = Hello::new(&key(4), name.clone(), &secret(), DOORS, &NUMBER);
    let hello = frame::encode_body(&PairingFrame::Hello(hello));
    assert!(hello.len() <= FROM_NEWCOMER_MAX, "{}", hello.len());

    let mut large = card(true);
    large.name = "n".repeat(NAME_MAX);
    large.network = Some(NetworkId([5; 32]));
    while large.chain.entries.len() < CHAIN_ENTRIES_MAX {
        let n = large.chain.entries.len() % (DEVICES_MAX - 2);
        let add = Change::AddDevice {
            device: device(100 + n as u8),
            name: name.clone(),
            owner: false,
        };
        large.chain.append(&key(1), add);
    }
    let at = supernode("[2001:db8::1234]");
    let devices = large.chain.verify().unwrap().devices().len();
    let mut welcome = welcome(true);
    welcome.card = large.sign(&key(1), doors(devices));
    welcome.network = "n".repeat(NAME_MAX);
    welcome.supernodes = vec![at; SUPERNODES_IN_FILE_MAX];
    let bytes = frame::encode_body(&PairingFrame::Welcome(Box::new(welcome)));
    assert!(bytes.len() <= FROM_OWNER_MAX, "{}", bytes.len());
    assert_eq!(devices, DEVICES_MAX);
}

/// The largest there are; whose they are does not matter for their size.
fn doors(count: usize) -> Vec<crate::card::Door> {
    let keeper = crate::card::DoorKeys {
        account: card(true).chain.id(),
        device: &key(3),
        door: &key(5),
    };
    let home = vec![supernode("[2001:db8::1234]"); SUPERNODES_MAX];
    vec![crate::card::Door::new(&keeper, home, u64::MAX); count]
}
