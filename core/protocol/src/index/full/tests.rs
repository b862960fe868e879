//! A network of full views in memory: whoever asks finds what another's client published, wherever it lies.

use std::net::SocketAddr;

use starling_wire::ids::EndpointKey;

use super::super::admission::{OF_BLOCK_MAX, WINDOW};
use super::*;

const START: Time = Duration::from_secs(1_000);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Debug, Clone, PartialEq)]
struct Note(IndexKey, u64);

impl Record for Note {
    fn key(&self) -> IndexKey {
        self.0
    }

    fn order(&self) -> u64 {
        self.1
    }
}

fn note(number: u8, sequence: u64) -> Note {
    Note(IndexKey([number; 32]), sequence)
}

fn position(member: u16) -> Position {
    let [a, b] = member.to_be_bytes();
    let address = SocketAddr::from(([20, a, b, 1], 27474));
    Position::of(EndpointKey([b; 32]), address)
}

type View = FullIndex<u16, u8, Note>;

/// Supernodes, and what each client got as an answer.
struct Network {
    views: BTreeMap<u16, View>,
    answers: Vec<(LookupId, Option<u64>)>,
    puts: usize,
}

impl Network {
    fn of(count: u16) -> Self {
        let mut network = Self {
            views: BTreeMap::new(),
            answers: Vec::new(),
            puts: 0,
        };
        for member in 0..count {
            let mut view = View::new(member, position(member), member.into(), START);
            for other in (0..count).filter(|other| *other != member) {
                view.handle_joined(other, position(other), START);
            }
            network.views.insert(member, view);
        }
        network
    }

    fn publish(&mut self, at: u16, note: Note) -> Result<(), PutRefusal> {
        let view = self.views.get_mut(&at).unwrap();
        let kept = view.handle_publish(Source::Client(1), note, WEEK, START);
        self.carry(at);
        kept
    }

    /// What a client of `at` is told, in order.
    fn look_up(&mut self, at: u16, number: u8) -> Vec<Option<u64>> {
        let view = self.views.get_mut(&at).unwrap();
        view.handle_lookup(1, IndexKey([number; 32]), START);
        self.carry(at);
        let view = self.views.get_mut(&at).unwrap();
        view.handle_timeout(START + Duration::from_secs(10));
        self.carry(at);
        let answers = std::mem::take(&mut self.answers);
        answers.into_iter().map(|(_, sequence)| sequence).collect()
    }

    fn carry(&mut self, from: u16) {
        let mut transmits = Vec::new();
        let view = self.views.get_mut(&from).unwrap();
        while view.poll_persist().is_some() {}
        while let Some(transmit) = view.poll_transmit() {
            transmits.push(transmit);
        }
        while let Some(event) = view.poll_event() {
            match event {
                IndexEvent::Found(id, _, note) => self.answers.push((id, Some(note.1))),
                IndexEvent::Newer(id, _, note) => self.answers.push((id, Some(note.1))),
                IndexEvent::NotFound(id) => self.answers.push((id, None)),
                IndexEvent::Blame(..) | IndexEvent::Ended(_) => {}
            }
        }
        for transmit in transmits {
            self.deliver(from, transmit);
        }
    }

    fn deliver(&mut self, from: u16, transmit: Transmit<u16, Note>) {
        match transmit {
            Transmit::Put(to, note) | Transmit::Hand(to, note) => {
                self.puts += 1;
                if let Some(view) = self.views.get_mut(&to) {
                    let _ = view.handle_put(from, note, WEEK, START);
                    self.carry(to);
                }
            }
            Transmit::Ask(id, to, key) => {
                let view = self.views.get(&to);
                let reply = match view.map(|view| view.get(key, START).cloned()) {
                    Some(Some(note)) => Reply::Record(note),
                    Some(None) => Reply::None,
                    None => Reply::Unreachable,
                };
                let asker = self.views.get_mut(&from).unwrap();
                asker.handle_reply(id, to, reply, START);
                self.carry(from);
            }
            Transmit::Compare(..) | Transmit::Want(..) => {}
        }
    }
}

#[test]
fn in_a_small_network_everybody_holds_what_anybody_published() {
    let mut network = Network::of(7);
    assert_eq!(network.publish(3, note(9, 1)), Ok(()));
    assert_eq!(network.puts, 6);
    for at in 0..7 {
        assert_eq!(network.views[&at].len(), 1);
        assert_eq!(network.look_up(at, 9), [Some(1)]);
    }
    assert_eq!(network.look_up(0, 8), [None]);
}

#[test]
fn in_a_large_one_five_hold_it_and_everybody_finds_it() {
    let mut network = Network::of(100);
    for number in 0..20 {
        assert_eq!(network.publish(number.into(), note(number, 1)), Ok(()));
        let holders = network.views.values().filter(|view| {
            let held = view.get(IndexKey([number; 32]), START);
            held.is_some()
        });
        assert_eq!(holders.count(), placement::COPIES);
        assert_eq!(network.look_up(99 - u16::from(number), number), [Some(1)]);
    }
}

#[test]
fn index_31_what_a_supernode_passes_on_is_charged_to_the_clients_block() {
    let mut network = Network::of(100);
    let positions: Vec<(u16, Position)> = (0..100).map(|one| (one, position(one))).collect();
    let view = network.views.get_mut(&0).unwrap();
    let (mut passed, mut refused) = (0, 0);
    for number in 0_u32..5_000 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let note = Note(IndexKey(key), 1);
        if placement::holders(note.0, positions.iter().copied()).contains(&0) {
            continue;
        }
        // No more than so many in an hour.
        let now = START + WINDOW * (number / 2_000);
        match view.handle_publish(Source::Client(1), note, WEEK, now) {
            Ok(()) => passed += 1,
            Err(PutRefusal::BlockFull) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        let puts = std::iter::from_fn(|| view.poll_transmit()).count();
        assert_eq!(puts, if refused == 0 { placement::COPIES } else { 0 });
    }
    assert_eq!(passed, OF_BLOCK_MAX);
    assert!(refused > 0 && view.is_empty());
}

#[test]
fn an_older_record_is_refused_where_it_is_held_and_holders_that_died_are_gone_round() {
    let mut network = Network::of(100);
    assert_eq!(network.publish(0, note(5, 2)), Ok(()));
    let holders: Vec<u16> = network
        .views
        .iter()
        .filter(|(_, view)| view.get(IndexKey([5; 32]), START).is_some())
        .map(|(member, _)| *member)
        .collect();
    assert_eq!(
        network.publish(holders[0], note(5, 1)),
        Err(PutRefusal::Older)
    );
    for dead in &holders[..4] {
        network.views.remove(dead);
    }
    let asker = *network.views.keys().find(|m| !holders.contains(m)).unwrap();
    assert_eq!(network.look_up(asker, 5), [Some(2)]);
}
