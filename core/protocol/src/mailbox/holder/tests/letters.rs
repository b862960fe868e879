//! Leaving and reading.

use super::*;
use proptest::prelude::*;

fn receipt(answers: &[(Connection, Answer)]) -> &Answer {
    let receipt = answers
        .iter()
        .find(|(_, answer)| matches!(answer, Answer::Receipt(_)));
    &receipt.expect("a receipt").1
}

fn numbers(answers: &[(Connection, Answer)]) -> Vec<u64> {
    let number = |(_, answer): &(Connection, Answer)| match answer {
        Answer::Item { number, .. } => Some(*number),
        _ => None,
    };
    answers.iter().filter_map(number).collect()
}

#[test]
fn box_12_the_same_entry_again_has_the_same_receipt() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE, BOB]);
    let entry = desk.entry(&ours, Kind::Message, SLOT, 1);
    let first = desk.leave(ALICE, &entry);
    let Answer::Receipt(signed) = receipt(&first) else {
        panic!("{first:?}");
    };
    assert!(signed.verify().is_ok());
    assert_eq!(signed.statement.seat.mailbox, desk.mailbox(&ours));
    desk.day(TODAY + 1);
    assert_eq!(receipt(&desk.leave(BOB, &entry)), receipt(&first));
    desk.restart();
    desk.members(&ours, &[CAROL]);
    assert_eq!(receipt(&desk.leave(CAROL, &entry)), receipt(&first));
    assert_eq!(desk.disk.entries().count(), 1);
}

#[test]
fn box_12_what_is_to_be_kept_comes_before_what_is_said() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    let entry = desk.entry(&ours, Kind::Message, SLOT, 1);
    let ask = Ask::Deposit(*entry.head());
    desk.holder
        .handle_frame(ALICE, ask, entry.body().clone(), desk.now);
    let persist = desk.holder.poll_persist();
    assert!(matches!(persist, Some(Persist::Keep { entry: kept, .. }) if kept == entry));
}

#[test]
fn box_03_what_no_member_signed_is_not_kept() {
    let (ours, theirs) = (generation(1), generation(2));
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    let bad = [(ALICE, Refusal::BadEntry)];
    let foreign = desk.entry(&theirs, Kind::Message, SLOT, 1);
    assert_eq!(refusals(&desk.leave(ALICE, &foreign)), bad);
    let key = desk.keys(&theirs).deposit;
    let forged = desk.entry(&ours, Kind::Message, SLOT, 1);
    let forged = forged.signed_for(desk.mailbox(&ours), &key);
    assert_eq!(refusals(&desk.leave(ALICE, &forged)), bad);
    assert_eq!(desk.holder.figures().entries, 0);
}

#[test]
fn box_10_a_box_takes_fifty_a_second_and_others_do_not_pay_for_it() {
    let (ours, theirs) = (generation(1), generation(2));
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    desk.open(&theirs, 2);
    desk.members(&theirs, &[BOB]);
    let entry = desk.entry(&ours, Kind::Message, SLOT, 1);
    let taken = |desk: &mut Desk, tries: u32| {
        let taken = (0..tries).filter(|_| refusals(&desk.leave(ALICE, &entry)).is_empty());
        taken.count()
    };
    assert_eq!(taken(&mut desk, 400), 250);
    desk.say(BOB, &theirs, 1);
    desk.now = seconds(1);
    assert_eq!(taken(&mut desk, 400), 50);
    desk.now = seconds(2);
    let place = (desk.mailbox(&ours), &desk.keys(&ours).deposit);
    let large = Entry::new((COMMIT, SLOT), body(1, 1 << 20), place).unwrap();
    assert_eq!(refusals(&desk.leave(ALICE, &large)), []);
    assert_eq!(
        taken(&mut desk, 400),
        50 - 16,
        "a large one takes more turns"
    );
}

#[test]
fn questions_of_one_connection_are_paced() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE, BOB]);
    let ask = |desk: &mut Desk, who| refusals(&desk.ask(who, Ask::State { slots: vec![SLOT] }));
    while ask(&mut desk, ALICE).is_empty() {}
    assert_eq!(ask(&mut desk, ALICE), [(ALICE, Refusal::TooOften)]);
    assert_eq!(ask(&mut desk, BOB), []);
}

#[test]
fn what_came_is_read_page_by_page() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    for byte in 1..=5 {
        desk.say(ALICE, &ours, byte);
    }
    let mut fetch = |after, limit| {
        let answers = desk.ask(ALICE, Ask::Fetch { after, limit });
        let (_, Answer::Page { up_to, more, .. }) = answers[answers.len() - 1] else {
            panic!("{answers:?}");
        };
        (numbers(&answers), up_to, more)
    };
    assert_eq!(fetch(0, 2), (vec![1, 2], 2, true));
    assert_eq!(fetch(2, 3), (vec![3, 4, 5], 5, false));
    assert_eq!(fetch(5, 256), (vec![], 5, false));
}

#[test]
fn a_follower_gets_what_was_there_and_what_comes_up_to_its_credit() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE, BOB]);
    desk.say(ALICE, &ours, 1);
    desk.say(ALICE, &ours, 2);
    let answers = desk.ask(
        BOB,
        Ask::Follow {
            after: 1,
            credit: 3,
        },
    );
    assert_eq!(numbers(&answers), [2]);
    let caught_up = Answer::Page {
        up_to: 2,
        more: false,
        dropped: 0,
    };
    assert_eq!(answers[1], (BOB, caught_up));
    let mut said = |byte| {
        let entry = desk.entry(&ours, Kind::Message, SLOT, byte);
        let mut answers = desk.leave(ALICE, &entry);
        answers.retain(|(who, _)| *who == BOB);
        answers
    };
    assert_eq!(numbers(&said(3)), [3]);
    let last = said(4);
    assert_eq!(numbers(&last), [4]);
    assert!(matches!(
        last[1],
        (
            _,
            Answer::Page {
                up_to: 4,
                more: true,
                ..
            }
        )
    ));
    assert_eq!(said(5), [], "it has to ask again");
    let answers = desk.ask(
        BOB,
        Ask::Follow {
            after: 4,
            credit: 1,
        },
    );
    assert_eq!(numbers(&answers), [5]);
}

#[test]
fn entries_are_found_by_id_and_a_missing_one_is_named() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    let entry = desk.say(ALICE, &ours, 1);
    let missing = EntryId([9; 32]);
    let entries = vec![missing, entry.id()];
    let answers = desk.ask(ALICE, Ask::Get { entries });
    let refused = Answer::Refused(About::Entry(missing), Refusal::NoEntry);
    assert_eq!(answers[0], (ALICE, refused));
    assert_eq!(numbers(&answers), [1]);
}

#[derive(Debug, Clone)]
enum Do {
    Say(u8, u8),
    Fetch(u8, u64),
    Follow(u8, u64, u16),
    Lose(u8),
    Restart,
    Day,
    Prepare(u8, u32),
    Close,
}

fn deed() -> impl Strategy<Value = Do> {
    prop_oneof![
        6 => (1_u8..4, any::<u8>()).prop_map(|(who, byte)| Do::Say(who, byte)),
        2 => (1_u8..4, 0_u64..50).prop_map(|(who, after)| Do::Fetch(who, after)),
        2 => (1_u8..4, 0_u64..50, 1_u16..20).prop_map(|(who, after, credit)| Do::Follow(who, after, credit)),
        1 => (1_u8..4).prop_map(Do::Lose),
        1 => Just(Do::Restart),
        1 => Just(Do::Day),
        2 => (1_u8..4, 1_u32..9).prop_map(|(who, counter)| Do::Prepare(who, counter)),
        1 => Just(Do::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: what was receipted is there until its day, a restart changes nothing, and no follower gets an entry twice.
    #[test]
    fn box_12_what_was_receipted_is_there_after_any_restart(deeds in proptest::collection::vec(deed(), 1..60)) {
        let ours = generation(1);
        let mut desk = Desk::with_members(0, &ours, &[ALICE, BOB, CAROL]);
        let mut receipted: Vec<(EntryId, u32)> = Vec::new();
        for deed in deeds {
            desk.now += seconds(2);
            let answers = match deed {
                Do::Say(who, byte) => {
                    let entry = desk.entry(&ours, Kind::Message, SLOT, byte);
                    desk.leave(Connection(who.into()), &entry)
                }
                Do::Fetch(who, after) => desk.ask(Connection(who.into()), Ask::Fetch { after, limit: 7 }),
                Do::Follow(who, after, credit) => {
                    desk.ask(Connection(who.into()), Ask::Follow { after, credit })
                }
                Do::Prepare(who, counter) => {
                    let ballot = Ballot { counter, salt: [who; 8] };
                    desk.ask(Connection(who.into()), Ask::Prepare { slot: SLOT, ballot, seen: None })
                }
                Do::Close => desk.ask(ALICE, Ask::Close),
                Do::Lose(who) => {
                    desk.holder.handle_lost(Connection(who.into()));
                    desk.members(&ours, &[Connection(who.into())]);
                    vec![]
                }
                Do::Day => {
                    let next = desk.today + 1;
                    desk.day(next);
                    vec![]
                }
                Do::Restart => {
                    let before = desk.holder.figures();
                    desk.restart();
                    let after = desk.holder.figures();
                    prop_assert_eq!(
                        (before.boxes, before.entries, before.bytes),
                        (after.boxes, after.entries, after.bytes)
                    );
                    if after.boxes == 0 {
                        return Ok(());
                    }
                    desk.members(&ours, &[ALICE, BOB, CAROL]);
                    vec![]
                }
            };
            for (_, answer) in &answers {
                if let Answer::Receipt(signed) = answer {
                    receipted.push((signed.statement.entry, signed.statement.until_day));
                }
            }
            let got = numbers(&answers);
            prop_assert!(got.is_sorted());
            let here: BTreeSet<EntryId> = desk.disk.entries().map(Entry::id).collect();
            let due = receipted.iter().filter(|(_, until)| *until >= desk.today);
            prop_assert!(due.into_iter().all(|(id, _)| here.contains(id)));
        }
    }
}

#[test]
fn box_19_nothing_makes_room_in_a_box_that_closes() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    let key = desk.keys(&ours).deposit;
    let mailbox = desk.mailbox(&ours);
    let large = |byte| {
        let body = body(byte, 1 << 20);
        Entry::new((Kind::GroupInfo, SLOT), body, (mailbox, &key)).unwrap()
    };
    for byte in 0..64 {
        desk.now += seconds(1);
        assert_eq!(refusals(&desk.leave(ALICE, &large(byte))), []);
    }
    assert_eq!(desk.holder.figures().entries, 63, "the first made room");
    desk.ask(ALICE, Ask::Close);
    desk.now += seconds(1);
    let full = [(ALICE, Refusal::BoxFull)];
    assert_eq!(refusals(&desk.leave(ALICE, &large(99))), full);
    desk.say(ALICE, &ours, 1);
}
