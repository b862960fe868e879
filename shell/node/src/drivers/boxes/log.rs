//! The loop around one generation's depositor and collector.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use starling_protocol::backoff::Jitter;
use starling_protocol::machine::Time;
use starling_protocol::mailbox::collector::{self, Collector, Source};
use starling_protocol::mailbox::depositor::{self, DepositError, Depositor};
use starling_wire::ids::{EndpointKey, EntryId};
use starling_wire::log::Kind;
use starling_wire::log::frames::{About, Answer, Ask, Refusal};
use starling_wire::ordering::{Seat, Slot};
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::link::{Link, lacks_box};
use super::visit::{Grant, Report, Target, Visit};
use super::{Away, Desk, Keeper, Kept, LogError, LogEvent, Standing, Start};
use crate::clock::{random, sleep_until};
use crate::transport::relay_server::block_of;

/// What holders said and was not looked at yet.
const REPORTS_MAX: usize = 64;
/// Looked at before what comes of it is kept.
const BATCH_MAX: usize = 256;
/// What was not heard by the log's owner: with more of it, holders are not heard.
const EVENTS_MAX: usize = 512;
/// What could not be kept is tried again after this.
const KEEP_AGAIN: Duration = Duration::from_secs(5);

/// What the owner of a log wants.
#[derive(Debug)]
pub enum Input {
    /// Leave this.
    Deposit {
        kind: (Kind, Slot),
        body: Arc<[u8]>,
        answer: oneshot::Sender<Result<EntryId, DepositError>>,
    },
    /// It is not needed any more.
    Drop(EntryId),
    /// How does it stand?
    Standing(EntryId, oneshot::Sender<Vec<(EndpointKey, Standing)>>),
    /// Ask a holder.
    Ask(EndpointKey, Box<Ask>),
    /// Look for an entry.
    Want(EntryId),
    /// See what is new.
    Collect,
    /// Keep connections up.
    Stay(bool),
    /// There is a network, or another one.
    Online(bool),
}

/// The loop's state.
pub struct Running {
    desk: Desk,
    keeper: Arc<dyn Keeper>,
    depositor: Depositor<IpAddr>,
    collector: Collector,
    links: BTreeMap<EndpointKey, Link>,
    grant: Arc<Grant>,
    stay: bool,
    jitter: Jitter,
    kept: Vec<Kept>,
    /// Told once what they follow from is kept.
    told: Vec<LogEvent>,
    events: mpsc::Sender<LogEvent>,
    backlog: VecDeque<LogEvent>,
    reports: mpsc::Sender<(EndpointKey, u64, Report)>,
    reported: mpsc::Receiver<(EndpointKey, u64, Report)>,
}

impl Running {
    /// With what was kept.
    pub fn new(
        desk: Desk,
        start: Start,
        keeper: Arc<dyn Keeper>,
    ) -> Result<(Self, mpsc::Receiver<LogEvent>), LogError> {
        let links = links(&start)?;
        let (events, heard) = mpsc::channel(EVENTS_MAX);
        let (reports, reported) = mpsc::channel(REPORTS_MAX);
        let seed = || u64::from_le_bytes(random());
        let running = Self {
            depositor: depositor(&start, &links, seed())?,
            collector: collector(&start, &links),
            links: links
                .into_iter()
                .map(|link| (link.target.home.id, link))
                .collect(),
            grant: Arc::default(),
            stay: false,
            jitter: Jitter::new(seed()),
            kept: Vec::new(),
            told: Vec::new(),
            backlog: VecDeque::new(),
            desk,
            keeper,
            events,
            reports,
            reported,
        };
        Ok((running, heard))
    }

    /// Until its owner lets go of it.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let events = self.events.clone();
        loop {
            self.settle().await;
            let wake = self.wake().map(|at| self.desk.clock.instant(at));
            let hears = self.backlog.len() < EVENTS_MAX;
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.take(input),
                    None => return,
                },
                Some(report) = self.reported.recv(), if hears => self.take_some(report),
                Ok(permit) = events.reserve(), if !self.backlog.is_empty() => {
                    if let Some(event) = self.backlog.pop_front() {
                        permit.send(event);
                    }
                }
                () = sleep_until(wake) => self.timeout(),
            }
        }
    }

    fn take(&mut self, input: Input) {
        let now = self.desk.clock.now();
        match input {
            Input::Deposit { kind, body, answer } => {
                let left = self.depositor.handle_deposit(kind, body, now);
                if let Ok(entry) = left {
                    self.collector.note_seen(entry);
                    self.links.values_mut().for_each(Link::open_now);
                }
                let _ = answer.send(left);
            }
            Input::Drop(entry) => self.depositor.handle_dropped(entry),
            Input::Standing(entry, answer) => drop(answer.send(self.depositor.standing(entry))),
            Input::Ask(holder, ask) => {
                if let Some(link) = self.links.get_mut(&holder) {
                    link.open_now();
                    link.ask_some_time(*ask, now);
                }
            }
            Input::Want(entry) => {
                self.collector.handle_wanted(entry);
                self.want_all();
            }
            Input::Collect => self.want_all(),
            Input::Stay(stay) => self.stay = stay,
            Input::Online(true) => {
                self.close_all();
                self.collector.handle_online(now);
                self.links.values_mut().for_each(Link::try_now);
            }
            Input::Online(false) => {
                self.close_all();
                self.collector.handle_offline(now);
            }
        }
        self.drain();
    }

    /// All holders are visited once; those who are there tell what is new anyway.
    fn want_all(&mut self) {
        for link in self.links.values_mut() {
            link.wanted = !link.is_there();
        }
    }

    fn close_all(&mut self) {
        let holders: Vec<EndpointKey> = self.links.keys().copied().collect();
        for holder in holders {
            self.close(holder);
        }
        self.drain();
    }

    fn take_some(&mut self, first: (EndpointKey, u64, Report)) {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some((holder, number, report)) = next {
            let current = self.links.get(&holder);
            if current.is_some_and(|link| link.is_current(number)) {
                self.reported(holder, report);
                self.drain();
            }
            taken += 1;
            next = match taken < BATCH_MAX {
                true => self.reported.try_recv().ok(),
                false => None,
            };
        }
    }

    fn reported(&mut self, holder: EndpointKey, report: Report) {
        let now = self.desk.clock.now();
        let Some(link) = self.links.get_mut(&holder) else {
            return;
        };
        match report {
            Report::Entered(asks) => {
                link.entered(asks, now);
                self.told.push(LogEvent::Entered(holder));
                self.depositor.handle_opened(holder, now);
                self.drain();
                self.depositor.handle_connected(holder, now);
                self.drain();
                self.collector.handle_connected(holder, now);
            }
            Report::Said(answer, body) => {
                link.heard(now, self.depositor.asks(holder));
                self.said(holder, answer, body);
            }
            Report::NoBox => self.told.push(LogEvent::NoBox(holder)),
            Report::Over(away) => self.over(holder, away),
        }
    }

    /// A visit is over, or given up.
    fn over(&mut self, holder: EndpointKey, away: Away) {
        let now = self.desk.clock.now();
        let Some(link) = self.links.get_mut(&holder) else {
            return;
        };
        let was_there = link.is_there();
        link.over(away, now, &mut self.jitter);
        if matches!(away, Away::NoGrant | Away::Refused(Refusal::NoGrant)) {
            self.grant = Arc::default();
        }
        if !lacks_box(away) {
            self.told.push(LogEvent::Away(holder, away));
        }
        if was_there {
            self.lost(holder);
        }
    }

    fn said(&mut self, holder: EndpointKey, answer: Answer, body: Option<Arc<[u8]>>) {
        let now = self.desk.clock.now();
        match (answer, body) {
            (Answer::Item { number, head }, Some(body)) => {
                self.collector.handle_item(holder, number, (head, body));
            }
            (Answer::Item { .. }, None) => {}
            (answer, _) => {
                self.depositor.handle_answer(holder, &answer, now);
                self.drain();
                if is_about_slots(&answer) {
                    self.told.push(LogEvent::Said(holder, answer.clone()));
                }
                self.collector.handle_answer(holder, answer);
            }
        }
    }

    fn timeout(&mut self) {
        let now = self.desk.clock.now();
        self.depositor.handle_timeout(now);
        self.drain();
        self.collector.handle_timeout(now);
        self.drain();
        let silent = |link: &Link| link.silent_at().is_some_and(|at| at <= now);
        let silent: Vec<EndpointKey> = self
            .links
            .iter()
            .filter(|(_, link)| self.may_close(link) && silent(link))
            .map(|(holder, _)| *holder)
            .collect();
        for holder in silent {
            self.close(holder);
        }
        let unheard = |link: &Link| link.unheard_at().is_some_and(|at| at <= now);
        let links = self.links.iter();
        let unheard: Vec<EndpointKey> = links
            .filter(|(_, link)| unheard(link))
            .map(|(holder, _)| *holder)
            .collect();
        for holder in unheard {
            self.over(holder, Away::Lost);
        }
    }

    /// Whether a link that is silent is of no use: one that is to stay goes only where others wait for its place.
    fn may_close(&self, link: &Link) -> bool {
        let places = self.desk.visits.available_permits() > 0;
        let stays = self.stay && places;
        !stays && !self.needs(link)
    }

    /// Whether there is anything to say to a holder.
    fn needs(&self, link: &Link) -> bool {
        let pending = self.depositor.waits_for(link.target.home.id);
        link.wanted || link.has_waiting() || pending
    }

    fn close(&mut self, holder: EndpointKey) {
        let Some(link) = self.links.get_mut(&holder) else {
            return;
        };
        if link.close() {
            self.told.push(LogEvent::Away(holder, Away::Silence));
            self.lost(holder);
        }
    }

    fn lost(&mut self, holder: EndpointKey) {
        let now = self.desk.clock.now();
        self.depositor.handle_lost(holder);
        self.drain();
        self.collector.handle_lost(holder, now);
        self.drain();
    }

    /// Empties both machines: what is to be kept, what is asked, what is told.
    fn drain(&mut self) {
        let now = self.desk.clock.now();
        while let Some(depositor::Persist::Receipt(receipt)) = self.depositor.poll_persist() {
            self.kept.push(Kept::Receipt(receipt));
        }
        while let Some(persist) = self.collector.poll_persist() {
            self.kept.push(match persist {
                collector::Persist::Entry(entry) => Kept::Entry(entry),
                collector::Persist::Cursor { holder, number } => Kept::Cursor { holder, number },
            });
        }
        while let Some(asked) = self.depositor.poll_transmit() {
            if let Some(link) = self.links.get_mut(&asked.holder) {
                link.ask(asked.ask, asked.body, now);
            }
        }
        while let Some(asked) = self.collector.poll_transmit() {
            if let Some(link) = self.links.get_mut(&asked.holder) {
                link.ask(asked.ask, Arc::default(), now);
            }
        }
        while let Some(event) = self.depositor.poll_event() {
            self.deposited(event);
        }
        while let Some(event) = self.collector.poll_event() {
            self.told.extend(collected(event));
        }
    }

    fn deposited(&mut self, event: depositor::Event) {
        match event {
            depositor::Event::Held { entry, by } => self.told.push(LogEvent::Held { entry, by }),
            depositor::Event::Stale(entry) => self.told.push(LogEvent::Stale(entry)),
            depositor::Event::Failed(entry, why) => self.told.push(LogEvent::Failed(entry, why)),
            // The next visit opens it.
            depositor::Event::NeedsBox(holder) => self.close(holder),
        }
    }

    /// Keeps what is to be kept, tells what follows from it, and sees to connections.
    async fn settle(&mut self) {
        self.drain();
        let kept = std::mem::take(&mut self.kept);
        while !kept.is_empty() {
            match self.keeper.keep(kept.clone()).await {
                Ok(()) => break,
                Err(error) => {
                    warn!(%error, "what was collected of a conversation could not be kept");
                    tokio::time::sleep(KEEP_AGAIN).await;
                }
            }
        }
        self.backlog.extend(self.told.drain(..));
        self.visit_some();
    }

    fn visit_some(&mut self) {
        let now = self.desk.clock.now();
        let due: Vec<EndpointKey> = self
            .links
            .iter()
            .filter(|(_, link)| link.is_due(now) && (self.stay || self.needs(link)))
            .map(|(holder, _)| *holder)
            .collect();
        for holder in due {
            self.begin(holder);
        }
    }

    fn begin(&mut self, holder: EndpointKey) {
        let pending = self.depositor.pending() > 0;
        let Some(link) = self.links.get_mut(&holder) else {
            return;
        };
        // Whoever only reads opens nothing.
        let opens = pending || link.has_waiting();
        let (number, ends) = link.begin();
        let visit = Visit {
            desk: self.desk.clone(),
            target: link.target.clone(),
            grant: opens.then(|| Arc::clone(&self.grant)),
            reports: self.reports.clone(),
            number,
            ends,
        };
        // It is told to end, and closes its endpoint then.
        tokio::spawn(visit.run());
    }

    fn wake(&self) -> Option<Time> {
        let depositor = self.depositor.poll_timeout().map(|due| due.at);
        let collector = self.collector.poll_timeout().map(|due| due.at);
        let links = self.links.values();
        let again = links.filter(|link| self.stay || self.needs(link));
        let again = again.filter_map(Link::again_at).min();
        let links = self.links.values();
        let silent = links.filter(|link| self.may_close(link));
        let silent = silent.filter_map(Link::silent_at).min();
        let unheard = self.links.values().filter_map(Link::unheard_at).min();
        [depositor, collector, again, silent, unheard]
            .into_iter()
            .flatten()
            .min()
    }
}

/// What belongs to whoever orders commits.
const fn is_about_slots(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Promise(_)
            | Answer::Vote(_)
            | Answer::Settled(_)
            | Answer::Untouched(_)
            | Answer::Refused(About::Slot(_) | About::Frame, _)
    )
}

fn collected(event: collector::Event) -> Option<LogEvent> {
    Some(match event {
        collector::Event::CaughtUp(holder) => LogEvent::CaughtUp(holder),
        // Told as it was said.
        collector::Event::Settled(_) => return None,
        collector::Event::Gap {
            holder,
            after,
            up_to,
        } => LogEvent::Gap {
            holder,
            after,
            up_to,
        },
        collector::Event::Missing(entry) => LogEvent::Missing(entry),
        collector::Event::Wrong(holder) => LogEvent::Wrong(holder),
        collector::Event::NoBox(holder) => LogEvent::NoBox(holder),
        collector::Event::Lost(holder) => LogEvent::Lost(holder),
        collector::Event::Closing(holder, day) => LogEvent::Closing(holder, day),
    })
}

/// The generation's holders, each where it is.
fn links(start: &Start) -> Result<Vec<Link>, LogError> {
    let plan = start.generation.plan();
    plan.check().map_err(|_| LogError::Holders)?;
    if plan.boxes.is_empty() {
        return Err(LogError::Holders);
    }
    let link = |holder: &EndpointKey| {
        let home = start.homes.iter().find(|home| home.id == *holder);
        let home = home.ok_or(LogError::Unknown)?.clone();
        Ok(Link::new(Target {
            mailbox: plan.mailbox(*holder),
            keys: start.generation.keys(*holder),
            plan: plan.clone(),
            home,
        }))
    };
    start.generation.holders.iter().map(link).collect()
}

const fn seat(target: &Target) -> Seat {
    Seat {
        holder: target.home.id,
        mailbox: target.mailbox,
    }
}

fn depositor(start: &Start, links: &[Link], seed: u64) -> Result<Depositor<IpAddr>, LogError> {
    let target = |link: &Link| {
        let home: &SupernodeAddr = &link.target.home;
        depositor::Target {
            seat: seat(&link.target),
            keys: link.target.keys.clone(),
            block: block_of(home.tcp.ip()),
        }
    };
    let mut depositor = Depositor::new(links.iter().map(target).collect(), seed);
    for one in &start.pending {
        depositor.restore(one.kind, Arc::clone(&one.body), &one.receipts)?;
    }
    Ok(depositor)
}

fn collector(start: &Start, links: &[Link]) -> Collector {
    let source = |link: &Link| Source {
        seat: seat(&link.target),
        deposit_key: link.target.keys.deposit.verifying_key().to_bytes(),
    };
    let mut collector = Collector::new(links.iter().map(source).collect());
    for (holder, number) in &start.cursors {
        collector.restore_cursor(*holder, *number);
    }
    for entry in &start.seen {
        collector.note_seen(*entry);
    }
    collector
}
