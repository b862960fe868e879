//! File descriptors: every connection, file and device this process holds open is one. A usual soft limit of 1,024 suits
//! programs with few; the hard limit, which the administrator sets, is what we may ask for.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::debug;

/// Enough for everything this program bounds itself. More would only slow down programs we start that close them all.
const WANTED: u64 = 65_536;

/// Raises the soft limit as far as the hard limit and our wants go; never lowers it.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    let Some(soft) = limit.current.filter(|soft| *soft < WANTED) else {
        return;
    };
    let wanted = limit.maximum.map_or(WANTED, |hard| hard.min(WANTED));
    limit.current = Some(wanted.max(soft));
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        debug!(%error, "the limit of open files stays as it is");
    }
}

/// How many this process may hold open.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_as_far_as_it_goes_and_no_further() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let before = limit();
        raise();
        assert_eq!(limit(), before.max(hard.min(WANTED)));
        raise();
        assert_eq!(limit(), before.max(hard.min(WANTED)), "once is enough");
    }
}
