//! The bytes of one look.

use super::Kept;
use crate::model::{ConfigPath, Digest, Kind, Look, LookEntry, Owner, Scope, Stamp};

/// Writes a look, and the digest of the lines that it counts for.
pub(super) fn write(lines: &Digest, kept: &Kept) -> Vec<u8> {
    let look = &kept.look;
    let mut out = Vec::with_capacity(256 + look.entries.len() * 140);
    out.extend_from_slice(&lines.0);
    out.extend_from_slice(&look.rules.0);
    put_text(&mut out, look.head.as_bytes());
    put_text(&mut out, look.release.as_str().as_bytes());
    out.extend_from_slice(&look.taken_ns.to_le_bytes());
    out.push(u8::from(look.root.is_some()));
    put_stamp(&mut out, &look.root.unwrap_or_default());
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
        put_stamp(&mut out, &entry.stamp);
        out.extend_from_slice(&entry.plain.0);
        put_text(&mut out, entry.path.as_bytes());
    }
    out
}

fn put_stamp(out: &mut Vec<u8>, stamp: &Stamp) {
    out.extend_from_slice(&stamp.mtime_ns.to_le_bytes());
    out.extend_from_slice(&stamp.ctime_ns.to_le_bytes());
    out.extend_from_slice(&stamp.inode.to_le_bytes());
    out.extend_from_slice(&stamp.size.to_le_bytes());
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
    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            mtime_ns: i64::from_le_bytes(self.array()?),
            ctime_ns: i64::from_le_bytes(self.array()?),
            inode: u64::from_le_bytes(self.array()?),
            size: u64::from_le_bytes(self.array()?),
        })
    }
}

/// Reads what [`write`] wrote.
pub(super) fn read(bytes: &[u8]) -> Option<(Digest, Kept)> {
    let mut at = Bytes(bytes);
    let (lines, rules) = (Digest(at.array()?), Digest(at.array()?));
    let head = std::str::from_utf8(at.text()?).ok()?.to_owned();
    let release = std::str::from_utf8(at.text()?).ok()?.parse().ok()?;
    let taken_ns = i64::from_le_bytes(at.array()?);
    let [rooted] = at.array()?;
    let root = at.stamp()?;
    let number = u64::from_le_bytes(at.array()?);
    let digest = Digest(at.array()?);
    let month = std::str::from_utf8(at.text()?).ok()?.to_owned();
    let count = u32::from_le_bytes(at.array()?);
    let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(bytes.len() / 80));
    for _ in 0..count {
        let [scope, kind, owned] = at.array()?;
        let mode = u32::from_le_bytes(at.array()?);
        let owner = Owner { uid: u32::from_le_bytes(at.array()?), gid: u32::from_le_bytes(at.array()?) };
        let stamp = at.stamp()?;
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
    if !at.0.is_empty() {
        return None;
    }
    let look = Look { head, release, rules, taken_ns, root: (rooted == 1).then_some(root), entries };
    Some((lines, Kept { look: look.into(), number, logs: (!month.is_empty()).then_some((digest, month)) }))
}
