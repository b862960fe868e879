//! Opening, entering and closing boxes; caps; days.

use super::desk::issuer;
use super::*;
use ed25519_dalek::SigningKey;
use starling_wire::log::grant::{SignedGrant, Token};

fn opened(answers: &[(Connection, Answer)]) -> bool {
    matches!(answers, [(_, Answer::Opened(_))])
}

#[test]
fn box_07_a_grant_opens_one_box_at_each_holder() {
    let (ours, theirs) = (generation(1), generation(2));
    for number in 0..2 {
        let mut desk = Desk::new(number);
        assert!(opened(&desk.open(&ours, 1)));
        assert!(opened(&desk.open(&ours, 1)), "the same again");
        let second = desk.open(&theirs, 1);
        assert_eq!(refusals(&second)[0].1, Refusal::NoGrant);
        desk.restart();
        let second = desk.open(&theirs, 1);
        assert_eq!(refusals(&second)[0].1, Refusal::NoGrant, "after a restart");
        assert!(opened(&desk.open(&theirs, 2)));
    }
}

#[test]
fn box_04_nobody_opens_a_box_without_a_grant_that_counts() {
    let mut desk = Desk::new(0);
    desk.connect(ALICE);
    let granted = |key: &SigningKey, until| Ask::Open {
        token: Token::Granted(SignedGrant::new([1; 16], until, key)),
        plan: Box::new(generation(1).plan()),
    };
    let stranger = SigningKey::from_bytes(&[9; 32]);
    for ask in [granted(&stranger, TODAY), granted(&issuer(), TODAY - 1)] {
        let answers = desk.ask(ALICE, ask);
        assert_eq!(refusals(&answers), [(ALICE, Refusal::NoGrant)]);
    }
    let mut elsewhere = Desk::new(3);
    elsewhere.connect(ALICE);
    let answers = elsewhere.ask(ALICE, granted(&issuer(), TODAY));
    assert_eq!(
        refusals(&answers),
        [(ALICE, Refusal::NoBox)],
        "not in the plan"
    );
}

#[test]
fn box_08_a_connection_may_do_what_its_keys_allow_and_nothing_else() {
    let (ours, theirs) = (generation(1), generation(2));
    let mut desk = Desk::new(0);
    desk.open(&ours, 1);
    desk.open(&theirs, 2);
    desk.connect(ALICE);
    let fetch = || Ask::Fetch {
        after: 0,
        limit: 10,
    };
    let entry = desk.entry(&ours, Kind::Message, SLOT, 1);
    let refused = |answers: Vec<(Connection, Answer)>| refusals(&answers)[0].1;
    assert_eq!(refused(desk.ask(ALICE, fetch())), Refusal::NoBox);
    assert_eq!(refused(desk.leave(ALICE, &entry)), Refusal::NoBox);
    desk.enter(ALICE, &ours, Side::Read);
    assert!(matches!(
        desk.ask(ALICE, fetch())[..],
        [(_, Answer::Page { .. })]
    ));
    assert_eq!(refused(desk.leave(ALICE, &entry)), Refusal::NoKey);
    assert_eq!(refused(desk.ask(ALICE, Ask::Close)), Refusal::NoKey);
    let other = desk.enter(ALICE, &theirs, Side::Read);
    assert_eq!(refused(other), Refusal::NoBox, "one box for each");
    desk.connect(BOB);
    desk.enter(BOB, &ours, Side::Deposit);
    assert!(refusals(&desk.leave(BOB, &entry)).is_empty());
    assert_eq!(refused(desk.ask(BOB, fetch())), Refusal::NoKey);
    // Bob's proof, shown by Carol.
    let ends = Ends {
        holder: desk.holder.own,
        asker: EndpointKey([2; 32]),
    };
    let (mailbox, side) = (desk.mailbox(&ours), Side::Read);
    let proof = side.prove(desk.keys(&ours).of(side), mailbox, ends);
    desk.connect(CAROL);
    let borrowed = Ask::Enter {
        mailbox,
        side,
        proof,
    };
    assert_eq!(refused(desk.ask(CAROL, borrowed)), Refusal::NoKey);
}

#[test]
fn box_08_connections_are_bounded() {
    let caps = Caps {
        connections: 3,
        ..Caps::default()
    };
    let mut desk = Desk::with(0, caps);
    assert!(desk.connect(ALICE) && desk.connect(BOB) && desk.connect(CAROL));
    assert!(!desk.connect(Connection(4)));
    desk.holder.handle_lost(BOB);
    assert!(desk.connect(Connection(4)));
    let mut desk = Desk::new(0);
    let ours = generation(1);
    desk.open(&ours, 1);
    for number in 0..CONNECTIONS_PER_BOX_MAX as u64 {
        let who = Connection(number * 256 + 1);
        assert!(desk.connect(who));
        let answers = desk.enter(who, &ours, Side::Read);
        assert_eq!(refusals(&answers), []);
    }
    desk.connect(BOB);
    let answers = desk.enter(BOB, &ours, Side::Read);
    assert_eq!(refusals(&answers), [(BOB, Refusal::HolderFull)]);
}

#[test]
fn box_11_a_role_has_caps() {
    let (ours, theirs) = (generation(1), generation(2));
    let caps = Caps {
        boxes: 1,
        entries: 2,
        ..Caps::default()
    };
    let mut desk = Desk::with(0, caps);
    desk.open(&ours, 1);
    assert_eq!(refusals(&desk.open(&theirs, 2))[0].1, Refusal::HolderFull);
    desk.members(&ours, &[ALICE]);
    desk.say(ALICE, &ours, 1);
    desk.say(ALICE, &ours, 2);
    let third = desk.entry(&ours, Kind::Message, SLOT, 3);
    let full = [(ALICE, Refusal::HolderFull)];
    assert_eq!(refusals(&desk.leave(ALICE, &third)), full);
    desk.holder.handle_caps(Caps {
        bytes: 2 * 768 + 767,
        ..Caps::default()
    });
    assert_eq!(refusals(&desk.leave(ALICE, &third)), full);
    let ballot = Ballot {
        counter: 1,
        salt: [0; 8],
    };
    let prepare = Ask::Prepare {
        slot: SLOT,
        ballot,
        seen: None,
    };
    assert_eq!(refusals(&desk.ask(ALICE, prepare)), full);
}

#[test]
fn box_13_entries_are_kept_for_thirty_days() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    desk.say(ALICE, &ours, 1);
    desk.day(TODAY + 1);
    desk.say(ALICE, &ours, 2);
    desk.day(TODAY + 30);
    assert_eq!(desk.holder.figures().entries, 2);
    desk.day(TODAY + 31);
    assert_eq!(desk.holder.figures().entries, 1);
    assert_eq!(desk.disk.entries().count(), 1);
    desk.day(TODAY + 32);
    assert_eq!(
        desk.holder.figures(),
        Figures {
            boxes: 1,
            connections: 2,
            ..Figures::default()
        }
    );
    // Numbers go on, also after a restart.
    desk.restart();
    desk.members(&ours, &[ALICE]);
    let entry = desk.entry(&ours, Kind::Message, SLOT, 3);
    let answers = desk.leave(ALICE, &entry);
    let (_, Answer::Receipt(receipt)) = &answers[0] else {
        panic!("{answers:?}");
    };
    assert_eq!(receipt.statement.number, 3);
    assert_eq!(receipt.statement.until_day, TODAY + 62);
}

#[test]
fn box_13_a_clock_that_is_set_back_brings_nothing_back_and_loses_nothing() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    desk.say(ALICE, &ours, 1);
    desk.holder.handle_day(TODAY - 400);
    desk.drain();
    assert_eq!(desk.holder.figures().entries, 1);
}

#[test]
fn box_13_a_box_ends_when_nobody_uses_it() {
    let (ours, theirs, third) = (generation(1), generation(2), generation(3));
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    desk.open(&theirs, 2);
    desk.open(&third, 3);
    desk.members(&third, &[BOB]);
    desk.say(BOB, &third, 1);
    desk.holder.handle_lost(BOB);
    desk.day(TODAY + 1);
    assert_eq!(desk.holder.figures().boxes, 3);
    desk.day(TODAY + 2);
    assert_eq!(desk.holder.figures().boxes, 2, "a leftover");
    desk.day(TODAY + 31);
    assert_eq!(desk.holder.figures().boxes, 1, "Alice is still connected");
    desk.holder.handle_lost(ALICE);
    desk.day(TODAY + 33);
    assert_eq!(desk.holder.figures().boxes, 0);
    desk.restart();
    assert_eq!(desk.holder.figures(), Figures::default());
}

#[test]
fn box_07_a_box_that_decided_something_is_not_opened_again() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE]);
    let ballot = Ballot {
        counter: 1,
        salt: [0; 8],
    };
    desk.ask(
        ALICE,
        Ask::Prepare {
            slot: SLOT,
            ballot,
            seen: None,
        },
    );
    desk.holder.handle_lost(ALICE);
    desk.day(TODAY + 31);
    assert_eq!(desk.holder.figures().boxes, 0);
    assert_eq!(desk.holder.figures().bytes, 0);
    for _ in 0..2 {
        assert_eq!(refusals(&desk.open(&ours, 5))[0].1, Refusal::Closed);
        desk.restart();
    }
    desk.day(TODAY + 32 + REMEMBERED_DAYS);
    assert!(opened(&desk.open(&ours, 5)));
}

#[test]
fn box_19_a_closed_box_goes_on_for_a_day_and_gives_what_it_has() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE, BOB]);
    desk.say(ALICE, &ours, 1);
    let answers = desk.ask(ALICE, Ask::Close);
    let day = TODAY + CLOSING_DAYS;
    let told = |who| (who, Answer::Closing { day });
    assert_eq!(answers, [told(ALICE), told(BOB)]);
    assert_eq!(desk.ask(BOB, Ask::Close), [told(BOB)], "no later for it");
    desk.say(BOB, &ours, 2);
    desk.restart();
    desk.day(day + 1);
    desk.members(&ours, &[ALICE]);
    let late = desk.entry(&ours, Kind::Message, SLOT, 3);
    let closed = [(ALICE, Refusal::Closed)];
    assert_eq!(refusals(&desk.leave(ALICE, &late)), closed);
    let ballot = Ballot {
        counter: 1,
        salt: [0; 8],
    };
    let prepare = Ask::Prepare {
        slot: SLOT,
        ballot,
        seen: None,
    };
    assert_eq!(refusals(&desk.ask(ALICE, prepare)), closed);
    let fetch = Ask::Fetch {
        after: 0,
        limit: 10,
    };
    assert_eq!(desk.ask(ALICE, fetch).len(), 3, "two entries and the end");
    desk.day(TODAY + 31);
    assert_eq!(desk.holder.figures().boxes, 0);
}

#[test]
fn box_20_who_stops_tells_everybody_and_takes_what_choosing_another_needs() {
    let ours = generation(1);
    let mut desk = Desk::with_members(0, &ours, &[ALICE, BOB]);
    desk.holder.handle_leaving(desk.now);
    let told = |who| (who, Answer::Leaving);
    assert_eq!(desk.drain(), [told(ALICE), told(BOB)]);
    let leaving = [(ALICE, Refusal::Leaving)];
    let message = desk.entry(&ours, Kind::Message, SLOT, 1);
    assert_eq!(refusals(&desk.leave(ALICE, &message)), leaving);
    let commit = desk.entry(&ours, COMMIT, SLOT, 2);
    assert_eq!(refusals(&desk.leave(ALICE, &commit)), []);
    assert_eq!(
        refusals(&desk.open(&generation(2), 2))[0].1,
        Refusal::Leaving
    );
    assert!(desk.connect(CAROL));
    let answers = desk.enter(CAROL, &ours, Side::Read);
    assert_eq!(answers, [(CAROL, Answer::Entered(Side::Read)), told(CAROL)]);
    let due = desk.holder.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (LEAVING_FOR, Wake::Left));
    desk.holder.handle_timeout(due.at);
    assert_eq!(desk.holder.poll_event(), Some(Event::Left));
}
