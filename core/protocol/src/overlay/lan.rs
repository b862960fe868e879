//! Contacts on the local network (spec page "discovery"): what is announced of us, and what another's announcement leads
//! to. Pure decisions; the driver has mDNS and the wall clock, in Unix seconds, because tokens are counted in days.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use starling_wire::discovery::{self, Token};
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::supernode::{SupernodeAddr, is_private};

const DAY_S: u64 = 24 * 3600;
/// Supernodes of the local network that are remembered.
const NEARBY_MAX: usize = 8;

/// What is on the air about us. To everybody but contacts it says: somebody, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Today's token.
    pub token: Token,
    /// Where this machine's supernode listens, TCP.
    pub port: u16,
    /// Its UDP port for address discovery; 0 when it has none.
    pub discovery_port: u16,
}

/// Somebody's announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Token.
    pub token: Token,
    /// Where that machine's supernode is said to answer.
    pub addresses: Vec<SocketAddr>,
    /// Its UDP port for address discovery.
    pub discovery_port: u16,
}

/// What to announce now. Nothing where this machine serves nobody on a local network: then there is nothing to be found.
pub fn announcement(
    account: AccountId,
    discovery_key: &[u8; 32],
    own: Option<&SupernodeAddr>,
    now: u64,
) -> Option<Announcement> {
    let own = own.filter(|own| is_local(own.tcp.ip()))?;
    Some(Announcement {
        token: discovery::token(account, discovery_key, now),
        port: own.tcp.port(),
        discovery_port: own.discovery_port,
    })
}

/// How long today's token is good.
pub const fn until_next_token(now: u64) -> Duration {
    Duration::from_secs(DAY_S - now % DAY_S)
}

/// Whether a contact was seen (`DISCOVERY-01`).
pub fn is_contacts(
    sighting: &Sighting,
    account: AccountId,
    discovery_key: &[u8; 32],
    now: u64,
) -> bool {
    discovery::recognises(&sighting.token, account, discovery_key, now)
}

/// Where a contact's door is to be looked for from now on, `None` if nothing changes. Its supernode's key stays the
/// card's, so whoever else answers there is refused; the card's own address stays in the list, so a false announcement
/// costs an attempt and no more.
pub fn homes_after(homes: &[SupernodeAddr], sighting: &Sighting) -> Option<Vec<SupernodeAddr>> {
    let first = homes.first().filter(|home| home.is_private())?;
    if sighting.addresses.contains(&first.tcp) {
        return None;
    }
    let of_card = homes.iter().rfind(|home| home.id == first.id)?;
    let others = homes.iter().filter(|home| home.id != first.id);
    let of_card_and_others = std::iter::once(of_card).chain(others).cloned();
    if sighting.addresses.contains(&of_card.tcp) {
        return Some(of_card_and_others.collect());
    }
    // DISCOVERY-02: only a local network's own addresses are believed.
    let tcp = sighting.addresses.iter().find(|at| is_local(at.ip()))?;
    let sighted = SupernodeAddr {
        tcp: *tcp,
        discovery_port: sighting.discovery_port,
        id: first.id,
    };
    Some(std::iter::once(sighted).chain(of_card_and_others).collect())
}

/// What a supernode announces openly: itself, if it serves a network on a local address. One that serves its own profile only
/// says nothing of this kind: its key would make the person's machine recognisable from day to day.
pub fn offer(own: Option<&SupernodeAddr>, serves_network: bool) -> Option<SupernodeAddr> {
    own.filter(|own| serves_network && is_local(own.tcp.ip()))
        .cloned()
}

/// Supernodes that were seen on the local network, the first first. They are used only while no other answers.
#[derive(Debug, Clone, Default)]
pub struct Nearby(Vec<SupernodeAddr>);

impl Nearby {
    /// One announced itself, at these addresses.
    pub fn handle_seen(&mut self, id: EndpointKey, at: &[SocketAddr], discovery_port: u16) {
        // DISCOVERY-03: only a local network's own addresses are believed.
        let Some(tcp) = at.iter().find(|at| is_local(at.ip()) && at.port() != 0) else {
            return;
        };
        let seen = SupernodeAddr {
            id,
            tcp: *tcp,
            discovery_port,
        };
        // Whoever came later pushes nobody out.
        if let Some(known) = self.0.iter_mut().find(|one| one.id == id) {
            *known = seen;
        } else if self.0.len() < NEARBY_MAX {
            self.0.push(seen);
        }
    }

    /// One said goodbye, by the half of its key that is its name.
    pub fn handle_gone(&mut self, name: &[u8]) {
        self.0.retain(|one| !one.id.0.starts_with(name));
    }

    /// Those that may be used, besides these that are known anyway.
    pub fn besides(&self, known: &[SupernodeAddr]) -> Vec<SupernodeAddr> {
        let new = |one: &&SupernodeAddr| known.iter().all(|other| other.id != one.id);
        self.0.iter().filter(new).cloned().collect()
    }
}

fn is_local(ip: IpAddr) -> bool {
    is_private(ip) && !ip.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: AccountId = AccountId([1; 32]);
    const KEY: [u8; 32] = [2; 32];
    const NOON: u64 = 1_800_000_000 / DAY_S * DAY_S + DAY_S / 2;

    fn home(id: u8, tcp: &str) -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey([id; 32]),
            tcp: tcp.parse().expect("an address"),
            discovery_port: 27476,
        }
    }

    fn sighting(addresses: &[&str]) -> Sighting {
        let parse = |text: &&str| text.parse().expect("an address");
        Sighting {
            token: discovery::token(ALICE, &KEY, NOON),
            addresses: addresses.iter().map(parse).collect(),
            discovery_port: 5,
        }
    }

    #[test]
    fn only_a_machine_that_serves_its_own_network_announces_itself() {
        let announced = |tcp: &str| announcement(ALICE, &KEY, Some(&home(7, tcp)), NOON);
        let expected = Announcement {
            token: discovery::token(ALICE, &KEY, NOON),
            port: 27474,
            discovery_port: 27476,
        };
        assert_eq!(announced("192.168.1.4:27474"), Some(expected));
        assert_eq!(announced("198.51.100.4:27474"), None, "public");
        assert_eq!(announced("127.0.0.1:27474"), None, "this machine only");
        assert_eq!(announcement(ALICE, &KEY, None, NOON), None, "no supernode");
    }

    #[test]
    fn the_token_changes_at_midnight_and_says_nothing_to_strangers() {
        let own = home(7, "192.168.1.4:27474");
        let token = |now| {
            announcement(ALICE, &KEY, Some(&own), now)
                .expect("announced")
                .token
        };
        let midnight = NOON + until_next_token(NOON).as_secs();
        assert_eq!(until_next_token(NOON), Duration::from_secs(DAY_S / 2));
        assert_eq!(token(midnight - 1), token(NOON));
        assert_ne!(token(midnight), token(NOON));
        assert_eq!(until_next_token(midnight), Duration::from_secs(DAY_S));
        let seen = sighting(&["192.168.1.4:27474"]);
        assert!(is_contacts(&seen, ALICE, &KEY, NOON));
        assert!(
            !is_contacts(&seen, ALICE, &[3; 32], NOON),
            "without her card"
        );
        assert!(!is_contacts(&seen, AccountId([9; 32]), &KEY, NOON));
    }

    #[test]
    fn a_contact_that_moved_is_looked_for_at_both_places_under_the_cards_key() {
        let card = [home(7, "192.168.1.4:27474"), home(8, "192.0.2.1:27474")];
        let moved = homes_after(&card, &sighting(&["192.168.1.9:1000"])).expect("a change");
        let sighted = SupernodeAddr {
            discovery_port: 5,
            ..home(7, "192.168.1.9:1000")
        };
        assert_eq!(moved, [&[sighted], &card[..]].concat());
        // Again at the same place, and further on: never more than one sighted address.
        assert_eq!(homes_after(&moved, &sighting(&["192.168.1.9:1000"])), None);
        let further = homes_after(&moved, &sighting(&["10.0.0.1:1000"])).expect("a change");
        assert_eq!(further.len(), 3);
        assert_eq!(&further[1..], card);
        assert_eq!(
            homes_after(&further, &sighting(&["192.168.1.4:27474"])),
            Some(card.to_vec()),
            "back again"
        );
    }

    #[test]
    fn discovery_02_an_announcement_changes_nothing_for_others_and_believes_only_local_addresses() {
        let at_home = [home(7, "192.168.1.4:27474")];
        assert_eq!(
            homes_after(&at_home, &sighting(&["192.168.1.4:27474"])),
            None
        );
        assert_eq!(homes_after(&at_home, &sighting(&["198.51.100.1:1"])), None);
        assert_eq!(homes_after(&at_home, &sighting(&["127.0.0.1:1"])), None);
        assert_eq!(homes_after(&at_home, &sighting(&[])), None);
        let public = [home(7, "198.51.100.4:27474")];
        assert_eq!(
            homes_after(&public, &sighting(&["192.168.1.9:1000"])),
            None,
            "one at home in a public network is found there"
        );
        assert_eq!(homes_after(&[], &sighting(&["192.168.1.9:1000"])), None);
    }

    #[test]
    fn only_a_supernode_of_a_network_on_a_local_address_is_announced_openly() {
        let (local, public) = (home(7, "192.168.1.4:27474"), home(7, "198.51.100.4:27474"));
        assert_eq!(offer(Some(&local), true), Some(local.clone()));
        assert_eq!(offer(Some(&local), false), None, "the profile's own");
        assert_eq!(offer(Some(&public), true), None);
        assert_eq!(offer(None, true), None);
    }

    #[test]
    fn discovery_03_supernodes_seen_are_few_local_and_none_that_is_known_anyway() {
        let mut nearby = Nearby::default();
        let at = |text: &str| vec![text.parse().expect("an address")];
        for bad in ["198.51.100.1:1", "127.0.0.1:1", "192.168.1.4:0"] {
            nearby.handle_seen(EndpointKey([1; 32]), &at(bad), 0);
        }
        nearby.handle_seen(EndpointKey([1; 32]), &[], 0);
        assert!(nearby.besides(&[]).is_empty());
        for number in 0..20 {
            nearby.handle_seen(EndpointKey([number; 32]), &at("192.168.1.4:27474"), 27476);
        }
        let seen = nearby.besides(&[]);
        assert_eq!(seen.len(), NEARBY_MAX);
        assert_eq!(seen[7], home(7, "192.168.1.4:27474"));
        nearby.handle_seen(EndpointKey([7; 32]), &at("192.168.1.5:27474"), 27476);
        assert_eq!(nearby.besides(&[]).len(), NEARBY_MAX, "it moved");
        assert_eq!(nearby.besides(&seen[..7]), [home(7, "192.168.1.5:27474")]);
        nearby.handle_gone(&[7; 16]);
        assert_eq!(nearby.besides(&[]).len(), NEARBY_MAX - 1);
    }
}
