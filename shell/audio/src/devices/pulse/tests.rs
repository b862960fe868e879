//! The client against a server that says what a test wants.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connection::Connection;
use super::frames::{Frame, Inbox, header};
use super::listing::Listing;
use super::messages::{Command, Message, VERSION, frame};
use super::stream::Cord;
use super::tags::{Reader, Writer};
use super::{Refusal, ServerError, address};
use crate::devices::health::Health;
use crate::devices::intake::{Intake, intake};
use crate::devices::outlet::{Outlet, outlet};
use crate::{FRAME_SAMPLES, SAMPLE_RATE};

const PATIENCE: Duration = Duration::from_secs(10);
const CHANNEL: u32 = 7;

/// The server's end of a connection.
struct Server {
    socket: UnixStream,
    inbox: Inbox,
}

impl Server {
    /// With the other end.
    fn new() -> (Self, UnixStream) {
        let (socket, client) = UnixStream::pair().expect("two sockets");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let inbox = Inbox::default();
        (Self { socket, inbox }, client)
    }

    /// What comes next, made into something by `take`.
    fn next<T>(&mut self, take: impl FnOnce(Frame<'_>) -> T) -> T {
        loop {
            // Twice, because what is borrowed in a loop stays so.
            if self.inbox.is_complete() {
                let frame = self.inbox.next().expect("a good frame");
                return take(frame.expect("a whole one"));
            }
            self.inbox.fill(&mut self.socket).expect("it goes on");
        }
    }

    /// Takes a question and answers it.
    fn answer(&mut self, asked: Command, fill: impl FnOnce(&mut Writer)) {
        self.reply(asked, Command::Reply, fill);
    }

    fn reply(&mut self, asked: Command, with: Command, fill: impl FnOnce(&mut Writer)) {
        let number = self.next(|frame| {
            let Frame::Control(message) = frame else {
                panic!("{frame:?} instead of {asked:?}");
            };
            let mut values = Reader::new(message);
            assert_eq!(values.word().expect("a command"), asked as u32);
            values.word().expect("a number")
        });
        self.send(&frame(with, number, fill));
    }

    fn tell(&mut self, command: Command, values: &[u32]) {
        self.send(&frame(command, u32::MAX, |writer| {
            values.iter().for_each(|value| writer.word(*value));
        }));
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("it listens");
    }

    fn greet(&mut self) {
        self.answer(Command::Auth, |writer| writer.word(35));
        self.answer(Command::SetClientName, |writer| writer.word(1));
    }

    /// The bytes of sound that come next.
    fn sound(&mut self) -> Vec<u8> {
        self.next(|frame| match frame {
            Frame::Sound { channel, bytes } => {
                assert_eq!(channel, CHANNEL);
                bytes.to_vec()
            }
            Frame::Control(_) => panic!("{frame:?} instead of sound"),
        })
    }

    fn uncork(&mut self, command: Command) {
        self.answer(command, |_| {});
    }
}

/// Runs a client against what `serve` does; what both returned.
fn against<T: Send + 'static, S>(
    client: impl FnOnce(UnixStream) -> T + Send + 'static,
    serve: impl FnOnce(&mut Server) -> S,
) -> (T, S) {
    let (mut server, socket) = Server::new();
    let client = thread::spawn(move || client(socket));
    let served = serve(&mut server);
    (client.join().expect("no panic"), served)
}

fn greeted(socket: UnixStream) -> Result<Connection, ServerError> {
    Connection::greet(socket, &[9; address::COOKIE])
}

#[test]
fn the_greeting_brings_version_and_cookie_and_a_server_may_say_no() {
    let (greeting, asked) = against(
        |socket| greeted(socket).map(drop),
        |server| {
            let asked = server.next(|frame| match frame {
                Frame::Control(message) => message.to_vec(),
                Frame::Sound { .. } => panic!("sound"),
            });
            server.send(&frame(Command::Error, 1, |writer| writer.word(1)));
            asked
        },
    );
    assert!(matches!(
        greeting,
        Err(ServerError::Refused(Refusal::Access))
    ));
    let mut values = Reader::new(&asked);
    values.skip(2).expect("command and number");
    assert_eq!(values.word().expect("a version"), VERSION);
    assert!(values.rest().ends_with(&[9; address::COOKIE]));
    let (greeting, ()) = against(
        |socket| greeted(socket).map(drop),
        |server| server.answer(Command::Auth, |writer| writer.word(22)),
    );
    let words = greeting.expect_err("too old").to_string();
    assert_eq!(
        words,
        "the sound server is too old: it speaks version 22 of the protocol"
    );
}

/// As a server tells of a device.
fn write_device(writer: &mut Writer, id: &str, name: Option<&str>, other: u32) {
    writer.word(3);
    writer.text(id);
    match name {
        Some(name) => writer.text(name),
        None => writer.no_text(),
    }
    writer.mono(44_100);
    writer.word(1);
    writer.neutral_volume();
    writer.flags(&[false]);
    writer.word(other);
    writer.text("the other");
    [0, 0, 0].into_iter().for_each(|value| writer.word(value));
    writer.properties(&[("device.class", "sound"), ("device.api", "none")]);
    (0..5).for_each(|value| writer.word(value));
    // Two ports.
    writer.word(2);
    for port in ["a", "b"] {
        writer.text(port);
        writer.text(port);
        writer.word(9);
    }
    writer.no_text();
    // One format; what it is made of does not matter.
    writer.byte(1);
    writer.properties(&[]);
}

#[test]
fn devices_are_listed_with_their_names_and_defaults() {
    let (devices, ()) = against(
        |socket| greeted(socket).and_then(|mut connection| connection.devices()),
        |server| {
            server.greet();
            server.answer(Command::GetServerInfo, |writer| {
                ["pulseaudio", "16", "alice", "desk"]
                    .into_iter()
                    .for_each(|text| writer.text(text));
                writer.word(0);
                writer.text("box");
                writer.no_text();
            });
            server.answer(Command::GetSinkInfoList, |writer| {
                write_device(writer, "box", Some("Loudspeaker"), 4);
            });
            server.answer(Command::GetSourceInfoList, |writer| {
                write_device(writer, "box.monitor", Some("Monitor"), 3);
                write_device(writer, "mic", None, u32::MAX);
            });
        },
    );
    let devices = devices.expect("a list");
    let listing = |id: &str, name: &str, is_monitor| Listing {
        id: id.to_owned(),
        name: name.to_owned(),
        is_monitor,
    };
    assert_eq!(devices.sinks, [listing("box", "Loudspeaker", false)]);
    assert_eq!(
        devices.sources,
        [
            listing("box.monitor", "Monitor", true),
            listing("mic", "mic", false)
        ]
    );
    assert_eq!(devices.default_sink.as_deref(), Some("box"));
    assert_eq!(devices.default_source, None);
}

/// A client that plays until it ends.
fn player(socket: UnixStream, health: Arc<Health>) -> (Outlet, Cord, JoinHandle<()>) {
    let (tap, outlet) = outlet(SAMPLE_RATE, 1, &health);
    let connection = greeted(socket).expect("a greeting");
    let mut stream = connection.play("box", "speaker", tap).expect("a stream");
    let cord = stream.take_cord().expect("its only one");
    (outlet, cord, thread::spawn(move || stream.carry(&health)))
}

/// The same, that records.
fn recorder(socket: UnixStream, health: Arc<Health>) -> (Intake, Cord, JoinHandle<()>) {
    let (mouth, intake) = intake(SAMPLE_RATE, 1, &health);
    let connection = greeted(socket).expect("a greeting");
    let stream = connection.record("mic", "microphone", mouth);
    let mut stream = stream.expect("a stream");
    let cord = stream.take_cord().expect("its only one");
    (intake, cord, thread::spawn(move || stream.carry(&health)))
}

/// A server at which a client plays, which wants so many bytes at first.
fn playing(wanted: u32, health: &Arc<Health>) -> (Server, Outlet, Cord, JoinHandle<()>) {
    let (mut server, socket) = Server::new();
    let health = Arc::clone(health);
    let client = thread::spawn(move || player(socket, health));
    server.greet();
    server.answer(Command::CreatePlaybackStream, |writer| {
        [CHANNEL, 12, wanted]
            .into_iter()
            .for_each(|value| writer.word(value));
    });
    let (outlet, cord, thread) = client.join().expect("no panic");
    (server, outlet, cord, thread)
}

fn recording(health: &Arc<Health>) -> (Server, Intake, Cord, JoinHandle<()>) {
    let (mut server, socket) = Server::new();
    let health = Arc::clone(health);
    let client = thread::spawn(move || recorder(socket, health));
    server.greet();
    server.answer(Command::CreateRecordStream, |writer| {
        writer.word(CHANNEL);
        writer.word(12);
    });
    let (intake, cord, thread) = client.join().expect("no panic");
    (server, intake, cord, thread)
}

#[test]
fn a_server_gets_what_it_wants_to_the_sample_silence_where_nothing_is_queued() {
    let health = Arc::default();
    let (mut server, mut outlet, _cord, thread) = playing(4_000, &health);
    let first: Vec<usize> = (0..3).map(|_| server.sound().len()).collect();
    assert_eq!(first, [1_920, 1_920, 160], "before it begins");
    server.uncork(Command::CorkPlaybackStream);
    outlet.write(&[0.5; 3]);
    server.tell(Command::Request, &[CHANNEL + 1, 999]);
    server.tell(Command::Request, &[CHANNEL, 12]);
    assert_eq!(server.sound(), 0.5_f32.to_le_bytes().repeat(3));
    server.tell(Command::Request, &[CHANNEL, 8]);
    assert_eq!(server.sound(), [0; 8]);
    server.tell(Command::PlaybackStreamKilled, &[CHANNEL]);
    thread.join().expect("no panic");
    let reason = health.reason();
    assert_eq!(
        reason.as_deref(),
        Some("it was removed, or the sound system stopped")
    );
    assert!(!health.is_alive());
}

#[test]
fn what_is_recorded_comes_out_in_frames_and_other_streams_do_not() {
    let health = Arc::default();
    let (mut server, mut intake, _cord, thread) = recording(&health);
    server.uncork(Command::CorkRecordStream);
    let piece = 0.25_f32.to_le_bytes().repeat(FRAME_SAMPLES / 2);
    for channel in [CHANNEL, CHANNEL + 1, CHANNEL] {
        server.send(&header(piece.len(), Some(channel)));
        server.send(&piece);
    }
    // Not a whole sample.
    server.send(&header(3, Some(CHANNEL)));
    server.send(&[1; 3]);
    drop(server);
    thread.join().expect("no panic");
    let mut frame = [0.0; FRAME_SAMPLES];
    assert!(intake.read(&mut frame));
    assert_eq!(frame, [0.25; FRAME_SAMPLES]);
    assert!(!intake.read(&mut frame), "no more than one");
    assert!(!health.is_alive(), "the server is gone");
}

#[test]
fn a_stream_ends_with_its_cord() {
    let health = Arc::default();
    let (_server, _outlet, cord, thread) = playing(0, &health);
    drop(cord);
    thread.join().expect("no panic");
    let (_server, _intake, cord, thread) = recording(&health);
    drop(cord);
    thread.join().expect("no panic");
}

#[test]
fn audio_10_a_server_that_talks_nonsense_ends_the_stream_and_says_why() {
    let words = |nonsense: &[u8]| {
        let health: Arc<Health> = Arc::default();
        let (mut server, _outlet, _cord, thread) = playing(0, &health);
        server.send(nonsense);
        thread.join().expect("no panic");
        health.reason().expect("a reason")
    };
    let wants_all = frame(Command::Request, u32::MAX, |writer| {
        writer.word(CHANNEL);
        writer.word(u32::MAX);
    });
    let refuses = frame(Command::Error, 4, |writer| writer.word(26));
    let breaks = "the sound server breaks the protocol: ";
    assert_eq!(
        words(&header(1 << 24, None)),
        format!("{breaks}a frame is too long")
    );
    assert_eq!(
        words(&wants_all),
        format!("{breaks}it wants too much sound at once")
    );
    assert_eq!(
        words(&header(0, None)),
        format!("{breaks}a message is cut off")
    );
    assert_eq!(
        words(&refuses),
        "the sound server refuses: another program is using it"
    );
    let (devices, ()) = against(
        |socket| greeted(socket).and_then(|mut connection| connection.devices()),
        |server| {
            server.greet();
            server.answer(Command::GetServerInfo, |writer| writer.word(1));
        },
    );
    assert!(matches!(devices, Err(ServerError::Garbled(_))));
}

#[test]
fn messages_of_no_interest_are_passed_over() {
    // A subscription's event, and one of the future.
    for command in [66_u32, 9_999] {
        let mut writer = Writer::default();
        writer.word(command);
        writer.word(u32::MAX);
        assert!(matches!(Message::parse(writer.bytes()), Ok(Message::Other)));
    }
}
