//! The way of the voice between a call's datagrams and the sound devices (DESIGN 4): one thread per call reads the
//! microphone, encodes and sends; and decodes what the playout gives when the speaker wants more. One small task per
//! connection hands arriving datagrams over. Signalling never touches a frame.

mod listening;
mod sound;
mod speaking;
mod voice;

pub use sound::{Prepared, prepare};
pub use voice::{Notice, Voice};

use iroh::endpoint::{Connection, ConnectionError};
use starling_protocol::call::calls::SoundEnd;

use crate::clock::Clock;
use crate::context::Context;
use crate::traffic::Purpose;

/// Code of a media connection that was closed because the call is over (`CALL-17`).
pub const ENDED: u32 = 0;
/// Code for whoever brings sound to no call.
pub const NOT_EXPECTED: u32 = 1;
/// Code of a connection that a newer one replaces.
pub const REPLACED: u32 = 2;

/// Hands over datagrams until the connection ends; tells how it ended.
pub async fn receive(
    ctx: &Context,
    clock: Clock,
    connection: &Connection,
    voice: &voice::Inlet,
) -> SoundEnd {
    loop {
        match connection.read_datagram().await {
            Ok(datagram) => {
                ctx.traffic.received(Purpose::Calls, datagram.len() as u64);
                voice.offer(datagram, clock.now());
            }
            Err(ConnectionError::ApplicationClosed(close)) if close.error_code == ENDED.into() => {
                return SoundEnd::ClosedByPeer;
            }
            Err(_) => return SoundEnd::Lost,
        }
    }
}
