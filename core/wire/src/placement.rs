//! Which supernodes hold a record (`INDEX-01`): rendezvous hashing over positions that nobody can choose freely (`INDEX-02`).
//!
//! A supernode's position follows from its address block (an IPv4 /24, an IPv6 /48) and one of four slots that its key falls
//! into, after the idea of BEP 42. So whoever grinds keys gains four positions in each block he really has, and as a record's
//! holders stand in different blocks, one block never holds a record alone. On private addresses every machine is a block of
//! its own: there the network's owner knows everybody.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, EndpointKey, NetworkId};
use crate::supernode::{embedded, is_private};

/// Copies of a record in a large network.
pub const COPIES: usize = 5;
/// Up to so many supernodes, every one holds every record.
pub const EVERYWHERE: usize = 50;
/// Positions that one address block can have.
const SLOTS: u8 = 4;

const POSITION_CONTEXT: &str = "starling 1 position";
const KEY_CONTEXT: &str = "starling 1 index key";

/// What a record is found by: the hash of its kind and its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IndexKey(pub [u8; 32]);

impl IndexKey {
    /// The key of an account's record.
    pub fn account(account: AccountId) -> Self {
        Self::of(b"account", &[account.as_bytes()])
    }

    /// The key of a device's record, by the key that publishes it.
    pub fn device(publisher: &[u8; 32]) -> Self {
        Self::of(b"device", &[publisher])
    }

    /// The key of a name's certificate.
    pub fn name(network: NetworkId, name: &str) -> Self {
        Self::of(b"name", &[network.as_bytes(), name.as_bytes()])
    }

    /// The key of the head of a registrar's log.
    pub fn log_head(network: NetworkId) -> Self {
        Self::of(b"log head", &[network.as_bytes()])
    }

    /// The key of the gateways that a network's owner names.
    pub fn gateways_of_network(network: NetworkId) -> Self {
        Self::of(b"network gateways", &[network.as_bytes()])
    }

    /// The key of what a gateway says about itself.
    pub fn gateway(account: AccountId) -> Self {
        Self::of(b"gateway", &[account.as_bytes()])
    }

    /// No kind is the beginning of another one, and all parts but the last have one length.
    fn of(kind: &[u8], subject: &[&[u8]]) -> Self {
        let mut hash = blake3::Hasher::new_derive_key(KEY_CONTEXT);
        hash.update(kind);
        for part in subject {
            hash.update(part);
        }
        Self(*hash.finalize().as_bytes())
    }

    fn start(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Addresses that one operator usually has together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Block {
    /// The first three bytes of an IPv4 address.
    V4([u8; 3]),
    /// The first six bytes of an IPv6 address.
    V6([u8; 6]),
    /// One service on a private address.
    Private(SocketAddr),
}

impl Block {
    /// The block of a supernode's address.
    pub fn of(address: SocketAddr) -> Self {
        let ip = address.ip();
        if is_private(ip) {
            return Self::Private(address);
        }
        let v4 = match ip {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(v6) => embedded(v6),
        };
        match (v4, ip) {
            (Some(v4), _) => {
                let [a, b, c, _] = v4.octets();
                Self::V4([a, b, c])
            }
            (None, IpAddr::V6(v6)) => {
                let [a, b, c, d, e, f, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f])
            }
            (None, IpAddr::V4(v4)) => Self::Private(SocketAddr::new(v4.into(), address.port())),
        }
    }
}

/// Where a supernode stands among the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    block: Block,
    point: u64,
}

impl Position {
    /// From key and address; both are in the signed descriptor.
    pub fn of(supernode: EndpointKey, address: SocketAddr) -> Self {
        let block = Block::of(address);
        let slot = blake3::hash(supernode.as_bytes()).as_bytes()[0] % SLOTS;
        let mut hash = blake3::Hasher::new_derive_key(POSITION_CONTEXT);
        match block {
            Block::V4(bytes) => hash.update(&[4]).update(&bytes),
            Block::V6(bytes) => hash.update(&[6]).update(&bytes),
            // No slots: on a private network the key itself counts.
            Block::Private(_) => hash.update(&[0]).update(supernode.as_bytes()),
        };
        hash.update(&[slot]);
        let [a, b, c, d, e, f, g, h, ..] = *hash.finalize().as_bytes();
        Self {
            block,
            point: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        }
    }

    /// The address block.
    pub const fn block(&self) -> Block {
        self.block
    }

    /// The higher, the nearer. The finaliser of MurmurHash3 spreads what is even by itself; it need not be secret.
    fn nearness(&self, key: IndexKey) -> u64 {
        let mut x = self.point ^ key.start();
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        x ^ (x >> 33)
    }
}

/// The holders of `key` among `members`, the nearest first: all of them in a small network, else [`COPIES`] in different
/// blocks. Everybody who knows the same members gets the same answer.
pub fn holders<M: Copy + Ord>(
    key: IndexKey,
    members: impl IntoIterator<Item = (M, Position)>,
) -> Vec<M> {
    let mut ranked = ranked(key, members);
    if ranked.len() <= EVERYWHERE {
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        return ranked.into_iter().map(|ranked| ranked.member).collect();
    }
    Nearest::of(&mut ranked, COPIES).members().collect()
}

/// Whom to ask for `key`, in this order: its holders, and as many more, who may have been its holders a moment ago.
pub fn ask_order<M: Copy + Ord>(
    key: IndexKey,
    members: impl IntoIterator<Item = (M, Position)>,
) -> Vec<M> {
    let mut ranked = ranked(key, members);
    Nearest::of(&mut ranked, 2 * COPIES).members().collect()
}

/// A member as one key sees it. The order is nearness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked<M> {
    nearness: u64,
    member: M,
    block: Block,
}

impl<M: Copy + Ord> Ranked<M> {
    fn new(key: IndexKey, member: M, position: Position) -> Self {
        Self {
            nearness: position.nearness(key),
            member,
            block: position.block,
        }
    }
}

fn ranked<M: Copy + Ord>(
    key: IndexKey,
    members: impl IntoIterator<Item = (M, Position)>,
) -> Vec<Ranked<M>> {
    members
        .into_iter()
        .map(|(member, position)| Ranked::new(key, member, position))
        .collect()
}

/// The [`COPIES`] nearest of different blocks, the nearest first, kept while members come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest<M>(Vec<Ranked<M>>);

impl<M: Copy + Ord> Nearest<M> {
    /// Among `members`.
    pub fn among(key: IndexKey, members: impl IntoIterator<Item = (M, Position)>) -> Self {
        let mut ranked = ranked(key, members);
        Self::of(&mut ranked, COPIES)
    }

    /// Without sorting thousands for five: ever longer starts of the ranking are looked at.
    fn of(ranked: &mut [Ranked<M>], count: usize) -> Self {
        let mut looked_at = 4 * count;
        loop {
            let end = looked_at.min(ranked.len());
            if end < ranked.len() {
                ranked.select_nth_unstable_by(end, |a, b| b.cmp(a));
            }
            let start = &mut ranked[..end];
            start.sort_unstable_by(|a, b| b.cmp(a));
            let mut nearest = Self(Vec::with_capacity(count));
            for one in start.iter() {
                let new_block = nearest.0.iter().all(|other| other.block != one.block);
                if nearest.0.len() < count && new_block {
                    nearest.0.push(*one);
                }
            }
            if nearest.0.len() == count || end == ranked.len() {
                return nearest;
            }
            looked_at *= 4;
        }
    }

    /// The nearest first.
    pub fn members(&self) -> impl Iterator<Item = M> {
        self.0.iter().map(|ranked| ranked.member)
    }

    /// Whether `member` is one of them.
    pub fn contains(&self, member: M) -> bool {
        self.members().any(|other| other == member)
    }

    /// Whether somebody may become one of them: most do not, and are told apart without looking at all five.
    pub fn may_join(&self, key: IndexKey, position: Position) -> bool {
        let nearness = position.nearness(key);
        let last = self.0.last().map(|last| last.nearness);
        self.0.len() < COPIES || last.is_none_or(|last| last <= nearness)
    }

    /// Somebody joined: whether he is one of them now. Whom he displaced is gone from the list.
    pub fn join(&mut self, key: IndexKey, member: M, position: Position) -> bool {
        let joined = Ranked::new(key, member, position);
        let rival = self.0.iter().position(|other| other.block == joined.block);
        match rival {
            Some(rival) if self.0[rival] >= joined => return false,
            Some(rival) => {
                self.0.remove(rival);
            }
            None if self.0.len() == COPIES => {
                if self.0.last().is_some_and(|last| *last >= joined) {
                    return false;
                }
                self.0.pop();
            }
            None => {}
        }
        let place = self.0.partition_point(|other| *other > joined);
        self.0.insert(place, joined);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(number: u32) -> (EndpointKey, SocketAddr) {
        let key = EndpointKey(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let [.., a, b, c] = key.0;
        (key, SocketAddr::from(([20, a, b, c], 27474)))
    }

    fn placed(count: u32) -> Vec<(EndpointKey, Position)> {
        (0..count)
            .map(member)
            .map(|(key, address)| (key, Position::of(key, address)))
            .collect()
    }

    fn key(number: u32) -> IndexKey {
        IndexKey(*blake3::hash(&number.to_be_bytes()).as_bytes())
    }

    #[test]
    fn index_01_a_small_network_holds_everything_everywhere() {
        let members = placed(EVERYWHERE as u32);
        assert_eq!(holders(key(1), members).len(), EVERYWHERE);
    }

    #[test]
    fn index_01_a_large_one_holds_five_copies_in_different_blocks() {
        let members = placed(1_000);
        for number in 0..200 {
            let chosen = holders(key(number), members.clone());
            assert_eq!(chosen.len(), COPIES);
            let mut blocks: Vec<Block> = members
                .iter()
                .filter(|(member, _)| chosen.contains(member))
                .map(|(_, position)| position.block())
                .collect();
            blocks.sort();
            blocks.dedup();
            assert_eq!(blocks.len(), COPIES);
        }
    }

    #[test]
    fn index_01_the_holders_are_asked_first() {
        let members = placed(300);
        let order = ask_order(key(3), members.clone());
        assert_eq!(order.len(), 2 * COPIES);
        assert_eq!(order[..COPIES], holders(key(3), members));
        assert_eq!(ask_order(key(3), placed(3)).len(), 3);
    }

    #[test]
    fn index_01_records_are_spread_evenly() {
        let members = placed(500);
        let mut held = std::collections::BTreeMap::<EndpointKey, u32>::new();
        for number in 0..10_000 {
            for holder in holders(key(number), members.clone()) {
                *held.entry(holder).or_default() += 1;
            }
        }
        // 100 each on average, less where a block has two members in one slot.
        let most = held.values().max().copied().unwrap_or(0);
        assert!(most <= 200, "{most}");
        assert!(held.len() >= 490, "{}", held.len());
    }

    #[test]
    fn index_02_grinding_keys_in_one_block_wins_one_copy_at_most() {
        let mut members = placed(300);
        for number in 0..5_000_u32 {
            let ground = EndpointKey(*blake3::hash(&(number + 900_000).to_le_bytes()).as_bytes());
            let address = SocketAddr::from(([203, 0, 113, (number % 250) as u8], 1));
            members.push((ground, Position::of(ground, address)));
        }
        let theirs = Block::V4([203, 0, 113]);
        let blocks: std::collections::BTreeMap<EndpointKey, Block> = members
            .iter()
            .map(|(member, position)| (*member, position.block()))
            .collect();
        let mut won = 0;
        for number in 0..500 {
            let chosen = holders(key(number), members.clone());
            let count = chosen.iter().filter(|m| blocks[m] == theirs).count();
            assert!(count <= 1);
            won += count;
        }
        // Four tickets among about 300: 500 records of 5 copies each give about 33.
        assert!(won <= 80, "{won} of 500 records");
    }

    #[test]
    fn addresses_in_one_block_are_one_operators() {
        let of = |text: &str| Block::of(text.parse().unwrap());
        assert_eq!(of("198.51.100.1:1"), of("198.51.100.200:2"));
        assert_ne!(of("198.51.100.1:1"), of("198.51.101.1:1"));
        assert_eq!(of("[2001:db8:7::1]:1"), of("[2001:db8:7:9::2]:1"));
        assert_ne!(of("[2001:db8:7::1]:1"), of("[2001:db8:8::1]:1"));
        assert_eq!(of("[64:ff9b::c633:6401]:1"), of("198.51.100.1:1"));
        assert_ne!(of("127.0.0.1:1"), of("127.0.0.1:2"));
    }

    proptest! {
        #[test]
        fn who_joins_takes_only_his_own(count in 60_u32..200, number: u32) {
            let before = holders(key(number), placed(count));
            let after = holders(key(number), placed(count + 1));
            let (joined, _) = member(count);
            let kept = after.iter().filter(|m| before.contains(m)).count();
            let taken = usize::from(after.contains(&joined));
            // The one who joined replaces one holder, or one of its own block.
            prop_assert!(kept + taken >= COPIES, "{kept} {taken}");
        }

        #[test]
        fn joining_one_by_one_ends_where_all_at_once_does(count in 1_u32..200, number: u32) {
            let members = placed(count);
            let mut grown = Nearest::among(key(number), []);
            for (member, position) in members.iter().copied() {
                let before = grown.clone();
                let may = grown.may_join(key(number), position);
                let joined = grown.join(key(number), member, position);
                prop_assert!(may || !joined);
                prop_assert_eq!(joined, grown.contains(member));
                prop_assert!(joined || before == grown);
            }
            prop_assert_eq!(grown, Nearest::among(key(number), members));
        }

        #[test]
        fn the_order_of_members_means_nothing(count in 1_u32..300, number: u32) {
            let mut other = placed(count);
            other.reverse();
            prop_assert_eq!(holders(key(number), placed(count)), holders(key(number), other));
        }
    }
}
