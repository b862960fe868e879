//! Calls: the bar and the incoming-call banner on every page, and the log.

use maud::{Markup, html};
use starling_control::view::{Call, CallState};

use super::frame::{Shell, button, form};
use super::icon::{Icon, icon};
use super::{side, words};

/// Every call that is not over, and one that just ended; replaced as one by the event stream.
pub fn region(calls: &[Call], shell: &Shell) -> Markup {
    let rings = |call: &&Call| call.state == CallState::Ringing && !call.outgoing;
    let (ringing, others): (Vec<&Call>, Vec<&Call>) = calls.iter().partition(rings);
    // While there is another call, whoever hears the page is told at the next pause.
    let live = match ringing.iter().all(|call| call.waiting) && !ringing.is_empty() {
        true => "polite",
        false => "assertive",
    };
    html! {
        div id="calls-now" {
            div.ringing id="ringing" aria-live=(live) {
                @for call in ringing { (banner(call, shell)) }
            }
            @for call in others {
                @if call.state == CallState::Ended { (ended(call)) } @else { (bar(call, shell)) }
            }
        }
    }
}

fn banner(call: &Call, shell: &Shell) -> Markup {
    let id = [("id", call.id.as_str()), ("who", call.contact.as_str())];
    let (label, answer) = match call.waiting {
        true => ("Another incoming call", "Hold and answer"),
        false => ("Incoming call", "Answer"),
    };
    html! {
        section.banner id={ "b-" (call.id) } aria-label=(label) {
            (side::avatar(&call.contact, &call.who, None))
            p.words {
                strong { (words::name(&call.who)) } " is calling you"
                @if call.waiting { ", and waits while you are in another call" }
            }
            div.actions {
                (button(shell, "call-answer", &id, "answer", html! { (icon(Icon::Call)) (answer) }))
                (button(shell, "call-hangup", &id, "hang-up", html! { (icon(Icon::HangUp)) "Decline" }))
            }
        }
    }
}

fn bar(call: &Call, shell: &Shell) -> Markup {
    let words = if call.words.is_empty() {
        words::call_state(call.state, call.outgoing)
    } else {
        &call.words
    };
    let label = format!("Call with {}", words::plain(&call.who));
    html! {
        section.bar id={ "b-" (call.id) } aria-label=(label) {
            a.with href=(words::chat_href(&call.contact)) {
                (side::avatar(&call.contact, &call.who, None))
                span.who {
                    span.name { (words::name(&call.who)) }
                    span.line role="status" { (words::plain(words)) }
                }
            }
            @if let Some(answered) = call.answered_at {
                span.timer role="timer" { (words::timer(shell.now.saturating_sub(answered))) }
            }
            @if let Some(quality) = &call.quality {
                span.path title=(words::technical(quality)) {
                    (words::path(quality))
                }
            }
            (controls(call, shell))
            @for warning in &call.warnings { p.warning { (words::plain(warning)) } }
        }
    }
}

fn controls(call: &Call, shell: &Shell) -> Markup {
    let talks = matches!(
        call.state,
        CallState::Established | CallState::Held | CallState::Reconnecting
    );
    let who = call.contact.as_str();
    let fields = |on: bool| {
        [
            ("id", call.id.as_str()),
            ("who", who),
            ("on", if on { "true" } else { "false" }),
        ]
    };
    let (mute_face, mute_words) = match call.muted {
        true => (Icon::MicrophoneOff, "Unmute"),
        false => (Icon::Microphone, "Mute"),
    };
    let (hold_face, hold_words) = match call.held {
        true => (Icon::Resume, "Resume"),
        false => (Icon::Hold, "Hold"),
    };
    let deafen_words = if call.sound.deafened {
        "Hear again"
    } else {
        "Hear nothing"
    };
    let class = |on: bool| if on { "quiet on" } else { "quiet" };
    html! {
        div.actions {
            @if talks {
                @if call.sound.push_to_talk { (talk(call, shell)) }
                (button(shell, "call-deafen", &fields(!call.sound.deafened), class(call.sound.deafened), html! { (icon(Icon::Sound)) (deafen_words) }))
                (button(shell, "call-mute", &fields(!call.muted), class(call.muted), html! { (icon(mute_face)) (mute_words) }))
                (button(shell, "call-hold", &fields(!call.held), class(call.held), html! { (icon(hold_face)) (hold_words) }))
            }
            @if call.state == CallState::Established {
                a.button.quiet href={ "transfer?id=" (words::encoded(&call.id)) } { "Put through" }
            }
            (button(shell, "call-hangup", &fields(true), "hang-up", html! { (icon(Icon::HangUp)) "Hang up" }))
        }
    }
}

/// Held down by a pointer, switched by the keyboard or without script.
fn talk(call: &Call, shell: &Shell) -> Markup {
    let talking = call.sound.talking;
    let class = if talking { "on" } else { "quiet" };
    let (now, next) = if talking {
        ("true", "false")
    } else {
        ("false", "true")
    };
    let fields = html! {
        input type="hidden" name="id" value=(call.id);
        input type="hidden" name="who" value=(call.contact);
        input type="hidden" name="on" value=(next);
        button type="submit" class=(class) data-hold="yes" aria-pressed=(now) { (icon(Icon::Microphone)) "Talk" }
    };
    form(shell, "call-talk", "inline", fields)
}

fn ended(call: &Call) -> Markup {
    html! {
        p.ended id={ "b-" (call.id) } role="status" {
            "Call with " (words::name(&call.who)) ": " (words::plain(outcome(call)))
            @if let Some(ms) = talked_ms(call) { ", " (words::timer(ms)) }
        }
    }
}

/// The log page.
pub fn log(calls: &[Call], shell: &Shell) -> Markup {
    html! {
        article.sheet id="call-log" {
            header { h1 { "Calls" } }
            p { a href="call-settings" { "How I want to be called" } }
            @if calls.iter().any(unseen) {
                (button(shell, "call-seen", &[], "quiet", html! { "I have seen the missed calls" }))
            }
            @if calls.is_empty() { p.hint { "No calls yet. Open a contact and choose Call." } }
            ul.rows { @for call in calls { (entry(call, shell)) } }
        }
    }
}

fn entry(call: &Call, shell: &Shell) -> Markup {
    html! {
        li id={ "l-" (call.id) } class=[missed(call).then_some("missed")] {
            (side::avatar(&call.contact, &call.who, None))
            span.who {
                a.name href=(words::chat_href(&call.contact)) { (words::name(&call.who)) }
                span.line { (direction(call)) " · " (words::plain(outcome(call))) }
            }
            span.marks {
                a.time href={ "call?id=" (words::encoded(&call.id)) } {
                    (words::day(call.started_at, shell.now)) ", " (words::clock(call.started_at))
                }
                @if let Some(ms) = talked_ms(call) { span { (words::timer(ms)) } }
            }
            (button(shell, "call-start", &[("who", &call.contact)], "quiet",
                html! { (icon(Icon::Call)) "Call" span.unseen { " " (words::plain(&call.who)) } }))
        }
    }
}

/// One line in a chat.
pub fn line(call: &Call) -> Markup {
    html! {
        span class=(if missed(call) { "call-line missed" } else { "call-line" }) {
            (icon(Icon::Call))
            span {
                (direction(call)) " · " (words::plain(outcome(call)))
                @if let Some(ms) = talked_ms(call) { " · " (words::timer(ms)) }
                " · " (words::clock(call.started_at))
            }
        }
    }
}

/// Who called whom.
pub fn direction(call: &Call) -> &'static str {
    match (missed(call), call.outgoing) {
        (true, _) => "Missed call",
        (_, true) => "You called",
        (_, false) => "Called you",
    }
}

/// Nobody answered here, and nobody said no.
const fn missed(call: &Call) -> bool {
    call.record.missed
}

const fn unseen(call: &Call) -> bool {
    call.record.missed && !call.record.seen
}

/// How it ended, or stands.
pub fn outcome(call: &Call) -> &str {
    if call.words.is_empty() {
        words::call_state(call.state, call.outgoing)
    } else {
        &call.words
    }
}

/// How long the two talked.
pub fn talked_ms(call: &Call) -> Option<u64> {
    Some(call.ended_at?.saturating_sub(call.answered_at?))
}
