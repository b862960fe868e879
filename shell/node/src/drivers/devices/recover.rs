//! The recovery key speaks on a device that is there: another key signs from now on, and this device is the only one.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use starling_control::Failure;
use starling_wire::sync::Seed;
use starling_wire::sync::item::Item;

use super::Devices;
use super::owner::card_of;
use crate::clock::random;
use crate::context::store_failure;
use crate::identity::Identity;

impl Devices {
    /// Everybody who knew a secret of the account knows it in vain: who signs, whom letters are sealed to, how it is recognised nearby.
    pub async fn recover(
        self: &Arc<Self>,
        recovery: &SigningKey,
        number: u16,
    ) -> Result<(), Failure> {
        let mut identity = Identity::clone(&self.ctx.identity.get());
        let signing = SigningKey::from_bytes(&random());
        let device = (identity.device_id(), identity.device_name.as_str());
        let inception = &identity.chain.inception;
        identity.chain = inception.recover(recovery, number, &signing.verifying_key(), device);
        identity.signing = Some(signing);
        identity.discovery_key = random();
        let secret: [u8; 32] = random();
        identity.renew_request_secret(secret);
        let card = card_of(&self.ctx, &identity).await?;
        let (set, own) = (
            Arc::clone(&self.ctx.own_set),
            Arc::clone(&self.ctx.identity),
        );
        let kept = self.ctx.db.write(move |tx| {
            own.change(tx, |now| *now = identity)?;
            set.signed(tx, card)?;
            set.change(tx, &[Item::RequestKey(Seed(secret))])
        });
        kept.await.map_err(store_failure)?;
        self.told().await.map_err(store_failure)
    }
}
