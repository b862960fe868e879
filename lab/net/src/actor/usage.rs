//! What a process uses, from the kernel (proc_pid_stat(5), proc_pid_status(5)): processor time,
//! resident memory, threads and open files.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// What a process had used at a moment.
#[derive(Debug, Clone)]
pub struct Usage {
    at: Instant,
    /// Time on a processor, by thread.
    threads: BTreeMap<u32, Duration>,
    /// Resident memory in bytes.
    pub rss: u64,
    /// The part of it that is no file's.
    pub anonymous: u64,
    /// Open files, sockets among them.
    pub files: usize,
}

impl Usage {
    /// How many threads it has.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Share of one core used since `earlier`, 0..; what threads used that ended meanwhile is not seen.
    pub fn cpu_since(&self, earlier: &Self) -> f64 {
        let used: Duration = self
            .threads
            .iter()
            .map(|(thread, now)| {
                now.saturating_sub(earlier.threads.get(thread).copied().unwrap_or_default())
            })
            .sum();
        used.as_secs_f64() / self.at.duration_since(earlier.at).as_secs_f64().max(1e-9)
    }
}

/// Reads what the process has used so far.
pub fn of(pid: u32) -> io::Result<Usage> {
    let at = Instant::now();
    let mut threads = BTreeMap::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        // A thread may end between the listing and the reading.
        let Ok(statistics) = std::fs::read_to_string(task.path().join("schedstat")) else {
            continue;
        };
        let nanoseconds = statistics.split_whitespace().next().map(str::parse);
        if let (Ok(thread), Some(Ok(nanoseconds))) =
            (task.file_name().to_string_lossy().parse(), nanoseconds)
        {
            threads.insert(thread, Duration::from_nanos(nanoseconds));
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let missing = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "no memory figures in its status",
        )
    };
    Ok(Usage {
        at,
        threads,
        rss: kilobytes(&status, "VmRSS:").ok_or_else(missing)? * 1024,
        anonymous: kilobytes(&status, "RssAnon:").ok_or_else(missing)? * 1024,
        files: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
    })
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_and_memory_is_plausible() {
        let before = of(std::process::id()).expect("our own figures");
        let started = Instant::now();
        let mut sum = 0_u64;
        while started.elapsed() < Duration::from_millis(50) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = of(std::process::id()).expect("our own figures");
        assert!(
            after.cpu_since(&before) > 0.05,
            "{:?}",
            after.cpu_since(&before)
        );
        assert!((1 << 20..1 << 32).contains(&after.rss), "{}", after.rss);
        assert!(after.anonymous <= after.rss);
        assert!(after.threads() >= 1 && after.files >= 3);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(of(u32::MAX).is_err());
    }
}
