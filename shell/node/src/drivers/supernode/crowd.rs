//! The clients that could serve too: noted when they say so, told when this supernode and others it asks are nearly full.
//! Owns `overlay::crowd`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starling_protocol::overlay::crowd::{Crowd, SAY_EVERY};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{Answer, Refusal};
use tokio::sync::Notify;
use tracing::info;

use super::Service;
use super::notices::DeskInput;
use crate::clock::Clock;

/// For others to say how full they are.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// Who could serve.
#[derive(Debug, Default)]
pub(super) struct Willing {
    crowd: Mutex<Crowd>,
    changed: Notify,
}

impl Willing {
    /// Somebody came: look whether it is time to call for help.
    pub(super) fn look(&self) {
        self.changed.notify_one();
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// `PROMOTE-05`: a registered front door says whether its machine could serve.
    pub(super) async fn note_willing(
        &self,
        asker: EndpointKey,
        willing: bool,
    ) -> Result<Answer, Refusal> {
        self.account_of(asker).await?;
        if !self.willing.crowd().handle_willing(asker, willing) {
            return Err(Refusal::Full);
        }
        self.willing.look();
        Ok(Answer::Ok)
    }

    pub(super) fn percent(&self) -> u8 {
        let percent = self.relay.links() * 100 / self.relay.links_max().max(1);
        u8::try_from(percent).unwrap_or(100).min(100)
    }

    fn could_call(&self, clock: Clock) -> bool {
        let mut crowd = self.willing.crowd();
        crowd.retain(|client| self.relay.address_of(client).is_some());
        crowd.is_due(self.percent(), clock.now())
    }

    /// `PROMOTE-06`: what the others say counts as well as our own load.
    async fn call_for_help(&self, clock: Clock) {
        let Some(among) = self.among().filter(|_| self.could_call(clock)) else {
            return;
        };
        if among.overlay.members() > 0 {
            among.overlay.ask_load().await;
            tokio::time::sleep(ANSWERED_WITHIN).await;
        }
        let others = among.overlay.others_load().await;
        let own = self.percent();
        let call = {
            let mut crowd = self.willing.crowd();
            crowd.handle_others(among.overlay.keys(), clock.now());
            crowd.call(own, others, clock.now())
        };
        if let Some(call) = call {
            info!(
                percent = call.percent,
                clients = call.clients.len(),
                "nearly full: those who could serve are told"
            );
            let _ = self.desk.send(DeskInput::Load(call)).await;
        }
    }
}

/// Looks once a minute, and whenever somebody registers or is willing.
pub(super) async fn run(service: Arc<Service>, clock: Clock) {
    loop {
        service.call_for_help(clock).await;
        let changed = service.willing.changed.notified();
        let _ = tokio::time::timeout(SAY_EVERY, changed).await;
    }
}
