//! What can go wrong in this room.

use std::io;
use std::path::PathBuf;

use super::Token;

/// Says why something was not sealed, opened, masked, signed or verified.
///
/// No variant holds key material or plain text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No identity was given, it does not open what it should, or its passphrase is wrong: one error
    /// for all, so that it tells an attacker nothing.
    #[error("What is sealed cannot be opened: the identity is missing or not the right one")]
    Key,
    /// An age file is damaged, cut short, or not an age file.
    #[error("An age file is damaged or cut short")]
    Damaged,
    /// What was opened is larger than the caller allows.
    #[error("What was opened is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A passphrase that asks for more work than is allowed.
    #[error("A passphrase-protected key asks for too much work: {what}")]
    Work {
        /// What was asked for, and the limit.
        what: String,
    },
    /// A key file that others than its owner may read or write.
    #[error("A key file can be read by others (mode {mode:04o}): {}", path.display())]
    KeyFileOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder of keys in which others than its owner may put another file in the place of a key.
    #[error("A folder of keys can be written to by others (mode {mode:04o}): {}", path.display())]
    KeyFolderOpen {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file that belongs to someone else.
    #[error("A key file belongs to another user (uid {uid}): {}", path.display())]
    KeyFileOwner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A key file larger than any key file is.
    #[error("A key file is larger than {limit} bytes: {}", path.display())]
    KeyFileSize {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A key file that cannot be read.
    #[error("A key file cannot be read: {}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that holds no key of a known kind.
    #[error("Not {} {what}: {}", article(what), path.display())]
    NotAKey {
        /// What was expected.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A text that is no key of the expected kind.
    #[error("Not {} {what}", article(what))]
    Malformed {
        /// What was expected.
        what: &'static str,
    },
    /// A recipient of a kind that is not supported.
    #[error("Not a recipient ({rule}): {text}")]
    Recipient {
        /// The rule that was broken.
        rule: &'static str,
        /// The beginning of the text, with control characters escaped.
        text: String,
    },
    /// There is nobody to seal to.
    #[error("There is no recipient")]
    NoRecipient,
    /// A masked text holds a token that the secrets do not.
    #[error("A masked text holds a token without a secret: {0}")]
    TokenUnknown(Token),
    /// A masked text holds the opening of a token and no token.
    #[error("A masked text holds a broken token at byte {at}")]
    TokenBroken {
        /// Offset in the masked text.
        at: usize,
    },
    /// A span of a secret lies outside of the text, or overlaps the one before it.
    #[error("A span of a secret is out of order or outside of the text, at byte {at}")]
    Span {
        /// Where the span begins.
        at: usize,
    },
    /// The list of secrets is not one that this program writes.
    #[error("A list of secrets is malformed at line {line}: {rule}")]
    Script {
        /// Line, counted from 1.
        line: usize,
        /// The rule that was broken.
        rule: &'static str,
    },
    /// A list of secrets belongs to another device.
    #[error("A list of secrets belongs to another device")]
    ScriptDevice,
    /// Sealed in an epoch of which no identity was given.
    #[error("Sealed in epoch {0}, which the given identity does not open")]
    EpochUnknown(u32),
    /// A signature that is malformed, of another namespace, or does not fit what was signed.
    #[error("A signature does not fit what was signed")]
    Signature,
    /// A signature by a key that is not among the signers.
    #[error("Signed by an unknown key: {0}")]
    SignerUnknown(super::Fingerprint),
    /// A line of a signers file that is malformed.
    #[error("A list of signers is malformed at line {line}")]
    Signers {
        /// Line, counted from 1.
        line: usize,
    },
    /// Reading or writing failed.
    #[error("Reading or writing failed while sealing")]
    Io(#[source] io::Error),
}

/// Gives the article of a word as it is said.
fn article(word: &str) -> &'static str {
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u']) || word.starts_with("ssh");
    if vowel { "an" } else { "a" }
}
