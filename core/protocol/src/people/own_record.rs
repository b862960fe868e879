//! What a device learns from a record of its own account that it did not sign itself. The record was verified before.

use starling_wire::limits::SEQUENCE_MAX;
use starling_wire::record::AccountRecord;
use starling_wire::speaker::Speaker;

/// A number further ahead of the clock than this, in seconds, is not one that a device of ours reached.
const AHEAD_MAX_S: u64 = 2 * 24 * 3600;

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// This device is none of the account's any more, or the account is no more.
    Out,
    /// The next number of ours comes after this one.
    GoOn(u64),
    /// Numbers from before or after another recovery, or beyond all clocks, say nothing of ours.
    Nothing,
}

/// Decides (`RECORD-16`, `RECORD-17`). `own` speaks for the account as this device knows it; `now` is Unix seconds.
pub fn lesson(record: &AccountRecord, own: &Speaker, now: u64) -> Lesson {
    // RECORD-16: the recovery key has spoken elsewhere, or this was the last record.
    if record.by.recoveries() > own.recoveries() {
        return Lesson::Out;
    }
    if record.by != *own {
        return Lesson::Nothing;
    }
    match record.sequence {
        SEQUENCE_MAX => Lesson::Out,
        // RECORD-17: whoever has a stolen key cannot use up the numbers.
        sequence if sequence > now + AHEAD_MAX_S => Lesson::Nothing,
        sequence => Lesson::GoOn(sequence),
    }
}

#[cfg(test)]
mod tests {
    use starling_wire::account::{Chain, Founding};
    use starling_wire::ids::DeviceId;

    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DESK: DeviceId = DeviceId([3; 32]);

    fn founding() -> Founding {
        Founding::new(&[1; 32])
    }

    fn recovered(number: u16) -> Chain {
        let words = founding();
        let signing = Founding::new(&[2; 32]).signing.verifying_key();
        let inception = words.inception();
        inception.recover(&words.recovery, number, &signing, (DESK, "desk"))
    }

    fn record(chain: &Chain, sequence: u64) -> AccountRecord {
        AccountRecord {
            by: chain.speaker(),
            head: chain.head(),
            request_key: [0; 32],
            home: Vec::new(),
            sequence,
            expires: NOW + 1,
        }
    }

    #[test]
    fn record_16_a_later_recovery_or_the_last_number_mean_that_this_device_is_out() {
        let first = founding().found(DESK, "desk");
        let own = first.speaker();
        assert_eq!(lesson(&record(&recovered(1), 5), &own, NOW), Lesson::Out);
        assert_eq!(
            lesson(&record(&first, SEQUENCE_MAX), &own, NOW),
            Lesson::Out
        );
        assert_eq!(lesson(&record(&first, NOW), &own, NOW), Lesson::GoOn(NOW));
        let after = recovered(2).speaker();
        for old in [record(&recovered(1), 5), record(&first, SEQUENCE_MAX)] {
            assert_eq!(lesson(&old, &after, NOW), Lesson::Nothing, "that is over");
        }
    }

    #[test]
    fn record_17_a_number_beyond_all_clocks_is_not_gone_on_from() {
        let first = founding().found(DESK, "desk");
        let own = first.speaker();
        let ahead = |seconds: u64| lesson(&record(&first, NOW + seconds), &own, NOW);
        assert_eq!(ahead(AHEAD_MAX_S), Lesson::GoOn(NOW + AHEAD_MAX_S));
        assert_eq!(ahead(AHEAD_MAX_S + 1), Lesson::Nothing);
    }
}
