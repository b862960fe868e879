//! A client of the PulseAudio server, or of PipeWire in its place: which devices there are, and a stream to or from one of them. One
//! socket and one thread for each stream, which sleeps until the server sends or asks for 10 ms; nothing is allocated while sound
//! flows. The server converts to our form of sound. It is not trusted: what it sends is bounded before room is made for it.

mod address;
mod connection;
mod frames;
mod listing;
mod messages;
mod stream;
mod tags;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};

pub(super) use connection::Connection;
pub(super) use listing::{Devices, Listing};
pub(super) use stream::{Cord, Stream};

/// Why the server is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    /// No socket, or nobody behind it.
    #[error("no sound server was found")]
    None,
    /// It is there, but silent.
    #[error("the sound server does not answer")]
    Silent,
    /// It went away.
    #[error("the sound server ended the connection")]
    Closed,
    /// The stream was ended, as when its device is gone.
    #[error("the sound server ended the stream")]
    Killed,
    /// It says no.
    #[error("the sound server refuses: {0}")]
    Refused(Refusal),
    /// It is older than PulseAudio 2.
    #[error("the sound server is too old: it speaks version {0} of the protocol")]
    Old(u32),
    /// It breaks the protocol.
    #[error("the sound server breaks the protocol: {0}")]
    Garbled(&'static str),
    /// The system says no.
    #[error("the sound server cannot be talked to: {0}")]
    System(io::Error),
}

impl From<io::Error> for ServerError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Silent,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => {
                Self::Closed
            }
            _ => Self::System(error),
        }
    }
}

/// Why the server says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// This user, or without the right cookie.
    #[error("this user may not use it")]
    Access,
    /// No such device.
    #[error("there is no such device")]
    Missing,
    /// Another program has it.
    #[error("another program is using it")]
    Busy,
    /// The rest of its numbers.
    #[error("error {0}")]
    Other(u32),
}

impl From<u32> for Refusal {
    fn from(code: u32) -> Self {
        match code {
            1 | 9 => Self::Access,
            5 => Self::Missing,
            26 => Self::Busy,
            other => Self::Other(other),
        }
    }
}

/// Everything that is done with a server's bytes, for fuzzing.
pub(crate) fn read_all(bytes: &[u8]) {
    let mut inbox = frames::Inbox::default();
    let mut source = bytes;
    while inbox.fill(&mut source).is_ok() {
        while let Ok(Some(frame)) = inbox.next() {
            if let frames::Frame::Control(message) = frame {
                let _ = messages::Message::parse(message);
                listing::read_all(message);
                stream::read_all(message);
            }
        }
    }
}
