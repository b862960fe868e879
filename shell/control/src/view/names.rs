//! Unique names, as clients see them. Times are Unix seconds.

use serde::{Deserialize, Serialize};

/// A name of ours, or one that we asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnName {
    /// In its one written form.
    pub name: String,
    /// The network's id.
    pub network: String,
    /// "held", "asked", "waiting" (a person decides), "refused" or "released".
    pub state: String,
    /// The same as a sentence.
    pub words: String,
    /// When it ends.
    pub until_s: Option<u64>,
    /// The display name by which it is found, if its holder wants that.
    pub findable_as: Option<String>,
}

/// A name somebody has, found by searching. The registrar signed it; whoever adds the person has the certificate verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundName {
    /// The name.
    pub name: String,
    /// The display name, of those who want to be found by it.
    pub display_name: Option<String>,
    /// Account id.
    pub account: String,
}

/// Whose a name is, and by what that was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameCheck {
    /// The name.
    pub name: String,
    /// Account id of its holder; none if it was given up.
    pub account: Option<String>,
    /// When the certificate ends.
    pub until_s: u64,
    /// The entry of the log that gives it.
    pub entry: u64,
    /// Which registrar of the network signed it.
    pub epoch: u64,
    /// That registrar's account.
    pub registrar: String,
    /// The supernodes whose copies of the log were compared.
    pub compared: Vec<String>,
    /// Whether nothing speaks against it.
    pub verified: bool,
    /// What speaks against it, in sentences.
    pub findings: Vec<String>,
    /// The two statements by which the registrar contradicts itself, if it does.
    pub evidence: Option<[Statement; 2]>,
}

/// What a registrar signed about one place of its log, in hex.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Which registrar.
    pub epoch: u64,
    /// Its key.
    pub key: String,
    /// The place.
    pub height: u64,
    /// Hash of the entry there.
    pub hash: String,
    /// When, by the registrar's clock.
    pub at_s: u64,
    /// Its signature.
    pub signature: String,
}

/// The registrar of names on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameOffice {
    /// Whether it is at work.
    pub running: bool,
    /// How it stands, as a sentence.
    pub words: String,
    /// "open", "invitation" or "by hand".
    pub admission: String,
    /// Names that one account may have.
    pub names_per_account: u32,
    /// Which registrar of the network this is.
    pub epoch: u64,
    /// When the appointment ends.
    pub until_s: u64,
    /// Entries of its log.
    pub entries: u64,
    /// Invitations that nobody used yet.
    pub invitations: u32,
    /// Claims that a person decides.
    pub waiting: Vec<NameClaim>,
    /// Its last entries, the newest first.
    #[serde(default)]
    pub signed: Vec<SignedName>,
}

/// An entry of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedName {
    /// Its height.
    pub entry: u64,
    /// The registrar's time.
    pub at_s: u64,
    /// Which.
    pub name: String,
    /// Whose account it is since then; `None`: given up.
    pub account: Option<String>,
}

/// Somebody wants a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameClaim {
    /// Which.
    pub name: String,
    /// Account id.
    pub account: String,
    /// When the claim came.
    pub came_at_s: u64,
}
