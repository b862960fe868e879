//! One call of the log: when, how long, and what path and sound were like.

use maud::{Markup, html};
use starling_control::view::{Call, CallCourse, CallQuality, Spread};

use super::frame::Shell;
use super::{call, words};

/// The page.
pub fn page(shell: &Shell, shown: &Call) -> Markup {
    html! {
        article.sheet {
            header { h1 { (call::direction(shown)) ": " (words::name(&shown.who)) } }
            dl.facts {
                dt { "Began" } dd { (words::day(shown.started_at, shell.now)) ", " (words::clock(shown.started_at)) }
                @if let Some(ms) = rang_ms(shown) { dt { "Rang" } dd { (words::timer(ms)) } }
                @if let Some(ms) = call::talked_ms(shown) { dt { "Talked" } dd { (words::timer(ms)) } }
                dt { "What became of it" } dd { (words::plain(call::outcome(shown))) }
                @if let Some(device) = &shown.record.answered_on {
                    dt { "Answered on" } dd { (words::name(device)) }
                }
                dt { "Id" } dd { code { (words::plain(&shown.id)) } }
            }
            @if let Some(quality) = &shown.quality { (at_the_end(quality)) }
            @if let Some(course) = &shown.record.course { (over_time(course)) }
            p { a href="calls" { "All calls" } }
        }
    }
}

fn rang_ms(call: &Call) -> Option<u64> {
    let until = call.answered_at.or(call.ended_at)?;
    Some(until.saturating_sub(call.record.rang_at?))
}

fn at_the_end(quality: &CallQuality) -> Markup {
    html! {
        h2 { "Technical information" }
        p { (words::path(quality)) }
        p { (words::technical(quality)) }
    }
}

fn over_time(course: &CallCourse) -> Markup {
    let bitrate = Spread {
        average: course.bitrate.average / 1_000.0,
        worst: course.bitrate.worst / 1_000.0,
    };
    let rows = [
        ("Round trip", course.rtt_ms, "ms"),
        ("Lost", course.loss_percent, "%"),
        ("Jitter", course.jitter_ms, "ms"),
        ("Jitter buffer", course.buffer_ms, "ms"),
        ("Sent with", bitrate, "kbit/s"),
        ("Estimated quality (of 4.5)", course.mos, ""),
    ];
    html! {
        div.table tabindex="0" role="region" aria-label="How the call was over time" { table {
            caption { "Looked at once a second, " (course.seconds) " times" }
            thead { tr { th scope="col" { "What" } th scope="col" { "Average" } th scope="col" { "Worst" } } }
            tbody {
                @for (name, spread, unit) in rows {
                    tr {
                        th scope="row" { (name) }
                        td { (format!("{:.1} {unit}", spread.average)) }
                        td { (format!("{:.1} {unit}", spread.worst)) }
                    }
                }
            }
        } }
    }
}
