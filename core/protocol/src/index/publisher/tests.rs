//! Owners with honest homes, homes that keep records to themselves, and witnesses that lie.

use std::time::Duration;

use proptest::prelude::*;
use starling_wire::placement::IndexKey;

use super::*;

const KEY: IndexKey = IndexKey([7; 32]);
const START: Time = Duration::from_secs(1_000);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

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

fn note(sequence: u64) -> Note {
    Note { key: KEY, sequence }
}

fn has(sequence: u64) -> Reply<Note> {
    Reply::Record(note(sequence))
}

type Alice = Publisher<u8, Note>;
type Event = PublisherEvent<u8, Note>;

/// What it says and does, without what it keeps.
fn drain(alice: &mut Alice) -> (Vec<Transmit<u8, Note>>, Vec<Event>) {
    while alice.poll_persist().is_some() {}
    let said = std::iter::from_fn(|| alice.poll_transmit()).collect();
    let events = std::iter::from_fn(|| alice.poll_event()).collect();
    (said, events)
}

fn asked(said: &[Transmit<u8, Note>]) -> Vec<u8> {
    let whom = |transmit: &Transmit<u8, Note>| match transmit {
        Transmit::Ask(whom, KEY) => Some(*whom),
        _ => None,
    };
    said.iter().filter_map(whom).collect()
}

fn published(said: &[Transmit<u8, Note>]) -> Vec<u8> {
    let by = |transmit: &Transmit<u8, Note>| match transmit {
        Transmit::Publish(by, _) => Some(*by),
        _ => None,
    };
    said.iter().filter_map(by).collect()
}

/// Waits for the look that is planned: when, and who is asked.
fn look(alice: &mut Alice) -> (Time, Vec<u8>) {
    let due = alice.poll_timeout().unwrap();
    assert_eq!(due.reason, Wake::Look);
    alice.handle_timeout(due.at);
    (due.at, asked(&drain(alice).0))
}

/// Published through 1; 2 to 6 are known too.
fn at_home() -> Alice {
    let mut alice = Alice::new(None, Last::Never, 7, START);
    alice.handle_supernodes(vec![1, 2, 3, 4, 5, 6], START);
    alice.handle_record(note(1), START);
    assert_eq!(published(&drain(&mut alice).0), [1]);
    alice
}

#[test]
fn index_17_a_new_record_is_published_at_once_and_again_within_two_days() {
    let mut alice = Alice::new(None, Last::Never, 7, START);
    alice.handle_record(note(1), START);
    let kept = alice.poll_persist().unwrap();
    assert!(kept.next_after >= DAY && kept.next_after <= 2 * DAY);
    assert_eq!(drain(&mut alice).0, [], "nobody is known");
    alice.handle_supernodes(vec![1, 2], START);
    assert_eq!(published(&drain(&mut alice).0), [1]);
    alice.handle_timeout(START + kept.next_after);
    assert!(drain(&mut alice).1.contains(&Event::Renew));
    let later = START + kept.next_after;
    alice.handle_record(note(2), later);
    assert!(alice.poll_persist().is_some());
    assert_eq!(published(&drain(&mut alice).0), [1]);
    alice.handle_record(note(1), later);
    assert_eq!(drain(&mut alice).0, [], "an old one is no news");
}

#[test]
fn index_18_nothing_is_published_because_its_owner_came() {
    let renews_after = |last| {
        let mut alice = Alice::new(Some(note(4)), last, 9, START);
        alice.handle_supernodes(vec![1, 2, 3], START);
        while let Some(due) = alice.poll_timeout() {
            alice.handle_timeout(due.at);
            let (said, events) = drain(&mut alice);
            assert_eq!(published(&said), []);
            if events.contains(&Event::Renew) {
                return due.at - START;
            }
            for witness in asked(&said) {
                alice.handle_reply(witness, has(4), due.at);
                drain(&mut alice);
            }
        }
        Duration::ZERO
    };
    assert!(renews_after(Last::DueIn(Duration::ZERO)) >= HOUR);
    assert!(renews_after(Last::Overdue(DAY)) >= HOUR);
    assert_eq!(renews_after(Last::DueIn(20 * HOUR)), 20 * HOUR);
    // It would expire: sooner, but not at once.
    let urgent = renews_after(Last::Overdue(4 * DAY));
    assert!(urgent >= Duration::from_secs(300) && urgent <= Duration::from_secs(600));
}

#[test]
fn index_19_two_others_than_the_home_must_have_it() {
    let mut alice = at_home();
    let (at, whom) = look(&mut alice);
    assert!(at <= START + LOOK_AFTER);
    assert_eq!(whom, [2, 3]);
    alice.handle_reply(2, has(1), at);
    assert_eq!(drain(&mut alice), (vec![], vec![]));
    alice.handle_reply(3, has(1), at);
    assert_eq!(drain(&mut alice).1, [Event::Witnessed]);
    let (again, whom) = look(&mut alice);
    assert!(again >= at + LOOK_EVERY / 2 && again <= at + LOOK_EVERY);
    assert_eq!(whom, [2, 3]);
}

#[test]
fn index_20_a_home_that_keeps_it_to_itself_is_blamed_and_others_publish_it() {
    let mut alice = at_home();
    let (at, _) = look(&mut alice);
    alice.handle_reply(2, Reply::None, at);
    assert_eq!(asked(&drain(&mut alice).0), [4]);
    alice.handle_reply(3, has(0), at);
    assert_eq!(asked(&drain(&mut alice).0), [5], "an old one is none");
    alice.handle_reply(4, Reply::None, at);
    drain(&mut alice);
    alice.handle_reply(5, Reply::None, at);
    let (said, events) = drain(&mut alice);
    assert_eq!(events, [Event::Blame(1, Fault::Kept)]);
    assert_eq!(published(&said), [2, 3]);
    let (at, whom) = look(&mut alice);
    assert_eq!(whom, [4, 5], "others than those who published it");
    alice.handle_reply(4, has(1), at);
    alice.handle_reply(5, has(1), at);
    assert_eq!(drain(&mut alice).1, [Event::Witnessed]);
}

#[test]
fn index_20_one_witness_alone_may_lie_together_with_the_home() {
    let mut alice = at_home();
    let (at, _) = look(&mut alice);
    alice.handle_reply(2, has(1), at);
    for denier in [3, 4, 5] {
        alice.handle_reply(denier, Reply::None, at);
        let (said, events) = drain(&mut alice);
        assert_eq!(events, [], "nobody is blamed");
        assert_eq!(published(&said), if denier == 5 { vec![6] } else { vec![] });
    }
}

#[test]
fn index_20_it_is_not_published_without_end() {
    let mut alice = at_home();
    for _ in 1..ROUNDS_MAX {
        let (at, whom) = look(&mut alice);
        deny(&mut alice, whom, at);
    }
    let (at, whom) = look(&mut alice);
    deny(&mut alice, whom, at);
    let due = alice.poll_timeout().unwrap();
    assert!(due.at >= at + LOOK_EVERY / 2, "{due:?}");
}

/// Whoever is asked denies it, until nobody more is asked.
fn deny(alice: &mut Alice, mut whom: Vec<u8>, at: Time) {
    while let Some(denier) = whom.pop() {
        alice.handle_reply(denier, Reply::None, at);
        whom.extend(asked(&drain(alice).0));
    }
}

#[test]
fn index_21_who_denies_what_two_others_have_is_blamed() {
    let mut alice = at_home();
    let (at, _) = look(&mut alice);
    alice.handle_reply(2, Reply::None, at);
    assert_eq!(asked(&drain(&mut alice).0), [4]);
    alice.handle_reply(3, has(1), at);
    alice.handle_reply(4, has(1), at);
    assert_eq!(
        drain(&mut alice).1,
        [Event::Blame(2, Fault::Behind), Event::Witnessed]
    );
}

#[test]
fn index_22_the_silent_and_the_forging_are_no_witnesses() {
    let mut alice = at_home();
    let (at, _) = look(&mut alice);
    alice.handle_reply(2, Reply::Forged, at);
    let (said, events) = drain(&mut alice);
    assert_eq!(events, [Event::Blame(2, Fault::Forged)]);
    assert_eq!(asked(&said), [4]);
    alice.handle_reply(4, has(1), at);
    let due = alice.poll_timeout().unwrap();
    assert_eq!(due, Deadline::new(at + ANSWER_WAIT, Wake::Silent));
    alice.handle_timeout(due.at);
    let (said, events) = drain(&mut alice);
    assert_eq!(events, [Event::Blame(3, Fault::Silent)]);
    assert_eq!(asked(&said), [5]);
    alice.handle_reply(3, has(1), due.at);
    assert_eq!(drain(&mut alice).1, [], "too late");
    alice.handle_reply(5, has(1), due.at);
    assert_eq!(drain(&mut alice).1, [Event::Witnessed]);
}

#[test]
fn a_newer_one_of_another_device_takes_its_place() {
    let mut alice = at_home();
    let (at, _) = look(&mut alice);
    alice.handle_reply(2, has(5), at);
    assert!(alice.poll_persist().is_some(), "the timetable begins anew");
    assert_eq!(drain(&mut alice).1, [Event::Newer(note(5))]);
    alice.handle_record(note(4), at);
    assert_eq!(drain(&mut alice).0, []);
}

#[test]
fn a_network_with_one_supernode_has_no_witnesses() {
    let mut alice = Alice::new(None, Last::Never, 7, START);
    alice.handle_supernodes(vec![1], START);
    alice.handle_record(note(1), START);
    drain(&mut alice);
    assert_eq!(look(&mut alice).1, []);
    assert!(
        alice
            .poll_timeout()
            .is_some_and(|due| due.at > START + LOOK_AFTER)
    );
}

proptest! {
    #[test]
    fn whatever_is_answered_nobody_is_asked_or_told_more_than_a_bounded_number(
        known in 0_u8..12,
        answers in proptest::collection::vec((0_u8..12, 0_u8..4), 0..60),
    ) {
        let mut alice = Alice::new(None, Last::Never, 3, START);
        alice.handle_supernodes((0..known).collect(), START);
        alice.handle_record(note(3), START);
        let (mut said, mut now) = (drain(&mut alice).0, START);
        for (from, kind) in answers {
            let reply = [has(3), has(2), Reply::None, Reply::Forged][usize::from(kind)].clone();
            alice.handle_reply(from, reply, now);
            said.extend(drain(&mut alice).0);
            if let Some(due) = alice.poll_timeout().filter(|due| due.at < START + 2 * HOUR) {
                now = now.max(due.at);
                alice.handle_timeout(now);
                said.extend(drain(&mut alice).0);
            }
        }
        let rounds = 2 * usize::try_from(ROUNDS_MAX).unwrap_or(0) * 8;
        prop_assert!(published(&said).len() <= 1 + 2 * rounds, "{said:?}");
        prop_assert!(alice.poll_timeout().is_some());
    }
}
