//! The registrar of a network's names, on its owner's machine: how it stands, who waits, what it signed.

use maud::{Markup, html};
use starling_control::view::{NameClaim, NameOffice, SignedName};

use super::frame::{Shell, button, form};
use super::words;

const WAYS: [(&str, &str); 3] = [
    ("open", "Everybody in the network"),
    ("invitation", "Whoever brings an invitation"),
    (
        "by hand",
        "Whom you accept, and whoever brings an invitation",
    ),
];

/// The page.
pub fn page(shell: &Shell, office: &NameOffice) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Registrar of names" } }
            p role="status" { (words::plain(&office.words)) }
            (alarms(shell))
            @if office.epoch > 0 { (held(shell, office)) }
            h2 { @if office.running { "How names are given" } @else { "Begin" } }
            (start(shell, office))
        }
    }
}

/// What `status` says about names.
fn alarms(shell: &Shell) -> Markup {
    let about = |one: &&String| one.contains("egistrar");
    let alarms: Vec<&String> = shell.status.warnings.iter().filter(about).collect();
    html! {
        @if !alarms.is_empty() {
            ul.warnings role="alert" { @for alarm in alarms { li { (words::plain(alarm)) } } }
        }
    }
}

fn held(shell: &Shell, office: &NameOffice) -> Markup {
    html! {
        dl.facts {
            dt { "Appointed until" } dd { (words::when(office.until_s.saturating_mul(1_000), shell.now)) }
            dt { "Entries in its log" } dd { (office.entries) }
            dt { "Unused invitations" } dd { (office.invitations) }
        }
        @if office.running {
            (button(shell, "registrar-stop", &[], "quiet danger", html! { "Give no more names" }))
        }
        h2 { "Who waits" }
        @if office.waiting.is_empty() { p { "Nobody." } }
        ul.contacts aria-label="Who waits" { @for claim in &office.waiting { li { (waits(shell, claim)) } } }
        h2 { "Invitations" }
        (invite(shell))
        h2 { "Signed last" }
        @if office.signed.is_empty() { p { "Nothing yet." } }
        ol.log { @for entry in &office.signed { li value=(entry.entry) { (signed(shell, entry)) } } }
    }
}

fn waits(shell: &Shell, claim: &NameClaim) -> Markup {
    let fields = [
        ("name", claim.name.as_str()),
        ("account", claim.account.as_str()),
    ];
    html! {
        p {
            strong { (words::name(&claim.name)) } " for " code { (words::plain(&claim.account)) }
            ", since " (words::when(claim.came_at_s.saturating_mul(1_000), shell.now))
        }
        (button(shell, "registrar-accept", &fields, "primary", html! { "Give it" }))
        (button(shell, "registrar-decline", &fields, "quiet danger", html! { "Decline" }))
    }
}

fn invite(shell: &Shell) -> Markup {
    let inside = html! {
        label for="count" { "How many; each is good for one name" }
        input id="count" name="count" type="number" min="1" max="100" value="1" required;
        button.quiet type="submit" { "Make invitations" }
    };
    form(shell, "registrar-invite", "stack", inside)
}

fn signed(shell: &Shell, entry: &SignedName) -> Markup {
    html! {
        strong { (words::name(&entry.name)) } " "
        @match &entry.account {
            Some(account) => { "to " code { (words::plain(account)) } },
            None => "given up",
        }
        ", " (words::when(entry.at_s.saturating_mul(1_000), shell.now))
    }
}

fn start(shell: &Shell, office: &NameOffice) -> Markup {
    let chosen = if office.admission.is_empty() {
        "invitation"
    } else {
        &office.admission
    };
    let each = office.names_per_account.max(1);
    let inside = html! {
        fieldset {
            legend { "Who is given a name" }
            @for (way, words) in WAYS {
                label.check { input type="radio" name="admission" value=(way) checked[way == chosen]; " " (words) }
            }
        }
        label for="each" { "Names of one account" }
        input id="each" name="names_per_account" type="number" min="1" max="100" value=(each) required;
        label.check {
            input type="checkbox" name="take_over" value="yes";
            " In place of another registrar, or of one that contradicted itself: it goes on after the last entry that nobody disputes"
        }
        button.primary type="submit" { @if office.running { "Change it" } @else { "Begin" } }
    };
    html! {
        p { "It needs the key of the network's owner, which lies on the machine that made the network." }
        (form(shell, "registrar-start", "stack", inside))
    }
}
