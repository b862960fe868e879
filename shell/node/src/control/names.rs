//! Commands about unique names: of whoever has one, of whoever looks for people, and of a network's registrar.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use serde_json::Value;
use starling_control::command::NameWish;
use starling_control::{Command, ErrorKind, Failure};
use starling_wire::ids::AccountId;
use starling_wire::link;

use super::commands::value;
use super::contacts;
use crate::context::store_failure;
use crate::drivers::name_office::Start;
use crate::drivers::views;
use crate::node::App;
use crate::session::Session;

/// Does what is asked, if it is about names.
pub(super) async fn carry_out(
    app: &Arc<App>,
    session: &Session,
    command: Command,
) -> Result<Value, Failure> {
    let (names, office) = (&session.names, session.names.office());
    match command {
        Command::NameClaim {
            name,
            invitation,
            findable,
        } => value(names.claim(&name, invitation, findable).await?),
        Command::NameShow {} => value(names.list().await?),
        Command::NameRelease { name } => value(names.release(&name).await?),
        Command::NameRenew { name } => value(names.renew(&name).await?),
        Command::NameVerify { name } => value(names.verify(&name).await?),
        Command::Search { text } => value(names.search(&text).await?),
        Command::RegistrarStart {
            admission,
            names_per_account,
            take_over,
        } => {
            let start = Start {
                admission: admission.as_deref().map(admission_code).transpose()?,
                names_per_account,
                take_over,
            };
            let joined = app.joined().await.map_err(store_failure)?;
            let owner = joined.and_then(|joined| Some((joined.network?, joined.owner?)));
            let Some((network, seed)) = owner else {
                let sentence = "only the owner of a network makes a machine its registrar; this profile has no owner's key";
                return Err(Failure::new(ErrorKind::State, sentence));
            };
            let owner = SigningKey::from_bytes(&seed);
            value(office.start(network, &owner, start).await?)
        }
        Command::RegistrarStop {} => value(office.stop().await?),
        Command::RegistrarShow {} => value(office.show().await?),
        Command::RegistrarInvite { count } => value(office.invite(count).await?),
        Command::RegistrarAccept(NameWish { name, account }) => value(
            office
                .answer_by_hand(&name, account.as_deref(), true)
                .await?,
        ),
        Command::RegistrarDecline(NameWish { name, account }) => value(
            office
                .answer_by_hand(&name, account.as_deref(), false)
                .await?,
        ),
        other => contacts::carry_out(session, other).await,
    }
}

/// A link as it is; a unique name becomes the link of whoever has it.
pub(super) async fn link_of(session: &Session, text: &str) -> Result<String, Failure> {
    if text
        .get(..link::SCHEME.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(link::SCHEME))
    {
        return Ok(text.to_owned());
    }
    session.names.link_to(text).await
}

/// The contact that WHO means: as the list calls them, or by their unique name.
pub(super) async fn find(session: &Session, who: &str) -> Result<AccountId, Failure> {
    match views::find(&session.ctx, who).await {
        Err(failure) if failure.data.kind == ErrorKind::NotFound => {
            match session.names.resolve(who).await {
                Ok(account) if session.ctx.book.person(account).is_some() => Ok(account),
                _ => Err(failure),
            }
        }
        other => other,
    }
}

fn admission_code(word: &str) -> Result<u8, Failure> {
    match word {
        "open" => Ok(0),
        "invitation" => Ok(1),
        "by hand" => Ok(2),
        _ => Err(Failure::new(
            ErrorKind::Usage,
            format!("\"{word}\" is none of: open, invitation, by hand"),
        )),
    }
}
