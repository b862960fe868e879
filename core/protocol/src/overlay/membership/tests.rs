//! A country of supernodes in memory, with a clock, losses, deaths and liars.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use foca::Codec;

use super::*;

/// One way.
const DELAY: Duration = Duration::from_millis(40);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq)]
struct Card {
    id: EndpointKey,
    issued: u64,
}

impl Description for Card {
    fn id(&self) -> EndpointKey {
        self.id
    }

    fn issued(&self) -> u64 {
        self.issued
    }
}

fn key(number: u16) -> EndpointKey {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    EndpointKey(bytes)
}

fn card(number: u16) -> Card {
    Card {
        id: key(number),
        issued: 1,
    }
}

#[derive(Default)]
struct Country {
    now: Time,
    members: BTreeMap<EndpointKey, Membership<Card>>,
    in_flight: BTreeMap<(Time, u64), (EndpointKey, EndpointKey, Message<Card>)>,
    sent: u64,
    bytes: u64,
    joined: BTreeMap<EndpointKey, BTreeSet<EndpointKey>>,
    left: u64,
}

impl Country {
    fn add(&mut self, number: u16, generation: u32, introduced_to: &[u16]) {
        let mut member = Membership::new(card(number), generation, [number as u8; 32]);
        let introduced = introduced_to.iter().map(|other| card(*other)).collect();
        member.handle_introduction(introduced, self.now);
        self.members.insert(key(number), member);
        self.drain(key(number));
    }

    fn drain(&mut self, who: EndpointKey) {
        let Some(member) = self.members.get_mut(&who) else {
            return;
        };
        while let Some((to, message)) = member.poll_transmit() {
            self.sent += 1;
            self.bytes += 40
                + match &message {
                    Message::Gossip(packet) => packet.len() as u64,
                    Message::Describe(keys) => 32 * keys.len() as u64,
                    Message::Descriptions(list) => 150 * list.len() as u64,
                    Message::Digest(_) | Message::DigestBack(_) => 256,
                    Message::Listed(list) => 155 * list.len() as u64,
                    Message::Ping | Message::Pong(_) => 2,
                };
            self.in_flight
                .insert((self.now + DELAY, self.sent), (who, to, message));
        }
        while let Some(event) = member.poll_event() {
            let list = self.joined.entry(who).or_default();
            match event {
                MembershipEvent::Joined(card) => assert!(list.insert(card.id), "joined twice"),
                MembershipEvent::Left(id) => {
                    self.left += 1;
                    assert!(list.remove(&id), "left without having joined");
                }
                MembershipEvent::Changed(card) => assert!(list.contains(&card.id)),
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let packet = self.in_flight.keys().next().map(|(at, _)| *at);
            let timer = self
                .members
                .values()
                .filter_map(|member| member.poll_timeout().map(|due| due.at))
                .min();
            let Some(next) = [packet, timer].into_iter().flatten().min() else {
                break;
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if packet == Some(next) {
                let Some((_, (from, to, message))) = self.in_flight.pop_first() else {
                    break;
                };
                self.deliver(from, to, message);
            } else {
                let due: Vec<EndpointKey> = self
                    .members
                    .iter()
                    .filter(|(_, m)| m.poll_timeout().is_some_and(|due| due.at <= self.now))
                    .map(|(id, _)| *id)
                    .collect();
                for id in due {
                    self.members.get_mut(&id).unwrap().handle_timeout(self.now);
                    self.drain(id);
                }
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, from: EndpointKey, to: EndpointKey, message: Message<Card>) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&to) else {
            return;
        };
        match message {
            Message::Gossip(packet) => member.handle_gossip(from, &packet, now),
            Message::Describe(keys) => member.handle_describe(from, &keys),
            Message::Descriptions(list) => member.handle_descriptions(list, now),
            Message::Digest(theirs) => member.handle_digest(from, &theirs),
            Message::DigestBack(theirs) => member.handle_digest_back(from, &theirs),
            Message::Listed(list) => member.handle_listed(from, list, now),
            Message::Ping => member.handle_ping(from),
            Message::Pong(load) => member.handle_pong(from, load, now),
        }
        self.drain(to);
    }

    /// Whether everybody knows everybody who is alive, and nobody else.
    fn agrees(&self) -> bool {
        let alive: BTreeSet<EndpointKey> = self.members.keys().copied().collect();
        self.members.iter().all(|(id, member)| {
            let mut seen: BTreeSet<EndpointKey> = member.members().map(|card| card.id).collect();
            seen.insert(*id);
            seen == alive
        })
    }

    fn founded(count: u16) -> Self {
        let mut country = Self::default();
        for number in 0..count {
            let introduced: &[u16] = if number == 0 { &[] } else { &[0] };
            country.add(number, 1, introduced);
        }
        country.run(10 * MINUTE);
        assert!(country.agrees());
        country
    }
}

#[test]
fn member_07_everybody_is_known_with_his_own_description() {
    let country = Country::founded(40);
    assert_eq!(country.left, 0, "nobody was thought dead");
}

#[test]
fn member_06_the_dead_are_forgotten_everywhere() {
    let mut country = Country::founded(30);
    for dead in (0..30).step_by(3) {
        country.members.remove(&key(dead));
    }
    country.run(8 * MINUTE);
    assert!(country.agrees());
}

#[test]
fn member_06_a_rumour_alone_kills_nobody() {
    let mut country = Country::founded(10);
    // The engine of one member is told that another is down: as a liar would.
    let victim = Peer {
        key: key(5),
        generation: 1,
    };
    for number in [1, 2, 3] {
        let member = country.members.get_mut(&key(number)).unwrap();
        let down = foca::Member::new(victim.clone(), 0, foca::State::Down);
        member
            .engine
            .apply_many(std::iter::once(down), true, &mut member.effects)
            .unwrap();
        member.carry_out(None, country.now);
        country.drain(key(number));
    }
    country.run(10 * MINUTE);
    assert!(country.agrees());
    assert_eq!(country.left, 0, "it answered every time");
}

#[test]
fn who_comes_back_is_a_member_again() {
    let mut country = Country::founded(10);
    country.members.remove(&key(4));
    country.joined.remove(&key(4));
    country.run(8 * MINUTE);
    assert!(country.agrees());
    country.add(4, 2, &[0, 1]);
    country.run(5 * MINUTE);
    assert!(country.agrees());
}

#[test]
fn leaving_in_order_is_known_sooner_than_dying() {
    let mut country = Country::founded(12);
    let leaver = country.members.get_mut(&key(7)).unwrap();
    leaver.handle_leaving(country.now);
    country.drain(key(7));
    country.members.remove(&key(7));
    country.run(3 * MINUTE);
    assert!(country.agrees());
}

#[test]
fn member_10_two_halves_that_lost_each_other_become_one_again() {
    let mut country = Country::founded(12);
    let parted: Vec<(EndpointKey, Membership<Card>)> = (6..12)
        .map(|number| (key(number), country.members.remove(&key(number)).unwrap()))
        .collect();
    country.run(8 * MINUTE);
    assert!(country.agrees());
    for (id, mut member) in parted {
        // Its clock went on too: it has found the others gone.
        while let Some(due) = member.poll_timeout().filter(|due| due.at <= country.now) {
            member.handle_timeout(due.at);
            while member.poll_transmit().is_some() {}
            while let Some(event) = member.poll_event() {
                if let MembershipEvent::Left(gone) = event {
                    country.joined.get_mut(&id).unwrap().remove(&gone);
                }
            }
        }
        country.members.insert(id, member);
    }
    country.run(10 * MINUTE);
    assert!(country.agrees(), "they ask the dead from time to time");
}

#[test]
fn member_05_a_packet_in_anothers_name_or_too_large_is_dropped() {
    let mut country = Country::founded(4);
    let member = country.members.get_mut(&key(1)).unwrap();
    let mut stranger = Membership::new(card(99), 1, [9; 32]);
    stranger.handle_introduction(vec![card(1)], country.now);
    let Some((_, Message::Gossip(packet))) = stranger.poll_transmit() else {
        panic!("an announcement");
    };
    member.handle_gossip(key(2), &packet, country.now);
    assert!(member.poll_transmit().is_none(), "it came from another");
    member.handle_gossip(key(99), &vec![0; GOSSIP_MAX + 1], country.now);
    assert!(member.poll_transmit().is_none());
    member.handle_gossip(key(99), &packet, country.now);
    assert!(
        member.poll_transmit().is_some(),
        "in its own name it counts"
    );
}

#[test]
fn member_05_a_liar_cannot_fill_the_list_with_inventions() {
    let mut country = Country::founded(4);
    let now = country.now;
    let member = country.members.get_mut(&key(1)).unwrap();
    for packet_number in 0..1_000_u16 {
        let packet = inventions(packet_number * 20 + 1_000, 20);
        member.handle_gossip(key(2), &packet, now);
        while member.poll_transmit().is_some() {}
    }
    assert!(member.known.len() <= 4 + NEWS_PER_MINUTE as usize);
    assert_eq!(member.members().count(), 3, "and none of them counts");
}

/// A gossip packet of member 2 to member 1 about members that do not exist.
fn inventions(first: u16, count: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    let header = foca::Header {
        src: Peer {
            key: key(2),
            generation: 1,
        },
        src_incarnation: 0,
        dst: Peer {
            key: key(1),
            generation: 1,
        },
        message: foca::Message::Gossip,
    };
    PostcardCodec.encode_header(&header, &mut packet).unwrap();
    packet.extend_from_slice(&count.to_be_bytes());
    for number in first..first + count {
        let peer = Peer {
            key: key(number),
            generation: 1,
        };
        let invented = foca::Member::new(peer, 0, foca::State::Alive);
        PostcardCodec.encode_member(&invented, &mut packet).unwrap();
    }
    packet
}

#[test]
fn member_08_an_older_description_does_not_come_back() {
    let mut country = Country::founded(4);
    let now = country.now;
    let member = country.members.get_mut(&key(1)).unwrap();
    let newer = Card {
        id: key(2),
        issued: 7,
    };
    member.handle_descriptions(vec![newer.clone()], now);
    assert_eq!(
        member.poll_event(),
        Some(MembershipEvent::Changed(newer.clone()))
    );
    member.handle_descriptions(vec![card(2)], now);
    assert_eq!(member.poll_event(), None);
    assert!(member.members().any(|card| *card == newer));
    member.handle_descriptions(vec![card(50)], now);
    assert_eq!(member.poll_event(), None, "nobody told of that one");
}

#[test]
fn a_member_at_rest_costs_a_few_bytes_a_second() {
    let mut country = Country::founded(60);
    country.bytes = 0;
    country.run(30 * MINUTE);
    let each = country.bytes as f64 / (30.0 * 60.0) / 60.0;
    assert!(each < 50.0, "{each} bytes a second");
    assert_eq!(country.left, 0);
}

#[test]
fn member_09_who_missed_news_learns_it_by_comparing() {
    let mut country = Country::founded(40);
    // A newcomer knows everybody within seconds, not after the rumours' minutes.
    country.add(100, 1, &[7]);
    country.run(Duration::from_secs(5));
    let newcomer = &country.members[&key(100)];
    assert_eq!(newcomer.members().count(), 40);
    // Somebody whose engine never heard of the newcomer hears of it within a few comparisons.
    country.run(5 * MINUTE);
    assert!(country.agrees());
}

#[test]
fn how_full_others_are_is_known_from_some_of_them() {
    let mut country = Country::founded(20);
    for (number, member) in country.members.values_mut().enumerate() {
        member.handle_own_load(if number % 2 == 0 { 100 } else { 60 });
    }
    let member = country.members.get_mut(&key(1)).unwrap();
    member.handle_load_wanted(country.now);
    country.drain(key(1));
    country.run(Duration::from_secs(1));
    let member = &country.members[&key(1)];
    let load = member.others_load(country.now).unwrap();
    assert!((60..=100).contains(&load), "{load}");
    assert_eq!(
        member.others_load(country.now + super::load::COUNTS_FOR),
        None
    );
}

#[test]
fn no_packet_makes_it_panic() {
    let mut country = Country::founded(3);
    let now = country.now;
    let valid = inventions(500, 5);
    let member = country.members.get_mut(&key(1)).unwrap();
    let mut jitter = crate::backoff::Jitter::new(3);
    let mut chance = |below: usize| {
        let spread = jitter.spread(Duration::from_nanos(1 << 40)).as_nanos();
        usize::try_from(spread % below.max(1) as u128).unwrap_or(0)
    };
    for _ in 0..20_000 {
        let mut packet = valid.clone();
        for _ in 0..=chance(4) {
            let at = chance(packet.len());
            packet[at] = chance(256) as u8;
        }
        packet.truncate(packet.len() - chance(packet.len()) * chance(2));
        member.handle_gossip(key(2), &packet, now);
        while member.poll_transmit().is_some() {}
        while member.poll_event().is_some() {}
    }
}

/// A member that knows `count` others.
fn knowing(count: u16) -> Membership<Card> {
    let mut member = Membership::new(card(1), 1, [3; 32]);
    for number in 0..count {
        let from = key(20_000 + number / 100);
        member.handle_listed(from, vec![(card(100 + number), 1)], MINUTE);
        while member.poll_transmit().is_some() {}
        while member.poll_event().is_some() {}
    }
    assert_eq!(member.members().count(), usize::from(count));
    member
}

fn told(member: &mut Membership<Card>, theirs: &Digest) -> usize {
    member.handle_digest_back(key(9_999), theirs);
    let mut count = 0;
    while let Some((_, message)) = member.poll_transmit() {
        if let Message::Listed(list) = message {
            assert!(list.len() <= DESCRIBED_MAX);
            count += list.len();
        }
    }
    count
}

#[test]
fn member_11_what_differs_is_told_in_part_and_all_of_it_to_a_newcomer() {
    let mut member = knowing(500);
    let other = [7; digest::BUCKETS];
    let some = told(&mut member, &other);
    assert!(some > LISTED_LATEST && some <= LISTED_LATEST + LISTED_BY_CHANCE + 1);
    // Whoever has nearly nobody is told of all, ourselves too.
    let mut newcomer = [0; digest::BUCKETS];
    newcomer[5] = 7;
    assert_eq!(told(&mut member, &newcomer), 501);
    let mut nearly = member.digest();
    nearly[5] ^= 1;
    assert!(told(&mut member, &nearly) < 12, "one bucket's members");
}

#[test]
fn member_12_after_a_reunion_lists_are_compared_soon_and_more_than_once() {
    let mut member = knowing(80);
    let far = 3 * MINUTE;
    member.compare_at = Some(far);
    for _ in 0..9 {
        member.note_returned(MINUTE);
        assert_eq!(member.compare_at, Some(far), "a few returns are nothing");
    }
    for _ in 0..20 {
        member.note_returned(MINUTE);
    }
    let mut compared = 0;
    while let Some(soon) = member
        .compare_at
        .filter(|at| *at <= MINUTE + 4 * COMPARE_MERGED)
    {
        member.compare(soon);
        while member.poll_transmit().is_some() {}
        compared += 1;
    }
    assert!((2..=4).contains(&compared), "{compared}");
}
