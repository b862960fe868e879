//! Files: the card in a chat, and the page of all transfers. Finished files are never served, only named.

use maud::{Markup, html};
use starling_control::view::{Transfer, TransferState};

use super::frame::{Shell, button, form};
use super::icon::{Icon, icon};
use super::words;

/// One transfer.
pub fn card(shell: &Shell, transfer: &Transfer) -> Markup {
    let offered_here = !transfer.outgoing && transfer.state == TransferState::Offered;
    let moves = matches!(
        transfer.state,
        TransferState::Running | TransferState::Waiting
    );
    let over = matches!(
        transfer.state,
        TransferState::Done | TransferState::Cancelled | TransferState::Failed
    );
    html! {
        div.file {
            span.sheet-icon aria-hidden="true" { (icon(Icon::Files)) }
            div.about {
                p.file-name { (words::name(&transfer.name)) }
                p.line { (words::bytes(transfer.size)) " · " (words::plain(state(transfer))) (speed(transfer)) }
            }
        }
        @if moves {
            progress max=(transfer.size.max(1)) value=(transfer.done) aria-label={ "Progress of " (words::plain(&transfer.name)) } {}
        }
        @if offered_here && words::can_run(&transfer.name) {
            p.warning { "A file of this kind can run programs. Open it only if you expected it." }
        }
        @if offered_here { (accept(shell, transfer)) }
        @else if !over {
            div.actions { (button(shell, "file-cancel", &fields(transfer), "quiet", html! { "Cancel" })) }
        }
        @if transfer.state == TransferState::Done && !transfer.outgoing { (saved(transfer)) }
    }
}

fn state(transfer: &Transfer) -> &str {
    if !transfer.words.is_empty() {
        return &transfer.words;
    }
    match (transfer.state, transfer.outgoing) {
        (TransferState::Offered, true) => "waits for an answer",
        (TransferState::Offered, false) => "offered to you",
        (TransferState::Waiting, _) => "waiting",
        (TransferState::Running, true) => "sending",
        (TransferState::Running, false) => "receiving",
        (TransferState::Done, true) => "received there, verified",
        (TransferState::Done, false) => "received, verified",
        (TransferState::Cancelled, _) => "cancelled",
        (TransferState::Failed, _) => "failed",
    }
}

fn speed(transfer: &Transfer) -> Markup {
    let running = transfer.state == TransferState::Running && transfer.rate > 0;
    let left = words::left(transfer.size.saturating_sub(transfer.done), transfer.rate);
    html! {
        @if running {
            " · " (words::bytes(transfer.rate)) "/s"
            @if let Some(left) = left { " · " (left) }
        }
    }
}

fn accept(shell: &Shell, transfer: &Transfer) -> Markup {
    let inside = html! {
        input type="hidden" name="id" value=(transfer.id);
        input type="hidden" name="who" value=(transfer.contact);
        label { "Folder (its whole path)" input type="text" name="to" placeholder="/home/…" required; }
        button.quiet type="submit" { "Save there" }
    };
    html! {
        div.actions {
            (button(shell, "file-accept", &fields(transfer), "primary", html! { "Save" }))
            (button(shell, "file-cancel", &fields(transfer), "quiet", html! { "Decline" }))
        }
        details.elsewhere { summary { "Save in another folder" } (form(shell, "file-accept", "stack", inside)) }
    }
}

fn fields(transfer: &Transfer) -> [(&str, &str); 2] {
    [("id", &transfer.id), ("who", &transfer.contact)]
}

fn saved(transfer: &Transfer) -> Markup {
    html! {
        @if let Some(path) = &transfer.path {
            p.saved { "Saved as " bdi.path { (words::plain(path)) } }
            div.actions.scripted { button.quiet type="button" data-copy=(path) { "Copy its path" } }
        }
    }
}

/// The page of all transfers.
pub fn page(shell: &Shell, transfers: &[Transfer]) -> Markup {
    html! {
        article.sheet {
            header { h1 { "Files" } }
            @if transfers.is_empty() {
                p.hint { "No files yet. Drop one on a chat, or use the paper clip beside the message box." }
            }
            ul.cards id="transfers" { @for transfer in transfers { (row(shell, transfer)) } }
        }
    }
}

/// One item of that page.
pub fn row(shell: &Shell, transfer: &Transfer) -> Markup {
    let way = if transfer.outgoing { "To " } else { "From " };
    html! {
        li.tile id={ "f-" (transfer.id) } data-into="transfers" {
            p.line { (way) a href=(words::chat_href(&transfer.contact)) { (words::name(&transfer.who)) }
                " · " (words::day(transfer.at, shell.now)) ", " (words::clock(transfer.at)) }
            (card(shell, transfer))
        }
    }
}
