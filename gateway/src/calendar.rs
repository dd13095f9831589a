//! Days of UTC, and how people write them. No clock: times are arguments.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, UtcDateTime};

pub(crate) const DAY_SECONDS: u64 = 86_400;

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(Date);

impl Day {
    /// That of `time`.
    pub(crate) fn of(time: SystemTime) -> Self {
        Self(UtcDateTime::from(time).date())
    }

    /// So many days later.
    pub(crate) fn after(self, days: u32) -> Self {
        let later = self.0.checked_add(time::Duration::days(days.into()));
        Self(later.unwrap_or(Date::MAX))
    }

    /// Whether it has ended.
    pub(crate) fn is_over(self, now: SystemTime) -> bool {
        Self::of(now) > self
    }
}

/// `2026-12-31`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = Date::parse(text, DAY).map(Self);
        day.map_err(|_| "expected a day such as `2026-12-31`".into())
    }
}

/// The time `since` 1970.
pub(crate) fn utc(since: Duration) -> UtcDateTime {
    let seconds = i64::try_from(since.as_secs()).ok();
    let time = seconds.and_then(|it| UtcDateTime::from_unix_timestamp(it).ok());
    time.unwrap_or(UtcDateTime::MAX)
}

/// The time `since` 1970, as people read it: `2026-12-01 00:00 UTC`.
pub(crate) fn told(since: Duration) -> String {
    let time = utc(since);
    let (hour, minute, _) = time.as_hms();
    format!("{} {hour:02}:{minute:02} UTC", time.date())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn days_are_read_as_they_are_written() {
        for (text, is_one) in [
            ("1970-01-01", true),
            ("2024-02-29", true),
            ("9999-12-31", true),
            ("2026-02-29", false),
            ("2026-13-01", false),
            ("2026-12-00", false),
            ("2026-1-1", false),
            ("2026-12-31T00:00:00Z", false),
            ("", false),
        ] {
            let day = text.parse::<Day>().ok();
            assert_eq!(day.is_some(), is_one, "{text}");
            assert!(day.is_none_or(|day| day.to_string() == text), "{text}");
        }
    }

    #[test]
    fn a_day_lasts_until_midnight() {
        let day: Day = "2026-12-31".parse().expect("a day");
        // As `date -u -d 2026-12-31 +%s` has it.
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(!day.is_over(at(1_798_675_200 + DAY_SECONDS - 1)));
        assert!(day.is_over(at(1_798_675_200 + DAY_SECONDS)));
        assert_eq!(day.after(1).to_string(), "2027-01-01");
        assert_eq!(day.after(u32::MAX).to_string(), "9999-12-31");
        assert_eq!(
            told(Duration::from_secs(1_798_761_540)),
            "2026-12-31 23:59 UTC"
        );
    }
}
