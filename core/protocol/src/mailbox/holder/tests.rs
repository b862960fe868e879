//! A holder asked by Alice, Bob and others, with a disk that survives it.

mod boxes;
mod deciding;
mod desk;
mod letters;

use std::sync::Arc;

use starling_wire::ids::EpochTag;
use starling_wire::log::Kind;
use starling_wire::log::frames::{About, Answer, Ask, Refusal};
use starling_wire::ordering::Slot;

use self::desk::{Desk, generation};
use super::*;

const FIRST: EpochTag = EpochTag([1; 16]);
const SECOND: EpochTag = EpochTag([2; 16]);
const SLOT: Slot = Slot {
    epoch: FIRST,
    attempt: 0,
};
const COMMIT: Kind = Kind::Commit { next: SECOND };
const TODAY: u32 = 20_800;
const ALICE: Connection = Connection(1);
const BOB: Connection = Connection(2);
const CAROL: Connection = Connection(3);

fn body(byte: u8, bytes: usize) -> Arc<[u8]> {
    vec![byte; bytes].into()
}

fn seconds(n: u64) -> Time {
    Duration::from_secs(n)
}

/// The one refusal that was said, and to whom.
fn refusals(answers: &[(Connection, Answer)]) -> Vec<(Connection, Refusal)> {
    let refused = |(who, answer): &(Connection, Answer)| match answer {
        Answer::Refused(_, why) => Some((*who, *why)),
        _ => None,
    };
    answers.iter().filter_map(refused).collect()
}
