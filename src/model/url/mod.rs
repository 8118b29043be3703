//! URLs of sources and mirrors.
//!
//! What becomes an argument of another program or a place on disk is checked here, once: a host or
//! user never begins with `-`, nothing holds a control character, and a URL never holds a password.

mod git;
mod mirror;
mod source;

use std::fmt;

pub use git::GitUrl;
pub use mirror::MirrorUrl;
pub use source::SourceUrl;

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
    /// The URL is none that `git` may be given.
    #[error("URL of a mirror is refused ({why}): {url}")]
    Git {
        /// The rule that was broken.
        why: &'static str,
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

/// The shortest user that is taken for an access token of a git host.
const TOKEN_LEN: usize = 30;

/// The most of a URL that is shown, in characters.
const SHOWN: usize = 300;

/// Removes a password or token, and control characters, from a URL that goes into a message: of `http` all that
/// stands before the host's `@`, and a query; else the password, or a user that is long enough to be a token.
fn redact(text: &str) -> String {
    let mut shown = without_user(text);
    if let Some(at) = shown.find(['?', '#']).filter(|_| shown.starts_with("http")) {
        shown.replace_range(at + 1.., "***");
    }
    shown
}

fn without_user(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    let (start, most) = match shown.find("://") {
        // A password may hold `/` or `@` by mistake: everything up to the last `@` goes.
        Some(at) => (at + 3, shown.len()),
        // With a slash too few the scheme is told as one all the same.
        None if ["http", "ssh:/", "git:/"].iter().any(|scheme| shown.starts_with(scheme)) => (0, shown.len()),
        None => (0, shown.find('/').unwrap_or(shown.len())),
    };
    let Some(end) = shown[..most].rfind('@').filter(|end| *end > start) else { return shown };
    match shown[start..end].find(':') {
        _ if shown.starts_with("http") => format!("{}***{}", &shown[..start], &shown[end..]),
        Some(colon) => format!("{}:***{}", &shown[..start + colon], &shown[end..]),
        None if end - start >= TOKEN_LEN => format!("{}***{}", &shown[..start], &shown[end..]),
        None => shown,
    }
}

/// Makes one word of what `git` said safe to show.
#[must_use]
pub fn redact_word(word: &str) -> String {
    let (quote, inner) = match word.strip_prefix('\'') {
        Some(inner) => ("'", inner),
        None => ("", word),
    };
    format!("{quote}{}", redact(inner))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_and_no_token_is_shown() {
        for (text, shown) in [
            ("https://token@forge.example/x", "https://***@forge.example/x"),
            ("https://u:hunter2@h/x", "https://***@h/x"),
            ("ssh://u:hun/ter2@h", "ssh://u:***@h"),
            ("ssh://git@host/x", "ssh://git@host/x"),
            ("ssh://0123456789abcdef0123456789abcdef@h/x", "ssh://***@h/x"),
            ("u:hunter2@h:x", "u:***@h:x"),
            ("git@host:team/x@2.git", "git@host:team/x@2.git"),
            ("/srv/a:b@c", "/srv/a:b@c"),
            ("https:/u:hunter2@h/x", "***@h/x"),
            ("ssh:/u:hunter2@h/x", "ssh:***@h/x"),
            ("https://h/x.git?private_token=hunter2", "https://h/x.git?***"),
            ("https://u:hun?ter2@h/x#hunter2", "https://***@h/x#***"),
            ("a\x1b[31mb", "a\\u{1b}[31mb"),
        ] {
            assert_eq!(redact(text), shown);
        }
        assert_eq!(redact_word("'https://t@h/x':"), "'https://***@h/x':");
    }
}
