//! Whether a set lost suspiciously much.

use crate::inventory::Percent;
use crate::model::{ConfigSet, Kind, Scope};

use super::CollectError;

/// How large a set is, logs apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetSize {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl SetSize {
    /// Counts the files of a set, without its logs.
    #[must_use]
    pub fn of(set: &ConfigSet) -> Self {
        let files = set.entries().iter().filter(|e| e.kind == Kind::File && e.scope != Scope::Logs);
        files.fold(Self::default(), |sum, entry| Self { files: sum.files + 1, bytes: sum.bytes + size(entry) })
    }
}

fn size(entry: &crate::model::Entry) -> u64 {
    match &entry.content {
        crate::model::Content::Bytes(bytes) => bytes.len() as u64,
        crate::model::Content::Spooled { size, .. } => *size,
        crate::model::Content::Same(_) => entry.stamp.size,
    }
}

/// Sets smaller than this may shrink as they like: a few lines are no evidence.
const SMALL_BYTES: u64 = 1024;

/// Checks a set against the size of the generation before it.
///
/// # Errors
/// [`CollectError::Shrank`] if more than `allowed` of the bytes are gone.
pub fn check_shrink(before: SetSize, now: SetSize, allowed: Percent) -> Result<(), CollectError> {
    if before.bytes < SMALL_BYTES || now.bytes >= before.bytes {
        return Ok(());
    }
    let gone = before.bytes - now.bytes;
    if u128::from(gone) * 100 <= u128::from(before.bytes) * u128::from(allowed.0) {
        return Ok(());
    }
    let lost = u64::try_from(u128::from(gone) * 100 / u128::from(before.bytes)).unwrap_or(100);
    Err(CollectError::Shrank { before_bytes: before.bytes, now_bytes: now.bytes, lost, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loss_above_the_limit_is_refused() {
        let size = |bytes| SetSize { files: 1, bytes };
        assert!(check_shrink(size(10_000), size(5_000), Percent(50)).is_ok());
        assert!(check_shrink(size(10_000), size(20_000), Percent(0)).is_ok());
        assert!(check_shrink(size(10_000), size(0), Percent(100)).is_ok());
        assert!(check_shrink(size(100), size(0), Percent(50)).is_ok());
        let error = check_shrink(size(10_000), size(4_999), Percent(50)).unwrap_err();
        assert_eq!(error.to_string(), "Set shrank by 50 %, from 10000 to 4999 bytes, and at most 50 % is allowed (max_shrink)");
    }
}
