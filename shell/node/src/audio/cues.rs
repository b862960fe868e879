//! Which tone belongs to what the calls are doing: pure.

use std::collections::BTreeMap;

use starling_audio::devices::Kind;
use starling_audio::tones::Tone;
use starling_control::view::{Call, CallState};
use starling_wire::call::EndReason;

/// A tone, and where it is heard.
pub(super) type Cue = (Kind, Tone);

/// The calls that are not over, as they were told.
#[derive(Debug, Default)]
pub(super) struct Cues(BTreeMap<String, Call>);

impl Cues {
    /// A call is new or changed; what is heard once because of that.
    pub(super) fn note(&mut self, call: &Call) -> Option<Cue> {
        if call.state != CallState::Ended {
            self.0.insert(call.id.clone(), call.clone());
            return None;
        }
        // AUDIO-05: one that was over before it rang is of no interest.
        self.0.remove(&call.id)?;
        let goes_on = self.0.values().any(|other| other.contact == call.contact);
        let silent = [EndReason::Cancelled, EndReason::Merged].map(EndReason::words);
        if call.answered_at.is_some() {
            Some((Kind::Speaker, Tone::Ended))
        } else if call.outgoing && !goes_on && !silent.contains(&&*call.words) {
            Some((Kind::Speaker, Tone::Busy))
        } else {
            None
        }
    }

    /// What is heard for as long as it is so.
    pub(super) fn lasting(&self) -> Option<Cue> {
        let any = |fits: &dyn Fn(&Call) -> bool| self.0.values().any(fits);
        let rings = |call: &Call| call.state == CallState::Ringing;
        let talks = any(&|call| {
            use CallState::{Connecting, Established, Held, Reconnecting};
            matches!(call.state, Connecting | Established | Held | Reconnecting)
        });
        if any(&|call| rings(call) && !call.outgoing) {
            return Some(if talks {
                (Kind::Speaker, Tone::Waiting)
            } else {
                (Kind::Ringer, Tone::Ringing)
            });
        }
        if any(&|call| call.state == CallState::Reconnecting) {
            return Some((Kind::Speaker, Tone::Reconnecting));
        }
        any(&|call| rings(call) && call.outgoing).then_some((Kind::Speaker, Tone::Ringback))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, outgoing: bool, state: CallState) -> Call {
        Call {
            id: id.into(),
            contact: format!("contact of {id}"),
            outgoing,
            state,
            ..Call::default()
        }
    }

    #[test]
    fn an_incoming_call_rings_until_it_is_answered_and_its_end_is_heard() {
        let mut cues = Cues::default();
        assert_eq!(cues.note(&call("a", false, CallState::Ringing)), None);
        assert_eq!(cues.lasting(), Some((Kind::Ringer, Tone::Ringing)));
        cues.note(&call("a", false, CallState::Established));
        assert_eq!(cues.lasting(), None);
        cues.note(&call("b", false, CallState::Ringing));
        assert_eq!(cues.lasting(), Some((Kind::Speaker, Tone::Waiting)));
        assert_eq!(cues.note(&call("b", false, CallState::Ended)), None);
        cues.note(&call("a", false, CallState::Reconnecting));
        assert_eq!(cues.lasting(), Some((Kind::Speaker, Tone::Reconnecting)));
        let over = Call {
            answered_at: Some(1),
            ..call("a", false, CallState::Ended)
        };
        assert_eq!(cues.note(&over), Some((Kind::Speaker, Tone::Ended)));
        assert_eq!((cues.note(&over), cues.lasting()), (None, None));
    }

    #[test]
    fn a_caller_hears_it_ring_and_that_it_came_to_nothing() {
        let mut cues = Cues::default();
        let ended = |reason: EndReason| Call {
            words: reason.words().into(),
            ..call("a", true, CallState::Ended)
        };
        for (reason, heard) in [
            (EndReason::Busy, Some((Kind::Speaker, Tone::Busy))),
            (EndReason::Declined, Some((Kind::Speaker, Tone::Busy))),
            (EndReason::Cancelled, None),
            (EndReason::Merged, None),
        ] {
            cues.note(&call("a", true, CallState::Calling));
            assert_eq!(cues.lasting(), None);
            cues.note(&call("a", true, CallState::Ringing));
            assert_eq!(cues.lasting(), Some((Kind::Speaker, Tone::Ringback)));
            assert_eq!(cues.note(&ended(reason)), heard, "{reason:?}");
            assert_eq!(cues.lasting(), None);
        }
    }

    #[test]
    fn audio_05_who_does_not_want_to_be_disturbed_hears_nothing() {
        let mut cues = Cues::default();
        assert_eq!(cues.note(&call("a", false, CallState::Ended)), None);
        assert_eq!(cues.lasting(), None);
    }
}
