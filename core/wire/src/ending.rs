//! The end of an account, as its supernodes are shown it: the history with its last entry, and a record without a home whose number
//! no other one reaches. So nothing that a stolen device publishes afterwards counts; only the recovery key brings the account
//! back.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::Chain;
use crate::limits::{RECORD_TTL_S, SEQUENCE_MAX};
use crate::record::{AccountRecord, Content, Signed, Verified};
use crate::registration::RegistrationError;

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The last record.
    pub record: Signed<AccountRecord>,
    /// The whole history, with the end.
    pub chain: Chain,
}

/// Why an end was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndingError {
    /// Its record or chain.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The account goes on.
    #[error("the account is said to have ended, and its history or record goes on")]
    GoesOn,
}

impl Ending {
    /// Of a history that has ended, signed by its key. `now` is Unix seconds.
    pub fn new(chain: Chain, signing: &SigningKey, now: u64) -> Self {
        let record = AccountRecord {
            by: chain.speaker(),
            head: chain.head(),
            request_key: [0; 32],
            home: Vec::new(),
            sequence: SEQUENCE_MAX,
            expires: now + RECORD_TTL_S,
        };
        Self {
            record: record.sign(signing),
            chain,
        }
    }

    /// `ENDING-01`: record and history are valid and belong together; `ENDING-02`: both say that it is over. `now` is Unix seconds.
    pub fn verify(&self, now: u64) -> Result<Verified<AccountRecord>, EndingError> {
        let record = self.record.verify(self.record.account(), now);
        let record = record.map_err(RegistrationError::from)?;
        let said = record.record();
        if (&self.chain.speaker(), self.chain.head()) != (&said.by, said.head) {
            return Err(RegistrationError::OtherChain.into());
        }
        let account = self.chain.verify().map_err(RegistrationError::from)?;
        let last = said.sequence == SEQUENCE_MAX && said.home.is_empty();
        if !account.is_deleted() || !last {
            return Err(EndingError::GoesOn);
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Change, Founding};
    use crate::ids::DeviceId;

    const NOW: u64 = 1_800_000_000;

    fn device(seed: u8) -> DeviceId {
        let key = SigningKey::from_bytes(&[seed; 32]);
        DeviceId(key.verifying_key().to_bytes())
    }

    fn ended() -> (Founding, Chain) {
        let founding = Founding::new(&[1; 32]);
        let mut chain = founding.found(device(3), "desk");
        chain.append(&founding.signing, Change::Delete);
        (founding, chain)
    }

    #[test]
    fn ending_01_an_end_is_signed_by_the_account_and_is_one_with_its_record() {
        let (founding, chain) = ended();
        let ending = Ending::new(chain.clone(), &founding.signing, NOW);
        assert!(ending.verify(NOW).is_ok());
        assert!(ending.verify(NOW + 2 * RECORD_TTL_S).is_err());
        let forged = Ending::new(chain, &SigningKey::from_bytes(&[9; 32]), NOW);
        assert!(forged.verify(NOW).is_err());
        let other = Ending {
            chain: founding.found(device(3), "desk"),
            ..ending
        };
        let refused = Err(RegistrationError::OtherChain.into());
        assert_eq!(other.verify(NOW), refused);
    }

    #[test]
    fn ending_02_an_account_that_goes_on_has_not_ended() {
        let founding = Founding::new(&[1; 32]);
        let chain = founding.found(device(3), "desk");
        let early = Ending::new(chain, &founding.signing, NOW);
        assert_eq!(early.verify(NOW), Err(EndingError::GoesOn));
        let (founding, chain) = ended();
        let mut low = Ending::new(chain, &founding.signing, NOW);
        low.record = AccountRecord {
            sequence: 7,
            ..low.record.record
        }
        .sign(&founding.signing);
        assert_eq!(low.verify(NOW), Err(EndingError::GoesOn));
    }
}
