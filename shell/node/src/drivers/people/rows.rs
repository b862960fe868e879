//! Contacts' rows: made for somebody who has none, and put into the book.

use std::collections::BTreeSet;

use starling_store::contacts::{self, Contact};
use starling_wire::ids::AccountId;

use crate::book::{Person, Relation};
use crate::clock::wall_ms;
use crate::context::{Context, Signal};

/// A row for somebody who is not in the list.
pub(super) fn nobody(account: AccountId, name: String) -> Contact {
    Contact {
        account,
        relation: contacts::Relation::Blocked,
        card: None,
        name,
        nickname: None,
        network: None,
        homes: Vec::new(),
        echo: false,
        added_at: wall_ms(),
    }
}

/// Puts a stored contact into the book.
pub fn remember(ctx: &Context, contact: &Contact) {
    let known = ctx.book.person(contact.account);
    let known = known.map(|person| (person.shown, person.reach, person.linked));
    let (shown, reach, linked) = known.unwrap_or_default();
    let relation = match contact.relation {
        contacts::Relation::Contact => Relation::Contact,
        contacts::Relation::Requested => Relation::Requested,
        contacts::Relation::Blocked => Relation::Blocked,
        contacts::Relation::Removed | contacts::Relation::Ended => return,
    };
    let card = contact.card.clone();
    let before = ctx.book.person(contact.account);
    let before = before.iter().flat_map(Person::doors);
    let doors = card.iter().flat_map(|card| &card.doors);
    let now: BTreeSet<_> = doors.map(|door| door.endpoint).collect();
    let gone = before.filter(|door| !now.contains(&door.endpoint)).count();
    let person = Person {
        relation,
        card,
        nickname: contact.nickname.clone(),
        echo: contact.echo,
        shown,
        reach,
        linked,
    };
    ctx.book.put(contact.account, person);
    if gone > 0 {
        ctx.signal(Signal::DeviceGone(contact.account));
    }
}
