//! Alice, Bob and Carol talk; their messages come in every order, and some twice.

use proptest::prelude::*;
use starling_wire::content::emoji::Emoji;
use starling_wire::content::long::write;
use starling_wire::content::{Body, Content, Text, Words};
use starling_wire::ids::{AccountId, DeviceId, MessageId};
use starling_wire::limits::CONTENT_MAX;

use super::*;

mod flood;

const NOW: u64 = 1_795_500_000_000;
const MEMBER: u8 = 0;
const MODERATOR: u8 = 1;

fn person(seed: u8, rank: u8) -> Author {
    Author {
        account: AccountId([seed; 32]),
        device: DeviceId([seed; 32]),
        rank,
    }
}

fn alice() -> Author {
    person(0xa1, MEMBER)
}

fn bob() -> Author {
    person(0xb0, MEMBER)
}

/// A moderator.
fn carol() -> Author {
    person(0xc4, MODERATOR)
}

fn may_delete(author: &Author, target: &Author) -> bool {
    author.rank > target.rank
}

fn said(author: Author, sent_at: u64, before: &[&Said], body: Body) -> Said {
    let content = Content {
        sent_at,
        predecessors: before.iter().map(|said| said.id).collect(),
        body,
    };
    Said::new(author, content).unwrap()
}

fn text(text: &str) -> Body {
    Body::Text(Text {
        words: Words::new(text),
        reply_to: None,
    })
}

fn edit(of: &Said, text: &str) -> Body {
    Body::Edit {
        of: of.id,
        words: Words::new(text),
    }
}

fn react(to: &Said, emoji: &str, on: bool) -> Body {
    Body::React {
        to: to.id,
        emoji: Emoji::new(emoji).unwrap(),
        on,
    }
}

fn hear(memory: &mut Memory, said: &Said) -> Vec<Change> {
    let Ok(changes) = take(memory, said.clone(), &may_delete);
    changes
}

fn all<'a>(messages: impl IntoIterator<Item = &'a Said>) -> Memory {
    let mut memory = Memory::default();
    for said in messages {
        hear(&mut memory, said);
    }
    memory
}

/// The texts, as they are shown.
fn texts(memory: &Memory) -> Vec<String> {
    let text = |(_, kept): (MessageId, &Kept)| match (&kept.state, kept.body()) {
        (
            State {
                deleted_by: Some(_),
                ..
            },
            _,
        ) => "(deleted)".to_owned(),
        (
            State {
                words: Some(words), ..
            },
            _,
        ) => words.text.clone(),
        (_, Some(Body::Text(text))) => text.words.text.clone(),
        (_, other) => format!("{other:?}"),
    };
    memory.shown().into_iter().map(text).collect()
}

/// Every order of a few messages gives the same; returns what that is.
fn in_every_order(messages: &[&Said]) -> Memory {
    let whole = all(messages.iter().copied());
    let mut order: Vec<usize> = (0..messages.len()).collect();
    // Heap's algorithm.
    let mut counters = vec![0; order.len()];
    let mut at = 1;
    while at < order.len() {
        if counters[at] < at {
            order.swap(if at % 2 == 0 { 0 } else { counters[at] }, at);
            counters[at] += 1;
            at = 1;
            let here = all(order.iter().map(|at| messages[*at]));
            assert_eq!(here, whole, "{order:?}");
        } else {
            counters[at] = 0;
            at += 1;
        }
    }
    whole
}

fn reasons(changes: &[Change]) -> Vec<Refusal> {
    let reason = |change: &Change| match change {
        Change::Refused(_, reason) => Some(*reason),
        _ => None,
    };
    changes.iter().filter_map(reason).collect()
}

fn kept(memory: &Memory, said: &Said) -> Kept {
    let Ok(kept) = memory.get(said.id);
    kept.expect("it is here")
}

#[test]
fn msg_13_a_message_counts_once() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let mut memory = all([&hi]);
    assert_eq!(hear(&mut memory, &hi), [Change::Known(hi.id)]);
    assert_eq!(memory, all([&hi]));
    // The same words from somebody else are another message.
    let other = said(bob(), NOW, &[], text("hi"));
    assert_eq!(hear(&mut memory, &other), [Change::Added(other.id)]);
}

#[test]
fn msg_14_no_clock_puts_an_answer_before_its_question() {
    let question = said(alice(), NOW, &[], text("when?"));
    // Bob's clock is years behind, Carol's beyond the end of time.
    let answer = said(bob(), 5, &[&question], text("at eight"));
    let late = said(carol(), u64::MAX, &[&answer], text("fine"));
    let thanks = said(alice(), NOW + 9, &[&late], text("see you"));
    let memory = in_every_order(&[&question, &answer, &late, &thanks]);
    assert_eq!(texts(&memory), ["when?", "at eight", "fine", "see you"]);
    assert_eq!(kept(&memory, &answer).place, NOW + 1);
    assert_eq!(kept(&memory, &late).sent_at, SENT_AT_MAX);
    assert_eq!(kept(&memory, &thanks).place, SENT_AT_MAX + 1);
}

#[test]
fn msg_14_what_comes_late_moves_what_named_it_and_nothing_else() {
    let beside = said(carol(), NOW + 1, &[], text("beside"));
    let first = said(alice(), NOW + 2, &[], text("first"));
    let second = said(bob(), NOW, &[&first], text("second"));
    let third = said(alice(), NOW + 1, &[&second], text("third"));
    let mut memory = all([&beside, &second, &third]);
    assert_eq!(texts(&memory), ["second", "third", "beside"]);
    let changes = hear(&mut memory, &first);
    let moved = [Change::Moved(second.id), Change::Moved(third.id)];
    assert_eq!(changes[1..], moved);
    assert_eq!(texts(&memory), ["beside", "first", "second", "third"]);
    assert_eq!(memory.heads(8), [third.id, beside.id]);
}

#[test]
fn msg_15_what_is_named_and_not_here_is_known_by_name() {
    let first = said(alice(), NOW, &[], text("first"));
    let second = said(bob(), NOW, &[&first], text("second"));
    let like = said(bob(), NOW, &[&second], react(&first, "👍", true));
    let mut memory = Memory::default();
    let missing = |changes: Vec<Change>| changes.contains(&Change::Missing(first.id));
    assert!(missing(hear(&mut memory, &like)));
    assert!(missing(hear(&mut memory, &second)));
    assert_eq!(memory.missing().iter().collect::<Vec<_>>(), [&first.id]);
    hear(&mut memory, &first);
    assert!(memory.missing().is_empty());
}

#[test]
fn msg_16_the_authors_last_word_counts() {
    let first = said(alice(), NOW, &[], text("helo"));
    let phone = Author {
        device: DeviceId([9; 32]),
        ..alice()
    };
    let fixed = said(alice(), NOW + 9, &[&first], edit(&first, "hello"));
    // Written later, on a device whose clock is behind.
    let again = said(phone, NOW - 9, &[&fixed], edit(&first, "hello!"));
    let foreign = said(bob(), NOW + 99, &[&first], edit(&first, "bye"));
    let memory = in_every_order(&[&first, &fixed, &again, &foreign]);
    assert_eq!(texts(&memory), ["hello!"]);
    assert_eq!(kept(&memory, &first).state.edits, 2);
    let refused = kept(&memory, &foreign);
    assert_eq!(refused.kind, Kind::Refused(Refusal::ForeignEdit));
    assert_eq!(refused.content, None);
    let mut memory = all([&first]);
    let changes = hear(&mut memory, &foreign);
    assert_eq!(reasons(&changes), [Refusal::ForeignEdit]);
    assert!(!changes.contains(&Change::Changed(first.id)));
}

#[test]
fn msg_16_a_deletion_is_the_end_whenever_it_comes() {
    let secret = said(alice(), NOW, &[], text("my password is"));
    let fixed = said(alice(), NOW + 1, &[&secret], edit(&secret, "my PIN is"));
    let liked = said(bob(), NOW + 2, &[&secret], react(&secret, "👍", true));
    let gone = said(alice(), NOW + 3, &[&fixed], Body::Delete { of: secret.id });
    let memory = in_every_order(&[&secret, &fixed, &liked, &gone]);
    assert_eq!(texts(&memory), ["(deleted)"]);
    let left = kept(&memory, &secret);
    assert_eq!(left.state.deleted_by, Some(alice().account));
    assert_eq!((left.content, left.state.reactions), (None, vec![]));
    assert_eq!(kept(&memory, &fixed).content, None, "nor its other words");
}

#[test]
fn msg_16_only_who_may_deletes_what_others_said() {
    let bobs = said(bob(), NOW, &[], text("spam"));
    let carols = said(carol(), NOW + 1, &[], text("stop that"));
    let by_alice = said(alice(), NOW + 1, &[], Body::Delete { of: bobs.id });
    let by_carol = said(carol(), NOW + 2, &[], Body::Delete { of: bobs.id });
    let by_bob = said(bob(), NOW + 3, &[], Body::Delete { of: carols.id });
    let memory = in_every_order(&[&bobs, &carols, &by_alice, &by_carol, &by_bob]);
    assert_eq!(texts(&memory), ["(deleted)", "stop that"]);
    assert_eq!(kept(&memory, &bobs).state.deleted_by, Some(carol().account));
    for refused in [&by_alice, &by_bob] {
        let kind = kept(&memory, refused).kind;
        assert_eq!(kind, Kind::Refused(Refusal::ForeignDelete));
    }
}

#[test]
fn msg_16_reactions_are_what_each_said_last() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let up = said(bob(), NOW + 1, &[&hi], react(&hi, "👍", true));
    let down = said(bob(), NOW + 2, &[&up], react(&hi, "👍", false));
    let heart = said(bob(), NOW + 3, &[&down], react(&hi, "❤️", true));
    let hers = said(carol(), NOW, &[&hi], react(&hi, "❤️", true));
    let memory = in_every_order(&[&hi, &up, &down, &heart, &hers]);
    let both = vec![bob().account, carol().account];
    let expected = vec![(Emoji::new("❤️").unwrap(), both)];
    assert_eq!(kept(&memory, &hi).state.reactions, expected);
}

#[test]
fn msg_16_what_is_no_message_cannot_be_changed() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let fixed = said(alice(), NOW + 1, &[&hi], edit(&hi, "ho"));
    let twice = said(alice(), NOW + 2, &[&fixed], edit(&fixed, "hu"));
    let memory = in_every_order(&[&hi, &fixed, &twice]);
    assert_eq!(texts(&memory), ["ho"]);
    let kind = kept(&memory, &twice).kind;
    assert_eq!(kind, Kind::Refused(Refusal::NotAMessage));
}

/// A text in three messages.
fn long(author: Author, mark: char) -> Vec<Said> {
    let text = mark.to_string().repeat(CONTENT_MAX);
    let content = Content {
        sent_at: NOW,
        predecessors: vec![],
        body: self::text(&text),
    };
    let written = write(author.account, content).unwrap();
    let read = |written: &starling_wire::content::long::Written| {
        let said = Said::read(author, &written.bytes).unwrap();
        assert_eq!(said.id, written.id);
        said
    };
    written.iter().map(read).collect()
}

#[test]
fn msg_17_parts_come_in_any_order() {
    let pieces = long(alice(), 'x');
    let [first, second, last] = &pieces[..] else {
        panic!("three messages");
    };
    let liked = said(bob(), NOW + 1, &[last], react(last, "👍", true));
    let memory = in_every_order(&[first, second, last, &liked]);
    let shown = kept(&memory, last);
    assert!(shown.state.complete && shown.state.reactions.len() == 1);
    let Ok(Some(Body::Text(text))) = whole(&memory, &shown) else {
        panic!("a text");
    };
    assert_eq!(text.words.text.len(), CONTENT_MAX);
    let mut memory = all([last, first]);
    assert_eq!(memory.missing().len(), 1);
    let Ok(nothing) = whole(&memory, &kept(&memory, last));
    assert_eq!(nothing, None);
    assert_eq!(hear(&mut memory, second), [Change::Changed(last.id)]);
}

#[test]
fn msg_17_a_deleted_message_leaves_no_parts() {
    let pieces = long(alice(), 'x');
    let id = pieces[2].id;
    let gone = said(alice(), NOW + 1, &[], Body::Delete { of: id });
    let memory = in_every_order(&[&pieces[0], &pieces[1], &pieces[2], &gone]);
    assert!(
        memory
            .all()
            .all(|(at, kept)| kept.content.is_none() || at == gone.id)
    );
}

#[test]
fn msg_17_parts_of_somebody_else_make_nothing() {
    let pieces = long(alice(), 'x');
    let stolen = said(bob(), NOW, &[], pieces[2].content.body.clone());
    let memory = in_every_order(&[&pieces[0], &pieces[1], &stolen]);
    assert_eq!(kept(&memory, &stolen).kind, Kind::Refused(Refusal::Parts));
    assert_eq!(memory.shown(), []);
}

#[test]
fn msg_18_a_flood_of_changes_stops_at_the_bound() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let mut memory = all([&hi]);
    for n in 0..CHANGES_MAX as u64 {
        let like = said(bob(), NOW + n, &[], react(&hi, "👍", n % 2 == 0));
        assert_eq!(reasons(&hear(&mut memory, &like)), []);
    }
    let more = said(bob(), NOW + 999, &[], react(&hi, "👍", true));
    let changes = hear(&mut memory, &more);
    assert_eq!(reasons(&changes), [Refusal::TooManyChanges]);
    assert_eq!(kept(&memory, &more).content, None);
    let hers = said(carol(), NOW, &[], react(&hi, "👍", true));
    assert_eq!(hear(&mut memory, &hers), [Change::Changed(hi.id)]);
    // One account shows few.
    for (n, emoji) in [
        "😀", "😁", "😂", "😃", "😄", "😅", "😆", "😇", "😈", "😉", "😊",
    ]
    .iter()
    .enumerate()
    {
        hear(
            &mut memory,
            &said(carol(), NOW + 1 + n as u64, &[], react(&hi, emoji, true)),
        );
    }
    let mut shown = kept(&memory, &hi).state.reactions;
    shown.retain(|(_, who)| who.contains(&carol().account));
    assert_eq!(shown.len(), REACTIONS_MAX);
    assert!(
        !shown.iter().any(|(emoji, _)| emoji.as_str() == "😀"),
        "the first one went"
    );
}

#[test]
fn msg_19_a_mark_only_moves_on() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let read = |place| {
        said(
            bob(),
            NOW,
            &[],
            Body::Read {
                up_to: hi.id,
                place,
            },
        )
    };
    let (early, late) = (read(NOW), read(u64::MAX));
    let memory = in_every_order(&[&hi, &early, &late]);
    let mark = Mark {
        place: PLACE_MAX,
        up_to: hi.id,
    };
    assert_eq!(memory.mark(bob().account), Ok(Some(mark)));
    assert_eq!(memory.heads(8), [hi.id], "no part of the history");
    let typing = said(bob(), NOW, &[], Body::Typing { on: true });
    let mut memory = Memory::default();
    assert_eq!(
        hear(&mut memory, &typing),
        [Change::Typing(bob().account, true)]
    );
    let ids = vec![hi.id];
    let received = said(bob(), NOW, &[], Body::Received { ids: ids.clone() });
    assert_eq!(hear(&mut memory, &received), [Change::Received(bob(), ids)]);
    let entries = vec![starling_wire::ids::EntryId([4; 32])];
    let again = Body::Again {
        entries: entries.clone(),
    };
    let again = said(bob(), NOW, &[], again);
    assert_eq!(hear(&mut memory, &again), [Change::Again(bob(), entries)]);
    assert_eq!(memory, Memory::default());
}

#[test]
fn msg_04_something_newer_has_its_place() {
    let newer = Body::Newer {
        version: 9,
        bytes: vec![1, 2, 3],
    };
    let first = said(alice(), NOW, &[], newer.clone());
    let answer = said(bob(), 0, &[&first], text("what was that?"));
    let memory = in_every_order(&[&first, &answer]);
    assert_eq!(memory.shown()[0].1.body(), Some(&newer));
    assert_eq!(memory.shown()[1].0, answer.id);
}

#[test]
fn a_late_predecessor_of_many_moves_each_once() {
    let first = said(alice(), NOW, &[], text("first"));
    let mut talk = vec![said(bob(), 0, &[&first], text("0"))];
    for n in 1..2_000 {
        // Each names the two before it: without an order, the work would double with each step.
        let from = talk.len().saturating_sub(2);
        let before: Vec<&Said> = talk[from..].iter().collect();
        talk.push(said(bob(), 0, &before, text(&n.to_string())));
    }
    let mut memory = all(&talk);
    let moved = hear(&mut memory, &first);
    assert_eq!(moved.len(), talk.len() + 1);
    let numbers: Vec<_> = (0..2_000).map(|n: u32| n.to_string()).collect();
    assert_eq!(texts(&memory)[1..], numbers);
}

/// What somebody does next: who, by which clock, having seen which of the last ones, doing what to which.
type Step = (u8, u64, u8, u8, u8);

fn talk(steps: &[Step]) -> Vec<Said> {
    let people = [alice(), bob(), carol()];
    let emoji = ["👍", "❤️"];
    let mut talk: Vec<Said> = Vec::new();
    for (n, (who, clock, seen, what, which)) in steps.iter().enumerate() {
        let author = people[usize::from(*who) % 3];
        let clock = [NOW, 7, u64::MAX, NOW + clock % 100][(clock % 4) as usize];
        // The same words by the same clock are one message: nobody names it twice.
        let mut before: Vec<&Said> = Vec::new();
        for (at, said) in talk.iter().rev().take(8).enumerate() {
            if seen >> at & 1 == 1 && !before.iter().any(|other| other.id == said.id) {
                before.push(said);
            }
        }
        let target = talk.get(usize::from(*which) % talk.len().max(1));
        let say = |body| said(author, clock, &before, body);
        let next = match (what % 8, target) {
            (0 | 1, Some(of)) => say(edit(of, &n.to_string())),
            (2, Some(of)) => say(Body::Delete { of: of.id }),
            (3 | 4, Some(to)) => say(react(to, emoji[n % 2], what % 16 < 8)),
            (5, Some(of)) => say(Body::Read {
                up_to: of.id,
                place: clock,
            }),
            (6, _) => {
                talk.extend(long(author, (b'a' + (n % 20) as u8) as char));
                continue;
            }
            _ => say(text(&n.to_string())),
        };
        talk.push(next);
    }
    talk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn msg_14_any_order_and_any_repetition_give_one_transcript(
        steps in prop::collection::vec(any::<Step>(), 0..40),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
    ) {
        let talk = talk(&steps);
        let whole = all(&talk);
        // Some come early, some twice; then all that have not come yet, from the last one to the first.
        let early = order.iter().filter(|_| !talk.is_empty()).map(|at| at.get(&talk));
        let mixed = all(early.chain(talk.iter().rev()));
        prop_assert_eq!(&mixed, &whole);
        for said in talk.iter().filter(|said| said.content.body.is_history()) {
            for before in &said.content.predecessors {
                let Ok(before) = whole.brief(*before);
                let after = kept(&whole, said).brief();
                let behind = |before: Brief| {
                    let counts = goes_behind((after.author, after.sent_at), before);
                    !counts || before.place < after.place
                };
                prop_assert!(before.is_none_or(behind));
            }
        }
    }
}
