//! A registration: a device tells a supernode that the front door it asks from is its own. The connection proves the
//! front door's key; here the device's key, which the account's chain lists, signs for that front door at that supernode.
//! Without it, whoever looks a record up could show it as theirs.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::{AccountError, Chain, VerifiedAccount, sign, signed_by};
use crate::frame;
use crate::ids::{AccountId, DeviceId, EndpointKey};
use crate::postage::ContactsKey;
use crate::record::{AccountRecord, Content, RecordError, Signed, Verified};

const CONTEXT: &[u8] = b"starling 1 registration";

/// What a device shows its home supernode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The account's public record.
    pub record: Signed<AccountRecord>,
    /// The account's history up to the record's head.
    pub chain: Chain,
    /// Which of its devices asks.
    pub device: DeviceId,
    /// By which letters of contacts are told from those of strangers.
    pub contacts: ContactsKey,
    /// By the device's key over account, front door, supernode, the record's place in their order and that key.
    pub proof: ([u8; 32], [u8; 32]),
}

/// Whose front door may be registered by a [`Registration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The front door that asks.
    pub door: EndpointKey,
    /// The supernode that is asked.
    pub supernode: EndpointKey,
}

/// A registration whose record, chain and proof were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRegistration {
    record: Verified<AccountRecord>,
    account: VerifiedAccount,
    device: DeviceId,
    door: EndpointKey,
    contacts: ContactsKey,
}

/// Why a registration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Its record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its chain.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The chain is not the record's.
    #[error("the account's history is not the one that its record names")]
    OtherChain,
    /// Not a device of the account, or not signed by it for this front door at this supernode.
    #[error("no device of the account signed for this front door")]
    Proof,
}

impl Registration {
    /// Signed by the device.
    pub fn new(
        record: Signed<AccountRecord>,
        chain: Chain,
        key: &SigningKey,
        place: Place,
        contacts: ContactsKey,
    ) -> Self {
        let proof = sign(key, &signed_bytes(&record, place, &contacts));
        Self {
            record,
            chain,
            contacts,
            device: DeviceId(key.verifying_key().to_bytes()),
            proof,
        }
    }

    /// `SUPER-06`: record and chain are valid, the chain is the record's, and a device that it lists signed for this
    /// front door at this supernode. `now` is Unix seconds.
    pub fn verify(
        &self,
        place: Place,
        now: u64,
    ) -> Result<VerifiedRegistration, RegistrationError> {
        let record = self.record.verify(self.record.account(), now)?;
        // The cheapest check that a stranger's noise fails, before the chain's many signatures.
        let message = signed_bytes(&self.record, place, &self.contacts);
        if !signed_by(self.device.as_bytes(), &message, self.proof) {
            return Err(RegistrationError::Proof);
        }
        let named = (&record.record().by, record.record().head);
        if (&self.chain.speaker(), self.chain.head()) != named {
            return Err(RegistrationError::OtherChain);
        }
        let account = self.chain.verify()?;
        if !account.devices().contains_key(&self.device) {
            return Err(RegistrationError::Proof);
        }
        Ok(VerifiedRegistration {
            record,
            account,
            device: self.device,
            door: place.door,
            contacts: self.contacts,
        })
    }
}

impl VerifiedRegistration {
    /// The account's record.
    pub const fn record(&self) -> &Verified<AccountRecord> {
        &self.record
    }

    /// Whose it is.
    pub const fn account(&self) -> AccountId {
        self.account.id()
    }

    /// Every device of the account.
    pub fn devices(&self) -> impl Iterator<Item = DeviceId> {
        self.account.devices().keys().copied()
    }

    /// The device that registers.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Its front door.
    pub const fn door(&self) -> EndpointKey {
        self.door
    }

    /// By which letters of contacts are told from those of strangers.
    pub const fn contacts(&self) -> ContactsKey {
        self.contacts
    }
}

fn signed_bytes(record: &Signed<AccountRecord>, place: Place, contacts: &ContactsKey) -> Vec<u8> {
    let mut bytes = CONTEXT.to_vec();
    let fields = (
        record.account(),
        place.door,
        place.supernode,
        record.record.order(),
        contacts,
    );
    bytes.extend_from_slice(&frame::encode_body(&fields));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Change;
    use crate::limits::{CHAIN_ENTRIES_MAX, DEVICE_NAME_MAX, RECOVERIES_MAX};
    use crate::speaker::Recovery;
    use crate::supernode::{REQUEST_MAX, Request};

    const CONTACTS: ContactsKey = ContactsKey([9; 32]);
    const NOW: u64 = 1_800_000_000;
    const HERE: Place = Place {
        door: EndpointKey([7; 32]),
        supernode: EndpointKey([8; 32]),
    };

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn device(seed: u8) -> DeviceId {
        DeviceId(key(seed).verifying_key().to_bytes())
    }

    fn chain() -> Chain {
        Chain::create(&key(1), &key(2).verifying_key(), [0; 16], device(3), "desk")
    }

    fn record(chain: &Chain, sequence: u64) -> Signed<AccountRecord> {
        AccountRecord {
            by: chain.speaker(),
            head: chain.head(),
            request_key: [6; 32],
            home: vec![],
            sequence,
            expires: NOW + 100,
        }
        .sign(&key(1))
    }

    fn alice() -> Registration {
        Registration::new(record(&chain(), 1), chain(), &key(3), HERE, CONTACTS)
    }

    #[test]
    fn super_06_a_device_registers_its_own_door() {
        let verified = alice().verify(HERE, NOW).unwrap();
        assert_eq!(
            (verified.account(), verified.device(), verified.door()),
            (chain().id(), device(3), HERE.door)
        );
    }

    #[test]
    fn super_06_who_looked_a_record_up_cannot_register_with_it() {
        // Mallory has Alice's record and chain, and keys of her own.
        let forged = Registration::new(record(&chain(), 1), chain(), &key(9), HERE, CONTACTS);
        assert_eq!(forged.verify(HERE, NOW), Err(RegistrationError::Proof));
        let mut named = forged;
        named.device = device(3);
        assert_eq!(named.verify(HERE, NOW), Err(RegistrationError::Proof));
    }

    #[test]
    fn super_06_a_proof_counts_for_one_door_one_supernode_and_one_record() {
        let door = Place {
            door: EndpointKey([9; 32]),
            ..HERE
        };
        let supernode = Place {
            supernode: EndpointKey([9; 32]),
            ..HERE
        };
        for place in [door, supernode] {
            assert_eq!(alice().verify(place, NOW), Err(RegistrationError::Proof));
        }
        let mut others = alice();
        others.contacts = ContactsKey([10; 32]);
        assert_eq!(others.verify(HERE, NOW), Err(RegistrationError::Proof));
        let mut newer = alice();
        newer.record = record(&chain(), 2);
        assert_eq!(newer.verify(HERE, NOW), Err(RegistrationError::Proof));
    }

    #[test]
    fn super_06_a_removed_device_does_not_come_back_with_the_old_chain() {
        let mut longer = chain();
        for change in [
            Change::AddDevice {
                device: device(5),
                name: "phone".into(),
                owner: true,
            },
            Change::RemoveDevice { device: device(3) },
        ] {
            longer.append(&key(1), change);
        }
        let old = Registration::new(record(&longer, 2), chain(), &key(3), HERE, CONTACTS);
        assert_eq!(old.verify(HERE, NOW), Err(RegistrationError::OtherChain));
        let removed =
            Registration::new(record(&longer, 2), longer.clone(), &key(3), HERE, CONTACTS);
        assert_eq!(removed.verify(HERE, NOW), Err(RegistrationError::Proof));
        let left = Registration::new(record(&longer, 2), longer, &key(5), HERE, CONTACTS);
        assert!(left.verify(HERE, NOW).is_ok());
    }

    /// The owner has entered the 24 words; key 10 signs, device 3 is left.
    fn recovered(chain: &Chain) -> Chain {
        let mut chain = chain.clone();
        let word = Recovery::new(&key(2), chain.id(), 1, &key(10).verifying_key());
        let (device, name) = (device(3), "desk".into());
        chain.append(&key(2), Change::Recover { word, device, name });
        chain
    }

    #[test]
    fn super_06_a_record_and_its_chain_agree_who_speaks() {
        let (before, after) = (chain(), recovered(&chain()));
        let with = |by: &Chain, head: &Chain, signer: u8| {
            let mut record = record(head, 2).record;
            record.by = by.speaker();
            record.sign(&key(signer))
        };
        let good = Registration::new(
            with(&after, &after, 10),
            after.clone(),
            &key(3),
            HERE,
            CONTACTS,
        );
        assert!(good.verify(HERE, NOW).is_ok());
        // The thief signs with the old key under the new history, and the other way round.
        let stolen = Registration::new(
            with(&before, &after, 1),
            after.clone(),
            &key(3),
            HERE,
            CONTACTS,
        );
        let early = Registration::new(with(&after, &before, 10), before, &key(3), HERE, CONTACTS);
        for forged in [stolen, early] {
            let refused = forged.verify(HERE, NOW);
            assert_eq!(refused, Err(RegistrationError::OtherChain));
        }
    }

    #[test]
    fn super_06_the_longest_history_fits_a_request() {
        let mut chain = chain();
        for number in 0..CHAIN_ENTRIES_MAX as u16 - 1 {
            let number = RECOVERIES_MAX - 100 + number;
            let word = Recovery::new(&key(2), chain.id(), number, &key(1).verifying_key());
            let (device, name) = (device(3), "n".repeat(DEVICE_NAME_MAX));
            chain.append(&key(2), Change::Recover { word, device, name });
        }
        let registration = Registration::new(record(&chain, 1), chain, &key(3), HERE, CONTACTS);
        assert!(registration.verify(HERE, NOW).is_ok());
        let request = Request::Register(Box::new(registration));
        assert_eq!(request.check(), Ok(()));
        assert!(frame::encode_body(&request).len() <= REQUEST_MAX);
    }
}
