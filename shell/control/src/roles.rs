//! What a machine does for others: the roles, their caps, and what is kept in other people's boxes.

use serde::{Deserialize, Serialize};

use crate::view::PolicySetting;

/// One role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// "supernode", "relay", "mailbox".
    pub name: String,
    /// Whether it is on.
    pub on: bool,
    /// Why, and for whom.
    pub words: String,
    /// At most so much, in each direction.
    #[serde(default)]
    pub cap_kbit_s: Option<u32>,
    /// So much of late.
    #[serde(default)]
    pub used_kbit_s: u64,
    /// Off because the machine's administrator says so.
    #[serde(default)]
    pub by_policy: bool,
}

/// What a machine does for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Each role.
    pub roles: Vec<Role>,
    /// Of all together, in each direction.
    pub total_kbit_s: Option<u32>,
    /// Of all together, both directions, in a calendar month.
    pub monthly_gb: Option<u32>,
    /// Carried this month, both directions.
    pub month_bytes: u64,
    /// Clients at once.
    pub clients: Option<u32>,
    /// What the machine's administrator decided.
    pub policy: Vec<PolicySetting>,
}

/// A change of one role, or of all: what is absent stays, a cap of 0 is lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolesChange {
    /// "supernode", "relay" or "mailbox"; all three if absent.
    pub role: Option<String>,
    /// The answer to "may this machine do that for others?"
    pub on: Option<bool>,
    /// Of this role, in each direction.
    pub cap_kbit_s: Option<u32>,
    /// Of all roles together, in each direction.
    pub total_kbit_s: Option<u32>,
    /// Of all roles together, both directions, in a calendar month.
    pub monthly_gb: Option<u32>,
    /// Clients at once.
    pub clients: Option<u32>,
}

/// What a machine keeps in conversations' boxes for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Whether it takes anything.
    pub on: bool,
    /// Why, and how it stands.
    pub words: String,
    /// Boxes.
    pub boxes: u64,
    /// Entries in them.
    pub entries: u64,
    /// Bytes, with what each entry and each decision costs.
    pub bytes: u64,
    /// At most so many.
    pub bytes_max: u64,
    /// Connections to boxes.
    pub connections: u64,
    /// What was refused since the start, and why.
    pub refused: Vec<MailboxRefused>,
    /// Whether it keeps letters and boxes without having run for three days.
    pub at_once: bool,
}

/// Something that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxRefused {
    /// In words.
    pub why: String,
    /// How often.
    pub count: u64,
}

/// A change of that: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxChange {
    /// Kept at most, in MB; 0 for what is usual.
    pub room_mb: Option<u32>,
    /// Whether it keeps letters and boxes without having run for three days.
    pub at_once: Option<bool>,
}
