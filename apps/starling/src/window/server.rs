//! The page server: binds a free port of 127.0.0.1, checks every request, and hands it to a page, an action, an upload or the
//! event stream. All paths lie flat under one random label, so pages link to each other by bare names.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::de::DeserializeOwned;
use starling_control::view::{Transfer, WindowDoor};
use starling_control::{Command, ErrorKind, Event, Failure};
use starling_node::ControlHandle;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinSet;

use super::entrance::{CODE_TTL, ENTER, Entrance};
use super::guard::{Guard, Refusal, TOKEN_HEADER, harden};
use super::pages;
use super::picture;
use super::upload::Uploads;
use super::{action, doorway, live};

/// A form's body: 16 KiB of text may take three times that in a form's encoding; a network file is at most 64 KiB.
const FORM_MAX: usize = 256 * 1024;
/// The node answers long before; a page must not hang if it does not. What reads a file takes as long as it takes.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Event streams at once: one for each open page.
const STREAMS_MAX: usize = 64;

/// The running page server.
#[derive(Debug)]
pub struct Window {
    ui: Arc<Ui>,
    profile: PathBuf,
    port: u16,
    _tasks: JoinSet<()>,
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// No port.
    #[error("the window's page server cannot listen on 127.0.0.1: {0}")]
    Listen(io::Error),
    /// The redirect file cannot be written.
    #[error("the window's files cannot be written to {0}: {1}")]
    Files(String, io::Error),
}

/// What every handler works with.
#[derive(Debug)]
pub(super) struct Ui {
    pub control: ControlHandle,
    pub guard: Guard,
    pub entrance: Entrance,
    pub uploads: Uploads,
    pub streams: Arc<Semaphore>,
}

/// Query or form fields; a repeated one counts once.
pub(super) type Fields = BTreeMap<String, String>;

impl Window {
    /// Starts the page server for the profile in `home`, which must exist.
    pub async fn start(control: ControlHandle, home: &Path) -> Result<Self, WindowError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(WindowError::Listen)?;
        let port = listener.local_addr().map_err(WindowError::Listen)?.port();
        let trouble = |error| WindowError::Files(home.display().to_string(), error);
        let profile = home.canonicalize().map_err(trouble)?;
        let folder = profile.join("window");
        let guard = Guard::new(port).map_err(trouble)?;
        let ui = Arc::new(Ui {
            entrance: Entrance::new(folder.clone(), guard.origin()).map_err(trouble)?,
            uploads: Uploads::new(folder.join("uploads")),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            control,
            guard,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(doorway::serve(listener, router(&ui)));
        tasks.spawn(remove_sent_uploads(Arc::clone(&ui)));
        tasks.spawn(expire_codes(Arc::clone(&ui)));
        Ok(Self {
            ui,
            profile,
            port,
            _tasks: tasks,
        })
    }

    /// Lets one browser of this user in, within a minute.
    pub fn door(&self) -> Result<WindowDoor, WindowError> {
        let way = self
            .ui
            .entrance
            .issue(Instant::now())
            .map_err(|error| WindowError::Files(self.profile.display().to_string(), error))?;
        Ok(WindowDoor {
            file: way.file.display().to_string(),
            url: way.url,
            port: self.port,
        })
    }

    /// Where the server listens, as `http://127.0.0.1:port`. Knowing it lets nobody in.
    pub fn origin(&self) -> &str {
        self.ui.guard.origin()
    }
}

impl Ui {
    /// Asks the node; an answer that does not come is a failure too.
    pub async fn ask<T: DeserializeOwned>(&self, command: Command) -> Result<T, Failure> {
        let Some(limit) = answer_within(&command) else {
            return self.control.ask(command).await;
        };
        let late = |_| {
            Failure::new(
                ErrorKind::System,
                "Starling did not answer within 30 seconds; look at the status page, or try again",
            )
        };
        tokio::time::timeout(limit, self.control.ask(command))
            .await
            .map_err(late)?
    }
}

/// A large file is read for minutes before it is offered; what is given up here would go on in the node all the same.
fn answer_within(command: &Command) -> Option<Duration> {
    match command {
        Command::FileSend { .. }
        | Command::AccountBackup { .. }
        | Command::AccountBackupCheck { .. }
        | Command::AccountRestore { .. }
        | Command::AccountRestorePhrase { .. }
        | Command::AccountRecover { .. }
        | Command::AccountDelete { .. } => None,
        _ => Some(ANSWER_WITHIN),
    }
}

/// Unix milliseconds.
pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}

fn router(ui: &Arc<Ui>) -> Router {
    let at = |page: &str| format!("{}/{page}", ui.guard.run());
    Router::new()
        .route(ENTER, get(enter))
        .route(&at("live"), get(live::live))
        .route(
            &at("upload"),
            put(upload).layer(DefaultBodyLimit::disable()),
        )
        .route(&at("avatar"), get(picture::show))
        .route(&at("profile-picture"), post(picture::receive))
        .route(&at(""), get(pages::home))
        .route(&at("network-init"), post(pages::network_made))
        .route(
            &at("contacts-look"),
            post(pages::carry::look).layer(DefaultBodyLimit::max(FORM_MAX)),
        )
        .route(
            &at("contacts-take"),
            post(pages::carry::take).layer(DefaultBodyLimit::max(FORM_MAX)),
        )
        .route(
            &at("{name}"),
            get(pages::page)
                .post(action::act)
                .layer(DefaultBodyLimit::max(FORM_MAX)),
        )
        .fallback(|| async { pages::words_page(StatusCode::NOT_FOUND, "There is no such page.") })
        .with_state(Arc::clone(ui))
        .layer(middleware::from_fn_with_state(Arc::clone(ui), checked))
}

async fn checked(State(ui): State<Arc<Ui>>, request: Request, next: Next) -> Response {
    let check = ui
        .guard
        .check(request.method(), request.uri(), request.headers(), ENTER);
    let mut response = match check {
        Ok(()) => next.run(request).await,
        Err(refusal) => turned_away(refusal),
    };
    harden(response.headers_mut());
    response
}

/// One sentence, and the connection's place is free again.
fn turned_away(refusal: Refusal) -> Response {
    let mut response = pages::words_page(refusal.status(), refusal.words());
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Swaps a one-time code for the cookie. The answer is a page, not a redirect: a browser that comes from a file would not
/// send a `SameSite=Strict` cookie along a redirect.
async fn enter(
    State(ui): State<Arc<Ui>>,
    Query(query): Query<Fields>,
) -> Result<Response, Response> {
    let code = query.get("code").map(String::as_str).unwrap_or_default();
    if !ui.entrance.redeem(code, Instant::now()) {
        let words = "This way in was used already or is older than a minute. To open the window again, run: starling";
        return Err(pages::words_page(StatusCode::UNAUTHORIZED, words));
    }
    let page = Html(pages::entering(ui.guard.run()).into_string());
    let cookie = [(header::SET_COOKIE, ui.guard.set_cookie())];
    Ok((cookie, page).into_response())
}

async fn upload(
    State(ui): State<Arc<Ui>>,
    Query(query): Query<Fields>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Response {
    let token = headers.get(TOKEN_HEADER).and_then(|v| v.to_str().ok());
    if !token.is_some_and(|token| ui.guard.token().matches(token)) {
        return json_failure(StatusCode::FORBIDDEN, action::NO_TOKEN);
    }
    let name = query.get("name").map(String::as_str).unwrap_or_default();
    let path = match ui.uploads.receive(name, body).await {
        Ok(path) => path,
        Err(error) => {
            let words = format!("the file could not be taken over: {error}");
            return json_failure(StatusCode::INSUFFICIENT_STORAGE, &words);
        }
    };
    let Some(who) = query.get("who").cloned() else {
        return json(&serde_json::json!({ "path": path.display().to_string() }));
    };
    // A task of its own: the person may leave the page while the node reads the file.
    match tokio::spawn(send_copy(ui, who, path)).await {
        Ok(Ok(())) => json(&serde_json::json!({})),
        Ok(Err(failure)) => json_failure(status_of(&failure), &failure.message),
        Err(error) => json_failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Has the node send an upload. The copy goes only if the node says that no transfer needs it.
async fn send_copy(ui: Arc<Ui>, who: String, path: PathBuf) -> Result<(), Failure> {
    let named = path.display().to_string();
    let send = Command::FileSend {
        who,
        path: named.clone(),
    };
    let Err(failure) = ui.ask::<Transfer>(send).await else {
        return Ok(());
    };
    let unused = |transfers: &Vec<Transfer>| {
        transfers
            .iter()
            .all(|transfer| transfer.path.as_ref() != Some(&named))
    };
    if ui.ask(Command::FileList {}).await.is_ok_and(|t| unused(&t)) {
        ui.uploads.discard(&path);
    }
    Err(failure)
}

/// HTTP's nearest word for a failure.
pub(super) fn status_of(failure: &Failure) -> StatusCode {
    match failure.data.kind {
        ErrorKind::Usage | ErrorKind::Ambiguous => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::State => StatusCode::CONFLICT,
        ErrorKind::Refused => StatusCode::FORBIDDEN,
        ErrorKind::Unreachable => StatusCode::BAD_GATEWAY,
        ErrorKind::System => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the page's script reads.
pub(super) fn json(value: &serde_json::Value) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], value.to_string()).into_response()
}

/// A sentence for the page's script to show.
pub(super) fn json_failure(status: StatusCode, words: &str) -> Response {
    let mut response = json(&serde_json::json!({ "error": words }));
    *response.status_mut() = status;
    response
}

async fn remove_sent_uploads(ui: Arc<Ui>) {
    let mut events = ui.control.events();
    let listed = || ui.ask::<Vec<Transfer>>(Command::FileList {});
    let settle = |transfer: &Transfer| drop(ui.uploads.settle(transfer));
    if let Ok(transfers) = listed().await {
        transfers.iter().for_each(settle);
        ui.uploads.sweep(&transfers);
    }
    loop {
        match events.recv().await {
            Ok(Event::Transfer(transfer)) => settle(&transfer),
            Ok(Event::Lagged) | Err(broadcast::error::RecvError::Lagged(_)) => {
                listed().await.iter().flatten().for_each(settle);
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

async fn expire_codes(ui: Arc<Ui>) {
    loop {
        tokio::time::sleep(CODE_TTL / 12).await;
        ui.entrance.expire(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_for_as_long_as_it_takes() {
        let (who, path) = ("b0b".into(), "/film.mkv".into());
        assert_eq!(answer_within(&Command::FileSend { who, path }), None);
        assert_eq!(answer_within(&Command::FileList {}), Some(ANSWER_WITHIN));
    }
}
