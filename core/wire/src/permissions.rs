//! What a contact may do here. Everything is allowed until it is denied. *Directly* is not among them: that they are always
//! relayed is a choice of its own, which can also be made for everybody.

use serde::{Deserialize, Serialize};

/// Something a contact may be denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// To ring here.
    Call,
    /// To write.
    Chat,
    /// To offer files.
    Files,
    /// To see whether we are there.
    Presence,
}

/// What one contact may do: the set of what is denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions(u8);

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Call, Self::Chat, Self::Files, Self::Presence];

    const fn bit(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Chat => 2,
            Self::Files => 4,
            Self::Presence => 8,
        }
    }
}

impl Permissions {
    /// Whether it is allowed.
    pub const fn allows(self, what: Permission) -> bool {
        self.0 & what.bit() == 0
    }

    /// Allows or denies.
    #[must_use]
    pub const fn with(self, what: Permission, allowed: bool) -> Self {
        match allowed {
            true => Self(self.0 & !what.bit()),
            false => Self(self.0 | what.bit()),
        }
    }

    /// What is denied, as it is stored. Bits of a later version are kept.
    pub const fn denied(self) -> u8 {
        self.0
    }

    /// What [`Permissions::denied`] gave.
    pub const fn from_denied(bits: u8) -> Self {
        Self(bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_03_everything_is_allowed_until_it_is_denied_one_by_one() {
        let mut permissions = Permissions::default();
        for what in Permission::ALL {
            assert!(permissions.allows(what));
            permissions = permissions.with(what, false);
            assert!(!permissions.allows(what));
        }
        permissions = permissions.with(Permission::Chat, true);
        let allowed = Permission::ALL.map(|what| permissions.allows(what));
        assert_eq!(allowed, [false, true, false, false]);
        assert_eq!(Permissions::from_denied(permissions.denied()), permissions);
    }
}
