//! Refs: a fast reader of `packed-refs` and loose refs. The writer is `reftx`.
//!
//! All refs are read at once into one buffer and found by bisection; 100,000 of them take some 10 ms.
//! Loose refs, which only foreign programs make here, override packed ones.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use gix::ObjectId;

use super::error::{Error, Result};

/// A ref as it stood when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ref<'a> {
    /// The full name, such as `refs/heads/gw-0042/16.9.5`.
    pub name: &'a str,
    /// What it points to.
    pub id: ObjectId,
    /// The object that an annotated tag stands for at last; none where `id` is no tag.
    pub peeled: Option<ObjectId>,
}

/// One change of a ref, valid only if the ref has the expected value when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefEdit {
    /// The full name.
    pub name: String,
    /// The value that it must have; none: it must not exist.
    pub expected: Option<ObjectId>,
    /// The value that it gets; none: it is removed.
    pub new: Option<ObjectId>,
}

/// A loose ref.
#[derive(Debug, Clone)]
pub(super) struct Loose {
    pub(super) name: String,
    pub(super) id: ObjectId,
    pub(super) peeled: Option<ObjectId>,
}

/// All refs as they stood at one moment, sorted by name. Clones are cheap.
#[derive(Debug, Clone, Default)]
pub struct Refs {
    packed: Arc<Packed>,
    /// Sorted by name.
    loose: Arc<Vec<Loose>>,
}

#[derive(Debug, Default)]
struct Packed {
    text: String,
    /// The lines with refs, sorted by the name of the ref.
    lines: Vec<Line>,
    /// Peeled values that the file does not state, sorted by line offset.
    unstated: Vec<(u32, ObjectId)>,
}

/// Where a line of `packed-refs` begins, and where its name ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    start: u32,
    end: u32,
}

/// Finds the object that an id stands for at last, if it is an annotated tag.
pub(super) type Peel<'a> = &'a dyn Fn(&ObjectId) -> Option<ObjectId>;

const HEX: usize = 40;

fn id_of(hex: &str) -> ObjectId {
    ObjectId::from_hex(hex.as_bytes()).expect("checked when the file was read")
}

impl Packed {
    fn parse(text: String, path: &Path, peel: Peel<'_>) -> Result<Self> {
        let corrupt = |what: String| Error::CorruptFile { what, path: path.to_owned() };
        if text.len() > u32::MAX as usize {
            return Err(corrupt("larger than 4 GiB".into()));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(corrupt("cut off in its last line".into()));
        }
        let bytes = text.as_bytes();
        let is_id = |b: &[u8]| b.len() == HEX && b.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        let (mut lines, mut unsorted, mut before) = (Vec::with_capacity(bytes.len() / 80), false, "");
        let (mut fully, mut tags) = (false, false);
        let mut unknown = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let end = at + memchr::memchr(b'\n', &bytes[at..]).expect("the text ends in LF");
            let line = &bytes[at..end];
            let wrong = || corrupt(format!("not a ref at byte {at}"));
            if line.first() == Some(&b'#') && at == 0 {
                let traits = text[at..end].split_once("pack-refs with:").map_or("", |(_, t)| t);
                fully = traits.split(' ').any(|t| t == "fully-peeled");
                tags = fully || traits.split(' ').any(|t| t == "peeled");
            } else if line.first() == Some(&b'^') {
                if !is_id(&line[1..]) || unknown.pop().is_none_or(|last| lines.last() != Some(&last)) {
                    return Err(wrong());
                }
            } else {
                if line.len() < HEX + 2 || !is_id(&line[..HEX]) || line[HEX] != b' ' {
                    return Err(wrong());
                }
                let name = &text[at + HEX + 1..end];
                unsorted |= name <= before;
                before = name;
                let offset = |at| u32::try_from(at).expect("the length was checked");
                let line = Line { start: offset(at), end: offset(end) };
                lines.push(line);
                unknown.push(line);
            }
            at = end + 1;
        }
        let mut packed = Self { text, lines, unstated: Vec::new() };
        if unsorted {
            let mut lines = std::mem::take(&mut packed.lines);
            lines.sort_by(|a, b| packed.name(*a).cmp(packed.name(*b)));
            if lines.windows(2).any(|w| packed.name(w[0]) == packed.name(w[1])) {
                return Err(corrupt("a ref stands twice".into()));
            }
            packed.lines = lines;
        }
        // A tag that should have its peeled value and has none is looked at all the same: the file may have been cut.
        unknown.retain(|line| packed.name(*line).starts_with("refs/tags/") == fully || !tags);
        packed.unstated = unknown.iter().filter_map(|line| Some((line.start, peel(&packed.id(*line))?))).collect();
        Ok(packed)
    }

    fn id(&self, line: Line) -> ObjectId {
        let at = line.start as usize;
        id_of(&self.text[at..at + HEX])
    }

    fn name(&self, line: Line) -> &str {
        &self.text[line.start as usize + HEX + 1..line.end as usize]
    }

    fn get(&self, line: Line) -> Ref<'_> {
        let next = line.end as usize + 1;
        let peeled = match self.text.as_bytes().get(next) {
            Some(b'^') => Some(id_of(&self.text[next + 1..next + 1 + HEX])),
            _ => self.unstated.binary_search_by_key(&line.start, |u| u.0).ok().map(|i| self.unstated[i].1),
        };
        Ref { name: self.name(line), id: self.id(line), peeled }
    }

    /// Gives the lines of the refs whose names begin with `prefix`.
    fn below(&self, prefix: &str) -> &[Line] {
        let first = self.lines.partition_point(|line| self.name(*line) < prefix);
        let lines = &self.lines[first..];
        // Mostly they are few, so the end is looked for from the first on.
        let (mut end, mut step) = (0, 1);
        while lines.get(end + step - 1).is_some_and(|line| self.name(*line).starts_with(prefix)) {
            end += step;
            step *= 2;
        }
        let near = &lines[end..(end + step).min(lines.len())];
        &lines[..end + near.partition_point(|line| self.name(*line).starts_with(prefix))]
    }
}

impl Refs {
    /// Reads all refs of the repository at `dir`.
    ///
    /// Loose refs come first: a ref that is folded into `packed-refs` meanwhile is then found there.
    pub(super) fn read(dir: &Path, peel: Peel<'_>) -> Result<Self> {
        let mut loose = Vec::new();
        read_loose(&dir.join("refs"), "refs", &mut loose, 0)?;
        loose.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in &mut loose {
            entry.peeled = peel(&entry.id);
        }
        let path = dir.join("packed-refs");
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            return Err(Error::CorruptFile { what: "no file".into(), path });
        }
        let packed = match fs::read(&path) {
            Ok(bytes) => {
                let text =
                    String::from_utf8(bytes).map_err(|_| Error::CorruptFile { what: "not UTF-8".into(), path: path.clone() })?;
                Packed::parse(text, &path, peel)?
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Packed::default(),
            Err(source) => return Err(Error::Read { path, source }),
        };
        Ok(Self { packed: Arc::new(packed), loose: Arc::new(loose) })
    }

    /// Looks a ref up by its full name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Ref<'_>> {
        if let Ok(at) = self.loose.binary_search_by(|l| l.name.as_str().cmp(name)) {
            return Some(self.loose[at].as_ref());
        }
        let packed = &self.packed;
        let at = packed.lines.binary_search_by(|line| packed.name(*line).cmp(name)).ok()?;
        Some(packed.get(packed.lines[at]))
    }

    /// Gives the refs whose full names begin with `prefix`, sorted bytewise by name.
    pub fn prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = Ref<'a>> + use<'a> {
        let packed = &self.packed;
        let mut lines = packed.below(prefix).iter().map(|line| packed.get(*line)).peekable();
        let first = self.loose.partition_point(|l| l.name.as_str() < prefix);
        let loose_end = first + self.loose[first..].partition_point(|l| l.name.starts_with(prefix));
        let mut loose = self.loose[first..loose_end].iter().map(Loose::as_ref).peekable();
        std::iter::from_fn(move || match (lines.peek(), loose.peek()) {
            (Some(p), Some(l)) if p.name == l.name => {
                lines.next();
                loose.next()
            }
            (Some(p), Some(l)) if p.name < l.name => lines.next(),
            (_, Some(_)) => loose.next(),
            (_, None) => lines.next(),
        })
    }

    /// Tells whether both have the same refs below `prefix`.
    #[must_use]
    pub fn same_below(&self, other: &Self, prefix: &str) -> bool {
        let one = Arc::ptr_eq(&self.packed, &other.packed) && Arc::ptr_eq(&self.loose, &other.loose);
        one || self.prefix(prefix).eq(other.prefix(prefix))
    }

    /// Gives all refs, sorted bytewise by name.
    pub fn iter(&self) -> impl Iterator<Item = Ref<'_>> {
        self.prefix("")
    }

    /// Says whether there are loose refs.
    pub(super) fn has_loose(&self) -> bool {
        !self.loose.is_empty()
    }

    /// Gives the loose refs.
    pub(super) fn loose(&self) -> &[Loose] {
        &self.loose
    }
}

impl Loose {
    fn as_ref(&self) -> Ref<'_> {
        Ref { name: &self.name, id: self.id, peeled: self.peeled }
    }
}

/// How deep folders of refs may nest.
const DEPTH: usize = 64;

fn read_loose(dir: &Path, name: &str, out: &mut Vec<Loose>, depth: usize) -> Result<()> {
    let read = |source| Error::Read { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // Another process removed the folder, which was empty.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(read(e)),
    };
    for entry in entries {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let corrupt = |what: &str| Error::CorruptFile { what: what.into(), path: path.clone() };
        let last = entry.file_name().into_string().map_err(|_| corrupt("name of a ref is not UTF-8"))?;
        let name = format!("{name}/{last}");
        let kind = entry.file_type().map_err(read)?;
        if kind.is_dir() {
            if depth == DEPTH {
                return Err(corrupt("folders of refs nest too deep"));
            }
            read_loose(&path, &name, out, depth + 1)?;
            continue;
        }
        // What git leaves while it writes, or when it is killed.
        if last.ends_with(".lock") {
            continue;
        }
        // A pipe in the place of a ref would be waited for.
        if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) {
            return Err(corrupt("a loose ref is no file"));
        }
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::Read { path, source }),
        };
        if text.starts_with(b"ref:") {
            // A symbolic ref, such as `refs/remotes/origin/HEAD`, is no value of its own.
            continue;
        }
        let hex = text.strip_suffix(b"\n").unwrap_or(&text);
        let id = if hex.len() == HEX { ObjectId::from_hex(hex).ok() } else { None };
        let id = id.ok_or_else(|| corrupt("a loose ref holds no object id"))?;
        out.push(Loose { name, id, peeled: None });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Packed> {
        Packed::parse(text.to_owned(), Path::new("packed-refs"), &|_| None)
    }

    fn id(n: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[n; 20])
    }

    fn refs(text: &str, loose: &[(&str, ObjectId)]) -> Refs {
        let loose = loose.iter().map(|(n, id)| Loose { name: (*n).to_owned(), id: *id, peeled: None }).collect();
        Refs { packed: Arc::new(parse(text).unwrap()), loose: Arc::new(loose) }
    }

    #[test]
    fn packed_lines_peeled_lines_and_loose_overrides_are_read() {
        let text = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{} refs/heads/a/1\n{} refs/heads/b\n{} refs/tags/t\n^{}\n",
            id(1),
            id(2),
            id(3),
            id(4)
        );
        let refs = refs(&text, &[("refs/heads/a/0", id(9)), ("refs/heads/b", id(8))]);
        let all: Vec<_> = refs.iter().map(|r| (r.name.to_owned(), r.id, r.peeled)).collect();
        let want = [
            ("refs/heads/a/0", id(9), None),
            ("refs/heads/a/1", id(1), None),
            ("refs/heads/b", id(8), None),
            ("refs/tags/t", id(3), Some(id(4))),
        ];
        assert_eq!(all, want.map(|(n, i, p)| (n.to_owned(), i, p)));
        assert_eq!(refs.get("refs/heads/b").unwrap().id, id(8));
        assert_eq!(refs.get("refs/tags/t").unwrap().peeled, Some(id(4)));
        assert!(refs.get("refs/heads/a").is_none());
        let heads: Vec<_> = refs.prefix("refs/heads/a/").map(|r| r.name).collect();
        assert_eq!(heads, ["refs/heads/a/0", "refs/heads/a/1"]);
    }

    #[test]
    fn an_unsorted_file_without_a_header_is_read_and_peeled() {
        let text = format!("{} refs/heads/b\n{} refs/heads/a\n", id(2), id(1));
        let packed = Packed::parse(text, Path::new("x"), &|i| (*i == id(2)).then(|| id(7))).unwrap();
        let refs = Refs { packed: Arc::new(packed), loose: Arc::default() };
        assert_eq!(refs.iter().map(|r| r.name).collect::<Vec<_>>(), ["refs/heads/a", "refs/heads/b"]);
        assert_eq!(refs.get("refs/heads/b").unwrap().peeled, Some(id(7)));
        assert_eq!(refs.get("refs/heads/a").unwrap().peeled, None);
    }

    #[test]
    fn every_cut_and_every_junk_line_is_refused() {
        let text = format!("# pack-refs with: peeled fully-peeled sorted \n{} refs/tags/t\n^{}\n", id(3), id(4));
        for cut in 1..text.len() {
            let short = &text[..cut];
            // A cut between two lines cannot be seen; every other one must be.
            assert_eq!(parse(short).is_err(), !short.ends_with('\n'), "cut at {cut}");
        }
        let junk = [
            "x\n".to_owned(),
            format!("{}\n", id(1)),
            format!("{} \n", id(1)),
            format!("^{}\n", id(1)),
            format!("{} refs/heads/a\n^12\n", id(1)),
            format!("{} refs/heads/a\n{} refs/heads/a\n", id(1), id(2)),
            format!("{} refs/heads/a\n# pack-refs\n", id(1)),
            format!("{} refs/heads/a\n^{}\n^{}\n", id(1), id(2), id(2)),
        ];
        for text in junk {
            assert!(parse(&text).is_err(), "{text:?}");
        }
    }
}
