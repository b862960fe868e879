//! Becoming a supernode and ceasing to be one, in the running process (spec page `overlay.md`). Owns the machines
//! `overlay::qualification` (could it?) and `overlay::promotion` (shall it?); the service is the one that `--supernode` starts.

mod check;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use starling_protocol::overlay::promotion::{DECIDE_EVERY, Promotion, PromotionEvent};
use starling_protocol::overlay::qualification::{Demands, Obstacle, Qualification, witnesses};
use starling_store::settings;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{Answer, Request, SupernodeAddr};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tracing::{debug, info};

use self::check::{Check, Found};
use crate::clock::{random, sleep_until};
use crate::config::DISCOVERY_PORT;
use crate::context::Signal;
use crate::drivers::supernode::key_of;
use crate::network::SUPERNODE_PORTS;
use crate::node::App;
use crate::roles::candidacy::Candidate;
use crate::roles::settings::Rules;
use crate::session::Session;
use crate::transport::proxy::ProxySetting;

/// Whether it is of use is asked of others: not too often.
const WEIGH_EVERY: Duration = Duration::from_secs(600);

/// A home that did not take the word is told again after this.
const TELL_RETRY: Duration = Duration::from_secs(60);

/// What the home was told, and where that was.
type Told = Option<(EndpointKey, bool)>;

/// Runs as long as the node.
pub async fn run(app: Arc<App>) {
    let mut driver = Driver::new(app);
    loop {
        driver.look().await;
        let wake = driver.wake();
        tokio::select! {
            heard = hear(&mut driver.signals) => driver.heard(heard),
            () = sleep_until(Some(wake)) => {}
            () = driver.app.candidacy.reconsider.notified() => {}
            Some(done) = driver.tasks.join_next(), if !driver.tasks.is_empty() => {
                if let Ok(done) = done {
                    driver.done(done).await;
                }
            }
        }
    }
}

enum Done {
    Checked(Found),
    /// The home was told, or was not.
    Told(Told),
}

struct Driver {
    app: Arc<App>,
    qualification: Qualification,
    promotion: Promotion,
    signals: Option<broadcast::Receiver<Signal>>,
    told: Told,
    telling: bool,
    /// We registered anew while the home was being told.
    forgotten: bool,
    /// Not before this is the home told again.
    tell_at: Duration,
    checking: bool,
    /// When it is looked again whether this machine is of use.
    weigh_at: Duration,
    tasks: JoinSet<Done>,
}

impl Driver {
    fn new(app: Arc<App>) -> Self {
        let pace = app.config.promotion;
        let seed = u64::from_le_bytes(random());
        let mut driver = Self {
            qualification: Qualification::new(pace.demands),
            promotion: Promotion::deciding_within(pace.decide_within, seed),
            signals: None,
            told: None,
            telling: false,
            forgotten: false,
            tell_at: Duration::ZERO,
            checking: false,
            weigh_at: Duration::ZERO,
            tasks: JoinSet::new(),
            app,
        };
        if let Some(promoted) = driver.app.candidacy.get().promoted {
            driver.qualification.handle_resumed(promoted.at);
            driver.promotion.handle_serving();
        }
        driver
    }

    fn wake(&self) -> tokio::time::Instant {
        let clock = self.app.clock;
        let look = clock.now() + self.app.config.promotion.look_every;
        let due = self.promotion.poll_timeout().map(|due| due.at);
        clock.instant(due.map_or(look, |due| due.min(look)))
    }

    /// Looks at everything that counts, and acts on it.
    async fn look(&mut self) {
        if self.signals.is_none()
            && let Ok(session) = self.app.session()
        {
            self.signals = Some(session.ctx.signals.subscribe());
        }
        let Ok(rules) = self.app.rules().await else {
            return;
        };
        let wants = rules.is_candidate();
        let stands = self.standing(wants, &rules);
        if wants {
            self.check().await;
        }
        let now = self.app.clock.now();
        self.promotion.handle_eligible(stands.is_ok(), now);
        self.act().await;
        self.weigh().await;
        self.promotion.handle_timeout(self.app.clock.now());
        self.act().await;
        self.show(wants, stands);
        self.tell(wants && stands.is_ok());
    }

    /// Whether it qualifies, where the user and the administrator let it.
    fn standing(&self, wants: bool, rules: &Rules<'_>) -> Result<Option<SocketAddr>, Obstacle> {
        if !wants {
            return Err(Obstacle::Unchecked);
        }
        if rules.policy.network.udp == Some(false) {
            return Err(Obstacle::NoUdp);
        }
        if !matches!(self.app.config.proxy, ProxySetting::None) {
            return Err(Obstacle::Proxy);
        }
        self.qualification.standing(self.app.clock.now())
    }

    /// `PROMOTE-08`: asks others whether they reach this machine, when it is time.
    async fn check(&mut self) {
        let now = self.app.clock.now();
        let Ok(session) = self.app.session() else {
            return;
        };
        // Before it is at home it would only learn that nobody answers.
        if self.checking || !session.home_state().registered || !self.qualification.begin_check(now)
        {
            return;
        }
        let demands = self.app.config.promotion.demands;
        let (Ok(homes), Ok(seed), Ok(listen)) = (
            self.app.homes().await,
            self.app.supernode_seed().await,
            self.app.would_listen().await,
        ) else {
            return;
        };
        let own = key_of(&seed);
        let chance = u32::from_le_bytes(random());
        let Some(witnesses) = witnesses(&homes.supernodes, own, &demands, chance) else {
            self.qualification.handle_found(Ok(None), now);
            return;
        };
        let serving = self.app.supernode().map(|supernode| supernode.reached_at());
        let check = Check {
            seed,
            pins: self.app.pins.clone(),
            listen,
            serving,
            witnesses,
            demands,
        };
        self.checking = true;
        self.tasks
            .spawn(async move { Done::Checked(check.run().await) });
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Checked(found) => {
                self.checking = false;
                info!(verdict = ?found.verdict, "looked whether others reach this machine");
                if let (Ok(_), Some(ports)) = (found.verdict, found.ports) {
                    self.keep_ports(ports).await;
                }
                let now = self.app.clock.now();
                self.qualification.handle_found(found.verdict, now);
            }
            Done::Told(told) => {
                self.telling = false;
                self.told = told.filter(|_| !std::mem::take(&mut self.forgotten));
                if told.is_none() {
                    self.tell_at = self.app.clock.now() + TELL_RETRY;
                }
            }
        }
    }

    /// What was reached is where it will listen.
    async fn keep_ports(&self, (tcp, _): (u16, u16)) {
        let before = self.app.ports_before().await;
        if matches!(before, Ok(None)) {
            let any = self.app.config.listen.port() == 0;
            let text = format!("{tcp} {}", if any { 0 } else { DISCOVERY_PORT });
            let kept = self
                .app
                .db
                .write(move |tx| settings::set(tx, SUPERNODE_PORTS, &text));
            if let Err(error) = kept.await {
                debug!(%error, "the ports could not be kept");
            }
        }
    }

    /// `PROMOTE-04`: whether it is of use.
    async fn weigh(&mut self) {
        let promoted = self.app.candidacy.get().promoted.is_some();
        self.qualification.handle_serving(promoted);
        let due = promoted && self.weigh_at <= self.app.clock.now();
        if let Some(supernode) = self.app.supernode().filter(|_| due) {
            self.weigh_at = self.app.clock.now() + WEIGH_EVERY;
            let (own, others) = supernode.loads().await;
            let now = self.app.clock.now();
            // Where nobody says how full he is, this one may be the only one.
            self.promotion
                .handle_own_load(own, others.unwrap_or(100), now);
        }
    }

    async fn act(&mut self) {
        while let Some(event) = self.promotion.poll_event() {
            let at = self.qualification.standing(self.app.clock.now());
            let begun = match (event, at) {
                (PromotionEvent::Begin, Ok(at)) => self.app.promote(at).await,
                (PromotionEvent::Begin, Err(_)) => continue,
                (PromotionEvent::End, _) => self.app.demote().await,
            };
            if let Err(error) = begun {
                info!(%error, "this machine could not begin to serve, or end");
                // It is asked again with the next word.
                let now = self.app.clock.now();
                self.promotion.handle_eligible(false, now);
                let _ = self.promotion.poll_event();
                let _ = self.app.demote().await;
            }
        }
    }

    /// What `status` says.
    fn show(&self, wants: bool, stands: Result<Option<SocketAddr>, Obstacle>) {
        let before = self.app.candidacy.get();
        let now = Candidate {
            obstacle: wants.then(|| stands.err().unwrap_or(Obstacle::NotAsked)),
            keeps_letters: self.qualification.may_keep_letters(self.app.clock.now()),
            ..before
        };
        if self.app.candidacy.set(now) {
            self.app.changed.notify_one();
        }
    }

    /// `PROMOTE-05`: the home is told whether this machine could serve, after each registration and when it changes.
    fn tell(&mut self, able: bool) {
        let willing = able && self.app.candidacy.get().promoted.is_none();
        let Ok(session) = self.app.session() else {
            return;
        };
        let home = session.home_state();
        let Some(supernode) = home.supernode.filter(|_| home.registered) else {
            return;
        };
        let news = self.told != Some((supernode.id, willing));
        let waits = self.telling || self.tell_at > self.app.clock.now();
        if waits || !news || (self.told.is_none() && !willing) {
            return;
        }
        self.telling = true;
        self.tasks.spawn(tell_home(session, supernode, willing));
    }

    fn heard(&mut self, heard: Option<Signal>) {
        match heard {
            Some(Signal::Load {
                percent,
                candidates,
            }) => {
                let now = self.app.clock.now();
                self.promotion.handle_home_load(percent, candidates, now);
            }
            // A home forgets who was willing when his link ends.
            Some(Signal::Home(_) | Signal::Candidates) => {
                self.told = None;
                self.forgotten = self.telling;
                self.tell_at = Duration::ZERO;
            }
            Some(_) => {}
            None => self.signals = None,
        }
    }
}

async fn tell_home(session: Arc<Session>, home: SupernodeAddr, willing: bool) -> Done {
    let request = Request::Willing(willing);
    let told = session.ctx.supernodes.ask(&home, &request).await;
    Done::Told(matches!(told, Ok(Answer::Ok)).then_some((home.id, willing)))
}

/// The next signal that matters; `None` when the session has ended.
async fn hear(signals: &mut Option<broadcast::Receiver<Signal>>) -> Option<Signal> {
    let Some(signals) = signals else {
        return std::future::pending().await;
    };
    loop {
        match signals.recv().await {
            Ok(signal @ (Signal::Load { .. } | Signal::Home(_))) => return Some(signal),
            Ok(_) => {}
            // A missed word is repeated within a minute; the home may be another one, and is told anew.
            Err(broadcast::error::RecvError::Lagged(_)) => return Some(Signal::Candidates),
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

/// How fast it goes; what is asked of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Of a machine that would serve.
    pub demands: Demands,
    /// After a word of its home.
    pub decide_within: Duration,
    /// How often it is looked whether anything is new.
    pub look_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            demands: Demands::default(),
            decide_within: DECIDE_EVERY,
            look_every: Duration::from_secs(30),
        }
    }
}
