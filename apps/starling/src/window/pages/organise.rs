//! How a contact is kept, and what they may do here: sections of the contact's page.

use maud::{Markup, html};
use starling_control::view::Contact;

use super::frame::{Shell, button, form};
use super::words;

/// What can be allowed: its name in the local API, what a person calls it, and what the other side sees when it is denied.
const PERMISSIONS: [(&str, &str, &str); 5] = [
    (
        "call",
        "Call you",
        "It rings for a few seconds at them, then you decline",
    ),
    (
        "chat",
        "Write to you",
        "Their messages wait at them, as if you were away; you cannot write to them either",
    ),
    (
        "files",
        "Offer you files",
        "Their offers wait at them, as if you were away",
    ),
    (
        "presence",
        "See whether you are there",
        "You look offline to them",
    ),
    (
        "direct",
        "Connect to you directly",
        "Everything goes through relays, and they do not learn your addresses",
    ),
];

/// Favourite, lists, note.
pub fn keeping(shell: &Shell, contact: &Contact) -> Markup {
    let who = contact.id.as_str();
    let (on, face) = if contact.favourite {
        ("false", "No favourite any more")
    } else {
        ("true", "Make a favourite")
    };
    let note = html! {
        input type="hidden" name="who" value=(who);
        label for="note" { "Your notes, which nobody else sees" }
        textarea id="note" name="note" rows="3" maxlength="4096" dir="auto" { (contact.note.clone().unwrap_or_default()) }
        button.quiet type="submit" { "Save" }
    };
    html! {
        h2 { "For yourself" }
        div.actions { (button(shell, "contact-favourite", &[("who", who), ("on", on)], "quiet", html! { (face) })) }
        (lists(shell, contact))
        (form(shell, "contact-note", "stack", note))
    }
}

fn lists(shell: &Shell, contact: &Contact) -> Markup {
    let who = contact.id.as_str();
    let add = html! {
        input type="hidden" name="who" value=(who);
        label for="list" { "Put into a list" }
        input id="list" name="list" maxlength="64" required dir="auto" autocomplete="off";
        button.quiet type="submit" { "Add" }
    };
    html! {
        @if !contact.lists.is_empty() {
            ul aria-label="Lists" {
                @for list in &contact.lists {
                    li {
                        (words::name(list)) " "
                        (button(shell, "contact-list-remove", &[("who", who), ("list", list)], "quiet", html! { "Take out of " (words::name(list)) }))
                    }
                }
            }
        }
        (form(shell, "contact-list-add", "stack", add))
    }
}

/// What they may do here.
pub fn permissions(shell: &Shell, contact: &Contact) -> Markup {
    html! {
        h2 { "What they may do" }
        p.hint { "They are not told what you change here." }
        dl.facts {
            @for (what, name, denied) in PERMISSIONS {
                @let is_denied = contact.denied.iter().any(|one| one == what);
                dt { (name) }
                dd {
                    @if is_denied { "Denied. " (denied) "." } @else { "Allowed" } " "
                    (button(
                        shell,
                        "contact-permit",
                        &[("who", &contact.id), ("what", what), ("allowed", if is_denied { "true" } else { "false" })],
                        "quiet",
                        html! { @if is_denied { "Allow" } @else { "Deny" } span.unseen { ": " (name) } },
                    ))
                }
            }
        }
    }
}
