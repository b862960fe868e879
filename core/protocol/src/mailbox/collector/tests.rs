//! Bob collects what others left at two holders.

use super::*;
use ed25519_dalek::SigningKey;
use starling_wire::ids::{EpochTag, MailboxId};
use starling_wire::log::Kind;
use starling_wire::ordering::Slot;
use starling_wire::ordering::grounds::SignedGrounds;

const A: EndpointKey = EndpointKey([1; 32]);
const B: EndpointKey = EndpointKey([2; 32]);

fn deposit_key(holder: EndpointKey) -> SigningKey {
    SigningKey::from_bytes(&[holder.0[0]; 32])
}

fn source(holder: EndpointKey) -> Source {
    Source {
        seat: Seat {
            holder,
            mailbox: MailboxId(holder.0),
        },
        deposit_key: deposit_key(holder).verifying_key().to_bytes(),
    }
}

fn bob() -> Collector {
    let mut bob = Collector::new(vec![source(A), source(B)]);
    bob.handle_online(Time::ZERO);
    bob
}

fn entry(byte: u8, at: EndpointKey) -> Entry {
    let slot = Slot {
        epoch: EpochTag([1; 16]),
        attempt: 0,
    };
    let body: Arc<[u8]> = vec![byte; 512].into();
    let place = (MailboxId(at.0), &deposit_key(at));
    Entry::new((Kind::Message, slot), body, place).unwrap()
}

fn id(byte: u8) -> EntryId {
    entry(byte, A).id()
}

/// A holder sends an entry; what is new, and the cursor if it moved.
fn item(
    bob: &mut Collector,
    holder: EndpointKey,
    number: u64,
    byte: u8,
) -> (Vec<EntryId>, Option<u64>) {
    let entry = entry(byte, holder);
    bob.handle_item(holder, number, (*entry.head(), entry.body().clone()));
    persisted(bob)
}

fn persisted(bob: &mut Collector) -> (Vec<EntryId>, Option<u64>) {
    let (mut new, mut cursor) = (Vec::new(), None);
    while let Some(persist) = bob.poll_persist() {
        match persist {
            Persist::Entry(entry) => new.push(entry.id()),
            Persist::Cursor { number, .. } => cursor = Some(number),
        }
    }
    (new, cursor)
}

fn asked(bob: &mut Collector) -> Vec<(EndpointKey, Ask)> {
    std::iter::from_fn(|| bob.poll_transmit())
        .map(|transmit| (transmit.holder, transmit.ask))
        .collect()
}

fn events(bob: &mut Collector) -> Vec<Event> {
    std::iter::from_fn(|| bob.poll_event()).collect()
}

fn follow(holder: EndpointKey, after: u64) -> (EndpointKey, Ask) {
    let credit = CREDIT;
    (holder, Ask::Follow { after, credit })
}

fn page(bob: &mut Collector, holder: EndpointKey, up_to: u64, more: bool, dropped: u64) {
    bob.handle_answer(
        holder,
        Answer::Page {
            up_to,
            more,
            dropped,
        },
    );
    persisted(bob);
}

fn no_entry(bob: &mut Collector, holder: EndpointKey, entry: EntryId) {
    let about = About::Entry(entry);
    bob.handle_answer(holder, Answer::Refused(about, Refusal::NoEntry));
}

#[test]
fn box_22_each_entry_comes_once_whoever_sends_it() {
    let mut bob = bob();
    bob.restore_cursor(A, 10);
    bob.handle_connected(A, Time::ZERO);
    bob.handle_connected_and_drained(B);
    assert_eq!(asked(&mut bob), [follow(B, 0)]);
    assert_eq!(item(&mut bob, A, 11, 1), (vec![id(1)], Some(11)));
    assert_eq!(item(&mut bob, B, 3, 1), (vec![], Some(3)));
    assert_eq!(item(&mut bob, B, 7, 2), (vec![id(2)], Some(7)));
    assert_eq!(item(&mut bob, A, 12, 2), (vec![], Some(12)));
    assert_eq!(item(&mut bob, A, 12, 2), (vec![], None), "again");
    bob.note_seen(id(3));
    assert_eq!(item(&mut bob, A, 13, 3), (vec![], Some(13)), "our own");
}

#[test]
fn box_22_what_no_member_signed_is_not_taken() {
    let mut bob = bob();
    let other = entry(1, B);
    bob.handle_item(A, 1, (*other.head(), other.body().clone()));
    assert_eq!(persisted(&mut bob), (vec![], None));
    assert_eq!(events(&mut bob), [Event::Wrong(A)]);
    let mut head = *entry(1, A).head();
    head.slot.attempt = 1;
    bob.handle_item(A, 1, (head, entry(1, A).body().clone()));
    assert_eq!(persisted(&mut bob), (vec![], None));
    assert_eq!(events(&mut bob), [Event::Wrong(A)]);
}

#[test]
fn it_goes_on_where_it_was_until_it_has_caught_up() {
    let mut bob = bob();
    bob.handle_connected(A, Time::ZERO);
    assert_eq!(asked(&mut bob), [follow(A, 0)]);
    item(&mut bob, A, 1, 1);
    page(&mut bob, A, 1, true, 0);
    assert_eq!(asked(&mut bob), [follow(A, 1)]);
    page(&mut bob, A, 4, false, 0);
    assert_eq!(events(&mut bob), [Event::CaughtUp(A)]);
    bob.handle_lost(A, Time::ZERO);
    bob.handle_connected(A, Time::ZERO);
    assert_eq!(
        asked(&mut bob),
        [follow(A, 4)],
        "numbers without an entry, too"
    );
}

#[test]
fn box_23_what_made_room_before_it_was_read_is_a_gap_and_nothing_else_is() {
    let mut bob = bob();
    bob.restore_cursor(A, 5);
    bob.handle_connected(A, Time::ZERO);
    asked(&mut bob);
    item(&mut bob, A, 9, 1);
    page(&mut bob, A, 9, false, 8);
    let gap = Event::Gap {
        holder: A,
        after: 5,
        up_to: 8,
    };
    assert_eq!(events(&mut bob), [gap, Event::CaughtUp(A)]);
    // What was read may make room.
    page(&mut bob, A, 9, true, 9);
    assert_eq!(asked(&mut bob), [follow(A, 9)]);
    page(&mut bob, A, 9, false, 9);
    assert_eq!(events(&mut bob), [Event::CaughtUp(A)]);
}

#[test]
fn box_23_what_is_looked_for_comes_from_whoever_has_it_or_is_named() {
    let mut bob = bob();
    bob.handle_connected(A, Time::ZERO);
    asked(&mut bob);
    bob.handle_wanted(id(1));
    bob.handle_wanted_and_drained(id(2));
    bob.handle_connected_and_drained(B);
    asked(&mut bob);
    no_entry(&mut bob, A, id(1));
    no_entry(&mut bob, A, id(2));
    assert_eq!(events(&mut bob), [], "B was not heard yet");
    no_entry(&mut bob, B, id(2));
    assert_eq!(events(&mut bob), [Event::Missing(id(2))]);
    // It is far ahead of what was read there: the cursor stays.
    assert_eq!(item(&mut bob, B, 900, 1), (vec![id(1)], None));
    asked(&mut bob);
    bob.handle_wanted(id(1));
    assert_eq!(asked(&mut bob), [], "it is here");
}

#[test]
fn box_23_a_second_copy_of_what_was_asked_for_does_not_move_the_cursor() {
    let mut bob = bob();
    bob.handle_connected_and_drained(A);
    bob.handle_connected_and_drained(B);
    asked(&mut bob);
    bob.handle_wanted(id(1));
    let get = |holder| {
        (
            holder,
            Ask::Get {
                entries: vec![id(1)],
            },
        )
    };
    assert_eq!(asked(&mut bob), [get(A), get(B)]);
    assert_eq!(item(&mut bob, A, 500, 1), (vec![id(1)], None));
    assert_eq!(item(&mut bob, B, 700, 1), (vec![], None));
    assert_eq!(item(&mut bob, B, 1, 2), (vec![id(2)], Some(1)));
}

#[test]
fn box_23_a_holder_that_is_silent_for_a_day_is_dead() {
    let mut bob = bob();
    bob.handle_connected_and_drained(A);
    asked(&mut bob);
    page(&mut bob, A, 0, false, 0);
    events(&mut bob);
    let hour = Duration::from_secs(3600);
    bob.handle_lost(A, hour);
    let due = bob.poll_timeout().unwrap();
    assert_eq!((due.at, due.reason), (DEAD_AFTER, Wake::Silent));
    bob.handle_timeout(DEAD_AFTER);
    assert_eq!(events(&mut bob), [Event::Lost(B)]);
    bob.handle_wanted(id(1));
    assert_eq!(events(&mut bob), []);
    bob.handle_timeout(DEAD_AFTER + hour);
    assert_eq!(events(&mut bob), [Event::Lost(A), Event::Missing(id(1))]);
    assert_eq!(bob.poll_timeout(), None);
    bob.handle_connected_and_drained(A);
    asked(&mut bob);
    page(&mut bob, A, 0, false, 0);
    assert_eq!(events(&mut bob), [Event::CaughtUp(A)], "it is back");
    bob.handle_lost(A, DEAD_AFTER * 2);
    assert_eq!(bob.poll_timeout().unwrap().at, DEAD_AFTER * 3);
}

#[test]
fn box_23_nobody_is_dead_because_we_were_offline() {
    let mut bob = bob();
    let hour = Duration::from_secs(3600);
    for day in 0..23_u32 {
        bob.handle_offline(DEAD_AFTER * day + hour);
        assert_eq!(bob.poll_timeout(), None);
        bob.handle_timeout(DEAD_AFTER * (day + 1));
        assert_eq!(events(&mut bob), []);
        bob.handle_online(DEAD_AFTER * (day + 1));
    }
    let due = bob.poll_timeout().unwrap().at;
    assert_eq!(due, DEAD_AFTER * 23 + hour, "an hour each day");
    bob.handle_timeout(due);
    assert_eq!(events(&mut bob), [Event::Lost(A), Event::Lost(B)]);
}

#[test]
fn what_holders_say_of_themselves_and_of_slots_is_passed_on() {
    let mut bob = bob();
    bob.handle_answer(A, Answer::Leaving);
    assert_eq!(events(&mut bob), [Event::Lost(A)]);
    bob.handle_answer(A, Answer::Closing { day: 7 });
    assert_eq!(events(&mut bob), [Event::Closing(A, 7)]);
    bob.handle_answer(A, Answer::Refused(About::Enter, Refusal::NoBox));
    assert_eq!(events(&mut bob), [Event::NoBox(A)]);
    let certificate = Box::new(SignedCertificate {
        votes: vec![],
        grounds: SignedGrounds::default(),
    });
    bob.handle_answer(A, Answer::Settled(certificate.clone()));
    assert_eq!(events(&mut bob), [Event::Settled(certificate)]);
    bob.handle_answer(EndpointKey([9; 32]), Answer::Leaving);
    assert_eq!(events(&mut bob), [], "nobody's holder");
}

impl Collector {
    fn handle_connected_and_drained(&mut self, holder: EndpointKey) {
        while self.poll_transmit().is_some() {}
        self.handle_connected(holder, Time::ZERO);
    }

    fn handle_wanted_and_drained(&mut self, entry: EntryId) {
        while self.poll_transmit().is_some() {}
        self.handle_wanted(entry);
    }
}
