//! Contacts' presence: what the watcher wants to ask, and what it hears.

use std::sync::Arc;

use starling_protocol::presence::watcher::{Ask, Question, Reply, Target};
use starling_wire::ids::EndpointKey;
use starling_wire::limits::SIGHTINGS_MAX;
use starling_wire::presence::Sighting;
use starling_wire::supernode::{Answer, Refusal, Request, Watch};
use tracing::debug;

use super::{Done, Driver};
use crate::context::Context;
use crate::transport::requests::RequestError;

impl Driver {
    /// Contacts or their cards changed.
    pub(super) fn look_at_targets(&mut self) {
        let targets = targets(&self.ctx);
        self.watcher.set_targets(&targets, self.ctx.clock.now());
        self.contacts.refresh(&self.ctx);
    }

    /// Asks what is due, and passes on what became known.
    pub(super) fn watch(&mut self) {
        if self.home.is_up() {
            while let Some(ask) = self.watcher.poll_ask(self.ctx.clock.now()) {
                self.ask(ask);
            }
        }
        while let Some((door, seen)) = self.watcher.poll_change() {
            self.contacts.handle(&self.ctx, door, &seen);
        }
    }

    fn ask(&mut self, ask: Ask) {
        let ctx = Arc::clone(&self.ctx);
        self.tasks.spawn(async move {
            let reply = match put(&ctx, &ask).await {
                Ok(Answer::Presence(said)) if said.iter().all(Sighting::is_whole) => {
                    Reply::Sightings(said)
                }
                Ok(Answer::Ok) => Reply::Still,
                Err(RequestError::Refused(Refusal::Changed)) => Reply::Changed,
                Ok(_) => Reply::Failed,
                Err(error) => {
                    debug!(%error, "a supernode could not be asked for presence");
                    Reply::Failed
                }
            };
            Done::Asked(ask, reply)
        });
    }

    pub(super) fn answered(&mut self, ask: &Ask, reply: Reply) {
        let now = self.ctx.clock.now();
        if reply != Reply::Failed {
            self.home.handle_visit(ask.supernode.id, now);
        }
        self.watcher.handle_reply(ask, reply, now);
    }

    pub(super) fn told_presence(
        &mut self,
        supernode: EndpointKey,
        told: Vec<(starling_wire::ids::SubscriptionId, Sighting)>,
    ) {
        for (id, sighting) in told.into_iter().take(SIGHTINGS_MAX) {
            if sighting.is_whole() {
                self.watcher.handle_notice(supernode, id, sighting);
            }
        }
    }
}

/// Who is watched where.
pub(super) fn targets(ctx: &Context) -> Vec<Target> {
    let (own, identity) = (ctx.identity.account(), ctx.identity.get());
    let secret = &identity.request_secret;
    ctx.book
        .watch_targets(|key, door| ctx.own_presence.subscription((secret, key), door, own))
}

async fn put(ctx: &Context, ask: &Ask) -> Result<Answer, RequestError> {
    let reply_to = ctx.door.home().ok_or(RequestError::Unexpected)?;
    ctx.pins.learn(&ask.supernode);
    let list = ask.list;
    let request = match &ask.question {
        Question::Watch(ids) => Request::Watch(Watch {
            list,
            ids: ids.clone(),
            reply_to,
        }),
        Question::Still(digest) => Request::StillWatch {
            list,
            reply_to,
            digest: *digest,
        },
    };
    ctx.supernodes.ask(&ask.supernode, &request).await
}
