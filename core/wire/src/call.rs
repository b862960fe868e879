//! Call signalling (ALPN `starling/1/call`): one bidirectional stream between two front doors per call, opened by the
//! caller. States and reasons follow RFC 3261; sound goes elsewhere (ALPN `starling/1/media`).
//!
//! Nothing waits for an inner endpoint to be bound: whoever does not have one yet says so with `None` and sends
//! [`CallFrame::Inner`] when it has.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::conference::Room;
use crate::frame;
use crate::ids::{AccountId, CallId, DeviceId};
use crate::limits::MEDIA_OFFERS_MAX;
use crate::peer::InnerAddr;

/// Context of marks that stand for an account.
const TARGET_CONTEXT: &str = "starling 2026-11-27 target of a call";

/// One frame of the call protocol. The first is always `Invite` or `Resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallFrame {
    /// "I call you."
    Invite {
        /// The call.
        call: CallId,
        /// What the caller can do, the best first; at most [`MEDIA_OFFERS_MAX`].
        offer: Vec<Media>,
        /// Where the caller's sound comes from, if it is known already.
        inner: Option<InnerAddr>,
    },
    /// "It rings here", and the answer to `Resume`. Sound can be connected meanwhile.
    Ringing {
        /// Where the callee's sound comes from, if it is known already.
        inner: Option<InnerAddr>,
    },
    /// "Here I am."
    Accept {
        /// What the callee chose among the offer.
        answer: Media,
    },
    /// "I hold you" or "I am back".
    Hold {
        /// Held or not.
        on: bool,
    },
    /// The end, whoever says it and whenever.
    End {
        /// Why.
        reason: EndReason,
    },
    /// "We lost each other; this is the same call." In place of `Invite` on a new stream.
    Resume {
        /// The call.
        call: CallId,
        /// Where the sender's sound comes from now, if it is known already.
        inner: Option<InnerAddr>,
    },
    /// "My sound comes from here", as soon as it is known and whenever it changes.
    Inner {
        /// Where.
        inner: InnerAddr,
    },
    /// "Let us meet in this room": no direct way was found, and a forwarder may be better than the relay.
    Room(Room),
    /// "Call them instead of me" (REFER, RFC 3515).
    Transfer {
        /// Whom.
        to: TargetMark,
    },
    /// "They were not reached; I am with you again." A transfer that succeeds ends the call.
    TransferFailed {
        /// How that call ended.
        reason: EndReason,
    },
}

/// What sound a side can send and play. Today there is one codec; the fields are there so that the next one is no new
/// protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// 1: Opus (RFC 6716), mono.
    pub codec: u8,
    /// Sample rate in kHz; Opus always counts in 48.
    pub rate_khz: u8,
    /// Frame length in milliseconds.
    pub frame_ms: u8,
    /// Version of deep redundancy understood; 0: none.
    pub dred: u8,
}

impl Media {
    /// Opus, 20 ms.
    pub const OPUS: Self = Self {
        codec: 1,
        rate_khz: 48,
        frame_ms: 20,
        dred: Self::DRED,
    };
    /// The version of deep redundancy that we understand: what libopus 1.6 calls its experimental version
    /// (draft-ietf-mlcodec-opus-dred-04).
    const DRED: u8 = 12;

    /// `CALL-01`: whether we can play it.
    pub const fn is_playable(self) -> bool {
        self.codec == 1 && self.rate_khz == 48 && matches!(self.frame_ms, 10 | 20 | 40 | 60)
    }

    /// The first of the offers that we can play. Deep redundancy of another version than ours is not chosen.
    pub fn choose(offer: &[Self]) -> Option<Self> {
        let playable = offer.iter().copied().find(|media| media.is_playable())?;
        let dred = if playable.is_deep() { Self::DRED } else { 0 };
        Some(Self { dred, ..playable })
    }

    /// Whether both sides understand the same deep redundancy, once it was chosen.
    pub const fn is_deep(self) -> bool {
        self.dred == Self::DRED
    }
}

/// Stands for the account that a call is to go to: whoever knows the account recognises it, and nobody else learns anything
/// (`CALL-28`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TargetMark([u8; 16]);

impl TargetMark {
    /// Of an account, in this call and no other.
    pub fn of(call: CallId, account: AccountId) -> Self {
        let hash = blake3::derive_key(TARGET_CONTEXT, &frame::encode_body(&(call, account)));
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash[..16]);
        Self(mark)
    }
}

impl fmt::Debug for TargetMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TargetMark")
    }
}

/// Why a call ended. Numbers in the comments are the SIP codes a gateway maps them to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EndReason {
    /// Somebody hung up (BYE).
    HungUp,
    /// The caller gave up before an answer (487).
    Cancelled,
    /// The callee said no (603).
    Declined,
    /// The callee talks to somebody else, or is not to be disturbed (486).
    Busy,
    /// Nobody answered (408).
    NoAnswer,
    /// The callee could not be reached (480).
    Unreachable,
    /// The connection was lost and did not come back.
    Lost,
    /// No codec in common (488).
    Incompatible,
    /// Both called each other; the other call lives on.
    Merged,
    /// A frame that makes no sense (400).
    Protocol,
    /// Answered, but no way for the sound was found.
    NoMedia,
    /// Another device of the called person has it; said by the caller.
    AnsweredOn(DeviceId),
    /// The called person said no at another device; said by the caller.
    DeclinedOn(DeviceId),
    /// The called person wants it to go to somebody else (302); to other devices said by the caller.
    Forwarded(TargetMark),
    /// The other side talks to whom it was put through.
    Transferred,
}

impl EndReason {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::HungUp => "ended",
            Self::Cancelled => "cancelled by the caller",
            Self::Declined => "declined",
            Self::Busy => "busy",
            Self::NoAnswer => "no answer",
            Self::Unreachable => "they could not be reached; they may be offline",
            Self::Lost => "the connection was lost",
            Self::Incompatible => "the two versions of Starling have no sound format in common",
            Self::Merged => "both called at once; the other call goes on",
            Self::Protocol => "the other side did not keep to the protocol",
            Self::NoMedia => {
                "answered, but no way for the sound was found; a firewall may be in between"
            }
            Self::AnsweredOn(_) => "answered on another of your devices",
            Self::DeclinedOn(_) => "declined on another of your devices",
            Self::Transferred => "put through",
            Self::Forwarded(_) => "forwarded to somebody who is not among your contacts",
        }
    }
}

/// First frame on a media connection's first stream: which call its datagrams belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaHello {
    /// The call.
    pub call: CallId,
}

/// Bound on one frame.
pub const CALL_FRAME_MAX: usize = 2 * 1024;

impl CallFrame {
    /// `CALL-02`: bounds that the codec does not know.
    pub fn fits(&self) -> bool {
        let fits = |inner: &Option<InnerAddr>| inner.as_ref().is_none_or(InnerAddr::fits);
        match self {
            Self::Invite { offer, inner, .. } => offer.len() <= MEDIA_OFFERS_MAX && fits(inner),
            Self::Ringing { inner } | Self::Resume { inner, .. } => fits(inner),
            Self::Inner { inner } => inner.fits(),
            Self::Room(room) => room.fits(),
            Self::Accept { .. }
            | Self::Hold { .. }
            | Self::End { .. }
            | Self::Transfer { .. }
            | Self::TransferFailed { .. } => true,
        }
    }
}

/// A fuzz body: any bytes as a frame of this protocol.
#[doc(hidden)]
pub mod fuzz {
    use super::{CALL_FRAME_MAX, CallFrame, Media, MediaHello};
    use crate::frame;

    /// Frames on the signalling stream and the first frame on a media connection.
    pub fn fuzz_call(data: &[u8]) {
        if let Ok(frame) = frame::decode_body::<CallFrame>(data, CALL_FRAME_MAX)
            && frame.fits()
            && let CallFrame::Invite { offer, .. } = &frame
        {
            let _ = Media::choose(offer);
        }
        let _ = frame::decode_body::<MediaHello>(data, CALL_FRAME_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conference::RoomKey;
    use crate::frame;
    use crate::ids::{EndpointKey, RoomId};
    use crate::limits::ADDRESSES_MAX;
    use crate::supernode::SupernodeAddr;
    use proptest::prelude::*;

    fn inner(addresses: usize) -> InnerAddr {
        let address = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"
            .parse()
            .expect("an address");
        InnerAddr {
            endpoint: EndpointKey([7; 32]),
            home: Some(SupernodeAddr {
                id: EndpointKey([1; 32]),
                tcp: address,
                discovery_port: u16::MAX,
            }),
            direct: vec![address; addresses],
        }
    }

    fn room(id: [u8; 16], key: [u8; 32]) -> Room {
        Room {
            forwarder: inner(0).home.expect("it has one"),
            port: u16::MAX,
            id: RoomId(id),
            key: RoomKey(key),
        }
    }

    fn media() -> impl Strategy<Value = Media> {
        (any::<[u8; 4]>()).prop_map(|[codec, rate_khz, frame_ms, dred]| Media {
            codec,
            rate_khz,
            frame_ms,
            dred,
        })
    }

    fn reason() -> impl Strategy<Value = EndReason> {
        use EndReason::*;
        let mark = TargetMark::of(CallId([1; 16]), AccountId([2; 32]));
        prop::sample::select(vec![
            AnsweredOn(DeviceId([3; 32])),
            Transferred,
            Forwarded(mark),
            HungUp,
            Cancelled,
            Declined,
            Busy,
            NoAnswer,
            Unreachable,
            Lost,
            Incompatible,
            Merged,
            Protocol,
            NoMedia,
        ])
    }

    fn call_frame() -> impl Strategy<Value = CallFrame> {
        let place = || prop::option::of((0..=ADDRESSES_MAX).prop_map(inner));
        let offer = prop::collection::vec(media(), 0..=MEDIA_OFFERS_MAX);
        prop_oneof![
            (any::<[u8; 16]>(), offer, place()).prop_map(|(call, offer, inner)| {
                CallFrame::Invite {
                    call: CallId(call),
                    offer,
                    inner,
                }
            }),
            place().prop_map(|inner| CallFrame::Ringing { inner }),
            media().prop_map(|answer| CallFrame::Accept { answer }),
            any::<bool>().prop_map(|on| CallFrame::Hold { on }),
            reason().prop_map(|reason| CallFrame::End { reason }),
            (any::<[u8; 16]>(), place()).prop_map(|(call, inner)| CallFrame::Resume {
                call: CallId(call),
                inner
            }),
            (0..=ADDRESSES_MAX).prop_map(|count| CallFrame::Inner {
                inner: inner(count)
            }),
            (any::<[u8; 16]>(), any::<[u8; 32]>())
                .prop_map(|(id, key)| CallFrame::Room(room(id, key))),
            any::<[u8; 32]>().prop_map(|account| CallFrame::Transfer {
                to: TargetMark::of(CallId([1; 16]), AccountId(account)),
            }),
            reason().prop_map(|reason| CallFrame::TransferFailed { reason }),
        ]
    }

    proptest! {
        #[test]
        fn call_02_every_frame_within_its_bounds_round_trips(frame in call_frame()) {
            prop_assert!(frame.fits());
            let bytes = frame::encode_body(&frame);
            prop_assert!(bytes.len() <= CALL_FRAME_MAX, "{}", bytes.len());
            prop_assert_eq!(frame::decode_body::<CallFrame>(&bytes, CALL_FRAME_MAX).unwrap(), frame);
        }

        #[test]
        fn call_02_no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            fuzz::fuzz_call(&bytes);
        }
    }

    #[test]
    fn call_01_only_what_can_be_played_is_chosen() {
        let other = |change: fn(&mut Media)| {
            let mut media = Media::OPUS;
            change(&mut media);
            media
        };
        let unplayable = [
            other(|media| media.codec = 2),
            other(|media| media.rate_khz = 8),
            other(|media| media.frame_ms = 0),
        ];
        assert!(Media::OPUS.is_playable());
        assert!(unplayable.iter().all(|media| !media.is_playable()));
        assert_eq!(Media::choose(&unplayable), None);
        let newer = other(|media| media.dred = 3);
        assert_eq!(
            Media::choose(&[unplayable[0], newer]),
            Some(other(|media| media.dred = 0)),
            "a newer peer's redundancy is declined, not its call"
        );
    }

    #[test]
    fn call_02_too_many_addresses_or_offers_do_not_fit() {
        let many = inner(ADDRESSES_MAX + 1);
        assert!(
            !CallFrame::Ringing {
                inner: Some(many.clone())
            }
            .fits()
        );
        assert!(!CallFrame::Inner { inner: many }.fits());
        let offer = vec![Media::OPUS; MEDIA_OFFERS_MAX + 1];
        assert!(
            !CallFrame::Invite {
                call: CallId([0; 16]),
                offer,
                inner: None
            }
            .fits()
        );
    }

    #[test]
    fn call_28_a_target_is_recognised_in_its_call_by_whoever_knows_it() {
        let (call, other) = (CallId([1; 16]), CallId([2; 16]));
        let (bob, carol) = (AccountId([3; 32]), AccountId([4; 32]));
        let mark = TargetMark::of(call, bob);
        assert_eq!(mark, TargetMark::of(call, bob));
        assert_ne!(mark, TargetMark::of(call, carol));
        assert_ne!(mark, TargetMark::of(other, bob), "in each call another");
    }

    #[test]
    fn every_reason_is_a_sentence_of_its_own() {
        use EndReason::*;
        let all = [
            HungUp,
            Cancelled,
            Declined,
            Busy,
            NoAnswer,
            Unreachable,
            Lost,
            Incompatible,
            Merged,
            Protocol,
            NoMedia,
        ];
        let forwarded = Forwarded(TargetMark::of(CallId([1; 16]), AccountId([2; 32])));
        let all = [&all[..], &[forwarded, Transferred]].concat();
        let mut words: Vec<&str> = all.iter().map(|reason| reason.words()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all.len());
    }
}
