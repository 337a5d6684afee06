use core::fmt;
use core::str::FromStr;

/// A moment in whole seconds, from 1970-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
///
/// Its text is `YYYY-MM-DDTHH:MM:SSZ`: RFC 3339 in UTC, without fractions and offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// A text is not a moment in the one form that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a time of the form 2026-01-31T23:59:59Z from the years 1970 to 9999")]
pub struct TimestampError {
    /// The text, cut after 40 characters.
    pub found: String,
}

impl Timestamp {
    /// The last second of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// The moment this many seconds after 1970-01-01T00:00:00Z; none after the year 9999.
    pub const fn from_unix(seconds: u64) -> Option<Self> {
        if seconds <= Self::MAX.0 { Some(Self(seconds)) } else { None }
    }

    /// The moment this many seconds later, at most the last second of the year 9999.
    #[must_use]
    pub const fn saturating_add(self, seconds: u64) -> Self {
        match Self::from_unix(self.0.saturating_add(seconds)) {
            Some(moment) => moment,
            None => Self::MAX,
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z, not counting leap seconds.
    pub const fn to_unix(self) -> u64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text.as_bytes())
            .ok_or_else(|| TimestampError { found: text.chars().take(40).collect() })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Seconds in a day.
const DAY: u64 = 86_400;

fn parse(text: &[u8]) -> Option<Timestamp> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        b'Z',
    ] = *text
    else {
        return None;
    };
    let year = number(&[y1, y2, y3, y4])?;
    let month = number(&[m1, m2])?;
    let day = number(&[d1, d2])?;
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    // A leap second has no number in this count, so 60 is refused.
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    Timestamp::from_unix(days * DAY + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; none if there is no such day.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    if day < 1 || day > month_length(year, month) {
        return None;
    }
    let months: u64 = (1..month).map(|month| month_length(year, month)).sum();
    Some(days_before_year(year) + months + day - 1)
}

/// The year, month and day that is `days` after 1970-01-01.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // No year has more than 366 days, so this starts early: by 17 years at most, in 9999.
    let mut year = 1970 + days / 366;
    while days_before_year(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before_year(year);
    let mut month = 1;
    while day >= month_length(year, month) {
        day -= month_length(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

/// Days from 1970-01-01 to January 1 of `year`, 1970 or later.
const fn days_before_year(year: u64) -> u64 {
    365 * (year - 1970) + leap_years_before(year) - leap_years_before(1970)
}

/// Leap years from the year 1 on, as if the calendar had always been Gregorian.
const fn leap_years_before(year: u64) -> u64 {
    let last = year - 1;
    last / 4 - last / 100 + last / 400
}

const fn month_length(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const fn is_leap_year(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_convert_both_ways() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_893_456_000, "2030-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let moment = Timestamp::from_unix(seconds).unwrap();
            assert_eq!(moment.to_string(), text);
            assert_eq!(text.parse(), Ok(moment));
        }
        assert_eq!(Timestamp::from_unix(253_402_300_800), None);
    }

    #[test]
    fn every_day_converts_to_itself_and_follows_the_day_before() {
        let mut expected = (1970, 1, 1);
        for days in 0..=Timestamp::MAX.to_unix() / DAY {
            assert_eq!(civil_from_days(days), expected);
            let (year, month, day) = expected;
            assert_eq!(days_from_civil(year, month, day), Some(days));
            expected = if day < month_length(year, month) {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
        assert_eq!(expected, (10000, 1, 1));
    }

    #[test]
    fn days_and_hours_that_do_not_exist_are_refused() {
        for text in [
            "",
            "1969-12-31T23:59:59Z",
            "2100-02-29T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2024-04-00T00:00:00Z",
            "2024-04-01T24:00:00Z",
            "2024-04-01T00:60:00Z",
            "2016-12-31T23:59:60Z",
            "2024-04-01T00:00:00z",
            "2024-04-01t00:00:00Z",
            "2024-04-01 00:00:00Z",
            "2024-04-01T00:00:00+00:00",
            "2024-04-01T00:00:00.0Z",
            "2024-04-01T00:00:00",
            "2024-04-01T00:00:00Z ",
            "+024-04-01T00:00:00Z",
            "2024-4-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "٢٠٢٤-04-01T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert_eq!(
            "now".parse::<Timestamp>().unwrap_err().to_string(),
            "`now` is not a time of the form 2026-01-31T23:59:59Z from the years 1970 to 9999"
        );
    }
}
