//! URLs of sources and mirrors.
//!
//! What becomes an argument of another program or a place on disk is checked here, once: a host or
//! user never begins with `-`, nothing holds a control character, and a URL never holds a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Says why a text is not a URL that confvault uses. A password in it is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL holds a password.
    #[error("The URL holds a password, which belongs into a credential: {0}")]
    Password(String),
    /// The scheme is none that is known.
    #[error("Not a URL of {wanted}: {url}")]
    Scheme {
        /// The known schemes.
        wanted: &'static str,
        /// The text, redacted.
        url: String,
    },
    /// A part of the URL is empty, or holds a character that it must not.
    #[error("The {part} of the URL is empty or holds what it must not: {url}")]
    Part {
        /// Which part.
        part: &'static str,
        /// The text, redacted.
        url: String,
    },
}

/// A login on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The user, or nothing for that of the ssh configuration.
    pub user: Option<String>,
    /// A name, an address, or an alias of the ssh configuration; an IPv6 address without brackets.
    pub host: String,
    /// The port, or nothing for that of the ssh configuration.
    pub port: Option<u16>,
    /// The absolute path on the host; `/` where none is given.
    pub path: String,
}

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

const SOURCES: &str = "a source (dir:, sftp://, ssh://, drs:, drs://, push:)";

/// The shortest user that is taken for an access token of a git host.
const TOKEN_LEN: usize = 30;

/// Removes a password or token, and control characters, from a URL that goes into a message.
fn redact(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(200) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    let start = shown.find("://").map_or(0, |at| at + 3);
    // A password may hold `/` or `@` by mistake: everything up to the last `@` goes.
    let Some(end) = shown.rfind('@').filter(|end| *end > start) else { return shown };
    match shown[start..end].find(':') {
        Some(colon) => format!("{}:***{}", &shown[..start + colon], &shown[end..]),
        None if end - start >= TOKEN_LEN => format!("{}***{}", &shown[..start], &shown[end..]),
        None => shown,
    }
}

fn part(part: &'static str, text: &str) -> UrlError {
    UrlError::Part { part, url: redact(text) }
}

/// Reads `[USER@]HOST[:PORT][/PATH]`.
fn remote(rest: &str, whole: &str) -> Result<Remote, UrlError> {
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':') || user.len() >= TOKEN_LEN) {
        return Err(UrlError::Password(redact(whole)));
    }
    let word = |text: &str| {
        !text.is_empty() && !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if user.is_some_and(|user| !word(user)) {
        return Err(part("user", whole));
    }
    let (host, port) = if let Some(inner) = place.strip_prefix('[') {
        let (host, port) = inner.split_once(']').ok_or_else(|| part("host", whole))?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| part("host", whole))?;
        match port.strip_prefix(':') {
            None if port.is_empty() => (host, None),
            None => return Err(part("port", whole)),
            port => (host, port),
        }
    } else {
        let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
        if !word(host) {
            return Err(part("host", whole));
        }
        (host, port)
    };
    let port = port.map(|p| p.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(|| part("port", whole))).transpose()?;
    let path = if path.is_empty() { "/" } else { path };
    Ok(Remote { user: user.map(str::to_owned), host: host.to_owned(), port, path: path.to_owned() })
}

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

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if self.path == "/" { Ok(()) } else { f.write_str(&self.path) }
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

/// The URL of a git remote: `https://`, `ssh://`, `file://`, `git://`, `HOST:PATH` or a path. Never
/// `ext::` or another helper that runs a program of the URL's choice, never an option in disguise.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorUrl(String);

impl MirrorUrl {
    /// Gives the text for git; a relative path counts from `root`.
    #[must_use]
    pub fn for_git(&self, root: &Path) -> String {
        if self.is_path() { root.join(&self.0).display().to_string() } else { self.0.clone() }
    }

    /// Tells whether the URL is a path of this machine, without a scheme.
    #[must_use]
    pub fn is_path(&self) -> bool {
        !self.0.contains("://") && !self.0.split('/').next().is_some_and(|first| first.contains(':'))
    }
}

impl FromStr for MirrorUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
            return Err(part("text", text));
        }
        let scheme =
            || UrlError::Scheme { wanted: "a mirror (https://, ssh://, git://, file://, HOST:PATH, a path)", url: redact(text) };
        if let Some((name, rest)) = text.split_once("://") {
            match name {
                "file" => {}
                "https" | "http" | "ssh" | "git" => {
                    remote(rest, text)?;
                }
                _ => return Err(scheme()),
            }
        } else if text.contains("::") {
            return Err(scheme());
        } else if let Some((host, path)) = text.split_once(':').filter(|(host, _)| !host.contains('/')) {
            if path.starts_with('-') || path.is_empty() {
                return Err(part("path", text));
            }
            // git reads this as a path; whoever wrote it meant a password.
            if path.split('/').next().is_some_and(|first| first.contains('@')) {
                return Err(UrlError::Password(redact(text)));
            }
            remote(host, text)?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for MirrorUrl {
    type Error = UrlError;
    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<MirrorUrl> for String {
    fn from(url: MirrorUrl) -> String {
        url.0
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
        for text in ["https://u:hunter2@h/x.git", "https://ghp_0123456789abcdefghijklmnopqrhunter2@h/x.git", "u:hunter2@h:x"] {
            let error = text.parse::<MirrorUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn mirrors_are_what_git_reaches_and_never_a_program() {
        for text in
            ["https://git.example/x.git", "ssh://git@host:22/x", "git@host:team/x.git", "/srv/x.git", "../x.git", "file:///srv/x"]
        {
            assert_eq!(text.parse::<MirrorUrl>().unwrap().to_string(), text);
        }
        for text in ["", "ext::sh -c x", "-oX", "ssh://-oX/", "-x@host:y", "host:-x", "a\rb", "ext://x", "fd::3"] {
            assert!(text.parse::<MirrorUrl>().is_err(), "{text:?}");
        }
        let root = Path::new("/srv/cv");
        assert_eq!("../x.git".parse::<MirrorUrl>().unwrap().for_git(root), "/srv/cv/../x.git");
        assert_eq!("git@h:x".parse::<MirrorUrl>().unwrap().for_git(root), "git@h:x");
    }
}
