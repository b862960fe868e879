//! Many calls in a row on one pair of nodes, each calling in turn: whether memory, threads and open files of both stay as they are,
//! and whether every call is heard both ways and ends.

use std::thread;
use std::time::{Duration, Instant};

use crate::Line;
use crate::actor::usage::Usage;
use crate::actor::{Actor, ActorError};
use crate::bench::stage::LinkStage;
use crate::series::once::{Booth, Failed, call};
use crate::series::percentile;

pub use crate::series::table::long as table;

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(100);
/// Progress is told so often.
const TOLD: usize = 50;
/// The first tenth fills caches and does not count; a tenth is compared with another.
const TENTH: usize = 10;
/// Memory may grow by so much and still be called flat.
pub const FLAT: f64 = 0.05;

/// What a node used after a call.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Resident memory in bytes.
    pub rss: u64,
    /// Threads.
    pub threads: usize,
    /// Open files.
    pub files: usize,
}

/// What came of all calls.
#[derive(Debug)]
pub struct Outcome {
    /// How many were tried.
    pub calls: usize,
    /// How long all of them took.
    pub took: Duration,
    /// Those that failed, with their number.
    pub failed: Vec<(usize, Failed)>,
    /// After each call, of the first person and of the second.
    pub samples: [Vec<Sample>; 2],
}

/// How a figure stood in the second tenth of the calls, in the last, and at most after the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Median of the second tenth.
    pub early: f64,
    /// Median of the last tenth.
    pub late: f64,
    /// The greatest after the first tenth.
    pub most: f64,
}

/// Makes so many calls.
pub fn measure(calls: usize, tell: &mut dyn FnMut(&str)) -> Result<Outcome, ActorError> {
    let stage = LinkStage::build(Line::reference())?;
    let booth = Booth::open(stage.folder.path())?;
    let (alice, bob) = (&stage.cast.alice, &stage.cast.bob);
    let began = Instant::now();
    let mut outcome = Outcome {
        calls,
        took: Duration::ZERO,
        failed: Vec::new(),
        samples: [Vec::new(), Vec::new()],
    };
    for number in 1..=calls {
        let pair = if number % 2 == 1 {
            [alice, bob]
        } else {
            [bob, alice]
        };
        if let Err(failed) = call(&booth, pair, None) {
            tell(&format!("call {number}: {failed}"));
            outcome.failed.push((number, failed));
        }
        thread::sleep(PAUSE);
        for (samples, person) in outcome.samples.iter_mut().zip([alice, bob]) {
            samples.push(sample(person)?);
        }
        if number % TOLD == 0 {
            let last = outcome.samples.each_ref().map(|all| all.last().copied());
            let seconds = began.elapsed().as_secs();
            tell(&format!("{number} calls after {seconds} s: {last:?}"));
        }
    }
    outcome.took = began.elapsed();
    stage.cast.dismiss()?;
    Ok(outcome)
}

fn sample(person: &Actor) -> Result<Sample, ActorError> {
    let usage: Usage = person.usage()?;
    Ok(Sample {
        rss: usage.rss,
        threads: usage.threads(),
        files: usage.files,
    })
}

impl Outcome {
    /// A figure of one of the two, if there were calls enough.
    pub fn course(&self, who: usize, of: fn(&Sample) -> f64) -> Option<Course> {
        let figures: Vec<f64> = self.samples[who].iter().map(of).collect();
        course(&figures)
    }

    /// Whether every call was heard both ways and memory is flat at both.
    pub fn is_good(&self) -> bool {
        let is_flat = |who| {
            self.course(who, |sample| sample.rss as f64)
                .is_some_and(|course| course.growth() <= FLAT)
        };
        self.failed.is_empty() && is_flat(0) && is_flat(1)
    }
}

impl Course {
    /// From the second tenth to the last.
    pub fn growth(&self) -> f64 {
        self.late / self.early - 1.0
    }
}

fn course(figures: &[f64]) -> Option<Course> {
    let tenth = figures.len() / TENTH;
    let settled = figures.get(tenth..)?;
    let last = settled.get(settled.len().checked_sub(tenth)?..)?;
    Some(Course {
        early: percentile(settled.get(..tenth)?, 50)?,
        late: percentile(last, 50)?,
        most: percentile(settled, 100)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_seen_and_the_first_tenth_does_not_count() {
        let mut figures = vec![10.0; 10];
        figures.extend(vec![100.0; 80]);
        figures.extend(vec![110.0; 10]);
        let found = course(&figures).unwrap();
        let expected = Course {
            early: 100.0,
            late: 110.0,
            most: 110.0,
        };
        assert_eq!(found, expected);
        assert!(found.growth() > FLAT);
        assert_eq!(course(&[1.0; 5]), None);
    }
}
