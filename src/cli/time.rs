//! Times, sizes and counts as people read and write them.

use std::str::FromStr;

use chrono::{DateTime, Duration, Local, NaiveDate, NaiveDateTime, SecondsFormat, TimeZone as _, Utc};

/// Gives a time in the zone of the user, to the second.
pub(crate) fn shown(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Gives a time for JSON.
pub(crate) fn json(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Gives a size with a unit, to three digits.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.95 { format!("{value:.0} {}", units[unit]) } else { format!("{value:.1} {}", units[unit]) }
}

pub(crate) use crate::model::count;

/// The beginning of a span of time that ends now: a date (its beginning), a time, or an age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(pub(crate) DateTime<Utc>);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "a date (2026-11-22), a time (2026-11-22T10:00), or an age (30min, 24h, 7d) is wanted".to_owned();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let unit = match text[digits..].trim() {
            "min" => Some(Duration::minutes(1)),
            "h" => Some(Duration::hours(1)),
            "d" => Some(Duration::days(1)),
            _ => None,
        };
        if let Some(unit) = unit {
            let count: i32 = text[..digits].parse().map_err(|_| bad())?;
            let age = unit.checked_mul(count).ok_or_else(bad)?;
            return Utc::now().checked_sub_signed(age).map(Self).ok_or_else(bad);
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(time.to_utc()));
        }
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0));
        let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
        let local = date.or_else(|| forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()));
        let local = local.and_then(|local| Local.from_local_datetime(&local).earliest());
        local.map(|time| Self(time.to_utc())).ok_or_else(bad)
    }
}

#[cfg(test)]
mod tests {
    use super::Since;

    #[test]
    fn since_takes_dates_times_and_ages() {
        for text in ["2026-11-22", "2026-11-22T10:00", "2026-11-22 10:00:30", "2026-11-22T10:00:00Z", "30min", "24h", "7d"] {
            assert!(text.parse::<Since>().is_ok(), "{text}");
        }
        for text in ["", "yesterday", "7", "-1d", "2026-13-01", "999999999999d"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (100 << 20, "100 MiB"), (3 << 40, "3.0 TiB")] {
            assert_eq!(super::size(bytes), text);
        }
    }
}
