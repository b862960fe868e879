//! Calls beside what is shown while they run: what the log keeps of them, and how the person wants to be called.

use serde::{Deserialize, Serialize};

/// What the log keeps of a call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// When it rang: there if outgoing, here if incoming.
    #[serde(default)]
    pub rang_at: Option<u64>,
    /// Nobody answered what was for the own person, who did not decline it either.
    #[serde(default)]
    pub missed: bool,
    /// The person has seen that.
    #[serde(default)]
    pub seen: bool,
    /// The name of the own device that answered.
    #[serde(default)]
    pub answered_on: Option<String>,
    /// Forwarded or put through: the id of the call that goes on.
    #[serde(default)]
    pub next: Option<String>,
    /// Both called at once, and the call that goes on is theirs: it is answered by itself.
    #[serde(default)]
    pub merged: bool,
    /// How its sound was over time, of a call that was asked for by its id.
    #[serde(default)]
    pub course: Option<CallCourse>,
}

/// How a call's sound was while it flowed, looked at once a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CallCourse {
    /// How often it was looked at.
    pub seconds: u32,
    /// Round-trip time in milliseconds.
    pub rtt_ms: Spread,
    /// Packets lost up to then, in percent.
    pub loss_percent: Spread,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: Spread,
    /// Jitter buffer's depth in milliseconds.
    pub buffer_ms: Spread,
    /// What was sent with, bits a second.
    pub bitrate: Spread,
    /// Estimated mean opinion score.
    pub mos: Spread,
}

/// Of one figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Its average.
    pub average: f64,
    /// Its worst.
    pub worst: f64,
}

/// As it was chosen, for all devices of the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSettings {
    /// A call rings while there is another one.
    pub waiting: bool,
    /// Whoever one talks to may put one through to another of one's contacts.
    pub transfers: bool,
    /// Every call goes to this contact.
    pub forward_always: Option<ForwardTo>,
    /// A call that would hear busy does.
    pub forward_busy: Option<ForwardTo>,
    /// A call that nobody answers does, after so many seconds.
    pub forward_no_answer: Option<ForwardTo>,
    /// Of that.
    pub forward_after: u32,
}

/// Where calls go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardTo {
    /// Account id.
    pub contact: String,
    /// Title.
    pub who: String,
}

/// What is to change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallChoice {
    /// Whether a call rings while there is another one.
    pub waiting: Option<bool>,
    /// Whether whoever one talks to may put one through.
    pub transfers: Option<bool>,
    /// WHO gets every call; empty: nobody.
    pub forward_always: Option<String>,
    /// WHO gets what would hear busy; empty: nobody.
    pub forward_busy: Option<String>,
    /// WHO gets what nobody answers; empty: nobody.
    pub forward_no_answer: Option<String>,
    /// After so many seconds: 5 to 50.
    pub forward_after: Option<u32>,
}
