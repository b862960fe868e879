//! A client of the control socket: one connection, one request at a time, events in between.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind as Io};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use starling_control::rpc::{Notification, Request, Response};
use starling_control::{Command, ErrorKind, Event, Failure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// A listing of 1,000 messages of 16 KiB, with room for JSON's escapes.
const ANSWER_MAX: u64 = 128 * 1024 * 1024;

/// A connection to a running node.
#[derive(Debug)]
pub struct Client {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    line: Vec<u8>,
    asked: u64,
    events: VecDeque<Event>,
}

impl Client {
    /// Connects to the node of the profile in `home`; `None` when none runs.
    pub async fn connect(home: &Path) -> Result<Option<Self>, Failure> {
        let stream = match UnixStream::connect(home.join("control.sock")).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), Io::NotFound | Io::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(unreachable_node(home, &error)),
        };
        let (read, write) = stream.into_split();
        Ok(Some(Self {
            read: BufReader::new(read),
            write,
            line: Vec::new(),
            asked: 0,
            events: VecDeque::new(),
        }))
    }

    /// Asks and waits for the answer.
    pub async fn call(&mut self, command: Command) -> Result<Value, Failure> {
        self.asked += 1;
        let request = Request::new(self.asked, command);
        let mut line = serde_json::to_vec(&request).map_err(|error| unreadable(&error))?;
        line.push(b'\n');
        self.write.write_all(&line).await.map_err(|_| gone())?;
        loop {
            match self.read().await? {
                Line::Event(event) => self.events.push_back(event),
                Line::Answer(answer) if answer.id == Some(self.asked) => {
                    return answer.into_result();
                }
                // The node could not read the request's id, so it can only be this one's.
                Line::Answer(answer) if answer.id.is_none() => return answer.into_result(),
                Line::Answer(_) => {}
            }
        }
    }

    /// Asks and reads the view that the command promises.
    pub async fn ask<T: DeserializeOwned>(&mut self, command: Command) -> Result<T, Failure> {
        let value = self.call(command).await?;
        serde_json::from_value(value).map_err(|error| unreadable(&error))
    }

    /// From now on, events come.
    pub async fn subscribe(&mut self) -> Result<(), Failure> {
        self.call(Command::Events {}).await.map(drop)
    }

    /// The next event. May be called off and called again: nothing is lost.
    pub async fn event(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if let Line::Event(event) = self.read().await? {
                return Ok(event);
            }
        }
    }

    async fn read(&mut self) -> Result<Line, Failure> {
        loop {
            let room = ANSWER_MAX.saturating_sub(self.line.len() as u64);
            let got = (&mut self.read)
                .take(room)
                .read_until(b'\n', &mut self.line)
                .await;
            if !matches!(got, Ok(bytes) if bytes > 0) {
                return Err(gone());
            }
            if self.line.last() == Some(&b'\n') {
                break;
            }
        }
        let line = std::mem::take(&mut self.line);
        let value: Value = serde_json::from_slice(&line).map_err(|error| unreadable(&error))?;
        if value.get("method").is_some() {
            let notification: Notification =
                serde_json::from_value(value).map_err(|error| unreadable(&error))?;
            return Ok(Line::Event(notification.params));
        }
        serde_json::from_value(value)
            .map(Line::Answer)
            .map_err(|error| unreadable(&error))
    }
}

enum Line {
    Answer(Response),
    Event(Event),
}

fn unreachable_node(home: &Path, error: &Error) -> Failure {
    let home = home.display();
    let sentence = match error.kind() {
        Io::PermissionDenied => format!("the profile {home} belongs to another user"),
        Io::InvalidInput => {
            format!("the profile's path {home} is too long for a socket; choose a shorter --home")
        }
        _ => format!("the node of {home} cannot be reached: {error}"),
    };
    Failure::new(ErrorKind::System, sentence)
}

fn gone() -> Failure {
    let sentence = "Starling ended, or does not let this user in";
    Failure::new(ErrorKind::System, sentence)
}

fn unreadable(error: &serde_json::Error) -> Failure {
    let sentence = format!(
        "the node speaks otherwise than this program ({error}); is it of another version? `starling stop` ends it"
    );
    Failure::new(ErrorKind::System, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_node::control::handle;
    use starling_node::control::socket::ControlSocket;

    #[tokio::test]
    async fn no_node_is_not_an_error_and_answers_find_their_question_between_events() {
        let home = tempfile::tempdir().unwrap();
        assert!(Client::connect(home.path()).await.unwrap().is_none());
        let (control, mut inbox) = handle::channel();
        let _socket = ControlSocket::open(home.path(), control).unwrap();
        tokio::spawn(async move {
            while let Some(request) = inbox.requests.recv().await {
                let _ = inbox.events.send(Event::ContactRemoved("x".into()));
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                let _ = request.answer.send(Ok(serde_json::json!("done")));
            }
        });
        let mut client = Client::connect(home.path()).await.unwrap().unwrap();
        client.subscribe().await.unwrap();
        for _ in 0..2 {
            let answer: String = client.ask(Command::Status {}).await.unwrap();
            assert_eq!(answer, "done");
        }
        for _ in 0..2 {
            let event = client.event().await.unwrap();
            assert_eq!(event, Event::ContactRemoved("x".into()));
        }
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_said_to_be_so() {
        let home = Path::new("/tmp").join("x".repeat(120));
        let failure = Client::connect(&home).await.unwrap_err();
        assert!(failure.message.contains("--home"), "{failure}");
    }
}
