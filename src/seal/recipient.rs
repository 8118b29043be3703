//! Recipients: to whom the keys of an epoch are sealed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{Error, read_public};

/// No list has more recipients: every one costs a public-key operation for every epoch.
const MOST: usize = 1000;

/// One recipient: a native age recipient (`age1…`) or an `ssh-ed25519` public key.
///
/// Displayed without its comment, as it stands in `recipients`.
#[derive(Clone)]
pub struct Recipient {
    text: String,
    comment: String,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Age(age::x25519::Recipient),
    Ssh(Box<age::ssh::Recipient>),
}

impl Recipient {
    /// What stands behind the key on its line; may be empty.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Gives the same recipient under another comment, of which control characters are dropped.
    #[must_use]
    pub fn with_comment(mut self, comment: &str) -> Self {
        self.comment = comment.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
        self
    }

    pub(super) fn as_age(&self) -> &dyn age::Recipient {
        match &self.key {
            Key::Age(key) => key,
            Key::Ssh(key) => key.as_ref(),
        }
    }
}

fn refused(rule: &'static str, text: &str) -> Error {
    // Never more than what a recipient shows: a private key that was mistaken for one stays hidden.
    let text = if text.starts_with("AGE-SECRET-KEY") || text.starts_with("-----") { "[a private key]" } else { text };
    Error::Recipient { rule, text: text.chars().take(24).flat_map(char::escape_default).collect() }
}

impl FromStr for Recipient {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        let mut words = line.trim().splitn(3, [' ', '\t']);
        let kind = words.next().unwrap_or_default();
        let (text, key, comment) = if kind == "ssh-ed25519" {
            let text = format!("{kind} {}", words.next().unwrap_or_default());
            let key: age::ssh::Recipient = text.parse().map_err(|_| refused("a damaged ssh-ed25519 key", line))?;
            if key.to_string() != text {
                return Err(refused("a damaged ssh-ed25519 key", line));
            }
            (text, Key::Ssh(Box::new(key)), words.next().unwrap_or_default().to_owned())
        } else if let Some(data) = kind.strip_prefix("age1") {
            // A second `1` ends the name of a plugin.
            if !data.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) || data.contains('1') {
                return Err(refused("age plugins are not run", line));
            }
            let key = kind.parse().map_err(|_| refused("a damaged age recipient", line))?;
            (kind.to_owned(), Key::Age(key), words.collect::<Vec<_>>().join(" "))
        } else {
            return Err(refused("age1… and ssh-ed25519 are", line));
        };
        Ok(Self { text, key, comment: String::new() }.with_comment(&comment))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Recipient {}

/// A list of recipients without doubles: the content of `recipients` in `_store`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Reads one recipient a line; empty lines and lines that begin with `#` are left out.
    ///
    /// # Errors
    /// [`Error::Recipient`] for a line that is none, for more than 1000, for text that is not UTF-8.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(text).map_err(|_| refused("not UTF-8", ""))?;
        let mut list = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            list.add(line.parse()?)?;
        }
        Ok(list)
    }

    /// Reads what stands behind `--recipient`: a recipient, or a file of them.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and those of [`read_public`].
    pub fn from_argument(text: &str) -> Result<Self, Error> {
        if text.starts_with("age1") || text.starts_with("ssh-") {
            let mut list = Self::default();
            list.add(text.parse()?)?;
            return Ok(list);
        }
        let list = Self::parse(&read_public(Path::new(text))?)?;
        if list.0.is_empty() { Err(Error::NoRecipient) } else { Ok(list) }
    }

    /// Adds a recipient; tells whether it is new.
    ///
    /// # Errors
    /// [`Error::Recipient`] if there are 1000 already.
    pub fn add(&mut self, recipient: Recipient) -> Result<bool, Error> {
        if self.0.contains(&recipient) {
            return Ok(false);
        }
        if self.0.len() >= MOST {
            return Err(refused("more than 1000", &recipient.text));
        }
        self.0.push(recipient);
        Ok(true)
    }

    /// Removes a recipient by its key or by its comment; gives those that were removed.
    pub fn remove(&mut self, which: &str) -> Vec<Recipient> {
        let which = which.trim();
        let hit = |r: &Recipient| r.text == which || (!which.is_empty() && r.comment == which);
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(hit);
        self.0 = kept;
        gone
    }

    /// The recipients, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.0.iter()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the recipients.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Writes one recipient a line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let line = |r: &Recipient| if r.comment.is_empty() { format!("{r}\n") } else { format!("{r} {}\n", r.comment) };
        self.0.iter().map(line).collect()
    }

    /// Seals bytes to every recipient, as one age file.
    ///
    /// # Errors
    /// [`Error::NoRecipient`], [`Error::Io`].
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        if self.0.is_empty() {
            return Err(Error::NoRecipient);
        }
        super::age_file::seal_to(self.0.iter().map(Recipient::as_age), plain)
    }

    /// Tells the recipients that `other` does not have.
    #[must_use]
    pub fn without(&self, other: &Self) -> Vec<&Recipient> {
        let others: BTreeSet<&str> = other.0.iter().map(|r| r.text.as_str()).collect();
        self.0.iter().filter(|r| !others.contains(r.text.as_str())).collect()
    }
}
