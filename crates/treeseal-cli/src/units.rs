//! Times and durations as people write them.

use std::time::SystemTime;

use treeseal::trust::Timestamp;

use crate::output::Failure;

/// Seconds in a duration like `90s`, `30m`, `24h`, `7d`.
pub(crate) fn seconds(text: &str) -> Result<u64, Failure> {
    let unusable = || {
        Failure::usage(
            format!("`{text}` is no duration"),
            "write a number and s, m, h or d after it, like 24h or 7d",
        )
    };
    let mut characters = text.chars();
    let unit = characters.next_back().ok_or_else(unusable)?;
    let number = characters.as_str();
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(unusable()),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unusable());
    }
    let number: u64 = number.parse().map_err(|_| unusable())?;
    number.checked_mul(seconds).ok_or_else(unusable)
}

/// A time: `2030-01-31T12:00:00Z`, a day, which stands for its first second, or a duration from now.
pub(crate) fn time(text: &str) -> Result<Timestamp, Failure> {
    let written = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse());
    if let Ok(time) = written {
        return Ok(time);
    }
    let seconds = seconds(text).map_err(|_| {
        Failure::usage(
            format!("`{text}` is no time"),
            "write it like 2030-01-31T12:00:00Z, 2030-01-31, or 90d for 90 days from now",
        )
    })?;
    Ok(now()?.saturating_add(seconds))
}

/// The time by the system's clock.
pub(crate) fn now() -> Result<Timestamp, Failure> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    let now = since_epoch.and_then(|time| Timestamp::from_unix(time.as_secs()));
    now.ok_or_else(|| Failure::Treeseal(treeseal::Error::Clock))
}

/// How long it is from one time to another, in its largest unit: `3 days`. Nothing, if it is not.
pub(crate) fn span(from: Timestamp, to: Timestamp) -> Option<String> {
    let seconds = to.to_unix().checked_sub(from.to_unix())?;
    let (number, unit) = match seconds {
        1 => (1, "second"),
        0..120 => (seconds, "seconds"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    Some(format!("{number} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times_are_read_as_people_write_them() {
        assert_eq!(seconds("90s").unwrap(), 90);
        assert_eq!(seconds("7d").unwrap(), 7 * 86_400);
        for text in ["", "h", "7", "7w", "-1d", "1.5h", "7dd", "99999999999999999999d"] {
            assert!(seconds(text).is_err(), "{text}");
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(time("2030-01-31").unwrap().to_string(), "2030-01-31T00:00:00Z");
        assert_eq!(time("2030-01-31T12:00:01Z").unwrap().to_string(), "2030-01-31T12:00:01Z");
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        let at = |seconds| Timestamp::from_unix(seconds).unwrap();
        assert_eq!(span(at(5), at(4)), None);
        assert_eq!(span(at(4), at(5)).unwrap(), "1 second");
        assert_eq!(span(at(0), at(119)).unwrap(), "119 seconds");
        assert_eq!(span(at(0), at(7199)).unwrap(), "119 minutes");
        assert_eq!(span(at(0), at(172_799)).unwrap(), "47 hours");
        assert_eq!(span(at(0), at(172_800)).unwrap(), "2 days");
    }
}
