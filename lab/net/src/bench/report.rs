//! From samples to the table of budgets: median and spread, and whether the budget holds.

use std::fmt::Write as _;

use serde::Serialize;

use crate::bench::Findings;
use crate::bench::machine::Machine;
use crate::bench::rows::{LINK_MEANS, ROWS, Row, Source, Wish};

/// What a run found, ready to be written.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// What "link" means.
    pub link: &'static str,
    /// The table.
    pub lines: Vec<Line>,
    /// What belongs under it.
    pub remarks: Vec<String>,
}

/// One row, filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Its key.
    pub key: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// On which link.
    pub link: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// What has to hold.
    pub must: f64,
    /// Where we want to be.
    pub aim: f64,
    /// For scale.
    pub peers: &'static str,
    /// The figures, or why there are none.
    pub result: Outcome,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured {
        /// Middle sample.
        median: f64,
        /// Least sample.
        least: f64,
        /// Greatest sample.
        greatest: f64,
        /// How many samples.
        samples: usize,
        /// Whether the median keeps the budget.
        verdict: Verdict,
    },
    /// Its scenario did not run, or failed.
    NotRun,
    /// Where it stands, or what brings it.
    Elsewhere(&'static str),
}

/// How a figure stands to its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Where we want to be.
    Aim,
    /// As it has to be.
    Must,
    /// Missed.
    Missed,
}

impl Report {
    /// Fills the table in.
    pub fn new(machine: Machine, findings: &Findings) -> Self {
        Self {
            machine,
            link: LINK_MEANS,
            lines: ROWS
                .iter()
                .map(|row| fill(row, findings.samples(row.key)))
                .collect(),
            remarks: findings.remarks().to_vec(),
        }
    }

    /// With the lines of these scenarios only.
    #[must_use]
    pub fn only(mut self, names: &[String]) -> Self {
        let ran = |key: &str| {
            let source = ROWS.iter().find(|row| row.key == key).map(|row| row.source);
            matches!(source, Some(Source::Scenario(name)) if names.iter().any(|n| n == name))
        };
        self.lines.retain(|line| ran(line.key));
        self
    }

    /// As the head of the page, in Markdown.
    pub fn markdown(&self) -> String {
        let head = "# Benchmarks\n\nWritten by `make bench`; only its latest run stands here. Every figure is the median of \
             its samples, with the least and the greatest. A missed budget is written as missed.\n\n";
        head.to_owned() + &self.section()
    }

    /// Its part of the page, without a heading.
    pub fn section(&self) -> String {
        let mut page = self.circumstances();
        page.push_str(
            "\n| what | link | must | aim | measured | least - greatest (samples) | | peers |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for line in &self.lines {
            let [must, aim, measured, spread, verdict] = line.cells();
            let (what, link, peers) = (line.what, line.link, line.peers);
            let _ = writeln!(
                page,
                "| {what} | {link} | {must} | {aim} | {measured} | {spread} | {verdict} | {peers} |"
            );
        }
        for remark in &self.remarks {
            let _ = write!(page, "\n- {remark}");
        }
        page.push('\n');
        page
    }

    /// As text for a terminal.
    pub fn text(&self) -> String {
        let mut text = self.circumstances();
        for line in &self.lines {
            let [must, aim, measured, spread, verdict] = line.cells();
            let _ = writeln!(
                text,
                "{}\n    {}: {measured} {verdict}  [{spread}]  must {must}, aim {aim}{}{}",
                line.what,
                line.link,
                if line.peers.is_empty() { "" } else { "; " },
                line.peers
            );
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "{remark}");
        }
        text
    }

    fn circumstances(&self) -> String {
        let machine = &self.machine;
        format!(
            "- {}, commit {}, {} build\n- {}, {} cores, {} GB, Linux {}, load {:.1} before the run\n- link: {}\n",
            machine.date,
            machine.commit,
            machine.profile,
            machine.processor,
            machine.cores,
            machine.memory_gb,
            machine.kernel,
            machine.load,
            self.link
        )
    }
}

impl Line {
    /// Must, aim, measured, spread, verdict.
    fn cells(&self) -> [String; 5] {
        let with_unit = |value| {
            format!("{} {}", number(value), self.unit)
                .trim_end()
                .to_owned()
        };
        let (must, aim) = (with_unit(self.must), with_unit(self.aim));
        let (measured, spread, verdict) = match &self.result {
            Outcome::Measured {
                median,
                least,
                greatest,
                samples,
                verdict,
            } => (
                with_unit(*median),
                format!("{} - {} ({samples})", number(*least), number(*greatest)),
                verdict.word(),
            ),
            Outcome::NotRun => ("not run".to_owned(), String::new(), ""),
            Outcome::Elsewhere(what) => ((*what).to_owned(), String::new(), ""),
        };
        [must, aim, measured, spread, verdict.to_owned()]
    }
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Aim => "aim",
            Self::Must => "holds",
            Self::Missed => "**missed**",
        }
    }
}

fn fill(row: &Row, samples: &[f64]) -> Line {
    let result = match row.source {
        Source::Elsewhere(what) => Outcome::Elsewhere(what),
        Source::Scenario(_) if samples.is_empty() => Outcome::NotRun,
        Source::Scenario(_) => measured(row, samples),
    };
    Line {
        key: row.key,
        what: row.what,
        link: row.link,
        unit: row.unit,
        must: row.must,
        aim: row.aim,
        peers: row.peers,
        result,
    }
}

fn measured(row: &Row, samples: &[f64]) -> Outcome {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
    let keeps = |limit: f64| match row.wish {
        Wish::Less => median <= limit,
        Wish::More => median >= limit,
    };
    Outcome::Measured {
        median,
        least: sorted[0],
        greatest: sorted[sorted.len() - 1],
        samples: sorted.len(),
        verdict: if keeps(row.aim) {
            Verdict::Aim
        } else if keeps(row.must) {
            Verdict::Must
        } else {
            Verdict::Missed
        },
    }
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(wish: Wish) -> Row {
        Row {
            wish,
            must: 10.0,
            aim: if wish == Wish::Less { 5.0 } else { 20.0 },
            ..ROWS[0]
        }
    }

    fn verdict(wish: Wish, samples: &[f64]) -> (f64, Verdict) {
        match measured(&row(wish), samples) {
            Outcome::Measured {
                median, verdict, ..
            } => (median, verdict),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_median_is_held_against_the_budget() {
        assert_eq!(verdict(Wish::Less, &[4.0, 100.0, 3.0]), (4.0, Verdict::Aim));
        assert_eq!(verdict(Wish::Less, &[8.0, 6.0]), (7.0, Verdict::Must));
        assert_eq!(verdict(Wish::Less, &[10.1]), (10.1, Verdict::Missed));
        assert_eq!(verdict(Wish::More, &[20.0]), (20.0, Verdict::Aim));
        assert_eq!(verdict(Wish::More, &[10.0]), (10.0, Verdict::Must));
        assert_eq!(verdict(Wish::More, &[9.9]), (9.9, Verdict::Missed));
    }

    #[test]
    fn a_page_has_every_row_and_says_what_is_missing() {
        let mut findings = Findings::default();
        findings.add("online", 2000.0);
        findings.remark("One sentence.".into());
        let page = Report::new(Machine::here(), &findings).markdown();
        let tabled = page.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(tabled, ROWS.len() + 2);
        assert!(
            page.contains("| 2000 ms | 2000 - 2000 (1) | **missed** |"),
            "{page}"
        );
        assert!(page.contains("not run") && page.contains("comes with part"));
        assert!(page.ends_with("- One sentence.\n"));
    }

    #[test]
    fn some_scenarios_have_their_own_rows_only() {
        let report = Report::new(Machine::here(), &Findings::default());
        let section = report.only(&["online".to_owned()]).section();
        let tabled = section
            .lines()
            .filter(|line| line.starts_with("| "))
            .count();
        assert_eq!(tabled, 2 + 2, "{section}");
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(
            [1234.5, 12.34, 1.234, 0.0123].map(number),
            ["1234", "12.3", "1.23", "0.012"]
        );
    }
}
