//! What a form asks: read into commands of the local API, and where the browser goes afterwards. The script on the page sends
//! the same forms and reads JSON: `{}`, `{"go": page}`, `{"say": words}` or `{"error": words}`.

use starling_control::command::NameWish;
use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use starling_control::command::Sound;
use starling_control::view::{CallSwitch, Switched};
use starling_control::{Command, ErrorKind, Failure};

use super::guard::{Guard, TOKEN_HEADER};
use super::pages;
use super::pages::words::{chat_href, encoded};
use super::pages::{call_settings, presence, processing, profile, sound};
use super::server::{Fields, Ui, json, json_failure, status_of};

/// Why a form without the page's token does nothing.
pub const NO_TOKEN: &str = "This form is from an earlier run of Starling. Reload the page.";

/// Commands in their order, then a page.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// What is asked of the node.
    pub commands: Vec<Command>,
    /// Where the browser goes.
    pub next: Next,
}

/// Where a browser goes after a form.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// The page shows the change by itself; without script, this page.
    Stay(String),
    /// Another page.
    Go(String),
    /// The chat with the contact that the last command answered with.
    Chat,
    /// The invitations that the last command answered with.
    Codes,
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
    let done = carry_out(ui, plan.commands).await;
    if let (true, Some(file)) = (name == "account-restore", fields.get("file")) {
        // A backup that was chosen in the browser lies here as a copy, which a wrong passphrase must not leave behind.
        ui.uploads.discard(std::path::Path::new(file.trim()));
    }
    let answer = done?;
    match plan.next {
        Next::Chat => Ok(Next::Go(chat_href(
            answer["id"].as_str().unwrap_or_default(),
        ))),
        Next::Codes => Ok(Next::Say(codes(&answer))),
        other => Ok(other),
    }
}

fn codes(answer: &Value) -> String {
    let codes = answer.as_array().into_iter().flatten();
    let codes: Vec<&str> = codes.filter_map(Value::as_str).collect();
    format!(
        "Each is good for one name; they are not shown again: {}",
        codes.join(", ")
    )
}

/// One after the other; the last one's answer.
async fn carry_out(ui: &Ui, commands: Vec<Command>) -> Result<Value, Failure> {
    let mut answer = Value::Null;
    for command in commands {
        answer = ui.ask(command).await?;
    }
    Ok(answer)
}

/// A form's fields, read one way or the other.
struct Reader<'a>(&'a Fields);

impl Reader<'_> {
    fn text(&self, field: &str) -> String {
        self.0.get(field).cloned().unwrap_or_default()
    }

    fn line(&self, field: &str) -> String {
        self.text(field).trim().to_owned()
    }

    fn some(&self, field: &str) -> Option<String> {
        Some(self.line(field)).filter(|value| !value.is_empty())
    }

    /// The page the form stands on, for a browser without script.
    fn chat(&self) -> Next {
        Next::Stay(chat_href(&self.line("who")))
    }
}

/// A form's meaning.
fn read(name: &str, fields: &Fields) -> Result<Plan, Failure> {
    let form = Reader(fields);
    let found = match name.split_once('-') {
        Some(("account" | "network" | "node" | "echo", _)) => read_profile(name, &form)?,
        Some(("device", _)) => read_device(name, &form),
        Some(("name", _)) => read_name(name, &form),
        Some(("registrar", _)) => read_registrar(name, &form),
        Some(("contact", _)) => read_contact(name, &form),
        Some(("chat" | "file", _)) => read_talk(name, &form)?,
        Some(("call", _)) => read_call(name, &form),
        Some(("presence", _)) => presence::read(name, fields)?,
        Some(("processing", _)) => processing::read(name, fields)?,
        Some(("profile", _)) => profile::read(name, fields)?,
        Some(("audio", _)) => sound::read(name, fields)?,
        _ => None,
    };
    found.ok_or_else(|| Failure::new(ErrorKind::NotFound, "There is no such page."))
}

fn one(command: Command, next: Next) -> Option<Plan> {
    let commands = vec![command];
    Some(Plan { commands, next })
}

fn read_profile(name: &str, form: &Reader<'_>) -> Result<Option<Plan>, Failure> {
    let home = || Next::Go("./".into());
    Ok(match name {
        "account-create" => Some(create(form.line("name"), form.some("source"))?),
        "account-restore" => {
            let (file, passphrase) = (form.line("file"), form.text("passphrase"));
            one(Command::AccountRestore { file, passphrase }, home())
        }
        "account-words" => Some(bring_back(form)),
        "account-recover" => one(
            Command::AccountRecover {
                words: form.text("words"),
            },
            home(),
        ),
        "account-delete" => {
            let words =
                "The account is deleted, and Starling has stopped. You can close this window.";
            let command = Command::AccountDelete {
                name: form.line("name"),
                with_network: form.some("with_network").is_some(),
            };
            one(command, Next::Say(words.into()))
        }
        "account-backup" => {
            let (passphrase, again) = (form.text("passphrase"), form.text("again"));
            Some(back_up(form.line("file"), passphrase, &again)?)
        }
        "network-join" => {
            let source = form.line("source");
            one(Command::NetworkJoin { source }, Next::Go("network".into()))
        }
        "echo-open" => one(Command::EchoOpen {}, Next::Chat),
        "node-stop" => {
            let words = "Starling has stopped. You can close this window.".into();
            one(Command::NodeStop {}, Next::Say(words))
        }
        _ => None,
    })
}

fn read_name(action: &str, form: &Reader<'_>) -> Option<Plan> {
    let (name, next) = (form.line("name"), Next::Go("names".into()));
    match action {
        "name-claim" => {
            let command = Command::NameClaim {
                name,
                invitation: form.some("invitation"),
                findable: form.some("findable").is_some(),
            };
            one(command, next)
        }
        "name-release" => one(Command::NameRelease { name }, next),
        _ => None,
    }
}

fn read_registrar(action: &str, form: &Reader<'_>) -> Option<Plan> {
    let (name, account) = (form.line("name"), form.some("account"));
    let command = match action {
        "registrar-start" => Command::RegistrarStart {
            admission: form.some("admission"),
            names_per_account: form.line("names_per_account").parse().ok(),
            take_over: form.some("take_over").is_some(),
        },
        "registrar-stop" => Command::RegistrarStop {},
        "registrar-accept" => Command::RegistrarAccept(NameWish { name, account }),
        "registrar-decline" => Command::RegistrarDecline(NameWish { name, account }),
        "registrar-invite" => {
            let count = form.line("count").parse().unwrap_or(1);
            return one(Command::RegistrarInvite { count }, Next::Codes);
        }
        _ => return None,
    };
    one(command, Next::Go("registrar".into()))
}

/// Its network first, if it is named here.
fn bring_back(form: &Reader<'_>) -> Plan {
    let join = form
        .some("source")
        .map(|source| Command::NetworkJoin { source });
    let restore = Command::AccountRestorePhrase {
        words: form.text("words"),
        anyway: form.some("anyway").is_some(),
    };
    Plan {
        commands: join.into_iter().chain([restore]).collect(),
        next: Next::Go("./".into()),
    }
}

fn read_device(name: &str, form: &Reader<'_>) -> Option<Plan> {
    let device = form.line("device");
    let command = match name {
        "device-add" => Command::DeviceAdd {
            owner: form.line("owner") == "yes",
        },
        "device-join" => Command::DeviceJoin {
            link: form.line("link"),
            name: form.some("name"),
        },
        "device-answer" => Command::DeviceAnswer {
            same: form.line("same") == "yes",
        },
        "device-rename" => Command::DeviceRename {
            device,
            name: form.line("name"),
        },
        "device-revoke" => Command::DeviceRevoke { device },
        _ => return None,
    };
    one(command, Next::Go("devices".into()))
}

fn read_contact(name: &str, form: &Reader<'_>) -> Option<Plan> {
    let (id, who) = (form.line("id"), form.line("who"));
    let home = Next::Go("./".into());
    match name {
        "contact-add" => {
            let (link, message) = (form.line("link"), form.line("message"));
            one(Command::ContactAdd { link, message }, Next::Chat)
        }
        "contact-accept" => one(Command::ContactAccept { id }, Next::Chat),
        "contact-accept-relayed" => one(Command::ContactAcceptRelayed { id }, Next::Chat),
        "contact-decline" => one(Command::ContactDecline { id }, home),
        "contact-block" => one(Command::ContactBlock { who }, home),
        "contact-remove" => one(Command::ContactRemove { who }, home),
        "contact-nickname" => {
            let (next, nickname) = (Next::Go(chat_href(&who)), form.line("nickname"));
            one(Command::ContactNickname { who, nickname }, next)
        }
        _ => read_organising(name, form),
    }
}

fn read_organising(name: &str, form: &Reader<'_>) -> Option<Plan> {
    let (who, list) = (form.line("who"), form.line("list"));
    let next = Next::Go(format!("contact?with={}", encoded(&who)));
    let command = match name {
        "contact-favourite" => {
            let on = form.line("on") == "true";
            Command::ContactFavourite { who, on }
        }
        "contact-note" => {
            let note = form.text("note").replace("\r\n", "\n");
            Command::ContactNote { who, note }
        }
        "contact-verify" => {
            let (words, code) = (form.some("words"), form.some("code"));
            Command::ContactVerify { who, words, code }
        }
        "contact-unverify" => Command::ContactUnverify { who },
        "contact-key-seen" => Command::ContactKeySeen { who },
        "contact-list-add" => Command::ContactListAdd { who, list },
        "contact-list-remove" => Command::ContactListRemove { who, list },
        "contact-permit" => {
            let (what, allowed) = (form.line("what"), form.line("allowed") == "true");
            Command::ContactPermit { who, what, allowed }
        }
        _ => return None,
    };
    one(command, next)
}

fn read_talk(name: &str, form: &Reader<'_>) -> Result<Option<Plan>, Failure> {
    let (id, who) = (form.line("id"), form.line("who"));
    let command = match name {
        "chat-send" => {
            let text = form.text("text").replace("\r\n", "\n");
            if text.trim().is_empty() {
                return Err(usage(
                    "There is nothing to send yet: write something first.",
                ));
            }
            Command::ChatSend { who, text }
        }
        "chat-read" => Command::ChatRead { who },
        "file-send" => Command::FileSend {
            who,
            path: form.line("path"),
        },
        "file-accept" => Command::FileAccept {
            id,
            to: form.some("to"),
        },
        "file-cancel" => Command::FileCancel { id },
        _ => return Ok(None),
    };
    Ok(one(command, form.chat()))
}

fn read_call(name: &str, form: &Reader<'_>) -> Option<Plan> {
    let (id, who) = (form.some("id"), form.line("who"));
    let on = form.line("on") == "true";
    let sound = Sound::default();
    let command = match name {
        "call-start" => Command::CallStart { who, sound },
        "call-answer" => Command::CallAnswer { id, sound },
        "call-hangup" => Command::CallHangup { id },
        "call-hold" => Command::CallHold { id, on },
        "call-mute" => Command::CallMute { id, on },
        "call-transfer" => return one(Command::CallTransfer { id, who }, Next::Go("./".into())),
        "call-seen" => return one(Command::CallSeen {}, Next::Go("calls".into())),
        "call-set" => return Some(call_settings::read(form.0)),
        "call-deafen" => Command::CallSwitch(CallSwitch::of(id, Switched::Deafen, on)),
        "call-talk" => Command::CallSwitch(CallSwitch::of(id, Switched::Talk, on)),
        _ => return None,
    };
    one(command, form.chat())
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

fn back_up(file: String, passphrase: String, again: &str) -> Result<Plan, Failure> {
    if passphrase != again {
        return Err(usage(
            "The two passphrases differ. Enter the same one twice.",
        ));
    }
    let next = Next::Say(format!(
        "The backup was written to {file}. Keep it on another device."
    ));
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
        Next::Stay(_) | Next::Chat | Next::Codes => serde_json::json!({}),
    })
}

fn next_page(next: Next) -> Response {
    match next {
        Next::Go(page) | Next::Stay(page) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response()
        }
        Next::Say(words) => pages::words_page(StatusCode::OK, &words),
        Next::Chat | Next::Codes => {
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
    fn a_name_is_asked_for_as_it_was_typed() {
        let form = [("name", " alice "), ("invitation", ""), ("findable", "yes")];
        let plan = read("name-claim", &fields(&form)).unwrap();
        let claim = Command::NameClaim {
            name: "alice".into(),
            invitation: None,
            findable: true,
        };
        assert_eq!(plan.commands, [claim]);
        assert!(read("name-sell", &fields(&form)).is_err());
    }

    #[test]
    fn words_bring_an_account_back_after_its_network_was_joined() {
        let form = [
            ("words", "abandon art"),
            ("source", "starling:x"),
            ("anyway", "yes"),
        ];
        let plan = read("account-words", &fields(&form)).unwrap();
        let restore = Command::AccountRestorePhrase {
            words: "abandon art".into(),
            anyway: true,
        };
        let join = Command::NetworkJoin {
            source: "starling:x".into(),
        };
        assert_eq!(plan.commands, [join, restore]);
        let plan = read("account-words", &fields(&form[..1])).unwrap();
        assert!(matches!(
            plan.commands[..],
            [Command::AccountRestorePhrase { anyway: false, .. }]
        ));
    }

    #[test]
    fn passphrases_are_compared_and_unknown_forms_refused() {
        let typo = fields(&[("file", "/b"), ("passphrase", "one"), ("again", "two")]);
        assert!(read("account-backup", &typo).is_err());
        assert!(read("make-tea", &Fields::new()).is_err());
    }
}
