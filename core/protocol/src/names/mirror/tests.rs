//! Copies that talk to each other, an honest registrar, and one that tells two halves of a network different things.

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::name_log::{Entry, PAGE_ENTRIES_MAX, SignedEntry};
use starling_wire::record::registrar::{Registrar, Since};

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
    written(&registrar(), count, turn, then)
}

/// The same, by whoever has that office.
fn written(office: &Registrar, count: u64, turn: u64, then: u8) -> Vec<SignedEntry> {
    let since = office.since;
    let mut before = since.hash;
    let entries = (since.height + 1..=count).map(|height| {
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
        entry.sign(office, &key(2))
    });
    entries.collect()
}

fn page(entries: &[SignedEntry]) -> Page {
    page_of(registrar(), entries)
}

fn page_of(registrar: Registrar, entries: &[SignedEntry]) -> Page {
    Page {
        registrar,
        entries: entries.to_vec(),
    }
}

fn empty() -> History {
    History::new(network(), Vec::new(), Vec::new())
}

fn mirror() -> Mirror {
    Mirror::new(network(), empty(), None, 7, Time::ZERO)
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
            let mut mirror = Mirror::new(network(), empty(), None, seed, Time::ZERO);
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
            Message::AskHead => {
                let asked = &self.nodes[to_index].mirror;
                let said = NameHead {
                    office: asked.history().office().cloned(),
                    head: asked.history().last(),
                    proof: asked.proof().cloned(),
                };
                self.nodes[from_index].mirror.handle_said(to, said, now);
            }
            Message::Office(office) => self.nodes[to_index].mirror.handle_office(&office),
            Message::Head(head) => {
                self.nodes[to_index].mirror.handle_head(from, &head, now);
            }
            Message::Proof(proof) => self.nodes[to_index].mirror.handle_proof(proof),
            Message::AskFrom(begin) => {
                let asked = &self.nodes[to_index];
                let history = asked.mirror.history();
                let Some(by) = history.signer(begin).cloned() else {
                    return;
                };
                let rest = usize::try_from(begin - 1).unwrap();
                let rest = asked.stored.get(rest..).unwrap_or_default();
                let same = |signed: &&SignedEntry| {
                    history.signer(signed.entry.height).unwrap().epoch == by.epoch
                };
                let entries = rest.iter().take(PAGE_ENTRIES_MAX).take_while(same);
                let entries: Vec<_> = entries.cloned().collect();
                self.pages += 1;
                let asker = &mut self.nodes[from_index];
                asker.mirror.handle_page(to, page_of(by, &entries), now);
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
            match persist {
                Persist::Append(page) => self.stored.extend(page.entries().iter().cloned()),
                Persist::Keep(height) => self.stored.truncate(usize::try_from(height).unwrap()),
                Persist::Office(_) | Persist::Proof(_) => {}
            }
        }
        while let Some((to, message)) = self.mirror.poll_transmit() {
            said.push((self.key, to, message));
        }
        while let Some(event) = self.mirror.poll_event() {
            self.alarms += usize::from(event == Event::Alarm);
        }
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
    mirror.handle_head(EndpointKey([5; 32]), &head, Time::ZERO);
    assert_eq!(mirror.poll_transmit(), None, "nobody is asked for it");
    assert_eq!(mirror.height(), 0);
}

#[test]
fn mirror_02_what_does_not_continue_the_copy_is_fetched_in_its_order() {
    let whole = log(10, 99, 2);
    let mut mirror = mirror();
    let from = EndpointKey([5; 32]);
    mirror.handle_page(from, page(&whole[5..]), Time::ZERO);
    assert_eq!(mirror.height(), 0);
    assert_eq!(mirror.poll_transmit(), Some((from, Message::AskFrom(1))));
    drained(&mut mirror);
    mirror.handle_page(from, page(&whole), Time::ZERO);
    assert_eq!(mirror.height(), 10);
    // Once more changes nothing.
    drained(&mut mirror);
    mirror.handle_page(from, page(&whole), Time::ZERO);
    assert_eq!(mirror.poll_persist(), None);
}

fn drained(mirror: &mut Mirror) -> Vec<Persist> {
    while mirror.poll_transmit().is_some() {}
    while mirror.poll_event().is_some() {}
    std::iter::from_fn(|| mirror.poll_persist()).collect()
}

#[test]
fn mirror_03_a_page_wholly_below_the_head_is_compared_too() {
    let mut mirror = mirror();
    let from = EndpointKey([5; 32]);
    mirror.handle_page(from, page(&log(8, 99, 2)), Time::ZERO);
    drained(&mut mirror);
    mirror.handle_page(from, page(&log(6, 3, 66)[2..5]), Time::ZERO);
    let Some(Persist::Proof(proof)) = drained(&mut mirror).pop() else {
        panic!("it noticed nothing");
    };
    assert_eq!(proof.one.position.height, 3);
    assert_eq!(proof.verify(network()), Ok(()));
}

/// Who takes over after an entry.
fn successor(epoch: u64, after: &SignedEntry) -> Registrar {
    let since = Since {
        height: after.entry.height,
        hash: after.entry.hash(),
    };
    registrar().taking_over(&key(1), epoch, since)
}

#[test]
fn log_08_after_a_proof_the_copies_follow_the_next_registrar() {
    let (one, other) = (log(8, 5, 1), log(6, 5, 66));
    let mut land = Land::new(10);
    land.bring(0, page(&one));
    land.bring(5, page(&other));
    land.pass(Duration::from_secs(600));
    assert!(land.nodes.iter().all(|node| node.mirror.proof().is_some()));
    // What a stranger says of the next one is nothing; nor does one of an earlier epoch undo a later one.
    let next = successor(2, &one[3]);
    let forged = next.clone().taking_over(&key(3), 3, next.since);
    land.nodes[0].mirror.handle_office(&forged);
    assert!(land.nodes[0].mirror.proof().is_some());
    let more = written(&next, 9, 99, 2);
    land.bring(7, page_of(next.clone(), &more));
    land.pass(Duration::from_secs(600));
    let whole = [&one[..4], &more[..]].concat();
    for node in &land.nodes {
        assert_eq!(node.mirror.history().epoch(), 2, "{:?}", node.key);
        assert_eq!(node.stored, whole, "{:?}", node.key);
        assert_eq!(node.mirror.proof(), None, "it was about the one before");
    }
    // The one before adds nothing any more, and nothing that he says is an alarm.
    land.bring(3, page(&log(20, 5, 66)));
    land.nodes[3].mirror.handle_office(&registrar());
    assert!(land.nodes[3].stored == whole && land.nodes[3].mirror.proof().is_none());
}

#[test]
fn mirror_05_a_copy_of_the_other_branch_begins_anew() {
    let (one, other) = (log(8, 5, 1), log(6, 5, 66));
    let mut mirror = mirror();
    let from = EndpointKey([5; 32]);
    mirror.handle_page(from, page(&other), Time::ZERO);
    drained(&mut mirror);
    // He takes over after the sixth entry of a log whose fifth this copy has not.
    let next = successor(2, &one[5]);
    mirror.handle_office(&next);
    let persists = drained(&mut mirror);
    assert_eq!(persists, [Persist::Office(next.clone()), Persist::Keep(0)]);
    // Who still has that other branch brings it in vain.
    mirror.handle_page(from, page(&other), Time::ZERO);
    assert_eq!(drained(&mut mirror), [Persist::Keep(0)]);
    mirror.handle_page(from, page(&one), Time::ZERO);
    assert_eq!(mirror.height(), 6, "what he did not take over is left out");
    drained(&mut mirror);
    mirror.handle_page(
        from,
        page_of(next.clone(), &written(&next, 7, 99, 2)),
        Time::ZERO,
    );
    assert_eq!(mirror.height(), 7);
}

#[test]
fn an_office_that_lasts_longer_changes_nothing_else() {
    let mut mirror = mirror();
    let from = EndpointKey([5; 32]);
    mirror.handle_page(from, page(&log(3, 99, 2)), Time::ZERO);
    drained(&mut mirror);
    let public = key(2).verifying_key().to_bytes();
    let longer = Registrar::appoint(&key(1), AccountId([9; 32]), public, 3_000_000_000);
    mirror.handle_office(&longer);
    assert_eq!(drained(&mut mirror), [Persist::Office(longer.clone())]);
    assert_eq!(
        (mirror.height(), mirror.history().office()),
        (3, Some(&longer))
    );
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
    let mut mirror = mirror();
    let same = Equivocation {
        one: statement(&whole[2]),
        other: statement(&whole[2]),
    };
    let mut forged = same.clone();
    forged.other.position.hash = [1; 32];
    for proof in [same, forged] {
        mirror.handle_proof(proof);
        assert_eq!(drained(&mut mirror), []);
    }
}

#[test]
fn one_that_does_not_send_what_it_said_it_has_is_not_waited_for() {
    let whole = log(3, 99, 2);
    let head = statement(&whole[2]);
    let [liar, honest] = [5, 6].map(|seed| EndpointKey([seed; 32]));
    let mut mirror = mirror();
    mirror.handle_head(liar, &head, Time::ZERO);
    assert_eq!(mirror.poll_transmit(), Some((liar, Message::AskFrom(1))));
    drained(&mut mirror);
    mirror.handle_head(honest, &head, Duration::from_secs(1));
    assert_eq!(mirror.poll_transmit(), None, "one at a time");
    mirror.handle_head(honest, &head, PATIENCE);
    assert_eq!(mirror.poll_transmit(), Some((honest, Message::AskFrom(1))));
    mirror.handle_silence(liar);
    mirror.handle_head(liar, &head, PATIENCE);
    assert_eq!(mirror.poll_transmit(), None);
    mirror.handle_silence(honest);
    mirror.handle_head(liar, &head, PATIENCE);
    assert_eq!(mirror.poll_transmit(), Some((liar, Message::AskFrom(1))));
}

proptest! {
    /// Pages in any order, twice, in part, of an honest registrar: the copy is the log's beginning, and never an alarm.
    #[test]
    fn whatever_comes_in_whatever_order_the_copy_is_a_beginning_of_the_log(parts in prop::collection::vec((0..20_usize, 1..8_usize), 0..30)) {
        let whole = log(20, 99, 2);
        let mut mirror = mirror();
        let mut stored = Vec::new();
        for (begin, count) in parts {
            let end = (begin + count).min(whole.len());
            mirror.handle_page(EndpointKey([5; 32]), page(&whole[begin..end]), Time::ZERO);
            while let Some(persist) = mirror.poll_persist() {
                match persist {
                    Persist::Append(page) => stored.extend(page.entries().iter().cloned()),
                    Persist::Office(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            while mirror.poll_transmit().is_some() {}
            while mirror.poll_event().is_some() {}
            prop_assert_eq!(&stored[..], &whole[..stored.len()]);
            prop_assert_eq!(mirror.height(), stored.len() as u64);
        }
    }
}
