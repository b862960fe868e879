//! Call signalling (ALPN `starling/1/call`): one bidirectional stream between two front doors per call, opened by the
//! caller. States and reasons follow RFC 3261; sound goes elsewhere (ALPN `starling/1/media`).

use serde::{Deserialize, Serialize};

use crate::ids::CallId;
use crate::peer::InnerAddr;

/// One frame of the call protocol. The first is always `Invite` or `Resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallFrame {
    /// "I call you."
    Invite {
        /// The call.
        call: CallId,
        /// What the caller can do.
        offer: Media,
        /// Where the caller's sound comes from.
        inner: InnerAddr,
    },
    /// "It rings here." Sound can be connected meanwhile.
    Ringing {
        /// Where the callee's sound comes from.
        inner: InnerAddr,
    },
    /// "Here I am."
    Accept {
        /// What the callee chose.
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
        /// Where the sender's sound comes from now.
        inner: InnerAddr,
    },
}

/// What sound a side can send and play. Today there is one codec; the fields are there so that the next one is no new
/// protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// 1: Opus (RFC 6716), 48 kHz clock, mono.
    pub codec: u8,
    /// Frame length in milliseconds.
    pub frame_ms: u8,
    /// Version of deep redundancy understood; 0: none.
    pub dred: u8,
}

impl Media {
    /// Opus, 20 ms.
    pub const OPUS: Self = Self {
        codec: 1,
        frame_ms: 20,
        dred: 0,
    };

    /// `CALL-01`: whether we can play it.
    pub const fn is_playable(self) -> bool {
        self.codec == 1 && matches!(self.frame_ms, 10 | 20 | 40 | 60)
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
    /// The callee talks to somebody else (486).
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
}

impl EndReason {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::HungUp => "ended",
            Self::Cancelled => "cancelled by the caller",
            Self::Declined => "declined",
            Self::Busy => "busy: they are in another call",
            Self::NoAnswer => "no answer",
            Self::Unreachable => "they could not be reached; they may be offline",
            Self::Lost => "the connection was lost",
            Self::Incompatible => "the two versions of Starling have no sound format in common",
            Self::Merged => "both called at once; the other call goes on",
            Self::Protocol => "the other side did not keep to the protocol",
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
    pub const fn fits(&self) -> bool {
        match self {
            Self::Invite { inner, .. } | Self::Ringing { inner } | Self::Resume { inner, .. } => {
                inner.fits()
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_01_only_what_can_be_played_is_accepted() {
        assert!(Media::OPUS.is_playable());
        assert!(
            !Media {
                codec: 2,
                ..Media::OPUS
            }
            .is_playable()
        );
        assert!(
            !Media {
                frame_ms: 0,
                ..Media::OPUS
            }
            .is_playable()
        );
    }

    #[test]
    fn call_02_too_many_addresses_do_not_fit() {
        let inner = InnerAddr {
            endpoint: crate::ids::EndpointKey([0; 32]),
            home: None,
            direct: vec![
                "127.0.0.1:1".parse().expect("an address");
                crate::limits::ADDRESSES_MAX + 1
            ],
        };
        assert!(!CallFrame::Ringing { inner }.fits());
        assert!(CallFrame::Hold { on: true }.fits());
    }
}
