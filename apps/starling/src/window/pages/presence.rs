//! The own presence: how contacts see me, in words and as a form, and what the form asks.

use maud::{Markup, html};
use starling_control::view::{OwnPresence, Presence, PresenceChange, PresenceChoice, Status};
use starling_control::{Command, ErrorKind, Failure};

use super::frame::{Shell, form};
use super::words;
use crate::window::action::{Next, Plan};
use crate::window::server::Fields;

/// Class and words for the own line, where a supernode answers.
pub fn own_words(status: &Status) -> (&'static str, String) {
    let own = status.presence.clone().unwrap_or_default();
    let (class, state) = match (own.choice, own.shown) {
        (PresenceChoice::Invisible, _) => ("offline", "Invisible"),
        (_, Presence::Away) => ("away", "Away"),
        (_, Presence::DoNotDisturb) => ("busy", "Do not disturb"),
        _ => ("online", "Online"),
    };
    let mut line = state.to_owned();
    if !own.mood.is_empty() {
        line.push_str(" · ");
        line.push_str(&words::plain(&own.mood));
    }
    (class, line)
}

/// Chooses state and mood; replaced by the event stream.
pub fn chooser(shell: &Shell) -> Markup {
    let own = shell.status.presence.clone().unwrap_or_default();
    html! {
        details.own-presence id="own-presence" {
            summary { "How contacts see me" }
            (form(shell, "presence-set", "stack", fields(&own)))
        }
    }
}

fn fields(own: &OwnPresence) -> Markup {
    html! {
        label for="presence-choice" { "I am" }
        select id="presence-choice" name="choice" {
            @for choice in PresenceChoice::ALL {
                option value=(choice) selected[choice == own.choice] { (face(choice)) }
            }
        }
        label for="presence-mood" { "What I say about myself" }
        input id="presence-mood" name="mood" maxlength="100" dir="auto" autocomplete="off" value=(own.mood);
        label.tick { input type="checkbox" name="share_calls" value="yes" checked[own.share_calls]; "Contacts see that I am in a call" }
        button.quiet type="submit" { "Show me so" }
    }
}

const fn face(choice: PresenceChoice) -> &'static str {
    match choice {
        PresenceChoice::Auto => "Online, and away when I do nothing",
        PresenceChoice::Online => "Always online",
        PresenceChoice::Away => "Away",
        PresenceChoice::Dnd => "Do not disturb: calls do not ring, callers hear that I am busy",
        PresenceChoice::Invisible => "Invisible: contacts see \"offline\"",
    }
}

/// What a form asks.
pub fn read(name: &str, fields: &Fields) -> Result<Option<Plan>, Failure> {
    let command = match name {
        "presence-active" => Command::PresenceActive {},
        "presence-set" => {
            let given = fields.get("choice").map(|choice| choice.parse());
            let choice = given
                .transpose()
                .map_err(|words: String| Failure::new(ErrorKind::Usage, words))?;
            Command::PresenceSet(PresenceChange {
                choice,
                mood: fields.get("mood").cloned(),
                share_calls: Some(fields.contains_key("share_calls")),
                away_after: None,
            })
        }
        _ => return Ok(None),
    };
    let (commands, next) = (vec![command], Next::Stay("./".into()));
    Ok(Some(Plan { commands, next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn the_form_says_all_of_it_and_an_unknown_state_is_refused() {
        let given = fields(&[("choice", "dnd"), ("mood", "at work")]);
        let plan = read("presence-set", &given).unwrap().unwrap();
        let change = PresenceChange {
            choice: Some(PresenceChoice::Dnd),
            mood: Some("at work".into()),
            share_calls: Some(false),
            away_after: None,
        };
        assert_eq!(plan.commands, [Command::PresenceSet(change)]);
        assert!(read("presence-set", &fields(&[("choice", "gone")])).is_err());
    }

    #[test]
    fn the_own_line_says_the_state_in_words() {
        let shown = |choice, shown, mood: &str| {
            let presence = OwnPresence {
                choice,
                shown,
                mood: mood.into(),
                ..OwnPresence::default()
            };
            let status = Status {
                presence: Some(presence),
                ..Status::default()
            };
            own_words(&status).1
        };
        let auto = PresenceChoice::Auto;
        assert_eq!(shown(auto, Presence::Away, ""), "Away");
        assert_eq!(shown(auto, Presence::Online, "hi"), "Online · hi");
        let invisible = shown(PresenceChoice::Invisible, Presence::Offline, "");
        assert_eq!(invisible, "Invisible");
    }
}
