//! Copies that talk to each other, an honest registrar, and one that tells two halves of a network different things.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_log::{Entry, PAGE_ENTRIES_MAX, SignedEntry};
use starling_wire::record::registrar::Registrar;

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn network() -> NetworkId {
    NetworkId(key(1).verifying_key().to_bytes())
}

fn registrar() -> Registrar {
    let public = key(2).verifying_key().to_bytes();
    Registrar::appoint(&key(1), AccountId([9; 32]), public, 2_000_000_000)
}

/// A log in which somebody has every name; from `turn` on it is `then`.
fn log(count: u64, turn: u64, then: u8) -> Vec<SignedEntry> {
    let mut before = [0; 32];
    let entries = (1..=count).map(|height| {
        let entry = Entry {
            height,
            before,
            at: 1_800_000_000,
            name: Name::typed(&format!("person{height}")).unwrap(),
            account: Some(AccountId([if height < turn { 1 } else { then }; 32])),
            until: 1_900_000_000,
            listing: None,
        };
        before = entry.hash();
        entry.sign(network(), &key(2))
    });
    entries.collect()
}

fn page(entries: &[SignedEntry]) -> Page {
    Page {
        registrar: registrar(),
        entries: entries.to_vec(),
    }
}

fn statement(signed: &SignedEntry) -> Statement {
    Statement {
        registrar: registrar(),
        position: signed.position(),
    }
}

/// A supernode: its copy, with what its driver keeps.
struct Node {
    key: EndpointKey,
    mirror: Mirror,
    stored: Vec<SignedEntry>,
    alarms: usize,
}

/// Some supernodes, and what travels among them.
struct Land {
    nodes: Vec<Node>,
    now: Time,
    pages: usize,
}

impl Land {
    fn new(count: u8) -> Self {
        let keys: Vec<_> = (0..count).map(|number| EndpointKey([number; 32])).collect();
        let node = |key: &EndpointKey| {
            let seed = u64::from(key.0[0]) + 7;
            let mut mirror = Mirror::new(network(), None, None, seed, Time::ZERO);
            mirror.handle_others(keys.iter().filter(|other| *other != key).copied().collect());
            Node {
                key: *key,
                mirror,
                stored: Vec::new(),
                alarms: 0,
            }
        };
        Self {
            nodes: keys.iter().map(node).collect(),
            now: Time::ZERO,
            pages: 0,
        }
    }

    /// The registrar brings a part of its log.
    fn bring(&mut self, to: usize, page: Page) {
        let now = self.now;
        self.nodes[to]
            .mirror
            .handle_page(EndpointKey([99; 32]), page, now);
        self.deliver();
    }

    /// Everything that is to be said is said.
    fn deliver(&mut self) {
        for _ in 0..10_000 {
            let mut said = Vec::new();
            for node in &mut self.nodes {
                node.drain(&mut said);
            }
            if said.is_empty() {
                return;
            }
            for (from, to, message) in said {
                self.hear(from, to, message);
            }
        }
        panic!("they never stop");
    }

    fn hear(&mut self, from: EndpointKey, to: EndpointKey, message: Message) {
        let now = self.now;
        let (from_index, to_index) = (usize::from(from.0[0]), usize::from(to.0[0]));
        match message {
            Message::AskHead => self.nodes[to_index].mirror.handle_ask(from),
            Message::Head(head) => {
                let node = &mut self.nodes[to_index];
                let own = node.stored_at(head.position.height);
                node.mirror.handle_head(from, &head, own.as_ref(), now);
            }
            Message::Proof(proof) => self.nodes[to_index].mirror.handle_proof(proof),
            Message::AskFrom(begin) => {
                let begin = usize::try_from(begin - 1).unwrap();
                let rest = self.nodes[to_index].stored.get(begin..).unwrap_or_default();
                let entries: Vec<_> = rest.iter().take(PAGE_ENTRIES_MAX).cloned().collect();
                self.pages += 1;
                let asker = &mut self.nodes[from_index];
                asker.mirror.handle_page(to, page(&entries), now);
            }
        }
        let mut said = Vec::new();
        for node in &mut self.nodes {
            node.drain(&mut said);
        }
        for (from, to, message) in said {
            self.hear(from, to, message);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_secs(1);
            for node in &mut self.nodes {
                node.mirror.handle_timeout(self.now);
            }
            self.deliver();
        }
    }
}

impl Node {
    fn drain(&mut self, said: &mut Vec<(EndpointKey, EndpointKey, Message)>) {
        while let Some(persist) = self.mirror.poll_persist() {
            if let Persist::Append(page) = persist {
                self.stored.extend(page.entries().iter().cloned());
            }
        }
        while let Some((to, message)) = self.mirror.poll_transmit() {
            said.push((self.key, to, message));
        }
        while let Some(event) = self.mirror.poll_event() {
            self.alarms += usize::from(event == Event::Alarm);
        }
    }

    fn stored_at(&self, height: u64) -> Option<Statement> {
        let index = usize::try_from(height).unwrap().checked_sub(1)?;
        self.stored.get(index).map(statement)
    }
}

#[test]
fn all_have_the_whole_log_soon_also_one_that_was_away() {
    let whole = log(300, 1_000, 2);
    let mut land = Land::new(20);
    for part in whole.chunks(100) {
        land.bring(0, page(part));
    }
    land.pass(Duration::from_secs(600));
    for node in &land.nodes {
        assert_eq!(node.stored, whole, "{:?}", node.key);
        assert_eq!(node.alarms, 0);
    }
}

#[test]
fn mirror_01_what_no_registrar_signed_changes_nothing() {
    let mut land = Land::new(1);
    let mut forged = page(&log(3, 9, 2));
    forged.entries[1].entry.account = None;
    land.bring(0, forged);
    let mut foreign = page(&log(3, 9, 2));
    foreign.registrar = Registrar::appoint(
        &key(8),
        AccountId([9; 32]),
        key(2).verifying_key().to_bytes(),
        2_000_000_000,
    );
    let head = Statement {
        registrar: foreign.registrar.clone(),
        position: foreign.entries[2].position(),
    };
    land.bring(0, foreign);
    let mirror = &mut land.nodes[0].mirror;
    mirror.handle_head(EndpointKey([5; 32]), &head, None, Time::ZERO);
    assert_eq!(mirror.poll_transmit(), None, "nobody is asked for it");
    assert_eq!(mirror.height(), 0);
}

#[test]
fn mirror_02_what_does_not_continue_the_copy_is_fetched_in_its_order() {
    let whole = log(10, 99, 2);
    let mut mirror = Mirror::new(network(), None, None, 7, Time::ZERO);
    let from = EndpointKey([5; 32]);
    mirror.handle_page(from, page(&whole[5..]), Time::ZERO);
    assert_eq!(mirror.height(), 0);
    assert_eq!(mirror.poll_transmit(), Some((from, Message::AskFrom(1))));
    mirror.handle_page(from, page(&whole), Time::ZERO);
    assert_eq!(mirror.height(), 10);
    // Once more changes nothing.
    while mirror.poll_persist().is_some() {}
    while mirror.poll_event().is_some() {}
    mirror.handle_page(from, page(&whole), Time::ZERO);
    assert_eq!(mirror.poll_persist(), None);
}

#[test]
fn mirror_03_04_two_halves_that_were_told_different_things_find_out() {
    let (one, other) = (log(8, 5, 1), log(6, 5, 66));
    let mut land = Land::new(10);
    let halves: Vec<Vec<EndpointKey>> = [0..5_u8, 5..10]
        .map(|half| half.map(|number| EndpointKey([number; 32])).collect())
        .into();
    let apart = |land: &mut Land, halves: &[Vec<EndpointKey>]| {
        for node in &mut land.nodes {
            let half = halves.iter().find(|half| half.contains(&node.key)).unwrap();
            let others = half.iter().filter(|other| **other != node.key);
            node.mirror.handle_others(others.copied().collect());
        }
    };
    apart(&mut land, &halves);
    land.bring(0, page(&one));
    land.bring(5, page(&other));
    land.pass(Duration::from_secs(400));
    assert!(
        land.nodes[..5]
            .iter()
            .all(|node| node.stored == one && node.alarms == 0)
    );
    assert!(
        land.nodes[5..]
            .iter()
            .all(|node| node.stored == other && node.alarms == 0)
    );
    // Together again.
    apart(&mut land, &[halves.concat()]);
    land.pass(Duration::from_secs(400));
    for node in &land.nodes {
        assert_eq!(node.alarms, 1, "{:?}", node.key);
        let proof = node.mirror.proof().unwrap();
        assert_eq!(proof.verify(network()), Ok(()));
    }
    // What each had is what it still has; more does not come.
    let longer = log(12, 5, 1);
    land.bring(0, page(&longer[8..]));
    assert!(land.nodes[..5].iter().all(|node| node.stored == one));
    assert!(land.nodes[5..].iter().all(|node| node.stored == other));
}

#[test]
fn mirror_04_a_proof_that_proves_nothing_is_no_alarm() {
    let whole = log(3, 99, 2);
    let mut mirror = Mirror::new(network(), None, None, 7, Time::ZERO);
    let same = Equivocation {
        one: statement(&whole[2]),
        other: statement(&whole[2]),
    };
    let mut forged = same.clone();
    forged.other.position.hash = [1; 32];
    for proof in [same, forged] {
        mirror.handle_proof(proof);
        assert_eq!(mirror.poll_event(), None);
    }
}

#[test]
fn one_that_does_not_send_what_it_said_it_has_is_not_waited_for() {
    let whole = log(3, 99, 2);
    let head = statement(&whole[2]);
    let [liar, honest] = [5, 6].map(|seed| EndpointKey([seed; 32]));
    let mut mirror = Mirror::new(network(), None, None, 7, Time::ZERO);
    mirror.handle_head(liar, &head, None, Time::ZERO);
    assert_eq!(mirror.poll_transmit(), Some((liar, Message::AskFrom(1))));
    mirror.handle_head(honest, &head, None, Duration::from_secs(1));
    assert_eq!(mirror.poll_transmit(), None, "one at a time");
    mirror.handle_head(honest, &head, None, PATIENCE);
    assert_eq!(mirror.poll_transmit(), Some((honest, Message::AskFrom(1))));
}

proptest! {
    /// Pages in any order, twice, in part, of an honest registrar: the copy is the log's beginning, and never an alarm.
    #[test]
    fn whatever_comes_in_whatever_order_the_copy_is_a_beginning_of_the_log(parts in prop::collection::vec((0..20_usize, 1..8_usize), 0..30)) {
        let whole = log(20, 99, 2);
        let mut mirror = Mirror::new(network(), None, None, 7, Time::ZERO);
        let mut stored = Vec::new();
        for (begin, count) in parts {
            let end = (begin + count).min(whole.len());
            mirror.handle_page(EndpointKey([5; 32]), page(&whole[begin..end]), Time::ZERO);
            while let Some(persist) = mirror.poll_persist() {
                let Persist::Append(page) = persist else { panic!("an alarm") };
                stored.extend(page.entries().iter().cloned());
            }
            while mirror.poll_transmit().is_some() {}
            while mirror.poll_event().is_some() {}
            prop_assert_eq!(&stored[..], &whole[..stored.len()]);
            prop_assert_eq!(mirror.height(), stored.len() as u64);
        }
    }
}
