//! Looking at every object that came from a mirror before a ref names one.
//!
//! `git` itself has checked them as it took them in (`transfer.fsckObjects`: forms, ids, `.git` in every
//! disguise, duplicates, links between objects). This looks for what is no fault in git and can be none of
//! a store's: submodules, odd modes, names that another system would act on, and objects so large that
//! reading them is an attack.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::git::Call;
use super::{MirrorError, Remote};
use crate::store::object::parse_tree;
use crate::store::{ObjectId, place};

/// The largest object that a store has: large files lie in chunks of some MiB.
const MOST_OBJECT: u64 = 256 << 20;
/// The largest tree that is read.
const MOST_TREE: u64 = 64 << 20;

fn hostile(what: impl Into<String>, id: &str) -> MirrorError {
    MirrorError::Hostile { what: what.into(), id: id.to_owned() }
}

fn odd(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Says what a tree must not have, if it has it.
pub(super) fn fault_of_tree(data: &[u8]) -> Option<&'static str> {
    let Ok(entries) = parse_tree(data) else { return Some("a tree that does not read") };
    let mut names = HashSet::with_capacity(entries.len());
    for entry in &entries {
        match entry.mode {
            0o040_000 | 0o100_644 | 0o100_755 | 0o120_000 => {}
            0o160_000 => return Some("a submodule in a tree"),
            _ => return Some("a file mode of no kind in a tree"),
        }
        if entry.name.is_empty() || entry.name.contains(&b'/') || entry.name.contains(&0) {
            return Some("a path in place of a name in a tree");
        }
        if entry.name != b".confvault" && place::decode(&entry.name).is_none() {
            return Some("a name in a tree that git or a checkout would act on");
        }
        if !names.insert(entry.name.as_slice()) {
            return Some("two entries of one name in a tree");
        }
    }
    None
}

/// Looks at all objects of a repository.
pub(super) fn objects(remote: Remote<'_>, dir: &Path) -> Result<u64, MirrorError> {
    let all = Call::local(remote, "cat-file", dir)
        .arg("--batch-all-objects")
        .arg("--unordered")
        .arg("--batch-check=%(objectname) %(objecttype) %(objectsize)")
        .guarded(None);
    let ((count, trees, found), ended) = all.run(list)?;
    ended.good("cat-file")?;
    if let Some(found) = found {
        return Err(found);
    }
    let call = Call::local(remote, "cat-file", dir).arg("--batch").arg("--buffer").guarded(None);
    let call = call.feed(move |input| {
        let mut input = io::BufWriter::new(input);
        trees.iter().try_for_each(|id| io::Write::write_all(&mut input, format!("{id}\n").as_bytes()))
    });
    let (found, ended) = call.run(read_trees)?;
    match found {
        Some(found) => Err(found),
        None => ended.good("cat-file").map(|()| count),
    }
}

type Listed = (u64, Vec<ObjectId>, Option<MirrorError>);

fn list(out: &mut dyn BufRead) -> io::Result<Listed> {
    let (mut count, mut trees) = (0, Vec::new());
    let mut line = String::new();
    loop {
        line.clear();
        if out.read_line(&mut line)? == 0 {
            return Ok((count, trees, None));
        }
        let mut fields = line.split_ascii_whitespace();
        let (Some(id), Some(kind), Some(size)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(odd("A line of cat-file does not read"));
        };
        let size: u64 = size.parse().map_err(|_| odd("A size of cat-file does not read"))?;
        count += 1;
        if size > if kind == "tree" { MOST_TREE } else { MOST_OBJECT } {
            return Ok((count, trees, Some(hostile(format!("a {kind} of {size} bytes"), id))));
        }
        if kind == "tree" {
            trees.push(ObjectId::from_hex(id.as_bytes()).map_err(|_| odd("An id of cat-file does not read"))?);
        }
    }
}

fn read_trees(out: &mut dyn BufRead) -> io::Result<Option<MirrorError>> {
    let mut head = String::new();
    let mut data = Vec::new();
    loop {
        head.clear();
        if out.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        let size = head.trim_end().rsplit(' ').next().and_then(|s| s.parse::<u64>().ok());
        let size = size.filter(|s| *s <= MOST_TREE).ok_or_else(|| odd("A head of cat-file does not read"))?;
        data.clear();
        out.take(size).read_to_end(&mut data)?;
        let mut end = [0];
        out.read_exact(&mut end)?;
        if data.len() as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(what) = fault_of_tree(&data) {
            return Ok(Some(hostile(what, head.split(' ').next().unwrap_or_default())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (mode, name) in entries {
            out.extend(mode.bytes());
            out.push(b' ');
            out.extend(*name);
            out.push(0);
            out.extend([7; 20]);
        }
        out
    }

    #[test]
    fn trees_that_a_store_never_has_are_refused() {
        assert_eq!(fault_of_tree(&tree(&[("40000", b".confvault"), ("100644", b"sip.conf"), ("120000", b"zone")])), None);
        let bad: [&[(&str, &[u8])]; 13] = [
            &[("100644", b"..")],
            &[("100644", b".")],
            &[("40000", b".git")],
            &[("40000", b".GIT")],
            &[("40000", b"git~1")],
            &[("100644", b".gitmodules")],
            &[("100644", ".g\u{200c}it".as_bytes())],
            &[("100644", b"a/b")],
            &[("100644", b"a\\b")],
            &[("160000", b"module")],
            &[("120000", b"a"), ("40000", b"a")],
            &[("100644", b"a"), ("100644", b"a")],
            &[("100666", b"a")],
        ];
        for entries in bad {
            assert!(fault_of_tree(&tree(entries)).is_some(), "{entries:?}");
        }
        assert!(fault_of_tree(b"100644 cut").is_some());
    }
}
