//! The pages. Each has its own file and is a pure function of views; here they are found by name and given what they show.

mod account;
pub mod call;
mod call_detail;
pub mod call_settings;
pub mod carry;
pub mod chat;
pub mod devices;
pub mod file;
pub mod frame;
mod icon;
mod names;
mod network;
mod organise;
mod people;
pub mod presence;
pub mod processing;
pub mod profile;
mod registrar;
pub mod side;
pub mod sound;
pub mod status;
mod transfer;
mod verify;
pub mod words;

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use starling_control::view::{
    Audio, Call, CallSettings, CallState, Contact, ContactRequest, Device, FoundName, LinkPreview,
    NameCheck, NameOffice, Network, NetworkMade, OwnLink, OwnName, OwnProfile, Pairing, Safety,
    Status, Transfer,
};
use starling_control::{Command, ErrorKind, Failure};

use self::chat::Log;
use self::frame::{Looking, Shell};
use super::action::{self, carries_token};
use super::server::{Fields, Ui, now_ms, status_of};

/// How far back the call log goes.
const CALLS: u32 = 200;

/// Home, or the first-run page while there is no account.
pub async fn home(State(ui): State<Arc<Ui>>) -> Response {
    match shell(&ui).await {
        Err(failure) => failure_page(&failure),
        Ok(shell) if shell.status.account.is_none() => first_run(&ui, &shell).await,
        Ok(shell) => answer(&shell, &Looking::at(""), "Home", account::home(&shell)),
    }
}

/// Every other page, and the assets.
pub async fn page(
    State(ui): State<Arc<Ui>>,
    Path(name): Path<String>,
    Query(query): Query<Fields>,
) -> Response {
    if let Some(asset) = asset(&name) {
        return asset;
    }
    if name == "contacts.jsonl" {
        return carry::download(&ui).await;
    }
    let shell = match shell(&ui).await {
        Ok(shell) => shell,
        Err(failure) => return failure_page(&failure),
    };
    if shell.status.account.is_none() {
        return first_run(&ui, &shell).await;
    }
    match content(&ui, &shell, &name, &query).await {
        Ok((looking, title, main)) => answer(&shell, &looking, &title, main),
        Err(failure) => {
            let main = failure_words(&failure);
            let mut response = answer(&shell, &Looking::at(&name), "Trouble", main);
            *response.status_mut() = status_of(&failure);
            response
        }
    }
}

/// Makes a network and shows what to hand out, and what is to be done by hand.
pub async fn network_made(
    State(ui): State<Arc<Ui>>,
    headers: HeaderMap,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let Ok(Form(fields)) = form else {
        return words_page(StatusCode::BAD_REQUEST, "The form could not be read.");
    };
    if !carries_token(&ui.guard, &headers, &fields) {
        return words_page(StatusCode::FORBIDDEN, action::NO_TOKEN);
    }
    let field = |name: &str| fields.get(name).map(|value| value.trim().to_owned());
    let init = Command::NetworkInit {
        name: field("name").unwrap_or_default(),
        advertise: field("advertise").filter(|address| !address.is_empty()),
    };
    let made = ui.ask::<NetworkMade>(init).await;
    match (made, shell(&ui).await) {
        (Ok(made), Ok(shell)) => answer(
            &shell,
            &Looking::at("network"),
            "Network",
            network::made(&made),
        ),
        (Err(failure), _) | (_, Err(failure)) => failure_page(&failure),
    }
}

/// A page of one sentence, for whoever has no other page.
pub fn words_page(status: StatusCode, words: &str) -> Response {
    let main = html! { h1 { "Starling" } p { (words) } };
    let page = frame::outside("Starling", html! {}, main).into_string();
    (status, Html(page)).into_response()
}

/// The page a browser gets for its one-time code: it goes on by itself, now with the cookie.
pub fn entering(run: &str) -> Markup {
    let target = format!("{run}/");
    let head = html! { meta http-equiv="refresh" content={ "0;url=" (target) }; };
    frame::outside(
        "Starling",
        head,
        html! { p { a href=(target) { "Open Starling" } } },
    )
}

/// What the frame shows.
pub async fn shell(ui: &Ui) -> Result<Shell, Failure> {
    let status: Status = ui.ask(Command::Status {}).await?;
    let mut shell = Shell {
        status,
        token: ui.guard.token().text().into(),
        now: now_ms(),
        ..Shell::default()
    };
    if shell.status.account.is_some() {
        shell.contacts = ui.ask(Command::ContactList {}).await?;
        shell.earlier = ui.ask(Command::ContactEarlier {}).await?;
        shell.requests = ui.ask(Command::ContactRequests {}).await?;
        shell.calls = running_calls(ui).await?;
    }
    Ok(shell)
}

/// Calls that are not over.
pub async fn running_calls(ui: &Ui) -> Result<Vec<Call>, Failure> {
    let mut calls: Vec<Call> = ui.ask(Command::CallList { limit: Some(20) }).await?;
    calls.retain(|call| call.state != CallState::Ended);
    Ok(calls)
}

/// The call log.
pub async fn all_calls(ui: &Ui) -> Result<Vec<Call>, Failure> {
    ui.ask(Command::CallList { limit: Some(CALLS) }).await
}

/// What a chat page shows: the newest page, or the one before a message.
pub async fn log(
    ui: &Ui,
    id: &str,
    before: Option<String>,
    until: Option<u64>,
) -> Result<Log, Failure> {
    let who = id.to_owned();
    let limit = Some(chat::PAGE);
    let mut log = Log {
        messages: ui.ask(Command::ChatLog { who, limit, before }).await?,
        transfers: ui.ask(Command::FileList {}).await?,
        calls: all_calls(ui).await?,
        until,
    };
    log.transfers.retain(|transfer| transfer.contact == id);
    log.calls
        .retain(|call| call.contact == id && call.state == CallState::Ended);
    Ok(log)
}

/// The log, one call, putting through, and how the person wants to be called.
async fn about_calls(ui: &Ui, shell: &Shell, name: &str, id: &str) -> Result<Markup, Failure> {
    let id = id.to_owned();
    match name {
        "call-settings" => {
            let chosen: CallSettings = ui.ask(Command::CallSettings {}).await?;
            Ok(call_settings::page(shell, &chosen))
        }
        "call" => {
            let call: Call = ui.ask(Command::CallShow { id }).await?;
            Ok(call_detail::page(shell, &call))
        }
        "transfer" => {
            let call: Call = ui.ask(Command::CallShow { id }).await?;
            Ok(transfer::page(shell, &call))
        }
        _ => Ok(call::log(&all_calls(ui).await?, shell)),
    }
}

async fn content(
    ui: &Ui,
    shell: &Shell,
    name: &str,
    query: &Fields,
) -> Result<(Looking, String, Markup), Failure> {
    let field = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (title, main) = match name {
        "chat" => return chat_page(ui, shell, query).await,
        "add" => ("Add a contact", people::add()),
        "confirm" => {
            let link = field("link").trim().to_owned();
            let preview: LinkPreview = ui
                .ask(Command::ContactPreview { link: link.clone() })
                .await?;
            ("A link", people::confirm(shell, &link, &preview))
        }
        "my-link" => {
            let own: OwnLink = ui.ask(Command::ContactLink {}).await?;
            ("My link", people::my_link(&own))
        }
        "request" => (
            "A request",
            people::request(shell, find_request(shell, field("from"))?),
        ),
        "contact" => {
            let contact = find_contact(shell, field("with"))?;
            ("A contact", people::contact(shell, contact))
        }
        "verify" => {
            let who = find_contact(shell, field("with"))?.id.clone();
            let safety: Safety = ui.ask(Command::ContactSafety { who }).await?;
            ("Safety words", verify::page(shell, &safety))
        }
        "calls" | "call" | "transfer" | "call-settings" => {
            ("Calls", about_calls(ui, shell, name, field("id")).await?)
        }
        "files" => ("Files", files(ui, shell).await?),
        "network" => {
            let network: Option<Network> = ui.ask(Command::NetworkShow {}).await?;
            ("Network", network::page(shell, network.as_ref()))
        }
        "search" => ("Search", search(ui, shell, field("words").trim()).await?),
        "names" => ("Your name", names(ui, shell, field("verify").trim()).await?),
        "profile" => ("Your profile", own_profile(ui, shell).await?),
        "microphone" => ("Your microphone", microphone(ui, shell).await?),
        "sound" => return sound_page(ui, shell, query).await,
        "registrar" => ("Registrar of names", office(ui, shell).await?),
        "carry" => ("Carry contacts", carry::page(shell)),
        "status" => ("Status", status::page(&shell.status)),
        "account" => ("Account", account::page(shell)),
        "devices" => ("Devices", devices(ui, shell).await?),
        _ => return Err(Failure::new(ErrorKind::NotFound, "There is no such page.")),
    };
    Ok((Looking::at(name), title.into(), main))
}

async fn own_profile(ui: &Ui, shell: &Shell) -> Result<Markup, Failure> {
    let own: OwnProfile = ui.ask(Command::ProfileShow {}).await?;
    Ok(profile::page(shell, &own))
}

async fn microphone(ui: &Ui, shell: &Shell) -> Result<Markup, Failure> {
    let processing = ui.ask(Command::ProcessingShow {}).await?;
    Ok(processing::page(shell, processing))
}

async fn files(ui: &Ui, shell: &Shell) -> Result<Markup, Failure> {
    let transfers: Vec<Transfer> = ui.ask(Command::FileList {}).await?;
    Ok(file::page(shell, &transfers))
}

async fn sound_page(
    ui: &Ui,
    shell: &Shell,
    query: &Fields,
) -> Result<(Looking, String, Markup), Failure> {
    let (looking, level) = if query.contains_key("level") {
        (Looking::with("sound", sound::LEVEL), true)
    } else {
        (Looking::at("sound"), false)
    };
    let (audio, heard) = audio(ui, level).await?;
    Ok((looking, "Sound".into(), sound::page(shell, &audio, &heard)))
}

/// The machine's sound, and how it sounds.
pub async fn audio(ui: &Ui, level: bool) -> Result<(Audio, sound::Heard), Failure> {
    let audio = ui.ask(Command::AudioDevices {}).await?;
    let test = ui.ask(Command::AudioTestState {}).await?;
    let level = if level {
        Some(ui.ask(Command::AudioMeter {}).await)
    } else {
        None
    };
    Ok((audio, sound::Heard { test, level }))
}

async fn search(ui: &Ui, shell: &Shell, text: &str) -> Result<Markup, Failure> {
    if text.is_empty() {
        return Ok(names::search(shell, "", None));
    }
    let command = Command::Search { text: text.into() };
    let found: Vec<FoundName> = ui.ask(command).await?;
    Ok(names::search(shell, text, Some(&found)))
}

async fn office(ui: &Ui, shell: &Shell) -> Result<Markup, Failure> {
    let office: NameOffice = ui.ask(Command::RegistrarShow {}).await?;
    Ok(registrar::page(shell, &office))
}

async fn names(ui: &Ui, shell: &Shell, verify: &str) -> Result<Markup, Failure> {
    let own: Vec<OwnName> = ui.ask(Command::NameShow {}).await?;
    let check: Option<NameCheck> = if verify.is_empty() {
        None
    } else {
        let name = verify.to_owned();
        ui.ask(Command::NameVerify { name }).await?
    };
    Ok(names::page(shell, &own, check.as_ref()))
}

async fn chat_page(
    ui: &Ui,
    shell: &Shell,
    query: &Fields,
) -> Result<(Looking, String, Markup), Failure> {
    let contact = find_contact(
        shell,
        query.get("with").map(String::as_str).unwrap_or_default(),
    )?;
    let until = query.get("until").and_then(|until| until.parse().ok());
    let log = log(ui, &contact.id, query.get("before").cloned(), until).await?;
    if contact.unread > 0 {
        // Opening a chat is reading it.
        ui.ask::<()>(Command::ChatRead {
            who: contact.id.clone(),
        })
        .await?;
    }
    let main = chat::page(shell, contact, &log);
    Ok((
        Looking::with("chat", &contact.id),
        words::plain(contact.title()),
        main,
    ))
}

/// A contact by its exact account id.
pub fn find_contact<'a>(shell: &'a Shell, id: &str) -> Result<&'a Contact, Failure> {
    let mut everybody = shell.contacts.iter().chain(&shell.earlier);
    let found = everybody.find(|contact| contact.id == id);
    found.ok_or_else(|| Failure::new(ErrorKind::NotFound, "There is no such contact any more."))
}

fn find_request<'a>(shell: &'a Shell, id: &str) -> Result<&'a ContactRequest, Failure> {
    let found = shell.requests.iter().find(|request| request.id == id);
    found.ok_or_else(|| {
        Failure::new(
            ErrorKind::NotFound,
            "This request is gone: it was answered or withdrawn.",
        )
    })
}

/// The account's devices, and one that is on its way.
pub async fn devices(ui: &Ui, shell: &Shell) -> Result<Markup, Failure> {
    let devices: Vec<Device> = ui.ask(Command::DeviceList {}).await?;
    let pairing: Option<Pairing> = ui.ask(Command::DevicePairing {}).await?;
    Ok(devices::page(shell, &devices, pairing.as_ref()))
}

/// One that is on its way, alone.
pub async fn pairing(ui: &Ui, shell: &Shell) -> Result<Markup, Failure> {
    let pairing: Option<Pairing> = ui.ask(Command::DevicePairing {}).await?;
    Ok(devices::region(shell, pairing.as_ref(), false))
}

async fn first_run(ui: &Ui, shell: &Shell) -> Response {
    let joining = ui.ask::<Option<Pairing>>(Command::DevicePairing {}).await;
    let joining = joining.unwrap_or_default();
    let main = account::first_run(shell, joining.as_ref());
    Html(frame::bare("Welcome", Some(&shell.token), main).into_string()).into_response()
}

fn answer(shell: &Shell, looking: &Looking, title: &str, main: Markup) -> Response {
    Html(frame::page(shell, looking, title, main).into_string()).into_response()
}

fn failure_words(failure: &Failure) -> Markup {
    html! {
        article.sheet {
            header { h1 { "That did not work" } }
            p { (words::plain(&failure.message)) }
            @if !failure.data.candidates.is_empty() {
                ul { @for candidate in &failure.data.candidates { li { (words::name(candidate)) } } }
            }
            p { a href="./" { "Back" } }
        }
    }
}

fn failure_page(failure: &Failure) -> Response {
    let page = frame::bare("Trouble", None, failure_words(failure)).into_string();
    (status_of(failure), Html(page)).into_response()
}

fn asset(name: &str) -> Option<Response> {
    let (kind, text) = match name {
        "starling.css" => ("text/css", include_str!("../../../assets/starling.css")),
        "starling.js" => (
            "text/javascript",
            include_str!("../../../assets/starling.js"),
        ),
        "starling.svg" => (
            "image/svg+xml",
            include_str!("../../../assets/starling.svg"),
        ),
        _ => return None,
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        // The path changes with every run, and with it the version.
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=86400, immutable"),
        ),
    ];
    Some((headers, text).into_response())
}
