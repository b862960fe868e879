//! Home: keeps the front door behind a living supernode, registers there, watches contacts' presence, collects envelopes.
//! Owns the machines `overlay::home` and `presence::watcher`.

mod around;
mod watching;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use iroh::RelayUrl;
use starling_protocol::overlay::home::{Home, HomeAction, SILENCE_IN_CALL};
use starling_protocol::overlay::lan::{Nearby, Sighting};
use starling_protocol::presence::watcher::{Ask, Reply, Watcher};
use starling_store::{StoreError, Tx, host_cache};
use starling_wire::descriptor::SignedDescriptor;
use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::policy::Trust;
use starling_wire::supernode::{Answer, Notice, Request, SUPERNODES_TOLD, SupernodeAddr};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::notices::Notices;
use super::presence::contacts::Contacts;
use super::registration::Registrar;
use crate::clock::{random, wall_s};
use crate::context::{Context, Signal};
use crate::transport::front_door::Arrival;
use crate::transport::requests::RequestError;
use crate::transport::scout;

/// A registration that failed although the relay is up is tried again after this.
const REGISTER_RETRY: Duration = Duration::from_secs(2);
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// Supernodes to choose from: the network file's, and the host cache.
const CANDIDATES_MAX: usize = 2 * host_cache::CACHE_MAX;

/// What others ask of this driver.
#[derive(Debug)]
pub enum HomeInput {
    /// Contacts or their cards changed.
    Targets,
    /// Other supernodes to choose from.
    Candidates(Vec<SupernodeAddr>),
    /// A call began or the last one ended.
    InCall(bool),
    /// Nothing is heard in a call.
    Suspicion,
    /// This machine is in another network, or was asleep.
    Network,
    /// A connection from a supernode.
    Arrival(Box<Arrival>),
    /// Somebody was seen on the LAN.
    Sighting(Sighting),
    /// A supernode announced itself on the LAN: its key, where it is, its port for address discovery.
    Nearby(EndpointKey, Vec<SocketAddr>, u16),
    /// One said goodbye: half of its key.
    NearbyGone([u8; 16]),
}

/// What the outside may know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HomeState {
    /// The supernode in use or being dialled.
    pub supernode: Option<SupernodeAddr>,
    /// Whether we are registered there.
    pub registered: bool,
    /// Since when (node time) it is so.
    pub since: Duration,
    /// Whether it was only found on the local network.
    pub nearby: bool,
    /// When we were registered for the first time.
    pub first_online: Option<Duration>,
}

enum Done {
    Registered(SupernodeAddr, Result<(), RequestError>),
    Asked(Ask, Reply),
    Probed(bool),
    Collected(bool),
    /// Other supernodes, as they describe themselves.
    Told(Vec<SignedDescriptor>),
    /// One that answers was found among the candidates, or none.
    Found(Option<EndpointKey>),
    Nothing,
}

/// Runs until the session ends.
pub async fn run(
    ctx: Arc<Context>,
    registrar: Arc<Registrar>,
    mut inputs: mpsc::Receiver<HomeInput>,
    state: watch::Sender<HomeState>,
) {
    let now = ctx.clock.now();
    let mut driver = Driver {
        home: Home::new(ctx.homes().supernodes, now),
        watcher: Watcher::new(u64::from_be_bytes(random())),
        contacts: Contacts::default(),
        linked: false,
        tasks: JoinSet::new(),
        notices: Notices::default(),
        state,
        registrar,
        dialled: None,
        searching: false,
        nearby: Nearby::default(),
        search_at: None,
        ctx,
    };
    driver.look_at_targets();
    let mut connected = driver.ctx.door.connected();
    let mut refused = driver.ctx.door.refused();
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    loop {
        driver.drain().await;
        let wake = driver.wake();
        tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => driver.handle(input),
                None => return,
            },
            changed = connected.changed() => {
                if changed.is_err() {
                    return;
                }
                let up = connected.borrow_and_update().clone();
                driver.relay_changed(&up).await;
            }
            Ok(()) = refused.changed() => {
                let reason = refused.borrow_and_update().clone();
                driver.refused(reason);
            }
            Some((supernode, notice)) = driver.notices.next() => driver.noticed(supernode, notice),
            Some(done) = driver.tasks.join_next(), if !driver.tasks.is_empty() => {
                if let Ok(done) = done {
                    driver.finished(done);
                }
            }
            () = tokio::time::sleep_until(wake) => driver.home.handle_timeout(driver.ctx.clock.now()),
            _ = housekeeping.tick() => {
                driver.ctx.supernodes.close_silent().await;
                driver.look_further();
            }
        }
    }
}

struct Driver {
    ctx: Arc<Context>,
    home: Home,
    watcher: Watcher,
    /// What contacts are shown as.
    contacts: Contacts,
    /// Whether the link to the current candidate's relay is up.
    linked: bool,
    tasks: JoinSet<Done>,
    notices: Notices,
    state: watch::Sender<HomeState>,
    registrar: Arc<Registrar>,
    /// Who was dialled and has not taken us in yet.
    dialled: Option<EndpointKey>,
    searching: bool,
    /// Supernodes of the local network, for want of others.
    nearby: Nearby,
    /// At home at one of those: when to look for the others again.
    search_at: Option<Duration>,
}

impl Driver {
    fn wake(&self) -> tokio::time::Instant {
        let home = self.home.poll_timeout().map(|(at, _)| at);
        let watcher = self
            .home
            .is_up()
            .then(|| self.watcher.poll_timeout().map(|due| due.at))
            .flatten();
        let next = [home, watcher]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.ctx.clock.now() + HOUSEKEEPING);
        self.ctx.clock.instant(next)
    }

    /// Carries out everything the machines want.
    async fn drain(&mut self) {
        while let Some(action) = self.home.poll_action() {
            match action {
                HomeAction::Dial(supernode) => {
                    debug!(supernode = %supernode.tcp, "dialling the home supernode");
                    self.linked = false;
                    if let Some(before) = self.dialled.replace(supernode.id) {
                        self.note(before, false);
                    }
                    self.ctx.supernodes.forget(supernode.id).await;
                    self.ctx.door.set_home(&supernode).await;
                    self.publish(&supernode, false);
                    // Its relay is reached on demand, so registering need not wait for iroh to call it home.
                    self.register(supernode, Duration::ZERO);
                }
                HomeAction::Register(supernode) => self.registered(&supernode),
                HomeAction::Renew(supernode) => self.register(supernode, Duration::ZERO),
                HomeAction::Collect(supernode) => self.collect(supernode),
                HomeAction::Probe => self.probe(),
                HomeAction::Seek(candidates) => self.search(candidates),
            }
        }
        self.watch();
    }

    fn handle(&mut self, input: HomeInput) {
        let now = self.ctx.clock.now();
        match input {
            HomeInput::Targets => self.look_at_targets(),
            HomeInput::Candidates(candidates) => self.choose_from(candidates),
            HomeInput::InCall(in_call) => self.home.set_in_call(in_call, now),
            HomeInput::Suspicion => self.home.handle_suspicion(now),
            HomeInput::Network => {
                self.home.handle_network_change(now);
                self.ctx.door.shim().hang_up();
            }
            HomeInput::Arrival(arrival) => {
                let home = self.home.current().map(|home| home.id);
                self.notices.read(*arrival, home);
            }
            HomeInput::Sighting(sighting) => self.sighted(&sighting),
            HomeInput::Nearby(id, at, port) => self.nearby.handle_seen(id, &at, port),
            HomeInput::NearbyGone(name) => self.nearby.handle_gone(&name),
        }
    }

    /// `up` are the relays iroh calls home and is connected to. A home that was left may still be among them, and the
    /// new one is registered at before it is: only the current one's coming and going counts.
    async fn relay_changed(&mut self, up: &[RelayUrl]) {
        let Some(current) = self.home.current().cloned() else {
            return;
        };
        let linked = self.ctx.door.is_home(&current, up);
        if linked {
            self.home.handle_linked();
        }
        match (std::mem::replace(&mut self.linked, linked), linked) {
            (false, true) if !self.home.is_up() => self.register(current, Duration::ZERO),
            (true, false) => {
                debug!("the link to the home supernode was lost");
                self.ctx.supernodes.forget(current.id).await;
                self.publish(&current, false);
                self.home.handle_disconnected(self.ctx.clock.now());
            }
            _ => {}
        }
    }

    /// `HOME-11`: a supernode that lets us not in, because it is full, is left at once.
    fn refused(&mut self, reason: Option<String>) {
        let Some(reason) = reason else { return };
        debug!(%reason, "the home supernode does not let us in");
        self.home.handle_refused(self.ctx.clock.now());
    }

    fn finished(&mut self, done: Done) {
        let now = self.ctx.clock.now();
        match done {
            Done::Registered(supernode, Ok(())) if self.home.current() == Some(&supernode) => {
                self.home.handle_connected(now);
                if self.linked {
                    self.home.handle_linked();
                }
            }
            Done::Registered(supernode, Err(error))
                if self.home.current() == Some(&supernode) && !self.home.is_up() =>
            {
                debug!(%error, "registering failed");
                if self.linked {
                    self.register(supernode, REGISTER_RETRY);
                }
            }
            Done::Registered(..) | Done::Nothing => {}
            Done::Told(told) => self.told(&told),
            Done::Found(found) => {
                self.searching = false;
                self.found(found);
            }
            Done::Collected(answered) => self.home.handle_collected(answered, now),
            Done::Asked(ask, reply) => self.answered(&ask, reply),
            Done::Probed(true) => self.home.handle_heard(now),
            Done::Probed(false) => {}
        }
    }

    fn noticed(&mut self, supernode: EndpointKey, notice: Notice) {
        let now = self.ctx.clock.now();
        match notice {
            Notice::Presence(told) => self.told_presence(supernode, told),
            // HOME-08: any other supernode we let in has no say about our home.
            _ if self.home.current().map(|home| home.id) != Some(supernode) => {
                debug!(reason = "not our home", "ignored a notice");
            }
            Notice::EnvelopeWaiting => self.home.handle_letters(now),
            Notice::Load {
                percent,
                candidates,
            } => self.ctx.signal(Signal::Load {
                percent,
                candidates,
            }),
            Notice::Leaving => self.home.handle_disconnected(now),
        }
    }

    fn register(&mut self, supernode: SupernodeAddr, delay: Duration) {
        let ctx = Arc::clone(&self.ctx);
        let registrar = Arc::clone(&self.registrar);
        self.tasks.spawn(async move {
            tokio::time::sleep(delay).await;
            let result = registrar.register(&ctx, &supernode).await;
            Done::Registered(supernode, result)
        });
    }

    fn registered(&mut self, supernode: &SupernodeAddr) {
        info!(supernode = %supernode.tcp, "registered at the home supernode");
        let nearby = self.is_nearby(supernode).then(|| supernode.clone());
        self.ctx.book.set_nearby(nearby);
        self.look_at_targets();
        self.publish(supernode, true);
        self.watcher.ask_all(self.ctx.clock.now());
        self.ctx.signal(Signal::Home(supernode.clone()));
        self.dialled = None;
        self.note(supernode.id, true);
        self.ask_for_others(supernode.clone());
    }

    /// How a supernode did is noted in the host cache.
    fn note(&mut self, supernode: EndpointKey, reached: bool) {
        let network = self.ctx.homes().network;
        self.write_cache(move |tx| {
            if reached {
                host_cache::reached(tx, network, supernode, wall_s())
            } else {
                host_cache::failed(tx, network, supernode)
            }
        });
    }

    fn write_cache<F>(&mut self, work: F)
    where
        F: FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let db = self.ctx.db.clone();
        self.tasks.spawn(async move {
            if let Err(error) = db.write(work).await {
                warn!(%error, "the host cache could not be written");
            }
            Done::Nothing
        });
    }

    /// Where one did not answer, the others are not tried one by one only: the list may be old.
    fn search(&mut self, candidates: Vec<SupernodeAddr>) {
        if std::mem::replace(&mut self.searching, true) {
            return;
        }
        let ctx = Arc::clone(&self.ctx);
        self.tasks
            .spawn(async move { Done::Found(scout::first_alive(&ctx.pins, candidates).await) });
    }

    fn ask_for_others(&mut self, home: SupernodeAddr) {
        let ctx = Arc::clone(&self.ctx);
        self.tasks.spawn(async move {
            match ctx.supernodes.ask(&home, &Request::Supernodes).await {
                Ok(Answer::Supernodes(told)) => Done::Told(told),
                _ => Done::Nothing,
            }
        });
    }

    /// Other supernodes are remembered, and may become our home.
    fn told(&mut self, told: &[SignedDescriptor]) {
        if self.ctx.config.policy().network.supernodes == Trust::Listed {
            return;
        }
        let mut homes = self.ctx.homes();
        let mut valid = supernodes_of(told, homes.network, wall_s());
        let now = self.ctx.clock.now();
        valid.retain(|one| !self.ctx.standing().is_bad(one.id, now));
        if valid.is_empty() {
            return;
        }
        for supernode in &valid {
            let known = homes.supernodes.iter().any(|one| one.id == supernode.id);
            if !known && homes.supernodes.len() < CANDIDATES_MAX {
                homes.supernodes.push(supernode.clone());
            }
        }
        let (network, candidates) = (homes.network, homes.supernodes.clone());
        self.ctx.set_homes(homes);
        self.choose_from(candidates);
        self.ctx.signal(Signal::Candidates);
        self.write_cache(move |tx| host_cache::told(tx, network, &valid, wall_s()));
    }

    fn publish(&self, supernode: &SupernodeAddr, registered: bool) {
        let now = self.ctx.clock.now();
        let nearby = self.is_nearby(supernode);
        self.state.send_modify(|state| {
            if state.registered != registered || state.supernode.as_ref() != Some(supernode) {
                state.since = now;
            }
            state.supernode = Some(supernode.clone());
            state.registered = registered;
            state.nearby = nearby;
            if registered {
                state.first_online.get_or_insert(now);
            }
        });
    }

    fn probe(&mut self) {
        let (ctx, current) = (Arc::clone(&self.ctx), self.home.current().cloned());
        self.tasks.spawn(async move {
            let request = Request::Lookup {
                account: ctx.identity.account(),
            };
            match current {
                Some(supernode) => Done::Probed(
                    ctx.supernodes
                        .probe(&supernode, &request, SILENCE_IN_CALL)
                        .await,
                ),
                None => Done::Nothing,
            }
        });
    }

    fn collect(&mut self, supernode: SupernodeAddr) {
        let ctx = Arc::clone(&self.ctx);
        let registrar = Arc::clone(&self.registrar);
        self.tasks
            .spawn(async move { Done::Collected(registrar.collect(&ctx, &supernode).await) });
    }
}

/// `HOME-14`: those that describe themselves as supernodes of our network, validly and each for itself.
fn supernodes_of(
    told: &[SignedDescriptor],
    network: Option<NetworkId>,
    now: u64,
) -> Vec<SupernodeAddr> {
    told.iter()
        .take(SUPERNODES_TOLD)
        .filter_map(|signed| Some(signed.verify(network, now).ok()?.get().at.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use starling_wire::descriptor::{Descriptor, Roles};

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn home_14_only_what_supernodes_of_our_network_signed_is_remembered() {
        let described = |seed: u8, network| {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let at = SupernodeAddr {
                id: EndpointKey(key.verifying_key().to_bytes()),
                tcp: "192.0.2.1:27474".parse().unwrap(),
                discovery_port: 0,
            };
            let descriptor = Descriptor {
                at,
                udp_port: 0,
                packet_port: 0,
                network,
                roles: Roles::default(),
                clients_max: 1,
                load: 0,
                issued: NOW,
            };
            descriptor.sign(&key)
        };
        let ours = Some(NetworkId([3; 32]));
        let mut forged = described(2, ours);
        forged.descriptor.at.tcp.set_port(1);
        let told = [described(1, ours), forged, described(3, None)];
        let kept = supernodes_of(&told, ours, NOW);
        assert_eq!(kept, [told[0].descriptor.at.clone()]);
        let flood = vec![described(1, ours); 100];
        assert_eq!(supernodes_of(&flood, ours, NOW).len(), SUPERNODES_TOLD);
    }
}
