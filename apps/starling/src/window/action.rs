//! What a form asks: read into commands of the local API, and where the browser goes afterwards. The script on the page sends
//! the same forms and reads JSON: `{}`, `{"go": page}`, `{"say": words}` or `{"error": words}`.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use starling_control::command::Sound;
use starling_control::{Command, ErrorKind, Failure};

use super::guard::{Guard, TOKEN_HEADER};
use super::pages;
use super::pages::words::chat_href;
use super::server::{Fields, Ui, json, json_failure, status_of};

/// Why a form without the page's token does nothing.
pub const NO_TOKEN: &str = "This form is from an earlier run of Starling. Reload the page.";

/// Commands in their order, then a page.
#[derive(Debug, PartialEq)]
struct Plan {
    commands: Vec<Command>,
    next: Next,
}

#[derive(Debug, PartialEq)]
enum Next {
    /// The page shows the change by itself; without script, this page.
    Stay(String),
    /// Another page.
    Go(String),
    /// The chat with the contact that the last command answered with.
    Chat,
    /// Words, nothing else.
    Say(String),
}

/// Does what a form asks.
pub async fn act(
    State(ui): State<Arc<Ui>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let scripted = headers.contains_key(TOKEN_HEADER);
    let outcome = match form {
        Err(_) => Err(usage(
            "The form could not be read: it is too large or damaged.",
        )),
        Ok(Form(fields)) if !carries_token(&ui.guard, &headers, &fields) => {
            Err(Failure::new(ErrorKind::Refused, NO_TOKEN))
        }
        Ok(Form(fields)) => run(&ui, &name, &fields).await,
    };
    match (outcome, scripted) {
        (Ok(next), true) => next_json(next),
        (Ok(next), false) => next_page(next),
        (Err(failure), true) => json_failure(status_of(&failure), &failure.to_string()),
        (Err(failure), false) => pages::words_page(status_of(&failure), &failure.to_string()),
    }
}

/// Whether our own page sent this form.
pub fn carries_token(guard: &Guard, headers: &HeaderMap, fields: &Fields) -> bool {
    let in_header = headers.get(TOKEN_HEADER).and_then(|v| v.to_str().ok());
    let given = in_header.or(fields.get("token").map(String::as_str));
    given.is_some_and(|given| guard.token().matches(given))
}

async fn run(ui: &Ui, name: &str, fields: &Fields) -> Result<Next, Failure> {
    let plan = read(name, fields)?;
    let mut answer = Value::Null;
    for command in plan.commands {
        answer = ui.ask(command).await?;
    }
    match plan.next {
        Next::Chat => Ok(Next::Go(chat_href(
            answer["id"].as_str().unwrap_or_default(),
        ))),
        other => Ok(other),
    }
}

/// A form's meaning.
fn read(name: &str, fields: &Fields) -> Result<Plan, Failure> {
    let text = |field: &str| fields.get(field).cloned().unwrap_or_default();
    let line = |field: &str| text(field).trim().to_owned();
    let some = |field: &str| Some(line(field)).filter(|value| !value.is_empty());
    let chat = || Next::Stay(chat_href(&line("who")));
    let (id, who) = (line("id"), line("who"));
    let one = |command: Command, next: Next| {
        let commands = vec![command];
        Ok(Plan { commands, next })
    };
    match name {
        "account-create" => create(line("name"), some("source")),
        "account-restore" => one(
            Command::AccountRestore {
                file: line("file"),
                passphrase: text("passphrase"),
            },
            Next::Go("./".into()),
        ),
        "account-backup" => back_up(line("file"), &text("passphrase"), &text("again")),
        "network-join" => one(
            Command::NetworkJoin {
                source: line("source"),
            },
            Next::Go("network".into()),
        ),
        "contact-add" => one(
            Command::ContactAdd {
                link: line("link"),
                message: line("message"),
            },
            Next::Chat,
        ),
        "contact-accept" => one(Command::ContactAccept { id }, Next::Chat),
        "contact-decline" => one(Command::ContactDecline { id }, Next::Go("./".into())),
        "contact-block" => one(Command::ContactBlock { who }, Next::Go("./".into())),
        "contact-remove" => one(Command::ContactRemove { who }, Next::Go("./".into())),
        "contact-nickname" => {
            let next = Next::Go(chat_href(&who));
            one(
                Command::ContactNickname {
                    who,
                    nickname: line("nickname"),
                },
                next,
            )
        }
        "echo-open" => one(Command::EchoOpen {}, Next::Chat),
        "chat-send" => {
            let text = text("text");
            if text.trim().is_empty() {
                return Err(usage(
                    "There is nothing to send yet: write something first.",
                ));
            }
            one(
                Command::ChatSend {
                    who,
                    text: text.replace("\r\n", "\n"),
                },
                chat(),
            )
        }
        "chat-read" => one(Command::ChatRead { who }, chat()),
        "file-send" => one(
            Command::FileSend {
                who,
                path: line("path"),
            },
            chat(),
        ),
        "file-accept" => {
            let to = some("to");
            one(Command::FileAccept { id, to }, chat())
        }
        "file-cancel" => one(Command::FileCancel { id }, chat()),
        "node-stop" => one(
            Command::NodeStop {},
            Next::Say("Starling has stopped. You can close this window.".into()),
        ),
        _ => read_call(name, fields),
    }
}

fn read_call(name: &str, fields: &Fields) -> Result<Plan, Failure> {
    let who = fields.get("who").cloned().unwrap_or_default();
    let id = fields.get("id").cloned();
    let on = fields.get("on").is_some_and(|on| on == "true");
    let next = Next::Stay(chat_href(&who));
    let sound = Sound::default();
    let command = match name {
        "call-start" => Command::CallStart { who, sound },
        "call-answer" => Command::CallAnswer { id, sound },
        "call-hangup" => Command::CallHangup { id },
        "call-hold" => Command::CallHold { id, on },
        "call-mute" => Command::CallMute { id, on },
        _ => return Err(Failure::new(ErrorKind::NotFound, "There is no such page.")),
    };
    let commands = vec![command];
    Ok(Plan { commands, next })
}

fn create(name: String, source: Option<String>) -> Result<Plan, Failure> {
    if name.is_empty() {
        return Err(usage("Enter the name your contacts will see."));
    }
    let mut commands = vec![Command::AccountCreate { name }];
    commands.extend(source.map(|source| Command::NetworkJoin { source }));
    let next = Next::Go("./".into());
    Ok(Plan { commands, next })
}

fn back_up(file: String, passphrase: &str, again: &str) -> Result<Plan, Failure> {
    if passphrase != again {
        return Err(usage(
            "The two passphrases differ. Enter the same one twice.",
        ));
    }
    let next = Next::Say(format!(
        "The backup was written to {file}. Keep it on another device."
    ));
    let passphrase = passphrase.to_owned();
    let commands = vec![Command::AccountBackup { file, passphrase }];
    Ok(Plan { commands, next })
}

fn usage(words: &str) -> Failure {
    Failure::new(ErrorKind::Usage, words)
}

fn next_json(next: Next) -> Response {
    json(&match next {
        Next::Go(page) => serde_json::json!({ "go": page }),
        Next::Say(words) => serde_json::json!({ "say": words }),
        Next::Stay(_) | Next::Chat => serde_json::json!({}),
    })
}

fn next_page(next: Next) -> Response {
    match next {
        Next::Go(page) | Next::Stay(page) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response()
        }
        Next::Say(words) => pages::words_page(StatusCode::OK, &words),
        Next::Chat => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, "./".to_owned())]).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    #[test]
    fn a_message_keeps_its_lines_and_an_empty_one_is_not_sent() {
        let plan = read(
            "chat-send",
            &fields(&[("who", "b0b"), ("text", " a\r\nb ")]),
        )
        .unwrap();
        let send = Command::ChatSend {
            who: "b0b".into(),
            text: " a\nb ".into(),
        };
        assert_eq!(plan.commands, [send]);
        assert!(read("chat-send", &fields(&[("who", "b0b"), ("text", " \n ")])).is_err());
    }

    #[test]
    fn creating_an_account_joins_a_network_only_if_one_was_given() {
        let plan = read(
            "account-create",
            &fields(&[("name", " Alice "), ("source", " ")]),
        )
        .unwrap();
        assert_eq!(
            plan.commands,
            [Command::AccountCreate {
                name: "Alice".into()
            }]
        );
        let plan = read(
            "account-create",
            &fields(&[("name", "Alice"), ("source", "starling:x")]),
        );
        assert_eq!(plan.unwrap().commands.len(), 2);
        assert!(read("account-create", &fields(&[])).is_err());
    }

    #[test]
    fn passphrases_are_compared_and_unknown_forms_refused() {
        let typo = fields(&[("file", "/b"), ("passphrase", "one"), ("again", "two")]);
        assert!(read("account-backup", &typo).is_err());
        assert!(read("make-tea", &Fields::new()).is_err());
    }
}
