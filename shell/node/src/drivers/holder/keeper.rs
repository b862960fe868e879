//! The loop around the holder's machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use iroh::endpoint::Connection;
use starling_protocol::backoff::{Backoff, Jitter};
use starling_protocol::machine::Time;
use starling_protocol::mailbox::holder::{
    Caps, Connection as Who, Event, Holder, Persist, REMEMBERED_DAYS, Transmit,
};
use starling_store::{StoreError, logs};
use starling_wire::ids::EndpointKey;
use starling_wire::log::frames::{About, Answer, Ask, Refusal};
use starling_wire::log::keys::Side;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::rows::{self, Kept};
use super::visit::{ANSWERS_MAX, Desk, Seat, Visit};
use super::{Input, RESERVE, Setup, Shown};
use crate::clock::{random, sleep_until};
use crate::drivers::supernode::key_of;
use crate::drivers::turns::{Turn, Turns};
use crate::roles::Role;
use crate::transport::endpoint::endpoint_key;

/// Questions put to the machine before what they come to is committed.
const BATCH_MAX: usize = 256;
/// Connections that are in no box yet, of one block of addresses and of all.
const ENTERING_OF_BLOCK: usize = 64;
const ENTERING_MAX: usize = 1_000;
/// How often it looks at the switch, at the disk and at the day.
const LOOK: Duration = Duration::from_secs(1);
/// Nothing more is taken for so long once the disk did not take something; and at most.
const FULL_FOR: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// Whether it keeps anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The role is off, and nothing is here.
    Off,
    /// It takes and gives.
    On,
    /// The role is off: it gives what it has, for an hour.
    Leaving,
}

/// The loop's state.
pub struct Keeper {
    setup: Setup,
    desk: Desk,
    machine: Holder,
    standing: Standing,
    caps: Caps,
    issuers: BTreeSet<EndpointKey>,
    /// For which everything was looked through.
    day: u32,
    guests: BTreeMap<Who, Guest>,
    last: u64,
    entering: Turns<IpAddr>,
    /// Of what was put to the machine since the last commit.
    batch: Batch,
    full: Full,
    refused: BTreeMap<Refusal, u64>,
    shown: Arc<Mutex<Shown>>,
    visits: JoinSet<()>,
}

/// Somebody who is connected.
struct Guest {
    seat: Arc<Seat>,
    answers: mpsc::UnboundedSender<Transmit>,
    /// Until it is in a box.
    turn: Option<Turn<IpAddr>>,
}

#[derive(Default)]
struct Batch {
    asked: Vec<(Who, Ask, Arc<[u8]>)>,
    persists: Vec<Persist>,
    transmits: Vec<(Who, Transmit)>,
    /// They still get what was to be sent to them.
    gone: Vec<Who>,
    left: bool,
}

/// Whether the disk takes more.
struct Full {
    until: Option<Time>,
    pause: Backoff,
    jitter: Jitter,
    /// Too little is free.
    crowded: bool,
}

impl Keeper {
    /// With what was kept.
    pub async fn new(
        setup: Setup,
        inputs: mpsc::Sender<Input>,
        shown: Arc<Mutex<Shown>>,
    ) -> Result<Self, StoreError> {
        let own = key_of(setup.key.as_bytes());
        let (caps, issuers) = (setup.caps, BTreeSet::from([own]));
        let kept = setup.db.read(Kept::load).await?;
        let machine = kept.restore(own, (caps, issuers.clone()), setup.clock.now());
        let desk = Desk {
            inputs,
            db: setup.db.clone(),
            key: Arc::new(setup.key.clone()),
            carrier: setup.carrier.clone(),
        };
        Ok(Self {
            desk,
            machine,
            standing: Standing::On,
            caps,
            issuers,
            day: 0,
            guests: BTreeMap::new(),
            last: 0,
            entering: Turns::new(ENTERING_OF_BLOCK, ENTERING_MAX),
            batch: Batch::default(),
            full: Full::new(),
            refused: BTreeMap::new(),
            shown,
            visits: JoinSet::new(),
            setup,
        })
    }

    /// Until nobody can ask any more, or it is told to stop.
    pub async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let due = self.machine.poll_timeout();
            let wake = due.map(|due| self.setup.clock.instant(due.at));
            tokio::select! {
                input = inputs.recv() => {
                    let Some(first) = input else { return };
                    if let Some(told) = self.take_some(first, &mut inputs) {
                        drop(inputs);
                        self.stop().await;
                        let _ = told.send(());
                        return;
                    }
                }
                Some(_) = self.visits.join_next(), if !self.visits.is_empty() => continue,
                () = sleep_until(wake) => {
                    self.machine.handle_timeout(self.setup.clock.now());
                    self.drain();
                }
                _ = look.tick() => self.look().await,
            }
            self.commit().await;
        }
    }

    /// Takes what is there, as much as one commit is to hold. Whom to tell that it has stopped, if it is to stop.
    fn take_some(
        &mut self,
        first: Input,
        inputs: &mut mpsc::Receiver<Input>,
    ) -> Option<tokio::sync::oneshot::Sender<()>> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(input) = next {
            if let Input::Stop(told) = input {
                return Some(told);
            }
            self.take(input);
            taken += 1;
            next = match taken < BATCH_MAX {
                true => inputs.try_recv().ok(),
                false => None,
            };
        }
        None
    }

    #[cfg(test)]
    pub(super) async fn hear(&mut self, input: Input) {
        self.take(input);
        self.commit().await;
    }

    #[cfg(test)]
    pub(super) fn guest(&mut self, asker: EndpointKey) -> (Who, mpsc::UnboundedReceiver<Transmit>) {
        let (who, _, answers) = self.seat(asker, None).expect("there is room");
        (who, answers)
    }

    #[cfg(test)]
    pub(super) fn shown(&self) -> Shown {
        self.shown.lock().expect("whole").clone()
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Arrived(connection, block) => self.arrived(connection, block),
            Input::Asked(who, ask, body) => self.asked(who, *ask, body),
            Input::Unreadable(who) => self.machine.refuse_frame(who),
            Input::Gone(who) => {
                self.machine.handle_lost(who);
                self.batch.gone.push(who);
            }
            Input::Caps(caps) => {
                self.caps = caps;
                self.machine.handle_caps(caps);
            }
            Input::Issuers(issuers) => {
                self.issuers = issuers;
                self.issuers.insert(self.own());
                self.machine.handle_issuers(self.issuers.clone());
            }
            Input::Stop(_) => {}
        }
        self.drain();
    }

    fn arrived(&mut self, connection: Connection, block: IpAddr) {
        if self.standing == Standing::Off {
            return connection.close(1u32.into(), b"no mailbox");
        }
        let Some(turn) = self.entering.take(block) else {
            return connection.close(1u32.into(), b"full");
        };
        let asker = endpoint_key(connection.remote_id());
        let Some((who, seat, answers)) = self.seat(asker, Some(turn)) else {
            return connection.close(1u32.into(), b"full");
        };
        let visit = Visit {
            who,
            connection,
            seat,
            answers,
        };
        self.visits.spawn(visit.run(self.desk.clone()));
    }

    /// `BOX-08`: a place for somebody, if there is one.
    fn seat(
        &mut self,
        asker: EndpointKey,
        turn: Option<Turn<IpAddr>>,
    ) -> Option<(Who, Arc<Seat>, mpsc::UnboundedReceiver<Transmit>)> {
        self.last += 1;
        let (who, now) = (Who(self.last), self.setup.clock.now());
        if !self.machine.handle_connected(who, asker, now) {
            return None;
        }
        let (answers, to_send) = mpsc::unbounded_channel();
        let seat = Arc::new(Seat::default());
        let guest = Guest {
            seat: Arc::clone(&seat),
            answers,
            turn,
        };
        self.guests.insert(who, guest);
        Some((who, seat, to_send))
    }

    fn asked(&mut self, who: Who, ask: Ask, body: Arc<[u8]>) {
        let now = self.setup.clock.now();
        let adds = matches!(ask, Ask::Deposit(_) | Ask::Open { .. });
        if adds && self.full.is(now) {
            return self.refuse(who, &ask, &body, Refusal::HolderFull);
        }
        // ROLE-03: letters and what lies in boxes pass one cap.
        if !body.is_empty() {
            let bytes = body.len() as u64;
            if !self.desk.carrier.letter(bytes) {
                return self.refuse(who, &ask, &body, Refusal::TooOften);
            }
            self.desk.carrier.meter().letter_received(bytes);
        }
        self.batch.asked.push((who, ask.clone(), Arc::clone(&body)));
        self.machine.handle_frame(who, ask, body, now);
    }

    fn refuse(&mut self, who: Who, ask: &Ask, body: &[u8], why: Refusal) {
        let answer = Answer::Refused(about(ask, body), why);
        self.batch.transmits.push((who, Transmit::Answer(answer)));
    }

    fn drain(&mut self) {
        self.batch
            .persists
            .extend(std::iter::from_fn(|| self.machine.poll_persist()));
        self.batch
            .transmits
            .extend(std::iter::from_fn(|| self.machine.poll_transmit()));
        while let Some(Event::Left) = self.machine.poll_event() {
            self.batch.left = true;
        }
    }

    /// `BOX-12`: what is to be kept is on disk before anything is answered.
    async fn commit(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let keeps = batch
            .persists
            .iter()
            .any(|one| matches!(one, Persist::Keep { .. }));
        if !batch.persists.is_empty() {
            let persists = batch.persists;
            let written = self
                .setup
                .db
                .write(move |tx| persists.iter().try_for_each(|one| rows::write(tx, one)));
            if let Err(error) = written.await {
                return self.not_written(error, batch.asked).await;
            }
        }
        if keeps {
            self.full.worked();
        }
        for (who, transmit) in batch.transmits {
            self.send(who, transmit);
        }
        for who in batch.gone {
            self.guests.remove(&who);
        }
        if batch.left {
            self.end().await;
        }
        self.show();
    }

    fn send(&mut self, who: Who, transmit: Transmit) {
        let Some(guest) = self.guests.get_mut(&who) else {
            return;
        };
        if let Transmit::Answer(answer) = &transmit {
            guest.note(answer);
            if let Answer::Refused(_, why) = answer {
                *self.refused.entry(*why).or_default() += 1;
            }
        }
        let waiting = guest.seat.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = guest.answers.send(transmit);
        // Nobody asks so much without taking any of it.
        if waiting >= ANSWERS_MAX {
            self.guests.remove(&who);
            self.machine.handle_lost(who);
        }
    }

    /// The machine and the disk are not at one: whoever asked is told no, everybody else connects again, and the machine is what is
    /// on disk.
    async fn not_written(&mut self, error: StoreError, asked: Vec<(Who, Ask, Arc<[u8]>)>) {
        warn!(%error, "what was left at this mailbox holder could not be written");
        let now = self.setup.clock.now();
        self.full.failed(now);
        for (who, ask, body) in asked {
            let answer = Answer::Refused(about(&ask, &body), Refusal::HolderFull);
            self.send(who, Transmit::Answer(answer));
        }
        self.begin_anew().await;
        self.show();
    }

    /// Everybody goes, and the machine is made anew from the store.
    async fn begin_anew(&mut self) {
        self.guests.clear();
        self.batch = Batch::default();
        let kept = loop {
            match self.setup.db.read(Kept::load).await {
                Ok(kept) => break kept,
                Err(error) => {
                    warn!(%error, "what this mailbox holder keeps cannot be read");
                    tokio::time::sleep(FULL_FOR.0).await;
                }
            }
        };
        let may = (self.caps, self.issuers.clone());
        self.machine = kept.restore(self.own(), may, self.setup.clock.now());
        if self.standing == Standing::Leaving {
            self.machine.handle_leaving(self.setup.clock.now());
        }
    }

    /// The switch, the disk, the day.
    async fn look(&mut self) {
        let free = rustix::fs::statvfs(&self.setup.folder);
        let free = free.map_or(u64::MAX, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        self.full.crowded = free < RESERVE;
        self.obey().await;
        let today = rows::today();
        if self.day != today {
            self.day = today;
            self.machine.handle_day(today);
            self.drain();
        }
    }

    async fn obey(&mut self) {
        let on = self.desk.carrier.is_on(Role::Mailbox);
        match (self.standing, on) {
            (Standing::On, false) if self.machine.figures().boxes > 0 => {
                info!("this mailbox holder stops; what it has is given for an hour");
                self.standing = Standing::Leaving;
                self.machine.handle_leaving(self.setup.clock.now());
                self.drain();
            }
            (Standing::On, false) => {
                self.standing = Standing::Off;
                self.begin_anew().await;
            }
            (Standing::Leaving | Standing::Off, true) => {
                self.standing = Standing::On;
                self.begin_anew().await;
            }
            _ => {}
        }
    }

    /// `BOX-20`: the hour is over.
    async fn end(&mut self) {
        let remembered = self.day + REMEMBERED_DAYS;
        let ended = self.setup.db.write(move |tx| logs::end_all(tx, remembered));
        if let Err(error) = ended.await {
            warn!(%error, "what this mailbox holder kept could not be removed");
        }
        self.standing = Standing::Off;
        self.begin_anew().await;
    }

    /// The supernode of this process ends. Over a restart boxes stay; a role that is over is told.
    async fn stop(&mut self) {
        self.commit().await;
        if !self.desk.carrier.is_on(Role::Mailbox) {
            self.machine.handle_leaving(self.setup.clock.now());
            self.drain();
            self.commit().await;
        }
        self.guests.clear();
        while self.visits.join_next().await.is_some() {}
    }

    fn show(&self) {
        let shown = Shown {
            figures: self.machine.figures(),
            refused: self.refused.clone(),
            leaving: self.standing == Standing::Leaving,
            crowded: self.full.is(self.setup.clock.now()),
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    fn own(&self) -> EndpointKey {
        key_of(self.setup.key.as_bytes())
    }
}

impl Guest {
    fn note(&mut self, answer: &Answer) {
        if let Answer::Entered(side) = answer {
            self.turn = None;
            self.seat.entered.store(true, Ordering::Relaxed);
            if *side == Side::Deposit {
                self.seat.deposits.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Full {
    fn new() -> Self {
        Self {
            until: None,
            pause: Backoff::new(FULL_FOR.0, FULL_FOR.1),
            jitter: Jitter::new(u64::from_le_bytes(random())),
            crowded: false,
        }
    }

    fn is(&self, now: Time) -> bool {
        self.crowded || self.until.is_some_and(|until| now < until)
    }

    fn failed(&mut self, now: Time) {
        self.until = Some(now + self.pause.next(&mut self.jitter));
    }

    fn worked(&mut self) {
        self.until = None;
        self.pause.reset();
    }
}

/// What a refusal names that the machine did not make.
fn about(ask: &Ask, body: &[u8]) -> About {
    match ask {
        Ask::Open { .. } => About::Open,
        Ask::Enter { .. } => About::Enter,
        Ask::Deposit(head) => About::Entry(head.id(body)),
        Ask::Prepare { slot, .. } | Ask::Accept { slot, .. } => About::Slot(*slot),
        _ => About::Frame,
    }
}
