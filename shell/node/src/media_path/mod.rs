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
pub use quality::{Lately, quality};
pub use sound::{Prepared, prepare};
pub use speaking::Stream;
pub use voice::{Inlet, Notice, Sounding, Voice};

use std::time::Duration;

use bytes::Bytes;
use iroh::endpoint::{Connection, ConnectionError};
use starling_protocol::call::calls::{SILENT, SoundEnd};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::context::{Context, Signal};
use crate::paths;
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
/// Where nothing has come for so long, the way is asked whether it still carries anything: each packet is acknowledged. Else a few
/// losses in a row, in a silence, would pass for the end of a direct path.
const UNHEARD: Duration = Duration::from_millis(150);
/// So often.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Nothing has come for so long: the relay may be dead (`HOME-12`).
const SUSPICIOUS: Duration = Duration::from_millis(500);
/// Until the other side says its first.
const FIRST: Duration = Duration::from_secs(5);

/// Gives signs of life for as long as the connection is up.
pub async fn live(connection: Connection) {
    let mut life = Life::default();
    while connection.close_reason().is_none() {
        let said = connection.stats().frame_tx.datagram;
        let heard = paths::packets_heard(&connection);
        let (is_due, wait) = life.look(said, heard, Instant::now());
        // Full: then something is being said.
        let sent = is_due && connection.send_datagram(Bytes::from_static(LIFE)).is_ok();
        life.ours += u64::from(sent);
        tokio::time::sleep(wait).await;
    }
}

/// When a sign of life is due.
#[derive(Debug, Default)]
struct Life {
    /// Datagrams that were said by others than us, and when that changed.
    said: Option<(u64, Instant)>,
    /// Packets that came on the way in use, and when that changed.
    heard: Option<(Option<u64>, Instant)>,
    /// Signs given so far, and when the last was.
    ours: u64,
    given: Option<Instant>,
}

impl Life {
    /// Whether one is due now, and when to look again (`CALL-36`).
    fn look(&mut self, said: u64, heard: Option<u64>, now: Instant) -> (bool, Duration) {
        let said = since(&mut self.said, said.saturating_sub(self.ours), now);
        let heard = since(&mut self.heard, heard, now);
        let given = self.given.map_or(LIFE_EVERY, |given| now - given);
        let every = if heard >= UNHEARD {
            ASK_EVERY
        } else {
            LIFE_EVERY
        };
        let quiet = said.min(given);
        if quiet < every {
            return (
                false,
                (every - quiet).min(UNHEARD.saturating_sub(heard).max(ASK_EVERY)),
            );
        }
        self.given = Some(now);
        (
            true,
            ASK_EVERY.max(every.min(UNHEARD.saturating_sub(heard))),
        )
    }
}

/// How long something has been as it is.
fn since<T: PartialEq>(known: &mut Option<(T, Instant)>, value: T, now: Instant) -> Duration {
    match known {
        Some((before, at)) if *before == value => now - *at,
        _ => {
            *known = Some((value, now));
            Duration::ZERO
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs given within `ms`, by what was said (a datagram each so many milliseconds) and heard (a packet each so many).
    fn given(ms: u64, said_every: Option<u64>, heard_every: Option<u64>) -> u64 {
        let (mut life, begun, mut at) = (Life::default(), Instant::now(), 0);
        while at < ms {
            let count = |every: Option<u64>| every.map_or(0, |every| at / every);
            let now = begun + Duration::from_millis(at);
            let (due, wait) =
                life.look(count(said_every) + life.ours, Some(count(heard_every)), now);
            life.ours += u64::from(due);
            assert!((ASK_EVERY..=LIFE_EVERY).contains(&wait), "{wait:?}");
            at += wait.as_millis() as u64;
        }
        life.ours
    }

    #[test]
    fn whoever_speaks_gives_no_signs_of_life_and_whoever_is_silent_ten_a_second() {
        assert_eq!(given(10_000, Some(20), Some(20)), 0);
        let silent = given(10_000, None, Some(20));
        assert!((95..=101).contains(&silent), "{silent}");
    }

    #[test]
    fn call_36_a_way_on_which_nothing_comes_is_asked_often() {
        // 150 ms as ever, then each 20 ms.
        let asked = given(500, None, None);
        assert!((16..=20).contains(&asked), "{asked}");
        // Who speaks asks with each packet.
        assert_eq!(given(10_000, Some(20), None), 0);
    }
}
