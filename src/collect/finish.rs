//! What every source does once it has all entries: is the set whole, and which release is it?

use crate::inventory::Device;
use crate::model::{ConfigPath, Content, Entry, Kind, Release};
use crate::profile::{Expect, Profile, matcher};

use super::CollectError;

/// Checks that everything is there that the profile requires.
///
/// # Errors
/// [`CollectError::NotWhole`] with the globs that nothing matches.
pub(super) fn check_required(profile: &Profile, entries: &[Entry]) -> Result<(), CollectError> {
    let missing = profile.missing(entries.iter().filter(|entry| entry.kind == Kind::File).map(|entry| &entry.path));
    if missing.is_empty() { Ok(()) } else { Err(CollectError::NotWhole(missing)) }
}

/// Says which files the profile expects beside the set and are not there, or are old; `now_ns` as the stamps have it.
pub(super) fn expected(profile: &Profile, entries: &[Entry], now_ns: i64) -> Vec<String> {
    const DAY_NS: i64 = 86_400_000_000_000;
    let missing = |expect: &Expect| {
        let matches = matcher(&expect.paths);
        let files = entries.iter().filter(|entry| entry.kind == Kind::File && matches(&entry.path));
        let Some(newest_ns) = files.map(|entry| entry.stamp.mtime_ns).max() else {
            return Some(format!("There is no {} among the files", expect.what));
        };
        let days = now_ns.saturating_sub(newest_ns) / DAY_NS;
        let old = expect.within_days.is_some_and(|most| days > i64::from(most));
        old.then(|| format!("The newest {} is {days} days old", expect.what))
    };
    profile.collect().into_iter().flat_map(|collect| &collect.expect).filter_map(missing).collect()
}

/// Gives the release: as declared, or as the profile finds it. `reread` reads what the set does
/// not have in memory.
///
/// # Errors
/// [`CollectError::NoRelease`].
pub(super) fn release(
    device: &Device,
    profile: &Profile,
    entries: &[Entry],
    reread: &mut dyn FnMut(&ConfigPath) -> Option<Vec<u8>>,
) -> Result<Release, CollectError> {
    if let Some(release) = &device.release {
        return Ok(release.clone());
    }
    let files: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == Kind::File).collect();
    let paths: Vec<ConfigPath> = files.iter().map(|entry| entry.path.clone()).collect();
    let mut read = |path: &ConfigPath| match files.iter().find(|entry| entry.path == *path).map(|entry| &entry.content) {
        Some(Content::Bytes(bytes)) => Some(bytes.clone()),
        _ => reread(path),
    };
    profile.release(&paths, &mut read).ok_or_else(|| CollectError::NoRelease { profile: device.profile.clone() })
}
