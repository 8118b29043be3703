//! Points: where to look.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone, Utc};

use super::names::NameError;
use super::{DeviceName, NameTag, Release, Ticket};

/// Says why a text is not a point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// A part of the point is not a name.
    #[error("Not a point: {text}")]
    Name {
        /// The text, with control characters escaped.
        text: String,
        /// The part that is wrong.
        #[source]
        source: NameError,
    },
    /// What follows `@` is none of the forms that `Where` has.
    #[error("Not a place in history (number, name, ~N, date, pre/TICKET, post/TICKET, now): {0}")]
    Where(String),
}

/// Which of the two snapshots of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the change.
    Pre,
    /// After the change.
    Post,
}

/// The part of a point behind `@`.
///
/// The forms cannot be confused: a name begins with a letter and is none of `now`, `pre`, `post`; a
/// number has digits only; a date has a `-` behind its digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Where {
    /// The newest generation (nothing stands behind the device).
    Newest,
    /// The generation of this number.
    Number(u64),
    /// The generation of this name.
    Name(NameTag),
    /// This many generations before the newest.
    Back(u64),
    /// The newest generation that was collected at or before this time.
    At(DateTime<Utc>),
    /// The `pre` or `post` snapshot of the n-th change (from 1) under a ticket.
    Change(Phase, Ticket, u32),
    /// The device itself: collect, do not store.
    Now,
}

/// A place in the history of a device: `DEVICE[:RELEASE][@WHERE]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Point {
    /// The device.
    pub device: DeviceName,
    /// Only the line of this release, if given.
    pub release: Option<Release>,
    /// The place.
    pub at: Where,
}

impl FromStr for Point {
    type Err = PointError;

    fn from_str(text: &str) -> Result<Self, PointError> {
        let wrap = |source| PointError::Name { text: text.escape_default().to_string(), source };
        // A release holds no `@`, and a device name no `:`, so both cuts are certain.
        let (left, at) = match text.rsplit_once('@') {
            Some((left, at)) => (left, at.parse()?),
            None => (text, Where::Newest),
        };
        let (device, release) = match left.split_once(':') {
            Some((device, release)) => (device, Some(release.parse().map_err(wrap)?)),
            None => (left, None),
        };
        Ok(Point { device: device.parse().map_err(wrap)?, release, at })
    }
}

impl FromStr for Where {
    type Err = PointError;

    fn from_str(text: &str) -> Result<Self, PointError> {
        let bad = || PointError::Where(text.escape_default().to_string());
        if text == "now" {
            return Ok(Where::Now);
        }
        if let Some(count) = text.strip_prefix('~') {
            return number(count).map(Where::Back).ok_or_else(bad);
        }
        for (word, phase) in [("pre/", Phase::Pre), ("post/", Phase::Post)] {
            if let Some(rest) = text.strip_prefix(word) {
                let (ticket, nth) = match rest.split_once('/') {
                    Some((ticket, nth)) => (ticket, nth.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?),
                    None => (rest, 1),
                };
                return Ok(Where::Change(phase, ticket.parse().map_err(|_| bad())?, nth));
            }
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return number(text).filter(|n| *n > 0).map(Where::Number).ok_or_else(bad);
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return time(text).map(Where::At).ok_or_else(bad);
        }
        text.parse().map(Where::Name).map_err(|_| bad())
    }
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Reads a time: RFC 3339, or a local date (its last second) or local date and time.
fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let local = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(23, 59, 59)).or_else(|| {
        let forms = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"];
        forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).or_else(|| {
            let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
            let minute = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
            // A minute means all of it.
            minute.checked_add_signed(chrono::Duration::seconds(59))
        })
    })?;
    Local.from_local_datetime(&local).latest().map(|t| t.to_utc())
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Where::Newest => Ok(()),
            Where::Number(n) => write!(f, "{n}"),
            Where::Name(name) => write!(f, "{name}"),
            Where::Back(n) => write!(f, "~{n}"),
            Where::At(time) => write!(f, "{}", time.format("%Y-%m-%dT%H:%M:%SZ")),
            Where::Change(phase, ticket, nth) => {
                let word = if *phase == Phase::Pre { "pre" } else { "post" };
                write!(f, "{word}/{ticket}")?;
                if *nth > 1 { write!(f, "/{nth}") } else { Ok(()) }
            }
            Where::Now => f.write_str("now"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.device)?;
        if let Some(release) = &self.release {
            write!(f, ":{release}")?;
        }
        if self.at == Where::Newest { Ok(()) } else { write!(f, "@{}", self.at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_one_thing() {
        let at = |text: &str| text.parse::<Point>().unwrap().at;
        assert_eq!(at("gw"), Where::Newest);
        assert_eq!(at("gw@42"), Where::Number(42));
        assert_eq!(at("gw@~1"), Where::Back(1));
        assert_eq!(at("gw@now"), Where::Now);
        assert_eq!(at("gw@golden"), Where::Name("golden".parse().unwrap()));
        assert_eq!(at("gw@pre/T-1"), Where::Change(Phase::Pre, "T-1".parse().unwrap(), 1));
        assert_eq!(at("gw@post/T-1/2"), Where::Change(Phase::Post, "T-1".parse().unwrap(), 2));
        assert!(matches!(at("gw@2026-11-22"), Where::At(_)));
        assert!(matches!(at("gw@2026-11-22T10:00"), Where::At(_)));
        assert!(matches!(at("gw@2026-11-22T10:00:00Z"), Where::At(_)));
        let point: Point = "gw:15.7(3)M6@golden".parse().unwrap();
        assert_eq!(point.release.unwrap().as_str(), "15.7(3)M6");
        for bad in [
            "",
            "@1",
            "gw@",
            "gw@0",
            "gw@~",
            "gw@1x",
            "gw@2026-13-01",
            "gw@pre/",
            "gw@pre/T/0",
            "gw@a/b",
            "gw:",
            "../x@1",
            "gw@1@2",
        ] {
            assert!(bad.parse::<Point>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_point_is_written_as_it_is_read() {
        for text in ["gw", "gw@42", "gw:16.9.5", "gw:16.9.5@golden", "gw@~3", "gw@pre/T", "gw@post/T/2", "gw@now"] {
            assert_eq!(text.parse::<Point>().unwrap().to_string(), text);
        }
    }
}
