//! One device of the inventory.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{DeviceName, Release, text_type};

use super::{ByteSize, Percent, Seconds, SourceUrl};

/// Says why a text is not what a key of a device takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Not {what}: {text}")]
pub struct ValueError {
    what: &'static str,
    text: String,
}

fn wrong(what: &'static str, text: &str) -> ValueError {
    ValueError { what, text: text.chars().take(80).flat_map(char::escape_default).collect() }
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

text_type!(
    /// Names a profile: letters, digits, `-`, `_`, `.`, at most 64 bytes.
    ProfileName: ValueError,
    |text| if is_word(text) && !text.contains("..") { Ok(()) } else { Err(wrong("the name of a profile", text)) }
);
text_type!(
    /// The key of a label: letters, digits, `-`, `_`, `.`, at most 64 bytes.
    LabelKey: ValueError,
    |text| if is_word(text) { Ok(()) } else { Err(wrong("the key of a label", text)) }
);

/// A label that chooses devices: `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSelector {
    /// The key.
    pub key: LabelKey,
    /// The value that a device must have.
    pub value: String,
}

impl FromStr for LabelSelector {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (key, value) = text.split_once('=').ok_or_else(|| wrong("a label like `site=berlin`", text))?;
        check_label_value(value)?;
        Ok(Self { key: key.parse()?, value: value.to_owned() })
    }
}

fn check_label_value(value: &str) -> Result<(), ValueError> {
    let fine = !value.is_empty() && value.len() <= 200 && !value.chars().any(char::is_control);
    if fine { Ok(()) } else { Err(wrong("the value of a label (1 to 200 printable bytes)", value)) }
}

/// Where the credential of a device is; never the credential itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Credential {
    /// `agent`: the ssh agent.
    Agent,
    /// `key:FILE`: an ssh key file.
    Key(PathBuf),
    /// `env:VARIABLE`: a password in a variable of the environment.
    Env(String),
    /// `file:FILE`: a password in the first line of a file.
    File(PathBuf),
    /// `command:PROGRAM ARGUMENTS`: a password in the first line that a command prints.
    Command(String),
    /// `store`: sealed to the collector by `confvault credential set`.
    Store,
}

impl FromStr for Credential {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        // The text could be a password put here by mistake, so it is not repeated.
        let bad = || wrong("a credential (agent, key:FILE, env:VARIABLE, file:FILE, command:PROGRAM, store)", "(not shown)");
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        if text.chars().any(char::is_control) {
            return Err(bad());
        }
        match (kind, rest) {
            ("agent", "") => Ok(Self::Agent),
            ("store", "") => Ok(Self::Store),
            (_, "") => Err(bad()),
            ("key", file) => Ok(Self::Key(file.into())),
            ("file", file) => Ok(Self::File(file.into())),
            ("command", line) => Ok(Self::Command(line.to_owned())),
            ("env", name) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => Ok(Self::Env(name.to_owned())),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for Credential {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl From<Credential> for String {
    fn from(value: Credential) -> String {
        match value {
            Credential::Agent => "agent".to_owned(),
            Credential::Store => "store".to_owned(),
            Credential::Key(file) => format!("key:{}", file.display()),
            Credential::File(file) => format!("file:{}", file.display()),
            Credential::Env(name) => format!("env:{name}"),
            Credential::Command(line) => format!("command:{line}"),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Agent => "agent",
            Self::Key(_) => "key",
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Command(_) => "command",
            Self::Store => "store",
        };
        write!(f, "Credential({kind})")
    }
}

/// How a login gets the right to read what it may not read itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Elevation {
    /// By `sudo`.
    Sudo,
}

/// A table `[devices.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The name of the table.
    pub name: DeviceName,
    /// The rest of the table.
    #[serde(flatten)]
    pub keys: DeviceKeys,
}

impl std::ops::Deref for Device {
    type Target = DeviceKeys;
    fn deref(&self) -> &DeviceKeys {
        &self.keys
    }
}

/// The keys of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceKeys {
    /// Where the set comes from.
    pub source: SourceUrl,
    /// The profile; `generic` where none is given.
    #[serde(default = "generic")]
    pub profile: ProfileName,
    /// The release, declared where the profile cannot find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Labels that choose devices.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "labels")]
    pub labels: BTreeMap<LabelKey, String>,
    /// The site, for limits per site; also the label `site`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<LabelKey>,
    /// Set to `false`, the device is left out where none is named.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// Where the credential is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Where the passphrase of a key file, or the enable password of a device, is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential2: Option<Credential>,
    /// How the login gets the right to read.
    #[serde(default, rename = "become", skip_serializing_if = "Option::is_none")]
    pub elevation: Option<Elevation>,
    /// The address of this machine that connections come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_address: Option<IpAddr>,
    /// Old ssh algorithms that this device may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_algorithms: Vec<String>,
    /// Time for this device in all, in place of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// Bytes of this device in all, in place of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<ByteSize>,
    /// The share that the set may lose, in place of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_shrink: Option<Percent>,
}

impl DeviceKeys {
    /// A device with a source, and defaults for all else.
    #[must_use]
    pub fn new(source: SourceUrl) -> Self {
        Self {
            source,
            profile: generic(),
            release: None,
            labels: BTreeMap::new(),
            site: None,
            enabled: true,
            credential: None,
            credential2: None,
            elevation: None,
            bind_address: None,
            allow_algorithms: Vec::new(),
            timeout: None,
            max_size: None,
            max_shrink: None,
        }
    }

    /// Tells whether the device has the label.
    #[must_use]
    pub fn matches(&self, selector: &LabelSelector) -> bool {
        let site = (selector.key.as_str() == "site").then_some(self.site.as_ref()).flatten();
        self.labels.get(&selector.key).is_some_and(|value| *value == selector.value)
            || site.is_some_and(|site| site.as_str() == selector.value)
    }
}

fn generic() -> ProfileName {
    ProfileName("generic".to_owned())
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn labels<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<LabelKey, String>, D::Error> {
    let labels = BTreeMap::<LabelKey, String>::deserialize(from)?;
    for value in labels.values() {
        check_label_value(value).map_err(serde::de::Error::custom)?;
    }
    Ok(labels)
}
