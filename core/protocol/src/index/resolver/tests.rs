//! Holders that answer, deny, lie and keep silent.

use std::time::Duration;

use proptest::prelude::*;
use starling_wire::placement::IndexKey;

use super::*;

const KEY: IndexKey = IndexKey([7; 32]);
const START: Time = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq)]
struct Note {
    key: IndexKey,
    sequence: u64,
}

impl Record for Note {
    fn key(&self) -> IndexKey {
        self.key
    }

    fn order(&self) -> u64 {
        self.sequence
    }
}

fn note(sequence: u64) -> Reply<Note> {
    Reply::Record(Note { key: KEY, sequence })
}

type Event = ResolverEvent<u8, Note>;

fn drain(resolver: &mut Resolver<u8, Note>) -> (Vec<Transmit<u8, Note>>, Vec<Event>) {
    let transmits = std::iter::from_fn(|| resolver.poll_transmit()).collect();
    let events = std::iter::from_fn(|| resolver.poll_event()).collect();
    (transmits, events)
}

fn asked(transmits: &[Transmit<u8, Note>]) -> Vec<u8> {
    transmits
        .iter()
        .filter_map(|transmit| match transmit {
            Transmit::Ask(1, holder, KEY) => Some(*holder),
            _ => None,
        })
        .collect()
}

fn looking(holders: &[u8]) -> Resolver<u8, Note> {
    let mut resolver = Resolver::new(AT_ONCE);
    resolver.handle_lookup(1, KEY, holders.to_vec(), None, START);
    resolver
}

#[test]
fn index_12_the_first_valid_answer_is_delivered_at_once() {
    let mut resolver = looking(&[1, 2, 3, 4, 5]);
    assert_eq!(asked(&drain(&mut resolver).0), [1, 2, 3]);
    resolver.handle_reply(1, 2, note(5), START);
    let (_, events) = drain(&mut resolver);
    assert!(matches!(&events[..], [Event::Found(1, 2, found)] if found.sequence == 5));
}

#[test]
fn index_13_a_newer_answer_replaces_it_and_an_older_one_does_not() {
    let mut resolver = looking(&[1, 2, 3]);
    drain(&mut resolver);
    resolver.handle_reply(1, 1, note(5), START);
    drain(&mut resolver);
    resolver.handle_reply(1, 2, note(4), START);
    assert_eq!(drain(&mut resolver).1, []);
    resolver.handle_reply(1, 3, note(6), START);
    let (transmits, events) = drain(&mut resolver);
    assert!(matches!(&events[0], Event::Newer(1, 3, newer) if newer.sequence == 6));
    assert_eq!(transmits.len(), 2);
    assert_eq!(events.last(), Some(&Event::Ended(1)));
}

#[test]
fn index_14_liars_who_deny_do_not_hide_a_record() {
    let mut resolver = looking(&[1, 2, 3, 4, 5]);
    drain(&mut resolver);
    let mut next = Vec::new();
    for liar in [1, 2, 3] {
        resolver.handle_reply(1, liar, Reply::None, START);
        next.extend(asked(&drain(&mut resolver).0));
    }
    assert_eq!(next, [4, 5]);
    resolver.handle_reply(1, 4, note(1), START);
    let (_, events) = drain(&mut resolver);
    assert!(matches!(&events[..], [Event::Found(1, 4, _)]));
    resolver.handle_reply(1, 5, note(1), START);
    let (transmits, events) = drain(&mut resolver);
    let told = transmits
        .iter()
        .filter(|transmit| matches!(transmit, Transmit::Repair(1..=3, _)));
    assert_eq!(told.count(), 3, "{transmits:?}");
    assert_eq!(events.len(), 4);
}

#[test]
fn index_14_a_silent_holder_costs_its_patience_once() {
    let mut resolver = looking(&[1, 2, 3, 4, 5]);
    drain(&mut resolver);
    let due = resolver.poll_timeout().unwrap();
    assert_eq!(due, Deadline::new(START + PATIENCE, Wake::Late));
    resolver.handle_timeout(due.at);
    assert_eq!(asked(&drain(&mut resolver).0), [4, 5]);
    // The late one still counts.
    resolver.handle_reply(1, 1, note(1), due.at);
    assert!(matches!(
        drain(&mut resolver).1[..],
        [Event::Found(1, 1, _)]
    ));
}

#[test]
fn index_11_what_was_not_asked_and_who_was_not_asked_changes_nothing() {
    let mut resolver = looking(&[1, 2, 3]);
    drain(&mut resolver);
    resolver.handle_reply(1, 9, note(1), START);
    resolver.handle_reply(2, 1, note(1), START);
    assert_eq!(drain(&mut resolver), (vec![], vec![]));
    let other = Reply::Record(Note {
        key: IndexKey([8; 32]),
        sequence: 1,
    });
    resolver.handle_reply(1, 1, other, START);
    assert_eq!(
        drain(&mut resolver).1,
        [Event::Blame(1, Fault::Forged)],
        "another question's answer"
    );
    resolver.handle_reply(1, 1, note(1), START);
    assert_eq!(drain(&mut resolver).1, [], "one answer each");
}

#[test]
fn index_15_who_was_behind_is_told_and_scored() {
    let mut resolver = looking(&[1, 2]);
    drain(&mut resolver);
    resolver.handle_reply(1, 1, note(3), START);
    drain(&mut resolver);
    resolver.handle_reply(1, 2, note(2), START);
    let (transmits, events) = drain(&mut resolver);
    assert!(matches!(&transmits[..], [Transmit::Repair(2, told)] if told.sequence == 3));
    assert_eq!(events, [Event::Blame(2, Fault::Behind), Event::Ended(1)]);
}

#[test]
fn index_16_not_found_is_said_once_and_only_at_the_end() {
    let mut resolver = looking(&[1, 2]);
    drain(&mut resolver);
    resolver.handle_reply(1, 1, Reply::None, START);
    assert_eq!(drain(&mut resolver).1, []);
    resolver.handle_timeout(START + LONGEST);
    assert_eq!(
        drain(&mut resolver).1,
        [
            Event::Blame(2, Fault::Silent),
            Event::NotFound(1),
            Event::Ended(1)
        ]
    );
    assert_eq!(resolver.poll_timeout(), None);
}

#[test]
fn a_network_without_holders_has_nothing() {
    let mut resolver = looking(&[]);
    let events = drain(&mut resolver).1;
    assert_eq!(events, [Event::NotFound(1), Event::Ended(1)]);
}

#[test]
fn the_holder_that_had_it_last_time_is_asked_first() {
    let mut resolver = Resolver::new(AT_ONCE);
    resolver.handle_lookup(1, KEY, vec![1, 2, 3, 4], Some(4), START);
    assert_eq!(asked(&drain(&mut resolver).0), [4, 1, 2]);
}

fn reply() -> impl Strategy<Value = Reply<Note>> {
    prop_oneof![
        (1_u64..5).prop_map(note),
        Just(Reply::None),
        Just(Reply::Unreachable),
        Just(Reply::Forged),
    ]
}

proptest! {
    #[test]
    fn every_lookup_ends_and_delivers_the_newest_it_heard(
        holders in 0_u8..8,
        replies in proptest::collection::vec((0_u8..8, reply(), 0_u64..700), 0..30),
    ) {
        let mut resolver = looking(&(0..holders).collect::<Vec<_>>());
        let (mut now, mut events) = (START, drain(&mut resolver).1);
        for (from, reply, wait) in replies {
            now += Duration::from_millis(wait);
            resolver.handle_timeout(now);
            events.extend(drain(&mut resolver).1);
            resolver.handle_reply(1, from, reply, now);
            events.extend(drain(&mut resolver).1);
        }
        resolver.handle_timeout(now + LONGEST);
        events.extend(drain(&mut resolver).1);
        prop_assert_eq!(resolver.poll_timeout(), None);
        prop_assert_eq!(events.iter().filter(|e| matches!(e, Event::Ended(1))).count(), 1);
        let found: Vec<u64> = events.iter().filter_map(|event| match event {
            Event::Found(_, _, record) | Event::Newer(_, _, record) => Some(record.sequence),
            _ => None,
        }).collect();
        prop_assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        let lost = events.contains(&Event::NotFound(1));
        prop_assert_eq!(lost, found.is_empty());
    }
}
