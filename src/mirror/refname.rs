//! What a ref of a store is about, and what of a stranger's refs can be one.

use std::fmt;

use crate::model::{CollectorName, DeviceName, NameTag, Release};

/// What refs belong together: those of one device move together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Group {
    /// `refs/heads/_store`
    Store,
    /// `refs/heads/_collector/<collector>`
    Collector(CollectorName),
    /// `refs/heads/_journal/<collector>/…`
    Journal(CollectorName),
    /// `refs/heads/_logs/<collector>/…`
    Logs(CollectorName),
    /// Lines, names and large files of a device.
    Device(DeviceName),
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Store => f.write_str("_store"),
            Group::Collector(name) => write!(f, "_collector/{name}"),
            Group::Journal(name) => write!(f, "_journal/{name}"),
            Group::Logs(name) => write!(f, "_logs/{name}"),
            Group::Device(name) => write!(f, "{name}"),
        }
    }
}

/// What kind of a ref it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefKind {
    /// A line: it only moves forward.
    Line,
    /// An annotated tag: it never moves.
    Tag,
    /// Large files of a generation.
    Large,
}

/// Where the refs of `mirror status --prove` lie, below `refs/heads/`, `refs/tags/` and `refs/large/`.
pub(super) const PROBE: &str = "_probe/append-only";

fn month(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 7
        && bytes[4] == b'-'
        && bytes.iter().enumerate().all(|(i, b)| i == 4 || b.is_ascii_digit())
        && matches!(&text[5..], "01" | "02" | "03" | "04" | "05" | "06" | "07" | "08" | "09" | "10" | "11" | "12")
}

/// Reads the name of a ref of a store ("Refs" in `docs/format.md`); nothing if it cannot be one.
pub(super) fn parse(name: &str) -> Option<(Group, RefKind)> {
    if let Some(rest) = name.strip_prefix("refs/heads/") {
        if rest == "_store" {
            return Some((Group::Store, RefKind::Line));
        }
        let (first, rest) = rest.split_once('/')?;
        let group = match first {
            "_collector" => Group::Collector(rest.parse().ok()?),
            "_journal" | "_logs" => {
                let (collector, rest) = rest.split_once('/').filter(|(_, rest)| month(rest))?;
                debug_assert!(!rest.is_empty());
                let collector = collector.parse().ok()?;
                if first == "_journal" { Group::Journal(collector) } else { Group::Logs(collector) }
            }
            device => {
                let release = Release::from_ref(rest).ok()?;
                // Two spellings of one release would be two lines.
                if release.to_ref() != rest {
                    return None;
                }
                Group::Device(device.parse().ok()?)
            }
        };
        return Some((group, RefKind::Line));
    }
    if let Some(rest) = name.strip_prefix("refs/tags/") {
        let (device, tag) = rest.split_once('/')?;
        tag.parse::<NameTag>().ok()?;
        return Some((Group::Device(device.parse().ok()?), RefKind::Tag));
    }
    let (device, number) = name.strip_prefix("refs/large/")?.split_once('/')?;
    let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0') && number.parse::<u64>().is_ok();
    Some((Group::Device(device.parse().ok()?), RefKind::Large)).filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refs_of_a_store_are_one() {
        for good in [
            "refs/heads/_store",
            "refs/heads/_collector/central",
            "refs/heads/_journal/central/2026-11",
            "refs/heads/_logs/central/2026-11",
            "refs/heads/gw-0042/15.7(3)M6",
            "refs/tags/gw-0042/golden",
            "refs/large/gw-0042/42",
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "HEAD",
            "refs/heads/main",
            "refs/heads/_store/x",
            "refs/heads/_journal/central",
            "refs/heads/_journal/central/2026-13",
            "refs/heads/_journal/../2026-11",
            "refs/heads/gw/../x",
            "refs/heads/gw/a/b",
            "refs/heads/gw/%41",
            "refs/heads/gw/%2e",
            "refs/heads/-x/1",
            "refs/heads/CON/1",
            "refs/tags/v1",
            "refs/tags/gw/42",
            "refs/large/gw/042",
            "refs/large/gw/x",
            "refs/large/gw/99999999999999999999",
            "refs/pull/1/head",
            "refs/replace/0123",
            "refs/heads/_probe/append-only",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
