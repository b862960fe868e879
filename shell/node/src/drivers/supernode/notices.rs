//! What a supernode says unasked: who came and went, letters that wait, that it is about to leave. Owns the desk.
//!
//! Everything that waits to be said is bounded: presence by the watch lists (a newer state replaces an older one), "letters
//! wait" by the doors that are here, and what is being said at once by [`TELLING_MAX`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use starling_protocol::overlay::crowd::Call;
use starling_protocol::presence::desk::{Desk, Tell};
use starling_protocol::presence::letters::Letters;
use starling_wire::alpn;
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{Notice, SupernodeAddr};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::debug;

use super::Service;
use crate::clock::{Clock, sleep_until};
use crate::transport::relay_server::LinkEvent;
use crate::transport::{congestion, dial, stream};

/// Notices on their way at once. Each is a connection.
const TELLING_MAX: usize = 1_000;

/// What the desk is asked.
pub(super) enum DeskInput {
    /// A watch list.
    Watch {
        watcher: EndpointKey,
        doors: Vec<EndpointKey>,
        reply_to: SupernodeAddr,
        answer: oneshot::Sender<Option<Vec<(EndpointKey, bool)>>>,
    },
    /// A letter waits for whoever has these doors.
    Envelope(Vec<EndpointKey>),
    /// Tell these that the network is nearly full.
    Load(Call),
    /// Tell those of these doors that are here that this supernode leaves, then answer.
    Leave(Vec<EndpointKey>, oneshot::Sender<()>),
}

/// What was on its way and has arrived, or not.
enum Told {
    /// Presence; `Some` for a watcher that could not be reached.
    Presence(Option<EndpointKey>),
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
    telling: JoinSet<Told>,
    /// Presence to be told, in order; of two states of one door the newer.
    order: VecDeque<(EndpointKey, EndpointKey)>,
    presence: BTreeMap<(EndpointKey, EndpointKey), Tell>,
    /// Doors to be told that the network is nearly full, and what they are told.
    load: Vec<(EndpointKey, Notice)>,
    /// Doors to be told that we leave, how many were not told yet, and who asked for it.
    leaving: Vec<EndpointKey>,
    untold: usize,
    leave: Option<oneshot::Sender<()>>,
}

/// Runs the desk: links in, watch lists in, notices out.
pub(super) async fn run(
    service: Arc<Service>,
    mut inputs: mpsc::Receiver<DeskInput>,
    mut links: mpsc::UnboundedReceiver<LinkEvent>,
    clock: Clock,
) {
    let mut notices = Notices {
        service,
        clock,
        desk: Desk::default(),
        letters: Letters::default(),
        telling: JoinSet::new(),
        order: VecDeque::new(),
        presence: BTreeMap::new(),
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
            () = sleep_until(wake) => notices.desk.handle_timeout(clock.now()),
            Some(told) = notices.telling.join_next(), if !notices.telling.is_empty() => {
                if let Ok(told) = told {
                    notices.told(told);
                }
            }
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
            DeskInput::Watch {
                watcher,
                doors,
                reply_to,
                answer,
            } => {
                let state = self.desk.watch(watcher, &doors, reply_to, now);
                let _ = answer.send(state);
            }
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
            Told::Presence(Some(lost)) => self.desk.unwatch(lost),
            Told::Presence(None) | Told::Load => {}
            Told::Leaving => self.untold -= 1,
            Told::Envelope(door, told) => {
                self.letters.handle_told(door, told, self.clock.now());
            }
        }
    }

    /// Says what there is to say, as far as there is room; that we leave comes first, and last.
    fn drain(&mut self) {
        while let Some(tell) = self.desk.poll_tell() {
            let key = (tell.watcher, tell.door);
            if self.presence.insert(key, tell).is_none() {
                self.order.push_back(key);
            }
        }
        while self.telling.len() < TELLING_MAX && self.say_next() {}
        if self.untold == 0
            && let Some(told) = self.leave.take()
        {
            let _ = told.send(());
        }
    }

    fn say_next(&mut self) -> bool {
        let service = Arc::clone(&self.service);
        if let Some(door) = self.leaving.pop() {
            self.telling.spawn(async move {
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
            self.telling.spawn(async move {
                let told = notify(&service, door, &service.own, &Notice::EnvelopeWaiting).await;
                if let Err(error) = &told {
                    debug!(%error, "a door did not hear that a letter waits");
                }
                Told::Envelope(door, told.is_ok())
            });
            return true;
        }
        let next = self.order.pop_front();
        if let Some(tell) = next.and_then(|key| self.presence.remove(&key)) {
            self.telling.spawn(async move {
                let told = tell_presence(&service, &tell).await;
                Told::Presence(told.is_err().then_some(tell.watcher))
            });
            return true;
        }
        // Once a minute at most; whoever misses it hears the next.
        if let Some((door, call)) = self.load.pop() {
            self.telling.spawn(async move {
                let _ = notify(&service, door, &service.own, &call).await;
                Told::Load
            });
            return true;
        }
        false
    }
}

async fn tell_presence(service: &Service, tell: &Tell) -> Result<(), dial::DialError> {
    // Clients of ours are reached over loopback, whatever address they know us by.
    let place = if tell.reply_to.id == service.own.id {
        &service.own
    } else {
        &tell.reply_to
    };
    let notice = Notice::Presence(tell.door, tell.online);
    notify(service, tell.watcher, place, &notice).await
}

async fn notify(
    service: &Service,
    door: EndpointKey,
    place: &SupernodeAddr,
    notice: &Notice,
) -> Result<(), dial::DialError> {
    let connection = dial::through_homes(
        &service.endpoint,
        |supernode| {
            let place = service.pins.place(supernode);
            service.pins.learn(&place);
            Ok(place)
        },
        door,
        std::slice::from_ref(place),
        alpn::SUPER,
        congestion::signalling(),
    )
    .await?;
    let told = async {
        let mut send = connection
            .open_uni()
            .await
            .map_err(|_| stream::StreamError::Lost)?;
        stream::write(&mut send, notice).await?;
        send.finish().map_err(|_| stream::StreamError::Lost)?;
        send.stopped().await.map_err(|_| stream::StreamError::Lost)
    };
    let told = tokio::time::timeout(dial::DIAL_TIME, told).await;
    connection.close(0u32.into(), b"told");
    match told {
        Ok(Ok(_)) => Ok(()),
        _ => Err(dial::DialError::TimedOut),
    }
}
