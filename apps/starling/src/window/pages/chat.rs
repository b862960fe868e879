//! The chat page: messages, files and calls with one contact in the order they were stored here, and the composer.

use maud::{Markup, html};
use starling_control::view::{Call, Contact, Message, Relation, Transfer};

use super::frame::{Shell, button};
use super::icon::{Icon, icon};
use super::{call, file, side, verify, words};

/// Messages on one page of the log.
pub const PAGE: u32 = 50;

/// What the log of a chat is made of.
#[derive(Debug, Default)]
pub struct Log {
    /// Oldest first, at most [`PAGE`].
    pub messages: Vec<Message>,
    /// With this contact, any order.
    pub transfers: Vec<Transfer>,
    /// With this contact, any order.
    pub calls: Vec<Call>,
    /// Only what is older than this (paging upwards).
    pub until: Option<u64>,
}

enum Entry<'a> {
    Message(&'a Message),
    Transfer(&'a Transfer),
    Call(&'a Call),
}

impl Entry<'_> {
    fn at(&self) -> u64 {
        match self {
            Self::Message(message) => message.stored_at,
            Self::Transfer(transfer) => transfer.at,
            Self::Call(call) => call.started_at,
        }
    }
}

impl Log {
    fn has_earlier(&self) -> bool {
        self.messages.len() >= PAGE as usize
    }

    /// All of it by time, without what belongs to an earlier or a later page.
    fn entries(&self) -> Vec<Entry<'_>> {
        let since = match self.messages.first() {
            Some(first) if self.has_earlier() => first.stored_at,
            _ => 0,
        };
        let span = since..self.until.unwrap_or(u64::MAX);
        let messages = self.messages.iter().map(Entry::Message);
        let beside = self.transfers.iter().map(Entry::Transfer);
        let beside = beside.chain(self.calls.iter().map(Entry::Call));
        let mut all: Vec<Entry<'_>> = messages
            .chain(beside.filter(|entry| span.contains(&entry.at())))
            .collect();
        all.sort_by_key(Entry::at);
        all
    }
}

/// The page.
pub fn page(shell: &Shell, contact: &Contact, log: &Log) -> Markup {
    let label = format!("Conversation with {}", words::plain(contact.title()));
    html! {
        div.chat id="chat" data-who=(contact.id) {
            (head(shell, contact))
            (verify::banner(shell, contact))
            div.log-scroll id="log-scroll" tabindex="0" role="region" aria-label=(label) {
                (earlier(contact, log))
                ol.log id="log" { (entries(shell, contact, log)) }
                (empty(contact, log))
            }
            button.newest id="newest" type="button" hidden { "New messages" }
            ul.uploads id="uploads" aria-label="Files being added" {}
            (composer(shell, contact))
            div.drop id="drop" hidden { p { "Drop to send to " (words::name(contact.title())) } }
        }
    }
}

/// Name, presence and what can be done; replaced by the event stream.
pub fn head(shell: &Shell, contact: &Contact) -> Markup {
    let agreed = contact.relation == Relation::Contact;
    let in_call = shell.calls.iter().any(|call| call.contact == contact.id);
    html! {
        header.chat-head id="chat-head" {
            a.back href="./" aria-label="Back to contacts" { (icon(Icon::Back)) }
            (side::avatar(&contact.id, contact.title(), Some(contact)))
            div.who {
                h1 { (words::name(contact.title())) (verify::mark(contact)) }
                p class={ "presence " (words::presence_class(contact)) } {
                    (words::presence(contact))
                    @if let Some(more) = words::presence_more(contact, shell.now) { ", " (more) }
                    @if !contact.mood.is_empty() { " · " bdi { (words::plain(&contact.mood)) } }
                    @if contact.waiting > 0 { " · " (words::count(contact.waiting, "message")) " waiting" }
                }
            }
            @if agreed && !in_call {
                (button(shell, "call-start", &[("who", &contact.id)], "call", html! { (icon(Icon::Call)) "Call" }))
            }
            a.icon-button href={ "contact?with=" (words::encoded(&contact.id)) } aria-label={ "About " (words::plain(contact.title())) } {
                (icon(Icon::Info))
            }
        }
    }
}

fn earlier(contact: &Contact, log: &Log) -> Markup {
    let first = log.messages.first().filter(|_| log.has_earlier());
    html! {
        @if let Some(first) = first {
            a.earlier id="earlier" href={
                (words::chat_href(&contact.id)) "&before=" (words::encoded(&first.id)) "&until=" (first.stored_at)
            } { "Earlier messages" }
        }
    }
}

fn empty(contact: &Contact, log: &Log) -> Markup {
    html! {
        @if log.entries().is_empty() {
            div.empty id="empty" {
                (side::avatar(&contact.id, contact.title(), None))
                @if contact.echo {
                    p { "This is a second Starling on this machine. Call it to hear yourself, or write: it sends every text and file back." }
                } @else {
                    p { "Messages go straight to " (words::name(contact.title())) "'s machine, encrypted. If it is off, they wait here." }
                }
            }
        }
    }
}

/// The log's items; also what paging upwards fetches.
pub fn entries(shell: &Shell, contact: &Contact, log: &Log) -> Markup {
    let entries = log.entries();
    let received =
        |entry: &&Entry<'_>| matches!(entry, Entry::Message(message) if !message.outgoing);
    let incoming = entries.iter().filter(received).count();
    let unread = usize::try_from(contact.unread).unwrap_or(usize::MAX);
    let first_unread = (unread > 0).then(|| incoming.saturating_sub(unread));
    let (mut last_day, mut seen) = (String::new(), 0_usize);
    html! {
        @for entry in &entries {
            @let day = words::day_key(entry.at());
            @let same_day = day == last_day;
            @let here = received(&entry) && first_unread == Some(seen);
            ({ last_day = day; seen += usize::from(received(&entry)); "" })
            @match entry {
                Entry::Message(message) => (item(shell, message, same_day, here)),
                Entry::Transfer(transfer) => (transfer_item(shell, transfer, same_day)),
                Entry::Call(call) => (call_item(shell, call, same_day)),
            }
        }
    }
}

/// One message. Every item carries its day's heading; all but the first of a day are hidden.
pub fn item(shell: &Shell, message: &Message, same_day: bool, first_unread: bool) -> Markup {
    let side = if message.outgoing { "out" } else { "in" };
    let author = if message.outgoing {
        "You"
    } else {
        message.who.as_str()
    };
    let state = words::delivery(message.delivery, &message.who);
    html! {
        li class={ "item " (side) } id={ "m-" (message.id) } data-into="log" data-day=(words::day_key(message.stored_at))
            data-at=(message.stored_at) {
            (day(message.stored_at, shell, same_day))
            @if first_unread { p.divider id="first-unread" { "New messages" } }
            div class={ "bubble " (side) } {
                span.unseen { (words::plain(author)) ": " }
                p.text dir="auto" { (linked(&message.text)) }
                p.meta {
                    time { (words::clock(message.stored_at)) }
                    @if !state.is_empty() { span.delivery data-state=(state_name(message)) { (state) } }
                }
            }
        }
    }
}

fn state_name(message: &Message) -> &'static str {
    match message.delivery {
        starling_control::view::Delivery::Delivered => "delivered",
        starling_control::view::Delivery::Waiting => "waiting",
        _ => "sending",
    }
}

/// One file card in the log.
pub fn transfer_item(shell: &Shell, transfer: &Transfer, same_day: bool) -> Markup {
    let side = if transfer.outgoing { "out" } else { "in" };
    html! {
        li class={ "item " (side) } id={ "t-" (transfer.id) } data-into="log" data-day=(words::day_key(transfer.at)) data-at=(transfer.at) {
            (day(transfer.at, shell, same_day))
            div class={ "bubble card " (side) } {
                (file::card(shell, transfer))
                p.meta { time { (words::clock(transfer.at)) } }
            }
        }
    }
}

/// One call's line in the log.
pub fn call_item(shell: &Shell, call: &Call, same_day: bool) -> Markup {
    html! {
        li.item.middle id={ "k-" (call.id) } data-into="log" data-day=(words::day_key(call.started_at)) data-at=(call.started_at) {
            (day(call.started_at, shell, same_day))
            (call::line(call))
        }
    }
}

fn day(at: u64, shell: &Shell, hidden: bool) -> Markup {
    html! { h2.day hidden[hidden] { (words::day(at, shell.now)) } }
}

/// A message's text with its web addresses and Starling links as links; the latter lead to a question, never further. The
/// text itself is escaped like everything else.
fn linked(text: &str) -> Markup {
    const TRAILING: [char; 9] = ['.', ',', ';', ':', '!', '?', ')', '"', '\''];
    html! {
        @for part in text.split_inclusive(char::is_whitespace) {
            @let address = part.trim_end().trim_end_matches(TRAILING);
            @let rest = &part[address.len()..];
            @if is_under(address, "https://") || is_under(address, "http://") {
                a href=(address) target="_blank" rel="noopener noreferrer" { (address) } (rest)
            } @else if is_under(address, "starling:") {
                a href={ "confirm?link=" (words::encoded(address)) } { (address) } (rest)
            } @else { (part) }
        }
    }
}

fn is_under(address: &str, scheme: &str) -> bool {
    address
        .strip_prefix(scheme)
        .is_some_and(|rest| !rest.is_empty())
}

fn composer(shell: &Shell, contact: &Contact) -> Markup {
    let label = format!("Message to {}", words::plain(contact.title()));
    html! {
        @match contact.relation {
            Relation::Requested => p.closed { "You can write once your request was accepted." },
            Relation::Blocked => p.closed { "You blocked this contact." },
            Relation::Ended => p.closed { "They have deleted their account. What was said stays here." },
            Relation::Removed => p.closed { "No longer a contact. What was said stays here." },
            Relation::Contact => {
                form.composer id="composer" method="post" action="chat-send" {
                    input type="hidden" name="token" value=(shell.token);
                    input type="hidden" name="who" value=(contact.id);
                    label.icon-button.scripted for="attach" { (icon(Icon::Attach)) span.unseen { "Attach files" } }
                    input.unseen.scripted type="file" id="attach" multiple aria-label="Attach files";
                    textarea id="text" name="text" rows="1" dir="auto" maxlength="16000" required placeholder="Write a message"
                        aria-label=(label) autocomplete="off" enterkeyhint="send" {}
                    button.send type="submit" aria-label="Send" { (icon(Icon::Send)) }
                }
            }
        }
    }
}
