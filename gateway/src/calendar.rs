//! Days and months of UTC, and how people write them. No clock: times are arguments,
//! since 1970.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const DAY_SECONDS: u64 = 86_400;

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u64);

impl Day {
    /// That of `time`.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs() / DAY_SECONDS)
    }

    /// So many days later.
    pub(crate) fn after(self, days: u64) -> Self {
        Self(self.0.saturating_add(days).min(LAST_DAY))
    }

    /// Whether it has ended.
    pub(crate) fn is_over(self, now: SystemTime) -> bool {
        Self::of(now) > self
    }
}

/// 9999-12-31.
const LAST_DAY: u64 = 2_932_896;

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month) = month_of(self.0);
        let day = self.0 - first_day(year, month) + 1;
        write!(f, "{year}-{month:02}-{day:02}")
    }
}

/// `2026-12-31`.
impl FromStr for Day {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<_> = text.split('-').collect();
        let [year, month, day] = parts.as_slice() else {
            return Err(());
        };
        let number = |part: &str, digits: usize| {
            let is_fit = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            is_fit.then(|| part.parse::<u64>().ok()).flatten().ok_or(())
        };
        let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
        if year < 1970 || !(1..=12).contains(&month) || day == 0 {
            return Err(());
        }
        let found = Self(first_day(year, month) + day - 1);
        // The 31st of a shorter month would be one of the next.
        if month_of(found.0) == (year, month) {
            Ok(found)
        } else {
            Err(())
        }
    }
}

/// A time as people read it: `2026-12-01 00:00 UTC`.
pub fn told(since: Duration) -> String {
    let day = Day(since.as_secs() / DAY_SECONDS);
    let minutes = since.as_secs() % DAY_SECONDS / 60;
    format!("{day} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// Year and month of a day, counted from 1970-01-01.
pub(crate) fn month_of(day: u64) -> (u64, u64) {
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
pub(crate) fn first_day(year: u64, month: u64) -> u64 {
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
    fn days_are_read_as_they_are_written() {
        for (text, seconds) in [
            // As `date -u -d 2026-12-31 +%s` has them.
            ("1970-01-01", Some(0)),
            ("2024-02-29", Some(1_709_164_800)),
            ("2026-12-31", Some(1_798_675_200)),
            ("9999-12-31", Some(LAST_DAY * DAY_SECONDS)),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-12-00", None),
            ("2026-12-32", None),
            ("2026-1-1", None),
            ("1969-12-31", None),
            ("2026-12-31T00:00:00Z", None),
            ("+026-12-31", None),
            ("", None),
        ] {
            let day = text.parse::<Day>().ok();
            assert_eq!(day.map(|day| day.0 * DAY_SECONDS), seconds, "{text}");
            assert!(day.is_none_or(|day| day.to_string() == text), "{text}");
        }
    }

    #[test]
    fn a_day_lasts_until_midnight() {
        let day: Day = "2026-12-31".parse().expect("a day");
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(!day.is_over(at(1_798_675_200 + DAY_SECONDS - 1)));
        assert!(day.is_over(at(1_798_675_200 + DAY_SECONDS)));
        assert_eq!(day.after(1).to_string(), "2027-01-01");
        assert_eq!(
            told(Duration::from_secs(1_798_761_540)),
            "2026-12-31 23:59 UTC"
        );
    }
}
