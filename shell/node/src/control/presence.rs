//! Commands about presence: one's own, and a contact's.

use serde_json::Value;
use starling_control::{Command, Failure};

use super::commands::{value, with_a_contact};
use crate::drivers::views;
use crate::session::Session;

/// Does what is asked.
pub(super) async fn carry_out(session: &Session, command: Command) -> Result<Value, Failure> {
    let own = &session.ctx.own_presence;
    match command {
        Command::PresenceSet(change) => value(own.set(&session.ctx, change).await?),
        Command::PresenceShow {} => value(own.view()),
        Command::PresenceOf { who } => {
            let account = views::find(&session.ctx, &who).await?;
            value(views::contact(&session.ctx, account).await?)
        }
        // That it was asked is all there is to it.
        Command::PresenceActive {} => Ok(Value::Null),
        other => with_a_contact(session, other).await,
    }
}
