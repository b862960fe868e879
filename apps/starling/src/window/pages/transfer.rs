//! Putting the other side of a call through to another contact.

use maud::{Markup, html};
use starling_control::view::{Call, Contact, Relation};

use super::frame::{Shell, form};
use super::words;

/// The page.
pub fn page(shell: &Shell, call: &Call) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Put " (words::name(&call.who)) " through" } }
            p.hint {
                "They call whom you choose, if it is a contact of theirs as well. Your call waits meanwhile; it ends when that one is "
                "answered, and goes on if it is not."
            }
            (form(shell, "call-transfer", "stack", fields(shell, call)))
        }
    }
}

fn fields(shell: &Shell, call: &Call) -> Markup {
    let fits = |contact: &&Contact| {
        contact.relation == Relation::Contact && !contact.echo && contact.id != call.contact
    };
    html! {
        input type="hidden" name="id" value=(call.id);
        label for="transfer-to" { "They are to talk to" }
        select id="transfer-to" name="who" {
            @for contact in shell.contacts.iter().filter(fits) {
                option value=(contact.id) { (words::plain(contact.title())) }
            }
        }
        button type="submit" { "Put through" }
    }
}
