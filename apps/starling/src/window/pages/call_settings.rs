//! How I want to be called: the page, and what its form asks.

use maud::{Markup, html};
use starling_control::Command;
use starling_control::view::{CallChoice, CallSettings, Contact, ForwardTo, Relation};

use super::frame::{Shell, form};
use super::words;
use crate::window::action::{Next, Plan};
use crate::window::server::Fields;

/// The page.
pub fn page(shell: &Shell, chosen: &CallSettings) -> Markup {
    html! {
        article.sheet {
            header { h1 { "How I want to be called" } }
            p.hint { "The same on all my devices. While I do not want to be disturbed nothing rings, and callers hear that I am busy." }
            (form(shell, "call-set", "stack", fields(shell, chosen)))
            p { a href="calls" { "All calls" } }
        }
    }
}

fn fields(shell: &Shell, chosen: &CallSettings) -> Markup {
    html! {
        label.tick {
            input type="checkbox" name="waiting" value="yes" checked[chosen.waiting];
            "A second call rings quietly while I am in another one; else its caller hears that I am busy"
        }
        label.tick {
            input type="checkbox" name="transfers" value="yes" checked[chosen.transfers];
            "Whoever I talk to may put me through to another of my contacts"
        }
        h2 { "Forwarding" }
        p.hint {
            "Whoever calls me then calls that contact, if it is a contact of theirs as well; else they hear that I forward my calls, and "
            "not to whom."
        }
        (target(shell, "forward_always", "Every call goes to", chosen.forward_always.as_ref()))
        (target(shell, "forward_busy", "While I am busy, a call goes to", chosen.forward_busy.as_ref()))
        (target(shell, "forward_no_answer", "If nobody answers, a call goes to", chosen.forward_no_answer.as_ref()))
        label for="forward_after" { "After so many seconds" }
        input id="forward_after" name="forward_after" type="number" min="5" max="50" value=(chosen.forward_after);
        button.quiet type="submit" { "Save" }
    }
}

fn target(shell: &Shell, name: &str, label: &str, chosen: Option<&ForwardTo>) -> Markup {
    let is_there = |contact: &&Contact| contact.relation == Relation::Contact && !contact.echo;
    html! {
        label for=(name) { (label) }
        select id=(name) name=(name) {
            option value="" { "Nobody" }
            @for contact in shell.contacts.iter().filter(is_there) {
                option value=(contact.id) selected[chosen.is_some_and(|to| to.contact == contact.id)] {
                    (words::plain(contact.title()))
                }
            }
        }
    }
}

/// What the form asks.
pub fn read(fields: &Fields) -> Plan {
    let field = |name: &str| fields.get(name).cloned();
    let choice = CallChoice {
        waiting: Some(fields.contains_key("waiting")),
        transfers: Some(fields.contains_key("transfers")),
        forward_always: field("forward_always"),
        forward_busy: field("forward_busy"),
        forward_no_answer: field("forward_no_answer"),
        forward_after: field("forward_after").and_then(|seconds| seconds.parse().ok()),
    };
    Plan {
        commands: vec![Command::CallSet(choice)],
        next: Next::Go("call-settings".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_is_not_ticked_is_a_no_and_an_empty_target_is_nobody() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            let fields = pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect();
            match super::read(&fields).commands.pop() {
                Some(Command::CallSet(choice)) => choice,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(read(&[]).waiting, Some(false));
        let choice = read(&[
            ("waiting", "yes"),
            ("forward_busy", ""),
            ("forward_after", "9"),
        ]);
        assert_eq!(
            (choice.waiting, choice.forward_after),
            (Some(true), Some(9))
        );
        assert_eq!(
            (choice.forward_busy, choice.forward_always),
            (Some(String::new()), None)
        );
    }
}
