//! Pictures of people: shown from the node, and the own one taken from a form that works without script.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use futures_util::StreamExt;
use starling_control::view::{Avatar, OwnProfile, ProfileChange};
use starling_control::{Command, ErrorKind, Failure};

use super::action::NO_TOKEN;
use super::server::{Fields, Ui, status_of};
use super::{multipart, pages};

/// A form with a picture: the file, and what stands round it.
const FORM_MAX: usize = 10 * 1024 * 1024 + 64 * 1024;
/// A form that is too large is read to its end all the same, up to here: a browser that is cut off while it sends shows
/// "connection reset" in place of our sentence (RFC 9112, section 9.6).
const READ_MAX: usize = 128 * 1024 * 1024;
/// A form is whole by then.
const FORM_WITHIN: Duration = Duration::from_secs(60);
/// The one kind there is.
const JPEG: &str = "image/jpeg";

/// `GET avatar?who=...&v=...`; without `who` the own one. `v` stands for the picture, so a browser may keep it.
pub async fn show(State(ui): State<Arc<Ui>>, Query(query): Query<Fields>) -> Response {
    let who = query.get("who").cloned();
    let found = ui.ask::<Avatar>(Command::ProfileAvatar { who }).await;
    let bytes = found.map(|avatar| (avatar.media_type, BASE64.decode(avatar.data.as_bytes())));
    // Whatever the node says, it is shown as a picture or not at all.
    let Ok((JPEG, Ok(bytes))) = bytes.as_ref().map(|(kind, bytes)| (kind.as_str(), bytes)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = "private, max-age=86400, immutable";
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(JPEG)),
        (header::CACHE_CONTROL, HeaderValue::from_static(kept)),
    ];
    (headers, bytes.clone()).into_response()
}

/// `POST profile-picture`: a form with a file.
pub async fn receive(State(ui): State<Arc<Ui>>, headers: HeaderMap, body: Body) -> Response {
    match take(&ui, &headers, body).await {
        Ok(()) => (StatusCode::SEE_OTHER, [(header::LOCATION, "profile")]).into_response(),
        Err(failure) => pages::words_page(status_of(&failure), &failure.to_string()),
    }
}

async fn take(ui: &Ui, headers: &HeaderMap, body: Body) -> Result<(), Failure> {
    let body = tokio::time::timeout(FORM_WITHIN, form(body)).await;
    let body = body.unwrap_or_else(|_| Err(usage("The picture did not arrive in time.")))?;
    let copy = Body::from(chosen(ui, headers, &body)?.to_vec());
    let trouble = |error: std::io::Error| Failure::new(ErrorKind::System, error.to_string());
    let path = ui.uploads.receive("picture", copy).await.map_err(trouble)?;
    let change = ProfileChange {
        avatar: Some(path.display().to_string()),
        ..ProfileChange::default()
    };
    let set = ui.ask::<OwnProfile>(Command::ProfileSet(change)).await;
    ui.uploads.discard(&path);
    set.map(|_| ())
}

/// The body of a form, if it is not larger than one with a picture can be.
async fn form(body: Body) -> Result<Vec<u8>, Failure> {
    let (mut form, mut read) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| usage(&error.to_string()))?;
        read += chunk.len();
        if read <= FORM_MAX {
            form.extend_from_slice(&chunk);
        } else if read > READ_MAX {
            break;
        }
    }
    if read > FORM_MAX {
        return Err(usage("The picture is too large; a file may have 10 MB."));
    }
    Ok(form)
}

/// The file in a form of ours.
fn chosen<'a>(ui: &Ui, headers: &HeaderMap, body: &'a [u8]) -> Result<&'a [u8], Failure> {
    let kind = headers.get(header::CONTENT_TYPE);
    let boundary = kind.and_then(|kind| multipart::boundary(kind.to_str().ok()?));
    let parts = boundary.and_then(|boundary| multipart::parts(body, boundary));
    let parts = parts.ok_or_else(|| usage("The form could not be read: it is damaged."))?;
    let field = |name: &str| {
        let found = parts.iter().find(|part| part.name == name);
        found.map(|part| part.content)
    };
    let token = field("token").and_then(|token| std::str::from_utf8(token).ok());
    if !token.is_some_and(|token| ui.guard.token().matches(token)) {
        return Err(Failure::new(ErrorKind::Refused, NO_TOKEN));
    }
    let picture = field("picture").filter(|picture| !picture.is_empty());
    picture.ok_or_else(|| usage("Choose a picture first."))
}

fn usage(words: &str) -> Failure {
    Failure::new(ErrorKind::Usage, words)
}
