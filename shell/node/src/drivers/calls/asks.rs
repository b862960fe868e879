//! What a person wants of a call: which one is meant, and what it looks like afterwards.

use starling_control::{ErrorKind, Failure, view};
use starling_protocol::call::calls::{CallCommand, CallRefused, CallView, Phase};
use starling_protocol::call::leg::Role;
use starling_wire::ids::{AccountId, CallId};
use tokio::sync::oneshot;

use super::own_side::Switch;
use super::running::Running;
use super::task::Task;
use crate::clock::random;
use crate::media_path::Prepared;

/// What a person wants.
pub enum Ask {
    Start(AccountId, Prepared),
    Answer(Option<String>, Prepared),
    HangUp(Option<String>),
    Hold(Option<String>, bool),
    Switch(Option<String>, Switch),
    Transfer(Option<String>, AccountId),
}

impl Task {
    pub(super) async fn asked(
        &mut self,
        ask: Ask,
        reply: oneshot::Sender<Result<view::Call, Failure>>,
    ) {
        let result = match self.carry_out(ask) {
            Ok(call) => {
                // What was shown last, in case the command ends the call.
                let before = self.running.get(&call).map(Running::view);
                self.drain().await;
                let after = self.running.get(&call).map(Running::view);
                after
                    .or_else(|| self.shown.last(call))
                    .or(before)
                    .ok_or_else(|| refusal(CallRefused::NoCall))
            }
            Err(failure) => {
                self.drain().await;
                Err(failure)
            }
        };
        let _ = reply.send(result);
    }

    fn carry_out(&mut self, ask: Ask) -> Result<CallId, Failure> {
        let now = self.ctx.clock.now();
        match ask {
            Ask::Start(peer, prepared) => {
                let call = CallId(random());
                let command = CallCommand::Start { call, peer };
                let call = self.machine.handle_command(command, now).map_err(refusal)?;
                self.running
                    .entry(call)
                    .or_insert_with(|| Running::new(&self.ctx, call, peer, true))
                    .prepared = Some(prepared);
                Ok(call)
            }
            Ask::Answer(id, prepared) => {
                let rings =
                    |view: &CallView| (view.role, view.phase) == (Role::Callee, Phase::Ringing);
                let call = self.find(id.as_deref(), rings)?;
                if let Some(running) = self.running.get_mut(&call) {
                    running.prepared = Some(prepared);
                }
                let command = CallCommand::Answer(call);
                self.machine.handle_command(command, now).map_err(refusal)
            }
            Ask::HangUp(id) => {
                // Also where their call is only expected: it is not to be answered by itself.
                self.machine.forget_merging();
                let command = CallCommand::HangUp(self.find(id.as_deref(), |_| true)?);
                self.machine.handle_command(command, now).map_err(refusal)
            }
            Ask::Hold(id, on) => {
                let command = CallCommand::Hold(self.find_to_hold(id.as_deref(), on)?, on);
                self.machine.handle_command(command, now).map_err(refusal)
            }
            Ask::Transfer(id, to) => {
                let call = self.find(id.as_deref(), |_| true)?;
                let command = CallCommand::Transfer { call, to };
                let call = self.machine.handle_command(command, now).map_err(refusal)?;
                let target = self.ctx.title(to);
                if let Some(running) = self.running.get_mut(&call) {
                    (running.sending_on, running.names.target) = (true, Some(target));
                }
                self.show(call);
                Ok(call)
            }
            Ask::Switch(id, to) => {
                let call = self.find(id.as_deref(), |_| true)?;
                if let Some(running) = self.running.get_mut(&call) {
                    running.switch(to);
                }
                self.show(call);
                Ok(call)
            }
        }
    }

    /// Whoever comes back means a call that is held.
    fn find_to_hold(&self, id: Option<&str>, on: bool) -> Result<CallId, Failure> {
        let held = self.find(id, |view| !on && is_held(view));
        match held {
            Err(failure) if failure.data.kind == ErrorKind::NotFound => self.find(id, |_| true),
            found => found,
        }
    }

    /// The one call that is meant; without a word which, of several the active one.
    fn find(&self, id: Option<&str>, fits: impl Fn(&CallView) -> bool) -> Result<CallId, Failure> {
        let views = self.machine.views();
        let named = |view: &&CallView| id.is_none_or(|id| view.call.to_string().starts_with(id));
        let found: Vec<&CallView> = views
            .iter()
            .filter(named)
            .filter(|view| fits(view))
            .collect();
        let active = found.iter().find(|view| view.active && id.is_none());
        match (&found[..], active) {
            ([only], _) => Ok(only.call),
            (_, Some(active)) => Ok(active.call),
            ([], _) => Err(refusal(CallRefused::NoCall)),
            _ => {
                let lines = views.iter().map(|view| view.call.to_string()).collect();
                Err(Failure::ambiguous("which call?", lines))
            }
        }
    }
}

/// By us.
const fn is_held(view: &CallView) -> bool {
    let unanswered = matches!(view.phase, Phase::Calling | Phase::Ringing);
    !unanswered && !view.active
}

fn refusal(refused: CallRefused) -> Failure {
    let kind = match refused {
        CallRefused::InCall
        | CallRefused::Calling
        | CallRefused::Full
        | CallRefused::NotTalking
        | CallRefused::Transferring
        | CallRefused::NotRinging => ErrorKind::State,
        CallRefused::NoCall => ErrorKind::NotFound,
    };
    Failure::new(kind, refused.to_string())
}
