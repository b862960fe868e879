//! The keys of a conversation's boxes, and the boxes' ids. All follow from a secret that the members of one generation have in common, so
//! whoever was removed knows neither the next boxes nor their keys.
//!
//! A box's id is a hash of everything that its holder has to believe of it: its keys, who the other holders are, the first slot.
//! Nobody can open it with something else.

use std::fmt;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::{EndpointKey, EpochTag, MailboxId};
use crate::ordering::{Holders, HoldersError, Seat};

const DEPOSIT_CONTEXT: &str = "starling 1 log deposit key";
const READ_CONTEXT: &str = "starling 1 log read key";
const ID_CONTEXT: &str = "starling 1 log box";
const CHECK_CONTEXT: &str = "starling 1 log generation check";
const PROOF_CONTEXT: &[u8] = b"starling 1 log entrance";

/// What the members of one generation know of their boxes. A generation begins with the removal of a member or a change of holders.
#[derive(Clone)]
pub struct Generation {
    /// Its number.
    pub number: u32,
    /// RFC 9420's exporter of the generation's first epoch with the label `starling log`, 32 bytes.
    pub secret: Zeroizing<[u8; 32]>,
    /// The tag of that epoch: its commit is the first one that the boxes decide.
    pub first: EpochTag,
    /// At most three, each once.
    pub holders: Vec<EndpointKey>,
}

/// The keys of one box.
#[derive(Debug, Clone)]
pub struct BoxKeys {
    /// Signs what is left there.
    pub deposit: SigningKey,
    /// Lets its owner read.
    pub read: SigningKey,
}

/// What a holder may know of a box's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublicBox {
    /// Where the box is.
    pub holder: EndpointKey,
    /// Whose signature entries have.
    pub deposit: [u8; 32],
    /// Who may read.
    pub read: [u8; 32],
}

/// The boxes of one generation, as their holders know them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Plan {
    /// Of which generation.
    pub generation: u32,
    /// The tag of its first epoch.
    pub first: EpochTag,
    /// At most three, each holder once.
    pub boxes: Vec<PublicBox>,
}

/// What a key of a box allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// Reading.
    Read,
    /// Leaving entries, and everything about slots.
    Deposit,
}

/// The two ends of a connection, each proved in its handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The holder.
    pub holder: EndpointKey,
    /// Whoever asks it: a key that is used for one box only.
    pub asker: EndpointKey,
}

impl Generation {
    /// With its secret, which goes nowhere else.
    pub fn new(number: u32, secret: [u8; 32], first: EpochTag, holders: Vec<EndpointKey>) -> Self {
        Self {
            number,
            secret: Zeroizing::new(secret),
            first,
            holders,
        }
    }

    /// The keys of the box at a holder.
    pub fn keys(&self, holder: EndpointKey) -> BoxKeys {
        let key = |context| {
            let material = Zeroizing::new([*self.secret, holder.0].concat());
            SigningKey::from_bytes(&Zeroizing::new(blake3::derive_key(context, &material)))
        };
        BoxKeys {
            deposit: key(DEPOSIT_CONTEXT),
            read: key(READ_CONTEXT),
        }
    }

    /// `BOX-26`: what the group's record says of the generation once somebody was taken in. Whoever is told the secret and the
    /// first epoch's tag compares it.
    pub fn check(&self) -> [u8; 32] {
        let material = Zeroizing::new([&self.secret[..], &self.first.0].concat());
        blake3::derive_key(CHECK_CONTEXT, &material)
    }

    /// What holders may know.
    pub fn plan(&self) -> Plan {
        let public = |holder: &EndpointKey| {
            let keys = self.keys(*holder);
            PublicBox {
                holder: *holder,
                deposit: keys.deposit.verifying_key().to_bytes(),
                read: keys.read.verifying_key().to_bytes(),
            }
        };
        Plan {
            generation: self.number,
            first: self.first,
            boxes: self.holders.iter().map(public).collect(),
        }
    }
}

impl Plan {
    /// Bounds that the codec does not know (`BOX-01`).
    pub fn check(&self) -> Result<(), HoldersError> {
        self.holders().check()
    }

    /// `BOX-01`: the id of the box at a holder.
    pub fn mailbox(&self, holder: EndpointKey) -> MailboxId {
        let told = frame::encode_body(&(self, holder));
        MailboxId(blake3::derive_key(ID_CONTEXT, &told))
    }

    /// What is known of the box at a holder.
    pub fn at(&self, holder: EndpointKey) -> Option<&PublicBox> {
        self.boxes.iter().find(|one| one.holder == holder)
    }

    /// Who decides the generation's slots.
    pub fn holders(&self) -> Holders {
        let seat = |one: &PublicBox| Seat {
            holder: one.holder,
            mailbox: self.mailbox(one.holder),
        };
        Holders {
            generation: self.generation,
            seats: self.boxes.iter().map(seat).collect(),
        }
    }
}

impl BoxKeys {
    /// The key of a side.
    pub const fn of(&self, side: Side) -> &SigningKey {
        match side {
            Side::Read => &self.read,
            Side::Deposit => &self.deposit,
        }
    }
}

impl Side {
    /// Shows at one connection that one has the side's key. Both ends prove theirs in the handshake, so it is good for nobody else.
    pub fn prove(self, key: &SigningKey, mailbox: MailboxId, ends: Ends) -> ([u8; 32], [u8; 32]) {
        sign(key, &self.proof_bytes(mailbox, ends))
    }

    /// `BOX-05`: whether the proof is right.
    pub fn is_proved(
        self,
        keys: &PublicBox,
        mailbox: MailboxId,
        ends: Ends,
        proof: ([u8; 32], [u8; 32]),
    ) -> bool {
        let key = match self {
            Self::Read => &keys.read,
            Self::Deposit => &keys.deposit,
        };
        signed_by(key, &self.proof_bytes(mailbox, ends), proof)
    }

    fn proof_bytes(self, mailbox: MailboxId, ends: Ends) -> Vec<u8> {
        let told = (self, mailbox, ends.holder, ends.asker);
        [PROOF_CONTEXT, &frame::encode_body(&told)].concat()
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("number", &self.number)
            .field("holders", &self.holders)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(secret: u8) -> Generation {
        Generation {
            number: 2,
            secret: Zeroizing::new([secret; 32]),
            first: EpochTag([4; 16]),
            holders: [1, 2, 3].map(|n| EndpointKey([n; 32])).to_vec(),
        }
    }

    #[test]
    fn box_26_a_check_is_of_the_secret_and_the_first_epoch() {
        let check = generation(1).check();
        assert_eq!(check, generation(1).check());
        assert_ne!(check, generation(2).check());
        let first = EpochTag([5; 16]);
        assert_ne!(
            check,
            Generation {
                first,
                ..generation(1)
            }
            .check()
        );
        assert_ne!(check, *generation(1).secret);
    }

    #[test]
    fn box_01_an_id_says_everything_about_its_box() {
        let plan = generation(1).plan();
        let first = plan.boxes[0].holder;
        let id = plan.mailbox(first);
        assert_eq!(id, generation(1).plan().mailbox(first), "all members agree");
        assert_ne!(id, plan.mailbox(plan.boxes[1].holder));
        assert_ne!(id, generation(2).plan().mailbox(first));
        let changes: [fn(&mut Plan); 5] = [
            |plan| plan.generation = 3,
            |plan| plan.first = EpochTag([5; 16]),
            |plan| plan.boxes[0].deposit[0] ^= 1,
            |plan| plan.boxes[1].read[0] ^= 1,
            |plan| plan.boxes[2].holder = EndpointKey([9; 32]),
        ];
        for change in changes {
            let mut other = plan.clone();
            change(&mut other);
            assert_ne!(id, other.mailbox(first));
        }
        let mut twice = plan.clone();
        twice.boxes[1] = twice.boxes[0];
        assert_eq!(twice.check(), Err(HoldersError::Twice));
        twice.boxes = vec![twice.boxes[0]; 4];
        assert_eq!(twice.check(), Err(HoldersError::TooMany));
        assert_eq!(plan.check(), Ok(()));
    }

    #[test]
    fn keys_differ_by_holder_and_side_and_are_not_shown() {
        let generation = generation(1);
        let plan = generation.plan();
        let mut all: Vec<_> = plan
            .boxes
            .iter()
            .flat_map(|b| [b.deposit, b.read])
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
        assert!(!format!("{generation:?}").contains("secret"));
    }

    #[test]
    fn box_05_a_proof_is_good_for_one_side_of_one_box_between_two_ends() {
        let (generation, ends) = (
            generation(1),
            Ends {
                holder: EndpointKey([1; 32]),
                asker: EndpointKey([8; 32]),
            },
        );
        let plan = generation.plan();
        let (keys, public) = (generation.keys(ends.holder), &plan.boxes[0]);
        let mailbox = plan.mailbox(ends.holder);
        let proof = Side::Read.prove(keys.of(Side::Read), mailbox, ends);
        assert!(Side::Read.is_proved(public, mailbox, ends, proof));
        assert!(!Side::Deposit.is_proved(public, mailbox, ends, proof));
        let another = Ends {
            asker: EndpointKey([9; 32]),
            ..ends
        };
        assert!(!Side::Read.is_proved(public, mailbox, another, proof));
        assert!(!Side::Read.is_proved(public, MailboxId([0; 32]), ends, proof));
        let crossed = Side::Read.prove(keys.of(Side::Deposit), mailbox, ends);
        assert!(!Side::Read.is_proved(public, mailbox, ends, crossed));
    }
}
