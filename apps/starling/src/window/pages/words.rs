//! How values read: names, sizes, times (Unix milliseconds in, local time out), states; and hrefs between pages.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use maud::{Markup, html};
use starling_control::view::{CallQuality, CallState, Contact, Delivery, Presence, Relation};

/// A name from outside: isolated, so that its direction cannot reorder what stands beside it, and without the characters that
/// exist to reorder text.
pub fn name(text: &str) -> Markup {
    html! { bdi { (plain(text)) } }
}

/// The same for places that hold no markup (`title`, `aria-label`).
pub fn plain(text: &str) -> String {
    let visible = |c: char| match c {
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' => '\u{FFFD}',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(visible).collect()
}

/// The first letter or digit, for an avatar.
pub fn initial(text: &str) -> String {
    let first = text.chars().find(|c| c.is_alphanumeric());
    first.map_or("?".into(), |c| c.to_uppercase().collect())
}

/// One of eight avatar colours, always the same for an id.
pub fn hue(id: &str) -> u8 {
    id.bytes()
        .fold(0_u8, |sum, b| sum.wrapping_mul(31).wrapping_add(b))
        % 8
}

/// `chat?with=<id>`
pub fn chat_href(id: &str) -> String {
    format!("chat?with={}", encoded(id))
}

/// A value as it stands in a query.
pub fn encoded(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(one).collect()
}

/// 1,000-based, three digits: "3.42 MB".
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value < 10.0 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// "4:07" or "1:04:07".
pub fn timer(ms: u64) -> String {
    let s = ms / 1000;
    let (hours, minutes, seconds) = (s / 3600, s / 60 % 60, s % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// "about 2 minutes left"
pub fn left(missing: u64, rate: u64) -> Option<String> {
    let seconds = missing.checked_div(rate)?;
    Some(match seconds {
        0..=1 => "1 second left".into(),
        2..=99 => format!("{seconds} seconds left"),
        100..=5999 => format!("about {} minutes left", seconds.div_ceil(60)),
        _ => format!("about {} hours left", seconds.div_ceil(3600)),
    })
}

/// "14:05"
pub fn clock(ms: u64) -> String {
    local(ms).map_or_else(String::new, |at| at.strftime("%H:%M").to_string())
}

/// Same for all times of one local day: "2026-11-24".
pub fn day_key(ms: u64) -> String {
    local(ms).map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string())
}

/// "Today", "Yesterday", "Tuesday 24 November", with the year if it is another.
pub fn day(ms: u64, now: u64) -> String {
    let (Some(at), Some(now)) = (local(ms), local(now)) else {
        return String::new();
    };
    if at.date() == now.date() {
        return "Today".into();
    }
    if now
        .date()
        .yesterday()
        .is_ok_and(|yesterday| at.date() == yesterday)
    {
        return "Yesterday".into();
    }
    let form = if at.year() == now.year() {
        "%A %-d %B"
    } else {
        "%A %-d %B %Y"
    };
    at.strftime(form).to_string()
}

/// Short form for lists: the time today, else the day.
pub fn when(ms: u64, now: u64) -> String {
    let (Some(at), Some(now)) = (local(ms), local(now)) else {
        return String::new();
    };
    if at.date() == now.date() {
        return at.strftime("%H:%M").to_string();
    }
    let form = if at.year() == now.year() {
        "%-d %b"
    } else {
        "%-d %b %Y"
    };
    at.strftime(form).to_string()
}

fn local(ms: u64) -> Option<ZonedDateTime> {
    let at = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    Some(at.to_zoned_datetime(TimeZone::system()))
}

/// Whether somebody is there.
pub fn presence(contact: &Contact) -> &'static str {
    match (contact.relation, contact.presence) {
        (Relation::Requested, _) => "Request sent",
        (Relation::Blocked, _) => "Blocked",
        (Relation::Ended, _) => "Has deleted this account",
        (Relation::Removed, _) => "No longer a contact",
        (Relation::Contact, Presence::Online) => "Online",
        (Relation::Contact, Presence::Away) => "Away",
        (Relation::Contact, Presence::DoNotDisturb) => "Do not disturb",
        (Relation::Contact, Presence::Offline) => "Offline",
        (Relation::Contact, Presence::Unknown) => "Presence unknown",
    }
}

/// Style of the same.
pub fn presence_class(contact: &Contact) -> &'static str {
    match (contact.relation, contact.presence) {
        (Relation::Contact, Presence::Online) => "online",
        (Relation::Contact, Presence::Away) => "away",
        (Relation::Contact, Presence::DoNotDisturb) => "busy",
        (Relation::Contact, Presence::Offline) => "offline",
        _ => "unknown",
    }
}

/// What is known beyond that: in a call, or last seen then.
pub fn presence_more(contact: &Contact, now: u64) -> Option<String> {
    match contact.last_seen {
        _ if contact.relation != Relation::Contact => None,
        _ if contact.in_call => Some("in a call".into()),
        Some(at) if contact.presence == Presence::Offline => {
            Some(format!("last seen {}", when(at, now)))
        }
        _ => None,
    }
}

/// Where an outgoing message is.
pub fn delivery(state: Delivery, who: &str) -> String {
    match state {
        Delivery::Received => String::new(),
        Delivery::Sending => "Sending…".into(),
        Delivery::Waiting => format!("Waiting for {} to come online", plain(who)),
        Delivery::Delivered => "Delivered".into(),
    }
}

/// Where a call stands, when the node said nothing better.
pub fn call_state(state: CallState, outgoing: bool) -> &'static str {
    match state {
        CallState::Calling => "calling",
        CallState::Ringing if outgoing => "ringing there",
        CallState::Ringing => "is calling you",
        CallState::Connecting => "connecting",
        CallState::Established => "in call",
        CallState::Held => "on hold",
        CallState::Reconnecting => "connection lost, looking for another way",
        CallState::Ended => "ended",
    }
}

/// "Direct, 23 ms"
pub fn path(quality: &CallQuality) -> String {
    let way = match quality.path.as_str() {
        "direct" => "Direct",
        "forwarded" => "Forwarded (UDP)",
        "relay" => "Through a relay",
        other => other,
    };
    match quality.rtt_ms {
        Some(rtt) => format!("{way}, {rtt:.0} ms"),
        None => way.into(),
    }
}

/// What whoever looks into a call wants to know.
pub fn technical(quality: &CallQuality) -> String {
    format!(
        "{}, {:.0} kbit/s, protection {}; loss {:.1} %, jitter {:.0} ms, played {:.0} ms late, {} frames recovered, {} concealed; \
            estimated quality {:.1} of 4.5",
        plain(&quality.codec),
        f64::from(quality.bitrate) / 1_000.0,
        plain(&quality.protection),
        quality.loss_percent,
        quality.jitter_ms,
        quality.delay_ms,
        quality.recovered,
        quality.concealed,
        quality.mos
    )
}

/// "1 message", "2 messages"
pub fn count(n: u32, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

/// Whether a file of this name can run programs when opened.
pub fn can_run(file_name: &str) -> bool {
    const KINDS: [&str; 24] = [
        "exe", "msi", "bat", "cmd", "com", "scr", "ps1", "vbs", "js", "jar", "sh", "bash", "run",
        "py", "pl", "deb", "rpm", "appimage", "desktop", "dmg", "pkg", "apk", "lnk", "reg",
    ];
    let kind = file_name
        .rsplit_once('.')
        .map(|(_, kind)| kind.to_lowercase());
    kind.is_some_and(|kind| KINDS.contains(&kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        let sizes = [0, 999, 1000, 3_420_000, 34_200_000, 999_600, u64::MAX];
        let words = [
            "0 B", "999 B", "1.0 kB", "3.4 MB", "34 MB", "1.0 MB", "18447 PB",
        ];
        assert_eq!(sizes.map(bytes), words);
        assert_eq!(
            [7_000, 247_000, 3_847_000].map(timer),
            ["0:07", "4:07", "1:04:07"]
        );
        assert_eq!(left(1000, 0), None);
        assert_eq!(left(1000, 100).as_deref(), Some("10 seconds left"));
        assert_eq!(left(60_000, 100).as_deref(), Some("about 10 minutes left"));
    }

    #[test]
    fn days_are_named_from_today() {
        let now = 1_795_564_800_000; // a noon in UTC
        let day_ms = 24 * 3600 * 1000;
        assert_eq!(day(now, now), "Today");
        assert_eq!(day(now - day_ms, now), "Yesterday");
        assert!(day(now - 400 * day_ms, now).ends_with("2025"));
        assert_eq!(day(u64::MAX, now), "");
    }

    #[test]
    fn reordering_characters_become_visible_and_hrefs_are_encoded() {
        assert_eq!(plain("photo\u{202E}gpj.exe"), "photo\u{FFFD}gpj.exe");
        assert_eq!(name("<b>").into_string(), "<bdi>&lt;b&gt;</bdi>");
        assert_eq!(chat_href("a&b=\"ü"), "chat?with=a%26b%3D%22%C3%BC");
        assert_eq!(initial("  «alice»"), "A");
        assert_eq!(initial("🙂"), "?");
        assert!(can_run("Photo.JPG.Exe") && !can_run("exe"));
    }
}
