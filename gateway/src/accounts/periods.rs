//! Periods of budgets, as names of counters and as times until they end.

use std::time::Duration;

use crate::calendar::{DAY_SECONDS, utc};
use crate::config::Period;

/// Which `per` the time `since` 1970 lies in, and how long that still lasts; none if
/// for ever.
pub(super) fn ends_in(per: Period, since: Duration) -> (String, Option<Duration>) {
    let day = since.as_secs() / DAY_SECONDS;
    let until = |day: u64| Some(Duration::from_secs(day * DAY_SECONDS).saturating_sub(since));
    match per {
        Period::Day => (format!("day/{day}"), until(day + 1)),
        Period::Month => {
            let date = utc(since).date();
            let (year, month) = (date.year(), date.month());
            let left = month.length(year) - date.day();
            let which = format!("month/{year}-{:02}", u8::from(month));
            (which, until(day + 1 + u64::from(left)))
        }
        Period::Total => ("total".into(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_days_end_at_midnight() {
        let check = |per: Period, seconds: u64, name: &str, left: Option<u64>| {
            let (which, until) = ends_in(per, Duration::from_secs(seconds));
            assert_eq!((&*which, until.map(|time| time.as_secs())), (name, left));
        };
        // Seconds as `date -u -d 2026-11-25T23:59:59Z +%s` has them.
        check(Period::Day, 1_795_651_199, "day/20782", Some(1));
        check(
            Period::Month,
            1_795_651_199,
            "month/2026-11",
            Some(5 * 86_400 + 1),
        );
        check(Period::Month, 0, "month/1970-01", Some(31 * 86_400));
        check(Period::Month, 1_709_164_800, "month/2024-02", Some(86_400));
        check(Period::Month, 1_798_761_599, "month/2026-12", Some(1));
        check(
            Period::Month,
            1_798_761_600,
            "month/2027-01",
            Some(31 * 86_400),
        );
        check(Period::Total, 5, "total", None);
    }
}
