//! Short words between supernodes as single UDP packets: what costs a connection each on a QUIC link costs a hundred bytes here.
//!
//! Not encrypted, because what is said here everybody may ask; authentic, because both ends derive a key that nobody else has:
//! X25519 between the two supernodes' own Ed25519 keys, mapped to the Montgomery curve (RFC 7748), through BLAKE3.
//! The tag is BLAKE3 in keyed mode, 16 bytes. The first byte has QUIC's fixed bit clear (RFC 9000, 17.2).

use std::collections::BTreeMap;

use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::frame;
use crate::ids::EndpointKey;
use crate::overlay::Word;

/// Bytes of a packet: it fits the least MTU of IPv6 with its headers.
pub const PACKET_MAX: usize = 1_232;
/// Supernodes whose keys are kept.
const KNOWN_MAX: usize = 10_000;
/// Of these, supernodes that are no members.
const MET_MAX: usize = 256;
/// Supernodes that nobody has heard of may speak: so many a minute, for each costs a key agreement.
const STRANGERS_A_MINUTE: u32 = 300;
/// A packet's number is its sender's Unix time in milliseconds; it may be old or ahead by so much.
const OFF_MS: u64 = 600 * 1000;

const CONTEXT: &str = "starling 1 overlay packet";
/// The speaker's whole key follows.
const LONG: u8 = 0x10;
/// The first eight bytes of a key that the listener knows follow.
const SHORT: u8 = 0x11;
const NAME_LEN: usize = 8;
const NUMBER_LEN: usize = 8;
const TAG_LEN: usize = 16;

/// One supernode's keys for packets to and from others.
#[derive(Debug)]
pub struct Packets {
    own: SigningKey,
    known: BTreeMap<EndpointKey, Known>,
    last: u64,
    strangers: u32,
    minute: u64,
}

#[derive(Debug)]
struct Known {
    to: [u8; 32],
    from: [u8; 32],
    /// The highest number heard; 0 before anything was.
    heard: u64,
    /// Whether it is a member; others are forgotten first.
    member: bool,
}

impl Packets {
    /// Knows nobody yet.
    pub const fn new(own: SigningKey) -> Self {
        Self {
            own,
            known: BTreeMap::new(),
            last: 0,
            strangers: 0,
            minute: 0,
        }
    }

    /// Somebody may be named in short by those who speak to us.
    pub fn know(&mut self, other: EndpointKey) {
        if let Some(known) = self.known.get_mut(&other) {
            known.member = true;
        } else if self.known.len() < KNOWN_MAX
            && let Some(known) = Known::agree(&self.own, other, true)
        {
            self.known.insert(other, known);
        }
    }

    /// Makes room for one more that is no member.
    fn forget_one_met(&mut self) {
        let met = || self.known.iter().filter(|(_, known)| !known.member);
        if met().count() >= MET_MAX
            && let Some(oldest) = met().min_by_key(|(_, known)| known.heard)
        {
            let oldest = *oldest.0;
            self.known.remove(&oldest);
        }
    }

    /// Somebody is gone.
    pub fn forget(&mut self, other: EndpointKey) {
        self.known.remove(&other);
    }

    /// A word to somebody; `None` if it is too long, or there are too many others. `now` is Unix time in milliseconds.
    pub fn seal(&mut self, to: EndpointKey, word: &Word, now: u64) -> Option<Vec<u8>> {
        self.know(to);
        let known = self.known.get(&to)?;
        let own = self.own.verifying_key().to_bytes();
        let mut packet = Vec::with_capacity(128);
        if known.heard == 0 {
            packet.push(LONG);
            packet.extend_from_slice(&own);
        } else {
            packet.push(SHORT);
            packet.extend_from_slice(&own[..NAME_LEN]);
        }
        // Rising, also with a clock that was set back while this runs.
        self.last = now.max(self.last + 1);
        packet.extend_from_slice(&self.last.to_be_bytes());
        packet.extend_from_slice(&frame::encode_body(word));
        if packet.len() + TAG_LEN > PACKET_MAX {
            return None;
        }
        let tag = tag(&known.to, &packet);
        packet.extend_from_slice(&tag);
        Some(packet)
    }

    /// Who said what. `now` is Unix time in milliseconds.
    pub fn open(&mut self, packet: &[u8], now: u64) -> Option<(EndpointKey, Word)> {
        if packet.len() > PACKET_MAX {
            return None;
        }
        let (signed, seal) = packet.split_at_checked(packet.len().checked_sub(TAG_LEN)?)?;
        let (form, rest) = signed.split_first()?;
        let (speaker, rest) = match *form {
            LONG => {
                let (key, rest) = rest.split_first_chunk::<32>()?;
                (self.meet(EndpointKey(*key), signed, seal, now)?, rest)
            }
            SHORT => {
                let (name, rest) = rest.split_first_chunk::<NAME_LEN>()?;
                (self.named(name, signed, seal)?, rest)
            }
            _ => return None,
        };
        let (number, body) = rest.split_first_chunk::<NUMBER_LEN>()?;
        let number = u64::from_be_bytes(*number);
        let known = self.known.get_mut(&speaker)?;
        // OVER-06: each number counts once.
        let dated = now.abs_diff(number) < OFF_MS;
        if !dated || number <= known.heard {
            return None;
        }
        let word: Word = frame::decode_body(body, PACKET_MAX).ok()?;
        if !word.fits() {
            return None;
        }
        known.heard = number;
        Some((speaker, word))
    }

    /// `OVER-05`: a whole key, whose holder made the tag.
    fn meet(
        &mut self,
        speaker: EndpointKey,
        signed: &[u8],
        seal: &[u8],
        now: u64,
    ) -> Option<EndpointKey> {
        if let Some(known) = self.known.get(&speaker) {
            return known.made(signed, seal).then_some(speaker);
        }
        let minute = now / 60_000;
        if std::mem::replace(&mut self.minute, minute) != minute {
            self.strangers = 0;
        }
        self.strangers += 1;
        if self.strangers > STRANGERS_A_MINUTE || self.known.len() >= KNOWN_MAX {
            return None;
        }
        let known = Known::agree(&self.own, speaker, false)?;
        if !known.made(signed, seal) {
            return None;
        }
        self.forget_one_met();
        self.known.insert(speaker, known);
        Some(speaker)
    }

    /// `OVER-05`: the one of this short name that made the tag.
    fn named(&self, name: &[u8; NAME_LEN], signed: &[u8], seal: &[u8]) -> Option<EndpointKey> {
        let mut from = [0; 32];
        from[..NAME_LEN].copy_from_slice(name);
        let same = self.known.range(EndpointKey(from)..);
        let mut same = same.take_while(|(key, _)| key.0.starts_with(name));
        let found = same.find(|(_, known)| known.made(signed, seal))?;
        Some(*found.0)
    }
}

impl Known {
    /// The keys that only these two have, one for each direction.
    fn agree(own: &SigningKey, other: EndpointKey, member: bool) -> Option<Self> {
        let theirs = VerifyingKey::from_bytes(&other.0).ok()?;
        if theirs.is_weak() {
            return None;
        }
        let shared = theirs.to_montgomery().mul_clamped(own.to_scalar_bytes());
        let own = own.verifying_key().to_bytes();
        let key = |from: &[u8; 32], to: &[u8; 32]| {
            let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
            hasher.update(shared.as_bytes()).update(from).update(to);
            *hasher.finalize().as_bytes()
        };
        Some(Self {
            to: key(&own, &other.0),
            from: key(&other.0, &own),
            heard: 0,
            member,
        })
    }

    fn made(&self, signed: &[u8], seal: &[u8]) -> bool {
        let Ok(seal) = <[u8; TAG_LEN]>::try_from(seal) else {
            return false;
        };
        // BLAKE3's own comparison takes the same time whatever differs.
        let padded = |tag: [u8; TAG_LEN]| {
            let mut whole = [0; 32];
            whole[..TAG_LEN].copy_from_slice(&tag);
            blake3::Hash::from(whole)
        };
        padded(tag(&self.from, signed)) == padded(seal)
    }
}

fn tag(key: &[u8; 32], signed: &[u8]) -> [u8; TAG_LEN] {
    let whole = blake3::keyed_hash(key, signed);
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(&whole.as_bytes()[..TAG_LEN]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::GOSSIP_MAX;
    use crate::placement::IndexKey;

    const NOW: u64 = 1_800_000_000_000;

    fn supernode(seed: u8) -> (Packets, EndpointKey) {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let id = EndpointKey(key.verifying_key().to_bytes());
        (Packets::new(key), id)
    }

    #[test]
    fn over_05_only_the_other_end_reads_it_and_only_this_one_wrote_it() {
        let ((mut a, a_id), (mut b, b_id)) = (supernode(1), supernode(2));
        let (mut eve, _) = supernode(3);
        let packet = a.seal(b_id, &Word::Ping, NOW).expect("it fits");
        assert_eq!(packet.len(), 1 + 32 + 8 + 1 + 16);
        assert_eq!(eve.open(&packet, NOW), None, "it was not for her");
        assert_eq!(b.open(&packet, NOW), Some((a_id, Word::Ping)));
        let back = b.seal(a_id, &Word::Pong(9), NOW).expect("it fits");
        assert_eq!(back.len(), 1 + 8 + 8 + 2 + 16, "they have met");
        for at in 0..back.len() {
            let mut changed = back.clone();
            changed[at] ^= 1;
            assert_eq!(a.open(&changed, NOW), None, "byte {at}");
        }
        assert_eq!(a.open(&back, NOW), Some((b_id, Word::Pong(9))));
        // Nobody sends back to us what we said.
        assert_eq!(a.open(&packet, NOW), None);
        assert_eq!(a.open(&[], NOW), None);
    }

    #[test]
    fn over_05_a_short_name_counts_for_those_who_are_known() {
        let ((mut a, a_id), (mut b, b_id)) = (supernode(1), supernode(2));
        let first = b.seal(a_id, &Word::Ping, NOW).expect("it fits");
        a.open(&first, NOW).expect("b is met");
        let (mut fresh, _) = supernode(2);
        let short = a.seal(b_id, &Word::Ping, NOW).expect("it fits");
        assert_eq!(fresh.open(&short, NOW), None, "b was started anew");
        fresh.know(a_id);
        assert_eq!(fresh.open(&short, NOW), Some((a_id, Word::Ping)));
        fresh.forget(a_id);
        let again = a.seal(b_id, &Word::Ping, NOW).expect("it fits");
        assert_eq!(fresh.open(&again, NOW), None);
    }

    #[test]
    fn over_06_a_packet_counts_once_and_not_for_long() {
        let ((mut a, _), (mut b, b_id)) = (supernode(1), supernode(2));
        let [first, second] = [(); 2].map(|()| a.seal(b_id, &Word::Ping, NOW).expect("it fits"));
        assert!(b.open(&second, NOW).is_some());
        assert_eq!(b.open(&second, NOW), None, "again");
        assert_eq!(b.open(&first, NOW), None, "overtaken");
        let later = a.seal(b_id, &Word::Ping, NOW).expect("it fits");
        assert_eq!(b.open(&later, NOW + OFF_MS + 10), None);
        assert_eq!(b.open(&later, NOW - OFF_MS), None);
        assert!(b.open(&later, NOW).is_some());
    }

    #[test]
    fn strangers_and_long_words_are_bounded() {
        let ((_, _), (mut b, b_id)) = (supernode(1), supernode(2));
        let heard = (0..400_u32).filter(|number| {
            let mut seed = [9; 32];
            seed[..4].copy_from_slice(&number.to_be_bytes());
            let mut stranger = Packets::new(SigningKey::from_bytes(&seed));
            let packet = stranger.seal(b_id, &Word::Ping, NOW).expect("it fits");
            b.open(&packet, NOW).is_some()
        });
        assert_eq!(heard.count(), STRANGERS_A_MINUTE as usize);
        assert_eq!(b.known.len(), MET_MAX, "members keep their places");
        let (mut a, _) = supernode(1);
        let long = Word::Want(vec![IndexKey([7; 32]); 100]);
        assert_eq!(a.seal(b_id, &long, NOW), None);
        assert_eq!(a.seal(b_id, &Word::Gossip(vec![7; GOSSIP_MAX]), NOW), None);
        assert!(a.seal(b_id, &Word::Gossip(vec![7; 1_150]), NOW).is_some());
        assert_eq!(b.open(&[LONG; PACKET_MAX + 1], NOW), None);
    }
}
