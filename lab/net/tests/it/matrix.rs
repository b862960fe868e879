//! Real nodes call each other through every kind of access: a covering part of the matrix that `make lab` runs. For each way
//! in which two can reach each other, and each router, there is a pair.

use std::time::Duration;

use starling_lab_net::Line;
use starling_lab_net::matrix::{Kind, Stage, Way};

use crate::LabTest;

/// What `main` runs.
pub const TESTS: &[LabTest] = &[
    ("nat_open_x_home", || {
        is(Kind::Open, Kind::Home, Way::Reversed)
    }),
    ("nat_home_x_full_cone", || {
        is(Kind::Home, Kind::FullCone, Way::Direct)
    }),
    ("nat_symmetric_x_full_cone", || {
        is(Kind::Symmetric, Kind::FullCone, Way::Direct)
    }),
    ("nat_symmetric_x_home", || {
        is(Kind::Symmetric, Kind::Home, Way::Forwarded)
    }),
    ("nat_symmetric_x_symmetric", || {
        is(Kind::Symmetric, Kind::Symmetric, Way::Forwarded)
    }),
    ("nat_cgnat_x_home", || {
        is(Kind::Cgnat, Kind::Home, Way::Punched)
    }),
    ("nat_proxy_only_x_udp_blocked", || {
        is(Kind::ProxyOnly, Kind::UdpBlocked, Way::Relayed)
    }),
];

/// Without a connection, sound may come 1 s after the call (DESIGN 5); tests allow five times that.
const CONNECTED: Duration = Duration::from_secs(5);

/// The two connect, that way, which is also the one predicted from what plain sockets saw.
fn is(caller: Kind, callee: Kind, way: Way) {
    let stage = Stage::build(&[caller], &[callee], Line::reference()).unwrap();
    eprintln!("{:?}", stage.behaviours());
    let cast = stage.enter().unwrap();
    cast.befriend().unwrap();
    let pair = cast.pair(0, 0);
    eprintln!("{pair:?}");
    let measured = pair.outcome.as_ref().unwrap();
    assert_eq!([measured.way, pair.predicted], [way, way]);
    assert!(measured.connected < CONNECTED, "{:?}", measured.connected);
    assert_eq!(cast.warnings(), Vec::<String>::new());
    cast.dismiss().unwrap();
}
