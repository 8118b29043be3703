//! Where the set of a device comes from.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Remote, UrlError, part, redact, remote};

/// Where the set of a device comes from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum SourceUrl {
    /// `dir:PATH`: a folder of this machine; a relative path counts from the folder of the store.
    Dir(PathBuf),
    /// `sftp://[USER@]HOST[:PORT]/PATH`: files over SFTP.
    Sftp(Remote),
    /// `ssh://[USER@]HOST[:PORT]`: output of commands.
    Ssh(Remote),
    /// `drs:PATH`: a backup folder of Cisco's Disaster Recovery System on this machine.
    DrsDir(PathBuf),
    /// `drs://[USER@]HOST[:PORT]/PATH`: the same over SFTP.
    DrsSftp(Remote),
    /// `push:`: the set is handed in with `snapshot DEVICE --from`.
    Push,
}

impl SourceUrl {
    /// Tells whether the source stands on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Dir(_) | Self::DrsDir(_) | Self::Push)
    }
}

const SOURCES: &str = "a source (dir:, sftp://, ssh://, drs:, drs://, push:)";

impl FromStr for SourceUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.chars().any(char::is_control) {
            return Err(part("text", text));
        }
        let folder = |path: &str| if path.is_empty() { Err(part("path", text)) } else { Ok(PathBuf::from(path)) };
        if let Some(rest) = text.strip_prefix("sftp://") {
            Ok(Self::Sftp(remote(rest, text)?))
        } else if let Some(rest) = text.strip_prefix("ssh://") {
            let remote = remote(rest, text)?;
            if remote.path == "/" { Ok(Self::Ssh(remote)) } else { Err(part("path", text)) }
        } else if let Some(rest) = text.strip_prefix("drs://") {
            Ok(Self::DrsSftp(remote(rest, text)?))
        } else if let Some(path) = text.strip_prefix("drs:") {
            Ok(Self::DrsDir(folder(path)?))
        } else if let Some(path) = text.strip_prefix("dir:") {
            Ok(Self::Dir(folder(path.strip_prefix("//").filter(|p| p.starts_with('/')).unwrap_or(path))?))
        } else if text == "push:" {
            Ok(Self::Push)
        } else {
            Err(UrlError::Scheme { wanted: SOURCES, url: redact(text) })
        }
    }
}

impl TryFrom<String> for SourceUrl {
    type Error = UrlError;
    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<SourceUrl> for String {
    fn from(url: SourceUrl) -> String {
        url.to_string()
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(path) => write!(f, "dir:{}", path.display()),
            Self::Sftp(remote) => write!(f, "sftp://{remote}"),
            Self::Ssh(remote) => write!(f, "ssh://{remote}"),
            Self::DrsDir(path) => write!(f, "drs:{}", path.display()),
            Self::DrsSftp(remote) => write!(f, "drs://{remote}"),
            Self::Push => f.write_str("push:"),
        }
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_it_is_read() {
        for text in [
            "dir:/etc/asterisk",
            "dir:../export",
            "sftp://backup@pbx.example:2222/etc",
            "sftp://pbx",
            "ssh://admin@[2001:db8::1]:22",
            "drs:/srv/drs",
            "drs://drs@host/cucm",
            "push:",
        ] {
            assert_eq!(text.parse::<SourceUrl>().unwrap().to_string(), text);
        }
        assert_eq!("dir:///srv/x".parse::<SourceUrl>().unwrap(), SourceUrl::Dir("/srv/x".into()));
    }

    #[test]
    fn hostile_sources_are_refused() {
        for text in [
            "",
            "dir:",
            "/etc",
            "ssh://-oProxyCommand=x/",
            "ssh://-F@host",
            "sftp://host:0/",
            "sftp://host:x/",
            "sftp:///etc",
            "ssh://a b/",
            "ssh://host/path",
            "ext::sh -c x",
            "sftp://[::1/",
            "dir:a\nb",
            "telnet://host",
        ] {
            assert!(text.parse::<SourceUrl>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_refused_and_never_repeated() {
        for text in ["sftp://u:hunter2@h/x", "ssh://u:hun/ter2@h", "ssh://u:hunter2@x@h", "ftp://u:hunter2@h"] {
            let error = text.parse::<SourceUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("ter2"), "{error}");
        }
    }
}
