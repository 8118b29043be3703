//! Lists of devices as other programs have them: tables, `router.db` of RANCID and Oxidized, the configuration of
//! Oxidized with its list, NetBox.
//!
//! A list is parsed whole or refused with its line; nothing is changed here. A password in a list is never taken
//! over: the device is only marked as having one.

mod models;
mod netbox;
mod oxidized;
mod router_db;
mod table;
mod yaml;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::inventory::{Credential, LabelKey, ProfileName, SourceUrl, UrlError};
use crate::model::{DeviceName, NameError, Release};

pub use models::profile_for;
pub use netbox::netbox;
pub use oxidized::{is_config, oxidized};
pub use router_db::router_db;
pub use table::table;

/// The largest list, or page of one, in bytes.
pub const LIMIT: u64 = 64 << 20;

/// Says why a list of devices cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// A line is not a device.
    #[error("Line {line} is no device: {reason}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The list lacks a column.
    #[error("List has no column {0}")]
    Column(&'static str),
    /// The server did not give the list.
    #[error("List cannot be fetched: {0}")]
    Fetch(String),
    /// The answer of the server is not what NetBox gives.
    #[error("Answer is no list of devices of NetBox: {0}")]
    Answer(&'static str),
    /// A configuration of Oxidized does not read.
    #[error("Not the configuration of Oxidized ({0})")]
    Config(String),
    /// The configuration of Oxidized has its list where it is not read.
    #[error("Oxidized has its list where it is not read from: {0}")]
    Elsewhere(String),
    /// The file of the list cannot be read.
    #[error("List cannot be read: {}", path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A device of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: DeviceName,
    /// Its source.
    pub source: SourceUrl,
    /// Its profile.
    pub profile: Option<ProfileName>,
    /// The word of the program whose list it is for what the device is: `ios`, `cisco`.
    pub model: Option<String>,
    /// Its release.
    pub release: Option<Release>,
    /// Its site.
    pub site: Option<LabelKey>,
    /// Its labels.
    pub labels: BTreeMap<LabelKey, String>,
    /// Where its credential is.
    pub credential: Option<Credential>,
    /// The list has a password of it, which was not taken over.
    pub has_password: bool,
    /// Whether it is collected where none is named.
    pub enabled: bool,
}

impl Listed {
    fn new(name: DeviceName, source: SourceUrl) -> Self {
        let (labels, enabled, has_password) = (BTreeMap::new(), true, false);
        Self {
            name,
            source,
            profile: None,
            model: None,
            release: None,
            site: None,
            labels,
            credential: None,
            has_password,
            enabled,
        }
    }

    /// A device that is reached over ssh.
    fn at(name: &str, user: Option<&str>, host: &str, port: Option<u16>) -> Result<Self, String> {
        let name = name.parse().map_err(|error: NameError| error.to_string())?;
        let source = ssh(user, host, port).parse().map_err(|error: UrlError| error.to_string())?;
        Ok(Self::new(name, source))
    }

    /// Takes what the list's program calls its model, and the profile for that, if one is known.
    fn set_model(&mut self, word: &str) {
        self.model = Some(word.to_owned()).filter(|word| !word.is_empty());
        self.profile = profile_for(word);
    }

    fn set_label(&mut self, key: &str, value: &str) {
        if let (Ok(key), false) = (key.parse(), value.is_empty()) {
            self.labels.insert(key, value.to_owned());
        }
    }
}

/// Reads a list from a file: a configuration of Oxidized with the list that it names, a table, or a `router.db`.
/// `user` is that of devices for which the list has none, `home` that of `~` in a configuration.
///
/// # Errors
/// [`ListError::Read`], and as [`oxidized`] and [`of_file`].
pub fn read(path: &Path, user: Option<&str>, home: Option<&Path>) -> Result<Vec<Listed>, ListError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
    read.map_err(|source| ListError::Read { path: path.to_owned(), source })?;
    if is_config(&bytes) { oxidized(&bytes, path, home) } else { of_file(&bytes, user) }
}

/// Reads a list from the bytes of a file: a table if its first line has a column `name`, else a `router.db`.
///
/// # Errors
/// As [`table`] and [`router_db`].
pub fn of_file(bytes: &[u8], user: Option<&str>) -> Result<Vec<Listed>, ListError> {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default().to_ascii_lowercase();
    match first.split(|b| *b == b',').any(|cell| cell.trim_ascii() == b"name") {
        true => table(bytes),
        false => router_db(&String::from_utf8_lossy(bytes), user),
    }
}

fn ssh(user: Option<&str>, host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    user.map_or_else(|| format!("ssh://{host}{port}"), |user| format!("ssh://{user}@{host}{port}"))
}
