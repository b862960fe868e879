//! The account's devices: listed, renamed, removed; a new one added by link, QR code and words; and the same from the new device's side.

use maud::{Markup, html};
use starling_control::view::{Device, Pairing};

use super::frame::{Shell, button, form};
use super::people::qr;
use super::words;

/// Part of the page that changes while a device joins.
const REGION: &str = "pairing";

/// The page of the account's devices.
pub fn page(shell: &Shell, devices: &[Device], pairing: Option<&Pairing>) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Devices" } }
            p { "Your account on several machines: one set of contacts, notes and settings. Messages and files stay on the device that has them." }
            ul.devices { @for device in devices { li { (row(shell, device)) } } }
            h2 { "Add a device" }
            (region(shell, pairing, false))
        }
    }
}

fn row(shell: &Shell, device: &Device) -> Markup {
    let rename = html! {
        input type="hidden" name="device" value=(device.id);
        label for={ "name-" (device.id) } { "Another name" }
        input id={ "name-" (device.id) } name="name" required maxlength="64" dir="auto" value=(device.name) autocomplete="off";
        button.quiet type="submit" { "Rename" }
    };
    html! {
        h3 { (words::name(&device.name)) @if device.this { " (this device)" } }
        p.line {
            code { (device.id) }
            @if device.owner { " · holds the account's key" }
            @if !device.this { @if device.connected { " · connected" } @else { " · not connected" } }
        }
        details { summary { "Rename" } (form(shell, "device-rename", "stack", rename)) }
        @if !device.this {
            details {
                summary { "Remove" }
                p {
                    "It is out at once: your contacts and your other devices talk to it no more, and it receives and sends nothing. What it has "
                    "received so far it still has. What it had changed in your contacts stays."
                }
                @if device.owner {
                    p { "This device holds the account's key, so it cannot be removed here: whoever has it could come back. Recover the account with its 24 words instead." }
                } @else {
                    (button(shell, "device-revoke", &[("device", &device.id)], "quiet danger", html! { "Remove this device" }))
                }
            }
        }
    }
}

/// How a new device is getting on, as this side sees it; `joins`: this one is the new one.
pub fn region(shell: &Shell, pairing: Option<&Pairing>, joins: bool) -> Markup {
    let on = pairing.filter(|pairing| pairing.failed.is_none() && pairing.joined.is_none());
    html! {
        section id=(REGION) aria-live="polite" {
            @if let Some(pairing) = pairing { (outcome(pairing)) }
            @match on {
                Some(pairing) => (under_way(shell, pairing, joins)),
                None if joins => (join_form(shell)),
                None => (add_form(shell)),
            }
        }
    }
}

fn outcome(pairing: &Pairing) -> Markup {
    html! {
        @if pairing.joined.is_some() { p { strong { "The new device is in." } } }
        @if let Some(why) = &pairing.failed { p role="alert" { (words::plain(why)) } }
        @if let Some(note) = &pairing.note { p role="alert" { (words::plain(note)) } }
    }
}

fn under_way(shell: &Shell, pairing: &Pairing, joins: bool) -> Markup {
    let answer = |same: &str, label: &str, class: &str| {
        button(
            shell,
            "device-answer",
            &[("same", same)],
            class,
            html! { (label) },
        )
    };
    html! {
        @if let Some(shown) = &pairing.words {
            p {
                @if let Some(name) = &pairing.device_name { "The new device calls itself " (words::name(name)) ". " }
                "Do both devices show these four words?"
            }
            p.words { strong { (words::plain(shown)) } }
            (answer("yes", "Yes, the same words", "primary"))
            (answer("no", "No", "quiet danger"))
        } @else if let Some(link) = &pairing.link {
            p { "Open this on the new device. Whoever sees it may try; it is valid for ten minutes, once." }
            @if let Some(code) = qr(link, "QR code of the link for a new device") { figure.qr { (code) } }
            label for="device-link" { "The link" }
            textarea id="device-link" readonly rows="4" spellcheck="false" { (link) }
            p.hint { "Nothing is added before you have compared four words here." }
            (answer("no", "Cancel", "quiet"))
        } @else {
            p { "Looking for the other device…" }
            @if joins { p { a href="./" { "Look again" } } (answer("no", "Cancel", "quiet")) }
        }
    }
}

fn add_form(shell: &Shell) -> Markup {
    form(
        shell,
        "device-add",
        "stack",
        html! {
            label { input type="checkbox" name="owner" value="yes"; " It may add and remove devices, too (it gets the account's key)" }
            button.primary type="submit" { "Show a link for a new device" }
        },
    )
}

fn join_form(shell: &Shell) -> Markup {
    form(
        shell,
        "device-join",
        "stack",
        html! {
            label for="device-join-link" { "The link that your other device shows" }
            textarea id="device-join-link" name="link" rows="4" required maxlength="2000" spellcheck="false" placeholder="starling-device:…" {}
            label for="device-join-name" { "What this device is called" }
            input id="device-join-name" name="name" maxlength="64" dir="auto" autocomplete="off";
            button.primary type="submit" { "Join" }
        },
    )
}
