//! From the set to the tables: what another device changed is as if it had been changed here.

use starling_store::about::{self, About};
use starling_store::contacts::{self, Contact, Relation};
use starling_store::{StoreError, Tx, own_names, own_set, requests};
use starling_wire::card::SignedCard;
use starling_wire::ids::AccountId;
use starling_wire::name::Name;
use starling_wire::own_name::{Answered, Claimed, Held};
use starling_wire::record::{AccountRecord, Signed};
use starling_wire::sync::Seed;
use starling_wire::sync::item::{self, Asked, Item, Known};

use crate::clock::wall_ms;
use crate::drivers::people::key_of;
use crate::drivers::{calls, presence, profiles};
use crate::relaying;

/// What is another than before, for those who keep it in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Somebody's row.
    Person(AccountId),
    /// The same, and another key signs for them than before (`CONTACT-12`).
    KeyChanged(AccountId),
    /// What we keep about somebody.
    About(AccountId),
    /// A request came, or was answered.
    Request(AccountId),
    /// Whom we never reach directly.
    Relaying,
    /// The account's history, or its key came.
    Account,
    /// A device of ours has moved, or the account's name is another one.
    Doors,
    /// The set is complete for the first time: everybody the account knows is known here, too.
    Complete,
    /// What the account publishes was signed on another device.
    Record(Box<Signed<AccountRecord>>),
    /// How the person wants to be seen was chosen on another device.
    Presence,
    /// So was how they want to be called.
    Calls,
    /// A unique name of ours.
    Names,
    /// So was what else is shown.
    Profile,
    /// Letters are sealed to another key from now on.
    RequestKey(Seed),
}

/// Does what an entry says.
pub fn item(tx: &Tx<'_>, item: Item) -> Result<Option<Effect>, StoreError> {
    match item {
        Item::Contact(account, None) => remove(tx, account),
        Item::Contact(account, Some(_)) | Item::Card(account, _) | Item::Nickname(account, _) => {
            rebuild(tx, account)
        }
        Item::Favourite(account, on) => change(tx, account, |about| about.favourite = on),
        Item::Note(account, note) => change(tx, account, |about| about.note = note),
        Item::Lists(account, lists) => change(tx, account, |about| about.lists = lists),
        Item::Permissions(account, permissions) => {
            change(tx, account, |about| about.permissions = permissions)
        }
        Item::Verified(account, key) => change(tx, account, |about| about.verified = key),
        Item::Request(account, asked) => request(tx, account, asked),
        Item::Relayed(account, always) => {
            relaying::note(tx, Some(account), always)?;
            Ok(Some(Effect::Relaying))
        }
        Item::Setting(name, value) if name == relaying::EVERYBODY_SETTING => {
            relaying::note(tx, None, value.is_some())?;
            Ok(Some(Effect::Relaying))
        }
        Item::Setting(name, value) if calls::settings::note(tx, &name, value.as_deref())? => {
            Ok(Some(Effect::Calls))
        }
        Item::Record(Some(record)) => Ok(Some(Effect::Record(record))),
        Item::RequestKey(seed) => Ok(Some(Effect::RequestKey(seed))),
        Item::Profile(name, value) if presence::note(tx, &name, value.as_deref())? => {
            Ok(Some(Effect::Presence))
        }
        Item::Name(name, _) | Item::NameAnswer(name, _) => own_name(tx, &name),
        Item::Profile(name, value) if profiles::note(tx, &name, value.as_deref())? => {
            Ok(Some(Effect::Profile))
        }
        // Kept for those who show them.
        Item::Profile(..) | Item::Setting(..) | Item::Record(None) => Ok(None),
    }
}

fn remove(tx: &Tx<'_>, account: AccountId) -> Result<Option<Effect>, StoreError> {
    let row = contacts::get(tx, account)?;
    if row.is_none_or(|row| matches!(row.relation, Relation::Removed | Relation::Ended) || row.echo)
    {
        return Ok(None);
    }
    contacts::remove(tx, account)?;
    Ok(Some(Effect::Person(account)))
}

fn change(
    tx: &Tx<'_>,
    account: AccountId,
    change: impl FnOnce(&mut About),
) -> Result<Option<Effect>, StoreError> {
    let mut about = about::get(tx, account)?;
    change(&mut about);
    about::put(tx, account, &about)?;
    Ok(Some(Effect::About(account)))
}

/// Somebody's row from all entries about them, in whatever order these came.
fn rebuild(tx: &Tx<'_>, account: AccountId) -> Result<Option<Effect>, StoreError> {
    let Some(Item::Contact(_, Some(known))) = said(tx, &Item::Contact(account, None))? else {
        return Ok(None);
    };
    let before = contacts::get(tx, account)?;
    let was = before.as_ref().map(|row| row.relation);
    let mut row = row(account, &known, before);
    let key_before = row.card.as_ref().map(key_of);
    if let Some(Item::Nickname(_, nickname)) = said(tx, &Item::Nickname(account, None))? {
        row.nickname = nickname;
    }
    if row.relation == Relation::Contact
        && let Some(Item::Card(_, Some(card))) = said(tx, &Item::Card(account, None))?
    {
        take_card(&mut row, *card);
    }
    if row.relation == Relation::Blocked {
        row.card = None;
    }
    contacts::put(tx, &row)?;
    let key = row.card.as_ref().map(key_of);
    if key_before.is_some() && key.is_some() && key != key_before {
        let mut about = about::get(tx, account)?;
        about.key_changed_at = Some(wall_ms());
        about::put(tx, account, &about)?;
        return Ok(Some(Effect::KeyChanged(account)));
    }
    if row.relation == Relation::Blocked && was != Some(Relation::Blocked) {
        contacts::block(tx, account)?;
    }
    Ok(Some(Effect::Person(account)))
}

fn row(account: AccountId, known: &Known, before: Option<Contact>) -> Contact {
    let relation = match known.relation {
        item::Relation::Contact => Relation::Contact,
        item::Relation::Requested => Relation::Requested,
        item::Relation::Blocked => Relation::Blocked,
    };
    match before {
        Some(before) => Contact { relation, ..before },
        None => Contact {
            account,
            relation,
            card: None,
            name: known.name.clone(),
            nickname: None,
            network: known.network,
            homes: known.homes.clone(),
            echo: false,
            added_at: known.added_at,
        },
    }
}

/// `CARD-06`: of both cards the newest of each half and door.
fn take_card(row: &mut Contact, card: SignedCard) {
    let known = row.card.as_ref().and_then(|card| card.verify().ok());
    let Ok(seen) = card.verify() else {
        return;
    };
    let newest = known.map_or_else(|| seen.clone(), |known| known.merged(&seen));
    row.name = newest.card().name.clone();
    row.network = newest.card().network;
    if let Some(door) = newest.doors().first() {
        row.homes = door.home.clone();
    }
    row.card = Some(newest.signed().clone());
}

fn request(
    tx: &Tx<'_>,
    account: AccountId,
    asked: Option<Box<Asked>>,
) -> Result<Option<Effect>, StoreError> {
    let Some(asked) = asked else {
        requests::remove(tx, account)?;
        return Ok(Some(Effect::Request(account)));
    };
    let relation = contacts::get(tx, account)?.map(|row| row.relation);
    if matches!(relation, Some(Relation::Contact | Relation::Blocked)) {
        return Ok(None);
    }
    let request = requests::Request {
        account,
        card: asked.card,
        text: asked.text,
        at: asked.at,
        work: asked.work,
    };
    let kept = matches!(requests::put(tx, &request)?, requests::Put::Kept(_));
    Ok(kept.then_some(Effect::Request(account)))
}

/// A unique name of ours from both entries about it, in whatever order these came.
fn own_name(tx: &Tx<'_>, name: &Name) -> Result<Option<Effect>, StoreError> {
    let claimed = match said(tx, &Item::Name(name.clone(), None))? {
        Some(Item::Name(_, claimed)) => claimed,
        _ => None,
    };
    let answered = match said(tx, &Item::NameAnswer(name.clone(), Answered::default()))? {
        Some(Item::NameAnswer(_, answered)) => answered,
        _ => Answered::default(),
    };
    match claimed.or_else(|| certified(&answered)) {
        Some(claimed) => {
            let name = name.clone();
            let held = Held {
                name,
                claimed,
                answered,
            };
            own_names::put(tx, &held.into())?;
        }
        None => own_names::forget(tx, name)?,
    }
    Ok(Some(Effect::Names))
}

/// The answer came here before what was asked elsewhere.
fn certified(answered: &Answered) -> Option<Claimed> {
    let record = &answered.certificate.as_ref()?.record;
    Some(Claimed {
        network: record.registrar.network,
        registrar: record.registrar.account,
        listing: None,
        asked_at: 0,
    })
}

/// What the set says in the place of this item.
fn said(tx: &Tx<'_>, like: &Item) -> Result<Option<Item>, StoreError> {
    let (key, _) = like.write();
    let entry = own_set::get(tx, &key)?;
    let item = entry.and_then(|entry| Item::read(&entry.key, entry.value.as_deref()).ok());
    Ok(item.flatten())
}
