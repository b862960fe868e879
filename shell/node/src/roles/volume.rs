//! What was carried for others this month, kept over restarts: a volume cap counts by calendar month (UTC).

use serde::{Deserialize, Serialize};
use starling_store::{StoreError, Tx, settings};

const SETTING: &str = "carried";
const DAY_S: u64 = 24 * 3600;

/// Bytes of one month, both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Months since year 0.
    month: u64,
    bytes: u64,
    /// What the meter had shown when it was counted last; of this process only.
    #[serde(skip)]
    counted: u64,
}

impl Volume {
    /// As it was kept. What cannot be read counts as nothing.
    pub fn load(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let text = settings::get(tx, SETTING)?.unwrap_or_default();
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Keeps it.
    pub fn store(self, tx: &Tx<'_>) -> Result<(), StoreError> {
        let text = serde_json::to_string(&self);
        let text = text.map_err(|error| StoreError::Internal(error.to_string()))?;
        settings::set(tx, SETTING, &text)
    }

    /// The meter shows so much now; what is new belongs to this month. Whether anything changed.
    pub fn count(&mut self, shown: u64, wall_s: u64) -> bool {
        let before = *self;
        let new = shown.saturating_sub(self.counted);
        self.counted = shown;
        let month = month_of(wall_s);
        if month != self.month {
            self.month = month;
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(new);
        (before.month, before.bytes) != (self.month, self.bytes)
    }

    /// This month, as counted last.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

/// Months since year 0 (Howard Hinnant's `civil_from_days`).
fn month_of(wall_s: u64) -> u64 {
    let days = wall_s / DAY_S + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // From March on.
    let month = (5 * of_year + 2) / 153;
    (era * 400 + year) * 12 + month + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of the 26th of November 2026.
    const NOVEMBER: u64 = 1_795_694_400;

    #[test]
    fn months_are_those_of_the_calendar() {
        let november = 2026 * 12 + 10;
        assert_eq!(month_of(NOVEMBER), november);
        assert_eq!(month_of(NOVEMBER + 4 * DAY_S + DAY_S / 2 - 1), november);
        assert_eq!(month_of(NOVEMBER + 4 * DAY_S + DAY_S / 2), november + 1);
        assert_eq!(month_of(0), 1970 * 12);
        assert_eq!(month_of(951_782_400), 2000 * 12 + 1, "29 February 2000");
        assert_eq!(month_of(951_868_800), 2000 * 12 + 2);
    }

    #[test]
    fn role_04_a_month_is_counted_over_restarts_and_ends() {
        let mut volume = Volume::default();
        assert!(volume.count(1_000, NOVEMBER));
        assert!(volume.count(1_500, NOVEMBER + 60));
        assert!(!volume.count(1_500, NOVEMBER + 120), "nothing new");
        assert_eq!(volume.bytes(), 1_500);
        // Another process: its meter begins at zero.
        let text = serde_json::to_string(&volume).unwrap();
        let mut volume: Volume = serde_json::from_str(&text).unwrap();
        assert!(volume.count(200, NOVEMBER + 180));
        assert_eq!(volume.bytes(), 1_700);
        assert!(volume.count(300, NOVEMBER + 31 * DAY_S));
        assert_eq!(volume.bytes(), 100, "December");
    }
}
