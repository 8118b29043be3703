//! The look cache: what a device's source looked like when it was last read.
//!
//! A number of files below `confvault/looks/`, which does not grow with the fleet, in a form of our own
//! with a checksum a device. They are no part of the format: what is damaged, of another version or out of
//! date counts as none.

mod form;
mod shards;

use std::sync::Arc;

use gix::ObjectId;

use super::refs::Refs;
use super::repo::Repo;
use crate::model::{DeviceName, Digest, Look, Stamp};

pub(super) use shards::{Records, forget, save};

/// Times of a stamp that never counts: no file has it, and it is younger than every look.
const NEVER: i64 = i64::MAX;

/// A look with what the store keeps beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) look: Arc<Look>,
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
    let same = new.head == old.head && new.rules == old.rules && new.root == old.root && new.entries == old.entries;
    same && new.root.iter().chain(new.entries.iter().map(|e| &e.stamp)).all(settled)
}

/// Makes the record of a look, with the digest of the lines that it counts for.
pub(super) fn record(lines: &Digest, kept: &Kept) -> Vec<u8> {
    form::write(lines, kept)
}

/// The looks of a store, as they stand when they are first asked for.
#[derive(Debug)]
pub(super) struct Looks(shards::Shards);

impl Looks {
    pub(super) fn new(repo: &Repo) -> Self {
        Self(shards::Shards::new(repo))
    }

    /// Gives the look of a device, if it was taken with its lines as they stand.
    pub(super) fn load(&self, refs: &Refs, device: &DeviceName) -> Option<Kept> {
        let (lines, kept) = form::read(self.0.find(device)?)?;
        (lines == lines_digest(refs, device, None)).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, LookEntry, Owner, Scope};

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
            root: Some(Stamp { mtime_ns: 4, ctime_ns: 3, inode: 2, size: 1 }),
            entries: vec![entry("a", Kind::Directory), entry("a/b%0A", Kind::File), entry("z", Kind::Link)],
        };
        Kept { look: look.into(), number: 3, logs: Some((Digest([4; 32]), "2026-11".to_owned())) }
    }

    #[test]
    fn a_look_comes_back_and_a_part_of_one_does_not() {
        let bytes = record(&Digest([1; 32]), &kept());
        assert_eq!(form::read(&bytes), Some((Digest([1; 32]), kept())));
        let mut rootless = kept();
        Arc::make_mut(&mut rootless.look).root = None;
        assert_eq!(form::read(&record(&Digest([1; 32]), &rootless)).unwrap().1, rootless);
        for at in 0..bytes.len() {
            assert_eq!(form::read(&bytes[..at]), None);
        }
        let mut extreme = kept();
        let entries = &mut Arc::make_mut(&mut extreme.look).entries;
        entries[0].plain = Digest([0; 32]);
        entries[1].stamp = Stamp { mtime_ns: i64::MIN, ctime_ns: i64::MAX, inode: u64::MAX, size: u64::MAX };
        (entries[1].owner, entries[1].mode) = (None, u32::MAX);
        distrust(&mut entries[2].stamp);
        assert_eq!(form::read(&record(&Digest([1; 32]), &extreme)).unwrap().1, extreme);
    }

    #[test]
    fn a_look_is_written_again_only_if_it_says_more() {
        let old = kept().look;
        let mut new = Look::clone(&old);
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
