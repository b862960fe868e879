//! The event stream of a page (server-sent events, WHATWG HTML 9.2): each change of the node arrives as HTML fragments whose
//! elements replace those of the same id. A page asks for what it looks at; on connecting, and after missing events, it gets
//! all of that anew, so nothing is lost between the page and its stream.
//!
//! Kinds: `patch` (fragments), `log` (the newest page of a chat), `gone` (the node stops). Data is one JSON string.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream::unfold;
use maud::{Markup, html};
use starling_control::view::{Call, CallState, Message, OwnPresence, Status, Transfer};
use starling_control::{Event, Failure};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};

use super::pages::frame::{Looking, Shell};
use super::pages::{self, call, chat, file, presence, side, sound, status};
use super::server::{Fields, Ui, now_ms};

/// Changes closer together than this arrive as one: at most ten patches a second.
const PAUSE: Duration = Duration::from_millis(100);
/// The status page's figures are asked for this often, and the sound devices.
const FIGURES: Duration = Duration::from_secs(2);
/// And the microphone's level this often, where somebody looks at it.
const LEVEL: Duration = Duration::from_millis(200);
/// Patches that wait for a slow browser.
const QUEUE: usize = 16;

/// One page's stream.
pub async fn live(State(ui): State<Arc<Ui>>, Query(query): Query<Fields>) -> Response {
    let Ok(permit) = Arc::clone(&ui.streams).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let looking = Looking {
        page: query.get("page").cloned().unwrap_or_default(),
        with: query.get("with").cloned(),
    };
    let (out, lines) = mpsc::channel(QUEUE);
    let events = ui.control.events();
    tokio::spawn(run(Screen::new(ui, looking, out), events, permit));
    Sse::new(stream(lines))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response()
}

fn stream(lines: mpsc::Receiver<Line>) -> impl Stream<Item = Result<Line, Infallible>> {
    unfold(lines, async |mut lines| {
        let line = lines.recv().await?;
        Some((Ok(line), lines))
    })
}

async fn run(
    mut screen: Screen,
    mut events: broadcast::Receiver<Event>,
    _permit: OwnedSemaphorePermit,
) {
    let mut figures = tokio::time::interval(screen.figures_every());
    figures.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut changes = Changes::everything();
    loop {
        match screen.show(changes).await {
            Ok(true) => {}
            // The browser is gone.
            Ok(false) => return,
            Err(failure) => tracing::debug!("a page was not brought up to date: {failure}"),
        }
        tokio::time::sleep(PAUSE).await;
        changes = Changes::default();
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => changes.note(event),
                Err(RecvError::Lagged(_)) => changes = Changes::everything(),
                Err(RecvError::Closed) => return screen.say_gone().await,
            },
            _ = figures.tick(), if matches!(&*screen.looking.page, "status" | "sound") => changes.figures = true,
            () = screen.out.closed() => return,
        }
        loop {
            match events.try_recv() {
                Ok(event) => changes.note(event),
                Err(TryRecvError::Lagged(_)) => changes = Changes::everything(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
    }
}

/// What happened since the last patch; of several views of one thing the last counts.
#[derive(Debug, Default)]
struct Changes {
    everything: bool,
    people: bool,
    figures: bool,
    status: Option<Box<Status>>,
    own: Option<OwnPresence>,
    messages: Vec<Message>,
    transfers: BTreeMap<String, Transfer>,
    calls: BTreeMap<String, Call>,
}

impl Changes {
    fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Status(status) => self.status = Some(status),
            Event::Contact(_)
            | Event::ContactRemoved(_)
            | Event::Request(_)
            | Event::RequestGone(_) => {
                self.people = true;
            }
            Event::Message(message) => self.messages.push(message),
            Event::Call(call) => {
                self.calls.insert(call.id.clone(), call);
            }
            Event::Transfer(transfer) => {
                self.transfers.insert(transfer.id.clone(), transfer);
            }
            Event::OwnPresence(own) => self.own = Some(own),
            // The name at the side comes with the status.
            Event::OwnProfile(_) => {}
            // Rare, and the page of the devices shows more than the event says.
            Event::Pairing(_) | Event::KeyChanged(_) | Event::Lagged => self.everything = true,
            // Shown where they are asked for; a warning comes with the status.
            Event::Names(_) | Event::NameAlarm(_) => {}
        }
    }
}

/// One page and what it shows.
struct Screen {
    ui: Arc<Ui>,
    looking: Looking,
    out: mpsc::Sender<Line>,
    shell: Shell,
}

impl Screen {
    fn new(ui: Arc<Ui>, looking: Looking, out: mpsc::Sender<Line>) -> Self {
        let shell = Shell::default();
        Self {
            ui,
            looking,
            out,
            shell,
        }
    }

    fn looks_at_level(&self) -> bool {
        self.looking == Looking::with("sound", sound::LEVEL)
    }

    fn figures_every(&self) -> Duration {
        if self.looks_at_level() {
            LEVEL
        } else {
            FIGURES
        }
    }

    /// Sends what changed; false when nobody reads any more.
    async fn show(&mut self, changes: Changes) -> Result<bool, Failure> {
        if changes.everything {
            return self.show_everything().await;
        }
        self.shell.now = now_ms();
        let mut parts = Vec::new();
        if let Some(status) = changes.status {
            self.shell.status = *status;
            parts.push(side::own(&self.shell.status));
        }
        if let Some(own) = changes.own {
            self.shell.status.presence = Some(own);
            parts.push(side::own(&self.shell.status));
            parts.push(presence::chooser(&self.shell));
        }
        if changes.figures && self.looking.page == "sound" {
            let (audio, heard) = pages::audio(&self.ui, self.looks_at_level()).await?;
            parts.push(sound::now(&self.shell, &audio, &heard));
        } else if changes.figures || (!parts.is_empty() && self.looking.page == "status") {
            parts.push(self.figures().await?);
        }
        let call_ended = self.note_calls(&changes.calls);
        if !changes.calls.is_empty() {
            parts.push(call::region(&self.shell.calls, &self.shell));
            self.shell
                .calls
                .retain(|call| call.state != CallState::Ended);
        }
        if changes.people || call_ended {
            parts.push(self.people().await?);
        }
        if call_ended && self.looking.page == "calls" {
            parts.push(call::log(&pages::all_calls(&self.ui).await?, &self.shell));
        }
        parts.extend(self.chat_items(&changes.messages, &changes.transfers, &changes.calls));
        if self.looking.page == "files" {
            parts.extend(
                changes
                    .transfers
                    .values()
                    .map(|transfer| file::row(&self.shell, transfer)),
            );
        }
        Ok(self.patch(html! { @for part in &parts { (part) } }).await)
    }

    async fn show_everything(&mut self) -> Result<bool, Failure> {
        self.shell = pages::shell(&self.ui).await?;
        let mut parts = vec![
            side::own(&self.shell.status),
            presence::chooser(&self.shell),
            side::people(&self.shell, &self.looking),
            side::missed(&self.shell.status),
            call::region(&self.shell.calls, &self.shell),
        ];
        parts.extend(self.chat_head());
        match self.looking.page.as_str() {
            "status" => parts.push(status::page(&self.shell.status)),
            "calls" => parts.push(call::log(&pages::all_calls(&self.ui).await?, &self.shell)),
            "devices" => parts.push(pages::pairing(&self.ui, &self.shell).await?),
            _ => {}
        }
        let shown = self.patch(html! { @for part in &parts { (part) } }).await;
        let Some(with) = self.chat_with() else {
            return Ok(shown);
        };
        let contact = pages::find_contact(&self.shell, with)?;
        let log = pages::log(&self.ui, with, None, None).await?;
        let entries = chat::entries(&self.shell, contact, &log);
        Ok(self.send("log", &entries).await)
    }

    /// Requests, contacts and the chat's head.
    async fn people(&mut self) -> Result<Markup, Failure> {
        let fresh = pages::shell(&self.ui).await?;
        (self.shell.contacts, self.shell.requests) = (fresh.contacts, fresh.requests);
        self.shell.earlier = fresh.earlier;
        self.shell.status.missed_calls = fresh.status.missed_calls;
        let missed = side::missed(&self.shell.status);
        let people = side::people(&self.shell, &self.looking);
        let head = self.chat_head();
        Ok(html! { (people) (missed) @if let Some(head) = head { (head) } })
    }

    async fn figures(&mut self) -> Result<Markup, Failure> {
        self.shell.status = pages::shell(&self.ui).await?.status;
        Ok(status::page(&self.shell.status))
    }

    fn chat_with(&self) -> Option<&str> {
        self.looking
            .with
            .as_deref()
            .filter(|_| self.looking.page == "chat")
    }

    fn chat_head(&self) -> Option<Markup> {
        let contact = pages::find_contact(&self.shell, self.chat_with()?).ok()?;
        Some(chat::head(&self.shell, contact))
    }

    /// Takes over the calls' new state; whether one began or ended, which shows in the lists too.
    fn note_calls(&mut self, changed: &BTreeMap<String, Call>) -> bool {
        let mut lists = false;
        for call in changed.values() {
            match self
                .shell
                .calls
                .iter_mut()
                .find(|known| known.id == call.id)
            {
                Some(known) => *known = call.clone(),
                None => {
                    self.shell.calls.push(call.clone());
                    lists = true;
                }
            }
            lists |= call.state == CallState::Ended;
        }
        lists
    }

    fn chat_items(
        &self,
        messages: &[Message],
        transfers: &BTreeMap<String, Transfer>,
        calls: &BTreeMap<String, Call>,
    ) -> Vec<Markup> {
        let Some(with) = self.chat_with() else {
            return Vec::new();
        };
        let messages = messages.iter().filter(|message| message.contact == with);
        let transfers = transfers
            .values()
            .filter(|transfer| transfer.contact == with);
        let calls = calls
            .values()
            .filter(|call| call.contact == with && call.state == CallState::Ended);
        messages
            .map(|message| chat::item(&self.shell, message, false, false))
            .chain(transfers.map(|transfer| chat::transfer_item(&self.shell, transfer, false)))
            .chain(calls.map(|call| chat::call_item(&self.shell, call, false)))
            .collect()
    }

    async fn patch(&self, html: Markup) -> bool {
        html.0.is_empty() || self.send("patch", &html).await
    }

    async fn send(&self, kind: &str, html: &Markup) -> bool {
        // JSON, because a line of the stream can hold neither line feeds nor carriage returns.
        let data = serde_json::Value::from(html.0.as_str()).to_string();
        self.out
            .send(Line::default().event(kind).data(data))
            .await
            .is_ok()
    }

    async fn say_gone(&self) {
        self.send("gone", &html! {}).await;
    }
}
