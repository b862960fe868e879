//! Mallory floods: with changes, with reactions, with messages that were kept back. What comes of it does not depend on the order,
//! and costs little.

use std::cell::Cell;
use std::convert::Infallible;

use super::*;

fn mallory() -> Author {
    person(0xee, MEMBER)
}

/// Hears these forwards, backwards and from the middle on, and the target first, last and between.
fn in_some_orders(target: &Said, changes: &[Said]) -> Memory {
    let whole = all(std::iter::once(target).chain(changes));
    let (early, late) = changes.split_at(changes.len() / 2);
    let orders: [Vec<&Said>; 4] = [
        changes.iter().chain([target]).collect(),
        changes.iter().rev().chain([target]).collect(),
        [target].into_iter().chain(changes.iter().rev()).collect(),
        late.iter()
            .chain([target])
            .chain(early.iter().rev())
            .collect(),
    ];
    for (at, order) in orders.into_iter().enumerate() {
        assert_eq!(all(order), whole, "{at}");
    }
    whole
}

fn many(change: impl Fn(u64) -> Said) -> Vec<Said> {
    (0..CHANGES_MAX as u64 + 30).map(change).collect()
}

fn refused(memory: &Memory, reason: Refusal) -> usize {
    let refused = |(_, kept): &(MessageId, &Kept)| kept.kind == Kind::Refused(reason);
    memory.all().filter(refused).count()
}

#[test]
fn msg_18_the_first_ones_by_their_authors_clock_count_in_whatever_order_they_come() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let edits = many(|n| said(alice(), NOW + n, &[], edit(&hi, &n.to_string())));
    let memory = in_some_orders(&hi, &edits);
    assert_eq!(texts(&memory), ["99"]);
    assert_eq!(kept(&memory, &hi).state.edits, CHANGES_MAX as u32);
    assert_eq!(refused(&memory, Refusal::TooManyChanges), 30);
    assert!(
        edits[CHANGES_MAX..]
            .iter()
            .all(|edit| kept(&memory, edit).content.is_none())
    );

    let likes = many(|n| said(bob(), NOW + n, &[], react(&hi, "👍", n == 99)));
    let memory = in_some_orders(&hi, &likes);
    assert_eq!(kept(&memory, &hi).state.reactions.len(), 1);
    assert_eq!(refused(&memory, Refusal::TooManyChanges), 30);

    let deletions = many(|n| said(carol(), NOW + n, &[], Body::Delete { of: hi.id }));
    let memory = in_some_orders(&hi, &deletions);
    assert_eq!(texts(&memory), ["(deleted)"]);
}

#[test]
fn msg_18_it_does_not_matter_when_it_is_known_that_they_are_not_allowed() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let foreign = many(|n| said(bob(), NOW + n, &[], edit(&hi, &n.to_string())));
    let memory = in_some_orders(&hi, &foreign);
    assert_eq!(texts(&memory), ["hi"]);
    assert_eq!(refused(&memory, Refusal::ForeignEdit), CHANGES_MAX);
    let deletions = many(|n| said(bob(), NOW + n, &[], Body::Delete { of: hi.id }));
    let memory = in_some_orders(&hi, &deletions);
    assert_eq!(refused(&memory, Refusal::ForeignDelete), CHANGES_MAX);
    let no_message = said(alice(), NOW, &[], edit(&hi, "ho"));
    let changes = many(|n| said(alice(), NOW + n, &[], edit(&no_message, &n.to_string())));
    let memory = in_some_orders(&no_message, &changes);
    assert_eq!(refused(&memory, Refusal::NotAMessage), changes.len());
}

/// Counts the rows that are read.
#[derive(Default)]
struct Counted {
    memory: Memory,
    rows: Cell<usize>,
}

impl Counted {
    fn count<T>(&self, rows: usize, found: Result<T, Infallible>) -> Result<T, Infallible> {
        self.rows.set(self.rows.get() + rows);
        found
    }

    fn listed(
        &self,
        found: Result<Vec<MessageId>, Infallible>,
    ) -> Result<Vec<MessageId>, Infallible> {
        let Ok(found) = found;
        self.count(found.len(), Ok(found))
    }

    fn hear(&mut self, said: &Said) -> usize {
        self.rows.set(0);
        let Ok(_) = take(self, said.clone(), &may_delete);
        self.rows.get()
    }
}

impl Archive for Counted {
    type Error = Infallible;

    fn get(&self, id: MessageId) -> Result<Option<Kept>, Infallible> {
        self.count(1, self.memory.get(id))
    }

    fn brief(&self, id: MessageId) -> Result<Option<Brief>, Infallible> {
        self.count(1, self.memory.brief(id))
    }

    fn add(&mut self, id: MessageId, kept: &Kept) -> Result<(), Infallible> {
        self.memory.add(id, kept)
    }

    fn put(&mut self, id: MessageId, kept: &Kept) -> Result<(), Infallible> {
        self.memory.put(id, kept)
    }

    fn lift(&mut self, id: MessageId, place: u64) -> Result<(), Infallible> {
        self.memory.lift(id, place)
    }

    fn link(
        &mut self,
        from: MessageId,
        to: MessageId,
        link: Link,
        here: bool,
    ) -> Result<(), Infallible> {
        self.memory.link(from, to, link, here)
    }

    fn arrived(&mut self, id: MessageId) -> Result<bool, Infallible> {
        self.memory.arrived(id)
    }

    fn links_to(&self, to: MessageId, link: Link) -> Result<Vec<MessageId>, Infallible> {
        self.listed(self.memory.links_to(to, link))
    }

    fn changes(
        &self,
        to: MessageId,
        kinds: &[Kind],
        by: Option<AccountId>,
    ) -> Result<Vec<MessageId>, Infallible> {
        self.listed(self.memory.changes(to, kinds, by))
    }

    fn mark(&self, reader: AccountId) -> Result<Option<Mark>, Infallible> {
        self.memory.mark(reader)
    }

    fn set_mark(&mut self, reader: AccountId, mark: Mark) -> Result<(), Infallible> {
        self.memory.set_mark(reader, mark)
    }
}

#[test]
fn msg_16_a_reaction_costs_the_same_however_many_there_are() {
    let hi = said(alice(), NOW, &[], text("hi"));
    let late = said(alice(), NOW, &[], text("comes late"));
    let people = (0..1_000_u32).map(|number| {
        let mut author = bob();
        author.account.0[..4].copy_from_slice(&number.to_be_bytes());
        author
    });
    let likes: Vec<_> = people
        .map(|who| said(who, NOW, &[&late], react(&hi, "👍", true)))
        .collect();
    let mut there = Counted::default();
    there.hear(&hi);
    let most = likes.iter().map(|like| there.hear(like)).max();
    assert!(most < Some(20), "{most:?}");
    let mut waiting = Counted::default();
    let most = likes.iter().map(|like| waiting.hear(like)).max();
    assert!(most < Some(20), "{most:?}");
    for (rows, each) in [(waiting.hear(&hi), 10), (there.hear(&late), 20)] {
        assert!(rows < each * likes.len(), "{rows}");
    }
    waiting.hear(&late);
    assert!(waiting.memory == there.memory);
    assert_eq!(
        kept(&there.memory, &hi).state.reactions[0].1.len(),
        likes.len()
    );
}

/// Bob and Carol talk, each with what was said before in view, and with what Mallory has said last.
fn talk_over(hooks: &[Said]) -> Vec<Said> {
    let mut talk: Vec<Said> = Vec::new();
    for n in 0..500_u64 {
        let hook = &hooks[n as usize * hooks.len() / 500];
        let before: Vec<&Said> = talk.last().into_iter().chain([hook]).collect();
        let who = [bob(), carol()][(n % 2) as usize];
        talk.push(said(
            who,
            NOW + 60 * 1_000 * (n + 1),
            &before,
            text(&n.to_string()),
        ));
    }
    talk
}

#[test]
fn msg_21_who_shows_late_what_he_kept_back_moves_nobody_by_clocks_of_the_future() {
    let year = 365 * 24 * 3_600_000;
    let kept_back: Vec<_> = (1..50)
        .map(|n| {
            said(
                mallory(),
                NOW + n * year,
                &[],
                text(&format!("kept back {n}")),
            )
        })
        .collect();
    let hook = |(n, kept): (u64, &Said)| said(mallory(), NOW + n, &[kept], text(&n.to_string()));
    let hooks: Vec<_> = (0..).zip(&kept_back).map(hook).collect();
    let talk = talk_over(&hooks);
    let mut memory = all(hooks.iter().chain(&talk));
    let before = texts(&memory);
    for said in &kept_back {
        assert_eq!(hear(&mut memory, said), [Change::Added(said.id)]);
    }
    assert_eq!(texts(&memory)[..before.len()], before);
    let other_way = all(kept_back.iter().chain(&hooks).chain(&talk));
    assert!(
        memory == other_way,
        "whoever had them at once shows the same"
    );
}

#[test]
fn msg_21_what_two_accounts_do_together_moves_each_message_once_for_each_that_was_kept_back() {
    let year = 365 * 24 * 3_600_000;
    let kept_back = said(mallory(), NOW + year, &[], text("kept back"));
    let hook = [said(carol(), NOW, &[&kept_back], text("I have seen it"))];
    let talk = talk_over(&hook);
    let mut memory = all(hook.iter().chain(&talk));
    let moved = hear(&mut memory, &kept_back);
    assert_eq!(moved.len(), 1 + hook.len() + talk.len());
    let order = texts(&memory);
    assert_eq!(order[..2], ["kept back", "I have seen it"]);
    assert!(order[2..].is_sorted_by_key(|text| text.parse::<u32>().unwrap()));
}

#[test]
fn msg_21_a_clock_that_was_set_back_a_little_is_still_followed() {
    let first = said(alice(), NOW + SET_BACK_MAX_MS, &[], text("first"));
    let second = said(alice(), NOW, &[&first], text("second"));
    assert_eq!(
        texts(&in_every_order(&[&first, &second])),
        ["first", "second"]
    );
    let future = said(alice(), NOW + SET_BACK_MAX_MS + 1, &[], text("future"));
    let third = said(alice(), NOW, &[&future], text("third"));
    let answer = said(bob(), NOW, &[&future], text("answer"));
    let order = texts(&in_every_order(&[&future, &third, &answer]));
    assert_eq!(order, ["third", "future", "answer"]);
}
