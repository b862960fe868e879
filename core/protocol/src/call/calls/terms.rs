//! What goes into the machine of calls and what comes out of it.

use std::time::Duration;

use starling_wire::call::{CallFrame, EndReason, Media, TargetMark};
use starling_wire::conference::Room;
use starling_wire::ids::{AccountId, CallId, DeviceId};
use starling_wire::peer::InnerAddr;

use super::CALLS_MAX;
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
    /// Call whom a call of ours was forwarded to.
    Follow {
        /// The new call.
        call: CallId,
        /// Whom.
        peer: AccountId,
        /// As the event said.
        hops: u8,
    },
    /// Ask the other side to call somebody else in our place.
    Transfer {
        /// The call.
        call: CallId,
        /// Whom.
        to: AccountId,
    },
    /// Call whom we were sent on to.
    PutThrough {
        /// The call in which we were asked.
        from: CallId,
        /// The new call.
        call: CallId,
        /// Whom.
        peer: AccountId,
    },
    /// Do not.
    RefuseTransfer(CallId),
    /// Answer the ringing call.
    Answer(CallId),
    /// End, cancel or decline.
    HangUp(CallId),
    /// Hold, or come back; whoever comes back holds the others (`CALL-25`).
    Hold(CallId, bool),
}

/// How invitations are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// A call rings while there is another one.
    pub waiting: bool,
    /// Nothing rings.
    pub quiet: bool,
    /// Where calls go instead.
    pub forwarding: Forwarding,
}

impl Default for Reception {
    fn default() -> Self {
        Self {
            waiting: true,
            quiet: false,
            forwarding: Forwarding::default(),
        }
    }
}

/// To whom calls go instead; nobody's call goes to themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Every call.
    pub always: Option<AccountId>,
    /// One that would hear busy.
    pub busy: Option<AccountId>,
    /// One that has rung for so long.
    pub no_answer: Option<(AccountId, Duration)>,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallRefused {
    /// There is a call with this person.
    #[error("you are in a call with them already")]
    InCall,
    /// One call at a time is on its way.
    #[error("another call of yours is not answered yet; end it first")]
    Calling,
    /// As many as a device has.
    #[error("there are {CALLS_MAX} calls already; end one first")]
    Full,
    /// Over, or never was.
    #[error("there is no such call, or it is over")]
    NoCall,
    /// Nobody there to be put through, or to themselves.
    #[error("only somebody you talk to can be put through, and to somebody else")]
    NotTalking,
    /// Once at a time.
    #[error("they are being put through already")]
    Transferring,
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
    /// A call that did not ring, because nobody is to be disturbed or there are others; it is over (`CALL-13`).
    TurnedAway(CallView),
    /// This call of ours is to go to somebody else, and ends: if we know whom, answer with [`CallCommand::Follow`] (`CALL-29`).
    Redirected {
        /// The call that ends.
        call: CallId,
        /// To whom.
        to: TargetMark,
        /// How often it has been forwarded now.
        hops: u8,
    },
    /// The other side asks us to call somebody else: answer with [`CallCommand::PutThrough`] or `RefuseTransfer` (`CALL-30`).
    SentOn {
        /// The call.
        call: CallId,
        /// Whom.
        to: TargetMark,
    },
    /// The other side was not put through, and is with us again.
    TransferFailed(CallId, EndReason),
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
    /// Answered, and not held by us: it has microphone and speaker (`CALL-25`).
    pub active: bool,
    /// It rings while there is another call.
    pub waiting: bool,
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
    /// Nobody answered, and the call is to go to somebody else then.
    Forward,
    /// Nothing is heard of whom we put through.
    Transfer,
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
