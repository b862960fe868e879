//! The way of the voice between a call's datagrams and the sound devices (DESIGN 4): one thread per call reads the
//! microphone, encodes and sends; and decodes what the playout gives when the speaker wants more. One small task per
//! connection hands arriving datagrams over. Signalling never touches a frame.

mod cleaning;
mod detour;
mod listening;
mod quality;
mod sound;
mod speaking;
mod trace;
mod voice;

pub use detour::{Detour, Outlet};
pub use quality::quality;
pub use sound::{Prepared, prepare};
pub use speaking::Stream;
pub use voice::{Inlet, Notice, Sounding, Voice};

use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::{Connection, ConnectionError};
use starling_protocol::call::calls::{SILENT, SoundEnd};

use crate::clock::Clock;
use crate::context::{Context, Signal};
use crate::traffic::Purpose;

/// Code of a media connection that was closed because the call is over (`CALL-17`).
pub const ENDED: u32 = 0;
/// Code for whoever brings sound to no call.
pub const NOT_EXPECTED: u32 = 1;
/// Code of a connection that a newer one replaces.
pub const REPLACED: u32 = 2;

/// Says that we are there, and nothing else. Whoever is muted, on hold or without a microphone sends it.
const LIFE: &[u8] = &[0];
/// How often, where nothing else is sent.
const LIFE_EVERY: Duration = Duration::from_millis(100);
/// Nothing has come for so long: the relay may be dead (`HOME-12`).
const SUSPICIOUS: Duration = Duration::from_millis(500);
/// Until the other side says its first.
const FIRST: Duration = Duration::from_secs(5);

/// Gives signs of life for as long as the connection is up.
pub async fn live(connection: Connection) {
    let mut every = tokio::time::interval(LIFE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut said, mut ours) = (0, 0);
    while connection.close_reason().is_none() {
        every.tick().await;
        let now = connection.stats().frame_tx.datagram;
        let is_quiet = now <= std::mem::replace(&mut said, now) + ours;
        // Full: then something is being said.
        let sent = is_quiet && connection.send_datagram(Bytes::from_static(LIFE)).is_ok();
        ours = u64::from(sent);
    }
}

/// How long nothing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    /// From the beginning on.
    Yet,
    Not,
    Suspicious,
}

impl Quiet {
    const fn patience(self) -> Duration {
        match self {
            Self::Yet => FIRST,
            Self::Not => SUSPICIOUS,
            Self::Suspicious => SILENT.saturating_sub(SUSPICIOUS),
        }
    }
}

/// Hands over datagrams until the connection ends or is silent for too long; tells how it ended.
pub async fn receive(
    ctx: &Context,
    clock: Clock,
    connection: &Connection,
    voice: &voice::Inlet,
) -> SoundEnd {
    let mut quiet = Quiet::Yet;
    loop {
        let datagram = tokio::time::timeout(quiet.patience(), connection.read_datagram()).await;
        let Ok(datagram) = datagram else {
            if quiet != Quiet::Not {
                return SoundEnd::Silent;
            }
            quiet = Quiet::Suspicious;
            ctx.signal(Signal::Silence);
            continue;
        };
        match datagram {
            Ok(datagram) => {
                quiet = Quiet::Not;
                ctx.traffic.received(Purpose::Calls, datagram.len() as u64);
                if datagram != LIFE {
                    voice.offer(datagram, clock.now());
                }
            }
            Err(ConnectionError::ApplicationClosed(close)) if close.error_code == ENDED.into() => {
                return SoundEnd::ClosedByPeer;
            }
            Err(_) => return SoundEnd::Lost,
        }
    }
}
