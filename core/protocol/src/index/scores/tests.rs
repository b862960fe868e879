//! Supernodes that lie, and honest ones whom somebody wants to be blamed.

use proptest::prelude::*;

use super::*;
use crate::index::resolver::PATIENCE;

const KEY: IndexKey = IndexKey([7; 32]);
const START: Time = Duration::from_secs(1_000);

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

/// What is asked at `now`.
fn asked(scores: &mut Scores<u8>, now: Time) -> Vec<(LookupId, u8, IndexKey)> {
    let questions: Vec<Transmit<u8, Note>> = scores.handle_timeout(now);
    let asked = questions.into_iter().filter_map(|question| match question {
        Transmit::Ask(id, whom, key) => Some((id, whom, key)),
        _ => None,
    });
    asked.collect()
}

/// `whom` is told record 5 of `KEY` and answers the question after it.
fn tell_and_ask(
    scores: &mut Scores<u8>,
    whom: u8,
    reply: &Reply<Note>,
    now: Time,
) -> Option<Fault> {
    scores.handle_told(whom, KEY, 5, now);
    let due = scores.poll_timeout()?;
    let (id, _, _) = asked(scores, due).pop()?;
    scores.handle_answer(id, whom, reply, due)
}

#[test]
fn index_28_who_forged_is_asked_last_for_an_hour() {
    let mut scores = Scores::new();
    scores.handle_fault(2, Fault::Forged, START);
    assert_eq!(scores.order(vec![1, 2, 3, 4], START), [1, 3, 4, 2]);
    let later = START + Duration::from_secs(3_600);
    assert_eq!(scores.order(vec![1, 2, 3, 4], later), [1, 2, 3, 4]);
}

#[test]
fn index_29_only_who_was_told_a_record_and_denies_it_again_is_blamed() {
    let mut scores = Scores::new();
    for _ in 0..100 {
        scores.handle_fault(2, Fault::Behind, START);
    }
    assert!(!scores.is_bad(2, START), "it may never have been brought");
    let denied = tell_and_ask(&mut scores, 2, &Reply::None, START);
    assert_eq!(denied, Some(Fault::Behind));
    assert!(!scores.is_bad(2, START), "once may be chance");
    let older = Reply::Record(Note(KEY, 4));
    let denied = tell_and_ask(&mut scores, 2, &older, START + ASKED_AFTER);
    assert_eq!(denied, Some(Fault::Behind));
    assert!(scores.is_bad(2, START + 2 * ASKED_AFTER));
    for newer in [5, 6] {
        let has_it = Reply::Record(Note(KEY, newer));
        assert_eq!(tell_and_ask(&mut scores, 3, &has_it, START), None);
    }
    assert!(!scores.is_bad(3, START));
}

#[test]
fn index_29_the_question_is_bounded_and_answered_once_by_whom_it_was_asked() {
    let mut scores = Scores::new();
    scores.handle_told(2, KEY, 5, START);
    scores.handle_told(2, IndexKey([8; 32]), 9, START);
    assert_eq!(asked(&mut scores, START + PATIENCE), []);
    let due = scores.poll_timeout().unwrap();
    assert_eq!(due, START + ASKED_AFTER);
    let questions = asked(&mut scores, due);
    assert_eq!(questions, [(FIRST, 2, KEY)], "one record of each");
    let none = Reply::<Note>::None;
    assert_eq!(scores.handle_answer(FIRST, 3, &none, due), None);
    assert_eq!(scores.handle_answer(FIRST + 1, 2, &none, due), None);
    assert!(scores.handle_answer(FIRST, 2, &none, due).is_some());
    assert_eq!(scores.handle_answer(FIRST, 2, &none, due), None);
    // Who does not answer, or is gone, is forgotten.
    scores.handle_told(4, KEY, 5, due);
    scores.handle_told(5, KEY, 5, due);
    scores.handle_left(5);
    let due = scores.poll_timeout().unwrap();
    assert_eq!(asked(&mut scores, due).len(), 1);
    assert_eq!(asked(&mut scores, due + LONGEST), []);
    assert_eq!(scores.poll_timeout(), None);
    assert!(!scores.is_bad(4, due));
}

#[test]
fn index_30_silence_counts_only_while_others_answer_and_then_little() {
    let mut scores = Scores::new();
    for _ in 0..20 {
        scores.handle_fault(2, Fault::Silent, START);
        scores.handle_heard(2, START);
        scores.handle_fault(2, Fault::Unreachable, START);
    }
    assert!(!scores.is_bad(2, START), "nobody else was heard");
    scores.handle_heard(3, START);
    for _ in 0..7 {
        scores.handle_fault(2, Fault::Silent, START);
    }
    assert!(!scores.is_bad(2, START));
    scores.handle_fault(2, Fault::Silent, START + 2 * HEARD_LATELY);
    assert!(!scores.is_bad(2, START), "too long ago");
    scores.handle_heard(3, START);
    scores.handle_fault(2, Fault::Silent, START);
    assert!(scores.is_bad(2, START));
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Behind),
        Just(Fault::Silent),
        Just(Fault::Unreachable),
        Just(Fault::Forged),
        Just(Fault::Kept),
    ]
}

proptest! {
    #[test]
    fn index_28_whatever_happens_everybody_is_still_asked(
        faults in proptest::collection::vec((0_u8..10, fault(), any::<bool>()), 0..200),
    ) {
        let mut scores = Scores::new();
        for (holder, fault, heard) in faults {
            if heard {
                scores.handle_heard(holder.wrapping_add(1), START);
            }
            scores.handle_fault(holder, fault, START);
        }
        let mut order = scores.order((0..10).collect(), START);
        let good = order.iter().take_while(|holder| !scores.is_bad(**holder, START)).count();
        prop_assert!(order[good..].iter().all(|holder| scores.is_bad(*holder, START)));
        order.sort_unstable();
        prop_assert_eq!(order, (0..10).collect::<Vec<u8>>());
    }

    /// Records that their makers brought to some only, in any order and number: whoever keeps what he is told is not blamed.
    #[test]
    fn index_29_nobody_gets_an_honest_one_blamed(
        records in proptest::collection::vec((0_u8..4, 0_u8..8, 1_u64..9, 0_u64..60), 0..100),
    ) {
        let mut scores = Scores::new();
        let mut held: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        let mut now = START;
        for (whom, number, sequence, wait) in records {
            now += Duration::from_secs(wait);
            for (id, whom, key) in asked(&mut scores, now) {
                let sequence = held.get(&(whom, key.0[0]));
                let reply = sequence.map_or(Reply::None, |has| Reply::Record(Note(key, *has)));
                prop_assert_eq!(scores.handle_answer(id, whom, &reply, now), None);
            }
            let has = held.entry((whom, number)).or_default();
            if *has < sequence {
                *has = sequence;
                scores.handle_fault(whom, Fault::Behind, now);
                scores.handle_told(whom, IndexKey([number; 32]), sequence, now);
            }
        }
        prop_assert!((0..4).all(|whom| !scores.is_bad(whom, now)));
    }
}
