//! Lengths of time as people type them: `10s`, `1m30s`, `500ms`, `2h`; a number alone is seconds.

use std::time::Duration;

/// A call is not limited to more than a day.
const MAX: Duration = Duration::from_secs(24 * 3600);

/// Reads a length of time.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is no length of time; say for example 10s, 1m30s or 500ms");
    if let Ok(seconds) = text.parse::<u32>() {
        return bounded(Duration::from_secs(seconds.into())).ok_or_else(too_long);
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        sum = bounded(sum + unit_length(unit).ok_or_else(wrong)?.saturating_mul(number))
            .ok_or_else(too_long)?;
        rest = tail;
    }
    if sum.is_zero() { Err(wrong()) } else { Ok(sum) }
}

fn unit_length(unit: &str) -> Option<Duration> {
    Some(match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" | "min" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return None,
    })
}

fn bounded(length: Duration) -> Option<Duration> {
    (length <= MAX).then_some(length)
}

fn too_long() -> String {
    "that is longer than a day".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_people_write_them() {
        for (text, ms) in [
            ("10s", 10_000),
            ("10", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("2min", 120_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in [
            "",
            "s",
            "10x",
            "-1s",
            "1.5s",
            "0s",
            "ten",
            "10s s",
            "99999999999s",
            "1s2",
        ] {
            assert!(parse(text).unwrap_err().contains("10s"), "{text}");
        }
        for text in ["25h", "4294967295h", "99999999"] {
            assert!(parse(text).unwrap_err().contains("day"), "{text}");
        }
    }
}
