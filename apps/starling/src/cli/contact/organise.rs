//! `starling contact favourite|note|list-add|list-remove|lists|allow|deny`: how contacts are kept, and what each may do.

use clap::ValueEnum;
use starling_control::view::{Contact, ContactGroup};
use starling_control::{Command, Failure};

use super::{ContactCommand, OnOff, Permission, tell};
use crate::cli::client::Client;
use crate::cli::print;
use crate::cli::profile::Settings;

pub async fn run(
    command: ContactCommand,
    client: &mut Client,
    settings: &Settings,
) -> Result<(), Failure> {
    match command {
        ContactCommand::Lists => lists(client, settings).await,
        ContactCommand::Verify(verify) => super::verify::run(verify, client, settings).await,
        ContactCommand::Export { file } => super::carry::export(&file, client).await,
        ContactCommand::Import { file, message } => {
            super::carry::import(&file, &message, client, settings).await
        }
        ContactCommand::Allow { who, what } => permit(client, settings, who, (what, true)).await,
        ContactCommand::Deny { who, what } => permit(client, settings, who, (what, false)).await,
        other => keep(other, client, settings).await,
    }
}

async fn keep(
    command: ContactCommand,
    client: &mut Client,
    settings: &Settings,
) -> Result<(), Failure> {
    let command = match command {
        ContactCommand::Favourite { who, state } => {
            let on = state == OnOff::On;
            Command::ContactFavourite { who, on }
        }
        ContactCommand::Note { who, note } => Command::ContactNote { who, note },
        ContactCommand::ListAdd { who, list } => Command::ContactListAdd { who, list },
        ContactCommand::ListRemove { who, list } => Command::ContactListRemove { who, list },
        _ => return Ok(()),
    };
    let contact = client.ask(command).await?;
    tell(&contact, settings, kept);
    Ok(())
}

fn kept(name: &str, contact: &Contact) -> String {
    let favourite = if contact.favourite {
        "a favourite"
    } else {
        "no favourite"
    };
    let lists = match contact.lists.as_slice() {
        [] => "in no list".to_owned(),
        lists => format!("in {}", print::text(&lists.join(", "))),
    };
    match &contact.note {
        Some(note) => format!("{name}: {favourite}, {lists}. {}", print::text(note)),
        None => format!("{name}: {favourite}, {lists}."),
    }
}

async fn permit(
    client: &mut Client,
    settings: &Settings,
    who: String,
    (what, allowed): (Permission, bool),
) -> Result<(), Failure> {
    let name = what.to_possible_value();
    let what = name.map_or_else(String::new, |name| name.get_name().to_owned());
    let permit = Command::ContactPermit { who, what, allowed };
    let contact = client.ask(permit).await?;
    tell(&contact, settings, |name, contact| {
        match contact.denied.as_slice() {
            [] => format!("{name} may do everything a contact can."),
            denied => format!("{name} may not: {}. They are not told.", denied.join(", ")),
        }
    });
    Ok(())
}

async fn lists(client: &mut Client, settings: &Settings) -> Result<(), Failure> {
    let groups: Vec<ContactGroup> = client.ask(Command::ContactLists {}).await?;
    let contacts: Vec<Contact> = client.ask(Command::ContactList {}).await?;
    let title = |id: &String| {
        let known = contacts.iter().find(|contact| contact.id == *id);
        known.map_or_else(|| print::id(id), |contact| print::text(contact.title()))
    };
    let nothing = "There is no list yet. Make one: starling contact list-add WHO LIST";
    print::listing(&groups, settings.json, nothing, &["list", "who"], |group| {
        let members: Vec<String> = group.members.iter().map(title).collect();
        vec![print::text(&group.name), members.join(", ")]
    });
    Ok(())
}
