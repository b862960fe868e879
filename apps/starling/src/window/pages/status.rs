//! The status page: everything the node says of itself, in words.

use maud::{Markup, html};
use starling_control::view::Status;

use super::account;
use super::words;

/// The page; replaced as one by the event stream.
pub fn page(status: &Status) -> Markup {
    html! {
        article.sheet id="status" {
            header { h1 { "Status" } p.line { "Starling " (status.version) } }
            (account::warnings(status))
            h2 { "Reachable" }
            dl.facts {
                dt { "Network" }
                dd { @match &status.network { Some(network) => (words::name(&network.name)), None => "none" } }
                dt { "Supernode" }
                dd { @match &status.supernode {
                    Some(supernode) => {
                        (words::plain(&supernode.words)) " " code { (words::plain(&supernode.address)) }
                        @if supernode.own { " (this machine)" }
                    }
                    None => "none in use",
                } }
                @if let Some(ms) = status.online_after_ms { dt { "Online after" } dd { (ms) " ms" } }
                dt { "Listening" }
                dd { @if status.listening.is_empty() { "nowhere" } @for address in &status.listening { (words::plain(address)) br; } }
                @if !status.index.is_empty() {
                    dt { "Index" }
                    dd { @for words in &status.index { (words::plain(words)) br; } }
                }
            }
            h2 { "What this machine does for others" }
            dl.facts {
                @for role in &status.roles {
                    dt { (role.name) }
                    dd {
                        (words::plain(&role.words))
                        @if role.on && role.used_kbit_s > 0 { ", now " (role.used_kbit_s) " kbit/s" }
                    }
                }
                @if status.roles.is_empty() { dt { "Roles" } dd { "none" } }
            }
            @if !status.policy.is_empty() {
                h2 { "Set by your organisation" }
                dl.facts {
                    @for setting in &status.policy { dt { code { (setting.key) } } dd { (words::plain(&setting.value)) } }
                }
            }
            h2 { "Open paths" }
            (paths(status))
            h2 { "Bytes since the start" }
            (traffic(status))
        }
    }
}

fn paths(status: &Status) -> Markup {
    html! {
        @if status.paths.is_empty() { p.hint { "None. Paths open when there is something to say." } } @else {
            div.table tabindex="0" role="region" aria-label="Open paths" { table {
                thead { tr { th { "With" } th { "For" } th { "Path" } th { "Address" } th.number { "Round trip" } } }
                tbody { @for path in &status.paths { tr {
                    td { (words::name(&path.who)) }
                    td { (path.purpose) }
                    td { (path.kind) }
                    td { code { (words::plain(&path.remote)) } }
                    td.number { @if let Some(rtt) = path.rtt_ms { (format!("{rtt:.1} ms")) } @else { "not known" } }
                } } }
            } }
        }
    }
}

fn traffic(status: &Status) -> Markup {
    html! {
        @if status.traffic.is_empty() { p.hint { "None yet." } } @else {
            div.table tabindex="0" role="region" aria-label="Bytes by purpose" { table {
                thead { tr { th { "For" } th.number { "Sent" } th.number { "Received" } th.number { "At most" } } }
                tbody { @for part in &status.traffic { tr {
                    td { (part.purpose) }
                    td.number { (words::bytes(part.sent)) }
                    td.number { (words::bytes(part.received)) }
                    td.number { @if let Some(cap) = part.cap_kbit_s { (cap) " kbit/s" } }
                } } }
            } }
        }
    }
}
