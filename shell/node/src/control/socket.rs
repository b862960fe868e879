//! The control socket: JSON-RPC lines over `control.sock` in the profile (mode 0600), for processes of the same user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use starling_control::rpc::{LINE_MAX, Notification, Response, parse_request};
use starling_control::{Command, ErrorKind, Event, Failure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, broadcast};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::ControlHandle;

/// Clients at once.
const CLIENTS_MAX: usize = 64;
/// `sockaddr_un` holds this many bytes with its end.
const PATH_MAX: usize = 107;

/// The running server; removes its socket when dropped.
#[derive(Debug)]
pub struct ControlSocket {
    path: PathBuf,
    _task: JoinSet<()>,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Unix limits socket paths.
    #[error(
        "the profile's path is too long for a socket ({0} bytes, {PATH_MAX} are allowed); choose a shorter --home"
    )]
    PathTooLong(usize),
    /// The system refused.
    #[error("the control socket {0} cannot be opened: {1}")]
    Open(String, std::io::Error),
}

impl ControlSocket {
    /// Opens `<home>/control.sock`. The caller holds the profile's lock, so a left-over socket is nobody's.
    pub fn open(home: &Path, handle: ControlHandle) -> Result<Self, SocketError> {
        let path = home.join("control.sock");
        if path.as_os_str().len() > PATH_MAX {
            return Err(SocketError::PathTooLong(path.as_os_str().len()));
        }
        let trouble = |error| SocketError::Open(path.display().to_string(), error);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(trouble(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(trouble)?;
        // CONTROL-01: nobody else's process opens it.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(trouble)?;
        let mut task = JoinSet::new();
        task.spawn(accept(listener, handle));
        Ok(Self { path, _task: task })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn accept(listener: UnixListener, handle: ControlHandle) {
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        // CONTROL-02: the kernel says whose process it is.
        let own = rustix::process::getuid().as_raw();
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == own || peer.uid() == 0 => {}
            _ => {
                warn!("refused a control client of another user");
                continue;
            }
        }
        // CONTROL-03: bound.
        if clients.len() >= CLIENTS_MAX {
            debug!("refused a control client: {CLIENTS_MAX} are connected");
            continue;
        }
        clients.spawn(serve(stream, handle.clone()));
    }
}

type Writer = Arc<Mutex<OwnedWriteHalf>>;

async fn serve(stream: UnixStream, handle: ControlHandle) {
    let (read, write) = stream.into_split();
    let write: Writer = Arc::new(Mutex::new(write));
    let mut read = BufReader::new(read);
    // Requests run side by side (a call may wait); a client that goes away cancels none of them half-way.
    let mut requests = JoinSet::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = LINE_MAX as u64 + 1;
        match (&mut read).take(limit).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let too_long = line.last() != Some(&b'\n') && line.len() > LINE_MAX;
        let request = match parse_request(&line) {
            Ok(request) => request,
            Err((id, failure)) => {
                let answered = send(&write, &Response::new(id, Err(failure))).await;
                if too_long || !answered {
                    break;
                }
                continue;
            }
        };
        if request.command == (Command::Events {}) {
            let events = handle.events();
            send(
                &write,
                &Response::new(Some(request.id), Ok(serde_json::Value::Null)),
            )
            .await;
            requests.spawn(forward(events, Arc::clone(&write)));
            continue;
        }
        let (handle, write) = (handle.clone(), Arc::clone(&write));
        requests.spawn(async move {
            let result = handle.call(request.command).await;
            respond(&write, request.id, result).await;
        });
        while requests.try_join_next().is_some() {}
    }
    requests.shutdown().await;
}

async fn forward(mut events: broadcast::Receiver<Event>, write: Writer) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(_)) => Event::Lagged,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if !send(&write, &Notification::new(event)).await {
            return;
        }
    }
}

async fn send<T: serde::Serialize>(write: &Writer, value: &T) -> bool {
    let Ok(mut line) = serde_json::to_vec(value) else {
        return false;
    };
    line.push(b'\n');
    write.lock().await.write_all(&line).await.is_ok()
}

/// `CONTROL-04`: no client reads a longer line, so it is told that instead.
async fn respond(write: &Writer, id: u64, result: Result<serde_json::Value, Failure>) -> bool {
    let response = Response::new(Some(id), result);
    let fits = serde_json::to_vec(&response).is_ok_and(|line| line.len() < LINE_MAX);
    if fits {
        return send(write, &response).await;
    }
    let sentence = "the answer is longer than 1 MiB; ask for less at once";
    let failure = Failure::new(ErrorKind::System, sentence);
    send(write, &Response::new(Some(id), Err(failure))).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::handle;
    use serde_json::json;

    async fn ask(stream: &mut BufReader<UnixStream>, line: &[u8]) -> serde_json::Value {
        stream.get_mut().write_all(line).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    #[tokio::test]
    async fn control_01_05_a_client_is_answered_line_by_line_and_survives_its_own_mistakes() {
        let home = tempfile::tempdir().unwrap();
        let (control, mut inbox) = handle::channel();
        let _socket = ControlSocket::open(home.path(), control).unwrap();
        tokio::spawn(async move {
            while let Some(request) = inbox.requests.recv().await {
                let _ = request.answer.send(Ok(json!({"version": "x"})));
            }
        });
        let mode = std::fs::metadata(home.path().join("control.sock"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut client = BufReader::new(
            UnixStream::connect(home.path().join("control.sock"))
                .await
                .unwrap(),
        );
        assert_eq!(
            ask(&mut client, b"nonsense\n").await["error"]["data"]["kind"],
            "usage"
        );
        let answer = ask(
            &mut client,
            b"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"status\",\"params\":{}}\n",
        )
        .await;
        assert_eq!(
            (answer["id"].as_u64(), answer["result"]["version"].as_str()),
            (Some(4), Some("x"))
        );
    }

    #[tokio::test]
    async fn control_03_one_client_too_many_is_closed() {
        let home = tempfile::tempdir().unwrap();
        let (control, _inbox) = handle::channel();
        let _socket = ControlSocket::open(home.path(), control).unwrap();
        let path = home.path().join("control.sock");
        let mut clients = Vec::new();
        for _ in 0..=CLIENTS_MAX {
            clients.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut last = clients.pop().unwrap();
        let mut byte = [0; 1];
        let read = last.read(&mut byte);
        let closed = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
        assert_eq!(closed.expect("closed at once").unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn control_04_an_answer_that_no_client_would_read_is_not_sent() {
        let home = tempfile::tempdir().unwrap();
        let (control, mut inbox) = handle::channel();
        let _socket = ControlSocket::open(home.path(), control).unwrap();
        tokio::spawn(async move {
            while let Some(request) = inbox.requests.recv().await {
                let _ = request.answer.send(Ok(json!("x".repeat(LINE_MAX))));
            }
        });
        let stream = UnixStream::connect(home.path().join("control.sock")).await;
        let line = b"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"status\",\"params\":{}}\n";
        let answer = ask(&mut BufReader::new(stream.unwrap()), line).await;
        assert_eq!(
            (
                answer["id"].as_u64(),
                answer["error"]["data"]["kind"].as_str()
            ),
            (Some(4), Some("system"))
        );
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_named() {
        let home = tempfile::tempdir().unwrap();
        let long = home.path().join("x".repeat(120));
        let (control, _inbox) = handle::channel();
        assert!(matches!(
            ControlSocket::open(&long, control),
            Err(SocketError::PathTooLong(_))
        ));
    }
}
