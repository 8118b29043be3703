//! What may be handed to `git`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{UrlError, redact};

/// The URL of a mirror: `ssh://`, `https://`, `http://`, `git://`, `file://`, `[user@]host:path`, or an
/// absolute path.
///
/// It never begins with `-`, has no control character also when percent-decoded, no host or user that a
/// program could take for an option, names no remote helper (`ext::…`), and holds no password: those
/// belong to git's credential helpers, as a command line can be read by every user of the machine.
///
/// [`fmt::Display`] and [`fmt::Debug`] show it without the user of `https://`, which can be a token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GitUrl(String);

const SCHEMES: &[&str] = &["ssh", "git+ssh", "ssh+git", "https", "http", "git", "file"];

impl GitUrl {
    /// Gives the URL as `git` takes it. It can hold a token; it is for `git` and the inventory only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Says whether what is sent could be read and altered on the way.
    #[must_use]
    pub fn is_unprotected(&self) -> bool {
        matches!(self.scheme(), Some("http" | "git"))
    }

    /// Gives the scheme, if the URL has one.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.0.split_once("://").map(|(scheme, _)| scheme)
    }

    /// Gives the folder on this machine, if the URL names one.
    #[must_use]
    pub fn local_path(&self) -> Option<PathBuf> {
        if self.0.starts_with('/') {
            return Some(PathBuf::from(&self.0));
        }
        let path = self.0.strip_prefix("file://")?;
        let path = &path[path.find('/')?..];
        Some(Path::new(&String::from_utf8_lossy(&decode(path)).into_owned()).to_owned())
    }

    /// Gives the host, if the URL names one.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        if self.local_path().is_some() {
            return None;
        }
        let host = match self.0.split_once("://") {
            Some((_, rest)) => authority(rest),
            None => self.0.split_once(':')?.0,
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.split_once(']')?.0,
            None => host.split_once(':').map_or(host, |(host, _)| host),
        };
        Some(String::from_utf8_lossy(&decode(host)).into_owned())
    }
}

fn authority(rest: &str) -> &str {
    rest.split_once('/').map_or(rest, |(authority, _)| authority)
}

/// Decodes `%XX`, as git does before it takes a URL apart.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let pair = text.get(i + 1..i + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[i], pair) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    out
}

pub(super) const NO_PASSWORD: &str = "a password or token belongs to a git credential helper, not to a URL";

impl FromStr for GitUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let refuse = |why| Err(UrlError::Git { why, url: redact(text) });
        if text.is_empty() || text.len() > 2048 {
            return refuse("1 to 2048 bytes");
        }
        let decoded = decode(text);
        let odd = |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
        if text.chars().any(odd) || decoded.iter().any(u8::is_ascii_control) {
            return refuse("control or invisible characters");
        }
        if text.starts_with('-') {
            return refuse("begins with `-`");
        }
        if text.starts_with('/') {
            return Ok(Self(text.to_owned()));
        }
        if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| !scheme.contains([':', '/'])) {
            if !SCHEMES.contains(&scheme) {
                return refuse("not one of ssh, https, http, git, file");
            }
            if scheme == "file" {
                return if authority(rest).is_empty() { Ok(Self(text.to_owned())) } else { refuse("file:// with a host") };
            }
            let authority = String::from_utf8_lossy(&decode(authority(rest))).into_owned();
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority.as_str()),
            };
            if host.is_empty() || host.starts_with(['-', ':']) || user.is_some_and(|u| u.starts_with('-')) {
                return refuse("no host, or one that begins with `-`");
            }
            if user.is_some_and(|u| u.contains(':')) {
                return refuse(NO_PASSWORD);
            }
            // No host of git takes a query; who writes one has a token in it.
            if scheme.starts_with("http") && rest.contains(['?', '#']) {
                return refuse(NO_PASSWORD);
            }
            return Ok(Self(text.to_owned()));
        }
        let Some((left, path)) = text.split_once(':') else { return refuse("not an absolute path, and no host before a `:`") };
        if left.contains('/') {
            return refuse("not an absolute path");
        }
        if path.starts_with(':') {
            return refuse("names a remote helper");
        }
        let host = left.rsplit_once('@').map_or(left, |(_, host)| host);
        if host.is_empty() || host.starts_with('-') || path.is_empty() || path.starts_with('-') {
            return refuse("no host or path, or one that begins with `-`");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_urls_are_refused() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "--upload-pack=touch x",
            "ext::sh -c id",
            "fd::7",
            "ext://sh",
            "transport::https://x/y",
            "ssh://-oProxyCommand=x/y",
            "ssh://%2doProxyCommand=x/y",
            "ssh://-F@host/y",
            "-F@host:x",
            "u@-oX:x",
            "host:-x",
            "ssh:///x",
            "https://host/a\r\nb",
            "https://host/%0aX",
            "https://host/%00",
            "https://u:canary@host/x",
            "ssh://u:canary@host/x",
            "relative/path",
            "./a:b",
            "file://host/x",
            "host:",
            "http\u{202e}s://x",
        ] {
            let refused = bad.parse::<GitUrl>().unwrap_err().to_string();
            assert!(!refused.contains("canary") && !refused.chars().any(char::is_control), "{refused}");
        }
    }

    #[test]
    fn usual_urls_are_taken_apart() {
        let url = |text: &str| text.parse::<GitUrl>().unwrap();
        for (text, host) in [
            ("ssh://git@mirror.example:2222/srv/x.git", "mirror.example"),
            ("git@mirror.example:voip/x.git", "mirror.example"),
            ("https://forge.example/a/b.git", "forge.example"),
            ("git://[2001:db8::1]:9418/x", "2001:db8::1"),
        ] {
            assert_eq!(url(text).host().as_deref(), Some(host), "{text}");
            assert_eq!(url(text).local_path(), None);
        }
        assert_eq!(url("/srv/x.git").local_path(), Some("/srv/x.git".into()));
        assert_eq!(url("file:///srv/x%20y").local_path(), Some("/srv/x y".into()));
        assert_eq!(url("https://token@forge.example/x").to_string(), "https://***@forge.example/x");
        assert_eq!(url("ssh://git@host/x").to_string(), "ssh://git@host/x");
        assert!(url("git://host/x").is_unprotected() && !url("ssh://host/x").is_unprotected());
    }
}
