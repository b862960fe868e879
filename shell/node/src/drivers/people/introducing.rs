//! Contact requests as they go out: with what members of the network may see of us.

use starling_control::{ErrorKind, Failure};
use starling_store::letters::Sealed;
use starling_wire::envelope::{EnvelopeError, Letter};
use starling_wire::ids::AccountId;
use starling_wire::postage::LetterKeys;

use super::People;
use crate::context::store_failure;
use crate::drivers::letters::{next_sequence, seal};

impl People {
    /// `PROFILE-14`: a sealed request that shows what strangers may see.
    pub(super) async fn introduce(
        &self,
        account: AccountId,
        keys: &LetterKeys,
        message: &str,
    ) -> Result<Sealed, Failure> {
        let ctx = &self.ctx;
        self.may_be_named()?;
        let mut introduction = ctx.own_presence.profiles.introduction(ctx);
        loop {
            let letter = Letter::Request {
                text: message.to_owned(),
                introduction: Box::new(introduction.clone()),
            };
            let sequence = next_sequence(ctx).await.map_err(store_failure)?;
            match seal(ctx, sequence, account, keys, letter) {
                // An account with a long history leaves no room for a picture.
                Err(EnvelopeError::TooLarge) if introduction.avatar.take().is_some() => {}
                sealed => {
                    return sealed
                        .map_err(|error| Failure::new(ErrorKind::Usage, error.to_string()));
                }
            }
        }
    }

    /// Only whoever signs for the account can make a card without its name.
    fn may_be_named(&self) -> Result<(), Failure> {
        let hides = self.ctx.own_presence.profiles.hides_name_from_strangers();
        if !hides || self.ctx.identity.get().can_sign() {
            return Ok(());
        }
        let sentence = "your name is for contacts only, and a request from this device would show it; ask from one of your devices \
            that holds the account's key, or let everybody you ask see the name";
        Err(Failure::new(ErrorKind::State, sentence))
    }
}
