//! Profiles (spec page `profile.md`): what the own person shows ([`own`]), telling contacts of it ([`telling`]), and what contacts
//! show ([`hearing`]). They talk over the link protocol, front door to front door.

mod hearing;
mod own;
mod telling;

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use starling_control::{ErrorKind, Failure, view};
use starling_store::{contact_profiles, introductions, requests};
use starling_wire::ids::AccountId;
use starling_wire::permissions::Permission;
use starling_wire::profile::{PROFILE_FRAME_MAX, Part, ProfileFrame};
use tracing::debug;

pub use self::hearing::introduced;
pub use self::own::{Profiles, hides_name, kept, note, restored, saved, show, without_picture};
pub use self::telling::run;
use super::views;
use crate::context::{Context, store_failure};
use crate::transport::endpoint::endpoint_key;
use crate::transport::stream;

/// One exchange, picture included.
const EXCHANGE_TIME: Duration = Duration::from_secs(15);
/// All pictures are written so.
const MEDIA_TYPE: &str = "image/jpeg";

/// Both directions of one stream.
struct Talk {
    send: SendStream,
    receive: RecvStream,
}

impl Talk {
    async fn say(&mut self, frame: &ProfileFrame) -> Option<()> {
        stream::write(&mut self.send, frame).await.ok()
    }

    async fn hear(&mut self) -> Option<ProfileFrame> {
        stream::read(&mut self.receive, PROFILE_FRAME_MAX)
            .await
            .ok()
            .flatten()
    }
}

/// Answers a contact who began a stream about profiles.
pub async fn answer(
    ctx: &Arc<Context>,
    account: AccountId,
    connection: &Connection,
    (send, receive): (SendStream, RecvStream),
) {
    // PROFILE-11: of one contact some at once, then one after the other. Who may not see whether we are there hears nothing.
    if !ctx.abouts.allows(account, Permission::Presence)
        || !ctx.own_presence.profiles.may_ask(account)
    {
        debug!(
            reason = "too often or not permitted",
            "did not talk about profiles"
        );
        connection.close(1u32.into(), b"busy");
        return;
    }
    let exchange = converse(ctx, account, connection, Talk { send, receive });
    let done = tokio::time::timeout(EXCHANGE_TIME, exchange).await;
    if !matches!(done, Ok(Some(()))) {
        debug!("a contact's word about profiles was not understood");
        connection.close(1u32.into(), b"not understood");
    }
}

async fn converse(
    ctx: &Arc<Context>,
    account: AccountId,
    connection: &Connection,
    mut talk: Talk,
) -> Option<()> {
    let door = endpoint_key(connection.remote_id());
    match talk.hear().await? {
        ProfileFrame::Ask => telling::say(ctx, (account, door), &mut talk).await?,
        ProfileFrame::Tell(told) => {
            hearing::hear(ctx, account, &mut talk, told).await;
        }
        _ => return None,
    }
    talk.send.finish().ok()?;
    // The other side closes.
    connection.closed().await;
    Some(())
}

/// The own picture, or a contact's.
pub async fn avatar(ctx: &Arc<Context>, who: Option<&str>) -> Result<view::Avatar, Failure> {
    let found = match who {
        None => {
            let own = ctx.own_presence.profiles.part(Part::Avatar).value;
            own.map(|bytes| (*blake3::hash(&bytes).as_bytes(), bytes))
        }
        Some(who) => shown_by(ctx, who).await?,
    };
    let none = || Failure::new(ErrorKind::NotFound, "there is no picture");
    let (hash, bytes) = found.ok_or_else(none)?;
    Ok(view::Avatar {
        avatar: label(&hash),
        media_type: MEDIA_TYPE.to_owned(),
        data: data_encoding::BASE64.encode(&bytes),
    })
}

/// The picture of a contact, or of somebody who asks to be one, and its hash as it was sent or is.
async fn shown_by(ctx: &Arc<Context>, who: &str) -> Result<Option<([u8; 32], Vec<u8>)>, Failure> {
    let found = views::find(ctx, who).await;
    let asks = who.to_owned();
    let read = ctx.db.read(move |tx| {
        let Ok(account) = found else {
            let Some(request) = requests::find(tx, &asks)?.pop() else {
                return Ok(Err(found));
            };
            let shown = introductions::get(tx, request.account)?;
            let bytes = shown.and_then(|shown| shown.avatar);
            return Ok(Ok(
                bytes.map(|bytes| (*blake3::hash(&bytes).as_bytes(), bytes))
            ));
        };
        let shown = contact_profiles::get(tx, account)?;
        let hash = shown.and_then(|shown| shown.avatar.value);
        Ok(Ok(hash.zip(contact_profiles::avatar(tx, account)?)))
    });
    match read.await.map_err(store_failure)? {
        Ok(shown) => Ok(shown),
        Err(nobody) => nobody.map(|_| None),
    }
}

/// Stands for a picture in a view.
pub fn label(hash: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(&hash[..8])
}
