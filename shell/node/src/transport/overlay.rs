//! Links between supernodes (ALPN `starling/1/index`): a connection to each other one that there is something to say to,
//! opened on demand, directly over UDP where that works and through its relay where not, used both ways and closed after
//! 30 s of silence.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::endpoint::{Connection, RecvStream, SendStream};
use iroh::{Endpoint, EndpointAddr};
use starling_wire::alpn;
use starling_wire::ids::EndpointKey;
use starling_wire::overlay::{
    IndexRefusal, QUESTION_MAX, Question, REPLY_MAX, Reply, WORD_MAX, Word,
};
use starling_wire::supernode::SupernodeAddr;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use super::congestion;
use super::dial::{self, DialError};
use super::endpoint::{self, endpoint_id, endpoint_key};
use super::packets::PacketPort;
use super::pins::Pins;
use super::requests::SILENCE;
use super::stream::{self, StreamError};

/// Streams of one kind that a supernode may have open here.
const STREAMS_AT_ONCE: u32 = 32;
/// For one frame to arrive, or to be taken.
const FRAME_TIME: Duration = Duration::from_secs(5);
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Connections of supernodes that are served at once.
const LINKS_MAX: usize = 2_000;
/// Of one of them: two that dial each other at the same moment have two.
const LINKS_OF_ONE: usize = 4;

/// Where another supernode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Key and relay.
    pub at: SupernodeAddr,
    /// Its UDP port; 0 if it has told of none.
    pub udp_port: u16,
    /// The one for packets; 0 if none reaches it.
    pub packet_port: u16,
}

impl Place {
    /// One that has told of nothing but its relay.
    pub const fn of(at: SupernodeAddr) -> Self {
        Self {
            at,
            udp_port: 0,
            packet_port: 0,
        }
    }
}

/// Whom something is for. Without a place it is said only while a link is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub key: EndpointKey,
    /// Where.
    pub place: Option<Place>,
}

/// What another supernode said.
#[derive(Debug)]
pub enum Heard {
    /// Something that needs no answer.
    Word(EndpointKey, Word),
    /// A question. Without an answer the stream is closed.
    Question(EndpointKey, Question, oneshot::Sender<Reply>),
}

/// Why something could not be said.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It could not be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection was lost.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Too slow.
    #[error("the supernode did not answer in time")]
    TimedOut,
}

/// Open links, by the other one's key.
#[derive(Debug)]
pub struct OverlayLinks {
    /// Through relays.
    relayed: Endpoint,
    /// Over UDP; absent where no port could be opened.
    direct: Option<Endpoint>,
    /// For short words; absent where UDP is not to be used.
    packets: Option<PacketPort>,
    pins: Pins,
    links: Mutex<BTreeMap<EndpointKey, Arc<Slot>>>,
    readers: Mutex<JoinSet<()>>,
    heard: mpsc::Sender<Heard>,
}

/// The link to one supernode. Whoever dials holds the lock, so that nobody dials twice.
#[derive(Debug, Default)]
struct Slot {
    open: tokio::sync::Mutex<Option<Connection>>,
    used: Mutex<Option<Instant>>,
    /// Connections that are read.
    read: AtomicUsize,
}

impl OverlayLinks {
    /// No link is open yet. What others say goes to `heard`.
    pub fn new(
        relayed: Endpoint,
        direct: Option<Endpoint>,
        packets: Option<PacketPort>,
        pins: Pins,
        heard: mpsc::Sender<Heard>,
    ) -> Self {
        Self {
            relayed,
            direct,
            packets,
            pins,
            links: Mutex::default(),
            readers: Mutex::default(),
            heard,
        }
    }

    /// The UDP port that others reach directly; 0 without one.
    pub fn udp_port(&self) -> u16 {
        let sockets = self.direct.iter().flat_map(Endpoint::bound_sockets);
        sockets.map(|at| at.port()).next().unwrap_or(0)
    }

    /// What others are told: the UDP port, and the one for packets once they reach it.
    pub fn ports(&self) -> (u16, u16) {
        let packets = self.packets.as_ref().filter(|port| port.is_reached());
        (self.udp_port(), packets.map_or(0, PacketPort::port))
    }

    /// The port for packets, if nobody's packet has come in yet.
    pub fn unproved(&self) -> Option<u16> {
        let packets = self.packets.as_ref().filter(|port| !port.is_reached());
        packets.map(PacketPort::port)
    }

    /// Somebody is a member, or is none any more.
    pub fn know(&self, other: EndpointKey, member: bool) {
        if let Some(packets) = &self.packets {
            packets.know(other, member);
        }
    }

    /// Sends a packet to somebody who wants to know whether it arrives.
    pub async fn answer_knock(&self, to: EndpointKey, at: SocketAddr) {
        if let Some(packets) = &self.packets {
            packets.answer_knock(to, at).await;
        }
    }

    /// Hears packets until nobody listens.
    pub async fn hear_packets(self: Arc<Self>) {
        if let Some(packets) = &self.packets {
            packets.hear(&self.heard).await;
        }
    }

    /// Serves direct connections until the endpoint is closed; participants' of calls go to `visitors`.
    pub async fn accept_direct(self: Arc<Self>, visitors: mpsc::Sender<Connection>) {
        let Some(direct) = &self.direct else {
            return;
        };
        let mut handshakes = JoinSet::new();
        while let Some(incoming) = direct.accept().await {
            while handshakes.try_join_next().is_some() {}
            if handshakes.len() >= LINKS_MAX {
                incoming.refuse();
                continue;
            }
            let (links, visitors) = (Arc::clone(&self), visitors.clone());
            handshakes.spawn(async move {
                let shaken = tokio::time::timeout(HANDSHAKE_TIME, async { incoming.await }).await;
                match shaken {
                    Ok(Ok(connection)) if connection.alpn() == alpn::FOCUS => {
                        let _ = visitors.send(connection).await;
                    }
                    Ok(Ok(connection)) => links.adopt(connection),
                    _ => {}
                }
            });
        }
    }

    /// Another supernode opened a connection: it is read, and used for what we have to say.
    pub fn adopt(self: &Arc<Self>, connection: Connection) {
        let key = endpoint_key(connection.remote_id());
        let slot = self.slot(key);
        slot.touch();
        if let Ok(mut open) = slot.open.try_lock()
            && open
                .as_ref()
                .is_none_or(|open| open.close_reason().is_some())
        {
            *open = Some(connection.clone());
        }
        self.read(key, connection);
    }

    /// Says something; `Ok` means that it arrived, or is on its way as a packet. A goodbye is followed by the end of the link, and would be lost with it.
    pub async fn say(self: &Arc<Self>, to: &Peer, word: &Word) -> Result<(), LinkError> {
        if word.is_chatter() && self.say_in_packet(to, word).await {
            return Ok(());
        }
        let connection = self.link(to).await?;
        let say = async {
            let mut send = connection.open_uni().await.map_err(|_| StreamError::Lost)?;
            stream::write(&mut send, word).await?;
            send.finish().map_err(|_| StreamError::Lost)?;
            send.stopped().await.map_err(|_| StreamError::Lost)
        };
        match tokio::time::timeout(FRAME_TIME, say).await {
            Ok(said) => Ok(said.map(|_| ())?),
            Err(_) => Err(LinkError::TimedOut),
        }
    }

    /// Where packets reach both of us.
    async fn say_in_packet(&self, to: &Peer, word: &Word) -> bool {
        let packets = self.packets.as_ref().filter(|port| port.is_reached());
        let place = to.place.as_ref().filter(|place| place.packet_port >= 1_024);
        let (Some(packets), Some(place)) = (packets, place) else {
            return false;
        };
        let at = SocketAddr::new(place.at.tcp.ip(), place.packet_port);
        packets.say(to.key, at, word).await
    }

    /// Asks.
    pub async fn ask(self: &Arc<Self>, of: &Peer, question: &Question) -> Result<Reply, LinkError> {
        let connection = self.link(of).await?;
        let ask = async {
            let (mut send, mut receive) =
                connection.open_bi().await.map_err(|_| StreamError::Lost)?;
            stream::write(&mut send, question).await?;
            send.finish().map_err(|_| StreamError::Lost)?;
            stream::read::<Reply>(&mut receive, REPLY_MAX)
                .await?
                .ok_or(StreamError::Lost)
        };
        match tokio::time::timeout(FRAME_TIME, ask).await {
            Ok(reply) => Ok(reply?),
            Err(_) => Err(LinkError::TimedOut),
        }
    }

    /// Forgets those whose links have ended.
    pub fn forget_closed(&self) {
        while self.readers().try_join_next().is_some() {}
        self.links().retain(|_, slot| {
            let open = slot.open.try_lock();
            open.map_or(true, |open| {
                open.as_ref()
                    .is_some_and(|open| open.close_reason().is_none())
            })
        });
    }

    /// Closes everything.
    pub async fn close(&self) {
        self.readers().abort_all();
        if let Some(direct) = &self.direct {
            endpoint::close(direct).await;
        }
    }

    /// The open link, or a new one.
    async fn link(self: &Arc<Self>, to: &Peer) -> Result<Connection, LinkError> {
        let slot = self.slot(to.key);
        slot.touch();
        let mut open = slot.open.lock().await;
        if let Some(connection) = open.as_ref().filter(|open| open.close_reason().is_none()) {
            return Ok(connection.clone());
        }
        let place = to.place.as_ref().ok_or(DialError::NoAddress)?;
        let connection = self.dial(place).await?;
        *open = Some(connection.clone());
        self.read(to.key, connection.clone());
        Ok(connection)
    }

    /// Directly; through its relay if that takes long or fails.
    async fn dial(&self, to: &Place) -> Result<Connection, DialError> {
        self.pins.learn(&to.at);
        let direct = self.direct.clone().filter(|_| to.udp_port != 0);
        let direct = direct.and_then(|direct| {
            let at = SocketAddr::new(to.at.tcp.ip(), to.udp_port);
            let address = EndpointAddr::new(endpoint_id(to.at.id)?).with_ip_addr(at);
            Some((direct, address))
        });
        let relayed = endpoint::through(to.at.id, &to.at);
        let relayed = relayed.map(|address| (self.relayed.clone(), address));
        let attempt = |(from, address): (Endpoint, EndpointAddr)| async move {
            dial::connect(&from, address, alpn::INDEX, congestion::signalling()).await
        };
        dial::staggered(
            direct.into_iter().chain(relayed),
            attempt,
            DialError::NoAddress,
        )
        .await
    }

    /// Hears what comes over a connection until it ends.
    fn read(self: &Arc<Self>, key: EndpointKey, connection: Connection) {
        let slot = self.slot(key);
        let mut readers = self.readers();
        while readers.try_join_next().is_some() {}
        // OVER-04: nobody takes the others' places.
        let of_one = slot.read.fetch_add(1, Ordering::Relaxed);
        let place = Reading(Arc::clone(&slot));
        if readers.len() >= LINKS_MAX || of_one >= LINKS_OF_ONE {
            debug!(reason = "full", "closed a supernode's connection");
            connection.close(1u32.into(), b"full");
            return;
        }
        let heard = self.heard.clone();
        readers.spawn(async move {
            let _place = place;
            connection.set_max_concurrent_uni_streams(STREAMS_AT_ONCE.into());
            connection.set_max_concurrent_bi_streams(STREAMS_AT_ONCE.into());
            tokio::select! {
                () = hear_words(&connection, key, &heard, &slot) => {}
                () = hear_questions(&connection, key, &heard, &slot) => {}
                () = slot.silence() => connection.close(0u32.into(), b"silence"),
            }
            connection.close(1u32.into(), b"unreadable");
        });
    }

    fn slot(&self, key: EndpointKey) -> Arc<Slot> {
        Arc::clone(self.links().entry(key).or_default())
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<EndpointKey, Arc<Slot>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection that is read; its place is free when dropped.
struct Reading(Arc<Slot>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.read.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slot {
    fn touch(&self) {
        *self.used_lock() = Some(Instant::now());
    }

    /// Until nothing was said either way for so long.
    async fn silence(&self) {
        while let Some(used) = self.used().filter(|used| used.elapsed() < SILENCE) {
            tokio::time::sleep_until(used + SILENCE).await;
        }
    }

    fn used(&self) -> Option<Instant> {
        *self.used_lock()
    }

    fn used_lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hear_words(
    connection: &Connection,
    key: EndpointKey,
    heard: &mpsc::Sender<Heard>,
    slot: &Slot,
) {
    while let Ok(mut receive) = connection.accept_uni().await {
        let Some(word) = read_word(&mut receive).await else {
            return;
        };
        slot.touch();
        if heard.send(Heard::Word(key, word)).await.is_err() {
            return;
        }
    }
}

/// `OVER-01`: whoever says what is no word, or too long a one, is cut off.
async fn read_word(receive: &mut RecvStream) -> Option<Word> {
    let read = stream::read::<Word>(receive, WORD_MAX);
    match tokio::time::timeout(FRAME_TIME, read).await {
        Ok(Ok(Some(word))) if word.fits() => Some(word),
        Ok(Err(StreamError::Lost)) => None,
        _ => {
            debug!(reason = "malformed", "a supernode said what cannot be read");
            None
        }
    }
}

async fn hear_questions(
    connection: &Connection,
    key: EndpointKey,
    heard: &mpsc::Sender<Heard>,
    slot: &Slot,
) {
    let mut answering = JoinSet::new();
    while let Ok((send, receive)) = connection.accept_bi().await {
        while answering.try_join_next().is_some() {}
        slot.touch();
        answering.spawn(answer(key, send, receive, heard.clone()));
    }
}

async fn answer(
    key: EndpointKey,
    mut send: SendStream,
    mut receive: RecvStream,
    heard: mpsc::Sender<Heard>,
) {
    let talk = async {
        let reply = match stream::read::<Question>(&mut receive, QUESTION_MAX).await {
            Ok(Some(question)) => {
                let (answer, answered) = oneshot::channel();
                heard
                    .send(Heard::Question(key, question, answer))
                    .await
                    .ok()?;
                answered.await.ok()?
            }
            Ok(None) | Err(StreamError::Lost) => return None,
            Err(StreamError::Frame(_)) => Reply::Refused(IndexRefusal::Malformed),
        };
        stream::write(&mut send, &reply).await.ok()?;
        send.finish().ok()
    };
    let _ = tokio::time::timeout(FRAME_TIME, talk).await;
}
