//! The look cache: what a device's source looked like when it was last read.
//!
//! One file a device below `confvault/look/`, in a form of our own, with a checksum. It is no part of the
//! format: a file that is damaged, of another version or out of date counts as none.

use std::fs;
use std::path::PathBuf;

use gix::ObjectId;

use super::refs::Refs;
use super::repo::Repo;
use crate::fsio;
use crate::model::{ConfigPath, DeviceName, Digest, Kind, Look, LookEntry, Owner, Scope, Stamp};

const MAGIC: &[u8; 8] = b"cvlook1\n";
/// Times of a stamp that never counts: no file has it, and it is younger than every look.
const NEVER: i64 = i64::MAX;

/// A look with what the store keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) look: Look,
    /// The number of the newest generation.
    pub(super) number: u64,
    /// The digest of the manifest under which the device's logs were last filed, and the month of that.
    pub(super) logs: Option<(Digest, String)>,
}

/// Identifies the lines of a device as they stand.
pub(super) fn lines_digest(refs: &Refs, device: &DeviceName, edit: Option<(&str, ObjectId)>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut add = |name: &str, id: ObjectId| {
        hasher.update(name.as_bytes());
        hasher.update(&[0]);
        hasher.update(id.as_slice());
    };
    let mut edit = edit;
    for line in refs.prefix(&format!("refs/heads/{device}/")) {
        if let Some((name, id)) = edit.filter(|(name, _)| *name <= line.name) {
            add(name, id);
            edit = None;
            if name == line.name {
                continue;
            }
        }
        add(line.name, line.id);
    }
    if let Some((name, id)) = edit {
        add(name, id);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// Makes a stamp that makes its file be read again whatever it looks like.
pub(super) fn distrust(stamp: &mut Stamp) {
    (stamp.mtime_ns, stamp.ctime_ns) = (NEVER, NEVER);
}

/// Tells whether a look says nothing that the older one does not: then it need not be written.
pub(super) fn adds_nothing(new: &Look, old: &Look) -> bool {
    let settled = |stamp: &Stamp| stamp.mtime_ns == NEVER || old.trusts(stamp, 2_000_000_000);
    new.head == old.head && new.rules == old.rules && new.entries == old.entries && new.entries.iter().all(|e| settled(&e.stamp))
}

fn path(repo: &Repo, device: &DeviceName) -> PathBuf {
    repo.cache_dir().join("look").join(device.as_str())
}

/// Writes a look. A failure costs time at the next run and nothing else, so it is not reported.
pub(super) fn save(repo: &Repo, device: &DeviceName, lines: &Digest, kept: &Kept) {
    let path = path(repo, device);
    let bytes = write(lines, kept);
    if fsio::write_cache(&path, &bytes, fsio::PRIVATE_FILE).is_err()
        && let Some(folder) = path.parent()
        && fsio::create_dir_all(folder, fsio::PRIVATE_DIR).is_ok()
    {
        drop(fsio::write_cache(&path, &bytes, fsio::PRIVATE_FILE));
    }
}

/// Removes the look of a device.
pub(super) fn forget(repo: &Repo, device: &DeviceName) -> super::error::Result<()> {
    fsio::unlink_if_there(&path(repo, device))?;
    Ok(())
}

/// Reads the look of a device, if it was taken with its lines as they stand now.
pub(super) fn load(repo: &Repo, refs: &Refs, device: &DeviceName) -> Option<Kept> {
    let bytes = fs::read(path(repo, device)).ok()?;
    let (lines, kept) = read(&bytes)?;
    (lines == lines_digest(refs, device, None)).then_some(kept)
}

fn write(lines: &Digest, kept: &Kept) -> Vec<u8> {
    let look = &kept.look;
    let mut out = Vec::with_capacity(256 + look.entries.len() * 140);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&lines.0);
    out.extend_from_slice(&look.rules.0);
    put_text(&mut out, look.head.as_bytes());
    put_text(&mut out, look.release.as_str().as_bytes());
    out.extend_from_slice(&look.taken_ns.to_le_bytes());
    out.extend_from_slice(&kept.number.to_le_bytes());
    let (digest, month) = kept.logs.as_ref().map_or((Digest([0; 32]), ""), |(d, m)| (*d, m.as_str()));
    out.extend_from_slice(&digest.0);
    put_text(&mut out, month.as_bytes());
    out.extend_from_slice(&u32::try_from(look.entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    for entry in &look.entries {
        let scope = Scope::ALL.iter().position(|s| *s == entry.scope).and_then(|n| u8::try_from(n).ok()).unwrap_or(0);
        let kind = match entry.kind {
            Kind::Directory => 0,
            Kind::File => 1,
            Kind::Link => 2,
        };
        out.extend_from_slice(&[scope, kind, u8::from(entry.owner.is_some())]);
        out.extend_from_slice(&entry.mode.to_le_bytes());
        let owner = entry.owner.unwrap_or(Owner { uid: 0, gid: 0 });
        out.extend_from_slice(&owner.uid.to_le_bytes());
        out.extend_from_slice(&owner.gid.to_le_bytes());
        out.extend_from_slice(&entry.stamp.mtime_ns.to_le_bytes());
        out.extend_from_slice(&entry.stamp.ctime_ns.to_le_bytes());
        out.extend_from_slice(&entry.stamp.inode.to_le_bytes());
        out.extend_from_slice(&entry.stamp.size.to_le_bytes());
        out.extend_from_slice(&entry.plain.0);
        put_text(&mut out, entry.path.as_bytes());
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    out
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text);
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let count = u16::from_le_bytes(self.array()?);
        self.take(usize::from(count))
    }
}

fn read(bytes: &[u8]) -> Option<(Digest, Kept)> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    let mut at = Bytes(body);
    if at.take(8)? != MAGIC {
        return None;
    }
    let (lines, rules) = (Digest(at.array()?), Digest(at.array()?));
    let head = std::str::from_utf8(at.text()?).ok()?.to_owned();
    let release = std::str::from_utf8(at.text()?).ok()?.parse().ok()?;
    let taken_ns = i64::from_le_bytes(at.array()?);
    let number = u64::from_le_bytes(at.array()?);
    let digest = Digest(at.array()?);
    let month = std::str::from_utf8(at.text()?).ok()?.to_owned();
    let count = u32::from_le_bytes(at.array()?);
    let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(body.len() / 80));
    for _ in 0..count {
        let [scope, kind, owned] = at.array()?;
        let mode = u32::from_le_bytes(at.array()?);
        let owner = Owner { uid: u32::from_le_bytes(at.array()?), gid: u32::from_le_bytes(at.array()?) };
        let stamp = Stamp {
            mtime_ns: i64::from_le_bytes(at.array()?),
            ctime_ns: i64::from_le_bytes(at.array()?),
            inode: u64::from_le_bytes(at.array()?),
            size: u64::from_le_bytes(at.array()?),
        };
        let plain = Digest(at.array()?);
        entries.push(LookEntry {
            scope: *Scope::ALL.get(usize::from(scope))?,
            path: ConfigPath::new(at.text()?).ok()?,
            kind: [Kind::Directory, Kind::File, Kind::Link].get(usize::from(kind)).copied()?,
            mode,
            owner: (owned == 1).then_some(owner),
            stamp,
            plain,
        });
    }
    let look = Look { head, release, rules, taken_ns, entries };
    Some((lines, Kept { look, number, logs: (!month.is_empty()).then_some((digest, month)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let entry = |path: &str, kind| LookEntry {
            scope: Scope::Voip,
            path: path.parse().unwrap(),
            kind,
            mode: 0o4755,
            owner: Some(Owner { uid: 1, gid: 2 }),
            stamp: Stamp { mtime_ns: 1_000, ctime_ns: -5, inode: 9, size: 77 },
            plain: Digest([8; 32]),
        };
        let look = Look {
            head: "ab".repeat(20),
            release: "1.0".parse().unwrap(),
            rules: Digest([2; 32]),
            taken_ns: 5_000_000_000,
            entries: vec![entry("a", Kind::Directory), entry("a/b%0A", Kind::File), entry("z", Kind::Link)],
        };
        Kept { look, number: 3, logs: Some((Digest([4; 32]), "2026-11".to_owned())) }
    }

    #[test]
    fn a_look_comes_back_and_a_damaged_one_counts_as_none() {
        let bytes = write(&Digest([1; 32]), &kept());
        assert_eq!(read(&bytes), Some((Digest([1; 32]), kept())));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            assert_eq!(read(&bad), None);
            assert_eq!(read(&bytes[..at]), None);
        }
    }

    #[test]
    fn a_look_is_written_again_only_if_it_says_more() {
        let old = kept().look;
        let mut new = old.clone();
        new.taken_ns += 60_000_000_000;
        assert!(adds_nothing(&new, &old));
        new.entries[1].stamp.mtime_ns = 4_000_000_000;
        assert!(!adds_nothing(&new, &old));
        // Equal, but so young that the old look does not prove it unchanged.
        new.taken_ns = old.taken_ns;
        assert!(!adds_nothing(&new, &new.clone()));
        distrust(&mut new.entries[1].stamp);
        assert!(adds_nothing(&new, &new.clone()));
        assert!(!new.trusts(&new.entries[1].stamp, 0));
    }
}
