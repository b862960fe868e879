//! A stream: sound that goes one way between a device and a ring of ours. Its thread sleeps in the socket until the server sends
//! or wants 10 ms.

use std::convert::Infallible;
use std::io::Write;
use std::mem::take;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::connection::Connection;
use super::frames::{Frame, HEADER, header};
use super::messages::{Command, Message};
use super::tags::{Reader, Writer};
use super::{ServerError, messages};
use crate::SAMPLE_RATE;
use crate::devices::health::Health;
use crate::devices::intake::Mouth;
use crate::devices::outlet::Tap;

/// 10 ms: what is moved at once.
const PIECE: usize = SAMPLE_RATE as usize / 100;
/// How long is slept between pieces that are too small.
const REST: Duration = Duration::from_millis(5);
const SAMPLE: usize = size_of::<f32>();
const PIECE_BYTES: u32 = (PIECE * SAMPLE) as u32;
/// What lies between us and the speaker: 25 ms. We are asked for 10 ms at a time; PulseAudio leaves the device half of what
/// exceeds two such pieces.
const AHEAD_BYTES: u32 = PIECE_BYTES * 5 / 2;
/// What the server holds at most, also of what nobody fetches: 200 ms.
const HELD_BYTES: u32 = 20 * PIECE_BYTES;
/// More is never wanted at once.
const WANTED_MAX: u32 = 100 * PIECE_BYTES;
/// No number: the device is named.
const BY_NAME: u32 = u32::MAX;

/// A stream that has not begun yet.
pub(in crate::devices) struct Stream {
    connection: Connection,
    channel: u32,
    sound: Sound,
    cord: Option<Cord>,
}

/// Where sound comes from or goes to on our side.
enum Sound {
    In(Hearing),
    Out(Speech),
}

/// Ends its stream when dropped.
#[derive(Debug)]
pub(in crate::devices) struct Cord(UnixStream);

impl Drop for Cord {
    fn drop(&mut self) {
        // Else it has ended already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Connection {
    /// A stream from a source.
    pub(in crate::devices) fn record(
        mut self,
        source: &str,
        purpose: &str,
        mouth: Mouth,
    ) -> Result<Stream, ServerError> {
        let answer = self.ask(Command::CreateRecordStream, |writer| {
            write_record(writer, source, purpose);
        })?;
        let channel = Reader::new(&answer).word()?;
        Stream::new(self, channel, Sound::In(Hearing::new(mouth)))
    }

    /// A stream to a sink.
    pub(in crate::devices) fn play(
        mut self,
        sink: &str,
        purpose: &str,
        tap: Tap,
    ) -> Result<Stream, ServerError> {
        let answer = self.ask(Command::CreatePlaybackStream, |writer| {
            write_playback(writer, sink, purpose);
        })?;
        let (channel, wanted) = created(Reader::new(&answer))?;
        let mut speech = Speech {
            tap,
            channel,
            wanted: 0,
        };
        speech.want(wanted)?;
        Stream::new(self, channel, Sound::Out(speech))
    }
}

impl Stream {
    fn new(connection: Connection, channel: u32, sound: Sound) -> Result<Self, ServerError> {
        let cord = Some(Cord(connection.socket.try_clone()?));
        connection.socket.set_read_timeout(None)?;
        Ok(Self {
            connection,
            channel,
            sound,
            cord,
        })
    }

    /// Whoever has it ends the stream.
    pub(in crate::devices) fn take_cord(&mut self) -> Option<Cord> {
        self.cord.take()
    }

    /// Moves sound until the stream ends.
    pub(in crate::devices) fn carry(mut self, health: &Health) {
        let Err(error) = self.carry_on();
        health.fail(&error);
    }

    fn carry_on(&mut self) -> Result<Infallible, ServerError> {
        let (channel, cork) = match &mut self.sound {
            Sound::In(_) => (self.channel, Command::CorkRecordStream),
            Sound::Out(speech) => {
                speech.send(&mut self.connection.socket)?;
                (self.channel, Command::CorkPlaybackStream)
            }
        };
        self.connection.tell(cork, |writer| {
            writer.word(channel);
            writer.flags(&[false]);
        })?;
        loop {
            let Connection { socket, inbox, .. } = &mut self.connection;
            while let Some(frame) = inbox.next()? {
                self.sound.take(channel, frame)?;
            }
            match &mut self.sound {
                Sound::In(hearing) => hearing.rest(),
                Sound::Out(speech) => speech.send(socket)?,
            }
            wait(socket)?;
            inbox.fill(socket)?;
        }
    }
}

/// Sleeps until the server says something. A read would do that too, but wakes also when the server takes what we sent.
fn wait(socket: &UnixStream) -> Result<(), ServerError> {
    let mut sockets = [PollFd::new(socket, PollFlags::IN)];
    match poll(&mut sockets, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(ServerError::System(error.into())),
    }
}

impl Sound {
    fn take(&mut self, channel: u32, frame: Frame<'_>) -> Result<(), ServerError> {
        match (frame, self) {
            (Frame::Control(message), sound) => sound.obey(channel, Message::parse(message)?),
            (Frame::Sound { channel: of, bytes }, Self::In(hearing)) if of == channel => {
                hearing.take(bytes);
                Ok(())
            }
            (Frame::Sound { .. }, _) => Ok(()),
        }
    }

    fn obey(&mut self, channel: u32, message: Message<'_>) -> Result<(), ServerError> {
        match (message, self) {
            (Message::Wanted { channel: of, bytes }, Self::Out(speech)) if of == channel => {
                speech.want(bytes)
            }
            (Message::Killed { channel: of }, _) if of == channel => Err(ServerError::Killed),
            // Of what was asked: to begin.
            (Message::Error { why, .. }, _) => Err(ServerError::Refused(why)),
            _ => Ok(()),
        }
    }
}

/// What was recorded.
struct Hearing {
    mouth: Mouth,
    /// Frames and samples since the thread last slept.
    frames: usize,
    samples: usize,
}

impl Hearing {
    const fn new(mouth: Mouth) -> Self {
        Self {
            mouth,
            frames: 0,
            samples: 0,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.frames += 1;
        let mut samples = [0.0; PIECE];
        for piece in bytes.chunks(PIECE * SAMPLE) {
            let (words, _) = piece.as_chunks::<SAMPLE>();
            let samples = &mut samples[..words.len()];
            for (sample, word) in samples.iter_mut().zip(words) {
                *sample = f32::from_le_bytes(*word);
            }
            self.mouth.put(samples);
            self.samples += samples.len();
        }
    }

    /// `AUDIO-11`: what another program wishes of the device makes pieces smaller than ours, down to half a millisecond. Nobody
    /// is to be woken for each.
    fn rest(&mut self) {
        let (frames, samples) = (take(&mut self.frames), take(&mut self.samples));
        if samples > 0 && samples * 2 < PIECE * frames {
            thread::sleep(REST);
        }
    }
}

/// What is to be played.
struct Speech {
    tap: Tap,
    channel: u32,
    /// Samples that the server wants.
    wanted: usize,
}

impl Speech {
    fn want(&mut self, bytes: u32) -> Result<(), ServerError> {
        self.wanted += bytes as usize / SAMPLE;
        if self.wanted * SAMPLE > WANTED_MAX as usize {
            return Err(ServerError::Garbled("it wants too much sound at once"));
        }
        Ok(())
    }

    /// Gives the server what it wants.
    fn send(&mut self, socket: &mut UnixStream) -> Result<(), ServerError> {
        let (mut samples, mut frame) = ([0.0_f32; PIECE], [0; HEADER + PIECE * SAMPLE]);
        while self.wanted > 0 {
            let samples = &mut samples[..self.wanted.min(PIECE)];
            self.tap.take(samples);
            let length = samples.len() * SAMPLE;
            let (head, body) = frame.split_at_mut(HEADER);
            head.copy_from_slice(&header(length, Some(self.channel)));
            let (words, _) = body.as_chunks_mut::<SAMPLE>();
            for (word, sample) in words.iter_mut().zip(&*samples) {
                *word = sample.to_le_bytes();
            }
            self.wanted -= samples.len();
            socket.write_all(&frame[..HEADER + length])?;
        }
        Ok(())
    }
}

/// The channel of a stream that plays, and how many bytes it wants.
fn created(mut answer: Reader<'_>) -> Result<(u32, u32), ServerError> {
    let channel = answer.word()?;
    let _index = answer.word()?;
    Ok((channel, answer.word()?))
}

fn write_record(writer: &mut Writer, source: &str, purpose: &str) {
    writer.mono(SAMPLE_RATE);
    writer.word(BY_NAME);
    writer.text(source);
    writer.word(HELD_BYTES);
    // Corked: it begins when we say so.
    writer.flags(&[true]);
    writer.word(PIECE_BYTES);
    // Nothing about the form is left to the device, and the stream may be moved.
    writer.flags(&[false; 7]);
    // No meter; the device is to be as quick as we are.
    writer.flags(&[false, true]);
    writer.properties(&[("media.name", purpose)]);
    // Not what one stream plays.
    writer.word(BY_NAME);
    // No early requests, no wish about suspended devices.
    writer.flags(&[false; 3]);
    // No compressed sound.
    writer.byte(0);
    writer.neutral_volume();
    // As loud as it was left, not muted by us.
    writer.flags(&[false; 5]);
}

fn write_playback(writer: &mut Writer, sink: &str, purpose: &str) {
    writer.mono(SAMPLE_RATE);
    writer.word(BY_NAME);
    writer.text(sink);
    writer.word(HELD_BYTES);
    writer.flags(&[true]);
    writer.word(AHEAD_BYTES);
    // It begins, also after a gap, with the first piece.
    writer.word(PIECE_BYTES);
    writer.word(PIECE_BYTES);
    // In step with no other stream.
    writer.word(0);
    writer.neutral_volume();
    writer.flags(&[false; 7]);
    // Not muted; the device is to be as quick as we are.
    writer.flags(&[false, true]);
    writer.properties(&[("media.name", purpose)]);
    // As loud as it was left, no early requests, not muted by us, no wish about suspended devices, volume as it is, no
    // compressed sound.
    writer.flags(&[false; 7]);
    writer.byte(0);
}

/// A message's values as the answers that streams wait for, for fuzzing.
pub(super) fn read_all(message: &[u8]) {
    if let Ok(messages::Message::Reply { values, .. }) = messages::Message::parse(message) {
        let _ = created(values);
    }
}
