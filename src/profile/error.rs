//! What can be wrong with a profile.

use std::path::PathBuf;

/// Says why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// There is neither a built-in profile nor a file of that name.
    #[error("No such profile: {0}")]
    Unknown(String),
    /// The folder of own profiles, or a file in it, cannot be read.
    #[error("Profiles cannot be read: {}", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A profile file is not in the language; the cause shows the key and the line.
    #[error("Profile is not in the language: {file}")]
    Syntax {
        /// The file, or `built-in NAME`.
        file: String,
        /// The cause.
        source: Box<toml::de::Error>,
    },
    /// A key has a value that cannot be used.
    #[error("Profile has a wrong `{key}` ({reason}): {file}:{line}")]
    Value {
        /// The file, or `built-in NAME`.
        file: String,
        /// Line in the file, from 1; 0 where it is not known.
        line: usize,
        /// The key, with the rule it stands in.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// `extends` names profiles that extend each other.
    #[error("Profiles extend each other: {0}")]
    Circle(String),
    /// A rule of `[[never-mask]]` or `[[always-mask]]` is no regular expression.
    #[error("Mask rule is no regular expression: {regex}")]
    OverrideRegex {
        /// The expression.
        regex: String,
        /// The cause.
        source: Box<regex::Error>,
    },
    /// A rule of `[[always-mask]]` has the secret in it. It is not shown.
    #[error("Mask rule spells out what it masks: number {number} of [[always-mask]]")]
    OverrideSpelt {
        /// Which one, from 1.
        number: usize,
    },
    /// A rule of `[[never-mask]]` or `[[always-mask]]` has something that is no glob.
    #[error("Mask rule has something that is no glob: {glob}")]
    OverrideGlob {
        /// The glob.
        glob: String,
        /// The cause.
        source: globset::Error,
    },
}
