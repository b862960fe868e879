//! What the local network offers: contacts at other addresses than they told, and supernodes for want of others.

use std::time::Duration;

use starling_protocol::overlay::lan::{self, Sighting};
use starling_wire::ids::EndpointKey;
use starling_wire::policy::Trust;
use starling_wire::supernode::SupernodeAddr;
use tracing::{debug, info};

use super::Driver;
use crate::clock::wall_s;
use crate::context::Signal;

/// How often other supernodes are looked for while one of the local network stands in.
const SEARCH_AGAIN: Duration = Duration::from_secs(60);

impl Driver {
    pub(super) fn found(&mut self, found: Option<EndpointKey>) {
        let now = self.ctx.clock.now();
        match found {
            Some(found) => {
                if self.search_at.take().is_some() {
                    let candidates = self.ctx.homes().supernodes;
                    self.home.set_candidates(candidates, now);
                }
                self.home.handle_found(found, now);
            }
            None if !self.home.is_up() => self.settle_nearby(),
            None => {}
        }
    }

    /// `DISCOVERY-04`: no other supernode answers: one that announces itself on the local network stands in.
    fn settle_nearby(&mut self) {
        if self.ctx.config.policy().network.supernodes == Trust::Listed {
            return;
        }
        let candidates = self.ctx.homes().supernodes;
        let nearby = self.nearby.besides(&candidates);
        // Not the latest: whoever announces most often is not preferred.
        let Some(first) = nearby.first().map(|one| one.id) else {
            return;
        };
        info!("no supernode answers: one of the local network stands in");
        let now = self.ctx.clock.now();
        for one in &nearby {
            self.ctx.pins.learn(one);
        }
        self.search_at = Some(now + SEARCH_AGAIN);
        self.choose_from(candidates);
        self.home.handle_found(first, now);
    }

    /// Other supernodes to choose from; those of the local network stay among them while one of them stands in.
    pub(super) fn choose_from(&mut self, mut candidates: Vec<SupernodeAddr>) {
        if self.search_at.is_some() {
            candidates.extend(self.nearby.besides(&candidates));
        }
        let now = self.ctx.clock.now();
        self.home.set_candidates(candidates, now);
    }

    /// While one of the local network stands in, the others are looked for.
    pub(super) fn look_further(&mut self) {
        let now = self.ctx.clock.now();
        if self.search_at.is_some_and(|at| at <= now) && self.home.is_up() {
            self.search_at = Some(now + SEARCH_AGAIN);
            let candidates = self.ctx.homes().supernodes;
            self.search(candidates);
        }
    }

    /// Whether the home in use is one that was only found on the local network.
    pub(super) fn is_nearby(&self, supernode: &SupernodeAddr) -> bool {
        !self.ctx.homes().supernodes.contains(supernode)
    }

    /// A contact's machine was seen on the LAN: its supernode may answer at another address now. Letters that waited
    /// for it may go.
    pub(super) fn sighted(&mut self, sighting: &Sighting) {
        for (account, person) in self.ctx.book.people() {
            let Some(card) = &person.card else { continue };
            let key = &card.card.discovery_key;
            if !lan::is_contacts(sighting, account, key, wall_s()) {
                continue;
            }
            // A token is the account's: of several devices nobody could say which was seen.
            let [door] = person.doors() else { continue };
            let Some(homes) = lan::homes_after(&door.home, sighting) else {
                continue;
            };
            debug!("a contact was found on the local network at another address");
            self.ctx.book.change(account, |person| {
                for door in person.card.iter_mut().flat_map(|card| &mut card.doors) {
                    door.home.clone_from(&homes);
                }
            });
            self.ctx.signal(Signal::Found(account));
        }
    }
}
