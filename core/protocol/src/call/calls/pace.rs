//! How often a contact may make us do something. What a person does by hand stays far below; a program that says more is a broken or a
//! hostile one.

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::call::{CallFrame, EndReason};
use starling_wire::ids::{AccountId, CallId};

use super::Calls;
use crate::machine::Time;
use crate::tokens::{Rate, Tokens};

/// Holds, and places of their sound: each opens or closes devices, or dials. All devices of a person may say so at once.
pub const SAYING: Rate = Rate {
    at_once: 40,
    every: Duration::from_millis(500),
};
/// Invitations: each rings, or leaves a line in the log.
const INVITING: Rate = Rate {
    at_once: 20,
    every: Duration::from_millis(500),
};

/// The invitations of contacts who called lately.
#[derive(Debug, Default)]
pub struct Inviting(BTreeMap<AccountId, Tokens>);

impl Inviting {
    /// `CALL-34`: whether this one counts.
    pub fn take(&mut self, peer: AccountId, now: Time) -> bool {
        self.0.retain(|_, tokens| !tokens.is_full(INVITING, now));
        let tokens = self.0.entry(peer);
        tokens
            .or_insert(Tokens::full(INVITING, now))
            .take(INVITING, now)
    }
}

impl Calls {
    /// `CALL-33`: whether a frame of a call counts; else the call is over.
    pub(super) fn may_say(&mut self, call: CallId, frame: &CallFrame, now: Time) -> bool {
        let costs = matches!(
            frame,
            CallFrame::Hold { .. } | CallFrame::Inner { .. } | CallFrame::Ringing { .. }
        );
        let Some(entry) = self.entries.get_mut(&call).filter(|_| costs) else {
            return true;
        };
        let said = entry.said.get_or_insert(Tokens::full(SAYING, now));
        let may = said.take(SAYING, now);
        if !may {
            let _ = self.change(call, now, |leg| leg.end_for(EndReason::Protocol));
        }
        may
    }
}
