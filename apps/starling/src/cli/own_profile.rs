//! `starling profile`: what you show beside presence, and what contacts show.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use starling_control::view::{ProfilePart, Visibility};
use starling_control::{Command, ErrorKind, Failure, view};

use super::profile::{self, Settings};
use super::{Outcome, launch, print};

#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// What you show and to whom, or what WHO shows
    Show {
        /// One of your contacts
        #[arg(value_name = "WHO")]
        who: Option<String>,
    },
    /// Change your name, your text, your picture, or who sees them
    Set(SetArgs),
}

#[derive(Debug, Args)]
pub struct SetArgs {
    /// Your display name, at most 128 bytes
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// About you, at most 500 characters; empty removes it
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// Your picture: a JPEG, PNG or WebP file of 10 MB at most. It is cut to a square and made small; nothing but its pixels is shown
    #[arg(long, value_name = "FILE", conflicts_with = "no_avatar")]
    avatar: Option<PathBuf>,
    /// Remove your picture
    #[arg(long)]
    no_avatar: bool,
    /// Who sees a part: name, mood, about or avatar, for contacts, network (contacts, and whoever you ask) or nobody
    #[arg(long, value_name = "PART=WHO", value_parser = part_and_visibility)]
    visibility: Vec<(ProfilePart, Visibility)>,
}

fn part_and_visibility(text: &str) -> Result<(ProfilePart, Visibility), String> {
    let (part, visibility) = text
        .split_once('=')
        .ok_or("write it as about=contacts, avatar=nobody, ...")?;
    Ok((part.parse()?, visibility.parse()?))
}

pub async fn run(command: ProfileCommand, settings: &Settings) -> Outcome {
    match command {
        ProfileCommand::Show { who: None } => {
            show_own(
                &launch::ask(settings, Command::ProfileShow {}).await?,
                settings,
            );
            Ok(())
        }
        ProfileCommand::Show { who: Some(who) } => show(who, settings).await,
        ProfileCommand::Set(args) => set(args, settings).await,
    }
}

async fn set(args: SetArgs, settings: &Settings) -> Outcome {
    let file = args.avatar.as_deref().map(profile::absolute).transpose()?;
    let file = file.map(|file| file.display().to_string());
    let change = view::ProfileChange {
        name: args.name,
        about: args.about,
        avatar: file.or(args.no_avatar.then(String::new)),
        visibility: BTreeMap::from_iter(args.visibility),
    };
    if change == view::ProfileChange::default() {
        let sentence = "say what is to change; `starling profile show` shows how it is";
        return Err(Failure::new(ErrorKind::Usage, sentence));
    }
    let own = launch::ask(settings, Command::ProfileSet(change)).await?;
    show_own(&own, settings);
    Ok(())
}

async fn show(who: String, settings: &Settings) -> Outcome {
    let command = Command::PresenceOf { who };
    let contact: view::Contact = launch::ask(settings, command).await?;
    if settings.json {
        print::json(&contact);
        return Ok(());
    }
    let lines = [
        ("name", contact.name.as_str()),
        ("mood", &contact.mood),
        ("about", &contact.shows.about),
        ("picture", picture(contact.shows.avatar.as_deref())),
    ];
    for (part, text) in lines {
        print::line(&format!("{part:<8}  {}", print::text(text)));
    }
    Ok(())
}

fn show_own(own: &view::OwnProfile, settings: &Settings) {
    if settings.json {
        print::json(own);
        return;
    }
    for part in ProfilePart::ALL {
        let text = match part {
            ProfilePart::Name => &own.name,
            ProfilePart::Mood => &own.mood,
            ProfilePart::About => &own.about,
            ProfilePart::Avatar => picture(own.avatar.as_deref()),
        };
        let visibility = own.visibility.get(&part).copied().unwrap_or_default();
        let seen = format!("{} ({})", part.word(), visibility.words());
        print::line(&format!("{seen:<36}  {}", print::text(text)));
    }
}

const fn picture(avatar: Option<&str>) -> &str {
    match avatar {
        Some(_) => "yes",
        None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sees_a_part_is_written_as_one_word() {
        let parsed = part_and_visibility("about=nobody");
        assert_eq!(parsed, Ok((ProfilePart::About, Visibility::Nobody)));
        for wrong in ["about", "about=friends", "face=nobody", "=", ""] {
            assert!(part_and_visibility(wrong).is_err(), "{wrong}");
        }
    }
}
