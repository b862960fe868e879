//! Verification: the mark beside a name, the banner when a key changed, and the page with words and code.

use maud::{Markup, html};
use starling_control::view::{Contact, Safety, Verification};

use super::frame::{Shell, button, form};
use super::icon::{Icon, icon};
use super::{people, words};

/// The mark has a place of its own behind the name and is drawn; no text of a name can be one.
pub fn mark(contact: &Contact) -> Markup {
    html! {
        @match contact.verification {
            Verification::None => {},
            Verification::Verified => {
                span.mark title="You have compared safety words" { (icon(Icon::Verified)) span.unseen { "verified" } }
            },
            Verification::BeforeKeyChanged => {
                span.mark.stale title="Verified before the key changed" { (icon(Icon::Info)) span.unseen { "verified before the key changed" } }
            },
        }
    }
}

/// `CONTACT-12`: loud, until somebody has looked.
pub fn banner(shell: &Shell, contact: &Contact) -> Markup {
    let who = contact.id.as_str();
    html! {
        @if contact.key_changed_at.is_some() {
            div.notice role="alert" {
                p {
                    "The key of " (words::name(contact.title())) " has changed. The account was recovered with its 24 words: by its owner, "
                    "on a new device, or by whoever has these words. Ask in person or in a call, and compare safety words again."
                }
                a href={ "verify?with=" (words::encoded(who)) } { "Compare safety words" }
                (button(shell, "contact-key-seen", &[("who", who)], "quiet", html! { "I know" }))
            }
        }
    }
}

/// How somebody stands, with the way to the words.
pub fn section(shell: &Shell, contact: &Contact) -> Markup {
    html! {
        h2 { "Verification" }
        p { @match contact.verification {
            Verification::None => "You have not compared safety words yet.",
            Verification::Verified => "You have compared safety words, and nobody stands between you.",
            Verification::BeforeKeyChanged => "Verified before the key changed: compare again.",
        } }
        p { a href={ "verify?with=" (words::encoded(&contact.id)) } { "Compare safety words" } }
        @if contact.verification != Verification::None {
            (button(shell, "contact-unverify", &[("who", &contact.id)], "quiet", html! { "Take the mark away" }))
        }
    }
}

/// Words and code.
pub fn page(shell: &Shell, safety: &Safety) -> Markup {
    let contact = &safety.contact;
    let said = safety.words.join(" ");
    let typed = html! {
        input type="hidden" name="who" value=(contact.id);
        label for="code" { "Or paste what their QR code says" }
        textarea id="code" name="code" rows="3" required maxlength="1000" spellcheck="false" {}
        button.quiet type="submit" { "Compare" }
    };
    html! {
        article.sheet {
            header { h1 { "Safety words with " (words::name(contact.title())) (mark(contact)) } }
            p { "Both of you see the same words. Read them to each other in person, or in a call in which you know the voice." }
            ol.words { @for word in &safety.words { li { (word) } } }
            div.actions {
                (button(shell, "contact-verify", &[("who", &contact.id), ("words", &said)], "primary", html! { "They have the same words" }))
                a.quiet href={ "contact?with=" (words::encoded(&contact.id)) } { "Not now" }
            }
            p.disclosure { "Different words mean that one of you has somebody else among the contacts. Then do not press this." }
            @if let Some(code) = people::qr(&safety.code, "QR code of your safety words") { figure.qr { (code) figcaption { "For their camera." } } }
            (form(shell, "contact-verify", "stack", typed))
        }
    }
}
