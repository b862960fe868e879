//! Calls that go on with somebody else: one of ours that its callee forwards, and one whose other side puts us through.

use starling_protocol::call::calls::{CallCommand, CallRefused, CallView, Phase};
use starling_protocol::call::leg::Role;
use starling_wire::call::{EndReason, TargetMark};
use starling_wire::ids::{AccountId, CallId};

use super::running::Running;
use super::task::Task;
use crate::book::Relation;
use crate::clock::random;
use crate::media_path::Prepared;

/// What is to be done about it, once the machine wants nothing more.
pub enum Onward {
    /// The call that goes on.
    Call(Box<NextCall>),
    /// We do not follow whoever puts us through.
    Refuse(CallId),
}

/// A call of ours, to somebody whom another call led to.
pub struct NextCall {
    before: CallId,
    call: CallId,
    peer: AccountId,
    why: Why,
    prepared: Option<Prepared>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Forwarded(u8),
    PutThrough,
}

impl Task {
    /// `CALL-29`: our call is to go to somebody else. Nothing, if that is no contact of ours.
    pub(super) fn redirected(
        &mut self,
        before: CallId,
        to: TargetMark,
        hops: u8,
    ) -> Option<Onward> {
        let peer = self.behind(before, to)?;
        let running = self.running.get_mut(&before)?;
        let call = CallId(random());
        running.next = Some(call);
        Some(Onward::Call(Box::new(NextCall {
            before,
            call,
            peer,
            why: Why::Forwarded(hops),
            prepared: running.prepared.take(),
        })))
    }

    /// `CALL-30`: the other side puts us through to a contact of ours, if we let it.
    pub(super) fn sent_on(&mut self, before: CallId, to: TargetMark) -> Onward {
        let follows = self.chosen.get().follows();
        match follows.then(|| self.behind(before, to)).flatten() {
            None => Onward::Refuse(before),
            Some(peer) => Onward::Call(Box::new(NextCall {
                before,
                call: CallId(random()),
                peer,
                why: Why::PutThrough,
                prepared: None,
            })),
        }
    }

    /// Does it, as the person would.
    pub(super) fn go_on(&mut self, onward: Onward) {
        let now = self.ctx.clock.now();
        match onward {
            Onward::Refuse(call) => {
                let command = CallCommand::RefuseTransfer(call);
                let _ = self.machine.handle_command(command, now);
            }
            Onward::Call(next) => {
                let begun = self.machine.handle_command(next.command(), now);
                self.went_on(*next, begun);
            }
        }
    }

    fn went_on(&mut self, next: NextCall, begun: Result<CallId, CallRefused>) {
        let (call, peer) = (next.call, next.peer);
        let call = match begun {
            Ok(call) => call,
            // The two of a call that goes on see for themselves that nothing came of it.
            Err(_) if next.why == Why::PutThrough => return,
            Err(refused) => {
                return self.never_rang(never_began(call, peer), Some(refused.to_string()));
            }
        };
        let mut by = None;
        if next.why == Why::PutThrough
            && let Some(before) = self.running.get_mut(&next.before)
        {
            before.next = Some(call);
            before.names.target = Some(self.ctx.title(peer));
            by = Some(format!("{} puts you through", before.names.who));
        }
        let running = self.running.entry(call);
        let running = running.or_insert_with(|| Running::new(&self.ctx, call, peer, true));
        running.prepared = next.prepared;
        running.warnings.extend(by);
    }

    /// The other side of ours was not put through.
    pub(super) fn transfer_failed(&mut self, call: CallId, reason: EndReason) {
        if let Some(running) = self.running.get_mut(&call) {
            running.sending_on = false;
            let target = running.names.target.take().unwrap_or_default();
            let words = format!("not put through to {target}: {}", reason.words());
            self.warn(call, words);
        }
    }

    /// Which contact a mark stands for.
    fn behind(&self, call: CallId, to: TargetMark) -> Option<AccountId> {
        let people = self.ctx.book.people().into_iter();
        let contacts = people.filter(|(_, person)| person.relation == Relation::Contact);
        let mut accounts = contacts.map(|(account, _)| account);
        accounts.find(|account| TargetMark::of(call, *account) == to)
    }

    pub(super) fn title_behind(&self, call: CallId, to: TargetMark) -> Option<String> {
        let account = self.behind(call, to)?;
        Some(self.ctx.title(account))
    }
}

impl NextCall {
    const fn command(&self) -> CallCommand {
        let (from, call, peer) = (self.before, self.call, self.peer);
        match self.why {
            Why::Forwarded(hops) => CallCommand::Follow { call, peer, hops },
            Why::PutThrough => CallCommand::PutThrough { from, call, peer },
        }
    }
}

const fn never_began(call: CallId, peer: AccountId) -> CallView {
    CallView {
        call,
        peer,
        role: Role::Caller,
        phase: Phase::Ended(EndReason::Cancelled),
        active: false,
        waiting: false,
    }
}
