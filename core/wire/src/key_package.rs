//! Key packages (RFC 9420 section 10) that lie at a device's home supernodes, for contacts who want to take the device into a group while
//! it is away (spec page "super"). What is in one is `chat::mls`'s business; here it is bytes.

use serde::{Deserialize, Serialize};

use crate::frame;
use crate::ids::{AccountId, DeviceId, EndpointKey};
use crate::postage::ContactsKey;

/// Bytes of one package.
pub const PACKAGE_MAX: usize = 8 * 1024;
/// Bytes of those that are left at once, all together.
pub const LEFT_BYTES_MAX: usize = 48 * 1024;
/// Packages of one device, the one of last resort not counted.
pub const PACKAGES_MAX: usize = 100;
/// Days for which a package is handed out: its other half is kept for longer.
pub const PACKAGE_DAYS: u32 = 42;

const CONTEXT: &[u8] = b"starling 1 key package asked for";

/// Packages of a device, to be kept for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Each is handed out once.
    pub fresh: Vec<Vec<u8>>,
    /// Handed out when there is no other, in place of the one before.
    pub last_resort: Option<Vec<u8>>,
}

/// Shows that whoever asks for a package is a contact of its owner's. Good for one asker at one supernode.
pub type Token = [u8; 16];

/// A question for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taking {
    /// Whose.
    pub account: AccountId,
    /// Of which of its devices.
    pub device: DeviceId,
    /// As in [`token`].
    pub token: Token,
}

impl Packages {
    /// `PACKAGE-01`: bounds that the codec does not know.
    pub fn fits(&self) -> bool {
        let all = || self.fresh.iter().chain(&self.last_resort);
        let bytes: usize = all().map(Vec::len).sum();
        let each = all().all(|one| (1..=PACKAGE_MAX).contains(&one.len()));
        each && bytes <= LEFT_BYTES_MAX
    }
}

/// The token for a device's package, by whoever knows the account's card, at this supernode, from this front door.
pub fn token(
    contacts: &ContactsKey,
    (account, device): (AccountId, DeviceId),
    (supernode, asker): (EndpointKey, EndpointKey),
) -> Token {
    let told = frame::encode_body(&(account, device, supernode, asker));
    contacts.mark(&[CONTEXT, &told].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_01_packages_have_bounds_each_and_together() {
        let of = |lengths: &[usize], last: Option<usize>| Packages {
            fresh: lengths.iter().map(|bytes| vec![1; *bytes]).collect(),
            last_resort: last.map(|bytes| vec![1; bytes]),
        };
        assert!(Packages::default().fits());
        assert!(of(&[1, PACKAGE_MAX], Some(PACKAGE_MAX)).fits());
        assert!(of(&[PACKAGE_MAX; 6], None).fits());
        assert!(!of(&[PACKAGE_MAX; 6], Some(1)).fits());
        for wrong in [0, PACKAGE_MAX + 1] {
            assert!(!of(&[wrong], None).fits() && !of(&[], Some(wrong)).fits());
        }
    }

    #[test]
    fn package_03_a_token_is_good_for_one_device_one_supernode_and_one_asker() {
        let contacts = ContactsKey([1; 32]);
        let whose = (AccountId([2; 32]), DeviceId([3; 32]));
        let [supernode, asker, other] = [4, 5, 6].map(|byte| EndpointKey([byte; 32]));
        let right = token(&contacts, whose, (supernode, asker));
        let others = [
            token(&ContactsKey([9; 32]), whose, (supernode, asker)),
            token(&contacts, (whose.0, DeviceId([9; 32])), (supernode, asker)),
            token(&contacts, (AccountId([9; 32]), whose.1), (supernode, asker)),
            token(&contacts, whose, (other, asker)),
            token(&contacts, whose, (supernode, other)),
        ];
        assert!(others.iter().all(|one| *one != right));
    }
}
