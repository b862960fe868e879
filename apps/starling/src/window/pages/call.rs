//! Calls: the bar and the incoming-call banner on every page, and the log.

use maud::{Markup, html};
use starling_control::view::{Call, CallState};

use super::frame::{Shell, button};
use super::icon::{Icon, icon};
use super::{side, words};

/// Every call that is not over, and one that just ended; replaced as one by the event stream.
pub fn region(calls: &[Call], shell: &Shell) -> Markup {
    let rings = |call: &&Call| call.state == CallState::Ringing && !call.outgoing;
    // PRESENCE-25: whoever does not want to be disturbed sees it among the missed ones.
    let shown = calls.iter().filter(|call| !(rings(call) && call.quiet));
    let (ringing, others): (Vec<&Call>, Vec<&Call>) = shown.partition(rings);
    html! {
        div id="calls-now" {
            div.ringing id="ringing" aria-live="assertive" {
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
    html! {
        section.banner id={ "b-" (call.id) } aria-label="Incoming call" {
            (side::avatar(&call.contact, &call.who, None))
            p.words { strong { (words::name(&call.who)) } " is calling you" }
            div.actions {
                (button(shell, "call-answer", &id, "answer", html! { (icon(Icon::Call)) "Answer" }))
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
    let class = |on: bool| if on { "quiet on" } else { "quiet" };
    html! {
        div.actions {
            @if talks {
                (button(shell, "call-mute", &fields(!call.muted), class(call.muted), html! { (icon(mute_face)) (mute_words) }))
                (button(shell, "call-hold", &fields(!call.held), class(call.held), html! { (icon(hold_face)) (hold_words) }))
            }
            (button(shell, "call-hangup", &fields(true), "hang-up", html! { (icon(Icon::HangUp)) "Hang up" }))
        }
    }
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
                span.time { (words::day(call.started_at, shell.now)) ", " (words::clock(call.started_at)) }
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

fn direction(call: &Call) -> &'static str {
    match (missed(call), call.outgoing) {
        (true, _) => "Missed call",
        (_, true) => "You called",
        (_, false) => "Called you",
    }
}

/// Nobody answered here.
fn missed(call: &Call) -> bool {
    !call.outgoing && call.answered_at.is_none() && call.state == CallState::Ended
}

fn outcome(call: &Call) -> &str {
    if call.words.is_empty() {
        words::call_state(call.state, call.outgoing)
    } else {
        &call.words
    }
}

fn talked_ms(call: &Call) -> Option<u64> {
    Some(call.ended_at?.saturating_sub(call.answered_at?))
}
