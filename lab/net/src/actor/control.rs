//! A client of a node's control socket that remembers when each line came: JSON-RPC lines of
//! `starling-control`, requests answered in any order, events in the order they were told.
//!
//! Plain threads: one reads, whoever asks writes. Every wait has a limit.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use starling_control::rpc::{Notification, Request, Response};
use starling_control::{Command, Event, Failure};

/// How often a socket that is not there yet is tried.
const RETRY: Duration = Duration::from_millis(2);

/// Why the node did not answer as wished.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no socket, or it closed.
    #[error("the node's control socket is gone: {0}")]
    Gone(String),
    /// The node refused, in its own words.
    #[error("{0}")]
    Refused(Failure),
    /// Nothing came in time.
    #[error("waited {0:?} for {1}")]
    Silent(Duration, String),
    /// Something came that is not what was promised.
    #[error("the node's answer could not be read: {0}")]
    Unreadable(String),
}

/// An event, and when it was read.
#[derive(Debug, Clone)]
pub struct Told {
    /// When its line had arrived.
    pub at: Instant,
    /// What was told.
    pub event: Event,
}

/// An answer, and when it was read.
type Answer = (Instant, Result<Value, Failure>);

/// Requests that were not answered yet.
type Waiting = Mutex<BTreeMap<u64, mpsc::Sender<Answer>>>;

/// One connection to a node; closes when dropped.
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
    waiting: Arc<Waiting>,
    events: mpsc::Receiver<Told>,
    next_id: AtomicU64,
}

/// A request under way.
#[derive(Debug)]
pub struct Pending {
    answer: mpsc::Receiver<Answer>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Told(Notification),
    Answer(Response),
}

impl Control {
    /// Connects as soon as the node opens its socket, and subscribes to its events.
    pub fn connect(home: &Path, patience: Duration) -> Result<Self, ControlError> {
        let path = home.join("control.sock");
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(error) if started.elapsed() > patience => {
                    return Err(ControlError::Gone(error.to_string()));
                }
                Err(_) => thread::sleep(RETRY),
            }
        };
        let gone = |error: std::io::Error| ControlError::Gone(error.to_string());
        let reading = stream.try_clone().map_err(gone)?;
        let waiting = Arc::new(Waiting::default());
        let (teller, events) = mpsc::channel();
        let answered = Arc::clone(&waiting);
        thread::Builder::new()
            .name("lab-control".into())
            .spawn(move || read(reading, &answered, &teller))
            .map_err(gone)?;
        let control = Self {
            stream,
            waiting,
            events,
            next_id: AtomicU64::new(1),
        };
        control.ask::<Value>(Command::Events {}, patience)?;
        Ok(control)
    }

    /// Sends a request without waiting for its answer.
    pub fn send(&self, command: Command) -> Result<Pending, ControlError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = mpsc::channel();
        locked(&self.waiting).insert(id, sender);
        let mut line = serde_json::to_vec(&Request::new(id, command))
            .map_err(|e| ControlError::Unreadable(e.to_string()))?;
        line.push(b'\n');
        (&self.stream)
            .write_all(&line)
            .map_err(|e| ControlError::Gone(e.to_string()))?;
        Ok(Pending { answer })
    }

    /// Asks and reads the view that the command promises.
    pub fn ask<T: DeserializeOwned>(
        &self,
        command: Command,
        patience: Duration,
    ) -> Result<T, ControlError> {
        Ok(self.send(command)?.wait(patience)?.1)
    }

    /// Waits for an event that fits; others before it are dropped.
    pub fn until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut fits: impl FnMut(&Event) -> Option<T>,
    ) -> Result<(Instant, T), ControlError> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let told = self
                .events
                .recv_timeout(left)
                .map_err(|error| match error {
                    mpsc::RecvTimeoutError::Timeout => {
                        ControlError::Silent(patience, what.to_owned())
                    }
                    mpsc::RecvTimeoutError::Disconnected => {
                        ControlError::Gone(format!("while waiting for {what}"))
                    }
                })?;
            if let Some(value) = fits(&told.event) {
                return Ok((told.at, value));
            }
        }
    }

    /// Forgets the events told so far.
    pub fn drain(&self) {
        while self.events.try_recv().is_ok() {}
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Ends the reading thread; fails only if the node closed it before.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Pending {
    /// The answer, and when it came.
    pub fn wait<T: DeserializeOwned>(
        self,
        patience: Duration,
    ) -> Result<(Instant, T), ControlError> {
        let (at, result) = self
            .answer
            .recv_timeout(patience)
            .map_err(|error| match error {
                mpsc::RecvTimeoutError::Timeout => {
                    ControlError::Silent(patience, "an answer".into())
                }
                mpsc::RecvTimeoutError::Disconnected => {
                    ControlError::Gone("it closed before it answered".into())
                }
            })?;
        let value = result.map_err(ControlError::Refused)?;
        let view =
            serde_json::from_value(value).map_err(|e| ControlError::Unreadable(e.to_string()))?;
        Ok((at, view))
    }
}

fn locked(waiting: &Waiting) -> MutexGuard<'_, BTreeMap<u64, mpsc::Sender<Answer>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until the node closes; then whoever still waits learns it, because the senders are gone.
fn read(stream: UnixStream, waiting: &Waiting, teller: &mpsc::Sender<Told>) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let at = Instant::now();
        match serde_json::from_slice(&line) {
            Ok(Line::Told(notification)) => {
                let event = notification.params;
                if teller.send(Told { at, event }).is_err() {
                    break;
                }
            }
            Ok(Line::Answer(response)) => {
                let asker = response.id.and_then(|id| locked(waiting).remove(&id));
                if let Some(asker) = asker {
                    // Whoever gave up waiting does not want it any more.
                    let _ = asker.send((at, response.into_result()));
                }
            }
            Err(_) => break,
        }
    }
    locked(waiting).clear();
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use starling_control::{ErrorKind, view};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// Serves one client with the answers given, one for each line that comes.
    fn serve(home: &Path, answers: Vec<&'static str>) -> thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(home.join("control.sock")).expect("a socket");
        thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let mut lines = BufReader::new(stream.try_clone().expect("a clone"));
            let mut asked = Vec::new();
            for answer in answers {
                let mut line = String::new();
                lines.read_line(&mut line).expect("a line");
                asked.push(line);
                (&stream).write_all(answer.as_bytes()).expect("it is read");
            }
            asked
        })
    }

    #[test]
    fn answers_find_their_requests_and_events_keep_their_order() {
        let home = tempfile::tempdir().expect("a folder");
        let server = serve(
            home.path(),
            vec![
                "{\"jsonrpc\":\"2.0\",\"id\":1}\n",
                "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"event\":\"request_gone\",\"data\":\"a\"}}\n\
                 {\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"event\":\"lagged\"}}\n",
                "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32003,\"message\":\"nobody\",\"data\":{\"kind\":\"not_found\"}}}\n\
                 {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":[]}\n",
            ],
        );
        let control = Control::connect(home.path(), PATIENCE).expect("a connection");
        let list = control.send(Command::ContactList {}).expect("sent");
        let show = control.send(Command::AccountShow {}).expect("sent");
        let refused = show.wait::<Value>(PATIENCE).expect_err("a refusal");
        assert!(
            matches!(refused, ControlError::Refused(failure) if failure.data.kind == ErrorKind::NotFound)
        );
        let (_, contacts) = list.wait::<Vec<view::Contact>>(PATIENCE).expect("a list");
        assert!(contacts.is_empty());
        control
            .until("the last event", PATIENCE, |event| {
                (*event == Event::Lagged).then_some(())
            })
            .expect("it was told");
        assert!(server.join().expect("served")[0].contains("\"events\""));
    }

    #[test]
    fn a_node_that_goes_away_or_says_nothing_ends_the_wait() {
        let home = tempfile::tempdir().expect("a folder");
        let server = serve(home.path(), vec!["{\"jsonrpc\":\"2.0\",\"id\":1}\n"]);
        let control = Control::connect(home.path(), PATIENCE).expect("a connection");
        server.join().expect("served");
        let nothing = control.until("a sign", PATIENCE, |_| Some(()));
        assert!(matches!(nothing, Err(ControlError::Gone(_))), "{nothing:?}");
        let absent = Control::connect(&home.path().join("nowhere"), Duration::from_millis(10));
        assert!(matches!(absent, Err(ControlError::Gone(_))));
    }
}
