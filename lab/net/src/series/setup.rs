//! How soon a call is heard, for each way in which two can reach each other: warm, a second after their last call, and cold, when every
//! connection between them is closed. All ways are measured at once, each with people of its own.

use std::thread;
use std::time::{Duration, Instant};

use crate::Line;
use crate::actor::ActorError;
use crate::matrix::{Cast, Kind, Stage};
use crate::series::once::{Booth, Failed, Made, call};
use crate::story;

pub use crate::series::table::setup as table;

/// Between two calls of a pair that are warm.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections close after 30 s of silence, the inner endpoint 30 s after its last use.
const COLD: Duration = Duration::from_secs(36);

/// How two people reach each other.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// In the table.
    pub about: &'static str,
    /// What the caller and the called are behind.
    pub kinds: [Kind; 2],
    /// What a node calls the path that the call comes to.
    pub path: &'static str,
}

/// All of them.
pub const WAYS: [Way; 5] = [
    Way {
        about: "direct: no routers",
        kinds: [Kind::Open, Kind::Open],
        path: "direct",
    },
    Way {
        about: "direct: both behind home routers (punched)",
        kinds: [Kind::Home, Kind::Home],
        path: "direct",
    },
    Way {
        about: "forwarded: symmetric and home router",
        kinds: [Kind::Symmetric, Kind::Home],
        path: "forwarded",
    },
    Way {
        about: "relayed: home router, and one without UDP",
        kinds: [Kind::Home, Kind::UdpBlocked],
        path: "relay",
    },
    Way {
        about: "UDP blocked at both",
        kinds: [Kind::UdpBlocked, Kind::UdpBlocked],
        path: "relay",
    },
];

/// What came of a way's calls.
#[derive(Debug)]
pub struct Outcome {
    /// Which way.
    pub way: Way,
    /// Whether they were connected a second before, or not at all.
    pub warm: bool,
    /// Calls in which both heard each other.
    pub made: Vec<Made>,
    /// The others.
    pub failed: Vec<Failed>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Pairs of people for each way.
    pub pairs: usize,
    /// Warm calls and as many cold ones for each pair.
    pub calls: usize,
}

/// Measures all ways at once.
pub fn measure(
    ways: &[Way],
    order: Order,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<Outcome>, ActorError> {
    thread::scope(|scope| {
        let ways: Vec<_> = ways
            .iter()
            .map(|way| scope.spawn(move || one_way(*way, order, tell)))
            .collect();
        let mut outcomes = Vec::new();
        for way in ways {
            let done = way.join();
            outcomes.extend(done.map_err(|_| ActorError::Story("a way broke off".into()))??);
        }
        Ok(outcomes)
    })
}

fn one_way(
    way: Way,
    order: Order,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<[Outcome; 2], ActorError> {
    let [callers, callees] = way.kinds.map(|kind| vec![kind; order.pairs]);
    let cast = Stage::build(&callers, &callees, Line::reference())?.enter()?;
    for pair in 0..order.pairs {
        let [caller, callee] = cast.two(pair);
        story::befriend(caller, callee)?;
    }
    tell(&format!("{}: all are there", way.about));
    let booth = Booth::open(cast.folder())?;
    let mut series = Series {
        way,
        cast: &cast,
        booth,
        over: vec![Instant::now(); order.pairs],
        tell,
    };
    let warm = series.warm(order);
    let cold = series.cold(order);
    drop(series);
    cast.dismiss()?;
    Ok([warm, cold])
}

/// The calls of one way.
struct Series<'a> {
    way: Way,
    cast: &'a Cast,
    booth: Booth,
    /// When each pair's last call was over.
    over: Vec<Instant>,
    tell: &'a (dyn Fn(&str) + Sync),
}

impl Series<'_> {
    /// A second apart, after one that does not count.
    fn warm(&mut self, order: Order) -> Outcome {
        let mut outcome = self.outcome(true);
        for pair in 0..order.pairs {
            if let Err(failed) = self.call(pair) {
                (self.tell)(&format!("{}: first call {failed}", self.way.about));
            }
            for _ in 0..order.calls {
                thread::sleep(PAUSE);
                self.note(pair, &mut outcome);
            }
        }
        outcome
    }

    /// The pairs in turn, so that each has been silent for long enough.
    fn cold(&mut self, order: Order) -> Outcome {
        let mut outcome = self.outcome(false);
        for _ in 0..order.calls {
            for pair in 0..order.pairs {
                thread::sleep(COLD.saturating_sub(self.over[pair].elapsed()));
                self.note(pair, &mut outcome);
            }
        }
        outcome
    }

    fn note(&mut self, pair: usize, outcome: &mut Outcome) {
        match self.call(pair) {
            Ok(made) => outcome.made.push(made),
            Err(failed) => {
                let (about, warm) = (self.way.about, outcome.warm);
                (self.tell)(&format!("{about}, warm {warm}, pair {pair}: {failed}"));
                outcome.failed.push(failed);
            }
        }
        let count = outcome.made.len() + outcome.failed.len();
        if count.is_multiple_of(25) {
            let temperature = if outcome.warm { "warm" } else { "cold" };
            (self.tell)(&format!("{}: {count} {temperature} calls", self.way.about));
        }
    }

    fn call(&mut self, pair: usize) -> Result<Made, Failed> {
        let made = call(&self.booth, self.cast.two(pair), Some(self.way.path));
        self.over[pair] = Instant::now();
        made
    }

    fn outcome(&self, warm: bool) -> Outcome {
        Outcome {
            way: self.way,
            warm,
            made: Vec::new(),
            failed: Vec::new(),
        }
    }
}
