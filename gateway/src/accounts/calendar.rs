//! Days and months of UTC, as names of counters and as times until they end.

use std::time::Duration;

use crate::config::Period;

const DAY_SECONDS: u64 = 86_400;

/// Which `per` the time `since` 1970 lies in, and how long that still lasts; none if
/// for ever.
pub(super) fn ends_in(per: Period, since: Duration) -> (String, Option<Duration>) {
    let day = since.as_secs() / DAY_SECONDS;
    let until = |day: u64| Some(Duration::from_secs(day * DAY_SECONDS).saturating_sub(since));
    match per {
        Period::Day => (format!("day/{day}"), until(day + 1)),
        Period::Month => {
            let (year, month) = month_of(day);
            let next = match month {
                12 => first_day(year + 1, 1),
                month => first_day(year, month + 1),
            };
            (format!("month/{year}-{month:02}"), until(next))
        }
        Period::Total => ("total".into(), None),
    }
}

/// Year and month of a day, counted from 1970-01-01.
fn month_of(day: u64) -> (u64, u64) {
    // Years are at most 366 days long, so this is the year or one before it.
    let mut year = 1970 + day / 366;
    while first_day(year + 1, 1) <= day {
        year += 1;
    }
    let months = (1..=12).rev();
    let mut begun = months.filter(|month| first_day(year, *month) <= day);
    (year, begun.next().unwrap_or(1))
}

/// The first day of a month, counted from 1970-01-01.
fn first_day(year: u64, month: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = year - 1;
    let leap_days = last / 4 - last / 100 + last / 400 - 477; // those before 1970
    let days = (year - 1970) * 365 + leap_days + BEFORE[month as usize - 1];
    days + u64::from(is_leap && month > 2)
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
