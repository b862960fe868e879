//! What a supernode says unasked: who came and went, letters that wait, that it is about to leave. Owns the desk.
//!
//! Everything that waits to be said is bounded: presence by the watch lists (a newer state replaces an older one), "letters
//! wait" by the doors that are here, and what is being said at once by [`TELLING_MAX`].

mod errands;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use starling_protocol::machine::Time;
use starling_protocol::overlay::crowd::Call;
use starling_protocol::presence::desk::Desk;
use starling_protocol::presence::letters::Letters;
use starling_protocol::presence::untold::{Outcome, Untold};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{Notice, SupernodeAddr};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::{debug, error};

use self::errands::Errands;
use self::telling::{Reached, Sightings, notify};
use super::Service;
use super::presence::Question;
use crate::clock::{Clock, sleep_until, wall_s};
use crate::transport::relay_server::LinkEvent;

/// Notices on their way at once. Each is a connection.
const TELLING_MAX: usize = 1_000;
/// What was only announced leaves room for what there is to say.
const ANNOUNCED_MAX: usize = TELLING_MAX / 2;
/// Watchers who are reached and not yet answered.
const REACHED: usize = 64;

/// Before a desk that failed is begun anew.
const ANEW_AFTER: Duration = Duration::from_secs(1);

/// What comes in at the desk.
type Inputs = (
    mpsc::Receiver<DeskInput>,
    mpsc::UnboundedReceiver<LinkEvent>,
);

/// What the desk is asked.
pub(super) enum DeskInput {
    /// Presence.
    Presence(Question),
    /// This door is about to say how its person is.
    Announced(EndpointKey),
    /// A letter waits for whoever has these doors.
    Envelope(Vec<EndpointKey>),
    /// Tell these that the network is nearly full.
    Load(Call),
    /// Tell those of these doors that are here that this supernode leaves, then answer.
    Leave(Vec<EndpointKey>, oneshot::Sender<()>),
}

/// What was on its way and has arrived, or not.
enum Told {
    /// Presence to this watcher; since when, and whether that was heard.
    Presence(EndpointKey, Time, bool),
    /// A letter waits behind this door; whether that was heard.
    Envelope(EndpointKey, bool),
    Leaving,
    Load,
}

struct Notices {
    service: Arc<Service>,
    clock: Clock,
    desk: Desk,
    /// Doors to be told of letters.
    letters: Letters,
    telling: Errands<Told>,
    /// Watchers that are to be told of presence, and of whom.
    presence: Untold,
    /// Those of them that are reached and wait for what there is to say.
    waiting: BTreeMap<EndpointKey, oneshot::Sender<Sightings>>,
    /// Who is reached, and what the tasks that reach them say so by.
    reached: mpsc::Receiver<Reached>,
    reaching: mpsc::Sender<Reached>,
    /// Doors to be told that the network is nearly full, and what they are told.
    load: Vec<(EndpointKey, Notice)>,
    /// Doors to be told that we leave, how many were not told yet, and who asked for it.
    leaving: Vec<EndpointKey>,
    untold: usize,
    leave: Option<oneshot::Sender<()>>,
}

/// Keeps the desk running. If it ever fails, that is said and an empty one goes on; every link ends, so that whoever comes again
/// says anew what the desk has to know.
pub(super) async fn run(service: Arc<Service>, inputs: Inputs, clock: Clock) {
    let inputs = Arc::new(Mutex::new(inputs));
    loop {
        let mut desk = JoinSet::new();
        desk.spawn(serve(Arc::clone(&service), Arc::clone(&inputs), clock));
        let Some(Err(failed)) = desk.join_next().await else {
            return;
        };
        error!(%failed, "the presence desk failed and is begun anew; please report this");
        tokio::time::sleep(ANEW_AFTER).await;
        service.relay.end_links();
    }
}

/// Links in, watch lists in, notices out.
async fn serve(service: Arc<Service>, inputs: Arc<Mutex<Inputs>>, clock: Clock) {
    let mut inputs = inputs.lock().await;
    let (inputs, links) = &mut *inputs;
    let (reaching, reached) = mpsc::channel(REACHED);
    let mut notices = Notices {
        service,
        clock,
        desk: Desk::default(),
        letters: Letters::default(),
        telling: Errands::default(),
        presence: Untold::default(),
        waiting: BTreeMap::new(),
        reached,
        reaching,
        load: Vec::new(),
        leaving: Vec::new(),
        untold: 0,
        leave: None,
    };
    loop {
        let wake = notices.wake();
        tokio::select! {
            Some(link) = links.recv() => match link {
                LinkEvent::Up(door, number) => notices.desk.link_up(door, number),
                LinkEvent::Down(door, number) => notices.desk.link_down(door, number, clock.now()),
            },
            Some(input) = inputs.recv() => notices.handle(input),
            Some((watcher, reply)) = notices.reached.recv() => notices.reached(watcher, reply),
            () = sleep_until(wake) => notices.desk.handle_timeout(clock.now(), wall_s()),
            Some(told) = notices.telling.next() => notices.told(told),
            else => return,
        }
        notices.drain();
    }
}

impl Notices {
    fn wake(&self) -> Option<tokio::time::Instant> {
        let desk = self.desk.poll_timeout().map(|due| due.at);
        // Where there is no room, the end of one that is being told wakes us.
        let letters = self.letters.poll_timeout().filter(|_| self.has_room());
        let next = desk.into_iter().chain(letters.map(|due| due.at)).min();
        next.map(|at| self.clock.instant(at))
    }

    fn has_room(&self) -> bool {
        self.telling.len() < TELLING_MAX && self.leave.is_none()
    }

    fn handle(&mut self, input: DeskInput) {
        let now = self.clock.now();
        match input {
            DeskInput::Presence(question) => self.answer(question),
            DeskInput::Announced(door) => self.announced(door),
            DeskInput::Envelope(doors) => {
                for door in doors.into_iter().filter(|door| self.desk.is_here(*door)) {
                    self.letters.handle_letter(door, now);
                }
            }
            DeskInput::Load(call) => {
                let notice = Notice::Load {
                    percent: call.percent,
                    candidates: u32::try_from(call.clients.len()).unwrap_or(u32::MAX),
                };
                let told = call.clients.into_iter();
                self.load = told.map(|door| (door, notice.clone())).collect();
            }
            DeskInput::Leave(mut doors, told) => {
                doors.retain(|door| self.desk.is_here(*door));
                self.leaving = doors;
                self.untold = self.leaving.len();
                self.leave = Some(told);
            }
        }
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Presence(watcher, since, heard) => self.told_presence(watcher, since, heard),
            Told::Load => {}
            Told::Leaving => self.untold -= 1,
            Told::Envelope(door, told) => {
                self.letters.handle_told(door, told, self.clock.now());
            }
        }
    }

    /// Says what there is to say, as far as there is room; that we leave comes first, and last.
    fn drain(&mut self) {
        let mut owed = BTreeSet::new();
        while let Some(tell) = self.desk.poll_tell() {
            owed.insert(tell.watcher);
            self.presence.handle_tell(tell);
        }
        for watcher in owed {
            self.hand_over(watcher);
        }
        while self.telling.len() < TELLING_MAX && self.say_next() {}
        if self.untold == 0
            && let Some(told) = self.leave.take()
        {
            let _ = told.send(());
        }
    }

    fn answer(&mut self, question: Question) {
        let now = self.clock.now();
        let desk = &mut self.desk;
        // Whoever asked may not wait any more.
        match question {
            Question::Watch(watcher, watch, reply) => {
                let _ = reply.send(desk.watch(watcher, watch, now));
            }
            Question::StillWatch(list, reply_to, digest, reply) => {
                let _ = reply.send(desk.still_watch(list, &reply_to, digest, now));
            }
            Question::Grant(door, grant, reply) => {
                let _ = reply.send(desk.grant(door, grant, now, wall_s()));
            }
            Question::State(door, state, reply) => {
                let _ = reply.send(desk.set_state(door, state, now));
            }
        }
    }

    /// `PRESENCE-31`: the ways to those who will be told are opened while the door's own handshake goes on.
    fn announced(&mut self, door: EndpointKey) {
        for (watcher, reply_to) in self.desk.announce(door) {
            if self.telling.len() >= ANNOUNCED_MAX || self.leave.is_some() {
                return;
            }
            if self.presence.handle_announced(watcher, reply_to.clone()) {
                self.tell(watcher, reply_to);
            }
        }
    }

    /// Each watcher is told by one task at a time.
    fn tell(&mut self, watcher: EndpointKey, reply_to: SupernodeAddr) {
        let (service, since) = (Arc::clone(&self.service), self.clock.now());
        let reaching = self.reaching.clone();
        let unheard = Told::Presence(watcher, since, false);
        self.telling.spawn(unheard, async move {
            let told = telling::presence(service, (watcher, reply_to), reaching).await;
            Told::Presence(watcher, since, told.is_ok())
        });
    }

    fn reached(&mut self, watcher: EndpointKey, reply: oneshot::Sender<Sightings>) {
        // Else whoever reached them gave up meanwhile.
        if self.presence.is_told(watcher) {
            self.waiting.insert(watcher, reply);
            self.hand_over(watcher);
        }
    }

    /// As much as fits one notice, to whoever is reached.
    fn hand_over(&mut self, watcher: EndpointKey) {
        let Some(waiting) = self.waiting.remove(&watcher) else {
            return;
        };
        let ids = self.presence.hand_over(watcher);
        if ids.is_empty() {
            self.waiting.insert(watcher, waiting);
            return;
        }
        let sightings = ids.into_iter().map(|id| (id, self.desk.sighting(id)));
        if waiting.send(sightings.collect()).is_err() {
            self.presence.handle_late(watcher);
        }
    }

    fn told_presence(&mut self, watcher: EndpointKey, since: Time, heard: bool) {
        self.waiting.remove(&watcher);
        let outcome = if heard {
            Outcome::Heard
        } else {
            let stands = self.desk.unwatch(watcher, since);
            stands.map_or(Outcome::Forgotten, Outcome::Missed)
        };
        self.presence.handle_told(watcher, outcome);
    }

    fn say_next(&mut self) -> bool {
        let service = Arc::clone(&self.service);
        if let Some(door) = self.leaving.pop() {
            self.telling.spawn(Told::Leaving, async move {
                let _ = notify(&service, door, &service.own, &Notice::Leaving).await;
                Told::Leaving
            });
            return true;
        }
        if self.leave.is_some() {
            return false;
        }
        // One notice at a time for each door: a flood of letters is one question.
        if let Some(door) = self.letters.poll_door(self.clock.now()) {
            if !self.desk.is_here(door) {
                self.letters.handle_gone(door);
                return true;
            }
            self.telling.spawn(Told::Envelope(door, false), async move {
                let told = notify(&service, door, &service.own, &Notice::EnvelopeWaiting).await;
                if let Err(error) = &told {
                    debug!(%error, "a door did not hear that a letter waits");
                }
                Told::Envelope(door, told.is_ok())
            });
            return true;
        }
        if let Some((watcher, reply_to)) = self.presence.poll_watcher() {
            self.tell(watcher, reply_to);
            return true;
        }
        // Once a minute at most; whoever misses it hears the next.
        if let Some((door, call)) = self.load.pop() {
            self.telling.spawn(Told::Load, async move {
                let _ = notify(&service, door, &service.own, &call).await;
                Told::Load
            });
            return true;
        }
        false
    }
}
