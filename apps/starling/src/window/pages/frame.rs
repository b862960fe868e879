//! What stands round every page: head, left column, the places for calls and notices.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use starling_control::view::{Call, Contact, ContactRequest, Status};

use super::icon::{Icon, icon};
use super::{call, side};

/// What the frame of every page shows.
#[derive(Debug, Default)]
pub struct Shell {
    /// For the own name and reachability.
    pub status: Status,
    /// The left column.
    pub contacts: Vec<Contact>,
    /// Removed contacts, whose history is still here.
    pub earlier: Vec<Contact>,
    /// Above the contacts.
    pub requests: Vec<ContactRequest>,
    /// Calls that are not over.
    pub calls: Vec<Call>,
    /// For the page's forms.
    pub token: String,
    /// Unix milliseconds.
    pub now: u64,
}

/// Which page is looked at; decides what the event stream sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looking {
    /// The page's name in its path; empty at home.
    pub page: String,
    /// Whose, on a chat page.
    pub with: Option<String>,
}

impl Looking {
    /// A page about nobody.
    pub fn at(page: &str) -> Self {
        let page = page.into();
        Self { page, with: None }
    }

    /// A page about somebody.
    pub fn with(page: &str, id: &str) -> Self {
        let (page, with) = (page.into(), Some(id.into()));
        Self { page, with }
    }
}

/// A whole page.
pub fn page(shell: &Shell, looking: &Looking, title: &str, main: Markup) -> Markup {
    let (name, with) = (looking.page.as_str(), looking.with.as_deref());
    let class = if name.is_empty() {
        "at-home"
    } else {
        "at-page"
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body class=(class) data-page=(name) data-with=[with] data-token=(shell.token) data-title=(title) {
                a.skip href="#main" { "Skip to the page" }
                (call::region(&shell.calls, shell))
                (notices())
                div.columns {
                    (side::column(shell, looking))
                    main id="main" tabindex="-1" {
                        @if !name.is_empty() && name != "chat" { a.to-people href="./" { (icon(Icon::Back)) "Contacts" } }
                        (main)
                    }
                }
            }
        }
    }
}

/// A page without the left column: before there is an account, and errors.
pub fn bare(title: &str, token: Option<&str>, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.bare data-token=[token] data-title=(title) {
                (notices())
                main id="main" { (main) }
            }
        }
    }
}

/// A page without any file of ours: for whoever is not let in.
pub fn outside(title: &str, head: Markup, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without it a browser asks for /favicon.ico, which is not for everybody either.
                link rel="icon" href="data:,";
                title { (title) }
                (head)
            }
            body { main { (main) } }
        }
    }
}

/// Our bird: a starling is dark and speckled.
pub fn bird() -> Markup {
    PreEscaped(include_str!("../../../assets/starling.svg").into())
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            title { (title) " · Starling" }
            link rel="icon" href="starling.svg" type="image/svg+xml";
            link rel="stylesheet" href="starling.css";
            script src="starling.js" defer {}
        }
    }
}

fn notices() -> Markup {
    html! {
        div.notice id="notice" role="alert" hidden { p id="notice-words" {} button type="button" id="notice-close" { "Close" } }
        p.lost id="lost" role="status" hidden { "Starling does not answer. Trying again…" }
        p.unseen id="announce" aria-live="polite" {}
    }
}

/// A form that posts `action` with the page's token.
pub fn form(shell: &Shell, action: &str, class: &str, inside: Markup) -> Markup {
    html! {
        form method="post" action=(action) class=(class) {
            input type="hidden" name="token" value=(shell.token);
            (inside)
        }
    }
}

/// A form of one button with fixed fields.
pub fn button(
    shell: &Shell,
    action: &str,
    fields: &[(&str, &str)],
    class: &str,
    face: Markup,
) -> Markup {
    let inside = html! {
        @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
        button type="submit" class=(class) { (face) }
    };
    form(shell, action, "inline", inside)
}
