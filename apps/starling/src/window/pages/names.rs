//! Unique names: people found by a search, and the own name.

use maud::{Markup, html};
use starling_control::view::{FoundName, NameCheck, OwnName};

use super::frame::{Shell, button, form};
use super::words;

/// What somebody looks for, and who was found.
pub fn search(shell: &Shell, text: &str, found: Option<&[FoundName]>) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Search" } }
            p { "A whole name finds whoever has it. The beginning of a name, or a word of a display name, finds people who want to be found." }
            form.stack role="search" method="get" action="search" {
                label for="words" { "Name or words" }
                input id="words" name="words" type="search" required maxlength="200" dir="auto" value=(text);
                button.primary type="submit" { "Search" }
            }
            @match found {
                Some([]) => p role="status" { "Nobody was found. Not everybody has a name, and not everybody wants to be found." },
                Some(found) => ul.contacts aria-label="Found" { @for one in found { li { (row(shell, one)) } } },
                None => {},
            }
        }
    }
}

fn row(shell: &Shell, found: &FoundName) -> Markup {
    let own = shell.status.account.as_ref();
    let is_own = own.is_some_and(|account| account.id == found.account);
    let known = shell
        .contacts
        .iter()
        .any(|contact| contact.id == found.account);
    html! {
        p {
            strong { (words::name(&found.name)) }
            @if let Some(display) = &found.display_name { " " (words::name(display)) }
        }
        @if is_own { p.hint { "This is you." } }
        @else if known { p { a href=(words::chat_href(&found.account)) { "Open the chat" } } }
        @else { details { summary { "Add" } (form(shell, "contact-add", "stack", ask(found))) } }
    }
}

fn ask(found: &FoundName) -> Markup {
    let id = format!("message-{}", found.account);
    html! {
        input type="hidden" name="link" value=(found.name);
        label for=(id) { "A few words, so that they know who you are" }
        textarea id=(id) name="message" rows="3" maxlength="500" dir="auto" {}
        p.disclosure {
            "They will see your name, your account id and these words. If they accept, their device and yours learn each other's network "
            "addresses, and you see whether the other is online."
        }
        button.primary type="submit" { "Send the request" }
    }
}

/// The own names, and whose another one is.
pub fn page(shell: &Shell, own: &[OwnName], check: Option<&NameCheck>) -> Markup {
    let claim = html! {
        label for="name" { "A name that only you have in this network" }
        input id="name" name="name" required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false";
        label for="invitation" { "Invitation, if the network's owner gave you one" }
        input id="invitation" name="invitation" maxlength="200" autocomplete="off" spellcheck="false";
        label.check { input type="checkbox" name="findable" value="yes"; " Let people find me by its beginning and by my display name" }
        button.primary type="submit" { "Ask for it" }
    };
    html! {
        article.sheet {
            header { h1 { "Your name" } }
            @for name in own {
                section aria-label=(words::plain(&name.name)) {
                    h2 { (words::name(&name.name)) }
                    p { (words::plain(&name.words)) }
                    @if name.state == "held" {
                        (button(shell, "name-release", &[("name", &name.name)], "quiet danger", html! { "Give it up" }))
                    }
                }
            }
            h2 { "Ask for a name" }
            p { "The network's registrar gives names, first come, first served. Everybody can see that a name was given once." }
            (form(shell, "name-claim", "stack", claim))
            h2 { "Whose is a name?" }
            form.stack method="get" action="names" {
                label for="verify" { "A name" }
                input id="verify" name="verify" required maxlength="64" autocapitalize="none" spellcheck="false";
                button.quiet type="submit" { "Verify" }
            }
            @if let Some(check) = check { (verified(check)) }
        }
    }
}

fn verified(check: &NameCheck) -> Markup {
    html! {
        section role="status" {
            p {
                strong { (words::name(&check.name)) } " "
                @match &check.account {
                    Some(account) => { "belongs to " code { (words::plain(account)) } },
                    None => "belongs to nobody: it was given up",
                }
                @if check.verified { ". The registrar signed it, and the copies of its log agree." } @else { ". Do not trust it:" }
            }
            @if !check.findings.is_empty() {
                ul.warnings { @for finding in &check.findings { li { (words::plain(finding)) } } }
            }
        }
    }
}
