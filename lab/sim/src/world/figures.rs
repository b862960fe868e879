//! What is counted while the world runs, and the report made of it.

use std::time::Duration;

use super::World;
use crate::client::Client;
use crate::message::NodeId;
use crate::report::{Calls, Clients, Lookups, Pairs, Report, Spread};

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) start: Vec<Duration>,
    pub(super) back: Vec<Duration>,
    pub(super) lookups: Vec<Duration>,
    pub(super) asked: u32,
    pub(super) right: u32,
    pub(super) promoted: u32,
    pub(super) one_again: Option<Duration>,
    pub(super) bytes: u64,
    pub(super) membership_bytes: u64,
    pub(super) supernode_seconds: f64,
    pub(super) node_seconds: f64,
    pub(super) signatures: u64,
    /// Machines that began to serve once more.
    pub(super) flapped: u32,
    /// Waves of questions before the answer.
    pub(super) rounds: Vec<Duration>,
    /// How the two of a look-up would be connected.
    pub(super) rungs: [u32; 3],
    pub(super) calls: u32,
    pub(super) calls_lost: u32,
    /// Silence in calls whose relay went.
    pub(super) gaps: Vec<Duration>,
}

impl World {
    pub(super) fn report(self) -> Report {
        let supernodes = self.supernodes();
        let there = self.nodes.iter().filter(|node| !node.dead);
        let with_client: Vec<&Client> = there.filter_map(|node| node.client.as_ref()).collect();
        let home = with_client.iter().filter(|client| client.is_home()).count();
        let figures = &self.figures;
        let share = |count: u32| f64::from(count) / f64::from(figures.asked.max(1));
        Report {
            scenario: self.scenario.name.clone(),
            seed: self.scenario.seed,
            nodes: u32::try_from(with_client.len()).unwrap_or(u32::MAX),
            supernodes: u32::try_from(supernodes.len()).unwrap_or(u32::MAX),
            promoted: figures.promoted,
            membership_right: self.membership_right(),
            at_home: home as f64 / with_client.len().max(1) as f64,
            one_again_ms: figures.one_again.map_or(0, |time| {
                u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
            }),
            membership_bytes_s: figures.membership_bytes as f64 / figures.supernode_seconds,
            bytes_s: figures.bytes as f64 / figures.node_seconds,
            signatures: figures.signatures,
            flapped: figures.flapped,
            start_ms: Spread::of(&figures.start),
            back_ms: Spread::of(&figures.back),
            clients: self.clients(&supernodes),
            lookups: Lookups {
                asked: figures.asked,
                right: share(figures.right),
                ms: Spread::of(&figures.lookups),
                rounds: Spread::of(&figures.rounds),
            },
            pairs: Pairs {
                direct: share(figures.rungs[0]),
                punched: share(figures.rungs[1]),
                relayed: share(figures.rungs[2]),
            },
            calls: Calls {
                begun: figures.calls,
                lost: figures.calls_lost,
                gap_ms: Spread::of(&figures.gaps),
            },
        }
    }

    fn clients(&self, supernodes: &[NodeId]) -> Clients {
        let mut clients: Vec<u32> = Vec::new();
        let mut above_cap = 0;
        for node in supernodes {
            if let Some(supernode) = &self.nodes[*node as usize].supernode {
                let (now, most) = supernode.clients();
                clients.push(now);
                above_cap += u32::from(most > self.scenario.clients_max);
            }
        }
        clients.sort_unstable();
        Clients {
            p50: clients.get(clients.len() / 2).copied().unwrap_or(0),
            most: clients.last().copied().unwrap_or(0),
            above_cap,
        }
    }
}
