//! What a contact shows: checked, its picture decoded under limits and written anew, then kept.

use std::sync::Arc;

use starling_store::contacts::{self, Relation};
use starling_store::{StoreError, Tx, contact_profiles};
use starling_wire::ids::AccountId;
use starling_wire::profile::{Document, Introduction, Picture, ProfileError, ProfileFrame, Shown};
use tracing::debug;

use super::Talk;
use crate::avatar::{self, AvatarError};
use crate::clock::wall_ms;
use crate::context::Context;
use crate::drivers::views;

/// Why nothing was kept.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    /// Beyond a bound, or another picture than announced.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No picture, or one that is not allowed.
    #[error(transparent)]
    Avatar(#[from] AvatarError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No answer, or another one.
    #[error("the contact did not send the picture")]
    NoPicture,
    /// The decoder failed.
    #[error("the contact's picture could not be read")]
    Decoder,
}

/// What a stranger shows with a request, its picture written anew; without it where it is none.
pub async fn introduced(introduction: Introduction) -> Introduction {
    let avatar = match introduction.avatar {
        Some(bytes) => decode(bytes).await,
        None => return introduction,
    };
    if let Err(error) = &avatar {
        debug!(%error, "a stranger's picture was refused");
    }
    Introduction {
        avatar: avatar.ok(),
        ..introduction
    }
}

async fn decode(bytes: Vec<u8>) -> Result<Vec<u8>, Unheard> {
    let decoded = tokio::task::spawn_blocking(move || avatar::from_contact(&bytes)).await;
    Ok(decoded.map_err(|_| Unheard::Decoder)??)
}

impl Unheard {
    /// A trouble that is ours or passes is no word about what was told. Clocks are set right one day, whosever is wrong.
    const fn answer(&self) -> ProfileFrame {
        match self {
            Self::Profile(ProfileError::Ahead) | Self::NoPicture | Self::Decoder => {
                ProfileFrame::Later
            }
            // Whoever is no contact any more is told nothing else.
            Self::Store(StoreError::Missing(_)) => ProfileFrame::Refused,
            Self::Store(_) => ProfileFrame::Later,
            Self::Profile(_) | Self::Avatar(_) => ProfileFrame::Refused,
        }
    }
}

/// Keeps what a contact tells, and says whether it was kept. False if it is to be told again.
pub(super) async fn hear(
    ctx: &Arc<Context>,
    account: AccountId,
    talk: &mut Talk,
    told: Document,
) -> bool {
    let answer = match keep(ctx, account, talk, told).await {
        Ok(changed) => {
            if changed {
                views::announce_contact(ctx, account).await;
            }
            ProfileFrame::Kept
        }
        Err(error) => {
            debug!(%error, "a contact's profile was not kept");
            error.answer()
        }
    };
    let _ = talk.say(&answer).await;
    answer != ProfileFrame::Later
}

/// Whether something is another than before.
async fn keep(
    ctx: &Arc<Context>,
    account: AccountId,
    talk: &mut Talk,
    told: Document,
) -> Result<bool, Unheard> {
    told.check(wall_ms())?;
    let known = ctx.db.read(move |tx| contact_profiles::get(tx, account));
    let known = known.await?;
    let (shown, wanted) = Shown::after(known.as_ref(), &told);
    if known.as_ref() == Some(&shown) {
        return Ok(false);
    }
    let picture = match wanted {
        Some(wanted) => Some((wanted.hash, fetch(talk, wanted).await?)),
        None => None,
    };
    let kept = ctx
        .db
        .write(move |tx| write(tx, account, &told, picture.as_ref()));
    Ok(kept.await?)
}

/// `PROFILE-07`: nothing of what came is kept but what it looks like.
async fn fetch(talk: &mut Talk, wanted: Picture) -> Result<Vec<u8>, Unheard> {
    let asked = talk.say(&ProfileFrame::PictureWanted).await;
    asked.ok_or(Unheard::NoPicture)?;
    let Some(ProfileFrame::Picture(bytes)) = talk.hear().await else {
        return Err(Unheard::NoPicture);
    };
    wanted.check(&bytes)?;
    decode(bytes).await
}

/// Two devices of a contact may tell at once: what is known by now counts. Nothing is kept of whoever is no contact any more.
fn write(
    tx: &Tx<'_>,
    account: AccountId,
    told: &Document,
    picture: Option<&([u8; 32], Vec<u8>)>,
) -> Result<bool, StoreError> {
    let relation = contacts::get(tx, account)?.map(|row| row.relation);
    if relation != Some(Relation::Contact) {
        return Err(StoreError::Missing("contact"));
    }
    let known = contact_profiles::get(tx, account)?;
    let (shown, _) = Shown::after(known.as_ref(), told);
    let avatar = match (&shown.avatar.value, picture) {
        (None, _) => None,
        (Some(hash), Some((fetched, bytes))) if hash == fetched => Some(bytes.clone()),
        (Some(_), _) => contact_profiles::avatar(tx, account)?,
    };
    contact_profiles::put(tx, account, &shown, avatar.as_deref())?;
    Ok(known.as_ref() != Some(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_again_and_what_is_wrong_is_not() {
        for passing in [
            Unheard::Profile(ProfileError::Ahead),
            Unheard::Store(StoreError::Full),
            Unheard::Decoder,
            Unheard::NoPicture,
        ] {
            assert_eq!(passing.answer(), ProfileFrame::Later, "{passing}");
        }
        for wrong in [
            Unheard::Profile(ProfileError::OtherPicture),
            Unheard::Avatar(AvatarError::Format),
            Unheard::Store(StoreError::Missing("contact")),
        ] {
            assert_eq!(wrong.answer(), ProfileFrame::Refused, "{wrong}");
        }
    }
}
