//! The network page: which network this profile belongs to, making one, joining one.

use maud::{Markup, html};
use starling_control::view::{Network, NetworkMade};

use super::account::text_file;
use super::frame::{Shell, form};
use super::words;

/// The page.
pub fn page(shell: &Shell, network: Option<&Network>) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Network" } }
            @match network {
                Some(network) => (facts(shell, network)),
                None => p {
                    "You belong to no network. People on this machine and this local network can still find you by your link. To reach people "
                    "elsewhere, one machine that others can reach has to be the first supernode: yours, or a friend's."
                },
            }
            h2 { "Join a network" }
            (join(shell))
            @if network.is_none() { h2 { "Make a network" } (make(shell)) }
            @if network.is_some_and(|network| network.owner) {
                p { a href="registrar" { "Registrar of names" } ": who in your network is given a unique name" }
            }
        }
    }
}

fn facts(shell: &Shell, network: &Network) -> Markup {
    html! {
        dl.facts {
            dt { "Name" } dd { (words::name(&network.name)) }
            @if let Some(id) = &network.id { dt { "Id" } dd { code { (words::plain(id)) } } }
            dt { "Supernodes" }
            dd { @for supernode in &network.supernodes { code { (words::plain(supernode)) } " " } }
            @if let Some(supernode) = &shell.status.supernode {
                dt { "In use" }
                dd { code { (words::plain(&supernode.address)) } " " (words::plain(&supernode.words)) @if supernode.own { " (this machine)" } }
            }
            dt { "Owner" } dd { @if network.owner { "you: the owner's key lies in this profile and its backup" } @else { "somebody else" } }
        }
        @if let (Some(link), Some(file)) = (&network.link, &network.file) { (hand_out(link, file)) }
    }
}

fn join(shell: &Shell) -> Markup {
    let inside = html! {
        label for="source" { "Paste a link, or the text of a network file" }
        textarea id="source" name="source" rows="4" required maxlength="65536" spellcheck="false" {}
        (text_file("source"))
        p.disclosure { "The supernodes of a network see your machine's address and when it is online. They cannot read what you send." }
        button.primary type="submit" { "Join" }
    };
    form(shell, "network-join", "stack", inside)
}

fn make(shell: &Shell) -> Markup {
    let inside = html! {
        input type="hidden" name="token" value=(shell.token);
        label for="network-name" { "What to call it" }
        input id="network-name" name="name" required maxlength="60" dir="auto" autocomplete="off" placeholder="Our family";
        label for="advertise" { "The address others reach this machine at, if you know it (IP, or IP:port where a port is forwarded)" }
        input id="advertise" name="advertise" spellcheck="false" autocomplete="off" placeholder="203.0.113.7";
        p.disclosure {
            "This machine becomes the network's first supernode: it carries encrypted packets and presence for its members while it is on. "
            "The network's link shows this machine's address."
        }
        button.primary type="submit" { "Make the network" }
    };
    // Answered with a page of what is to be done next.
    html! { form.stack method="post" action="network-init" data-plain { (inside) } }
}

/// What to hand out after making one.
pub fn made(made: &NetworkMade) -> Markup {
    html! {
        article.sheet {
            header { h1 { "The network " (words::name(&made.network.name)) " is made" } }
            @if !made.notes.is_empty() {
                p { "Still to be done by hand:" }
                ul.warnings { @for note in &made.notes { li { (words::plain(note)) } } }
            }
            (hand_out(&made.link, &made.file))
            p { a href="network" { "To the network page" } }
        }
    }
}

/// What the owner gives to those who should join.
fn hand_out(link: &str, file: &str) -> Markup {
    html! {
        h2 { "Its link" }
        p { "Send it to the people who should join. It shows this machine's address." }
        p.link { (link) }
        div.actions.scripted { button.primary type="button" data-copy=(link) { "Copy the link" } }
        h2 { "Its file" }
        p { "The same for machines that are set up by file." }
        pre.link { (file) }
        div.actions.scripted { button.quiet type="button" data-copy=(file) { "Copy the file's text" } }
    }
}
