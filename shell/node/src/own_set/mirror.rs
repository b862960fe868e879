//! From the tables to the set: what they say of somebody, as entries.

use starling_store::contacts::{self, Contact, Relation};
use starling_store::own_names::OwnName;
use starling_store::{StoreError, Tx, about, own_set, requests};
use starling_wire::ids::AccountId;
use starling_wire::own_name::Held;
use starling_wire::sync::item::{self, Asked, Item, Known};

use crate::relaying;

/// What all devices are to know of somebody. The sound-test node belongs to this machine alone.
pub fn items(tx: &Tx<'_>, account: AccountId) -> Result<Vec<Item>, StoreError> {
    let row = contacts::get(tx, account)?.filter(|row| !row.echo);
    let request = requests::get(tx, account)?;
    let relation = row.as_ref().and_then(|row| relation(row.relation));
    let mut items = Vec::new();
    // Decided once: what was learned since is no decision.
    if decided(tx, account)? != relation {
        let known = row.as_ref().zip(relation).map(|(row, to)| known(row, to));
        items.push(Item::Contact(account, known));
    }
    let about = about::get(tx, account)?;
    let (card, nickname) = row.map_or((None, None), |row| (row.card, row.nickname));
    let asked = request.map(|request| {
        Box::new(Asked {
            card: request.card,
            text: request.text,
            at: request.at,
            work: request.work,
        })
    });
    items.extend([
        Item::Card(account, card.map(Box::new)),
        Item::Nickname(account, nickname),
        Item::Request(account, asked),
        Item::Favourite(account, about.favourite),
        Item::Note(account, about.note),
        Item::Lists(account, about.lists),
        Item::Permissions(account, about.permissions),
        Item::Verified(account, about.verified),
        Item::Relayed(account, relaying::is_chosen(tx, account)?),
    ]);
    Ok(items)
}

/// What all devices are to know of a unique name of ours.
pub fn name(own: OwnName) -> [Item; 2] {
    let held = Held::from(own);
    [
        Item::Name(held.name.clone(), Some(held.claimed)),
        Item::NameAnswer(held.name, held.answered),
    ]
}

fn decided(tx: &Tx<'_>, account: AccountId) -> Result<Option<item::Relation>, StoreError> {
    let (key, _) = Item::Contact(account, None).write();
    let entry = own_set::get(tx, &key)?;
    let item = entry.map(|entry| Item::read(&entry.key, entry.value.as_deref()));
    Ok(match item {
        Some(Ok(Some(Item::Contact(_, Some(known))))) => Some(known.relation),
        _ => None,
    })
}

const fn relation(relation: Relation) -> Option<item::Relation> {
    match relation {
        Relation::Contact => Some(item::Relation::Contact),
        Relation::Requested => Some(item::Relation::Requested),
        Relation::Blocked => Some(item::Relation::Blocked),
        Relation::Removed | Relation::Ended => None,
    }
}

fn known(row: &Contact, relation: item::Relation) -> Known {
    Known {
        relation,
        name: row.name.clone(),
        network: row.network,
        homes: row.homes.clone(),
        added_at: row.added_at,
    }
}
