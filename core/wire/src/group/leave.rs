//! A device's signed wish to be taken out of a group. Nobody can remove himself from an MLS group, and not everybody may remove
//! others: whoever takes somebody out at his wish shows it in the commit, where all members can look at it.
//!
//! A wish counts in the generation of the group's log in which it was said. A generation ends with a removal, so nobody who
//! was taken in again is taken out by an old one.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::account::{sign, signed_by};
use crate::credential::Member;
use crate::frame;
use crate::ids::{AccountId, DeviceId, GroupId};

/// Wishes that one commit shows.
pub const LEAVES_SHOWN_MAX: usize = 64;
/// All of them, in bytes: each has at most 134.
const LIST_MAX: usize = 1 + LEAVES_SHOWN_MAX * 134;
const CONTEXT: &[u8] = b"starling 1 group leave";

/// What a device says of itself in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wish {
    /// The whole account, or only the device that says so.
    pub all_devices: bool,
    /// The number of the generation in which it is said.
    pub generation: u32,
    /// Ed25519 by the device's key over context, group, account, device and the fields above.
    pub signature: ([u8; 32], [u8; 32]),
}

/// The same beside the name of whoever said it, as a commit shows it. Its signature has not been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leave {
    /// Whose device.
    pub account: AccountId,
    /// Which.
    pub device: DeviceId,
    /// What it said.
    pub wish: Wish,
}

impl Leave {
    /// Signed by the device that wants to leave.
    pub fn new(
        (group, generation): (GroupId, u32),
        member: Member,
        all_devices: bool,
        key: &SigningKey,
    ) -> Self {
        let (account, device) = (member.account, member.device);
        let mut leave = Self {
            account,
            device,
            wish: Wish {
                all_devices,
                generation,
                signature: ([0; 32], [0; 32]),
            },
        };
        leave.wish.signature = sign(key, &leave.signed_bytes(group));
        leave
    }

    /// `MLS-18`: whether the device said so, of this group.
    pub fn is_signed(&self, group: GroupId) -> bool {
        let message = self.signed_bytes(group);
        signed_by(&self.device.0, &message, self.wish.signature)
    }

    /// Whether it is about this device. Only once it was looked at.
    pub fn covers(&self, member: Member) -> bool {
        let same = member.account == self.account;
        same && (self.wish.all_devices || member.device == self.device)
    }

    /// What a commit has beside it. Nothing for none.
    pub fn write_list(leaves: &[Self]) -> Vec<u8> {
        match leaves {
            [] => Vec::new(),
            _ => frame::encode_body(&leaves),
        }
    }

    /// Reads what stands beside a commit (`MLS-18`): nothing, or a bounded list in its one form.
    pub fn read_list(bytes: &[u8]) -> Result<Vec<Self>, RecordError> {
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let leaves: Vec<Self> =
            frame::decode_body(bytes, LIST_MAX).map_err(|_| RecordError::Malformed)?;
        let fits = leaves.len() <= LEAVES_SHOWN_MAX && Self::write_list(&leaves) == bytes;
        fits.then_some(leaves).ok_or(RecordError::Malformed)
    }

    fn signed_bytes(&self, group: GroupId) -> Vec<u8> {
        let Wish {
            all_devices,
            generation,
            ..
        } = self.wish;
        let told = (group, self.account, self.device, all_devices, generation);
        [CONTEXT, &frame::encode_body(&told)].concat()
    }
}
