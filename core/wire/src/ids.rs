//! Identifiers. Each is a fixed number of bytes, written as lower-case base32 (RFC 4648, no padding) wherever people or
//! files see it. Two kinds never mix: an account is not a device, a device is not an endpoint.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, DecodeError};
use serde::{Deserialize, Serialize};

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not base32.
    #[error("an id holds only the letters a to z and the digits 2 to 7")]
    Alphabet,
    /// Wrong number of bytes.
    #[error("this id has the wrong length; copy it again, whole")]
    Length,
}

impl From<DecodeError> for IdError {
    fn from(_: DecodeError) -> Self {
        Self::Alphabet
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The id's bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first eight characters: for lists and logs, never for decisions.
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if text.len() != BASE32_NOPAD.encode_len($len) {
                    return Err(IdError::Length);
                }
                let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes())?;
                Ok(Self(bytes.try_into().map_err(|_| IdError::Length)?))
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }
    };
}

id!(/// A person: the hash of an account's inception record. Never changes.
    AccountId, 32);
id!(/// One installation: its Ed25519 public key, listed in the account's chain.
    DeviceId, 32);
id!(/// A transport endpoint (front door, inner endpoint or supernode): its Ed25519 public key.
    EndpointKey, 32);
id!(/// A network: the public key of its owner.
    NetworkId, 32);
id!(/// One call, chosen by the caller, kept when the call is resumed.
    CallId, 16);
id!(/// One room at a focus, chosen by chance there: who knows it may enter.
    RoomId, 16);
id!(/// One chat message, chosen by its author.
    MessageId, 16);
id!(/// One conversation: an MLS group, chosen by whoever makes it.
    GroupId, 32);
id!(/// One file transfer, chosen by the sender.
    TransferId, 16);
id!(/// One sealed envelope: the start of the BLAKE3 hash of its bytes.
    EnvelopeId, 16);
id!(/// One box at a mailbox holder, random: it says nothing about whose it is.
    MailboxId, 32);
id!(/// An epoch of a group, as holders see it: it reveals nothing, and two branches of a group have different ones.
    EpochTag, 16);
id!(/// One entry of a conversation's log: the hash of what it says, the same at every holder.
    EntryId, 32);
id!(/// By which one account watches one front door of another. Nobody but the two can tell whose it is.
    SubscriptionId, 16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_form_round_trips(bytes: [u8; 32]) {
            let id = AccountId(bytes);
            prop_assert_eq!(id.to_string().parse::<AccountId>().unwrap(), id);
            prop_assert_eq!(id.to_string().to_uppercase().parse::<AccountId>().unwrap(), id);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            let _ = text.parse::<CallId>();
        }
    }

    #[test]
    fn a_damaged_id_is_refused() {
        let id = AccountId([7; 32]).to_string();
        assert_eq!(id[1..].parse::<AccountId>(), Err(IdError::Length));
        assert_eq!(
            id.replacen('a', "1", 1).parse::<AccountId>(),
            Err(IdError::Alphabet)
        );
    }
}
