//! Who is let in: so many links in all, so many from one block of addresses, so many of one key. What is told to iroh's
//! relay and to the supernode about who comes and goes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iroh::EndpointId;
use iroh_relay::server::{Access, AccessControl, ClientRequest, ConnectionId};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::is_private;
use tokio::sync::mpsc;

use super::LinkEvent;
use crate::roles::carrier::Carrier;
use crate::transport::endpoint::endpoint_key;

/// Links of one key at once; one more closes the oldest, for only its owner can have it.
const LINKS_OF_ONE: usize = 4;
/// Stands for all whose link is gone while they still ask: no address is this one.
const GONE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How many are let in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    /// In all.
    pub links: usize,
    /// From one block of addresses.
    pub of_block: usize,
}

/// Those who are here.
#[derive(Debug)]
pub struct Links {
    carrier: Carrier,
    events: mpsc::UnboundedSender<LinkEvent>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    places: Places,
    last: u64,
    links: HashMap<ConnectionId, Entry>,
    of_block: HashMap<IpAddr, usize>,
    of_key: HashMap<EndpointKey, Vec<ConnectionId>>,
    /// Links of this process: they take nobody's place.
    own: usize,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    key: EndpointKey,
    /// Whose place it takes; none of this process's own.
    block: Option<IpAddr>,
    peer: IpAddr,
}

/// Why somebody is not let in. The client is told so in these words, and goes to another supernode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// `RELAY-03`.
    #[error("this supernode is full")]
    Links,
    /// `RELAY-05`.
    #[error("this supernode takes no more clients from your part of the network")]
    Block,
}

impl Links {
    /// Nobody is here.
    pub fn new(places: Places, carrier: Carrier, events: mpsc::UnboundedSender<LinkEvent>) -> Self {
        Self {
            carrier,
            events,
            held: Mutex::new(Held {
                places,
                ..Held::default()
            }),
        }
    }

    /// From now on so many are let in; who is here stays.
    pub fn set_places(&self, places: Places) {
        self.held().places = places;
    }

    /// Of others.
    pub fn count(&self) -> usize {
        let held = self.held();
        held.links.len() - held.own
    }

    /// Of others, at once.
    pub fn most(&self) -> usize {
        self.held().places.links
    }

    /// Whose place a client takes. Those that are not here count as one: who hangs up does not get round what is counted by it.
    pub fn block_of(&self, client: EndpointKey) -> Option<IpAddr> {
        if self.carrier.is_own(client) {
            return None;
        }
        let held = self.held();
        let newest = held.of_key.get(&client).and_then(|links| links.last());
        let entry = newest.and_then(|link| held.links.get(link));
        entry.map_or(Some(GONE), |entry| entry.block)
    }

    /// Every link that is up.
    pub fn all(&self) -> Vec<(EndpointKey, ConnectionId)> {
        let held = self.held();
        let links = held.links.iter();
        links.map(|(id, entry)| (entry.key, *id)).collect()
    }

    /// Where a client's packets come from.
    pub fn address_of(&self, client: EndpointKey) -> Option<IpAddr> {
        let held = self.held();
        let newest = held.of_key.get(&client)?.last()?;
        held.links.get(newest).map(|entry| entry.peer)
    }

    /// Takes a place.
    fn add(&self, id: ConnectionId, key: EndpointKey, peer: IpAddr) -> Result<(), Full> {
        let own = self.carrier.is_own(key);
        let mut held = self.held();
        let places = held.places;
        let block = (!own).then(|| block_of(peer));
        if let Some(block) = block {
            // RELAY-03: no more than there is room for.
            if held.links.len() - held.own >= places.links {
                return Err(Full::Links);
            }
            let here = held.of_block.entry(block).or_default();
            // RELAY-05: nobody's part of the network takes all places. Whoever is on this machine is its user's business.
            if *here >= places.of_block && !block.is_loopback() {
                return Err(Full::Block);
            }
            *here += 1;
        }
        held.own += usize::from(own);
        held.last += 1;
        let number = held.last;
        held.of_key.entry(key).or_default().push(id);
        let entry = Entry {
            number,
            key,
            block,
            peer,
        };
        held.links.insert(id, entry);
        drop(held);
        let _ = self.events.send(LinkEvent::Up(key, number));
        Ok(())
    }

    /// The oldest link of a key that has too many.
    pub fn surplus(&self, key: EndpointKey) -> Option<ConnectionId> {
        let held = self.held();
        let of_key = held.of_key.get(&key)?;
        (of_key.len() > LINKS_OF_ONE).then(|| of_key.first().copied())?
    }

    fn remove(&self, id: ConnectionId) {
        let mut held = self.held();
        let Some(entry) = held.links.remove(&id) else {
            return;
        };
        if let Some(of_key) = held.of_key.get_mut(&entry.key) {
            of_key.retain(|other| *other != id);
            if of_key.is_empty() {
                held.of_key.remove(&entry.key);
            }
        }
        match entry.block {
            Some(block) => {
                if let Some(here) = held.of_block.get_mut(&block) {
                    *here -= 1;
                    if *here == 0 {
                        held.of_block.remove(&block);
                    }
                }
            }
            None => held.own -= 1,
        }
        drop(held);
        let _ = self.events.send(LinkEvent::Down(entry.key, entry.number));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose addresses count as one: an IPv4 /24, an IPv6 /48; of a private network each address, for it is a machine.
pub fn block_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        ip if is_private(ip) => ip,
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Ipv4Addr::new(a, b, c, 0).into()
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    }
}

/// One connection at the door, and where its packets come from.
#[derive(Debug)]
pub struct Visit {
    links: Arc<Links>,
    peer: IpAddr,
}

impl Visit {
    /// Of somebody at this address.
    pub const fn new(links: Arc<Links>, peer: IpAddr) -> Self {
        Self { links, peer }
    }
}

impl AccessControl for Visit {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        let key = endpoint_key(request.endpoint_id());
        match self.links.add(request.connection_id(), key, self.peer) {
            Ok(()) => Access::Allow,
            Err(full) => Access::Deny {
                reason: Some(full.to_string()),
            },
        }
    }

    fn on_disconnect(&self, _endpoint_id: EndpointId, connection_id: ConnectionId) {
        self.links.remove(connection_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn relay_05_who_hung_up_counts_with_all_others_who_did() {
        let carrier = Carrier::new(Clock::start());
        let [own, other] = [1, 2].map(|byte| EndpointKey([byte; 32]));
        carrier.serve(own);
        let links = Links::new(Places::default(), carrier, mpsc::unbounded_channel().0);
        assert_eq!(links.block_of(other), Some(GONE));
        assert_eq!(links.block_of(own), None);
    }

    #[test]
    fn relay_05_neighbours_share_a_block_and_machines_of_a_private_network_do_not() {
        let block = |ip: &str| block_of(ip.parse().expect("an address")).to_string();
        assert_eq!(block("203.0.113.7"), "203.0.113.0");
        assert_eq!(block("::ffff:203.0.113.9"), "203.0.113.0");
        assert_eq!(block("2001:db8:1:2::3"), "2001:db8:1::");
        assert_eq!(block("192.168.1.7"), "192.168.1.7");
        assert_eq!(block("fd00::7"), "fd00::7");
        assert_eq!(block("::ffff:127.0.0.1"), "127.0.0.1");
    }
}
