//! How much is believed of what another member says.

use std::time::Duration;

use foca::{Codec, PostcardCodec};
use starling_wire::ids::EndpointKey;

use super::peer::Peer;
use super::{Description, GOSSIP_MAX, MEMBERS_MAX, Membership, NEWS_PER_MINUTE};
use crate::machine::Time;

/// What one member brought up for the first time.
#[derive(Debug, Clone, Copy)]
pub(super) struct News {
    since: Time,
    count: u32,
}

impl<D: Description> Membership<D> {
    /// `MEMBER-05`: within bounds, in its sender's own name, and not too much news at once.
    pub(super) fn is_believable(&mut self, from: EndpointKey, packet: &[u8], now: Time) -> bool {
        if packet.len() > GOSSIP_MAX {
            return false;
        }
        let mut rest = packet;
        let Ok(header) = PostcardCodec.decode_header(&mut rest) else {
            return false;
        };
        let header: foca::Header<Peer> = header;
        if header.src.key != from {
            return false;
        }
        let unknown = self.unknown_keys(rest);
        self.is_slow_enough(from, unknown, now)
    }

    pub(super) fn is_slow_enough(&mut self, from: EndpointKey, unknown: usize, now: Time) -> bool {
        if unknown == 0 {
            return true;
        }
        if self.known.len() + unknown > MEMBERS_MAX {
            return false;
        }
        self.news
            .retain(|_, news| news.since + Duration::from_secs(60) > now);
        let news = self.news.entry(from).or_insert(News {
            since: now,
            count: 0,
        });
        news.count = news
            .count
            .saturating_add(u32::try_from(unknown).unwrap_or(u32::MAX));
        news.count <= NEWS_PER_MINUTE
    }

    fn unknown_keys(&self, updates: &[u8]) -> usize {
        let Some((count, mut rest)) = updates.split_at_checked(2) else {
            return 0;
        };
        let count = u16::from_be_bytes([count[0], count[1]]);
        let mut unknown = 0;
        for _ in 0..count {
            let Ok(member) = PostcardCodec.decode_member(&mut rest) else {
                break;
            };
            let member: foca::Member<Peer> = member;
            unknown += usize::from(!self.known.contains_key(&member.id().key));
        }
        unknown
    }
}
