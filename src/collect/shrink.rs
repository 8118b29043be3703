//! Whether a set, or an answer that it cannot do without, lost suspiciously much.

use crate::inventory::Percent;
use crate::model::{ConfigPath, ConfigSet, Entry, Kind, Scope};
use crate::profile::{Command, Profile};

use super::CollectError;

/// How large a set is in bytes, logs apart, and how large each answer that its profile requires.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sizes {
    total: u64,
    /// In the order of the profile's commands; nothing where there is no such file.
    answers: Vec<Option<u64>>,
}

fn required(profile: &Profile) -> impl Iterator<Item = &Command> {
    profile.commands().iter().filter(|command| command.required)
}

impl Sizes {
    /// Counts files, each given with its scope, path and size.
    pub fn count<'f>(profile: &Profile, files: impl Iterator<Item = (Scope, &'f ConfigPath, u64)>) -> Self {
        let mut sizes = Self { total: 0, answers: required(profile).map(|_| None).collect() };
        for (scope, path, bytes) in files.filter(|(scope, ..)| *scope != Scope::Logs) {
            sizes.total += bytes;
            for (answer, command) in sizes.answers.iter_mut().zip(required(profile)) {
                if command.scope == scope && command.path == *path {
                    *answer = Some(bytes);
                }
            }
        }
        sizes
    }

    /// Counts the files of a set.
    #[must_use]
    pub fn of(profile: &Profile, set: &ConfigSet) -> Self {
        let files = set.entries().iter().filter(|e| e.kind == Kind::File);
        Self::count(profile, files.map(|entry| (entry.scope, &entry.path, size(entry))))
    }
}

fn size(entry: &Entry) -> u64 {
    match &entry.content {
        crate::model::Content::Bytes(bytes) => bytes.len() as u64,
        crate::model::Content::Spooled { size, .. } => *size,
        crate::model::Content::Same(_) => entry.stamp.size,
    }
}

/// What is smaller than this may shrink as it likes: a few lines are no evidence.
const SMALL_BYTES: u64 = 1024;

/// Checks a set, and each answer that the profile requires, against the sizes of the generation before it.
///
/// # Errors
/// [`CollectError::Shrank`] if more than `allowed` of the bytes are gone.
pub fn check_shrink(before: &Sizes, now: &Sizes, profile: &Profile, allowed: Percent) -> Result<(), CollectError> {
    check("Set", before.total, now.total, allowed)?;
    for ((before, now), command) in before.answers.iter().zip(&now.answers).zip(required(profile)) {
        if let (Some(before), Some(now)) = (before, now) {
            check(&command.path.to_string(), *before, *now, allowed)?;
        }
    }
    Ok(())
}

fn check(what: &str, before: u64, now: u64, allowed: Percent) -> Result<(), CollectError> {
    if before < SMALL_BYTES || now >= before {
        return Ok(());
    }
    let gone = before - now;
    if u128::from(gone) * 100 <= u128::from(before) * u128::from(allowed.0) {
        return Ok(());
    }
    let lost = u64::try_from(u128::from(gone) * 100 / u128::from(before)).unwrap_or(100);
    Err(CollectError::Shrank { what: what.to_owned(), before_bytes: before, now_bytes: now, lost, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loss_above_the_limit_is_refused() {
        let profile = crate::profile::Profiles::load(None).unwrap().get("cisco-ios").unwrap();
        let sizes = |files: &[(&str, u64)]| -> Sizes {
            let files: Vec<(ConfigPath, u64)> = files.iter().map(|(path, bytes)| (path.parse().unwrap(), *bytes)).collect();
            Sizes::count(&profile, files.iter().map(|(path, bytes)| (Scope::Voip, path, *bytes)))
        };
        let check = |before: &[(&str, u64)], now: &[(&str, u64)], allowed| {
            check_shrink(&sizes(before), &sizes(now), &profile, Percent(allowed)).map_err(|error| error.to_string())
        };
        assert!(check(&[("a", 10_000)], &[("a", 5_000)], 50).is_ok());
        assert!(check(&[("a", 10_000)], &[("a", 20_000)], 0).is_ok());
        assert!(check(&[("a", 10_000)], &[], 100).is_ok());
        assert!(check(&[("a", 100)], &[], 50).is_ok());
        let words = "shrank by 50 %, from 10000 to 4999 bytes, and at most 50 % is allowed (max_shrink)";
        assert_eq!(check(&[("a", 10_000)], &[("a", 4_999)], 50).unwrap_err(), format!("Set {words}"));
        // A large file beside it does not hide what an answer lost.
        let (before, now) = ([("a", 90_000), ("running-config", 10_000)], [("a", 90_000), ("running-config", 4_999)]);
        assert_eq!(check(&before, &now, 50).unwrap_err(), format!("running-config {words}"));
        // What is not asked for as required may come and go.
        let (before, now) = ([("a", 90_000), ("b", 10_000)], [("a", 90_000), ("b", 9)]);
        assert!(check(&before, &now, 50).is_ok());
    }
}
