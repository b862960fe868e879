//! The mailbox of a home supernode: what a stranger's letter costs, how often strangers may leave one, and which of them goes when
//! their share is full. Letters of contacts have a share of their own, which no stranger touches. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use starling_wire::ids::AccountId;
use starling_wire::limits::{
    ACCOUNTS_MAX, DEPOSIT_BYTES_PER_ACCOUNT_MAX, STRANGERS_PER_ACCOUNT_MAX,
};
use starling_wire::postage::{WORK_MAX, WORK_MIN};

use crate::machine::Time;
use crate::pace::Pace;

/// So many letters of strangers cost an account's strangers no more than [`WORK_MIN`].
const QUIET: u64 = 10;
/// In this time half of an account's crowd is forgotten.
const HALF_LIFE: Duration = Duration::from_secs(12 * 3600);
/// What is counted of one crowd.
const CROWD_MAX: u64 = 100_000;
/// Letters of strangers from one block of addresses: so many at once, and then one in so long. More of them cost most: all clients of
/// a supernode come from its block, so nobody is refused for what his neighbours do.
const OF_BLOCK: (u32, Duration) = (240, Duration::from_millis(500));
/// And to one account.
const TO_ONE: (u32, Duration) = (40, Duration::from_secs(120));

/// Who may leave letters for strangers, and at what price.
#[derive(Debug)]
pub struct Gate {
    of_block: Pace<IpAddr>,
    to_one: Pace<(IpAddr, AccountId)>,
    crowds: BTreeMap<AccountId, Crowd>,
}

/// How many strangers wrote lately: thousandths of a letter, as they were at a time.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    size: u64,
    at: Time,
}

/// A stranger's letter in the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The work that was done for it, in bits.
    pub work: u8,
    /// From where it came; the same for the same block of addresses.
    pub place: Option<u64>,
    /// How large it is.
    pub bytes: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            of_block: Pace::new(OF_BLOCK.0, OF_BLOCK.1),
            to_one: Pace::new(TO_ONE.0, TO_ONE.1),
            crowds: BTreeMap::new(),
        }
    }
}

impl Gate {
    /// `STRANGER-02`: what a stranger's letter costs now. Twice the work for every doubling of the crowd by half: who wants to crowd
    /// others out pays the square of what they pay.
    pub fn price(&self, account: AccountId, now: Time) -> u8 {
        let crowd = self.crowds.get(&account);
        let letters = crowd.map_or(0, |crowd| crowd.size_at(now)) / 1_000;
        let squared = (letters * letters / (QUIET * QUIET)).max(1);
        let extra = u8::try_from(squared.ilog2()).unwrap_or(WORK_MAX);
        WORK_MIN.saturating_add(extra).min(WORK_MAX)
    }

    /// `STRANGER-01`, `STRANGER-03`: whether a stranger's letter that shows so much work is taken, from whatever block of addresses
    /// it comes; or what it costs. To an account that is registered here.
    pub fn handle_letter(
        &mut self,
        account: AccountId,
        work: u8,
        from: Option<IpAddr>,
        now: Time,
    ) -> Result<(), u8> {
        let price = self.price(account, now);
        if work < price {
            return Err(price);
        }
        // As at the relay's door: whoever is on this machine is its user's business.
        let Some(from) = from.filter(|from| !from.is_loopback() && work < WORK_MAX) else {
            return Ok(());
        };
        // What is refused takes nothing of the other, and nobody is remembered for it.
        let to_one = (from, account);
        let even = self.to_one.has_room(to_one, now)
            && self.of_block.take(from, now)
            && self.to_one.take(to_one, now);
        if even { Ok(()) } else { Err(WORK_MAX) }
    }

    /// One was taken; so many wait now.
    pub fn note_kept(&mut self, account: AccountId, waiting: usize, now: Time) {
        if self.crowds.len() >= ACCOUNTS_MAX {
            self.crowds.retain(|_, crowd| crowd.size_at(now) > 0);
        }
        if self.crowds.len() >= ACCOUNTS_MAX && !self.crowds.contains_key(&account) {
            return;
        }
        let crowd = self
            .crowds
            .entry(account)
            .or_insert(Crowd { size: 0, at: now });
        // After a restart, those that wait are all that is known.
        let least = 1_000 * u64::try_from(waiting).unwrap_or(0);
        let more = crowd.size_at(now) + 1_000;
        crowd.size = more.max(least).min(1_000 * CROWD_MAX);
        crowd.at = now;
    }
}

impl Crowd {
    fn size_at(&self, now: Time) -> u64 {
        let passed = now.saturating_sub(self.at).as_secs();
        let halvings = passed / HALF_LIFE.as_secs();
        let size = self.size.checked_shr(u32::try_from(halvings).unwrap_or(64));
        let size = size.unwrap_or(0);
        // Evenly from one halving to the next.
        size - size * (passed % HALF_LIFE.as_secs()) / (2 * HALF_LIFE.as_secs())
    }
}

/// `STRANGER-04`: which of the strangers' letters that wait (the oldest first) go, so that there is room for one more; or the work
/// that it would have to show. Whoever has left most from one place makes room first; there, who worked least; then the oldest.
pub fn make_room(waiting: &[Waiting], newcomer: Waiting) -> Result<Vec<usize>, u8> {
    let all: Vec<&Waiting> = waiting.iter().chain([&newcomer]).collect();
    let newest = waiting.len();
    let mut left: Vec<usize> = (0..all.len()).collect();
    let mut gone = Vec::new();
    while is_too_much(left.iter().map(|index| all[*index])) {
        match crowd(&all, &left)[..] {
            [first, next, ..] if first == newest => return Err(all[next].work),
            [first, ..] if first != newest => {
                left.retain(|index| *index != first);
                gone.push(first);
            }
            // One letter alone is never too much.
            _ => break,
        }
    }
    Ok(gone)
}

/// Those from where most of the letters that are left come, the first to go in front.
fn crowd(all: &[&Waiting], left: &[usize]) -> Vec<usize> {
    let of_place = |index: usize| match all[index].place {
        Some(place) => {
            let same = |other: &&usize| all[**other].place == Some(place);
            left.iter().filter(same).count()
        }
        None => 1,
    };
    let most = left.iter().map(|index| of_place(*index)).max();
    let crowd = left.iter().filter(|index| Some(of_place(**index)) == most);
    let mut crowd: Vec<usize> = crowd.copied().collect();
    crowd.sort_by_key(|index| (all[*index].work, *index));
    crowd
}

fn is_too_much<'a>(letters: impl Iterator<Item = &'a Waiting>) -> bool {
    let (count, bytes) = letters.fold((0, 0), |(count, bytes), letter| {
        (count + 1, bytes + letter.bytes)
    });
    count > STRANGERS_PER_ACCOUNT_MAX || bytes > DEPOSIT_BYTES_PER_ACCOUNT_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use starling_wire::limits::ENVELOPE_MAX;

    const ALICE: AccountId = AccountId([1; 32]);
    const BOB: AccountId = AccountId([2; 32]);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn place(block: u8) -> Option<IpAddr> {
        Some(IpAddr::from([203, 0, block, 0]))
    }

    /// After so many letters of strangers at once.
    fn crowded(letters: usize) -> Gate {
        let mut gate = Gate::default();
        for _ in 0..letters {
            gate.note_kept(ALICE, 0, Time::ZERO);
        }
        gate
    }

    #[test]
    fn stranger_01_a_letter_without_enough_work_is_told_the_price() {
        let mut gate = Gate::default();
        for little in [0, WORK_MIN - 1] {
            let refused = gate.handle_letter(ALICE, little, None, Time::ZERO);
            assert_eq!(refused, Err(WORK_MIN));
        }
        assert_eq!(
            gate.handle_letter(ALICE, WORK_MIN, None, Time::ZERO),
            Ok(())
        );
        let mut gate = crowded(40);
        let refused = gate.handle_letter(ALICE, WORK_MIN, None, Time::ZERO);
        assert_eq!(refused, Err(20));
        assert_eq!(gate.handle_letter(ALICE, 20, None, Time::ZERO), Ok(()));
        assert_eq!(gate.handle_letter(BOB, WORK_MIN, None, Time::ZERO), Ok(()));
    }

    #[test]
    fn stranger_02_the_price_rises_with_the_crowd_and_falls_again() {
        let price = |letters| crowded(letters).price(ALICE, Time::ZERO);
        let prices = [0, 10, 15, 20, 40, 80, 160, 320, 100_000].map(price);
        assert_eq!(prices, [16, 16, 17, 18, 20, 22, 24, 26, 26]);
        let gate = crowded(320);
        let later = [0, 12, 24, 36, 48, 60, 72, 10_000].map(|h| {
            let hours = Duration::from_secs(3600 * h);
            gate.price(ALICE, hours)
        });
        assert_eq!(later, [26, 24, 22, 20, 18, 16, 16, 16]);
        let mut anew = Gate::default();
        anew.note_kept(ALICE, 40, Time::ZERO);
        assert_eq!(anew.price(ALICE, Time::ZERO), 20, "after a restart");
    }

    #[test]
    fn stranger_03_who_writes_all_day_from_one_part_of_the_network_pays_most_and_shuts_nobody_out()
    {
        let mut gate = Gate::default();
        let mut taken = |from, work, second: u64| {
            let now = Duration::from_secs(second);
            gate.handle_letter(ALICE, work, from, now)
        };
        let many = (0..200).filter(|_| taken(place(1), 20, 0).is_ok());
        assert_eq!(many.count(), 40);
        assert_eq!(taken(place(1), WORK_MAX - 1, 0), Err(WORK_MAX));
        assert_eq!(taken(place(1), WORK_MAX, 0), Ok(()), "his neighbour");
        assert_eq!(taken(place(2), WORK_MIN, 0), Ok(()), "somebody elsewhere");
        let day = (0..DAY.as_secs()).filter(|s| taken(place(1), 20, 200 + s).is_ok());
        assert!(day.count() <= 24 * 30 + 40);
        let now = Duration::from_secs(200) + DAY;
        let to_bob = gate.handle_letter(BOB, WORK_MIN, place(1), now);
        assert_eq!(to_bob, Ok(()), "what was refused takes no turn of others");
    }

    #[test]
    fn stranger_03_letters_to_many_people_are_paced_together() {
        let mut gate = Gate::default();
        let mut cheap = |from: IpAddr| {
            let taken = (0..1_000u16).filter(|n| {
                let [high, low] = n.to_be_bytes();
                let mut to = [high; 32];
                to[0] = low;
                let to = AccountId(to);
                assert_eq!(
                    gate.handle_letter(to, 0, Some(from), Time::ZERO),
                    Err(WORK_MIN)
                );
                gate.handle_letter(to, WORK_MIN, Some(from), Time::ZERO)
                    .is_ok()
            });
            taken.count()
        };
        assert_eq!(cheap(IpAddr::from([203, 0, 113, 0])), 240);
        assert_eq!(
            cheap(IpAddr::from([127, 0, 0, 1])),
            1_000,
            "its user's business"
        );
    }

    fn letter(work: u8, place: Option<u64>) -> Waiting {
        let bytes = 1_000;
        Waiting { work, place, bytes }
    }

    #[test]
    fn stranger_04_who_crowds_makes_room_first() {
        let mut waiting = vec![letter(16, None)];
        waiting.extend((0..STRANGERS_PER_ACCOUNT_MAX - 2).map(|_| letter(20, Some(7))));
        let honest = letter(16, Some(8));
        assert_eq!(make_room(&waiting, honest), Ok(vec![]));
        waiting.push(honest);
        assert_eq!(make_room(&waiting, letter(16, Some(9))), Ok(vec![1]));
        assert_eq!(make_room(&waiting, letter(20, Some(7))), Ok(vec![1]));
        assert_eq!(make_room(&waiting, letter(19, Some(7))), Err(20));
        // From everywhere at once: who worked least, then the oldest.
        let mut spread: Vec<_> = (0..50).map(|n| letter(20, Some(n))).collect();
        assert_eq!(make_room(&spread, letter(20, None)), Ok(vec![0]));
        assert_eq!(make_room(&spread, letter(16, None)), Err(20));
        spread[30].work = 18;
        assert_eq!(make_room(&spread, letter(20, None)), Ok(vec![30]));
    }

    #[test]
    fn stranger_04_large_letters_make_room_for_each_other() {
        let large = Waiting {
            work: 16,
            place: None,
            bytes: ENVELOPE_MAX,
        };
        let fit = DEPOSIT_BYTES_PER_ACCOUNT_MAX / ENVELOPE_MAX;
        assert_eq!(make_room(&vec![large; fit], large), Ok(vec![0]));
        assert_eq!(make_room(&vec![large; fit - 1], large), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn stranger_04_the_box_never_overflows_and_no_newcomer_is_lost_in_silence(
            letters in proptest::collection::vec((16u8..27, proptest::option::of(0u64..5), 1usize..ENVELOPE_MAX), 1..200)
        ) {
            let mut waiting: Vec<Waiting> = Vec::new();
            for (work, place, bytes) in letters {
                let newcomer = Waiting { work, place, bytes };
                match make_room(&waiting, newcomer) {
                    Ok(gone) => {
                        let mut index = 0;
                        waiting.retain(|_| { index += 1; !gone.contains(&(index - 1)) });
                        waiting.push(newcomer);
                        prop_assert!(!is_too_much(waiting.iter()));
                    }
                    Err(more) => prop_assert!(more > work),
                }
            }
        }
    }
}
