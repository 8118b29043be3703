//! The URL of a mirror, as it stands in the inventory.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::git::NO_PASSWORD;
use super::{GitUrl, UrlError, part, redact, remote};

/// The URL of a mirror as the inventory has it: one that `git` may be given ([`GitUrl`]), its user and host plain
/// words and no token among them, or a path, which may be relative.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorUrl(String);

impl MirrorUrl {
    /// Gives the URL for `git`; a relative path counts from `root`.
    ///
    /// # Errors
    /// [`UrlError::Git`]: the folder has a name that `git` is not given.
    pub fn at(&self, root: &Path) -> Result<GitUrl, UrlError> {
        if self.is_path() { root.join(&self.0).display().to_string().parse() } else { self.0.parse() }
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
                    remote(rest, text).map_err(|error| of_git(error, text))?;
                }
                _ => return Err(scheme()),
            }
        } else if text.contains("::") {
            return Err(scheme());
        } else if let Some((host, path)) = text.split_once(':').filter(|(host, _)| !host.contains('/')) {
            // A slash is missing, or two: git would take the scheme for a host, and a password for a path. A host may
            // be named `git`, though.
            let is_slip = match host {
                "https" | "http" | "file" => true,
                "ssh" | "git" => path.starts_with('/') && path.contains('@'),
                _ => false,
            };
            if is_slip {
                return Err(scheme());
            }
            if path.starts_with('-') || path.is_empty() {
                return Err(part("path", text));
            }
            // git reads this as a path; whoever wrote it meant a password.
            if path.split('/').next().is_some_and(|first| first.contains('@')) {
                return Err(no_password(text));
            }
            remote(host, text).map_err(|error| of_git(error, text))?;
        }
        let url = Self(text.to_owned());
        if !url.is_path() {
            text.parse::<GitUrl>()?;
        }
        Ok(url)
    }
}

/// A password of a mirror is git's to keep, not a credential of the inventory.
fn no_password(text: &str) -> UrlError {
    UrlError::Git { why: NO_PASSWORD, url: redact(text) }
}

fn of_git(error: UrlError, text: &str) -> UrlError {
    match error {
        UrlError::Password(_) => no_password(text),
        error => error,
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
    fn a_password_is_refused_and_never_repeated() {
        for text in [
            "https://u:hunter2@h/x.git",
            "https://ghp_0123456789abcdefghijklmnopqrhunter2@h/x.git",
            "u:hunter2@h:x",
            "https:u:hunter2@h/x.git",
            "https:/u:hunter2@h/x.git",
            "ssh:/u:hunter2@h/x.git",
            "ssh:u:hunter2@h/x.git",
            "https://h/x.git?private_token=hunter2",
            "https://h/x.git#hunter2",
        ] {
            let error = text.parse::<MirrorUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn mirrors_are_what_git_reaches_and_never_a_program() {
        for text in [
            "https://git.example/x.git",
            "ssh://git@host:22/x",
            "git@host:team/x.git",
            "git:team/x.git",
            "git:/srv/x.git",
            "/srv/x.git",
            "../x.git",
            "file:///srv/x",
        ] {
            assert_eq!(text.parse::<MirrorUrl>().unwrap().to_string(), text);
        }
        for text in ["", "ext::sh -c x", "-oX", "ssh://-oX/", "-x@host:y", "host:-x", "a\rb", "ext://x", "fd::3"] {
            assert!(text.parse::<MirrorUrl>().is_err(), "{text:?}");
        }
        let root = Path::new("/srv/cv");
        assert_eq!("../x.git".parse::<MirrorUrl>().unwrap().at(root).unwrap().expose(), "/srv/cv/../x.git");
        assert_eq!("git@h:x".parse::<MirrorUrl>().unwrap().at(root).unwrap().expose(), "git@h:x");
    }
}
