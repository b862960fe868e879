//! Getting to know people: adding by link with a confirmation, the own link with its QR code, a request, one contact.

use maud::{Markup, PreEscaped, html};
use qrcode::{Color, QrCode};
use starling_control::view::{Contact, ContactRequest, LinkPreview, OwnLink, Relation};

use super::frame::{Shell, button, form};
use super::{organise, profile, side, verify, words};

/// Asks for a link.
pub fn add() -> Markup {
    html! {
        article.sheet {
            header { h1 { "Add a contact" } }
            p { "Paste the link somebody sent you. It begins with " code { "starling:" } ". You will see where it leads before anything is sent." }
            form.stack method="get" action="confirm" {
                label for="link" { "Their link" }
                textarea id="link" name="link" rows="4" required maxlength="2000" spellcheck="false" placeholder="starling:…" {}
                button.primary type="submit" { "Look at the link" }
            }
            p.hint {
                "Nobody sent you a link? Send them " a href="my-link" { "yours" } ", or " a href="search" { "search" } " for their name. Or " a href="carry" { "take contacts in" } " from a file."
            }
        }
    }
}

/// Shows where a link leads and asks.
pub fn confirm(shell: &Shell, link: &str, preview: &LinkPreview) -> Markup {
    let network = preview.kind == "network";
    html! {
        article.sheet {
            header { h1 { @if network { "Join this network?" } @else { "Send a contact request?" } } }
            dl.facts {
                @if let Some(account) = &preview.account { dt { "Account" } dd { code { (words::plain(account)) } } }
                dt { "Network" }
                dd { @match &preview.network { Some(id) => code { (words::plain(id)) }, None => "none" } }
                dt { "Supernodes that will be asked" }
                dd { @for address in &preview.supernodes { code { (words::plain(address)) } " " } }
            }
            @match preview.relation.as_str() {
                "own" => p.hint { "This is your own link. Send it to somebody else." },
                "contact" => p.hint {
                    "You are contacts already. "
                    @if let Some(account) = &preview.account { a href=(words::chat_href(account)) { "Open the chat" } }
                },
                _ if network => (join(shell, link)),
                relation => (ask(shell, link, relation)),
            }
        }
    }
}

fn ask(shell: &Shell, link: &str, relation: &str) -> Markup {
    let own = shell.status.account.clone().unwrap_or_default().name;
    let inside = html! {
        input type="hidden" name="link" value=(link);
        label for="message" { "A few words, so that they know who you are" }
        textarea id="message" name="message" rows="3" maxlength="500" dir="auto" {}
        p.disclosure {
            "They will see your name (" (words::name(&own)) "), your account id and these words. If they accept, their device and "
            "yours learn each other's network addresses, and you see whether the other is online."
        }
        div.actions { button.primary type="submit" { "Send the request" } a.quiet href="./" { "Not now" } }
    };
    html! {
        @if relation == "requested" { p.hint { "You asked this account before and there is no answer yet. You can ask again." } }
        (form(shell, "contact-add", "stack", inside))
    }
}

fn join(shell: &Shell, link: &str) -> Markup {
    let inside = html! {
        input type="hidden" name="source" value=(link);
        p.disclosure { "The supernodes of this network will see your machine's address and when it is online. They cannot read what you send." }
        div.actions { button.primary type="submit" { "Join" } a.quiet href="./" { "Not now" } }
    };
    form(shell, "network-join", "stack", inside)
}

/// The own link: first what it gives away, then the link.
pub fn my_link(own: &OwnLink) -> Markup {
    let link = html! {
        p.link id="own-link" { (own.link) }
        div.actions.scripted { button.primary type="button" data-copy=(own.link) { "Copy" } }
        @if let Some(code) = qr(&own.link, "QR code of your link") { figure.qr { (code) figcaption { "Or let them scan it." } } }
    };
    html! {
        article.sheet {
            header { h1 { "My link" } }
            p { "Whoever has this link can send you a contact request. You decide about each one. It gives away no address of yours unless this page says so." }
            @if own.warnings.is_empty() { (link) } @else {
                ul.warnings { @for warning in &own.warnings { li { (words::plain(warning)) } } }
                details { summary { "I have read this, show the link" } (link) }
            }
        }
    }
}

/// QR code (ISO/IEC 18004) as one SVG path with a quiet zone of four modules. Upper case fits the denser alphanumeric mode.
pub fn qr(link: &str, label: &str) -> Option<Markup> {
    const QUIET: usize = 4;
    let code = QrCode::new(link.to_uppercase()).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (at % width + QUIET, at / width + QUIET);
            path.push_str(&format!("M{x} {y}h1v1h-1z"));
        }
    }
    let side = width + 2 * QUIET;
    Some(html! {
        svg viewBox={ "0 0 " (side) " " (side) } role="img" aria-label=(label) shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(PreEscaped(path)) fill="#000" {}
        }
    })
}

/// Somebody asks.
pub fn request(shell: &Shell, request: &ContactRequest) -> Markup {
    let (id, who) = (
        [("id", request.id.as_str())],
        [("who", request.id.as_str())],
    );
    html! {
        article.sheet {
            header.person {
                (side::face(&request.id, &request.name, side::Picture::of(&request.id, &request.shows).as_ref()))
                div { h1 { (words::name(&request.name)) } p.line { "wants to be a contact · " (words::day(request.at, shell.now)) ", " (words::clock(request.at)) } }
            }
            @if !request.message.is_empty() { blockquote.message dir="auto" { (request.message) } }
            (profile::introduction(request))
            p.hint { "The name is what they call themselves; anybody can choose it. Account id: " code { (words::plain(&request.id)) } }
            p.disclosure {
                "If you accept, their device will learn all network addresses of this machine in calls and transfers, also behind a VPN, and they "
                "will see when you are online. Through relays only, they learn no address."
            }
            div.actions {
                (button(shell, "contact-accept", &id, "primary", html! { "Accept" }))
                (button(shell, "contact-accept-relayed", &id, "quiet", html! { "Accept, through relays only" }))
                (button(shell, "contact-decline", &id, "quiet", html! { "Decline" }))
                (button(shell, "contact-block", &who, "quiet danger", html! { "Block" }))
            }
            p.hint { "Decline lets this request go; they may ask again. Block keeps everything from this account away." }
        }
    }
}

/// One contact.
pub fn contact(shell: &Shell, contact: &Contact) -> Markup {
    let nickname = html! {
        input type="hidden" name="who" value=(contact.id);
        label for="nickname" { "Your name for them" }
        input id="nickname" name="nickname" maxlength="60" dir="auto" value=(contact.nickname.clone().unwrap_or_default()) autocomplete="off";
        button.quiet type="submit" { "Save" }
    };
    let who = [("who", contact.id.as_str())];
    html! {
        article.sheet {
            header.person {
                (side::avatar(&contact.id, contact.title(), Some(contact)))
                div { h1 { (words::name(contact.title())) (verify::mark(contact)) } p class={ "presence " (words::presence_class(contact)) } { (words::presence(contact)) @if let Some(more) = words::presence_more(contact, shell.now) { ", " (more) } } @if !contact.mood.is_empty() { p.mood dir="auto" { (words::plain(&contact.mood)) } } }
            }
            (verify::banner(shell, contact))
            (profile::about(&contact.shows))
            dl.facts {
                dt { "Calls themselves" } dd { (words::name(&contact.name)) }
                dt { "Account id" } dd { code { (words::plain(&contact.id)) } }
            }
            p { a href=(words::chat_href(&contact.id)) { "Open the chat" } }
            @if !matches!(contact.relation, Relation::Removed | Relation::Ended) {
                (form(shell, "contact-nickname", "stack", nickname))
                (organise::keeping(shell, contact))
                @if contact.relation == Relation::Contact { (verify::section(shell, contact)) }
                @if contact.relation == Relation::Contact { (organise::permissions(shell, contact)) }
                h2 { "Part ways" }
                p.disclosure { "Either way their device stops learning this machine's addresses. What was said stays here; what was not sent yet is dropped." }
                div.actions {
                    (button(shell, "contact-remove", &who, "quiet danger", html! { "Remove" }))
                    @if contact.relation != Relation::Blocked {
                        (button(shell, "contact-block", &who, "quiet danger", html! { "Block" }))
                    }
                }
            }
        }
    }
}
