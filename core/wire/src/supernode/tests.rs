//! Addresses and bounds of what is said to supernodes.

use super::*;
use crate::frame::encode_body;

fn at(tcp: &str) -> SupernodeAddr {
    SupernodeAddr {
        id: EndpointKey([1; 32]),
        tcp: tcp.parse().unwrap(),
        discovery_port: 0,
    }
}

#[test]
fn an_ipv6_relay_has_a_name_that_leads_back_to_its_address() {
    let at = |text: &str| SupernodeAddr {
        id: EndpointKey([1; 32]),
        tcp: text.parse().expect("an address"),
        discovery_port: 0,
    };
    let (four, six) = (at("192.0.2.1:443"), at("[2001:db8::1]:443"));
    assert_eq!(four.relay_url(), "https://192.0.2.1:443");
    let name = "20010db8000000000000000000000001.ip6.invalid:443";
    assert_eq!(six.relay_url(), format!("https://{name}"));
    for authority in [name, "[2001:db8::1]:443"] {
        assert_eq!(relay_address(authority), Some(six.tcp));
    }
    assert_eq!(relay_address("192.0.2.1:443"), Some(four.tcp));
    for odd in [
        "1.ip6.invalid:443",
        "example.org:443",
        name.trim_end_matches(":443"),
        "",
    ] {
        assert_eq!(relay_address(odd), None, "{odd}");
    }
}

#[test]
fn super_05_what_is_not_public_is_recognised_in_every_dress() {
    let private = [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.9",
        "172.16.0.1",
        "169.254.3.4",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ];
    for ip in private {
        assert!(is_private(ip.parse().unwrap()), "{ip}");
        assert!(!is_public(ip.parse().unwrap()), "{ip}");
    }
    for ip in [
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "100.64.0.1",
        "100.127.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:a00:1::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(ip.parse().unwrap()), "{ip}");
    }
    for ip in [
        "8.8.8.8",
        "172.32.0.1",
        "100.128.0.1",
        "2001:db8::1",
        "::ffff:9.9.9.9",
        "64:ff9b::808:808",
    ] {
        assert!(!is_private(ip.parse().unwrap()), "{ip}");
        assert!(is_public(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn super_05_a_supernode_is_one_machine_with_a_port() {
    for tcp in [
        "0.0.0.0:27474",
        "[::]:27474",
        "[::ffff:0.0.0.0]:27474",
        "255.255.255.255:1",
        "[ff02::1]:1",
        "192.0.2.1:0",
    ] {
        assert!(!at(tcp).is_usable(), "{tcp}");
    }
    for tcp in ["127.0.0.1:1", "[::1]:1", "10.0.0.1:27474"] {
        assert!(at(tcp).is_usable(), "{tcp}");
    }
}

#[test]
fn super_01_oversized_requests_are_refused() {
    let big = Request::Deposit {
        account: AccountId([1; 32]),
        postage: Postage::Contact([3; 16]),
        envelope: vec![0; ENVELOPE_MAX + 1],
    };
    assert_eq!(big.check(), Err(Refusal::Malformed));
    let many = |count| {
        Request::Watch(Watch {
            list: 0,
            ids: (0..count as u128)
                .map(|n| SubscriptionId(n.to_be_bytes()))
                .collect(),
            reply_to: at("[2001:db8::1]:65535"),
        })
    };
    assert_eq!(many(WATCH_MAX + 1).check(), Err(Refusal::Malformed));
    let twice = Request::Watch(Watch {
        list: 0,
        ids: vec![SubscriptionId([0; 16]); 2],
        reply_to: at("[2001:db8::1]:65535"),
    });
    assert_eq!(twice.check(), Err(Refusal::Malformed));
    let granted = Request::Grant(Grant {
        ids: vec![SubscriptionId([0; 16]); GRANTED_TO_MAX],
        unseen: vec![SubscriptionId([0; 16])],
    });
    assert_eq!(granted.check(), Err(Refusal::Malformed));
    let state = Request::State(Sealed(vec![0; SEALED + 1]));
    assert_eq!(state.check(), Err(Refusal::Malformed));
    let all = Request::Collected {
        ids: vec![EnvelopeId([0; 16]); DEPOSITS_TOLD_MAX + 1],
    };
    assert_eq!(all.check(), Err(Refusal::Malformed));
    // What is allowed fits its frame, and so does the answer to it.
    assert_eq!(many(WATCH_MAX).check(), Ok(()));
    assert!(encode_body(&many(WATCH_MAX)).len() <= REQUEST_MAX);
    let left = Sighting::Left {
        at: u64::MAX,
        state: Sealed(vec![0; SEALED]),
    };
    let answer = Answer::Presence(vec![left.clone(); WATCH_MAX]);
    assert!(encode_body(&answer).len() <= REQUEST_MAX);
    let notice = Notice::Presence(vec![(SubscriptionId([0; 16]), left); SIGHTINGS_MAX]);
    assert!(encode_body(&notice).len() <= NOTICE_MAX);
    let work = crate::postage::Work {
        day: u32::MAX,
        nonce: u64::MAX,
    };
    let letter = Stamped {
        postage: Postage::Work(work),
        envelope: vec![0; ENVELOPE_MAX],
    };
    let envelope = Answer::Envelopes {
        letters: vec![letter; 2],
        work: u8::MAX,
    };
    assert!(encode_body(&envelope).len() <= REQUEST_MAX);
}

#[test]
fn dial_02_a_supernode_answers_at_ports_of_its_own() {
    let dial = |tcp, udp| Request::DialBack(Ports { tcp, udp }).check();
    assert_eq!(dial(27474, 27474), Ok(()));
    assert_eq!(dial(443, 1024), Ok(()));
    for (tcp, udp) in [
        (22, 27474),
        (0, 27474),
        (27474, 53),
        (27474, 0),
        (1023, 1023),
    ] {
        assert_eq!(dial(tcp, udp), Err(Refusal::Malformed), "{tcp} {udp}");
    }
    let upstream = |len| Request::Upstream {
        filler: vec![0; len],
    };
    assert_eq!(upstream(UPSTREAM_MAX).check(), Ok(()));
    assert_eq!(upstream(UPSTREAM_MAX + 1).check(), Err(Refusal::Malformed));
    assert!(encode_body(&upstream(UPSTREAM_MAX)).len() <= REQUEST_MAX);
}
