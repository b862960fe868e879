//! Contacts carried elsewhere: the file to keep, and one that is taken in after a look at what is in it.

use std::sync::Arc;

use axum::extract::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use starling_control::view::{CarriedContact, Imported};
use starling_control::{Command, Failure};

use super::account::text_file;
use super::frame::{Looking, Shell};
use super::{answer, failure_page, shell, words, words_page};
use crate::carried;
use crate::window::action::{self, carries_token};
use crate::window::server::{Fields, Ui};

/// Characters of the request that goes to each.
const MESSAGE_MAX: usize = 500;

/// The lines of a form: contacts, and what is wrong with the others.
#[derive(Default)]
struct Lines {
    contacts: Vec<CarriedContact>,
    wrong: Vec<String>,
}

/// What became of them.
#[derive(Default)]
struct Taken {
    asked: usize,
    kept: usize,
    wrong: Vec<String>,
    /// Not looked at: no more may be asked at the moment.
    left: usize,
}

/// What can be done.
pub fn page(shell: &Shell) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Carry contacts" } }
            h2 { "Keep them in a file" }
            p { "The file has a line for each contact: their link, your name for them, lists and notes. It has no secrets of yours, but says whom you know." }
            p { a.primary href="contacts.jsonl" download="contacts.jsonl" { "Download the file" } }
            h2 { "Take contacts in" }
            (choose(shell))
        }
    }
}

fn choose(shell: &Shell) -> Markup {
    html! {
        form.stack method="post" action="contacts-look" data-plain {
            input type="hidden" name="token" value=(shell.token);
            label for="contacts" { "The file's text" }
            textarea id="contacts" name="contacts" rows="6" required maxlength="200000" spellcheck="false" {}
            (text_file("contacts"))
            p.hint { "A larger file is for the command line: starling contact import FILE" }
            button.primary type="submit" { "Look at it" }
        }
    }
}

/// The file.
pub async fn download(ui: &Ui) -> Response {
    let contacts: Result<Vec<CarriedContact>, Failure> = ui.ask(Command::ContactExport {}).await;
    let contacts = match contacts {
        Ok(contacts) => contacts,
        Err(failure) => return failure_page(&failure),
    };
    let Ok(text) = contacts
        .iter()
        .map(carried::written)
        .collect::<Result<String, _>>()
    else {
        return words_page(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The file could not be made.",
        );
    };
    let kind = (header::CONTENT_TYPE, "application/jsonl; charset=utf-8");
    let name = "attachment; filename=\"contacts.jsonl\"";
    ([kind, (header::CONTENT_DISPOSITION, name)], text).into_response()
}

/// Shows what is in a file, and asks.
pub async fn look(
    State(ui): State<Arc<Ui>>,
    headers: HeaderMap,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let fields = match checked(&ui, &headers, form) {
        Ok(fields) => fields,
        Err(response) => return *response,
    };
    let text = fields.get("contacts").cloned().unwrap_or_default();
    match shell(&ui).await {
        Ok(shell) => {
            let main = preview(&shell, &text, &lines(&text));
            answer(&shell, &Looking::at("carry"), "Carry contacts", main)
        }
        Err(failure) => failure_page(&failure),
    }
}

/// Takes them in, as many as may be asked now.
pub async fn take(
    State(ui): State<Arc<Ui>>,
    headers: HeaderMap,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let fields = match checked(&ui, &headers, form) {
        Ok(fields) => fields,
        Err(response) => return *response,
    };
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let (contacts, message) = (text("contacts"), text("message"));
    let taken = take_in(&ui, lines(&contacts), message.trim()).await;
    match shell(&ui).await {
        Ok(shell) => {
            let main = outcome(&shell, &contacts, message.trim(), &taken);
            answer(&shell, &Looking::at("carry"), "Carry contacts", main)
        }
        Err(failure) => failure_page(&failure),
    }
}

fn checked(
    ui: &Ui,
    headers: &HeaderMap,
    form: Result<Form<Fields>, FormRejection>,
) -> Result<Fields, Box<Response>> {
    let unread = "The file is too large for the window. Use: starling contact import FILE";
    let Ok(Form(fields)) = form else {
        return Err(Box::new(words_page(StatusCode::BAD_REQUEST, unread)));
    };
    if !carries_token(&ui.guard, headers, &fields) {
        return Err(Box::new(words_page(
            StatusCode::FORBIDDEN,
            action::NO_TOKEN,
        )));
    }
    Ok(fields)
}

fn lines(text: &str) -> Lines {
    let mut lines = Lines::default();
    for (index, line) in text.lines().enumerate() {
        match carried::read(line.as_bytes(), index + 1) {
            Ok(contact) => lines.contacts.extend(contact),
            Err(failure) => lines
                .wrong
                .push(format!("line {}: {}", index + 1, failure.message)),
        }
    }
    lines
}

async fn take_in(ui: &Ui, lines: Lines, message: &str) -> Taken {
    let mut taken = Taken {
        wrong: lines.wrong,
        ..Taken::default()
    };
    let count = lines.contacts.len();
    for (index, contact) in lines.contacts.into_iter().enumerate() {
        let name = contact.name.clone();
        let message = message.chars().take(MESSAGE_MAX).collect();
        match ui.ask(Command::ContactImport { contact, message }).await {
            Ok(Imported::Asked) => taken.asked += 1,
            Ok(Imported::Kept | Imported::AskedBefore | Imported::Own) => taken.kept += 1,
            Ok(Imported::Wait) => {
                taken.left = count - index;
                break;
            }
            Err(failure) => taken.wrong.push(format!("{name}: {}", failure.message)),
        }
    }
    taken
}

fn preview(shell: &Shell, text: &str, lines: &Lines) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Carry contacts" } }
            @if lines.contacts.is_empty() {
                p role="status" { "There is no contact in it." }
            } @else {
                h2 { "In the file: " (lines.contacts.len()) }
                ul.contacts aria-label="In the file" {
                    @for contact in &lines.contacts { li { (words::name(title(contact))) } }
                }
                p { "Who is a contact already keeps what you have, and gets the lists and notes of the file. Everybody else is sent a request." }
                (confirm(shell, text, ""))
            }
            (complaints(&lines.wrong))
            p { a href="carry" { "Another file" } }
        }
    }
}

fn title(contact: &CarriedContact) -> &str {
    let nickname = contact.nickname.as_deref();
    match nickname.unwrap_or(&contact.name) {
        "" => &contact.link,
        name => name,
    }
}

fn confirm(shell: &Shell, text: &str, message: &str) -> Markup {
    html! {
        form.stack method="post" action="contacts-take" data-plain {
            input type="hidden" name="token" value=(shell.token);
            input type="hidden" name="contacts" value=(text);
            label for="message" { "A few words to those who are asked" }
            textarea id="message" name="message" rows="2" maxlength=(MESSAGE_MAX) dir="auto" { (message) }
            button.primary type="submit" { "Take them in" }
        }
    }
}

fn outcome(shell: &Shell, text: &str, message: &str, taken: &Taken) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Carry contacts" } }
            p role="status" {
                (taken.asked) " asked now, " (taken.kept) " known already or asked before."
                @if taken.left > 0 { " " (taken.left) " wait, because nobody may ask so many at once: take them in again in a few minutes." }
            }
            @if taken.left > 0 { (confirm(shell, text, message)) }
            (complaints(&taken.wrong))
            p { a href="./" { "To your contacts" } }
        }
    }
}

fn complaints(wrong: &[String]) -> Markup {
    html! {
        @if !wrong.is_empty() {
            h2 { "Not taken" }
            ul.warnings { @for one in wrong { li { (words::plain(one)) } } }
        }
    }
}
