//! Commands about presence and profile: one's own, and a contact's.

use serde_json::Value;
use starling_control::{Command, Failure};

use super::commands::{value, with_a_contact};
use crate::drivers::{profiles, views};
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
        Command::ProfileShow {} => value(session.ctx.own_presence.profiles.view(&session.ctx)),
        Command::ProfileSet(change) => {
            value(profiles::show(&session.ctx, &session.people, change).await?)
        }
        Command::ProfileAvatar { who } => {
            value(profiles::avatar(&session.ctx, who.as_deref()).await?)
        }
        other => with_a_contact(session, other).await,
    }
}
