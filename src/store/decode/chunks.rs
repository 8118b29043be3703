//! Lists of chunks, and where chunks lie ("Forms").

use std::collections::HashMap;

use gix::ObjectId;

use super::super::error::{Error, Result};
use super::super::object::{Commit, TreeEntry};
use super::super::refs::Refs;
use super::super::repo::Repo;
use super::super::tree::read_tree;
use crate::model::{DeviceName, Digest};

const HEAD: &str = "confvault-chunks 1\n";

/// One chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct ChunkRef {
    pub(in crate::store) stored: Digest,
    pub(in crate::store) plain: Digest,
    pub(in crate::store) size: u64,
}

/// Writes a list.
pub(in crate::store) fn write_chunks(chunks: &[ChunkRef]) -> Vec<u8> {
    let lines = chunks.iter().map(|c| format!("{} {} {}\n", c.stored, c.plain, c.size));
    std::iter::once(HEAD.to_owned()).chain(lines).collect::<String>().into_bytes()
}

/// Reads what [`write_chunks`] wrote, and nothing else.
pub(in crate::store) fn parse_chunks(bytes: &[u8]) -> Option<Vec<ChunkRef>> {
    let rest = std::str::from_utf8(bytes).ok()?.strip_prefix(HEAD)?;
    let mut out = Vec::new();
    for line in rest.split_inclusive('\n') {
        let mut fields = line.strip_suffix('\n')?.split(' ');
        let chunk = ChunkRef {
            stored: fields.next()?.parse().ok()?,
            plain: fields.next()?.parse().ok()?,
            size: fields.next().filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?,
        };
        if fields.next().is_some() {
            return None;
        }
        out.push(chunk);
    }
    Some(out)
}

/// Gives the ref of a generation's chunks.
pub(in crate::store) fn large_ref(device: &DeviceName, number: u64) -> String {
    format!("refs/large/{device}/{number}")
}

/// Reads where the chunks of a generation lie.
pub(in crate::store) fn large_tree(
    repo: &Repo,
    refs: &Refs,
    device: &DeviceName,
    number: u64,
) -> Result<HashMap<Digest, ObjectId>> {
    let name = large_ref(device, number);
    let id = refs.get(&name).ok_or(Error::NoRef { name })?.id;
    let bad = |what: &str, id| Error::Corrupt { whose: device.to_string(), what: what.to_owned(), id };
    let tree = Commit::parse(&repo.commit(&id)?).map_err(|e| bad(e.0, id))?.tree;
    chunk_ids(device, tree, &read_tree(repo, tree)?)
}

/// Reads the entries of a tree of chunks.
pub(in crate::store) fn chunk_ids(
    device: &DeviceName,
    tree: ObjectId,
    entries: &[TreeEntry],
) -> Result<HashMap<Digest, ObjectId>> {
    let bad = || Error::Corrupt { whose: device.to_string(), what: "a chunk whose name is no digest".to_owned(), id: tree };
    let id = |entry: &TreeEntry| Some((std::str::from_utf8(&entry.name).ok()?.parse().ok()?, entry.id));
    entries.iter().map(|entry| id(entry).ok_or_else(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back_and_nothing_else_is_one() {
        let chunk = |n| ChunkRef { stored: Digest([n; 32]), plain: Digest([n + 1; 32]), size: 7 * u64::from(n) };
        let list = vec![chunk(1), chunk(5)];
        let text = write_chunks(&list);
        assert_eq!(parse_chunks(&text).unwrap(), list);
        assert_eq!(parse_chunks(HEAD.as_bytes()).unwrap(), []);
        for cut in 0..text.len() {
            assert!(parse_chunks(&text[..cut]).is_none_or(|l| l.len() < 2), "{cut}");
        }
        for (from, to) in [(" 7\n", " +7\n"), (" 7\n", " 7 \n"), ("chunks 1", "chunks 2"), ("0101", "010G")] {
            let bad = String::from_utf8(text.clone()).unwrap().replacen(from, to, 1);
            assert!(parse_chunks(bad.as_bytes()).is_none(), "{from}");
        }
    }
}
