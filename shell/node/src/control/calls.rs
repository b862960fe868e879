//! Commands about calls: those that run, the log, and how the person wants to be called.

use serde_json::{Value, json};
use starling_control::view::{CallSwitch, Switched};
use starling_control::{Command, ErrorKind, Failure};

use super::commands::{LISTING, value};
use super::names;
use crate::context::store_failure;
use crate::drivers::calls::Switch;
use crate::session::Session;

/// Calls of a listing at most: with what stands around it, it fits a line.
const CALLS_LISTED: u32 = 500;

/// Does what is asked.
pub(super) async fn carry_out(session: &Session, command: Command) -> Result<Value, Failure> {
    match command {
        Command::CallStart { who, sound } => {
            let account = names::find(session, &who).await?;
            value(session.calls.call(account, &sound).await?)
        }
        Command::CallAnswer { id, sound } => value(session.calls.answer(id, &sound).await?),
        Command::CallHangup { id } => value(session.calls.hang_up(id).await?),
        Command::CallHold { id, on } => value(session.calls.hold(id, on).await?),
        Command::CallMute { id, on } => value(session.calls.switch(id, Switch::Mute(on)).await?),
        Command::CallSwitch(CallSwitch { id, what, on }) => {
            let to = match what {
                Switched::Deafen => Switch::Deafen(on),
                Switched::Talk => Switch::Talk(on),
            };
            value(session.calls.switch(id, to).await?)
        }
        Command::CallTransfer { id, who } => {
            let account = names::find(session, &who).await?;
            value(session.calls.transfer(id, account).await?)
        }
        Command::CallList { limit } => {
            let limit = limit.unwrap_or(LISTING).min(CALLS_LISTED);
            value(session.calls.list(limit).await?)
        }
        Command::CallMissed { limit } => {
            let limit = limit.unwrap_or(LISTING).min(CALLS_LISTED);
            value(session.calls.missed(limit).await?)
        }
        Command::CallShow { id } => value(session.calls.show(&id).await?),
        Command::CallSeen {} => value(session.calls.see().await?),
        Command::CallSettings {} => value(session.calls.settings()),
        Command::CallSet(choice) => value(session.calls.set(choice).await?),
        Command::ProcessingShow {} => value(session.processing.view()),
        Command::ProcessingSet(change) => {
            let set = session.processing.set(&session.ctx.db, change).await;
            value(set.map_err(store_failure)?)
        }
        other => Err(Failure::new(
            ErrorKind::Usage,
            format!("not available: {}", json!(other)["method"]),
        )),
    }
}
