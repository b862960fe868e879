//! Tests of a device's calls: alice, bob and carol, by hand and in a storm.

use starling_wire::call::{Media, TargetMark};
use starling_wire::ids::EndpointKey;

use super::*;
use crate::call::leg::Role;

mod forking;
mod forwarding;
mod pace;
mod rooms;
mod several;
mod storm;
mod transfers;

const ALICE: AccountId = AccountId([1; 32]);
const BOB: AccountId = AccountId([2; 32]);
const CAROL: AccountId = AccountId([3; 32]);
const PHONE: DeviceId = DeviceId([4; 32]);
const DESK: DeviceId = DeviceId([5; 32]);
/// The lower id: it lives when two meet.
const LOW: CallId = CallId([1; 16]);
const HIGH: CallId = CallId([2; 16]);
const HIGHER: CallId = CallId([3; 16]);

fn seconds(n: u64) -> Time {
    Duration::from_secs(n)
}

fn inner(n: u8) -> InnerAddr {
    InnerAddr {
        endpoint: EndpointKey([n; 32]),
        home: None,
        direct: vec![],
    }
}

/// A device with everything drained out of it so far.
#[derive(Default)]
struct Device {
    calls: Calls,
    sent: Vec<CallTransmit>,
    events: Vec<CallEvent>,
}

impl Device {
    fn drain(&mut self) -> &mut Self {
        self.sent
            .extend(std::iter::from_fn(|| self.calls.poll_transmit()));
        self.events
            .extend(std::iter::from_fn(|| self.calls.poll_event()));
        self
    }

    fn command(&mut self, command: CallCommand, now: Time) -> Result<CallId, CallRefused> {
        let result = self.calls.handle_command(command, now);
        self.drain();
        result
    }

    fn frame(&mut self, peer: AccountId, link: LinkId, frame: CallFrame, now: Time) {
        self.calls.handle_frame(peer, link, frame, now);
        self.drain();
    }

    fn opened(&mut self, call: CallId, link: LinkId, now: Time) {
        self.opened_to(call, link, PHONE, now);
        self.calls.handle_dialled(call, now);
        self.drain();
    }

    fn opened_to(&mut self, call: CallId, link: LinkId, device: DeviceId, now: Time) {
        self.calls.handle_opened(call, link, device, now);
        self.drain();
    }

    fn lost(&mut self, link: LinkId, now: Time) {
        self.calls.handle_lost(link, now);
        self.drain();
    }

    fn sound(&mut self, call: CallId, now: Time) {
        self.calls.handle_sound(call, now);
        self.drain();
    }

    fn sound_lost(&mut self, call: CallId, end: SoundEnd, now: Time) {
        self.calls.handle_sound_lost(call, end, now);
        self.drain();
    }

    fn time(&mut self, now: Time) {
        self.calls.handle_timeout(now);
        self.drain();
    }

    fn frames(&mut self) -> Vec<CallFrame> {
        self.sent.drain(..).map(|sent| sent.frame).collect()
    }

    fn happened(&mut self) -> Vec<CallEvent> {
        std::mem::take(&mut self.events)
    }

    fn phases(&mut self) -> Vec<Phase> {
        let phase = |event| match event {
            CallEvent::Changed(view) => Some(view.phase),
            _ => None,
        };
        self.happened().into_iter().filter_map(phase).collect()
    }

    fn phase(&self) -> Option<Phase> {
        self.calls.views().first().map(|view| view.phase)
    }
}

fn invite(call: CallId) -> CallFrame {
    CallFrame::Invite {
        call,
        offer: vec![Media::OPUS],
        inner: None,
    }
}

fn end(reason: EndReason) -> CallFrame {
    CallFrame::End { reason }
}

const ACCEPT: CallFrame = CallFrame::Accept {
    answer: Media::OPUS,
};
const RINGING: CallFrame = CallFrame::Ringing { inner: None };

/// Alice talks to bob on link 1, sound flows.
fn talking_alice() -> Device {
    let mut alice = Device::default();
    let start = CallCommand::Start {
        call: LOW,
        peer: BOB,
    };
    assert_eq!(alice.command(start, seconds(0)), Ok(LOW));
    alice.opened(LOW, 1, seconds(0));
    alice.frame(BOB, 1, RINGING, seconds(0));
    alice.frame(BOB, 1, ACCEPT, seconds(1));
    alice.sound(LOW, seconds(1));
    assert_eq!(
        alice.phases(),
        [
            Phase::Calling,
            Phase::Ringing,
            Phase::Connecting,
            Phase::Established
        ]
    );
    alice.sent.clear();
    alice
}

/// Bob talks to alice on link 1, sound flows.
fn talking_bob() -> Device {
    let mut bob = Device::default();
    bob.frame(ALICE, 1, invite(LOW), seconds(0));
    bob.calls.handle_bound(LOW, inner(2));
    bob.drain();
    assert_eq!(bob.command(CallCommand::Answer(LOW), seconds(1)), Ok(LOW));
    bob.sound(LOW, seconds(1));
    assert_eq!(
        bob.phases(),
        [Phase::Ringing, Phase::Connecting, Phase::Established]
    );
    bob.sent.clear();
    bob
}

#[test]
fn call_19_ringing_does_not_wait_for_the_inner_endpoint() {
    let mut alice = Device::default();
    let start = CallCommand::Start {
        call: LOW,
        peer: BOB,
    };
    alice.command(start, seconds(0)).expect("free");
    alice.opened(LOW, 1, seconds(0));
    assert_eq!(alice.frames(), [invite(LOW)]);
    alice.calls.handle_bound(LOW, inner(1));
    alice.drain();
    assert_eq!(alice.frames(), [CallFrame::Inner { inner: inner(1) }]);
    let mut bob = Device::default();
    bob.frame(ALICE, 9, invite(LOW), seconds(0));
    assert_eq!(bob.frames(), [RINGING]);
    bob.happened();
    bob.frame(ALICE, 9, CallFrame::Inner { inner: inner(1) }, seconds(0));
    assert_eq!(bob.happened(), [CallEvent::PeerInner(LOW, inner(1))]);
}

#[test]
fn call_19_an_endpoint_that_is_bound_already_goes_with_the_invitation() {
    let mut alice = Device::default();
    let start = CallCommand::Start {
        call: LOW,
        peer: BOB,
    };
    alice.command(start, seconds(0)).expect("free");
    alice.calls.handle_bound(LOW, inner(1));
    alice.drain();
    alice.opened(LOW, 1, seconds(0));
    let with_inner = CallFrame::Invite {
        call: LOW,
        offer: vec![Media::OPUS],
        inner: Some(inner(1)),
    };
    assert_eq!(alice.frames(), [with_inner]);
}

/// Alice and bob call each other in the same moment: (alice with the lower id, bob with the higher).
fn glare() -> (Device, Device) {
    let (mut alice, mut bob) = (Device::default(), Device::default());
    let start = |call, peer| CallCommand::Start { call, peer };
    alice.command(start(LOW, BOB), seconds(0)).expect("free");
    bob.command(start(HIGH, ALICE), seconds(0)).expect("free");
    alice.opened(LOW, 1, seconds(0));
    bob.opened(HIGH, 1, seconds(0));
    (alice, bob)
}

#[test]
fn call_14_both_call_at_once_and_talk_without_a_click() {
    let (mut alice, mut bob) = glare();
    alice.frames();
    alice.frame(BOB, 2, invite(HIGH), seconds(1));
    bob.happened();
    bob.frame(ALICE, 2, invite(LOW), seconds(1));
    assert_eq!(alice.frames(), [end(EndReason::Merged)]);
    assert_eq!(
        bob.phases(),
        [
            Phase::Ended(EndReason::Merged),
            Phase::Ringing,
            Phase::Connecting
        ]
    );
    alice.frame(BOB, 1, RINGING, seconds(1));
    alice.frame(BOB, 1, ACCEPT, seconds(1));
    assert_eq!(alice.phase(), Some(Phase::Connecting));
    bob.frame(ALICE, 1, end(EndReason::Merged), seconds(2));
    assert_eq!(bob.phase(), Some(Phase::Connecting), "the old link is dead");
}

#[test]
fn call_14_the_refusal_may_overtake_the_invitation() {
    let (_, mut bob) = glare();
    bob.frame(ALICE, 1, end(EndReason::Merged), seconds(1));
    bob.happened();
    bob.frame(ALICE, 2, invite(LOW), seconds(2));
    assert_eq!(bob.phases(), [Phase::Ringing, Phase::Connecting]);
}

#[test]
fn call_14_the_losing_invitation_may_come_after_the_answer() {
    let (mut alice, _) = glare();
    alice.frames();
    alice.frame(BOB, 1, RINGING, seconds(1));
    alice.frame(BOB, 1, ACCEPT, seconds(1));
    alice.frame(BOB, 2, invite(HIGH), seconds(1));
    assert_eq!(alice.frames(), [end(EndReason::Merged)]);
    assert_eq!(alice.phase(), Some(Phase::Connecting), "her call goes on");
    alice.sound(LOW, seconds(2));
    alice.happened();
    alice.frame(BOB, 3, invite(HIGH), seconds(60));
    assert_eq!(
        alice.phases(),
        [Phase::Ended(EndReason::Lost), Phase::Ringing],
        "a call that was heard and then forgotten is another matter"
    );
}

#[test]
fn call_14_merging_is_for_that_person_and_that_moment_only() {
    let (_, mut bob) = glare();
    bob.frame(ALICE, 1, end(EndReason::Merged), seconds(1));
    bob.frame(CAROL, 2, invite(LOW), seconds(2));
    assert_eq!(bob.phase(), Some(Phase::Ringing), "carol is not answered");
    let (_, mut bob) = glare();
    bob.frame(ALICE, 1, end(EndReason::Merged), seconds(1));
    assert_eq!(
        bob.calls.poll_timeout(),
        Some(Deadline::new(seconds(16), CallReason::Merge))
    );
    bob.time(seconds(16));
    bob.frame(ALICE, 2, invite(LOW), seconds(17));
    assert_eq!(bob.phase(), Some(Phase::Ringing));
}

#[test]
fn call_14_whoever_does_something_else_meanwhile_answers_nobody_by_itself() {
    let merged = || {
        let (_, mut bob) = glare();
        bob.frame(ALICE, 1, end(EndReason::Merged), seconds(1));
        bob
    };
    // He answers somebody else.
    let mut bob = merged();
    bob.frame(CAROL, 2, invite(HIGHER), seconds(2));
    bob.command(CallCommand::Answer(HIGHER), seconds(3))
        .expect("it rings");
    bob.happened();
    bob.frame(ALICE, 3, invite(LOW), seconds(4));
    assert_eq!(bob.phases(), [Phase::Ringing], "it waits");
    // He hangs up what is no call yet.
    let mut bob = merged();
    bob.calls.forget_merging();
    bob.happened();
    bob.frame(ALICE, 3, invite(LOW), seconds(4));
    assert_eq!(bob.phases(), [Phase::Ringing]);
}

#[test]
fn call_15_calling_anew_replaces_a_call_that_the_peer_forgot() {
    let mut bob = talking_bob();
    bob.frame(ALICE, 5, invite(HIGH), seconds(60));
    assert_eq!(
        bob.phases(),
        [Phase::Ended(EndReason::Lost), Phase::Ringing]
    );
}

#[test]
fn call_16_signalling_may_be_lost_while_sound_flows() {
    let mut alice = talking_alice();
    alice.lost(1, seconds(10));
    assert_eq!(alice.happened(), [CallEvent::Dial(LOW, BOB, Some(PHONE))]);
    assert_eq!(alice.phase(), Some(Phase::Established));
    alice.time(seconds(35));
    assert_eq!(alice.happened(), [CallEvent::Dial(LOW, BOB, Some(PHONE))]);
    assert_eq!(alice.phase(), Some(Phase::Established));
    alice.sound_lost(LOW, SoundEnd::Lost, seconds(36));
    assert_eq!(alice.phase(), Some(Phase::Reconnecting));
    alice.time(seconds(61));
    assert_eq!(alice.calls.views(), []);
    assert_eq!(alice.phases().last(), Some(&Phase::Ended(EndReason::Lost)));
}

#[test]
fn call_22_a_silent_call_is_sought_at_once_although_signalling_seems_to_be_there() {
    let (mut alice, mut bob) = (talking_alice(), talking_bob());
    alice.happened();
    bob.happened();
    alice.sound_lost(LOW, SoundEnd::Silent, seconds(10));
    let wanted = alice.happened();
    for event in [
        CallEvent::StartMedia(LOW, Media::OPUS),
        CallEvent::CutLink(1),
        CallEvent::Dial(LOW, BOB, Some(PHONE)),
    ] {
        assert!(wanted.contains(&event), "{event:?} is not in {wanted:?}");
    }
    alice.opened(LOW, 2, seconds(10));
    let resume = alice.frames().pop().expect("a frame");
    assert!(matches!(resume, CallFrame::Resume { call: LOW, .. }));
    bob.frame(ALICE, 2, resume, seconds(10));
    bob.happened();
    // He notices later, and keeps the stream that is new.
    bob.sound_lost(LOW, SoundEnd::Silent, seconds(11));
    assert!(!bob.happened().contains(&CallEvent::CutLink(2)));
    alice.frame(BOB, 2, RINGING, seconds(11));
    alice.sound(LOW, seconds(11));
    bob.sound(LOW, seconds(11));
    let both = [alice.phase(), bob.phase()];
    assert_eq!(both, [Some(Phase::Established); 2]);
    // Who is called waits to be found.
    bob.sound_lost(LOW, SoundEnd::Silent, seconds(20));
    let wanted = bob.happened();
    assert!(wanted.contains(&CallEvent::CutLink(2)), "{wanted:?}");
    let dials = |event: &CallEvent| matches!(event, CallEvent::Dial(..));
    assert!(!wanted.iter().any(dials), "{wanted:?}");
}

#[test]
fn call_17_a_hang_up_is_heard_through_the_sound_when_signalling_is_gone() {
    let mut bob = talking_bob();
    bob.sound_lost(LOW, SoundEnd::ClosedByPeer, seconds(5));
    assert_eq!(
        bob.phase(),
        Some(Phase::Reconnecting),
        "with signalling, only signalling ends a call"
    );
    let mut bob = talking_bob();
    bob.lost(1, seconds(5));
    bob.sound_lost(LOW, SoundEnd::ClosedByPeer, seconds(6));
    assert_eq!(bob.phases(), [Phase::Ended(EndReason::HungUp)]);
}

#[test]
fn call_18_an_answered_call_without_sound_ends_after_15_seconds_and_says_why() {
    let mut bob = Device::default();
    bob.frame(ALICE, 1, invite(LOW), seconds(0));
    bob.command(CallCommand::Answer(LOW), seconds(10))
        .expect("rings");
    assert_eq!(
        bob.calls.poll_timeout(),
        Some(Deadline::new(seconds(25), CallReason::NoSound))
    );
    bob.frames();
    bob.time(seconds(25));
    assert_eq!(bob.frames(), [end(EndReason::NoMedia)]);
    let mut alice = talking_alice();
    alice.sound_lost(LOW, SoundEnd::Lost, seconds(30));
    assert_eq!(
        alice.happened(),
        [
            CallEvent::StartMedia(LOW, Media::OPUS),
            CallEvent::Changed(CallView {
                call: LOW,
                peer: BOB,
                role: Role::Caller,
                phase: Phase::Reconnecting,
                active: true,
                waiting: false
            })
        ]
    );
    alice.sound(LOW, seconds(32));
    assert_eq!(alice.phases(), [Phase::Established]);
}

#[test]
fn call_09_a_lost_link_is_dialled_again_and_the_call_goes_on() {
    let (mut alice, mut bob) = (talking_alice(), talking_bob());
    bob.command(CallCommand::Hold(LOW, true), seconds(2))
        .expect("talking");
    bob.lost(1, seconds(10));
    bob.sound_lost(LOW, SoundEnd::Lost, seconds(10));
    alice.lost(1, seconds(10));
    alice.sound_lost(LOW, SoundEnd::Lost, seconds(10));
    alice.opened(LOW, 2, seconds(12));
    let resume = alice.frames().pop().expect("a frame");
    assert!(matches!(resume, CallFrame::Resume { call: LOW, .. }));
    bob.sent.clear();
    bob.frame(ALICE, 2, resume, seconds(12));
    for frame in bob.frames() {
        alice.frame(BOB, 2, frame, seconds(12));
    }
    alice.sound(LOW, seconds(13));
    bob.sound(LOW, seconds(13));
    let held = |ours, theirs| Some(Phase::Held { ours, theirs });
    assert_eq!(
        (alice.phase(), bob.phase()),
        (held(false, true), held(true, false))
    );
}

#[test]
fn call_09_only_the_peer_of_an_answered_call_may_resume_it() {
    let resume = CallFrame::Resume {
        call: LOW,
        inner: None,
    };
    let mut bob = talking_bob();
    bob.frame(CAROL, 8, resume.clone(), seconds(3));
    assert_eq!(bob.frames(), [end(EndReason::Lost)]);
    let mut ringing = Device::default();
    ringing.frame(ALICE, 1, invite(LOW), seconds(0));
    ringing.frames();
    ringing.frame(ALICE, 2, resume.clone(), seconds(1));
    assert_eq!(ringing.frames(), [end(EndReason::Lost)]);
    let mut alice = talking_alice();
    alice.frame(BOB, 2, resume, seconds(3));
    assert_eq!(alice.frames(), [end(EndReason::Lost)]);
    assert_eq!(alice.phase(), Some(Phase::Established));
}

#[test]
fn call_20_a_stream_begins_with_an_invitation_or_a_resumption() {
    for frame in [
        RINGING,
        ACCEPT,
        CallFrame::Hold { on: true },
        CallFrame::Inner { inner: inner(1) },
    ] {
        let mut bob = Device::default();
        bob.frame(ALICE, 1, frame, seconds(0));
        assert_eq!(bob.frames(), [end(EndReason::Protocol)]);
        assert_eq!(bob.happened(), [CallEvent::CloseLink(1)]);
    }
}

#[test]
fn hold_stops_the_sound_and_a_hang_up_closes_everything() {
    let mut alice = talking_alice();
    alice
        .command(CallCommand::Hold(LOW, true), seconds(2))
        .expect("talking");
    alice.frame(BOB, 1, CallFrame::Hold { on: true }, seconds(3));
    assert_eq!(alice.happened()[0], CallEvent::HoldMedia(LOW, true));
    alice
        .command(CallCommand::Hold(LOW, false), seconds(4))
        .expect("talking");
    assert_eq!(
        alice.phases(),
        [Phase::Held {
            ours: false,
            theirs: true
        }],
        "they still hold"
    );
    alice.frame(BOB, 1, CallFrame::Hold { on: false }, seconds(5));
    assert_eq!(alice.happened()[0], CallEvent::HoldMedia(LOW, false));
    alice
        .command(CallCommand::HangUp(LOW), seconds(6))
        .expect("talking");
    let ended = alice.happened();
    assert!(ended.contains(&CallEvent::StopMedia(LOW)));
    assert_eq!(ended.last(), Some(&CallEvent::CloseLink(1)));
    assert_eq!(
        alice.command(CallCommand::HangUp(LOW), seconds(7)),
        Err(CallRefused::NoCall)
    );
    assert_eq!(alice.calls.poll_timeout(), None);
}

#[test]
fn calling_somebody_whose_call_rings_here_answers_it() {
    let mut bob = Device::default();
    bob.frame(ALICE, 1, invite(LOW), seconds(0));
    let start = CallCommand::Start {
        call: HIGH,
        peer: ALICE,
    };
    assert_eq!(bob.command(start, seconds(1)), Ok(LOW));
    assert_eq!(bob.phase(), Some(Phase::Connecting));
    assert_eq!(
        bob.command(CallCommand::Answer(LOW), seconds(2)),
        Err(CallRefused::NotRinging)
    );
}

#[test]
fn a_stream_that_opens_after_the_hang_up_is_closed_unused() {
    let mut alice = Device::default();
    let start = CallCommand::Start {
        call: LOW,
        peer: BOB,
    };
    alice.command(start, seconds(0)).expect("free");
    alice
        .command(CallCommand::HangUp(LOW), seconds(1))
        .expect("calling");
    alice.happened();
    alice.opened(LOW, 1, seconds(2));
    assert_eq!(alice.frames(), []);
    assert_eq!(alice.happened(), [CallEvent::CloseLink(1)]);
}
