//! On what and of what a benchmark was run. Best effort: what cannot be found out is said to be unknown.

use std::process::Command;

use serde::Serialize;

/// The circumstances of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// Day and time, UTC.
    pub date: String,
    /// What was measured; "+" where the working copy had changes.
    pub commit: String,
    /// "release" or "dev".
    pub profile: &'static str,
    /// Processor.
    pub processor: String,
    /// Cores.
    pub cores: usize,
    /// Memory in GB.
    pub memory_gb: u64,
    /// Kernel.
    pub kernel: String,
    /// Processes that wanted a core, on average over a minute, before the run.
    pub load: f64,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        Self {
            date: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
            commit: commit(),
            profile: if cfg!(debug_assertions) {
                "dev"
            } else {
                "release"
            },
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .unwrap_or_default()
                .div_ceil(1_000_000),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            load: read("/proc/loadavg")
                .and_then(|text| text.split_whitespace().next()?.parse().ok())
                .unwrap_or_default(),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn read(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The value of the first line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return unknown();
    };
    // The table that a run writes is no change of what it measures.
    let changes = git(&["status", "--porcelain", "--", ":!docs/benchmarks.md"]);
    if changes.is_none_or(|changes| changes.is_empty()) {
        commit
    } else {
        commit + "+"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let machine = Machine::here();
        assert!(machine.memory_gb > 0 && machine.cores > 0, "{machine:?}");
        assert!(
            machine.kernel.contains('.') && machine.date.ends_with("UTC"),
            "{machine:?}"
        );
    }
}
