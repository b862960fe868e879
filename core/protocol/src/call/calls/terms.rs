//! What goes into the machine of calls and what comes out of it.

use starling_wire::call::{CallFrame, EndReason, Media};
use starling_wire::conference::Room;
use starling_wire::ids::{AccountId, CallId, DeviceId};
use starling_wire::peer::InnerAddr;

use crate::call::leg::{self, Role};

/// A signalling stream, numbered by the driver.
pub type LinkId = u64;

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallCommand {
    /// Call somebody, under a fresh random id. If that person's call rings here, it is answered instead.
    Start {
        /// The new call.
        call: CallId,
        /// Whom.
        peer: AccountId,
    },
    /// Answer the ringing call.
    Answer(CallId),
    /// End, cancel or decline.
    HangUp(CallId),
    /// Hold, or come back.
    Hold(CallId, bool),
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallRefused {
    /// One call at a time.
    #[error("you are in a call already; end it first")]
    InCall,
    /// Over, or never was.
    #[error("there is no such call, or it is over")]
    NoCall,
    /// Nothing to answer.
    #[error("this call does not ring here")]
    NotRinging,
}

/// A frame and the link it goes out on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTransmit {
    /// The link.
    pub link: LinkId,
    /// The frame.
    pub frame: CallFrame,
}

/// What the driver is to do or to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEvent {
    /// Open a stream to each of the peer's front doors, or to that of the device named; answer with `handle_opened` for each
    /// that is open, and with `handle_dialled` when all have been tried.
    Dial(CallId, AccountId, Option<DeviceId>),
    /// Bind our inner endpoint (or find it bound) and answer with `handle_bound`. While it is not, the call rings (`CALL-19`).
    Bind(CallId),
    /// The peer's inner endpoint is here: the caller connects to it, the callee lets it in. May come again.
    PeerInner(CallId, InnerAddr),
    /// The peer knows a room in which the sound may be forwarded.
    Room(CallId, Room),
    /// Answered: sound may flow as soon as it is connected. Again after `handle_sound_lost`: connect it anew.
    StartMedia(CallId, Media),
    /// Stop or resume sound both ways without closing its connection.
    HoldMedia(CallId, bool),
    /// Close the sound's connection, with the code for "ended on purpose".
    StopMedia(CallId),
    /// The call looks different now; the last one of a call is `Ended`.
    Changed(CallView),
    /// Close this link once what was transmitted on it is flushed.
    CloseLink(LinkId),
    /// Close this link at once: nobody is heard at its other end, and it stands in the way of a new one.
    CutLink(LinkId),
}

/// A call as a person sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallView {
    /// The call.
    pub call: CallId,
    /// The other side.
    pub peer: AccountId,
    /// Who called.
    pub role: Role,
    /// Where it stands.
    pub phase: Phase,
}

/// Where a call stands, in the words of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Ours is on its way.
    Calling,
    /// It rings: there for the caller, here for the callee.
    Ringing,
    /// Answered; sound is being connected.
    Connecting,
    /// Sound flows.
    Established,
    /// Somebody holds.
    Held {
        /// We do.
        ours: bool,
        /// They do.
        theirs: bool,
    },
    /// Sound or the other side was lost and is sought.
    Reconnecting,
    /// Over.
    Ended(EndReason),
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallReason {
    /// A timer of the signalling.
    Signalling(leg::Reason),
    /// No sound since the answer.
    NoSound,
    /// Sound was lost and did not come back.
    SoundLost,
    /// The other half of a double call did not come.
    Merge,
}

/// How the sound's connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundEnd {
    /// It broke.
    Lost,
    /// The other side closed it with the code for "ended on purpose".
    ClosedByPeer,
    /// Nothing has come over it for [`SILENT`](super::SILENT), and we closed it.
    Silent,
}
