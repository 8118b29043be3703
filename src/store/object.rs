//! Commits, tags and trees as bytes: what git writes, without a repository.
//!
//! The readers take what git takes and never panic; the writers write what `git fsck --strict` finds
//! nothing in.

use chrono::{DateTime, Utc};
use gix::ObjectId;

use crate::model::CollectorName;
use crate::seal::principal;

/// A file in a tree.
pub const FILE: u32 = 0o100_644;
/// A file that its owner may execute, in a tree.
pub const EXECUTABLE: u32 = 0o100_755;
/// A link in a tree.
pub const LINK: u32 = 0o120_000;
/// A tree in a tree.
pub const TREE: u32 = 0o040_000;

/// Says what is wrong with the bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The name; never empty, without `<`, `>` and control characters.
    pub name: String,
    /// The address; like the name.
    pub email: String,
    /// When, to the second.
    pub time: DateTime<Utc>,
}

impl Ident {
    /// A collector, by the principal of its signatures.
    #[must_use]
    pub fn of(collector: &CollectorName, time: DateTime<Utc>) -> Self {
        Self::new(collector.as_str(), &principal(collector), time)
    }

    /// Takes a name and an address; what an identity cannot hold is left out.
    #[must_use]
    pub fn new(name: &str, email: &str, time: DateTime<Utc>) -> Self {
        let clean = |text: &str| {
            let text: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
            let text =
                text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | ':' | ';' | '"' | '\'')).to_owned();
            if text.is_empty() { "unknown".to_owned() } else { text }
        };
        Self { name: clean(name), email: clean(email), time }
    }

    fn write(&self, out: &mut Vec<u8>) {
        // git knows no time before 1970.
        let seconds = self.time.timestamp().max(0);
        out.extend_from_slice(format!("{} <{}> {seconds} +0000\n", self.name, self.email).as_bytes());
    }

    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|b| *b == b'<')?;
        let close = line.iter().rposition(|b| *b == b'>')?;
        let email = line.get(open + 1..close)?;
        let mut rest = std::str::from_utf8(line.get(close + 1..)?).ok()?.split_ascii_whitespace();
        let seconds: i64 = rest.next()?.parse().ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Some(Self { name: text(&line[..open]), email: text(email), time: DateTime::from_timestamp(seconds, 0)? })
    }
}

/// A commit to be written, or as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its tree.
    pub tree: ObjectId,
    /// Its parents, in order.
    pub parents: Vec<ObjectId>,
    /// Who made the content.
    pub author: Ident,
    /// Who made the commit.
    pub committer: Ident,
    /// The message, with its last LF.
    pub message: String,
}

impl Commit {
    /// Writes the commit without a signature: the payload of one.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.message.len());
        out.extend_from_slice(format!("tree {}\n", self.tree).as_bytes());
        for parent in &self.parents {
            out.extend_from_slice(format!("parent {parent}\n").as_bytes());
        }
        out.extend_from_slice(b"author ");
        self.author.write(&mut out);
        out.extend_from_slice(b"committer ");
        self.committer.write(&mut out);
        out.push(b'\n');
        out.extend_from_slice(self.message.as_bytes());
        out
    }

    /// Reads a commit; an encoding, a signature and other headers are passed over.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let mut rest = data;
        let (mut tree, mut parents, mut author, mut committer) = (None, Vec::new(), None, None);
        loop {
            let end = memchr::memchr(b'\n', rest).ok_or(Malformed("a commit without an end of its headers"))?;
            let (line, next) = (&rest[..end], &rest[end + 1..]);
            rest = next;
            if line.is_empty() {
                break;
            }
            if let Some(hex) = line.strip_prefix(b"tree ") {
                tree = ObjectId::from_hex(hex).ok();
            } else if let Some(hex) = line.strip_prefix(b"parent ") {
                parents.push(ObjectId::from_hex(hex).map_err(|_| Malformed("a commit with a parent that is no id"))?);
            } else if let Some(text) = line.strip_prefix(b"author ") {
                author = Ident::parse(text);
            } else if let Some(text) = line.strip_prefix(b"committer ") {
                committer = Ident::parse(text);
            }
        }
        Ok(Self {
            tree: tree.ok_or(Malformed("a commit without a tree"))?,
            parents,
            author: author.ok_or(Malformed("a commit without an author"))?,
            committer: committer.ok_or(Malformed("a commit without a committer"))?,
            message: String::from_utf8_lossy(rest).into_owned(),
        })
    }
}

/// Puts a signature into the bytes of a commit, as the header `gpgsig`.
#[must_use]
pub fn sign_commit(payload: &[u8], armour: &str) -> Vec<u8> {
    let headers = memchr::memmem::find(payload, b"\n\n").map_or(payload.len(), |at| at + 1);
    let mut out = Vec::with_capacity(payload.len() + armour.len() + 32);
    out.extend_from_slice(&payload[..headers]);
    out.extend_from_slice(b"gpgsig ");
    out.extend_from_slice(armour.trim_end().replace('\n', "\n ").as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&payload[headers..]);
    out
}

/// Takes the signature out of a commit: what was signed, and the armour.
#[must_use]
pub fn split_commit(data: &[u8]) -> Option<(Vec<u8>, String)> {
    let headers = memchr::memmem::find(data, b"\n\n")? + 1;
    let (mut payload, mut armour, mut inside) = (Vec::with_capacity(data.len()), None::<Vec<u8>>, false);
    for line in data[..headers].split_inclusive(|b| *b == b'\n') {
        if let Some(first) = line.strip_prefix(b"gpgsig ") {
            // A second signature would leave open which one is meant.
            if armour.is_some() {
                return None;
            }
            armour = Some(first.to_vec());
            inside = true;
        } else if let (true, Some(more), Some(armour)) = (inside, line.strip_prefix(b" "), armour.as_mut()) {
            armour.extend_from_slice(more);
        } else {
            inside = false;
            payload.extend_from_slice(line);
        }
    }
    payload.extend_from_slice(&data[headers..]);
    Some((payload, String::from_utf8(armour?).ok()?))
}

/// An annotated tag to be written, or as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The commit that it names.
    pub target: ObjectId,
    /// The name behind `refs/tags/`.
    pub name: String,
    /// Who made it.
    pub tagger: Ident,
    /// The message, with its last LF, without a signature.
    pub message: String,
}

/// Begins the armour of a signature behind the message of a tag.
const ARMOUR: &[u8] = b"-----BEGIN SSH SIGNATURE-----";

impl Tag {
    /// Writes the tag without a signature: the payload of one, which is put behind it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = format!("object {}\ntype commit\ntag {}\ntagger ", self.target, self.name).into_bytes();
        self.tagger.write(&mut out);
        out.push(b'\n');
        out.extend_from_slice(self.message.as_bytes());
        out
    }

    /// Reads a tag of a commit.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let (payload, _) = split_tag(data);
        let at = memchr::memmem::find(payload, b"\n\n").ok_or(Malformed("a tag without an end of its headers"))?;
        let mut lines = payload[..at].split(|b| *b == b'\n');
        let mut header = |word: &[u8]| lines.next().and_then(|l| l.strip_prefix(word));
        let object = header(b"object ").and_then(|hex| ObjectId::from_hex(hex).ok());
        let kind = header(b"type ");
        let name = header(b"tag ").and_then(|n| std::str::from_utf8(n).ok());
        let tagger = header(b"tagger ").and_then(Ident::parse);
        if kind != Some(b"commit") {
            return Err(Malformed("a tag of something else than a commit"));
        }
        Ok(Self {
            target: object.ok_or(Malformed("a tag without an object"))?,
            name: name.ok_or(Malformed("a tag without a name"))?.to_owned(),
            tagger: tagger.ok_or(Malformed("a tag without a tagger"))?,
            message: String::from_utf8_lossy(&payload[at + 2..]).into_owned(),
        })
    }
}

/// Cuts a tag into what was signed and the armour, if any.
#[must_use]
pub fn split_tag(data: &[u8]) -> (&[u8], Option<&str>) {
    let starts = memchr::memmem::find_iter(data, ARMOUR);
    match starts.filter(|at| *at == 0 || data[at - 1] == b'\n').last() {
        Some(at) => (&data[..at], std::str::from_utf8(&data[at..]).ok()),
        None => (data, None),
    }
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// One of [`FILE`], [`EXECUTABLE`], [`LINK`], [`TREE`], or what a foreign tree has.
    pub mode: u32,
    /// The name of one component.
    pub name: Vec<u8>,
    /// The object.
    pub id: ObjectId,
}

/// Writes a tree; sorts the entries as git does.
#[must_use]
pub fn write_tree(entries: &mut [TreeEntry]) -> Vec<u8> {
    // A directory sorts as if its name ended in `/`.
    let end = |e: &TreeEntry| if e.mode == TREE { b'/' } else { 0 };
    entries.sort_by(|a, b| {
        let common = a.name.len().min(b.name.len());
        let tail = |e: &TreeEntry| e.name.get(common).copied().unwrap_or_else(|| end(e));
        a.name[..common].cmp(&b.name[..common]).then_with(|| tail(a).cmp(&tail(b))).then_with(|| a.name.len().cmp(&b.name.len()))
    });
    let mut out = Vec::with_capacity(entries.iter().map(|e| e.name.len() + 28).sum());
    for entry in entries {
        out.extend_from_slice(format!("{:o} ", entry.mode).as_bytes());
        out.extend_from_slice(&entry.name);
        out.push(0);
        out.extend_from_slice(entry.id.as_slice());
    }
    out
}

/// Reads a tree.
///
/// # Errors
/// [`Malformed`].
pub fn parse_tree(data: &[u8]) -> Result<Vec<TreeEntry>, Malformed> {
    let mut out = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let blank = memchr::memchr(b' ', rest).filter(|at| *at <= 7).ok_or(Malformed("a tree entry without a mode"))?;
        // Digits alone: `+40000` is a number, too. Old trees have a zero in front.
        let digits = Some(&rest[..blank]).filter(|m| m.iter().all(|b| matches!(b, b'0'..=b'7')));
        let mode = digits.and_then(|m| std::str::from_utf8(m).ok()).and_then(|m| u32::from_str_radix(m, 8).ok());
        let zero = memchr::memchr(0, rest).filter(|at| *at > blank).ok_or(Malformed("a tree entry without a name"))?;
        let id = rest.get(zero + 1..zero + 21).ok_or(Malformed("a tree entry cut short"))?;
        out.push(TreeEntry {
            mode: mode.ok_or(Malformed("a tree entry without a mode"))?,
            name: rest[blank + 1..zero].to_vec(),
            id: ObjectId::try_from(id).map_err(|_| Malformed("a tree entry without an id"))?,
        });
        rest = &rest[zero + 21..];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ident() -> Ident {
        Ident::new("a <b>\n", " x@y ", DateTime::from_timestamp(1_700_000_000, 0).unwrap())
    }

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[n; 20])
    }

    #[test]
    fn a_commit_comes_back_with_and_without_a_signature() {
        let commit = Commit {
            tree: id(1),
            parents: vec![id(2), id(3)],
            author: ident(),
            committer: ident(),
            message: "subject\n\n gpgsig not a header\n".into(),
        };
        let bytes = commit.write();
        assert!(bytes.starts_with(b"tree 0101"));
        assert_eq!(Commit::parse(&bytes).unwrap(), commit);
        assert_eq!(split_commit(&bytes), None);
        let signed = sign_commit(&bytes, "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n");
        assert_eq!(Commit::parse(&signed).unwrap(), commit);
        let (payload, armour) = split_commit(&signed).unwrap();
        assert_eq!(payload, bytes);
        assert_eq!(armour, "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n");
    }

    #[test]
    fn a_tag_comes_back() {
        let tag = Tag { target: id(1), name: "gw/golden".into(), tagger: ident(), message: "note\n\nName: golden\n".into() };
        let mut bytes = tag.write();
        assert_eq!(split_tag(&bytes), (&bytes[..], None));
        let payload = bytes.clone();
        bytes.extend_from_slice(b"-----BEGIN SSH SIGNATURE-----\nx\n");
        assert_eq!(Tag::parse(&bytes).unwrap(), tag);
        assert_eq!(split_tag(&bytes), (&payload[..], Some("-----BEGIN SSH SIGNATURE-----\nx\n")));
    }

    #[test]
    fn trees_sort_as_git_sorts() {
        let entry = |name: &str, mode| TreeEntry { mode, name: name.into(), id: id(1) };
        let mut entries = vec![entry("a0", FILE), entry("a", TREE), entry("a.b", FILE), entry("a-b", TREE), entry("B", LINK)];
        let bytes = write_tree(&mut entries);
        let names: Vec<_> = entries.iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect();
        assert_eq!(names, ["B", "a-b", "a.b", "a", "a0"]);
        assert_eq!(parse_tree(&bytes).unwrap(), entries);
        for cut in 1..bytes.len() {
            // Any cut is an error or a shorter tree; none panics.
            drop(parse_tree(&bytes[..cut]));
        }
        assert!(parse_tree(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn hostile_commits_are_errors() {
        for bad in [&b""[..], b"tree x\n\n", b"\n", b"tree 01\nauthor a <b 1 +0\n\n", b"author <> \n\n"] {
            assert!(Commit::parse(bad).is_err());
            assert!(Tag::parse(bad).is_err());
        }
    }
}
