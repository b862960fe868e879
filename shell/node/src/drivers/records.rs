//! Records: our own, signed and published on a timetable and looked for at others than the home; other people's, asked of two
//! supernodes at once; and the other homes, where we are registered too. Owns the machines `index::publisher`,
//! `index::resolver` and `overlay::standby`.
//!
//! Whoever does badly too often is no candidate for a home any more (`INDEX-23`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use starling_protocol::index::Record;
use starling_protocol::index::publisher::{
    Last, PUBLISH_EVERY, Publisher, PublisherEvent, Transmit,
};
use starling_protocol::index::resolver::{self, Fault, LookupId, Reply, Resolver, ResolverEvent};
use starling_protocol::machine::Time;
use starling_protocol::overlay::standby::{Standby, StandbyEvent};
use starling_store::{Tx, settings};
use starling_wire::ids::{AccountId, EndpointKey};
use starling_wire::placement::IndexKey;
use starling_wire::record::{AccountRecord, RecordError, Verified};
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::home::{HomeInput, HomeState};
use super::registration::{self, Registrar};
use crate::clock::{random, sleep_until, wall_s};
use crate::context::{Context, Homes, Signal};
use crate::transport::requests::RequestError;

/// Supernodes that are asked for a record or told of one, the homes among them.
const ASKED: usize = 8;
/// Supernodes asked at once, so that their answers are compared.
const COMPARED: usize = 2;
const INPUTS: usize = 16;
/// Others answer through our home if one of them did within this time.
const HEARD_LATELY: Duration = Duration::from_secs(600);
/// When the next record of ours is due, Unix seconds.
const DUE: &str = "record_due_s";

/// What came of a look-up.
type Found = Option<Verified<AccountRecord>>;

/// The way to this driver. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Records(mpsc::Sender<RecordsInput>);

/// What the driver is told.
#[derive(Debug)]
pub enum RecordsInput {
    /// We are at home, perhaps elsewhere than before, or there are others to choose from.
    Supernodes,
    /// There is, or has to be, another record of ours.
    Account,
    /// Somebody's record is wanted.
    Lookup(AccountId, oneshot::Sender<Found>),
}

impl Records {
    /// The way, and its end for [`run`].
    pub fn new() -> (Self, mpsc::Receiver<RecordsInput>) {
        let (sender, inputs) = mpsc::channel(INPUTS);
        (Self(sender), inputs)
    }

    /// We are at home, perhaps elsewhere than before, or there are others to choose from.
    pub async fn supernodes(&self) {
        let _ = self.0.send(RecordsInput::Supernodes).await;
    }

    /// Our account is another than before, or another device signed its record.
    pub async fn account(&self) {
        let _ = self.0.send(RecordsInput::Account).await;
    }

    /// What the supernodes of our network know of an account.
    pub async fn look_up(&self, account: AccountId) -> Option<Verified<AccountRecord>> {
        let (found, answer) = oneshot::channel();
        self.0
            .send(RecordsInput::Lookup(account, found))
            .await
            .ok()?;
        answer.await.ok()?
    }
}

/// What the driver works with.
#[derive(Debug)]
pub struct Desk {
    /// Shared.
    pub ctx: Arc<Context>,
    /// Our record, and how it is shown.
    pub registrar: Arc<Registrar>,
    /// The home driver.
    pub home: mpsc::Sender<HomeInput>,
    /// How the home is.
    pub state: watch::Receiver<HomeState>,
}

/// Runs until the session ends.
pub async fn run(desk: Desk, mut inputs: mpsc::Receiver<RecordsInput>) {
    let mut driver = Driver::new(desk).await;
    loop {
        let wake = driver.wake();
        tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => driver.handle(input),
                None => return,
            },
            Some(done) = driver.tasks.join_next(), if !driver.tasks.is_empty() => {
                if let Ok(done) = done {
                    driver.done(done);
                }
            }
            () = sleep_until(wake) => driver.timeout(),
        }
        driver.drain().await;
    }
}

struct Driver {
    desk: Desk,
    publisher: Publisher<EndpointKey, Verified<AccountRecord>>,
    resolver: Resolver<EndpointKey, Verified<AccountRecord>>,
    standby: Standby<EndpointKey>,
    lookups: BTreeMap<LookupId, (AccountId, oneshot::Sender<Found>)>,
    last_lookup: LookupId,
    /// There may be another record of ours than the machines know.
    signed: bool,
    /// The number of the record that the machines know.
    known: Option<u64>,
    /// When another supernode than the home answered last.
    heard_at: Option<Time>,
    tasks: JoinSet<Done>,
}

enum Done {
    /// What a supernode has of our own record.
    Own(EndpointKey, Reply<Verified<AccountRecord>>),
    /// What one has of somebody else's.
    Others(LookupId, EndpointKey, Reply<Verified<AccountRecord>>),
    Visited(EndpointKey, bool),
    Nothing,
}

impl Driver {
    async fn new(desk: Desk) -> Self {
        let (ctx, now) = (&desk.ctx, desk.ctx.clock.now());
        let record = desk.registrar.record(ctx.identity.account());
        let due = ctx.db.read(|tx| settings::get(tx, DUE)).await;
        let due = due.ok().flatten().and_then(|due| due.parse().ok());
        let last = match due {
            Some(due) if record.is_some() => last(due, wall_s()),
            // It is signed for the first registration.
            _ => Last::DueIn(PUBLISH_EVERY),
        };
        let seed = || u64::from_be_bytes(random());
        Self {
            known: record.as_ref().map(Record::order),
            publisher: Publisher::new(record, last, seed(), now),
            resolver: Resolver::new(COMPARED),
            standby: Standby::new(seed()),
            lookups: BTreeMap::new(),
            last_lookup: 0,
            signed: false,
            heard_at: None,
            tasks: JoinSet::new(),
            desk,
        }
    }

    fn now(&self) -> Time {
        self.desk.ctx.clock.now()
    }

    fn wake(&self) -> Option<tokio::time::Instant> {
        let publisher = self.publisher.poll_timeout().map(|due| due.at);
        let resolver = self.resolver.poll_timeout().map(|due| due.at);
        let standby = self.standby.poll_timeout().map(|due| due.at);
        let next = [publisher, resolver, standby].into_iter().flatten().min();
        next.map(|at| self.desk.ctx.clock.instant(at))
    }

    fn timeout(&mut self) {
        let now = self.now();
        self.publisher.handle_timeout(now);
        self.resolver.handle_timeout(now);
        self.standby.handle_timeout(now);
    }

    fn handle(&mut self, input: RecordsInput) {
        match input {
            RecordsInput::Supernodes => self.tell_supernodes(),
            RecordsInput::Account => {
                self.signed = true;
                let home = self.desk.state.borrow().clone();
                if let Some(home) = home.supernode.filter(|_| home.registered) {
                    self.register_anew(home);
                }
            }
            RecordsInput::Lookup(account, found) => {
                self.last_lookup += 1;
                self.lookups.insert(self.last_lookup, (account, found));
                let (number, key) = (self.last_lookup, IndexKey::account(account));
                let asked = self.supernodes();
                let now = self.now();
                self.resolver.handle_lookup(number, key, asked, None, now);
            }
        }
    }

    fn done(&mut self, done: Done) {
        let now = self.now();
        if let Done::Own(from, reply) | Done::Others(_, from, reply) = &done
            && !matches!(reply, Reply::Unreachable)
            && self
                .desk
                .ctx
                .door
                .home()
                .is_some_and(|home| home.id != *from)
        {
            self.heard_at = Some(now);
        }
        match done {
            Done::Own(from, reply) => self.publisher.handle_reply(from, reply, now),
            Done::Others(number, from, reply) => {
                self.resolver.handle_reply(number, from, reply, now);
            }
            Done::Visited(supernode, well) => self.standby.handle_visited(supernode, well, now),
            Done::Nothing => {}
        }
    }

    /// Carries out everything the machines want.
    async fn drain(&mut self) {
        loop {
            self.drain_standby().await;
            self.drain_resolver().await;
            self.drain_publisher().await;
            if !std::mem::take(&mut self.signed) {
                return;
            }
            self.take_record();
        }
    }

    /// The home is another one, or there are others to choose from.
    fn tell_supernodes(&mut self) {
        let now = self.now();
        self.publisher.handle_supernodes(self.supernodes(), now);
        let homes = self.desk.ctx.home_list();
        let others: Vec<EndpointKey> = homes.iter().skip(1).map(|other| other.id).collect();
        self.standby.handle_others(&others, now);
        self.signed = true;
        let home = self.desk.state.borrow().clone();
        if home.registered
            && let Some(home) = home.supernode
            && !self.says(&homes)
        {
            self.register_anew(home);
        }
    }

    /// Whether our record is as it should be; whoever cannot sign another one has to leave it.
    fn says(&self, homes: &[SupernodeAddr]) -> bool {
        let identity = self.desk.ctx.identity.get();
        let key = identity.can_sign().then(|| identity.request_key());
        self.desk.registrar.says(homes, key)
    }

    /// The record names other homes, or another key for letters, than before: the home is shown a new one, and contacts are told.
    fn register_anew(&mut self, home: SupernodeAddr) {
        let (ctx, registrar) = self.shared();
        self.tasks.spawn(async move {
            match registrar.register(&ctx, &home).await {
                Ok(()) => ctx.signal(Signal::Home(home)),
                Err(error) => debug!(%error, "the new list of homes could not be registered"),
            }
            Done::Nothing
        });
    }

    /// The machines hear of the record that was signed last.
    fn take_record(&mut self) {
        let now = self.now();
        let account = self.desk.ctx.identity.account();
        let Some(record) = self.desk.registrar.record(account) else {
            return;
        };
        let order = Some(record.order());
        if std::mem::replace(&mut self.known, order) != order {
            self.publisher.handle_record(record, now);
            self.standby.handle_changed(now);
        }
    }

    async fn drain_standby(&mut self) {
        while let Some(event) = self.standby.poll_event() {
            match event {
                StandbyEvent::Visit(supernode) => self.visit(supernode),
                StandbyEvent::Replace(supernode) => self.replace(supernode).await,
            }
        }
    }

    /// Registers there, and collects what was left there.
    fn visit(&mut self, supernode: EndpointKey) {
        let (ctx, registrar) = self.shared();
        let at = self.place(supernode);
        self.tasks.spawn(async move {
            let Some(at) = at else {
                return Done::Visited(supernode, false);
            };
            ctx.pins.learn(&at);
            let registered = registrar.register(&ctx, &at).await;
            if let Err(error) = &registered {
                debug!(%error, "another home could not be visited");
            }
            let well = registered.is_ok() && registrar.collect(&ctx, &at).await;
            Done::Visited(supernode, well)
        });
    }

    /// Another candidate stands by in its place, if there is one.
    async fn replace(&mut self, supernode: EndpointKey) {
        let mut homes = self.desk.ctx.homes();
        if homes.supernodes.len() <= self.desk.ctx.home_list().len() {
            return;
        }
        if let Some(at) = homes.supernodes.iter().position(|one| one.id == supernode) {
            let last = homes.supernodes.remove(at);
            homes.supernodes.push(last);
            self.choose(homes).await;
        }
    }

    async fn drain_resolver(&mut self) {
        while let Some(transmit) = self.resolver.poll_transmit() {
            if let resolver::Transmit::Ask(number, supernode, _) = transmit
                && let Some((account, _)) = self.lookups.get(&number)
            {
                let (account, at) = (*account, self.place(supernode));
                let (ctx, _) = self.shared();
                self.tasks.spawn(async move {
                    let reply = ask(&ctx, at, account).await;
                    Done::Others(number, supernode, reply)
                });
            }
        }
        while let Some(event) = self.resolver.poll_event() {
            match event {
                ResolverEvent::Found(number, _, record) => self.answer(number, Some(record)),
                ResolverEvent::NotFound(number) | ResolverEvent::Ended(number) => {
                    self.answer(number, None);
                }
                ResolverEvent::Blame(whom, fault) => self.blame(whom, fault).await,
                ResolverEvent::Newer(..) => {}
            }
        }
    }

    fn answer(&mut self, number: LookupId, record: Option<Verified<AccountRecord>>) {
        if let Some((_, found)) = self.lookups.remove(&number) {
            let _ = found.send(record);
        }
    }

    async fn drain_publisher(&mut self) {
        while let Some(persist) = self.publisher.poll_persist() {
            let due = wall_s() + persist.next_after.as_secs();
            let write = move |tx: &Tx<'_>| settings::set(tx, DUE, &due.to_string());
            if let Err(error) = self.desk.ctx.db.write(write).await {
                warn!(%error, "when the next record is due could not be noted");
            }
        }
        while let Some(transmit) = self.publisher.poll_transmit() {
            match transmit {
                Transmit::Publish(by, record) => self.publish(by, record),
                Transmit::Ask(whom, _) => {
                    let (ctx, _) = self.shared();
                    let at = self.place(whom);
                    self.tasks.spawn(async move {
                        let own = ctx.identity.account();
                        Done::Own(whom, ask(&ctx, at, own).await)
                    });
                }
            }
        }
        while let Some(event) = self.publisher.poll_event() {
            match event {
                PublisherEvent::Renew => self.renew().await,
                PublisherEvent::Witnessed => debug!("our record is found at others than our home"),
                PublisherEvent::Newer(record) => self.learn(&record).await,
                PublisherEvent::Blame(whom, fault) => self.blame(whom, fault).await,
            }
        }
    }

    /// `INDEX-17`: on its timetable a new record is signed.
    async fn renew(&mut self) {
        match self.desk.registrar.renew(&self.desk.ctx).await {
            Ok(()) => self.signed = true,
            // Another device of ours does it.
            Err(RequestError::Unsigned) => {}
            Err(error) => warn!(%error, "a new record could not be signed"),
        }
    }

    /// Where another device of ours signs, this is what it has signed since.
    async fn learn(&mut self, record: &Verified<AccountRecord>) {
        let (ctx, registrar) = self.shared();
        let learned = if ctx.identity.get().can_sign() {
            registration::learn(&ctx, record.record()).await
        } else {
            let adopted = registrar.adopt(&ctx, record.signed().clone()).await;
            adopted.map(|adopted| self.signed |= adopted)
        };
        if let Err(error) = learned {
            warn!(%error, "the number of a newer record could not be noted");
        }
    }

    /// At the home it is registered, elsewhere only brought.
    fn publish(&mut self, by: EndpointKey, record: Verified<AccountRecord>) {
        let (ctx, registrar) = self.shared();
        let Some(at) = self.place(by) else {
            return;
        };
        let is_home = ctx.door.home().is_some_and(|home| home.id == by);
        if is_home && registrar.has_shown(by, record.order()) {
            return;
        }
        self.tasks.spawn(async move {
            let published = if is_home {
                registrar.register(&ctx, &at).await
            } else {
                let record = Box::new(record.signed().clone().into());
                let asked = ctx.supernodes.ask(&at, &Request::Publish(record)).await;
                asked.map(|_| ())
            };
            if let Err(error) = published {
                debug!(%error, "our record could not be published there");
            }
            Done::Nothing
        });
    }

    /// `INDEX-23`: who has done too much is no candidate any more, as long as two others are left.
    async fn blame(&mut self, whom: EndpointKey, fault: Fault) {
        let ctx = &self.desk.ctx;
        let mut homes = ctx.homes();
        // All are reached through our home: where none of the others answers, it is the home, or our own network, that is
        // silent. This process's own supernode does not lie to us.
        let excused = !self.reaches_others() && matches!(fault, Fault::Silent | Fault::Unreachable);
        if excused || homes.own.as_ref().is_some_and(|own| own.id == whom) {
            return;
        }
        debug!(?fault, "a supernode did badly");
        let bad = ctx.standing().handle_blame(whom, fault, ctx.clock.now());
        let left = homes.supernodes.iter().filter(|one| one.id != whom).count();
        if bad && left >= 2 {
            info!(?fault, "a supernode is not used any more");
            homes.supernodes.retain(|one| one.id != whom);
            self.choose(homes).await;
        }
    }

    /// Whether anybody but the home has answered of late.
    fn reaches_others(&self) -> bool {
        let now = self.now();
        self.heard_at.is_some_and(|at| at + HEARD_LATELY > now)
    }

    /// Other candidates than before, or in another order.
    async fn choose(&mut self, homes: Homes) {
        let candidates = homes.supernodes.clone();
        self.desk.ctx.set_homes(homes);
        let _ = self.desk.home.send(HomeInput::Candidates(candidates)).await;
        self.desk.ctx.signal(Signal::Candidates);
    }

    /// Those that are asked and told: the homes first.
    fn supernodes(&self) -> Vec<EndpointKey> {
        let candidates = self.desk.ctx.homes().supernodes;
        let mut supernodes: Vec<EndpointKey> = Vec::new();
        for one in self.desk.ctx.home_list().iter().chain(&candidates) {
            if supernodes.len() < ASKED && !supernodes.contains(&one.id) {
                supernodes.push(one.id);
            }
        }
        supernodes
    }

    fn place(&self, supernode: EndpointKey) -> Option<SupernodeAddr> {
        let candidates = self.desk.ctx.homes().supernodes;
        let mut known = self.desk.ctx.door.home().into_iter().chain(candidates);
        known.find(|one| one.id == supernode)
    }

    fn shared(&self) -> (Arc<Context>, Arc<Registrar>) {
        (Arc::clone(&self.desk.ctx), Arc::clone(&self.desk.registrar))
    }
}

/// What a supernode has of an account.
async fn ask(
    ctx: &Context,
    at: Option<SupernodeAddr>,
    account: AccountId,
) -> Reply<Verified<AccountRecord>> {
    let Some(at) = at else {
        return Reply::Unreachable;
    };
    ctx.pins.learn(&at);
    match ctx.supernodes.ask(&at, &Request::Lookup { account }).await {
        Ok(Answer::Record(Some(record))) => match record.verify(account, wall_s()) {
            Ok(record) => Reply::Record(record),
            // Perhaps it is our clock that is wrong.
            Err(RecordError::Expired) => Reply::None,
            Err(_) => Reply::Forged,
        },
        // Whoever refuses is there.
        Ok(_) | Err(RequestError::Refused(_)) => Reply::None,
        Err(_) => Reply::Unreachable,
    }
}

/// Where the timetable stands.
fn last(due: u64, now: u64) -> Last {
    match due.checked_sub(now) {
        Some(wait) => Last::DueIn(Duration::from_secs(wait).min(PUBLISH_EVERY)),
        None => Last::Overdue(Duration::from_secs(now - due)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timetable_goes_on_after_a_restart_whatever_the_clock_did() {
        assert_eq!(last(100, 40), Last::DueIn(Duration::from_secs(60)));
        assert_eq!(last(100, 100), Last::DueIn(Duration::ZERO));
        assert_eq!(last(100, 160), Last::Overdue(Duration::from_secs(60)));
        assert_eq!(last(u64::MAX, 0), Last::DueIn(PUBLISH_EVERY));
    }
}
