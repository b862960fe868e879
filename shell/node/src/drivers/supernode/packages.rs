//! Key packages of devices that are at home here, for their contacts (spec page `super.md`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use starling_protocol::machine::Time;
use starling_protocol::tokens::{Rate, Tokens};
use starling_store::{key_packages as rows, mailbox};
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::key_package::{Packages, Taking, token};
use starling_wire::supernode::{Answer, Refusal};

use super::Service;
use crate::clock::wall_s;
use crate::roles::Role;

/// Packages of one account that are used up for askers of one block of addresses.
const USED_UP: Rate = Rate {
    at_once: 20,
    every: Duration::from_secs(3600),
};
/// Pairs of account and block that are remembered; beyond it, nothing is used up.
const PAIRS_MAX: usize = 10_000;

/// Who has used up how many.
#[derive(Debug, Default)]
pub(super) struct Takers(Mutex<BTreeMap<(AccountId, Option<IpAddr>), Tokens>>);

impl Takers {
    /// `PACKAGE-04`: whether one more may be used up.
    fn may_use_up(&self, account: AccountId, block: Option<IpAddr>, now: Time) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (account, block);
        if !taken.contains_key(&pair) {
            // Who is as if nothing had been taken need not be remembered.
            if taken.len() >= PAIRS_MAX {
                taken.retain(|_, tokens| !tokens.is_full(USED_UP, now));
            }
            if taken.len() >= PAIRS_MAX {
                return false;
            }
        }
        let tokens = taken.entry(pair).or_insert(Tokens::full(USED_UP, now));
        tokens.take(USED_UP, now)
    }
}

impl Service {
    /// `PACKAGE-02`: a registered device leaves packages, where letters are kept, too; on disk before the answer.
    pub(super) async fn leave_packages(
        &self,
        asker: EndpointKey,
        packages: Packages,
    ) -> Result<Answer, Refusal> {
        let whose = self.stored(move |tx| rows::device_of(tx, asker)).await?;
        let whose = whose.ok_or(Refusal::NotRegistered)?;
        if !self.carrier.is_on(Role::Mailbox) {
            return Err(Refusal::NoMailbox);
        }
        let all = packages.fresh.iter().chain(&packages.last_resort);
        let bytes: usize = all.map(Vec::len).sum();
        if bytes > 0 && !self.carrier.letter(bytes as u64) {
            return Err(Refusal::Full);
        }
        self.carrier.meter().letter_received(bytes as u64);
        let kept = self.stored(move |tx| rows::keep(tx, whose, &packages, wall_s()));
        let fresh = u32::try_from(kept.await?).unwrap_or(u32::MAX);
        Ok(Answer::PackagesKept { fresh })
    }

    /// `PACKAGE-03`: a contact is given one; what is used up is gone from disk before the answer.
    pub(super) async fn take_package(
        &self,
        asker: EndpointKey,
        taking: Taking,
    ) -> Result<Answer, Refusal> {
        let Taking {
            account,
            device,
            token: shown,
        } = taking;
        let key = self.db.read(move |tx| mailbox::contacts_key(tx, account));
        let key = key.await.map_err(|_| Refusal::Full)?;
        let places = (self.own.id, asker);
        let is_contact = key.is_some_and(|key| token(&key, (account, device), places) == shown);
        if !is_contact {
            return Err(Refusal::NotContact);
        }
        let block = self.relay.block_of(asker);
        let may_use_up = self.takers.may_use_up(account, block, self.clock.now());
        let taken = self.stored(move |tx| rows::take(tx, (account, device), may_use_up, wall_s()));
        let package = taken.await?;
        let bytes = package.as_ref().map_or(0, Vec::len);
        self.carrier.meter().letter_sent(bytes as u64);
        Ok(Answer::Package(package))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_04_nobody_uses_up_all_and_others_are_not_held_back() {
        let takers = Takers::default();
        let [alice, bob] = [1, 2].map(|byte| AccountId([byte; 32]));
        let block = |byte| Some(IpAddr::from([192, 0, 2, byte]));
        let second = Duration::from_secs;
        let taken = (0..100).filter(|_| takers.may_use_up(alice, block(1), second(0)));
        assert_eq!(taken.count(), 20);
        assert!(takers.may_use_up(alice, block(2), second(0)));
        assert!(takers.may_use_up(bob, block(1), second(0)));
        assert!(takers.may_use_up(alice, block(1), second(3600)));
        assert!(!takers.may_use_up(alice, block(1), second(3601)));
    }
}
