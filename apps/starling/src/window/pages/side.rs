//! The left column: who I am, who asks, who is there, and the way to every other page.

use maud::{Markup, html};
use starling_control::view::{Contact, Relation, ShownProfile, Status};

use super::frame::{Looking, Shell, form};
use super::icon::{Icon, icon};
use super::presence;
use super::{verify, words};

/// The whole column.
pub fn column(shell: &Shell, looking: &Looking) -> Markup {
    html! {
        nav.side id="side" aria-label="Contacts and pages" {
            (own(&shell.status))
            (presence::chooser(shell))
            div.add {
                a.button href="add" aria-current=[current(looking, "add")] { (icon(Icon::Add)) "Add a contact" }
                a.button href="my-link" aria-current=[current(looking, "my-link")] { (icon(Icon::Link)) "My link" }
            }
            div.scroll id="people-scroll" { (people(shell, looking)) }
            ul.pages {
                @for (page, face, name) in [
                    ("calls", Icon::Calls, "Calls"),
                    ("files", Icon::Files, "Files"),
                    ("network", Icon::Network, "Network"),
                    ("status", Icon::Status, "Status"),
                ] {
                    li {
                        a href=(page) aria-current=[current(looking, page)] {
                            (icon(face)) (name)
                            @if page == "calls" { (missed(&shell.status)) }
                        }
                    }
                }
            }
        }
    }
}

/// The own name and how the node is reachable.
pub fn own(status: &Status) -> Markup {
    let account = status.account.clone().unwrap_or_default();
    let (class, reach) = reachability(status);
    html! {
        a.own id="own" href="account" {
            (avatar(&account.id, &account.name, None))
            span.who {
                span.name { (words::name(&account.name)) }
                span class={ "presence " (class) } { (reach) }
            }
        }
    }
}

/// How many calls were missed; replaced by the event stream.
pub fn missed(status: &Status) -> Markup {
    html! {
        span id="missed-calls" {
            @if status.missed_calls > 0 {
                " " span.badge { (status.missed_calls) span.unseen { " missed" } }
            }
        }
    }
}

fn reachability(status: &Status) -> (&'static str, String) {
    match &status.supernode {
        Some(supernode) if supernode.connected => presence::own_words(status),
        Some(supernode) => (
            "offline",
            format!("Supernode: {}", words::plain(&supernode.words)),
        ),
        None if status.network.is_some() => ("offline", "Looking for a supernode".into()),
        None => ("unknown", "This machine and its local network only".into()),
    }
}

/// Requests and contacts; replaced as one by the event stream.
pub fn people(shell: &Shell, looking: &Looking) -> Markup {
    let unread: u32 = shell.contacts.iter().map(|contact| contact.unread).sum();
    let mut contacts: Vec<&Contact> = shell
        .contacts
        .iter()
        .filter(|contact| !contact.echo)
        .collect();
    contacts.sort_by_key(|contact| {
        (
            !contact.favourite,
            std::cmp::Reverse(contact.last.last_at),
            contact.title().to_lowercase(),
        )
    });
    let (blocked, contacts): (Vec<&Contact>, Vec<&Contact>) = contacts
        .into_iter()
        .partition(|contact| contact.relation == Relation::Blocked);
    html! {
        div id="people" data-unread=(unread) data-requests=(shell.requests.len()) {
            @if !shell.requests.is_empty() {
                h2.group id="requests-title" { "Requests" }
                ul.contacts aria-labelledby="requests-title" {
                    @for request in &shell.requests {
                        li { a.contact.request id={ "r-" (request.id) } href={ "request?from=" (words::encoded(&request.id)) } {
                            (face(&request.id, &request.name, Picture::of(&request.id, &request.shows).as_ref()))
                            span.who {
                                span.name { (words::name(&request.name)) }
                                span.line { "wants to be a contact" }
                            }
                            span.badge { "New" }
                        } }
                    }
                }
            }
            h2.group id="contacts-title" { "Contacts" }
            ul.contacts aria-labelledby="contacts-title" {
                li { (echo(shell, looking)) }
                @for contact in &contacts { li { (row(contact, shell, looking)) } }
            }
            @if contacts.is_empty() {
                p.hint { "Nobody here yet. Send somebody your link, or add them by theirs." }
            }
            @if !blocked.is_empty() {
                h2.group id="blocked-title" { "Blocked" }
                ul.contacts aria-labelledby="blocked-title" {
                    @for contact in &blocked { li { (row(contact, shell, looking)) } }
                }
            }
            @if !shell.earlier.is_empty() {
                h2.group id="earlier-title" { "Earlier" }
                ul.contacts aria-labelledby="earlier-title" {
                    @for contact in &shell.earlier { li { (row(contact, shell, looking)) } }
                }
            }
        }
    }
}

/// The sound test is always offered; opening it starts its node.
fn echo(shell: &Shell, looking: &Looking) -> Markup {
    let known = shell.contacts.iter().find(|contact| contact.echo);
    let here = known
        .filter(|echo| looking.with.as_deref() == Some(&echo.id))
        .map(|_| "page");
    let face = html! {
        button.contact id="echo" type="submit" aria-current=[here] {
            span.avatar.echo aria-hidden="true" { (icon(Icon::Sound)) }
            span.who {
                span.name { "Echo / Sound Test" }
                span.line { "Call it and hear yourself" }
            }
            @if let Some(echo) = known { (badge(echo)) }
        }
    };
    form(shell, "echo-open", "row", face)
}

fn row(contact: &Contact, shell: &Shell, looking: &Looking) -> Markup {
    let here = (looking.with.as_deref() == Some(&contact.id)).then_some("page");
    let class = if contact.unread > 0 {
        "contact unread"
    } else {
        "contact"
    };
    let in_call = shell.calls.iter().any(|call| call.contact == contact.id);
    html! {
        a class=(class) id={ "c-" (contact.id) } href=(words::chat_href(&contact.id)) aria-current=[here] {
            (avatar(&contact.id, contact.title(), Some(contact)))
            span.who {
                span.name { (words::name(contact.title())) (verify::mark(contact)) }
                span.line {
                    span class={ "presence " (words::presence_class(contact)) } {
                        (words::presence(contact))
                        @if let Some(more) = words::presence_more(contact, shell.now) { ", " (more) }
                    }
                    @if !contact.mood.is_empty() {
                        span aria-hidden="true" { "·" }
                        bdi.mood { (words::plain(&contact.mood)) }
                    } @else if let Some(text) = &contact.last.last_text {
                        span aria-hidden="true" { "·" }
                        bdi.last { (words::plain(text)) }
                    }
                }
            }
            span.marks {
                @if let Some(at) = contact.last.last_at { span.time { (words::when(at, shell.now)) } }
                @if in_call { span.in-call { (icon(Icon::Call)) span.unseen { "in a call" } } }
                (badge(contact))
            }
        }
    }
}

fn badge(contact: &Contact) -> Markup {
    html! {
        @if contact.unread > 0 {
            span.badge { (contact.unread) span.unseen { " unread" } }
        }
    }
}

/// A picture that the page server has.
pub struct Picture<'a> {
    /// Whose; the own one if nobody's.
    pub who: Option<&'a str>,
    /// Stands for it: another picture has another.
    pub label: &'a str,
}

impl<'a> Picture<'a> {
    /// What somebody shows, if it is one.
    pub fn of(who: &'a str, shown: &'a ShownProfile) -> Option<Self> {
        let label = shown.avatar.as_deref()?;
        let who = Some(who);
        Some(Self { who, label })
    }

    fn href(&self) -> String {
        let label = words::encoded(self.label);
        match self.who {
            Some(who) => format!("avatar?who={}&v={label}", words::encoded(who)),
            None => format!("avatar?v={label}"),
        }
    }
}

/// A round mark with a picture or an initial; with a dot where presence is known.
pub fn avatar(id: &str, title: &str, contact: Option<&Contact>) -> Markup {
    let picture = contact.and_then(|contact| Picture::of(&contact.id, &contact.shows));
    round(id, title, picture.as_ref(), contact)
}

/// The same without a dot.
pub fn face(id: &str, title: &str, picture: Option<&Picture<'_>>) -> Markup {
    round(id, title, picture, None)
}

/// What the program draws about somebody, the dot and the mark, stands outside of the picture. The name stands beside it, so it is
/// decoration for whoever hears the page.
fn round(
    id: &str,
    title: &str,
    picture: Option<&Picture<'_>>,
    contact: Option<&Contact>,
) -> Markup {
    html! {
        span class={ "avatar hue-" (words::hue(id)) } aria-hidden="true" {
            @if let Some(picture) = picture {
                img src=(picture.href()) alt="" width="256" height="256";
            } @else { (words::initial(title)) }
            @if let Some(contact) = contact { span class={ "dot " (words::presence_class(contact)) } {} }
        }
    }
}

fn current(looking: &Looking, page: &str) -> Option<&'static str> {
    (looking.page == page).then_some("page")
}
