//! Durations from the moments at which the lines of a test binary appear.
//!
//! libtest starts the tests in the order of `--list` and keeps `threads` of them running: the first
//! `threads` start at once, and each result lets the next one start. So test `n` starts with result
//! number `n - threads`.

use std::collections::BTreeMap;
use std::time::Duration;

/// A test's result has appeared.
#[derive(Debug, PartialEq)]
pub struct Done {
    name: String,
    /// Since the binary started.
    at: Duration,
}

/// Reads `name: test`, one a line.
pub fn listed(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

/// Reads the lines of a test binary one after another.
#[derive(Debug, Default)]
pub struct Lines {
    /// A test that has begun a line and written to it itself; its result stands on a line of its own.
    open: Option<String>,
}

impl Lines {
    /// Reads `test name ... ok`, or `FAILED`, or `ignored`; nothing from any other line.
    pub fn read(&mut self, line: &str, at: Duration) -> Option<Done> {
        let Some((name, rest)) = line
            .strip_prefix("test ")
            .and_then(|l| l.split_once(" ... "))
        else {
            let is_result = ["ok", "FAILED"].contains(&line);
            let name = self.open.take_if(|_| is_result)?;
            return Some(Done { name, at });
        };
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        // libtest-mimic fills short names up with spaces.
        let name = name.trim_end().to_owned();
        if ["ok", "FAILED", "ignored"]
            .iter()
            .any(|r| rest.starts_with(r))
        {
            return Some(Done { name, at });
        }
        self.open = Some(name);
        None
    }
}

/// How long each test took; nothing about one whose result did not appear.
pub fn durations(order: &[String], done: &[Done], threads: usize) -> Vec<(String, Duration)> {
    let place: BTreeMap<&str, usize> = order
        .iter()
        .enumerate()
        .map(|(place, name)| (name.as_str(), place))
        .collect();
    let known: Vec<(usize, &Done)> = done
        .iter()
        .filter_map(|one| Some((*place.get(one.name.as_str())?, one)))
        .collect();
    let started = |place: usize| {
        let before = place.checked_sub(threads).and_then(|n| known.get(n));
        before.map_or(Duration::ZERO, |(_, one)| one.at)
    };
    known
        .iter()
        .map(|(place, one)| (one.name.clone(), one.at.saturating_sub(started(*place))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_result_is_told_from_other_lines() {
        let name = |line| Lines::default().read(line, ms(1)).map(|done| done.name);
        assert_eq!(name("test a::b ... ok").unwrap(), "a::b");
        assert_eq!(name("test a - should panic ... ok").unwrap(), "a");
        assert_eq!(name("test a ... ignored, needs a sound card").unwrap(), "a");
        assert_eq!(name("test a    ... FAILED").unwrap(), "a");
        assert_eq!(name("test result: ok. 3 passed; 0 failed"), None);
        assert_eq!(name("test the water ... it is cold"), None);
        assert_eq!(name("running 3 tests"), None);
        assert_eq!(name("ok"), None);
    }

    #[test]
    fn a_test_may_write_before_its_result() {
        let mut lines = Lines::default();
        assert_eq!(lines.read("test a ... round trip 50 ms", ms(1)), None);
        assert_eq!(lines.read("and more", ms(2)), None);
        let name = "a".to_owned();
        assert_eq!(lines.read("ok", ms(3)), Some(Done { name, at: ms(3) }));
        assert_eq!(lines.read("ok", ms(4)), None);
    }

    #[test]
    fn a_list_holds_tests_only() {
        let output = "a: test\nb::c: test\nd: benchmark\n\n2 tests, 1 benchmark\n";
        assert_eq!(listed(output), ["a", "b::c"]);
    }

    #[test]
    fn a_test_starts_when_a_place_is_free() {
        let order = ["a", "b", "c", "d"].map(str::to_owned);
        // Two places: c starts when b has ended at 10, d when a has ended at 50.
        let done = [("b", 10), ("a", 50), ("c", 70), ("d", 75)].map(|(name, at)| Done {
            name: name.to_owned(),
            at: ms(at),
        });
        let expected = [("b", 10), ("a", 50), ("c", 60), ("d", 25)];
        let expected = expected.map(|(name, took)| (name.to_owned(), ms(took)));
        assert_eq!(durations(&order, &done, 2), expected);
    }

    #[test]
    fn a_line_that_only_looks_like_a_result_changes_nothing() {
        let order = ["a".to_owned()];
        let read = |line, at| Lines::default().read(line, ms(at));
        let done = [read("test x ... ok", 1), read("test a ... ok", 4)];
        let done: Vec<Done> = done.into_iter().flatten().collect();
        assert_eq!(durations(&order, &done, 1), [("a".to_owned(), ms(4))]);
    }
}
