//! What clients ask of a supernode about presence: all of it is the desk's to answer.

use starling_protocol::presence::desk::{DeskRefusal, Watcher};
use starling_wire::ids::EndpointKey;
use starling_wire::presence::{Sealed, Sighting};
use starling_wire::supernode::{Answer, Grant, Refusal, SupernodeAddr, Watch};
use tokio::sync::oneshot;

use super::Service;
use super::notices::DeskInput;

/// What the desk answers.
pub(super) type Reply<T> = oneshot::Sender<Result<T, DeskRefusal>>;

/// What the desk is asked.
pub(super) enum Question {
    /// Who watches what.
    Watch(Watcher, Watch, Reply<Vec<Sighting>>),
    /// Whether a list is still what its owner knows of it.
    StillWatch((Watcher, u8), SupernodeAddr, [u8; 16], Reply<()>),
    /// Who may see how a door's person is.
    Grant(EndpointKey, Grant, Reply<()>),
    /// How a door's person is.
    State(EndpointKey, Sealed, Reply<()>),
}

impl Service {
    pub(super) async fn watch(
        &self,
        watcher: EndpointKey,
        watch: Watch,
    ) -> Result<Answer, Refusal> {
        self.check_place(&watch.reply_to)?;
        let watcher = self.watcher(watcher).await;
        self.ask_desk(|reply| Question::Watch(watcher, watch, reply))
            .await
            .map(Answer::Presence)
    }

    pub(super) async fn still_watch(
        &self,
        watcher: EndpointKey,
        list: u8,
        reply_to: SupernodeAddr,
        digest: [u8; 16],
    ) -> Result<Answer, Refusal> {
        self.check_place(&reply_to)?;
        let list = (self.watcher(watcher).await, list);
        self.ask_desk(|reply| Question::StillWatch(list, reply_to, digest, reply))
            .await
            .map(|()| Answer::Ok)
    }

    /// `PRESENCE-28`: who is registered here is not shut out by those who are not.
    async fn watcher(&self, key: EndpointKey) -> Watcher {
        Watcher {
            key,
            registered: self.account_of(key).await.is_ok(),
            block: self.relay.block_of(key),
        }
    }

    /// `PRESENCE-17`: only a registered front door has a presence here.
    pub(super) async fn grant(&self, asker: EndpointKey, grant: Grant) -> Result<Answer, Refusal> {
        self.account_of(asker).await?;
        self.ask_desk(|reply| Question::Grant(asker, grant, reply))
            .await
            .map(|()| Answer::Ok)
    }

    pub(super) async fn set_state(
        &self,
        asker: EndpointKey,
        state: Sealed,
    ) -> Result<Answer, Refusal> {
        self.account_of(asker).await?;
        self.ask_desk(|reply| Question::State(asker, state, reply))
            .await
            .map(|()| Answer::Ok)
    }

    /// `SUPER-05`: nobody makes a public supernode dial into its own network, or any to itself as 0.0.0.0.
    fn check_place(&self, reply_to: &SupernodeAddr) -> Result<(), Refusal> {
        if reply_to.is_usable() && (self.private || reply_to.is_public()) {
            Ok(())
        } else {
            Err(Refusal::Malformed)
        }
    }

    async fn ask_desk<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let input = DeskInput::Presence(question(reply));
        self.desk.send(input).await.map_err(|_| Refusal::Full)?;
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(DeskRefusal::TooSoon)) => Err(Refusal::TooSoon),
            Ok(Err(DeskRefusal::Changed)) => Err(Refusal::Changed),
            Ok(Err(DeskRefusal::Full)) | Err(_) => Err(Refusal::Full),
        }
    }
}
