//! What contacts are shown as: what their devices said, opened, and what their supernodes say.

use std::collections::BTreeMap;

use starling_protocol::presence::person::{Lease, Person};
use starling_protocol::presence::watcher::Seen;
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::presence::{Sealed, Sighting, State};
use tracing::debug;

use crate::book::{self, Reach};
use crate::clock::wall_s;
use crate::context::{Context, Signal};

/// Contacts by account.
#[derive(Debug, Default)]
pub struct Contacts {
    people: BTreeMap<AccountId, Person>,
    /// What could not be opened: the card that opens it may be on its way.
    sealed: BTreeMap<EndpointKey, Seen>,
}

impl Contacts {
    /// Something else is known of a door.
    pub fn handle(&mut self, ctx: &Context, door: EndpointKey, seen: &Seen) {
        let Some(account) = ctx.book.account_behind(door) else {
            return;
        };
        let Some(entry) = ctx.book.person(account) else {
            return;
        };
        let (lease, state) = read(&entry, door, seen);
        if matches!(lease, Lease::Here | Lease::Left(_)) && state.is_none() {
            self.sealed.insert(door, seen.clone());
        } else {
            self.sealed.remove(&door);
        }
        let person = self.people.entry(account).or_default();
        person.handle(door, lease, state, wall_s());
        show(ctx, account, &entry, person);
    }

    /// Contacts or their cards changed: doors that are theirs no more say nothing.
    pub fn refresh(&mut self, ctx: &Context) {
        for (door, seen) in std::mem::take(&mut self.sealed) {
            self.handle(ctx, door, &seen);
        }
        self.people.retain(|account, person| {
            let entry = ctx.book.person(*account);
            let entry = entry.filter(|entry| entry.relation == book::Relation::Contact);
            if let Some(entry) = &entry {
                show(ctx, *account, entry, person);
            }
            entry.is_some()
        });
    }
}

fn show(ctx: &Context, account: AccountId, entry: &book::Person, person: &mut Person) {
    let doors: Vec<EndpointKey> = entry.doors().iter().map(|door| door.endpoint).collect();
    person.retain(&doors);
    let reach = match person.reach() {
        Lease::Here => Reach::Here,
        Lease::Left(_) => Reach::Gone,
        Lease::Unknown | Lease::Nothing => Reach::Unknown,
    };
    let shown = person.shown(wall_s());
    if entry.shown == shown && entry.reach == reach {
        return;
    }
    ctx.book.change(account, |entry| {
        entry.shown = shown;
        entry.reach = reach;
    });
    ctx.signal(Signal::Presence(account));
}

fn read(entry: &book::Person, door: EndpointKey, seen: &Seen) -> (Lease, Option<State>) {
    match seen {
        Seen::Unknown => (Lease::Unknown, None),
        Seen::Said(Sighting::Nothing) => (Lease::Nothing, None),
        Seen::Said(Sighting::Here(sealed)) => (Lease::Here, open(entry, door, sealed)),
        Seen::Said(Sighting::Left { at, state }) => (Lease::Left(*at), open(entry, door, state)),
    }
}

fn open(entry: &book::Person, door: EndpointKey, sealed: &Sealed) -> Option<State> {
    let card = entry.card.as_ref()?;
    match sealed.open(door, &card.card.discovery_key) {
        Ok(state) => Some(state),
        Err(error) => {
            debug!(%error, "ignored a contact's state");
            None
        }
    }
}
