//! *Always relay*: for whom no direct path is ever used, so that they learn no address of ours even in a call. A setting of
//! the profile, for single people or for everybody.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use starling_store::{StoreError, Tx, settings};
use starling_wire::ids::AccountId;
use starling_wire::sync::item::Item;

/// The setting: ids, and [`EVERYBODY`], separated by spaces.
const NAME: &str = "always relay";
const EVERYBODY: &str = "everybody";
/// The same, as all own devices know it.
pub const EVERYBODY_SETTING: &str = "always-relay-everybody";

/// Who is relayed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Relaying(Arc<RwLock<Choice>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Choice {
    everybody: bool,
    people: BTreeSet<AccountId>,
}

impl Relaying {
    /// As it was chosen before.
    pub fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let text = settings::get(tx, NAME)?.unwrap_or_default();
        Ok(Self(Arc::new(RwLock::new(Choice::read(&text)))))
    }

    /// Whether somebody is never reached directly.
    pub fn holds(&self, account: AccountId) -> bool {
        let choice = self.0.read().unwrap_or_else(PoisonError::into_inner);
        choice.everybody || choice.people.contains(&account)
    }

    /// Whether that was chosen for all.
    pub fn holds_everybody(&self) -> bool {
        let choice = self.0.read().unwrap_or_else(PoisonError::into_inner);
        choice.everybody
    }

    /// As it was stored since.
    pub fn set(&self, stored: &Self) {
        let stored = stored.0.read().unwrap_or_else(PoisonError::into_inner);
        let next = stored.clone();
        drop(stored);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// Whether it was chosen for somebody in particular.
pub fn is_chosen(tx: &Tx<'_>, account: AccountId) -> Result<bool, StoreError> {
    let text = settings::get(tx, NAME)?.unwrap_or_default();
    Ok(Choice::read(&text).people.contains(&account))
}

/// What was chosen, for all own devices.
pub fn item(who: Option<AccountId>, always: bool) -> Item {
    match who {
        Some(account) => Item::Relayed(account, always),
        None => {
            let value = always.then(|| "yes".to_owned());
            Item::Setting(EVERYBODY_SETTING.to_owned(), value)
        }
    }
}

/// Stores what was chosen for one person, or for everybody.
pub fn note(tx: &Tx<'_>, who: Option<AccountId>, always: bool) -> Result<(), StoreError> {
    let text = settings::get(tx, NAME)?.unwrap_or_default();
    let mut choice = Choice::read(&text);
    match who {
        None => choice.everybody = always,
        Some(account) if always => {
            choice.people.insert(account);
        }
        Some(account) => {
            choice.people.remove(&account);
        }
    }
    settings::set(tx, NAME, &choice.to_text())
}

impl Choice {
    fn read(text: &str) -> Self {
        Self {
            everybody: text.split(' ').any(|word| word == EVERYBODY),
            people: text
                .split(' ')
                .filter_map(|word| word.parse().ok())
                .collect(),
        }
    }

    fn to_text(&self) -> String {
        let everybody = self.everybody.then(|| EVERYBODY.to_owned());
        let people = self.people.iter().map(ToString::to_string);
        everybody
            .into_iter()
            .chain(people)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_was_written() {
        let mut choice = Choice::default();
        assert_eq!(Choice::read(&choice.to_text()), choice);
        choice
            .people
            .extend([AccountId([1; 32]), AccountId([2; 32])]);
        assert_eq!(Choice::read(&choice.to_text()), choice);
        choice.everybody = true;
        assert_eq!(Choice::read(&choice.to_text()), choice);
    }
}
