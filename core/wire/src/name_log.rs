//! The log of a network's registrar: every name that was taken, renewed or released, in their order. Each entry names the hash
//! of the one before, and the registrar signs where each stands. So whoever holds two different entries of one height holds a
//! proof, which everybody can check, that the registrar told different people different things.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::{AccountId, NetworkId};
use crate::limits::NAME_MAX;
use crate::name::Name;
use crate::record::registrar::Registrar;
use crate::shown_name::turns_text;

/// Entries in one page: a full one, with the longest of everything, has 50,000 bytes.
pub const PAGE_ENTRIES_MAX: usize = 128;
/// Characters of an invitation.
pub const INVITATION_MAX: usize = 64;

const ENTRY_CONTEXT: &[u8] = b"starling 1 name log entry";
const POSITION_CONTEXT: &[u8] = b"starling 1 name log position";

/// What happened to a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first, then one more each.
    pub height: u64,
    /// Hash of the entry before; zeros in the first.
    pub before: [u8; 32],
    /// Unix seconds, the registrar's clock.
    pub at: u64,
    /// The name.
    pub name: Name,
    /// Whose it is since then; nobody's if it was released.
    pub account: Option<AccountId>,
    /// Unix seconds until which.
    pub until: u64,
    /// The display name by whose words its holder wants to be found; without one, the exact name alone finds him.
    pub listing: Option<Listing>,
}

/// A display name that may be searched: 1 to [`NAME_MAX`] bytes, without control characters or ones that turn text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listing(String);

/// Where a log stands, as its registrar says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Height of the last entry.
    pub height: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// When it was written, Unix seconds, the registrar's clock.
    pub at: u64,
    /// By the registrar, over its network, its epoch and these.
    pub signature: ([u8; 32], [u8; 32]),
}

/// A position with the appointment of whoever signed it: it can be verified by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Who signed.
    pub registrar: Registrar,
    /// What.
    pub position: Position,
}

/// Some entries in a row, of one registrar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Who signed them.
    pub registrar: Registrar,
    /// Each with the signature of its [`Position`].
    pub entries: Vec<SignedEntry>,
}

/// An entry with the signature of its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedEntry {
    /// The entry.
    pub entry: Entry,
    /// By the registrar, over its [`Position`].
    pub signature: ([u8; 32], [u8; 32]),
}

/// Two positions of one height with different hashes: the registrar told different people different things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equivocation {
    /// What one was told.
    pub one: Statement,
    /// What another was told.
    pub other: Statement,
}

/// A page whose signatures were checked, and whose entries follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPage(Page);

/// Why a part of a log was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum LogError {
    /// Nothing in it, or too much.
    #[error("a page of the name log is empty or larger than Starling allows")]
    Size,
    /// By nobody whom the network's owner appointed.
    #[error("the name log was signed by nobody whom the network's owner made its registrar")]
    Registrar,
    /// The signature does not fit.
    #[error("an entry of the name log does not have its registrar's signature")]
    Signature,
    /// One is missing or out of place.
    #[error("an entry of the name log does not follow the one before it")]
    Order,
    /// The two statements do not contradict each other.
    #[error("what was sent as a proof against the registrar proves nothing")]
    NoProof,
}

/// Why a text cannot be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a display name in the directory has 1 to {NAME_MAX} bytes and no control characters, also none that turn text"
)]
pub struct ListingError;

impl Entry {
    /// BLAKE3 hash, which the next entry names.
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(ENTRY_CONTEXT);
        hasher.update(&frame::encode_body(self));
        hasher.finalize().into()
    }

    /// The registrar says where it stands.
    pub fn sign(self, registrar: &Registrar, key: &SigningKey) -> SignedEntry {
        let position = Position::sign(registrar, (self.height, self.hash()), self.at, key);
        SignedEntry {
            entry: self,
            signature: position.signature,
        }
    }
}

impl SignedEntry {
    /// Where it stands, as its registrar says.
    pub fn position(&self) -> Position {
        Position {
            height: self.entry.height,
            hash: self.entry.hash(),
            at: self.entry.at,
            signature: self.signature,
        }
    }
}

impl Position {
    /// A registrar says where its log stands.
    pub fn sign(
        registrar: &Registrar,
        (height, hash): (u64, [u8; 32]),
        at: u64,
        key: &SigningKey,
    ) -> Self {
        let mut position = Self {
            height,
            hash,
            at,
            signature: ([0; 32], [0; 32]),
        };
        position.signature = sign(key, &position.signed_bytes(registrar));
        position
    }

    /// `LOG-03`: whether the registrar signed it.
    pub fn is_signed_by(&self, registrar: &Registrar) -> bool {
        let message = self.signed_bytes(registrar);
        signed_by(&registrar.key, &message, self.signature)
    }

    fn signed_bytes(&self, registrar: &Registrar) -> Vec<u8> {
        let mut bytes = POSITION_CONTEXT.to_vec();
        let office = (registrar.network, registrar.epoch);
        let fields = (office, self.height, &self.hash, self.at);
        bytes.extend_from_slice(&frame::encode_body(&fields));
        bytes
    }
}

impl Statement {
    /// Whether a registrar of `network` said it, while it was that (`LOG-02`, `LOG-03`, `LOG-07`).
    pub fn verify(&self, network: NetworkId) -> Result<(), LogError> {
        if !self.registrar.is_appointed_in(network) || !self.registrar.covers(&self.position) {
            return Err(LogError::Registrar);
        }
        if !self.position.is_signed_by(&self.registrar) {
            return Err(LogError::Signature);
        }
        Ok(())
    }

    /// `LOG-05`: the proof, if the two contradict each other. A later registrar's word against an earlier one's is none:
    /// where it took over stands in its appointment.
    pub fn against(&self, other: &Self) -> Option<Equivocation> {
        let place = |said: &Self| (said.registrar.epoch, said.position.height);
        let same = place(self) == place(other);
        (same && self.position.hash != other.position.hash).then(|| Equivocation {
            one: self.clone(),
            other: other.clone(),
        })
    }
}

impl Equivocation {
    /// `LOG-06`: whether it proves anything to a member of `network`.
    pub fn verify(&self, network: NetworkId) -> Result<(), LogError> {
        self.one.verify(network)?;
        self.other.verify(network)?;
        let proof = self.one.against(&self.other);
        proof.map(|_| ()).ok_or(LogError::NoProof)
    }

    /// Against which registrar: what it did says nothing of the next one.
    pub const fn epoch(&self) -> u64 {
        self.one.registrar.epoch
    }
}

impl Page {
    /// Checks everything but whether it continues what one has.
    pub fn verify(self, network: NetworkId) -> Result<VerifiedPage, LogError> {
        // LOG-01: bounds.
        if self.entries.is_empty() || self.entries.len() > PAGE_ENTRIES_MAX {
            return Err(LogError::Size);
        }
        // LOG-02: the network's registrar, while it was that.
        if !self.registrar.is_appointed_in(network) {
            return Err(LogError::Registrar);
        }
        let mut before: Option<Position> = None;
        for signed in &self.entries {
            let position = signed.position();
            // LOG-07: it took over before that, and had not ended.
            if !self.registrar.covers(&position) {
                return Err(LogError::Registrar);
            }
            if !self.follows(before.as_ref(), &signed.entry) {
                return Err(LogError::Order);
            }
            if !position.is_signed_by(&self.registrar) {
                return Err(LogError::Signature);
            }
            before = Some(position);
        }
        Ok(VerifiedPage(self))
    }

    /// `LOG-04`: each follows the one before, and a registrar's first the one after which it took over. What a page from the
    /// middle follows, its reader has to know.
    fn follows(&self, before: Option<&Position>, entry: &Entry) -> bool {
        let since = self.registrar.since;
        match before {
            Some(last) => {
                Some(entry.height) == last.height.checked_add(1) && entry.before == last.hash
            }
            None => Some(entry.height) != since.height.checked_add(1) || entry.before == since.hash,
        }
    }
}

impl VerifiedPage {
    /// The registrar that signed them.
    pub const fn registrar(&self) -> &Registrar {
        &self.0.registrar
    }

    /// The entries, in their order; never none.
    pub fn entries(&self) -> &[SignedEntry] {
        &self.0.entries
    }

    /// The first one's statement.
    pub fn first(&self) -> Statement {
        self.statement(0)
    }

    /// The last one's statement.
    pub fn last(&self) -> Statement {
        self.statement(self.0.entries.len() - 1)
    }

    fn statement(&self, index: usize) -> Statement {
        Statement {
            registrar: self.0.registrar.clone(),
            position: self.0.entries[index].position(),
        }
    }

    /// Those after `height` and up to `end`; `None` if nothing is left.
    pub fn between(mut self, height: u64, end: u64) -> Option<Self> {
        let within = |signed: &SignedEntry| (height + 1..=end).contains(&signed.entry.height);
        self.0.entries.retain(within);
        (!self.0.entries.is_empty()).then_some(self)
    }

    /// The statement of each entry.
    pub fn statements(&self) -> impl Iterator<Item = Statement> {
        (0..self.0.entries.len()).map(|index| self.statement(index))
    }
}

impl Listing {
    /// Checks it.
    pub fn new(text: String) -> Result<Self, ListingError> {
        let fits = !text.trim().is_empty() && text.len() <= NAME_MAX;
        if fits && !text.chars().any(|c| c.is_control() || turns_text(c)) {
            Ok(Self(text))
        } else {
            Err(ListingError)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Listing {
    type Error = ListingError;

    fn try_from(text: String) -> Result<Self, ListingError> {
        Self::new(text)
    }
}

impl From<Listing> for String {
    fn from(listing: Listing) -> Self {
        listing.0
    }
}

/// Whether it changes the direction of what comes after it (UAX 9): one name could be shown as another.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::registrar::Since;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn owner() -> SigningKey {
        key(1)
    }

    fn network() -> NetworkId {
        NetworkId(owner().verifying_key().to_bytes())
    }

    fn registrar() -> Registrar {
        Registrar::appoint(
            &owner(),
            AccountId([5; 32]),
            key(2).verifying_key().to_bytes(),
            2_000_000_000,
        )
    }

    fn entry(height: u64, before: [u8; 32], who: u8) -> Entry {
        Entry {
            height,
            before,
            at: 1_800_000_000,
            name: Name::typed(&format!("person{height}")).unwrap(),
            account: Some(AccountId([who; 32])),
            until: 1_900_000_000,
            listing: Some(Listing::new("A Person".to_owned()).unwrap()),
        }
    }

    /// So many entries from the first on; `who` says whose names they are.
    fn page(count: u64, who: u8) -> Page {
        let mut before = [0; 32];
        let entries = (1..=count).map(|height| {
            let entry = entry(height, before, who);
            before = entry.hash();
            entry.sign(&registrar(), &key(2))
        });
        Page {
            entries: entries.collect(),
            registrar: registrar(),
        }
    }

    #[test]
    fn log_01_a_page_has_entries_and_not_too_many() {
        let bound = PAGE_ENTRIES_MAX as u64;
        assert!(page(bound, 3).verify(network()).is_ok());
        assert_eq!(page(bound + 1, 3).verify(network()), Err(LogError::Size));
        assert_eq!(page(0, 3).verify(network()), Err(LogError::Size));
    }

    #[test]
    fn a_full_page_fits_a_frame() {
        let long = |height: u64| Entry {
            name: Name::typed(&"ä".repeat(32)).unwrap(),
            listing: Some(Listing::new("x".repeat(NAME_MAX)).unwrap()),
            at: 2_000_000_000,
            until: u64::MAX,
            ..entry(height, [7; 32], 3)
        };
        let entries =
            (0..PAGE_ENTRIES_MAX as u64).map(|n| long(u64::MAX - n).sign(&registrar(), &key(2)));
        let page = Page {
            registrar: registrar(),
            entries: entries.collect(),
        };
        let bytes = frame::encode_body(&page).len();
        assert!(bytes < crate::limits::FRAME_MAX - 1_024, "{bytes}");
    }

    #[test]
    fn log_02_only_whom_the_owner_appointed_signs_a_log() {
        let mut foreign = page(2, 3);
        foreign.registrar = Registrar::appoint(
            &key(9),
            AccountId([5; 32]),
            key(2).verifying_key().to_bytes(),
            2_000_000_000,
        );
        assert_eq!(foreign.verify(network()), Err(LogError::Registrar));
        let mut late = page(1, 3);
        late.registrar = Registrar::appoint(
            &owner(),
            AccountId([5; 32]),
            key(2).verifying_key().to_bytes(),
            1_799_999_999,
        );
        assert_eq!(late.verify(network()), Err(LogError::Registrar));
        let mut self_made = page(2, 3);
        self_made.registrar.signature = ([0; 32], [0; 32]);
        assert_eq!(self_made.verify(network()), Err(LogError::Registrar));
    }

    #[test]
    fn log_03_a_changed_entry_is_not_the_registrars() {
        let mut page = page(3, 3);
        page.entries[2].entry.account = Some(AccountId([66; 32]));
        assert_eq!(page.verify(network()), Err(LogError::Signature));
    }

    #[test]
    fn log_04_entries_follow_each_other() {
        let mut gap = page(3, 3);
        gap.entries.remove(1);
        assert_eq!(gap.verify(network()), Err(LogError::Order));
        let mut swapped = page(3, 3);
        swapped.entries.swap(1, 2);
        assert_eq!(swapped.verify(network()), Err(LogError::Order));
        let beginning = entry(1, [5; 32], 3).sign(&registrar(), &key(2));
        let mut invented = page(1, 3);
        invented.entries = vec![beginning];
        assert_eq!(invented.verify(network()), Err(LogError::Order));
        let mut zero = page(1, 3);
        zero.entries = vec![entry(0, [0; 32], 3).sign(&registrar(), &key(2))];
        assert_eq!(zero.verify(network()), Err(LogError::Registrar));
        // A page from the middle is one, too.
        let mut rest = page(3, 3);
        rest.entries.remove(0);
        let rest = rest.verify(network()).unwrap();
        assert_eq!(rest.first().position.height, 2);
        assert_eq!(rest.clone().between(2, 9).unwrap().entries().len(), 1);
        assert_eq!(rest.clone().between(1, 2).unwrap().entries().len(), 1);
        assert_eq!(rest.between(3, 9), None);
    }

    #[test]
    fn log_05_06_two_histories_are_a_proof_and_one_is_none() {
        let [one, other] = [3, 4].map(|who| page(2, who).verify(network()).unwrap());
        let proof = one.last().against(&other.last()).unwrap();
        assert_eq!(proof.verify(network()), Ok(()));
        assert_eq!(one.last().against(&one.last()), None);
        assert_eq!(one.last().against(&other.first()), None, "other heights");
        let twice = Equivocation {
            one: one.last(),
            other: one.last(),
        };
        assert_eq!(twice.verify(network()), Err(LogError::NoProof));
        let mut forged = proof;
        forged.other.position.hash = [1; 32];
        assert_eq!(forged.verify(network()), Err(LogError::Signature));
        let strangers = NetworkId([8; 32]);
        assert_eq!(one.last().verify(strangers), Err(LogError::Registrar));
    }

    /// The second one, which takes over after the fourth entry.
    fn second() -> Registrar {
        let since = Since {
            height: 4,
            hash: [6; 32],
        };
        registrar().taking_over(&owner(), 2, since)
    }

    #[test]
    fn log_02_07_what_a_registrar_says_after_its_end_or_before_its_beginning_is_nothing() {
        let said = |height, at| Statement {
            registrar: second(),
            position: Position::sign(&second(), (height, [7; 32]), at, &key(2)),
        };
        assert_eq!(said(5, 2_000_000_000).verify(network()), Ok(()));
        let refused = Err(LogError::Registrar);
        assert_eq!(said(5, 2_000_000_001).verify(network()), refused);
        assert_eq!(said(4, 2_000_000_000).verify(network()), refused);
        let mut backdated = said(5, 2_000_000_001);
        backdated.position.at = 5;
        assert_eq!(backdated.verify(network()), Err(LogError::Signature));
        // Its first entry names the hash that its appointment names.
        let first = |before| Page {
            registrar: second(),
            entries: vec![entry(5, before, 3).sign(&second(), &key(2))],
        };
        assert!(first([6; 32]).verify(network()).is_ok());
        assert_eq!(first([5; 32]).verify(network()), Err(LogError::Order));
    }

    #[test]
    fn log_05_a_successors_word_is_no_proof_against_its_predecessor() {
        let [one, other] = [registrar(), second()].map(|registrar| Statement {
            position: Position::sign(&registrar, (5, [registrar.epoch as u8; 32]), 5, &key(2)),
            registrar,
        });
        assert_eq!(one.against(&other), None);
        // Though it is the same key: what it signed in one office cannot be shown as said in the other.
        let mut moved = other;
        moved.registrar = registrar();
        assert_eq!(moved.verify(network()), Err(LogError::Signature));
        let proof = one.against(&moved).unwrap();
        assert_eq!(proof.verify(network()), Err(LogError::Signature));
    }

    #[test]
    fn a_listing_has_no_control_characters_and_none_that_turn_text() {
        assert!(Listing::new("Zoë Müller".to_owned()).is_ok());
        for text in [
            "",
            " ",
            "a\u{0}b",
            "a\nb",
            "a\u{202e}b",
            &"x".repeat(NAME_MAX + 1),
        ] {
            assert_eq!(Listing::new(text.to_owned()), Err(ListingError), "{text:?}");
        }
    }
}
