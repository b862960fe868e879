//! The mailbox holder beside this supernode: who is told of holders, who is granted a box, whose grants count here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use starling_protocol::machine::Time;
use starling_protocol::mailbox::holder::Caps;
use starling_protocol::tokens::{Rate, Tokens};
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::log::grant::{GRANT_DAYS, SignedGrant};
use starling_wire::supernode::{Answer, Refusal, SUPERNODES_TOLD};

use super::overlay::Overlay;
use super::{Service, Supernode};
use crate::clock::random;
use crate::drivers::holder::{MailboxHolder, Shown, today};

/// Boxes that one account is granted: a generation of a conversation needs one.
const GRANTS: Rate = Rate {
    at_once: 200,
    every: Duration::from_secs(600),
};
/// How often it is looked whether there are other supernodes.
const LOOK: Duration = Duration::from_secs(2);

/// Grants boxes to accounts that are registered here.
#[derive(Debug)]
pub(super) struct Grants {
    key: SigningKey,
    given: Mutex<BTreeMap<AccountId, Tokens>>,
}

impl Grants {
    /// Signed by the supernode.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
            given: Mutex::default(),
        }
    }

    /// `BOX-27`: a few at once, then one in ten minutes.
    fn give(&self, account: AccountId, now: Time) -> Option<SignedGrant> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        // Who is as if nothing had been given need not be remembered.
        if !given.contains_key(&account) {
            given.retain(|_, tokens| !tokens.is_full(GRANTS, now));
        }
        let tokens = given.entry(account).or_insert(Tokens::full(GRANTS, now));
        let may = tokens.take(GRANTS, now);
        may.then(|| SignedGrant::new(random(), today() + GRANT_DAYS, &self.key))
    }
}

impl Service {
    /// Where boxes can be opened.
    pub(super) fn some_holders(&self) -> Answer {
        let among = self.among();
        let holders = among.map(|among| among.overlay.holders(SUPERNODES_TOLD));
        Answer::Supernodes(holders.unwrap_or_default())
    }

    /// `BOX-27`: whoever is registered here may open boxes at the network's holders.
    pub(super) async fn grant_box(&self, asker: EndpointKey) -> Result<Answer, Refusal> {
        let account = self.account_of(asker).await?;
        let grant = self.grants.give(account, self.clock.now());
        grant.map(Answer::BoxGranted).ok_or(Refusal::TooSoon)
    }
}

impl Supernode {
    /// What is kept in conversations' boxes here.
    pub fn holding(&self) -> Shown {
        self.service.holder.shown()
    }

    /// So much is kept at most, from now on.
    pub async fn set_holding(&self, caps: Caps) {
        self.service.holder.set_caps(caps).await;
    }
}

/// `BOX-04`: the network's supernodes may grant boxes here.
pub(super) async fn tell_issuers(overlay: Overlay, holder: MailboxHolder) {
    let mut told = BTreeSet::new();
    loop {
        let keys: BTreeSet<EndpointKey> = overlay.keys().into_iter().collect();
        if keys != told {
            holder.set_issuers(keys.clone()).await;
            told = keys;
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_27_an_account_is_granted_so_many_boxes_and_others_are_not_held_back() {
        let grants = Grants::new(&[1; 32]);
        let [alice, bob, carol] = [1, 2, 3].map(|byte| AccountId([byte; 32]));
        let second = Duration::from_secs;
        let given = (0..1_000).filter(|_| grants.give(alice, second(0)).is_some());
        assert_eq!(given.count(), 200);
        assert!(grants.give(bob, second(0)).is_some());
        assert!(grants.give(alice, second(599)).is_none());
        let later = grants.give(alice, second(601)).expect("one more");
        let own = EndpointKey(grants.key.verifying_key().to_bytes());
        assert!(later.verify(today(), |issuer| issuer == own).is_ok());
        // Nobody is remembered for ever.
        grants.give(carol, second(1_000_000));
        assert_eq!(grants.given.lock().expect("whole").len(), 1);
    }
}
