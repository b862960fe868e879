//! The NAT matrix: real nodes behind every kind of access call real nodes behind every kind, over a line with the reference
//! delay. `make lab` runs it; small ones are tests. Terms are RFC 4787's.
//!
//! Each kind has two machines, one that calls and one that is called, so that no two calls share a pair of machines. The
//! public network is a [`Net`](crate::Net); routers stand on its hosts.

pub mod access;
pub mod behaviour;
mod call;
pub mod proxy;
mod stage;
mod table;

use std::time::{Duration, Instant};

use crate::Line;
use crate::actor::ActorError;

pub use access::Kind;
pub use behaviour::{Behaviour, Way};
pub use call::Measured;
pub use stage::{Cast, Stage};
pub use table::markdown;

/// From the beginning of one call to that of the next. A machine is used again after six others at the earliest, and its
/// inner endpoint closes 30 s after its last call: every call begins without one.
const PACE: Duration = Duration::from_secs(7);

/// One ordered pair.
#[derive(Debug)]
pub struct Pair {
    /// What the caller is behind.
    pub caller: Kind,
    /// What the called is behind.
    pub callee: Kind,
    /// What their routers' behaviour lets expect.
    pub predicted: Way,
    /// What came, or why nothing did.
    pub outcome: Result<Measured, String>,
}

impl Pair {
    /// Whether they spoke with each other.
    pub fn connected(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Whether it came as predicted.
    pub fn as_predicted(&self) -> bool {
        self.outcome
            .as_ref()
            .is_ok_and(|measured| measured.way == self.predicted)
    }
}

/// A whole run.
#[derive(Debug)]
pub struct Matrix {
    /// Every kind of access with the behaviour that plain sockets found.
    pub kinds: Vec<(Kind, Behaviour)>,
    /// All pairs, by caller and callee.
    pub pairs: Vec<Pair>,
    /// How long it took.
    pub took: Duration,
}

/// Lets a machine behind each of the kinds call one behind each; each line of progress goes to `tell`.
pub fn run(kinds: &[Kind], tell: &mut dyn FnMut(&str)) -> Result<Matrix, ActorError> {
    let began = Instant::now();
    let stage = Stage::build(kinds, kinds, Line::reference())?;
    let seen = stage.behaviours().to_vec();
    for (kind, behaviour) in &seen {
        tell(&format!("{kind}: {behaviour}"));
    }
    let cast = stage.enter()?;
    tell(&format!(
        "all are registered after {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    cast.befriend()?;
    tell(&format!(
        "all know each other after {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    let count = kinds.len();
    let mut pairs = Vec::new();
    // Like a Latin square: in each round everybody calls once and is called once.
    for round in 0..count {
        for caller in 0..count {
            let begin = Instant::now();
            let pair = cast.pair(caller, (caller + round) % count);
            tell(&table::line(&pair));
            pairs.push(pair);
            std::thread::sleep(PACE.saturating_sub(begin.elapsed()));
        }
    }
    cast.dismiss()?;
    pairs.sort_by_key(|pair| (pair.caller, pair.callee));
    Ok(Matrix {
        kinds: seen,
        pairs,
        took: began.elapsed(),
    })
}
