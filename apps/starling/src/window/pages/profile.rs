//! What I show and to whom: name, text, picture; and what the forms ask.

use std::collections::BTreeMap;

use maud::{Markup, html};
use starling_control::view::{
    ContactRequest, OwnProfile, ProfileChange, ProfilePart, ShownProfile, Visibility,
};
use starling_control::{Command, ErrorKind, Failure};

use super::frame::{Shell, button, form};
use super::{side, words};
use crate::window::action::{Next, Plan};
use crate::window::server::Fields;

/// The page.
pub fn page(shell: &Shell, own: &OwnProfile) -> Markup {
    let account = shell.status.account.clone().unwrap_or_default();
    let picture = own
        .avatar
        .as_deref()
        .map(|label| side::Picture { who: None, label });
    html! {
        article.sheet {
            header.person {
                (side::face(&account.id, &own.name, picture.as_ref()))
                div { h1 { "Your profile" } p.line { "What others see of you, besides whether you are there" } }
            }
            (form(shell, "profile-set", "stack", texts(own)))
            h2 { "Picture" }
            p.line { @if own.avatar.is_some() { "A picture is set." } @else { "No picture is set." } }
            (pick(shell))
            @if own.avatar.is_some() {
                (button(shell, "profile-set", &[("avatar", "")], "quiet danger", html! { "Remove the picture" }))
            }
            p.hint {
                "It is cut to a square and made small here, and nothing but its pixels is sent: not where and when it was taken. "
                "Whoever was shown something may keep it, also when you take it back."
            }
        }
    }
}

fn texts(own: &OwnProfile) -> Markup {
    html! {
        (was("name", &own.name))
        (was("about", &own.about))
        label for="profile-name" { "Name" }
        input id="profile-name" name="name" required maxlength="128" dir="auto" autocomplete="off" value=(own.name);
        (seen(own, ProfilePart::Name, "Who sees the name"))
        (seen(own, ProfilePart::Mood, "Who sees what you say about yourself at the moment"))
        label for="profile-about" { "About you" }
        textarea id="profile-about" name="about" rows="5" maxlength="500" dir="auto" { (own.about) }
        (seen(own, ProfilePart::About, "Who sees the text"))
        (seen(own, ProfilePart::Avatar, "Who sees the picture"))
        button.primary type="submit" { "Save" }
    }
}

fn seen(own: &OwnProfile, part: ProfilePart, label: &str) -> Markup {
    let chosen = own.visibility.get(&part).copied().unwrap_or_default();
    let id = format!("profile-sees-{}", part.word());
    html! {
        (was(&format!("sees-{}", part.word()), chosen.word()))
        label for=(id) { (label) }
        select id=(id) name={ "sees-" (part.word()) } {
            @for one in Visibility::ALL { option value=(one) selected[one == chosen] { (one.words()) } }
        }
    }
}

/// What a field showed: only what differs from it is asked, so that an old form takes back nothing.
fn was(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name={ "was-" (name) } value=(value); }
}

/// A form with a file: the browser sends it itself.
fn pick(shell: &Shell) -> Markup {
    html! {
        form.stack method="post" action="profile-picture" enctype="multipart/form-data" data-plain="yes" {
            input type="hidden" name="token" value=(shell.token);
            label for="profile-picture" { "A JPEG, PNG or WebP file of 10 MB at most" }
            input id="profile-picture" name="picture" type="file" required accept="image/jpeg,image/png,image/webp";
            button.quiet type="submit" { "Use this picture" }
        }
    }
}

/// What somebody says about themselves, on their page.
pub fn about(shown: &ShownProfile) -> Markup {
    html! {
        @if !shown.about.is_empty() {
            h2 { "About them, in their own words" }
            blockquote.message dir="auto" { (shown.about) }
        }
    }
}

/// What somebody who asks shows.
pub fn introduction(request: &ContactRequest) -> Markup {
    html! {
        @if !request.mood.is_empty() { p.mood dir="auto" { (words::plain(&request.mood)) } }
        (about(&request.shows))
    }
}

/// What a form asks.
pub fn read(name: &str, fields: &Fields) -> Result<Option<Plan>, Failure> {
    if name != "profile-set" {
        return Ok(None);
    }
    let mut visibility = BTreeMap::new();
    for part in ProfilePart::ALL {
        if let Some(word) = changed(fields, &format!("sees-{}", part.word())) {
            let chosen = word.parse();
            let chosen = chosen.map_err(|words: String| Failure::new(ErrorKind::Usage, words))?;
            visibility.insert(part, chosen);
        }
    }
    let change = ProfileChange {
        name: changed(fields, "name"),
        about: changed(fields, "about"),
        // A page names no file of this machine.
        avatar: fields.contains_key("avatar").then(String::new),
        visibility,
    };
    Ok(Some(Plan {
        commands: vec![Command::ProfileSet(change)],
        next: Next::Go("profile".into()),
    }))
}

/// What a field says, if that is not what it showed.
fn changed(fields: &Fields, name: &str) -> Option<String> {
    let lines = |text: &String| text.replace("\r\n", "\n");
    let said = fields.get(name).map(lines)?;
    let was = fields.get(&format!("was-{name}")).map(lines);
    (was.as_ref() != Some(&said)).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(pairs: &[(&str, &str)]) -> Result<ProfileChange, Failure> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let plan = read("profile-set", &pairs.collect())?.expect("a form of ours");
        match plan.commands.into_iter().next() {
            Some(Command::ProfileSet(change)) => Ok(change),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_form_says_who_sees_what_and_names_no_file() {
        let said = change(&[("about", "a\r\nb"), ("sees-about", "nobody")]).unwrap();
        assert_eq!(said.about.as_deref(), Some("a\nb"));
        let nobody = (ProfilePart::About, Visibility::Nobody);
        assert_eq!(said.visibility, BTreeMap::from([nobody]));
        assert_eq!((said.name, said.avatar), (None, None));
        let removed = change(&[("avatar", "/etc/passwd")]).unwrap();
        assert_eq!(removed.avatar.as_deref(), Some(""));
        assert!(change(&[("sees-about", "friends")]).is_err());
        let old = [
            ("name", "Alice S"),
            ("was-name", "Alice"),
            ("about", "a\r\nb"),
            ("was-about", "a\nb"),
            ("sees-mood", "contacts"),
            ("was-sees-mood", "contacts"),
        ];
        let said = change(&old).unwrap();
        assert_eq!(said.name.as_deref(), Some("Alice S"));
        assert_eq!((said.about, said.visibility.len()), (None, 0));
        assert!(read("profile-take", &Fields::new()).unwrap().is_none());
    }
}
