//! Rooms for clients: asked for here, entered over UDP at the [forwarder](crate::drivers::forwarder).

use starling_protocol::conference::focus::Asker;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{Answer, Refusal};

use super::{Service, Supernode};
use crate::roles::Role;

impl Service {
    /// `FWD-01`: whoever is registered here may have a room, where others' packets are carried over UDP.
    pub(super) async fn open_room(&self, asker: EndpointKey) -> Result<Answer, Refusal> {
        let account = self.account_of(asker).await?;
        let port = self.among().map_or(0, |among| among.links.udp_port());
        if port == 0 || !self.carrier.is_on(Role::Relay) {
            return Err(Refusal::NoForwarder);
        }
        let by = Asker {
            door: asker,
            account,
            block: self.relay.block_of(asker),
        };
        let id = self.forwarder.open(by).map_err(|_| Refusal::Full)?;
        Ok(Answer::Room { id, port })
    }
}

impl Supernode {
    /// Calls that are forwarded, and what was dropped, in words.
    pub fn forwarding_words(&self) -> Option<String> {
        self.service.forwarder.words()
    }
}
