//! A small town of holders in memory: what is put stays findable while supernodes come, go and lie.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use starling_wire::ids::EndpointKey;
use starling_wire::placement::{self, COPIES};

use super::super::admission::{NEW_PER_BLOCK_MAX, OF_BLOCK_MAX, WINDOW};
use super::*;

const START: Time = Duration::from_secs(1_000);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The network's owner stands behind notes of this text.
const OWNERS: u8 = 77;

#[derive(Debug, Clone, PartialEq)]
struct Note {
    key: IndexKey,
    sequence: u64,
    text: u8,
}

impl Record for Note {
    fn key(&self) -> IndexKey {
        self.key
    }

    fn order(&self) -> u64 {
        self.sequence
    }

    fn is_vouched_for(&self) -> bool {
        self.text == OWNERS
    }
}

fn note(number: u32, sequence: u64) -> Note {
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = (number.wrapping_mul(2_654_435_761) >> (at % 4 * 8)) as u8 ^ at as u8;
    }
    Note {
        key: IndexKey(key),
        sequence,
        text: 0,
    }
}

fn position(member: u16) -> Position {
    let [a, b] = member.to_be_bytes();
    let address = SocketAddr::from(([20, a, b, 1], 27474));
    Position::of(EndpointKey([b ^ a; 32]), address)
}

type Keeper = Holder<u16, u8, Note>;

fn write(keeper: &mut Keeper, disk: &mut BTreeMap<IndexKey, Note>) {
    while let Some(persist) = keeper.poll_persist() {
        match persist {
            Persist::Keep(note) => {
                keeper.handle_written(note.key, note.sequence);
                disk.insert(note.key, note)
            }
            Persist::Forget(key) => disk.remove(&key),
        };
    }
}

/// Holders that know each other, and what each has on disk.
#[derive(Default)]
struct Town {
    holders: BTreeMap<u16, Keeper>,
    disks: BTreeMap<u16, BTreeMap<IndexKey, Note>>,
    /// Never hand anything over.
    liars: Vec<u16>,
    handed: usize,
}

impl Town {
    fn of(count: u16) -> Self {
        let mut town = Self::default();
        for member in 0..count {
            let mut keeper = Holder::new(member, position(member), member.into(), START);
            for other in (0..count).filter(|other| *other != member) {
                keeper.handle_joined(other, position(other), START);
                assert!(keeper.poll_transmit().is_none());
            }
            town.holders.insert(member, keeper);
        }
        town
    }

    fn positions(&self) -> Vec<(u16, Position)> {
        self.holders.keys().map(|m| (*m, position(*m))).collect()
    }

    /// The owner's home supernode puts it at every holder.
    fn publish(&mut self, note: &Note, now: Time) {
        for member in placement::holders(note.key, self.positions()) {
            let keeper = self.holders.get_mut(&member).unwrap();
            let put = keeper.handle_put(Source::Client(1), note.clone(), WEEK, None, now);
            assert_eq!(put, Ok(()), "{member}");
            self.settle(member, now);
        }
    }

    /// Drains a holder, and everybody whom it makes say something.
    fn settle(&mut self, member: u16, now: Time) {
        let mut waiting = vec![member];
        while let Some(member) = waiting.pop() {
            let Some(keeper) = self.holders.get_mut(&member) else {
                continue;
            };
            let disk = self.disks.entry(member).or_default();
            write(keeper, disk);
            let said: Vec<_> = std::iter::from_fn(|| keeper.poll_transmit()).collect();
            if self.liars.contains(&member) {
                continue;
            }
            for transmit in said {
                waiting.push(self.deliver(member, transmit, now));
            }
        }
    }

    fn deliver(&mut self, from: u16, transmit: Transmit<u16, Note>, now: Time) -> u16 {
        let to = match &transmit {
            Transmit::Hand(to, _) | Transmit::Compare(to, _) | Transmit::Want(to, _) => *to,
        };
        self.settle_only(to);
        let Some(keeper) = self.holders.get_mut(&to) else {
            return to;
        };
        match transmit {
            Transmit::Hand(_, note) => {
                self.handed += 1;
                let _ = keeper.handle_put(Source::Member(from), note, WEEK, None, now);
            }
            Transmit::Compare(_, theirs) => keeper.handle_compare(from, &theirs, now),
            Transmit::Want(_, keys) => keeper.handle_want(from, &keys, now),
        }
        to
    }

    fn settle_only(&mut self, member: u16) {
        if let Some(keeper) = self.holders.get_mut(&member) {
            let disk = self.disks.entry(member).or_default();
            write(keeper, disk);
            assert!(keeper.poll_transmit().is_none(), "{member} was not drained");
        }
    }

    fn join(&mut self, joined: u16, now: Time) {
        let mut keeper = Holder::new(joined, position(joined), joined.into(), now);
        for other in self.holders.keys().copied().collect::<Vec<_>>() {
            keeper.handle_joined(other, position(other), now);
            assert!(keeper.poll_transmit().is_none());
        }
        self.holders.insert(joined, keeper);
        for other in self.holders.keys().copied().collect::<Vec<_>>() {
            let keeper = self.holders.get_mut(&other).unwrap();
            keeper.handle_joined(joined, position(joined), now);
            self.settle(other, now);
        }
    }

    fn kill(&mut self, dead: u16, now: Time) {
        self.holders.remove(&dead);
        for other in self.holders.keys().copied().collect::<Vec<_>>() {
            self.holders.get_mut(&other).unwrap().handle_left(dead, now);
            self.settle(other, now);
        }
    }

    fn copies(&self, note: &Note, now: Time) -> usize {
        placement::holders(note.key, self.positions())
            .into_iter()
            .filter(|member| self.holders[member].get(note.key, now) == Some(note))
            .count()
    }
}

#[test]
fn index_03_a_lower_number_never_replaces_a_higher_one() {
    let mut town = Town::of(3);
    town.publish(&note(1, 5), START);
    let keeper = town.holders.get_mut(&0).unwrap();
    let mut put = |note: Note| keeper.handle_put(Source::Client(1), note, WEEK, None, START);
    assert_eq!(put(note(1, 4)), Err(PutRefusal::Older));
    assert_eq!(put(note(1, 5)), Ok(()), "the same again");
    let mut other = note(1, 5);
    other.text = 1;
    assert_eq!(put(other), Err(PutRefusal::Conflict));
    assert_eq!(keeper.get(note(1, 5).key, START), Some(&note(1, 5)));
}

#[test]
fn index_04_compare_and_set() {
    let mut keeper = Keeper::new(0, position(0), 1, START);
    let mut put = |sequence, replaces| {
        let put = keeper.handle_put(Source::Client(1), note(1, sequence), WEEK, replaces, START);
        while keeper.poll_persist().is_some() {}
        put
    };
    assert_eq!(put(1, None), Ok(()));
    assert_eq!(put(3, Some(2)), Err(PutRefusal::Changed));
    assert_eq!(put(3, Some(1)), Ok(()));
}

#[test]
fn index_05_what_belongs_elsewhere_is_not_kept() {
    let mut town = Town::of(100);
    let note = note(1, 1);
    let holders = placement::holders(note.key, town.positions());
    let stranger = (0..100).find(|member| !holders.contains(member)).unwrap();
    let keeper = town.holders.get_mut(&stranger).unwrap();
    let put = keeper.handle_put(Source::Client(1), note, WEEK, None, START);
    assert_eq!(put, Err(PutRefusal::NotHolder));
}

#[test]
fn index_06_who_joins_is_handed_what_is_his_now_by_two_and_the_displaced() {
    let mut town = Town::of(80);
    let notes: Vec<Note> = (0..200).map(|number| note(number, 1)).collect();
    for note in &notes {
        town.publish(note, START);
    }
    let before: Vec<Vec<u16>> = notes
        .iter()
        .map(|note| placement::holders(note.key, town.positions()))
        .collect();
    town.join(300, START);
    let his = notes
        .iter()
        .filter(|note| placement::holders(note.key, town.positions()).contains(&300))
        .count();
    assert!(his > 0);
    assert_eq!(town.handed, 3 * his, "each three times");
    for (note, before) in notes.iter().zip(&before) {
        assert_eq!(town.copies(note, START), COPIES);
        assert_eq!(before.len(), COPIES);
    }
}

#[test]
fn index_07_who_dies_is_replaced_and_every_record_has_five_copies_again() {
    let mut town = Town::of(100);
    let notes: Vec<Note> = (0..100).map(|number| note(number, 1)).collect();
    for note in &notes {
        town.publish(note, START);
    }
    for dead in (0..100).step_by(4) {
        town.kill(dead, START);
    }
    for note in &notes {
        assert_eq!(town.copies(note, START), COPIES, "{note:?}");
    }
}

#[test]
fn index_08_what_expired_is_forgotten_on_disk_too() {
    let mut keeper = Keeper::new(0, position(0), 1, START);
    let put = keeper.handle_put(Source::Client(1), note(1, 1), WEEK, None, START);
    assert_eq!(put, Ok(()));
    assert!(keeper.poll_persist().is_some());
    assert!(keeper.get(note(1, 1).key, START + WEEK).is_none());
    keeper.handle_timeout(START + WEEK);
    assert_eq!(keeper.poll_persist(), Some(Persist::Forget(note(1, 1).key)));
    assert!(keeper.is_empty());
}

#[test]
fn index_08_what_moved_on_stays_for_those_who_have_not_heard_of_it() {
    let mut town = Town::of(80);
    let notes: Vec<Note> = (0..200).map(|number| note(number, 1)).collect();
    for note in &notes {
        town.publish(note, START);
    }
    let before: Vec<Vec<u16>> = notes
        .iter()
        .map(|note| placement::holders(note.key, town.positions()))
        .collect();
    town.join(300, START);
    let (moved, displaced) = notes
        .iter()
        .zip(&before)
        .find_map(|(note, before)| {
            let after = placement::holders(note.key, town.positions());
            let displaced = before.iter().find(|member| !after.contains(member))?;
            Some((note.clone(), *displaced))
        })
        .expect("somebody was displaced");
    let keeper = town.holders.get_mut(&displaced).unwrap();
    assert!(keeper.get(moved.key, START).is_some());
    keeper.handle_timeout(START + MOVED_AFTER);
    assert!(keeper.get(moved.key, START + MOVED_AFTER).is_none());
}

#[test]
fn index_09_what_a_liar_did_not_hand_over_is_found_by_comparing() {
    let mut town = Town::of(80);
    let notes: Vec<Note> = (0..200).map(|number| note(number, 1)).collect();
    for note in &notes {
        town.publish(note, START);
    }
    // Of many records both who should hand them to the one who joins do not.
    town.liars = (0..80)
        .filter(|member: &u16| !member.is_multiple_of(3))
        .collect();
    town.join(300, START);
    let honest = |member: &u16| *member != 300 && member.is_multiple_of(3);
    let missing = |town: &Town| {
        notes
            .iter()
            .filter(|note| {
                let holders = placement::holders(note.key, town.positions());
                holders.iter().any(honest)
            })
            .filter(|note| placement::holders(note.key, town.positions()).contains(&300))
            .filter(|note| town.holders[&300].get(note.key, START).is_none())
            .count()
    };
    assert!(missing(&town) > 0, "a liar was the one to hand over");
    // Everybody compares with everybody once.
    for _ in 0..80 {
        for member in town.holders.keys().copied().collect::<Vec<_>>() {
            town.holders.get_mut(&member).unwrap().compare(START);
            town.settle(member, START);
        }
    }
    assert_eq!(missing(&town), 0);
}

#[test]
fn index_10_a_flood_from_one_place_stops_and_others_go_on() {
    let mut keeper = Keeper::new(0, position(0), 1, START);
    let mut put = |from, number, now| {
        let put = keeper.handle_put(Source::Client(from), note(number, 1), WEEK, None, now);
        while keeper.poll_persist().is_some() {}
        put
    };
    for number in 0..NEW_PER_BLOCK_MAX {
        assert_eq!(put(1, number, START), Ok(()));
    }
    assert_eq!(put(1, 9_999, START), Err(PutRefusal::TooMany));
    assert_eq!(put(2, 9_999, START), Ok(()));
    assert_eq!(put(1, 0, START), Ok(()), "no new one");
    assert_eq!(put(1, 10_000, START + WINDOW), Ok(()));
}

#[test]
fn index_31_no_address_block_of_clients_fills_the_places_of_all_others() {
    let mut keeper = Keeper::new(0, position(0), 1, START);
    let mut put = |block, note, now| {
        let put = keeper.handle_put(Source::Client(block), note, WEEK, None, now);
        write(&mut keeper, &mut BTreeMap::new());
        put
    };
    let at = |number: usize| START + WINDOW * (number as u32 / NEW_PER_BLOCK_MAX);
    for number in 0..OF_BLOCK_MAX {
        assert_eq!(put(1, note(number as u32, 1), at(number)), Ok(()));
    }
    let (more, later) = (OF_BLOCK_MAX as u32, START + 2 * WINDOW);
    assert_eq!(put(1, note(more, 1), later), Err(PutRefusal::BlockFull));
    assert_eq!(put(2, note(more, 1), later), Ok(()));
    assert_eq!(put(1, note(more, 2), later), Ok(()), "a change");
    assert_eq!(put(1, note(0, 2), later), Ok(()), "a change");
    // Whose block was full has not taken the other's record over; who has room does.
    let beyond = note(more + 1, 1);
    assert_eq!(
        put(1, beyond.clone(), later + WINDOW),
        Err(PutRefusal::BlockFull)
    );
    assert_eq!(put(2, note(0, 3), later + WINDOW), Ok(()));
    assert_eq!(put(1, beyond, later + WINDOW), Ok(()));
    // What has expired is charged to nobody any more.
    let beyond = note(more + 2, 1);
    assert_eq!(
        put(1, beyond.clone(), later + WINDOW),
        Err(PutRefusal::BlockFull)
    );
    assert_eq!(put(1, beyond, START + WEEK), Ok(()));
}

#[test]
fn index_31_what_is_passed_on_is_charged_and_what_the_owner_vouches_for_is_not() {
    let mut keeper = Keeper::new(0, position(0), 1, START);
    let mut pass = |note: &Note, now| keeper.handle_passed(1, note, WEEK, now);
    for number in 0..OF_BLOCK_MAX as u32 {
        let now = START + WINDOW * (number / NEW_PER_BLOCK_MAX);
        assert_eq!(pass(&note(number, 1), now), Ok(()));
        assert_eq!(pass(&note(number, 1), now), Ok(()), "no new one");
    }
    let (more, later) = (note(1_000_000, 1), START + 2 * WINDOW);
    assert_eq!(pass(&more, later), Err(PutRefusal::BlockFull));
    let owners = Note {
        text: OWNERS,
        ..more.clone()
    };
    assert_eq!(pass(&owners, later), Ok(()));
    let put = keeper.handle_put(Source::Client(1), more.clone(), WEEK, None, later);
    assert_eq!(put, Err(PutRefusal::BlockFull), "held or passed on");
    let put = keeper.handle_put(Source::Member(3), more, WEEK, None, later);
    assert_eq!(put, Ok(()), "another supernode charged it");
}

#[test]
fn index_32_the_same_again_is_written_again_until_it_is_on_disk() {
    let mut keeper = Keeper::new(0, position(0), 1, START);
    let put = |keeper: &mut Keeper, sequence| {
        let put = keeper.handle_put(Source::Client(1), note(1, sequence), WEEK, None, START);
        assert_eq!(put, Ok(()));
        keeper.poll_persist()
    };
    let written = Some(Persist::Keep(note(1, 4)));
    assert_eq!(put(&mut keeper, 4), written);
    assert_eq!(put(&mut keeper, 4), written, "on its way, or failed");
    keeper.handle_written(note(1, 4).key, 3);
    assert_eq!(put(&mut keeper, 4), written, "another one was written");
    keeper.handle_written(note(1, 4).key, 4);
    assert_eq!(put(&mut keeper, 4), None, "it is on disk");
    assert!(put(&mut keeper, 5).is_some() && put(&mut keeper, 5).is_some());
    // What was read from the disk is there.
    let mut keeper = Keeper::new(0, position(0), 1, START);
    keeper.restore(note(1, 4), WEEK, START);
    assert_eq!(put(&mut keeper, 4), None);
}

#[test]
fn index_26_what_anybody_can_make_leaves_places_for_what_the_networks_owner_vouches_for() {
    let mut keeper = Keeper::new(0, position(0), 1, START);
    let put = |keeper: &mut Keeper, record: Note, now| {
        let put = keeper.handle_put(Source::Client(1), record, WEEK, None, now);
        while keeper.poll_persist().is_some() {}
        put
    };
    let owners = |number| Note {
        text: OWNERS,
        ..note(number, 1)
    };
    for number in 0..ANYBODYS_MAX as u32 {
        keeper.restore(note(number, 1), WEEK, START);
    }
    let full = Err(PutRefusal::Full);
    assert_eq!(put(&mut keeper, note(90_000, 1), START), full);
    assert_eq!(put(&mut keeper, note(0, 2), START), Ok(()), "no new one");
    // Nor are they counted to the place they came from.
    for number in 0..(RECORDS_MAX - ANYBODYS_MAX) as u32 {
        assert_eq!(put(&mut keeper, owners(100_000 + number), START), Ok(()));
    }
    assert_eq!(put(&mut keeper, owners(200_000), START), full);
    keeper.handle_timeout(START + WEEK);
    while keeper.poll_persist().is_some() || keeper.poll_transmit().is_some() {}
    assert!(keeper.is_empty());
    assert_eq!(put(&mut keeper, note(90_000, 1), START + WEEK), Ok(()));
}

#[test]
fn a_growing_network_passes_from_everywhere_to_five_copies_and_back() {
    let mut town = Town::of(3);
    let notes: Vec<Note> = (0..50).map(|number| note(number, 1)).collect();
    for note in &notes {
        town.publish(note, START);
    }
    for joined in 3..90 {
        town.join(joined, START);
    }
    for note in &notes {
        assert_eq!(town.copies(note, START), COPIES);
    }
    for dead in 10..90 {
        town.kill(dead, START);
    }
    for note in &notes {
        assert_eq!(town.copies(note, START), 10, "everywhere again");
    }
}

#[test]
fn leaving_in_order_hands_everything_over() {
    let mut town = Town::of(80);
    let notes: Vec<Note> = (0..100).map(|number| note(number, 1)).collect();
    for note in &notes {
        town.publish(note, START);
    }
    town.holders.get_mut(&7).unwrap().handle_leaving();
    town.settle(7, START);
    // Nobody else notices: it is gone, and what it held is where it belongs.
    town.holders.remove(&7);
    for note in &notes {
        let holding = placement::holders(note.key, town.positions())
            .into_iter()
            .filter(|member| town.disks[member].contains_key(&note.key))
            .count();
        assert_eq!(holding, COPIES);
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_while_fewer_than_five_holders_die_at_once(
        seed in 0_u32..1000,
        waves in proptest::collection::vec(proptest::collection::vec(0_u16..90, 1..4), 1..6),
    ) {
        let mut town = Town::of(90);
        let notes: Vec<Note> = (0..10).map(|number| note(seed + number, 1)).collect();
        for note in &notes {
            town.publish(note, START);
        }
        for wave in waves {
            for dead in wave {
                if town.holders.contains_key(&dead) && town.holders.len() > 65 {
                    town.kill(dead, START);
                }
            }
        }
        for note in &notes {
            prop_assert_eq!(town.copies(note, START), COPIES);
        }
    }
}
