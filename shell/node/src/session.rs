//! One account's drivers and the table of who hears what.
//!
//! | from | to |
//! | --- | --- |
//! | front door, supernode's connection | home (notices) |
//! | front door, contact: `link`, `chat`, `call` | meet, chat, calls |
//! | inner endpoint: `media`, `file` | calls, files |
//! | `Presence` | chat, files, clients |
//! | `Contact` | home (watch lists), people (an answer that goes out by itself), own presence (who may see it) |
//! | front door, own device or whoever has a link for one: `link` | devices |
//! | `Account` | records (registers anew) |
//! | `DeviceGone` | front door, inner endpoint, home (watch lists) |
//! | `Revoked` | the session, which ends |
//! | `Gone` | chat, calls, files, home (watch lists), own presence |
//! | `Permissions` | chat, own presence |
//! | `Presence`, `Contact`, `Permissions`, `Profile` | profiles (whom to tell) |
//! | `Keys` | home (watch lists), own presence |
//! | `Found` | home (watch lists), people (letters) |
//! | local network | home (sightings) |
//! | `Home`, `Contact`, `Gone`, `Profile` | rescue (the copy for the 24 words) |
//! | `Home` | people (letters, new cards), records (whom to ask and tell), calls (where we are found), devices |
//! | `Candidates` | records |
//! | how the home is (watched by `announce.rs`) | clients |
//! | `Load`, `Home` | promotion, which belongs to the node |
//! | `Claim`, `Home`, `Verdict` | names, and the registrar where this profile is one |
//! | `InCall`, `Silence` | home (probes for silence) |
//! | `InCall` | own presence |
//! | `Network` | home (dialled afresh), inner endpoint |

pub(crate) mod card;
mod signals;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use iroh::endpoint::Connection;
use starling_control::Event;
use starling_store::{StoreError, contacts};
use starling_wire::alpn;
use starling_wire::ids::AccountId;
use starling_wire::permissions::Permission;
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tracing::debug;

use crate::abouts::Abouts;
use crate::audio::Audio;
use crate::book::{Book, Relation};
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::context::{Context, Homes, Signal};
use crate::db::Db;
use crate::drivers::calls::Calls;
use crate::drivers::chat::Chat;
use crate::drivers::devices::Devices;
use crate::drivers::files::Files;
use crate::drivers::home::{self, HomeInput, HomeState};
use crate::drivers::names::Names;
use crate::drivers::people::{self, People};
use crate::drivers::presence::{self, OwnPresence};
use crate::drivers::profiles;
use crate::drivers::records::{self, Records, RecordsInput};
use crate::drivers::registration::Registrar;
use crate::drivers::rescue::Rescuer;
use crate::drivers::rounds::Rounds;
use crate::drivers::turns::Turns;
use crate::drivers::{lan, meet, surroundings};
use crate::identity::Identity;
use crate::media_path::Sounding;
use crate::own::Own;
use crate::own_set::OwnSet;
use crate::processing::ProcessingChoice;
use crate::relaying::Relaying;
use crate::roles::carrier::{Carrier, OwnDoor};
use crate::strangers::Strangers;
use crate::traffic::Traffic;
use crate::transport::endpoint::EndpointError;
use crate::transport::front_door::{Arrival, FrontDoor, Visitor};
use crate::transport::inner::{InnerArrival, InnerEndpoints};
use crate::transport::pins::Pins;
use crate::transport::requests::Supernodes;

const SIGNALS: usize = 1024;
const ARRIVALS: usize = 64;
/// Questions for the inner endpoint that are being answered at once: of one contact, and of all.
const MEETINGS_OF_ONE: usize = 4;
const MEETINGS_MAX: usize = 32;
/// Connections for files that no session has taken yet: of one contact, and of all.
const FETCHES_OF_ONE: usize = 4;
const FETCHES_MAX: usize = 64;

/// A signed-in node.
#[derive(Debug)]
pub struct Session {
    /// What the drivers share.
    pub ctx: Arc<Context>,
    /// Contacts and requests.
    pub people: Arc<People>,
    /// Conversations.
    pub chat: Arc<Chat>,
    /// Transfers.
    pub files: Arc<Files>,
    /// Calls.
    pub calls: Arc<Calls>,
    /// What is done with the microphone's sound.
    pub processing: ProcessingChoice,
    /// The account's other devices.
    pub devices: Arc<Devices>,
    /// Unique names, and the registrar where this profile is one.
    pub names: Arc<Names>,
    home: mpsc::Sender<HomeInput>,
    home_state: watch::Receiver<HomeState>,
    records: Records,
    beside: Beside,
    _own: OwnDoor,
    stopped: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

/// What goes on beside the routers, so that none waits for one contact.
#[derive(Debug)]
struct Beside {
    /// Contacts that are being told where the inner endpoint is.
    meeting: Turns<AccountId>,
    /// Connections for files on their way to their session.
    fetching: Turns<AccountId>,
    /// Contacts whose transfers are being told.
    files_told: Rounds,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            meeting: Turns::new(MEETINGS_OF_ONE, MEETINGS_MAX),
            fetching: Turns::new(FETCHES_OF_ONE, FETCHES_MAX),
            files_told: Rounds::default(),
        }
    }
}

/// What a session starts from.
#[derive(Debug)]
pub struct Start {
    /// How the node was started.
    pub config: NodeConfig,
    /// Time.
    pub clock: Clock,
    /// The store.
    pub db: Db,
    /// To clients.
    pub events: broadcast::Sender<Event>,
    /// Known supernode keys.
    pub pins: Pins,
    /// What is carried for others: our doors are not theirs.
    pub carrier: Carrier,
    /// Where the profile belongs.
    pub homes: Homes,
    /// Who we are.
    pub identity: Identity,
    /// Account, network or roles are others now.
    pub changed: Arc<Notify>,
    /// Sound devices.
    pub audio: Arc<Audio>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Network.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a session stands behind, and who comes in.
struct Doors {
    ctx: Arc<Context>,
    registrar: Arc<Registrar>,
    audio: Arc<Audio>,
    own: OwnDoor,
    arrivals: mpsc::Receiver<Arrival>,
    inner_arrivals: mpsc::Receiver<InnerArrival>,
}

impl Doors {
    async fn open(mut start: Start) -> Result<Self, SessionError> {
        let registrar = Arc::new(Registrar::load(&start.db).await?);
        let identity = card::with_card(&start).await?;
        prefer(&mut start.homes, &registrar.homes());
        let book = Book::default();
        for home in &start.homes.supernodes {
            start.pins.learn(home);
        }
        book.set_own_supernodes(supernode_keys(&start.homes.supernodes));
        let (door_sender, arrivals) = mpsc::channel(ARRIVALS);
        let keeper = {
            let book = book.clone();
            Arc::new(move |key| book.visitor(key))
        };
        let seed = &identity.front_door_seed;
        let (pins, proxy) = (start.pins.clone(), start.config.proxy.clone());
        let door = FrontDoor::open(seed, pins, proxy, None, keeper, door_sender).await?;
        let door = Arc::new(door);
        let own_door = start.carrier.own(door.key());
        let (inner_sender, inner_arrivals) = mpsc::channel(ARRIVALS);
        let (pins, listen) = (start.pins.clone(), start.config.udp());
        let inner = InnerEndpoints::new(pins, start.carrier, door.shim(), listen, inner_sender);
        let relaying = start.db.read(Relaying::load).await?;
        let abouts = start.db.read(Abouts::load).await?;
        let identity = Arc::new(Own::new(identity, start.changed));
        let own = Arc::clone(&identity);
        let own_set = start.db.write(move |tx| OwnSet::load(tx, own)).await?;
        let own_presence = OwnPresence::load(&start.db, start.clock).await?;
        let ctx = Arc::new(Context {
            config: start.config,
            clock: start.clock,
            db: start.db,
            events: start.events,
            signals: broadcast::channel(SIGNALS).0,
            identity,
            own_set,
            book,
            pins: start.pins,
            supernodes: Supernodes::new(Arc::clone(&door)),
            door,
            inner,
            homes: RwLock::new(start.homes),
            traffic: Arc::new(Traffic::default()),
            paths: Arc::default(),
            abouts,
            relaying,
            own_presence,
            strangers: Strangers::default(),
            standing: Mutex::default(),
        });
        Ok(Self {
            ctx,
            registrar,
            audio: start.audio,
            own: own_door,
            arrivals,
            inner_arrivals,
        })
    }
}

impl Session {
    /// Opens the doors and starts the drivers.
    pub async fn start(start: Start) -> Result<Arc<Self>, SessionError> {
        let doors = Doors::open(start).await?;
        let ctx = doors.ctx;
        for contact in ctx.db.read(contacts::list).await? {
            people::remember(&ctx, &contact);
        }
        let signals = ctx.signals.subscribe();
        let (home, home_inputs) = mpsc::channel(ARRIVALS);
        let (home_state_sender, home_state) = watch::channel(HomeState::default());
        let (records, records_inputs) = Records::new();
        let people = Arc::new(People::new(Arc::clone(&ctx), records.clone()));
        let devices = Arc::new(Devices::new(
            Arc::clone(&ctx),
            Arc::clone(&people),
            records.clone(),
            Arc::clone(&doors.registrar),
        ));
        devices.doors().await?;
        let chat = Arc::new(Chat::start(Arc::clone(&ctx)).await?);
        let files = Arc::new(Files::start(Arc::clone(&ctx)));
        let processing = ctx.db.read(ProcessingChoice::load).await?;
        let sounding = Sounding {
            audio: doors.audio,
            processing: processing.clone(),
        };
        let (calls, calls_work) = Calls::start(Arc::clone(&ctx), sounding).await?;
        let names = Names::start(&ctx, &people, records.clone()).await?;
        let session = Arc::new(Self {
            names: Arc::new(names),
            files,
            calls: Arc::new(calls),
            processing,
            people,
            chat,
            devices,
            home,
            home_state,
            records,
            beside: Beside::default(),
            _own: doors.own,
            stopped: AtomicBool::default(),
            tasks: Mutex::default(),
            ctx,
        });
        // A device that was removed from its account shows its history and serves nobody.
        if session.ctx.identity.is_revoked() {
            return Ok(session);
        }
        session.run_registration(
            doors.registrar,
            home_inputs,
            home_state_sender,
            records_inputs,
        );
        session.run(doors.arrivals, doors.inner_arrivals, signals);
        session.tasks().spawn(calls_work);
        Ok(session)
    }

    /// The two drivers that show who we are: at home, and in the index.
    fn run_registration(
        self: &Arc<Self>,
        registrar: Arc<Registrar>,
        home_inputs: mpsc::Receiver<HomeInput>,
        home_state: watch::Sender<HomeState>,
        records_inputs: mpsc::Receiver<RecordsInput>,
    ) {
        let desk = records::Desk {
            ctx: Arc::clone(&self.ctx),
            registrar: Arc::clone(&registrar),
            home: self.home.clone(),
            state: self.home_state.clone(),
        };
        let ctx = Arc::clone(&self.ctx);
        let mut tasks = self.tasks();
        tasks.spawn(home::run(ctx, registrar, home_inputs, home_state));
        tasks.spawn(records::run(desk, records_inputs));
    }

    fn run(
        self: &Arc<Self>,
        door: mpsc::Receiver<Arrival>,
        inner: mpsc::Receiver<InnerArrival>,
        signals: broadcast::Receiver<Signal>,
    ) {
        let mut tasks = self.tasks();
        tasks.spawn(route_door(Arc::downgrade(self), door));
        tasks.spawn(route_inner(Arc::downgrade(self), inner));
        tasks.spawn(signals::route(Arc::downgrade(self), signals));
        if self.ctx.config.looks_around() {
            tasks.spawn(lan::run(Arc::clone(&self.ctx), self.home.clone()));
        }
        tasks.spawn(presence::run(
            Arc::clone(&self.ctx),
            self.home_state.clone(),
        ));
        tasks.spawn(profiles::run(Arc::clone(&self.ctx)));
        tasks.spawn(surroundings::run(Arc::clone(&self.ctx)));
        tasks.spawn(Arc::clone(&self.devices).run());
        let people = Arc::clone(&self.people);
        tasks.spawn(async move { people.run_post().await });
        let rescuer = Rescuer {
            ctx: Arc::clone(&self.ctx),
            people: Arc::clone(&self.people),
            records: self.records.clone(),
        };
        tasks.spawn(rescuer.run());
        let names = Arc::clone(&self.names);
        tasks.spawn(async move { names.run().await });
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the home supernode is.
    pub fn home_state(&self) -> HomeState {
        self.home_state.borrow().clone()
    }

    /// Hears how the home supernode is, from now on.
    pub fn home_changes(&self) -> watch::Receiver<HomeState> {
        self.home_state.clone()
    }

    /// Tells the home driver.
    pub async fn tell_home(&self, input: HomeInput) {
        let _ = self.home.send(input).await;
    }

    /// Moves to other supernodes.
    pub async fn set_homes(&self, homes: Homes) {
        let candidates = homes.supernodes.clone();
        for home in &candidates {
            self.ctx.pins.learn(home);
        }
        self.ctx
            .book
            .set_own_supernodes(supernode_keys(&candidates));
        self.ctx.set_homes(homes);
        self.tell_home(HomeInput::Candidates(candidates)).await;
    }

    /// `PEER-07`: a contact asks where the inner endpoint is, or about profiles, a few times at once at most.
    fn meet(&self, account: AccountId, connection: Connection) {
        let Some(turn) = self.beside.meeting.take(account) else {
            debug!(reason = "too many at once", "did not answer a question");
            connection.close(1u32.into(), b"busy");
            return;
        };
        let ctx = Arc::clone(&self.ctx);
        tokio::spawn(async move {
            meet::answer(ctx, account, connection).await;
            drop(turn);
        });
    }

    /// A contact's inner endpoint opened a connection for files. Its session may be slow to take it.
    fn fetch(&self, account: AccountId, connection: Connection) {
        // CONTACT-05
        if !self.ctx.abouts.allows(account, Permission::Files) {
            debug!(
                reason = "not permitted",
                "turned a connection for files away"
            );
            connection.close(1u32.into(), b"busy");
            return;
        }
        let Some(turn) = self.beside.fetching.take(account) else {
            debug!(
                reason = "too many at once",
                "turned a connection for files away"
            );
            connection.close(1u32.into(), b"busy");
            return;
        };
        let files = Arc::clone(&self.files);
        tokio::spawn(async move {
            files.arrived(account, connection).await;
            drop(turn);
        });
    }

    /// Whoever may not knock any more is not connected any more.
    fn close_strangers(&self) {
        let book = &self.ctx.book;
        self.ctx
            .door
            .close_strangers(|key| book.visitor(key).is_some());
    }

    /// Nobody hears a device any more that its account has removed.
    async fn device_gone(&self, account: AccountId) {
        self.close_strangers();
        self.ctx.inner.forget(account).await;
        self.tell_home(HomeInput::Targets).await;
    }

    /// Transfers with somebody go on, wait or end, as the book says by now. Nobody waits for a slow one.
    fn tell_files(&self, account: AccountId) {
        let (files, ctx) = (Arc::clone(&self.files), Arc::clone(&self.ctx));
        self.beside.files_told.begin(account, move || {
            let (files, ctx) = (Arc::clone(&files), Arc::clone(&ctx));
            async move {
                match ctx.book.person(account) {
                    Some(person) if person.relation == Relation::Contact => {
                        files.presence(account, person.reach).await;
                    }
                    _ => files.gone(account).await,
                }
            }
        });
    }

    /// Closes doors and stops the drivers.
    pub async fn stop(&self) {
        if self.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        self.devices.stop().await;
        self.calls.stop().await;
        self.files.stop().await;
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
        self.chat.stop().await;
        self.ctx.inner.close().await;
        self.ctx.door.close().await;
    }
}

/// Those that our record names come first: it stays as it is over a restart.
fn prefer(homes: &mut Homes, named: &[SupernodeAddr]) {
    let place = |one: &SupernodeAddr| named.iter().position(|other| other == one);
    homes
        .supernodes
        .sort_by_key(|one| place(one).unwrap_or(usize::MAX));
}

fn supernode_keys(supernodes: &[SupernodeAddr]) -> BTreeSet<starling_wire::ids::EndpointKey> {
    supernodes.iter().map(|supernode| supernode.id).collect()
}

async fn route_door(session: std::sync::Weak<Session>, mut arrivals: mpsc::Receiver<Arrival>) {
    while let Some(arrival) = arrivals.recv().await {
        let Some(session) = session.upgrade() else {
            return;
        };
        match (arrival.visitor, arrival.connection.alpn()) {
            (Visitor::Supernode, alpn::SUPER) => {
                session
                    .tell_home(HomeInput::Arrival(Box::new(arrival)))
                    .await
            }
            (Visitor::Contact(account, _), alpn::CHAT) => {
                session.chat.arrived(account, arrival.connection)
            }
            (Visitor::Contact(account, _), alpn::CALL) => {
                session.calls.arrived(account, arrival.connection)
            }
            (Visitor::Contact(account, _), alpn::LINK) => {
                session.meet(account, arrival.connection);
            }
            (visitor @ (Visitor::Own(_) | Visitor::Removed | Visitor::Stranger), alpn::LINK) => {
                session
                    .devices
                    .arrived(visitor, arrival.key, arrival.connection);
            }
            _ => {
                debug!(
                    reason = "wrong protocol",
                    "closed a connection to the front door"
                );
                arrival.connection.close(1u32.into(), b"not here");
            }
        }
    }
}

async fn route_inner(
    session: std::sync::Weak<Session>,
    mut arrivals: mpsc::Receiver<InnerArrival>,
) {
    while let Some(arrival) = arrivals.recv().await {
        let Some(session) = session.upgrade() else {
            return;
        };
        match arrival.connection.alpn() {
            alpn::FILE => {
                session.fetch(arrival.account, arrival.connection);
            }
            alpn::MEDIA => session
                .calls
                .sound_arrived(arrival.account, arrival.connection),
            _ => arrival.connection.close(1u32.into(), b"not here"),
        }
    }
}
