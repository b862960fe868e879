//! What the entries mean. A field that this version does not know is kept and passed on, and shows nowhere.
//!
//! What a person decided (who is a contact, who is blocked) and what was merely learned (a contact's newest card) are two entries:
//! a card that came in at the laptop never undoes what was blocked on the phone.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{FIELD_MAX, Key, Seed, VALUE_MAX};
use crate::card::{CardError, SignedCard};
use crate::frame;
use crate::ids::{AccountId, NetworkId};
use crate::limits::{
    LIST_NAME_MAX, LISTS_MAX, NAME_MAX, NOTE_MAX, RECORD_MAX, REQUEST_TEXT_MAX, SUPERNODES_MAX,
};
use crate::name::Name;
use crate::own_name::{Answered, Claimed};
use crate::permissions::Permissions;
use crate::record::{AccountRecord, Signed};
use crate::supernode::SupernodeAddr;

/// The value of a setting, in bytes.
pub const SETTING_MAX: usize = 1_024;

const CONTACT: &str = "contact";
const CARD: &str = "card";
const REQUEST: &str = "request";
const NICKNAME: &str = "nickname";
const FAVOURITE: &str = "favourite";
const NOTE: &str = "note";
const LISTS: &str = "lists";
const PERMISSIONS: &str = "permissions";
const VERIFIED: &str = "verified";
const RELAYED: &str = "relayed";
const PROFILE: &str = "profile/";
const SETTING: &str = "setting/";
const RECORD: &str = "record";
const REQUEST_KEY: &str = "request-key";
const NAME: &str = "name/";
const NAME_ANSWER: &str = "name-answer/";

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// How somebody stands to us; none: removed.
    Contact(AccountId, Option<Known>),
    /// Their newest card.
    Card(AccountId, Option<Box<SignedCard>>),
    /// A request that waits for an answer; none: answered.
    Request(AccountId, Option<Box<Asked>>),
    /// Our name for them.
    Nickname(AccountId, Option<String>),
    /// Whether they are a favourite.
    Favourite(AccountId, bool),
    /// What we noted about them.
    Note(AccountId, Option<String>),
    /// The names of the lists they are in.
    Lists(AccountId, Vec<String>),
    /// What they may do here.
    Permissions(AccountId, Permissions),
    /// The key that signed for them when they were verified.
    Verified(AccountId, Option<[u8; 32]>),
    /// Whether they are never reached directly.
    Relayed(AccountId, bool),
    /// A part of our profile, by its name.
    Profile(String, Option<Vec<u8>>),
    /// A setting that holds for all devices, by its name.
    Setting(String, Option<String>),
    /// What the account publishes, signed by a device that can.
    Record(Option<Box<Signed<AccountRecord>>>),
    /// Opens sealed requests from now on.
    RequestKey(Seed),
    /// A unique name that we asked for; none: given up.
    Name(Name, Option<Claimed>),
    /// What its registrar answered last.
    NameAnswer(Name, Answered),
}

/// Somebody we know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What was decided.
    pub relation: Relation,
    /// What they called themselves then.
    pub name: String,
    /// Their network.
    pub network: Option<NetworkId>,
    /// Where they were found then.
    pub homes: Vec<SupernodeAddr>,
    /// Unix milliseconds.
    pub added_at: u64,
}

/// How somebody stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// Both agreed.
    Contact,
    /// We asked.
    Requested,
    /// Blocked.
    Blocked,
}

/// Somebody who wants to be a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Theirs.
    pub card: SignedCard,
    /// What they wrote.
    pub text: String,
    /// Unix milliseconds.
    pub at: u64,
    /// The work that was done for it, in bits.
    pub work: u8,
}

/// Why a value was not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Not what belongs into this field.
    #[error("another device of yours sent an entry that this version of Starling cannot read")]
    Malformed,
    /// Beyond a bound.
    #[error("another device of yours sent an entry that is larger than Starling allows")]
    TooLarge,
    /// A card that is not valid, or another account's.
    #[error("another device of yours sent a contact's card that is not valid: {0}")]
    Card(#[from] CardError),
    /// A place where nobody can be.
    #[error("another device of yours sent a contact with an address that cannot be one")]
    Address,
}

impl Item {
    /// As key and value of an entry.
    pub fn write(&self) -> (Key, Option<Vec<u8>>) {
        let about = |account: &AccountId, field: &str| Key {
            about: Some(*account),
            field: field.into(),
        };
        let own = |prefix: &str, name: &str| Key {
            about: None,
            field: format!("{prefix}{name}"),
        };
        match self {
            Self::Contact(account, known) => (about(account, CONTACT), bytes(known.as_ref())),
            Self::Card(account, card) => (about(account, CARD), bytes(card.as_ref())),
            Self::Request(account, asked) => (about(account, REQUEST), bytes(asked.as_ref())),
            Self::Nickname(account, name) => (about(account, NICKNAME), bytes(name.as_ref())),
            Self::Favourite(account, on) => (about(account, FAVOURITE), on.then(Vec::new)),
            Self::Note(account, text) => (about(account, NOTE), bytes(text.as_ref())),
            Self::Lists(account, lists) => {
                let some = Some(lists).filter(|lists| !lists.is_empty());
                (about(account, LISTS), bytes(some))
            }
            Self::Permissions(account, permissions) => {
                let some = Some(permissions).filter(|some| **some != Permissions::default());
                (about(account, PERMISSIONS), bytes(some))
            }
            Self::Verified(account, key) => (about(account, VERIFIED), bytes(key.as_ref())),
            Self::Relayed(account, on) => (about(account, RELAYED), on.then(Vec::new)),
            Self::Profile(name, value) => (own(PROFILE, name), value.clone()),
            Self::Setting(name, value) => (own(SETTING, name), bytes(value.as_ref())),
            Self::Record(record) => (own(RECORD, ""), bytes(record.as_ref())),
            Self::RequestKey(seed) => (own(REQUEST_KEY, ""), bytes(Some(seed))),
            Self::Name(name, claimed) => (own(NAME, name.as_str()), bytes(claimed.as_ref())),
            Self::NameAnswer(name, answered) => {
                let some = Some(answered).filter(|answered| !answered.is_empty());
                (own(NAME_ANSWER, name.as_str()), bytes(some))
            }
        }
    }

    /// `SYNC-10`: what an entry says, checked; nothing, if this version does not know its field.
    pub fn read(key: &Key, value: Option<&[u8]>) -> Result<Option<Self>, ItemError> {
        if key.field.len() > FIELD_MAX || value.is_some_and(|value| value.len() > VALUE_MAX) {
            return Err(ItemError::TooLarge);
        }
        match key.about {
            Some(account) => Self::about(account, &key.field, value),
            None => Self::own(&key.field, value),
        }
    }

    fn about(
        account: AccountId,
        field: &str,
        value: Option<&[u8]>,
    ) -> Result<Option<Self>, ItemError> {
        Ok(Some(match field {
            CONTACT => Self::Contact(account, read(value, Known::check)?),
            CARD => {
                let card = read(value, |card| of(card, account))?;
                Self::Card(account, card.map(Box::new))
            }
            REQUEST => {
                let asked = read(value, |asked: &Asked| asked.check(account))?;
                Self::Request(account, asked.map(Box::new))
            }
            NICKNAME => Self::Nickname(account, text(value, NAME_MAX)?),
            FAVOURITE => Self::Favourite(account, value.is_some()),
            NOTE => Self::Note(account, text(value, NOTE_MAX)?),
            LISTS => Self::Lists(
                account,
                read(value, |names: &Vec<String>| lists(names))?.unwrap_or_default(),
            ),
            PERMISSIONS => {
                let permissions = read(value, |_| Ok(()))?;
                Self::Permissions(account, permissions.unwrap_or_default())
            }
            VERIFIED => Self::Verified(account, read(value, |_| Ok(()))?),
            RELAYED => Self::Relayed(account, value.is_some()),
            _ => return Ok(None),
        }))
    }

    fn own(field: &str, value: Option<&[u8]>) -> Result<Option<Self>, ItemError> {
        if let Some(name) = field.strip_prefix(PROFILE) {
            let value = value.map(<[u8]>::to_vec);
            return Ok(Some(Self::Profile(name.to_owned(), value)));
        }
        if field == RECORD {
            let small = |record: &Signed<_>| fits(record.encoded_len() <= RECORD_MAX);
            return Ok(Some(Self::Record(read(value, small)?.map(Box::new))));
        }
        if field == REQUEST_KEY {
            let seed = read(value, |_| Ok(()))?.ok_or(ItemError::Malformed)?;
            return Ok(Some(Self::RequestKey(seed)));
        }
        if let Some(name) = field.strip_prefix(SETTING) {
            let value = text(value, SETTING_MAX)?;
            return Ok(Some(Self::Setting(name.to_owned(), value)));
        }
        Self::unique_name(field, value)
    }

    fn unique_name(field: &str, value: Option<&[u8]>) -> Result<Option<Self>, ItemError> {
        if let Some(name) = field.strip_prefix(NAME) {
            return Ok(Some(Self::Name(unique(name)?, read(value, |_| Ok(()))?)));
        }
        let Some(name) = field.strip_prefix(NAME_ANSWER) else {
            return Ok(None);
        };
        let name = unique(name)?;
        let about = |answered: &Answered| {
            let about = answered.is_about(&name);
            about.then_some(()).ok_or(ItemError::Malformed)
        };
        let answered = read(value, about)?.unwrap_or_default();
        Ok(Some(Self::NameAnswer(name, answered)))
    }
}

fn unique(name: &str) -> Result<Name, ItemError> {
    Name::try_from(name.to_owned()).map_err(|_| ItemError::Malformed)
}

fn bytes<T: Serialize>(value: Option<&T>) -> Option<Vec<u8>> {
    value.map(frame::encode_body)
}

fn read<T: DeserializeOwned>(
    value: Option<&[u8]>,
    check: impl Fn(&T) -> Result<(), ItemError>,
) -> Result<Option<T>, ItemError> {
    let Some(value) = value else {
        return Ok(None);
    };
    let value = frame::decode_body(value, VALUE_MAX).map_err(|_| ItemError::Malformed)?;
    check(&value)?;
    Ok(Some(value))
}

fn text(value: Option<&[u8]>, max: usize) -> Result<Option<String>, ItemError> {
    read(value, |text: &String| fits(text.len() <= max))
}

fn lists(lists: &[String]) -> Result<(), ItemError> {
    let small = |name: &String| name.len() <= LIST_NAME_MAX;
    fits(lists.len() <= LISTS_MAX && lists.iter().all(small))
}

fn fits(fits: bool) -> Result<(), ItemError> {
    fits.then_some(()).ok_or(ItemError::TooLarge)
}

/// A valid card of this account's.
fn of(card: &SignedCard, account: AccountId) -> Result<(), ItemError> {
    if card.verify()?.account().id() != account {
        return Err(ItemError::Malformed);
    }
    Ok(())
}

impl Known {
    fn check(&self) -> Result<(), ItemError> {
        fits(self.name.len() <= NAME_MAX && self.homes.len() <= SUPERNODES_MAX)?;
        let usable = self.homes.iter().all(SupernodeAddr::is_usable);
        usable.then_some(()).ok_or(ItemError::Address)
    }
}

impl Asked {
    fn check(&self, account: AccountId) -> Result<(), ItemError> {
        fits(self.text.len() <= REQUEST_TEXT_MAX)?;
        of(&self.card, account)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::account::Chain;
    use crate::card::Card;
    use crate::ids::{DeviceId, EndpointKey};
    use crate::name_claim::Refusal;
    use crate::name_log::{Entry, Listing};
    use crate::record::registrar::{Office, Registrar};
    use crate::record::{Content, NameRecord};

    fn card() -> (AccountId, SignedCard) {
        let key = SigningKey::from_bytes(&[1; 32]);
        let device = DeviceId([4; 32]);
        let chain = Chain::create(&key, &key.verifying_key(), [0; 16], device, "desk");
        let account = chain.id();
        let card = Card {
            chain,
            network: None,
            name: "Bob".into(),
            request_key: [0; 32],
            discovery_key: [0; 32],
            sequence: 1,
        };
        (account, card.sign(&key, Vec::new()))
    }

    fn known() -> Known {
        let home = SupernodeAddr {
            id: EndpointKey([9; 32]),
            tcp: "192.0.2.7:27474".parse().unwrap(),
            discovery_port: 27476,
        };
        Known {
            relation: Relation::Blocked,
            name: "Bob".into(),
            network: Some(NetworkId([5; 32])),
            homes: vec![home],
            added_at: 1_800_000_000_000,
        }
    }

    fn record() -> Signed<AccountRecord> {
        let chain = card().1.card.chain;
        AccountRecord {
            by: chain.speaker(),
            head: chain.head(),
            request_key: [0; 32],
            home: known().homes,
            sequence: 1,
            expires: 2,
        }
        .sign(&SigningKey::from_bytes(&[1; 32]))
    }

    fn asked() -> Box<Asked> {
        Box::new(Asked {
            card: card().1,
            text: "It is me".into(),
            at: 1,
            work: 16,
        })
    }

    /// As long as a name can be.
    fn name() -> Name {
        Name::typed(&"й".repeat(32)).unwrap()
    }

    fn claimed() -> Claimed {
        Claimed {
            network: NetworkId([5; 32]),
            registrar: AccountId([6; 32]),
            listing: Some(Listing::new("Alice".into()).unwrap()),
            asked_at: 1_800_000_000,
        }
    }

    fn answered() -> Answered {
        Answered {
            certificate: Some(certificate(name())),
            refusal: Some(Refusal::TooOften),
        }
    }

    fn certificate(name: Name) -> Signed<NameRecord> {
        let key = |seed| SigningKey::from_bytes(&[seed; 32]);
        let public = key(2).verifying_key().to_bytes();
        let office = Registrar::appoint(&key(1), AccountId([6; 32]), public, 2_000_000_000);
        let entry = Entry {
            height: 1,
            before: [0; 32],
            at: 5,
            name,
            account: Some(AccountId([7; 32])),
            until: 1_900_000_000,
            listing: None,
        };
        Office::new(office, key(2))
            .unwrap()
            .certify(&entry, entry.until)
    }

    fn read_back(item: &Item) -> Result<Option<Item>, ItemError> {
        let (key, value) = item.write();
        Item::read(&key, value.as_deref())
    }

    #[test]
    fn sync_10_every_item_comes_back_as_it_was_and_as_deleted() {
        let (bob, card) = card();
        let text = || Some("text".to_owned());
        for item in [
            Item::Contact(bob, Some(known())),
            Item::Card(bob, Some(Box::new(card))),
            Item::Request(bob, Some(asked())),
            Item::Nickname(bob, text()),
            Item::Favourite(bob, true),
            Item::Relayed(bob, true),
            Item::Note(bob, text()),
            Item::Lists(bob, vec!["Friends".into()]),
            Item::Permissions(bob, Permissions::from_denied(5)),
            Item::Verified(bob, Some([6; 32])),
            Item::Profile("mood".into(), Some(vec![1, 2, 3])),
            Item::Setting("theme".into(), text()),
            Item::Contact(bob, None),
            Item::Card(bob, None),
            Item::Request(bob, None),
            Item::Nickname(bob, None),
            Item::Favourite(bob, false),
            Item::Relayed(bob, false),
            Item::Note(bob, None),
            Item::Lists(bob, Vec::new()),
            Item::Permissions(bob, Permissions::default()),
            Item::Verified(bob, None),
            Item::Profile("mood".into(), None),
            Item::Setting("theme".into(), None),
            Item::Record(Some(Box::new(record()))),
            Item::Record(None),
            Item::RequestKey(Seed([5; 32])),
            Item::Name(name(), Some(claimed())),
            Item::NameAnswer(name(), answered()),
            Item::Name(name(), None),
            Item::NameAnswer(name(), Answered::default()),
        ] {
            assert_eq!(read_back(&item), Ok(Some(item)));
        }
    }

    #[test]
    fn sync_10_what_does_not_belong_into_a_field_is_refused() {
        let (bob, card) = card();
        let mallory = AccountId([66; 32]);
        let long = |size| Some("n".repeat(size));
        let mut nowhere = known();
        nowhere.homes[0].tcp.set_port(0);
        let mut changed = card.clone();
        changed.card.name = "Mallory".into();
        let mut large = record();
        large.record.home = vec![known().homes[0].clone(); 20];
        let other = Answered {
            certificate: Some(certificate(Name::typed("mallory").unwrap())),
            refusal: None,
        };
        let mut wordy = asked();
        wordy.text = "n".repeat(REQUEST_TEXT_MAX + 1);
        for (item, error) in [
            (Item::Contact(bob, Some(nowhere)), ItemError::Address),
            (Item::NameAnswer(name(), other), ItemError::Malformed),
            (
                Item::Card(mallory, Some(Box::new(card))),
                ItemError::Malformed,
            ),
            (
                Item::Card(bob, Some(Box::new(changed))),
                ItemError::Card(CardError::Signature),
            ),
            (Item::Request(mallory, Some(asked())), ItemError::Malformed),
            (Item::Request(bob, Some(wordy)), ItemError::TooLarge),
            (Item::Record(Some(Box::new(large))), ItemError::TooLarge),
            (Item::Nickname(bob, long(NAME_MAX + 1)), ItemError::TooLarge),
            (Item::Note(bob, long(NOTE_MAX + 1)), ItemError::TooLarge),
            (
                Item::Setting("theme".into(), long(SETTING_MAX + 1)),
                ItemError::TooLarge,
            ),
            (
                Item::Profile("avatar".into(), Some(vec![0; VALUE_MAX + 1])),
                ItemError::TooLarge,
            ),
        ] {
            assert_eq!(read_back(&item), Err(error));
        }
    }

    #[test]
    fn sync_10_a_field_of_a_newer_version_says_nothing() {
        for about in [None, Some(AccountId([1; 32]))] {
            let key = Key {
                about,
                field: "aura".into(),
            };
            assert_eq!(Item::read(&key, Some(&[1, 2, 3])), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn sync_10_no_value_makes_it_panic(field in 0_usize..11, value in prop::collection::vec(any::<u8>(), 0..300)) {
            let fields = [
                CONTACT, CARD, REQUEST, NICKNAME, FAVOURITE, NOTE, RELAYED, "profile/x", "setting/x", RECORD, REQUEST_KEY,
            ];
            let about = (field < 7).then_some(AccountId([1; 32]));
            let key = Key { about, field: fields[field].into() };
            let _ = Item::read(&key, Some(&value));
        }
    }
}
