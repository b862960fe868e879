//! `starling contact`: links, requests, people. Also `starling echo`, the contact that everybody has.

mod carry;
mod organise;
mod verify;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use starling_control::view::{Contact, ContactRequest, LinkPreview, OwnLink, Relation};
use starling_control::{Command, Failure};

use super::client::Client;
use super::profile::Settings;
use super::{Outcome, launch, print};

#[derive(Debug, Subcommand)]
pub enum ContactCommand {
    /// Your own link, for others to add you by
    Link,
    /// What a link leads to; changes nothing, asks nobody
    Preview {
        /// Begins with "starling:"
        link: String,
    },
    /// Send a contact request to the person a link leads to, or who has a unique name
    Add {
        /// Begins with "starling:", or a unique name
        link: String,
        /// A few words that go with the request
        #[arg(long, value_name = "TEXT", default_value = "")]
        message: String,
    },
    /// Everybody, and who is there
    List,
    /// Who asks to be your contact
    Requests,
    /// Say yes to a request
    Accept {
        /// Account id, its beginning, or the name
        id: String,
        /// Through relays only: they never learn your address
        #[arg(long)]
        relay: bool,
    },
    /// Say no to a request; they are not told
    Decline {
        /// Account id, its beginning, or the name
        id: String,
    },
    /// Remove a contact; they are not told
    Remove {
        /// Contact
        who: String,
    },
    /// Block a contact, or somebody who asked; they are not told
    Block {
        /// Contact, or who asked
        who: String,
    },
    /// Your own name for a contact; an empty one removes it
    Nickname {
        /// Contact
        who: String,
        /// At most 128 bytes
        nickname: String,
    },
    /// Whether a contact is reached through relays only, and so never learns your address
    Relay {
        /// Contact
        who: String,
        /// always, or auto: directly where that succeeds
        when: When,
    },
    /// Show a contact among the first
    Favourite {
        /// Contact
        who: String,
        /// on or off
        #[arg(default_value = "on")]
        state: OnOff,
    },
    /// Your own words about a contact; empty ones remove them
    Note {
        /// Contact
        who: String,
        /// At most 4 KiB
        note: String,
    },
    /// Put a contact into a list; the first one makes the list
    ListAdd {
        /// Contact
        who: String,
        /// The list's name
        list: String,
    },
    /// Take a contact out of a list
    ListRemove {
        /// Contact
        who: String,
        /// The list's name
        list: String,
    },
    /// Your lists and who is in them
    Lists,
    /// Write your contacts into a file, without secrets
    Export {
        /// Must not exist
        file: PathBuf,
    },
    /// Take contacts from such a file: whoever is none yet is asked
    Import {
        /// As written by export
        file: PathBuf,
        /// A few words that go with each request
        #[arg(long, value_name = "TEXT", default_value = "")]
        message: String,
    },
    /// Safety words: compare them and you know that nobody stands between you
    Verify(verify::Verify),
    /// Let a contact do something
    Allow {
        /// Contact
        who: String,
        /// What
        what: Permission,
    },
    /// Do not let a contact do something; they are not told
    Deny {
        /// Contact
        who: String,
        /// What
        what: Permission,
    },
    /// The same for everybody
    RelayEverybody {
        /// always, or auto: as chosen for each
        when: When,
    },
}

/// Something a contact may do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Permission {
    /// Ring here
    Call,
    /// Write
    Chat,
    /// Offer files
    Files,
    /// See whether you are there
    Presence,
    /// Reach you directly, and so learn your addresses
    Direct,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    On,
    Off,
}

/// When connections are relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Always,
    Auto,
}

pub async fn run(command: ContactCommand, settings: &Settings) -> Outcome {
    let mut client = launch::client(settings).await?;
    match command {
        ContactCommand::Link => link(&client.ask(Command::ContactLink {}).await?, settings),
        ContactCommand::Preview { link } => preview(
            &client.ask(Command::ContactPreview { link }).await?,
            settings,
        ),
        ContactCommand::Add { link, message } => {
            let contact = client.ask(Command::ContactAdd { link, message }).await?;
            tell(&contact, settings, |name, contact| match contact.relation {
                Relation::Requested => format!("Your request to {name} is on its way."),
                _ => format!("{name} is your contact."),
            });
        }
        ContactCommand::List => list(&mut client, settings).await?,
        ContactCommand::Requests => requests(&mut client, settings).await?,
        ContactCommand::Accept { id, relay } => {
            let command = match relay {
                true => Command::ContactAcceptRelayed { id },
                false => Command::ContactAccept { id },
            };
            tell(&client.ask(command).await?, settings, accepted);
        }
        ContactCommand::Decline { id } => {
            client.call(Command::ContactDecline { id }).await?;
            print::say("Declined.");
        }
        ContactCommand::Remove { who } => {
            client.call(Command::ContactRemove { who }).await?;
            print::say("Removed.");
        }
        ContactCommand::Block { who } => {
            client.call(Command::ContactBlock { who }).await?;
            print::say("Blocked.");
        }
        ContactCommand::Relay { who, when } => {
            let always = when == When::Always;
            let contact = client.ask(Command::ContactRelay { who, always }).await?;
            tell(&contact, settings, reached);
        }
        ContactCommand::RelayEverybody { when } => {
            let always = when == When::Always;
            client
                .call(Command::ContactRelayEverybody { always })
                .await?;
            print::say("Done.");
        }
        ContactCommand::Nickname { who, nickname } => {
            let contact = client
                .ask(Command::ContactNickname { who, nickname })
                .await?;
            tell(&contact, settings, |name, _| {
                format!("Shown as {name} from now on.")
            });
        }
        other => organise::run(other, &mut client, settings).await?,
    }
    Ok(())
}

fn accepted(name: &str, contact: &Contact) -> String {
    if contact.always_relay {
        return format!(
            "{name} is your contact now, through relays only: they do not learn your address."
        );
    }
    format!(
        "{name} is your contact now. In calls and transfers their device learns all network addresses of this machine, also behind a \
         VPN. To keep them to yourself: starling contact relay {name} always"
    )
}

fn reached(name: &str, contact: &Contact) -> String {
    if contact.always_relay {
        format!("{name} is reached through relays only and does not learn your address.")
    } else {
        format!("{name} is reached directly where that succeeds.")
    }
}

/// `starling echo`
pub async fn echo(settings: &Settings) -> Outcome {
    let contact = launch::ask(settings, Command::EchoOpen {}).await?;
    tell(&contact, settings, |name, _| {
        format!(
            "{name} is there for five minutes. Try: starling call echo, starling chat send echo hello"
        )
    });
    Ok(())
}

fn tell(contact: &Contact, settings: &Settings, words: impl FnOnce(&str, &Contact) -> String) {
    if settings.json {
        return print::json(contact);
    }
    print::say(&words(&print::text(contact.title()), contact));
}

fn link(own: &OwnLink, settings: &Settings) {
    if settings.json {
        return print::json(own);
    }
    for warning in &own.warnings {
        print::say(&print::text(warning));
    }
    if let Some(drawn) = print::qr(&own.link) {
        print::line(&drawn);
    }
    print::line(&own.link);
}

fn preview(preview: &LinkPreview, settings: &Settings) {
    if settings.json {
        return print::json(preview);
    }
    let relation = match preview.relation.as_str() {
        "own" => "this is your own link",
        "contact" => "already your contact",
        "requested" => "you asked already; no answer yet",
        "blocked" => "blocked by you",
        _ => "nobody you know",
    };
    if let Some(account) = &preview.account {
        print::line(&format!(
            "account     {} ({relation})",
            print::text(account)
        ));
    }
    if let Some(network) = &preview.network {
        print::line(&format!("network     {}", print::text(network)));
    }
    for supernode in &preview.supernodes {
        print::line(&format!("supernode   {}", print::text(supernode)));
    }
}

async fn list(client: &mut Client, settings: &Settings) -> Result<(), Failure> {
    let contacts: Vec<Contact> = client.ask(Command::ContactList {}).await?;
    let head = ["id", "name", "own name", "there", "unread", "last"];
    let nothing =
        "You have no contacts yet. Your link: starling contact link. The sound test: starling echo";
    print::listing(&contacts, settings.json, nothing, &head, |contact| {
        vec![
            print::id(&contact.id),
            print::text(contact.title()),
            print::text(if contact.nickname.is_some() {
                &contact.name
            } else {
                ""
            }),
            standing(contact).to_owned(),
            if contact.unread > 0 {
                contact.unread.to_string()
            } else {
                String::new()
            },
            contact.last.last_at.map(print::time).unwrap_or_default(),
        ]
    });
    Ok(())
}

/// How somebody stands to you, and how they are there.
pub fn standing(contact: &Contact) -> &'static str {
    match (contact.relation, contact.presence) {
        (Relation::Requested, _) => "asked",
        (Relation::Blocked, _) => "blocked",
        (Relation::Ended, _) => "has deleted this account",
        (Relation::Removed, _) => "removed",
        (Relation::Contact, presence) => presence.words(),
    }
}

async fn requests(client: &mut Client, settings: &Settings) -> Result<(), Failure> {
    let requests: Vec<ContactRequest> = client.ask(Command::ContactRequests {}).await?;
    let head = ["id", "calls themselves", "came", "message"];
    print::listing(&requests, settings.json, "Nobody asks.", &head, |request| {
        vec![
            print::id(&request.id),
            print::text(&request.name),
            print::time(request.at),
            print::text(&request.message),
        ]
    });
    Ok(())
}
