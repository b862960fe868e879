//! A connection to the server: made, greeted, and asked one thing after another.

use std::fmt;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use super::address::{cookie, sockets};
use super::frames::{Frame, Inbox};
use super::messages::{Command, Message, VERSION, frame};
use super::tags::{Reader, Writer};
use super::{ServerError, address};
use crate::devices::keeper::PATIENCE;

/// Flags beside the version.
const VERSION_MASK: u32 = 0xffff;
/// What this program is called in a mixer.
const NAME: &[(&str, &str)] = &[
    ("application.name", "Starling"),
    ("application.id", "starling"),
];

/// Carries one stream, or looks.
pub(in crate::devices) struct Connection {
    pub(super) socket: UnixStream,
    pub(super) inbox: Inbox,
    asked: u32,
}

impl Connection {
    /// To the server that answers first.
    pub(in crate::devices) fn open() -> Result<Self, ServerError> {
        for path in sockets() {
            match Self::at(&path) {
                Err(ServerError::None) => {}
                other => return other,
            }
        }
        Err(ServerError::None)
    }

    fn at(path: &Path) -> Result<Self, ServerError> {
        let socket = UnixStream::connect(path).map_err(|_| ServerError::None)?;
        Self::greet(socket, &cookie())
    }

    pub(super) fn greet(
        socket: UnixStream,
        cookie: &[u8; address::COOKIE],
    ) -> Result<Self, ServerError> {
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self {
            socket,
            inbox: Inbox::default(),
            asked: 0,
        };
        let welcome = connection.ask(Command::Auth, |writer| {
            writer.word(VERSION);
            writer.blob(cookie);
        })?;
        let version = Reader::new(&welcome).word()? & VERSION_MASK;
        if version < VERSION {
            return Err(ServerError::Old(version));
        }
        connection.ask(Command::SetClientName, |writer| writer.properties(NAME))?;
        Ok(connection)
    }

    /// The values of the answer.
    pub(super) fn ask(
        &mut self,
        command: Command,
        fill: impl FnOnce(&mut Writer),
    ) -> Result<Vec<u8>, ServerError> {
        let asked = self.tell(command, fill)?;
        let until = Instant::now() + PATIENCE;
        loop {
            while let Some(frame) = self.inbox.next()? {
                let Frame::Control(message) = frame else {
                    continue;
                };
                match Message::parse(message)? {
                    Message::Reply { number, values } if number == asked => {
                        return Ok(values.rest().to_vec());
                    }
                    Message::Error { number, why } if number == asked => {
                        return Err(ServerError::Refused(why));
                    }
                    _ => {}
                }
            }
            self.wait(until)?;
        }
    }

    /// Does not wait for the answer; the number it will have.
    pub(super) fn tell(
        &mut self,
        command: Command,
        fill: impl FnOnce(&mut Writer),
    ) -> Result<u32, ServerError> {
        self.asked = self.asked.wrapping_add(1);
        self.socket.write_all(&frame(command, self.asked, fill))?;
        Ok(self.asked)
    }

    fn wait(&mut self, until: Instant) -> Result<(), ServerError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ServerError::Silent);
        }
        self.socket.set_read_timeout(Some(left))?;
        self.inbox.fill(&mut self.socket)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
