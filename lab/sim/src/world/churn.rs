//! Nodes that come and go: online times and the deaths of addresses as they were measured of Skype.
//!
//! Clients stay for one to two or seven to ten hours, one in twenty longer; machines that could serve for 5.5 hours in the
//! median, a tenth to ten times that. They are away for less than two hours or for more than eleven. 46 of 100 come back at
//! another address: nobody who remembers the old one finds them there.

use std::time::Duration;

use super::{Event, Node, World};
use crate::client::Client;
use crate::message::{Message, NodeId};
use crate::world::{NOTICED, Outbox};

/// Share that comes back at another address.
const MOVES: f64 = 0.46;
/// Share that goes without a word.
const CRASHES: f64 = 0.2;

impl World {
    /// When a node that has come will go.
    pub(super) fn plan_going(&mut self, node: NodeId) {
        self.nodes[node as usize].session += 1;
        if !self.scenario.churn || node < self.scenario.founders {
            return;
        }
        let mut stays = if self.nodes[node as usize].eligible {
            5.5 * 10_f64.powf(2.0 * self.chance.unit() - 1.0)
        } else {
            self.client_hours()
        };
        // Whoever is there at the start has been for a while.
        if self.now <= Duration::from_secs(self.scenario.ramp_s) {
            stays *= self.chance.unit();
        }
        let session = self.nodes[node as usize].session;
        self.queue
            .add(self.now + hours(stays), Event::Go(node, session));
    }

    fn client_hours(&mut self) -> f64 {
        let (kind, within) = (self.chance.unit(), self.chance.unit());
        match kind {
            0.0..0.55 => 1.0 + within,
            0.55..0.95 => 7.0 + 3.0 * within,
            _ => 10.0 + 158.0 * within,
        }
    }

    /// A node goes; it, or the same machine at another address, comes back.
    pub(super) fn go(&mut self, node: NodeId, session: u32) {
        let gone = &self.nodes[node as usize];
        if gone.dead || gone.session != session {
            return;
        }
        if gone.in_call.is_some() {
            let later = self.now + hours(0.2);
            return self.queue.add(later, Event::Go(node, session));
        }
        let orderly = !self.chance.is(CRASHES);
        if orderly {
            self.say_goodbye(node);
        }
        self.depart(node, !orderly);
        let away = if self.chance.is(0.6) {
            0.25 + 1.75 * self.chance.unit()
        } else {
            11.0 + 9.0 * self.chance.unit()
        };
        let back = if self.chance.is(MOVES) {
            self.move_house(node)
        } else {
            node
        };
        self.queue.add(self.now + hours(away), Event::Come(back));
    }

    /// A supernode dies without a word.
    pub(super) fn die(&mut self, node: NodeId) {
        if !self.nodes[node as usize].dead {
            self.depart(node, true);
        }
    }

    /// This share of the supernodes, one after another.
    pub(super) fn fade(&mut self, share: f64, over: Duration) {
        self.befallen = true;
        let all = self.supernodes();
        let count = (all.len() as f64 * share) as usize;
        for victim in self.chance.some(&all, count) {
            let at = self.now + over.mul_f64(self.chance.unit());
            self.queue.add(at, Event::Die(victim));
        }
    }

    fn say_goodbye(&mut self, node: NodeId) {
        let mut out = Outbox::default();
        let leaving = &mut self.nodes[node as usize];
        if let Some(supernode) = &mut leaving.supernode {
            supernode.leave(self.now, &mut out);
        }
        if let Some(home) = leaving.client.as_ref().and_then(Client::home) {
            out.send(home, Message::Closed);
        }
        self.post(node, out);
    }

    /// It is gone; whoever was linked with it notices, in time, if nothing was said.
    fn depart(&mut self, node: NodeId, noticed: bool) {
        let gone = &mut self.nodes[node as usize];
        gone.dead = true;
        gone.wakes_at = None;
        self.there -= 1;
        let client = gone.client.take();
        let supernode = gone.supernode.take();
        self.serving -= u32::from(supernode.is_some());
        let home = client.as_ref().and_then(Client::home);
        gone.cache = client.map_or_else(Vec::new, |client| client.known().to_vec());
        let clients = supernode.map_or_else(Vec::new, |supernode| supernode.client_list());
        if !noticed {
            return;
        }
        for other in clients.into_iter().chain(home) {
            let (soonest, latest) = NOTICED;
            let at = self.now + soonest + (latest - soonest).mul_f64(self.chance.unit());
            self.queue
                .add(at, Event::Deliver(node, other, Message::Closed));
        }
        self.silence_calls(|_, _, home| home == node);
    }

    /// The same machine at another address: a new node, with what the old one remembers.
    fn move_house(&mut self, node: NodeId) -> NodeId {
        let number = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let mut moved = Node::new(number, &self.scenario, &mut self.chance);
        let old = &mut self.nodes[node as usize];
        moved.place = old.place;
        moved.eligible = old.eligible;
        moved.nat = old.nat;
        moved.served = old.served;
        moved.cache = std::mem::take(&mut old.cache);
        moved.dead = true;
        self.nodes.push(moved);
        number
    }
}

fn hours(hours: f64) -> Duration {
    Duration::from_secs_f64(hours * 3_600.0)
}
