//! What the command line writes: results to standard output, remarks to standard error, plain text without colours. Names and
//! texts come from other people, so nothing of theirs reaches the terminal as a control character.

use std::fmt::Write as _;
use std::io::{self, ErrorKind as Io, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;

/// Characters of an id in a listing; commands take the beginning of an id.
const ID_SHOWN: usize = 12;
/// Columns are this far apart.
const GAP: usize = 2;
/// A wider cell does not push the others away.
const CELL_MAX: usize = 48;

/// A line of result.
pub fn line(text: &str) {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = written {
        // Whoever read along has seen enough (`starling chat log | head`).
        if error.kind() == Io::BrokenPipe {
            std::process::exit(0);
        }
        say(&format!("starling: the result cannot be written: {error}"));
        std::process::exit(1);
    }
}

/// A remark.
pub fn say(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A view as one line of JSON.
pub fn json<T: Serialize>(view: &T) {
    match serde_json::to_string(view) {
        Ok(text) => line(&text),
        Err(error) => say(&format!(
            "starling: this cannot be written as JSON: {error}"
        )),
    }
}

/// A listing: JSON lines, or a table of its rows, or `nothing` in words.
pub fn listing<T: Serialize>(
    views: &[T],
    as_json: bool,
    nothing: &str,
    head: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) {
    if as_json {
        return views.iter().for_each(json);
    }
    if views.is_empty() {
        return say(nothing);
    }
    let rows: Vec<Vec<String>> = views.iter().map(row).collect();
    for text in table(head, &rows) {
        line(&text);
    }
}

/// Whether a person looks at the results.
fn is_seen() -> bool {
    io::stdout().is_terminal()
}

/// A link as a QR code, where somebody sees it. A link that is too long for one is still a link.
pub fn qr(link: &str) -> Option<String> {
    let code = QrCode::new(link.to_ascii_uppercase()).ok()?;
    // The terminal is taken to be dark.
    let drawn = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    is_seen().then_some(drawn)
}

/// Rows under a head, in aligned columns.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        let title = head.get(column).map_or(0, |title| title.chars().count());
        widest.clamp(title, CELL_MAX.max(title))
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let head: Vec<String> = head.iter().map(|title| title.to_uppercase()).collect();
    std::iter::once(&head)
        .chain(rows)
        .map(|row| {
            let mut text = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "{cell:width$}{:GAP$}", "");
            }
            text.trim_end().to_owned()
        })
        .collect()
}

/// Somebody's text on one line, harmless for a terminal.
pub fn text(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\n' || c == '\t' {
                ' '
            } else {
                harmless(c)
            }
        })
        .collect()
}

/// Somebody's text of several lines, harmless for a terminal.
pub fn lines(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\n' || c == '\t' {
                c
            } else {
                harmless(c)
            }
        })
        .collect()
}

/// Control characters would move the cursor or change the colours, direction marks would reorder the line.
fn harmless(c: char) -> char {
    let turns =
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    if c.is_control() || turns {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

/// An id's beginning.
pub fn id(id: &str) -> String {
    id.chars().take(ID_SHOWN).map(harmless).collect()
}

/// Local time of Unix milliseconds.
pub fn time(unix_ms: u64) -> String {
    let stamp = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(
        || "-".to_owned(),
        |stamp| {
            stamp
                .to_zoned_datetime(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}

/// `1:02:03` or `2:03`.
pub fn length(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        return format!("{hours}:{minutes:02}:{seconds:02}");
    }
    format!("{minutes}:{seconds:02}")
}

/// A size in decimal units.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1000.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size < 999.95 {
            break;
        }
        size /= 1000.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(
            text("Bob\u{1b}[2J\u{9b}m\r\nx\u{202e}y"),
            "Bob\u{fffd}[2J\u{fffd}m\u{fffd} x\u{fffd}y"
        );
        assert_eq!(lines("a\nb\u{7}"), "a\nb\u{fffd}");
        assert_eq!(text("مرحبا 👋🏽"), "مرحبا 👋🏽");
    }

    #[test]
    fn columns_are_aligned_and_end_without_blanks() {
        let rows = [
            vec!["Bob".to_owned(), "online".to_owned()],
            vec!["Carol ü".to_owned(), String::new()],
        ];
        let wanted = ["NAME     THERE", "Bob      online", "Carol ü"];
        assert_eq!(table(&["name", "there"], &rows), wanted);
    }

    #[test]
    fn sizes_and_lengths_are_short() {
        let sizes = [0, 999, 1000, 20_000_003, 999_960, u64::MAX].map(bytes);
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.0 kB", "20.0 MB", "1.0 MB", "18446.7 PB"]
        );
        assert_eq!(
            [0, 63_000, 3_723_000].map(length),
            ["0:00", "1:03", "1:02:03"]
        );
    }

    #[test]
    fn a_time_outside_the_calendar_is_no_panic() {
        assert_eq!(time(u64::MAX), "-");
        assert_eq!(time(0).len(), "1970-01-01 00:00:00".len());
    }
}
