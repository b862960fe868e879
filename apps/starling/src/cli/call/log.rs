//! `starling call log`: calls of before, the missed ones, and what one was like.

use clap::{Args, Subcommand};
use starling_control::view::{Call, CallCourse, CallQuality, Spread};
use starling_control::{Command, view};

use crate::cli::profile::Settings;
use crate::cli::{Outcome, launch, print};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LogArgs {
    #[command(subcommand)]
    command: Option<LogCommand>,
    /// Those that nobody answered here
    #[arg(long)]
    missed: bool,
    /// Note that you have seen the missed ones: they are not counted any more
    #[arg(long)]
    seen: bool,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// One call: when, how long, and what path and sound were like
    Show {
        /// Its id, or the beginning
        id: String,
    },
}

/// Lists them, or shows one.
pub async fn run(args: &LogArgs, settings: &Settings) -> Outcome {
    if let Some(LogCommand::Show { id }) = &args.command {
        let ask = Command::CallShow { id: id.clone() };
        let call: Call = launch::ask(settings, ask).await?;
        show(&call, settings);
        return Ok(());
    }
    let limit = Some(args.limit);
    let (ask, none) = match args.missed {
        true => (Command::CallMissed { limit }, "No missed calls."),
        false => (Command::CallList { limit }, "No calls yet."),
    };
    let calls: Vec<Call> = launch::ask(settings, ask).await?;
    list(&calls, none, settings);
    if args.seen {
        launch::ask::<serde_json::Value>(settings, Command::CallSeen {}).await?;
    }
    Ok(())
}

/// One line each.
pub fn list(calls: &[Call], none: &str, settings: &Settings) {
    let head = ["id", "when", "who", "direction", "talked", "what"];
    print::listing(calls, settings.json, none, &head, |call| {
        vec![
            print::id(&call.id),
            print::time(call.started_at),
            print::text(&call.who),
            direction(call).to_owned(),
            talked(call).map(print::length).unwrap_or_default(),
            what(call),
        ]
    });
}

const fn direction(call: &Call) -> &'static str {
    match (call.outgoing, call.record.missed) {
        (true, _) => "to them",
        (false, true) => "missed",
        (false, false) => "from them",
    }
}

fn what(call: &Call) -> String {
    let words = print::text(&call.words);
    match call.record.missed && !call.record.seen {
        true => format!("{words} (new)"),
        false => words,
    }
}

fn talked(call: &Call) -> Option<u64> {
    Some(call.ended_at?.saturating_sub(call.answered_at?))
}

fn rang(call: &Call) -> Option<u64> {
    let until = call.answered_at.or(call.ended_at)?;
    Some(until.saturating_sub(call.record.rang_at?))
}

fn show(call: &Call, settings: &Settings) {
    if settings.json {
        return print::json(call);
    }
    let field = |name: &str, value: String| print::line(&format!("{name:<12}{value}"));
    field("call", call.id.clone());
    field("with", print::text(&call.who));
    field("direction", direction(call).to_owned());
    field("began", print::time(call.started_at));
    for (name, length) in [("rang", rang(call)), ("talked", talked(call))] {
        if let Some(length) = length {
            field(name, print::length(length));
        }
    }
    field("what", what(call));
    if let Some(device) = &call.record.answered_on {
        field("answered on", print::text(device));
    }
    if let Some(quality) = &call.quality {
        at_the_end(quality, &field);
    }
    if let Some(course) = &call.record.course {
        over_time(course, &field);
    }
}

fn at_the_end(quality: &CallQuality, field: &dyn Fn(&str, String)) {
    field("path", print::text(&quality.path));
    field("codec", print::text(&quality.codec));
    field("protection", print::text(&quality.protection));
    if let Some(rtt) = quality.rtt_ms {
        field("at the end", format!("{rtt:.0} ms there and back"));
    }
    field(
        "frames",
        format!(
            "{} recovered, {} concealed",
            quality.recovered, quality.concealed
        ),
    );
    if let Some(ms) = quality.first_sound_ms {
        field("first sound", format!("{ms} ms after the answer"));
    }
}

fn over_time(course: &CallCourse, field: &dyn Fn(&str, String)) {
    let line = |name: &str, spread: view::Spread, unit: &str| {
        let Spread { average, worst } = spread;
        field(
            name,
            format!("{average:.1} {unit} on average, {worst:.1} {unit} at worst"),
        );
    };
    line("round trip", course.rtt_ms, "ms");
    line("lost", course.loss_percent, "%");
    line("jitter", course.jitter_ms, "ms");
    line("buffer", course.buffer_ms, "ms");
    line("bitrate", kilobits(course.bitrate), "kbit/s");
    line("MOS", course.mos, "of 4.5");
}

fn kilobits(bits: Spread) -> Spread {
    Spread {
        average: bits.average / 1_000.0,
        worst: bits.worst / 1_000.0,
    }
}
