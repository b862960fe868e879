//! Messages: what is asked or told, a number that the answer repeats, and values.

use super::frames::{HEADER, header};
use super::tags::{Reader, Writer};
use super::{Refusal, ServerError};

/// The version of the protocol that we speak, PulseAudio 2's: servers know all that are older than theirs, and what newer ones
/// add is of no use to us.
pub(super) const VERSION: u32 = 23;

/// What can be asked or told, of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Error = 0,
    Reply = 2,
    CreatePlaybackStream = 3,
    CreateRecordStream = 5,
    Auth = 8,
    SetClientName = 9,
    GetServerInfo = 20,
    GetSinkInfoList = 22,
    GetSourceInfoList = 24,
    CorkPlaybackStream = 41,
    CorkRecordStream = 58,
    Request = 61,
    PlaybackStreamKilled = 64,
    RecordStreamKilled = 65,
}

/// A message as it is sent.
pub(super) fn frame(command: Command, number: u32, fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.word(command as u32);
    writer.word(number);
    fill(&mut writer);
    let values = writer.bytes();
    let mut frame = Vec::with_capacity(HEADER + values.len());
    frame.extend(header(values.len(), None));
    frame.extend(values);
    frame
}

/// A message of the server.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Reply {
        number: u32,
        values: Reader<'a>,
    },
    Error {
        number: u32,
        why: Refusal,
    },
    /// A stream wants so many bytes.
    Wanted {
        channel: u32,
        bytes: u32,
    },
    Killed {
        channel: u32,
    },
    /// Of no interest.
    Other,
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ServerError> {
        let mut values = Reader::new(bytes);
        let (command, number) = (values.word()?, values.word()?);
        let is = |known: Command| command == known as u32;
        Ok(if is(Command::Reply) {
            Self::Reply { number, values }
        } else if is(Command::Error) {
            let why = values.word()?.into();
            Self::Error { number, why }
        } else if is(Command::Request) {
            let (channel, bytes) = (values.word()?, values.word()?);
            Self::Wanted { channel, bytes }
        } else if is(Command::PlaybackStreamKilled) || is(Command::RecordStreamKilled) {
            let channel = values.word()?;
            Self::Killed { channel }
        } else {
            Self::Other
        })
    }
}
