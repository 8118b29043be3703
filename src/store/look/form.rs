//! The bytes of one look: numbers in as few bytes as they need, and of each entry what differs from the one before.

use super::Kept;
use crate::model::{ConfigPath, Digest, Kind, Look, LookEntry, Owner, Scope, Stamp};

/// Bits of the first byte of an entry, above two for its scope and two for its kind.
const OWNED: u8 = 1 << 4;
/// Mode and owner are those of the entry before.
const SAME_OWNER: u8 = 1 << 5;
const DIGEST: u8 = 1 << 6;

const KINDS: [Kind; 3] = [Kind::Directory, Kind::File, Kind::Link];
const NO_DIGEST: Digest = Digest([0; 32]);

/// What the next entry is compared with.
#[derive(Default)]
struct Before {
    mode: u32,
    owner: Option<Owner>,
    stamp: Stamp,
    path: Vec<u8>,
}

impl Before {
    fn first(root: Option<Stamp>) -> Self {
        Self { stamp: root.unwrap_or_default(), ..Self::default() }
    }

    fn shared(&self, entry: &LookEntry) -> usize {
        self.path.iter().zip(entry.path.as_bytes()).take_while(|(a, b)| a == b).count()
    }

    fn step(&mut self, entry: &LookEntry) {
        (self.mode, self.owner, self.stamp) = (entry.mode, entry.owner, entry.stamp);
        self.path.clear();
        self.path.extend_from_slice(entry.path.as_bytes());
    }
}

/// Writes a look, and the digest of the lines that it counts for.
pub(super) fn write(lines: &Digest, kept: &Kept) -> Vec<u8> {
    let look = &kept.look;
    let mut out = Vec::with_capacity(256 + look.entries.len() * 80);
    out.extend_from_slice(&lines.0);
    out.extend_from_slice(&look.rules.0);
    put_text(&mut out, look.head.as_bytes());
    put_text(&mut out, look.release.as_str().as_bytes());
    put_signed(&mut out, look.taken_ns);
    out.push(u8::from(look.root.is_some()));
    let mut before = Before::first(look.root);
    put_stamp(&mut out, &before.stamp, &Stamp::default());
    put(&mut out, kept.number);
    let (digest, month) = kept.logs.as_ref().map_or((NO_DIGEST, ""), |(d, m)| (*d, m.as_str()));
    out.extend_from_slice(&digest.0);
    put_text(&mut out, month.as_bytes());
    put(&mut out, look.entries.len() as u64);
    for entry in &look.entries {
        put_entry(&mut out, entry, &before);
        before.step(entry);
    }
    out
}

fn put_entry(out: &mut Vec<u8>, entry: &LookEntry, before: &Before) {
    let place = |place: Option<usize>| place.and_then(|n| u8::try_from(n).ok()).unwrap_or(0);
    let scope = place(Scope::ALL.iter().position(|s| *s == entry.scope));
    let kind = place(KINDS.iter().position(|k| *k == entry.kind));
    let same_owner = (before.mode, before.owner) == (entry.mode, entry.owner);
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    let flags = flag(entry.owner.is_some(), OWNED) | flag(same_owner, SAME_OWNER) | flag(entry.plain != NO_DIGEST, DIGEST);
    out.push(scope | kind << 2 | flags);
    if !same_owner {
        put(out, entry.mode.into());
        for id in entry.owner.iter().flat_map(|owner| [owner.uid, owner.gid]) {
            put(out, id.into());
        }
    }
    put_stamp(out, &entry.stamp, &before.stamp);
    if entry.plain != NO_DIGEST {
        out.extend_from_slice(&entry.plain.0);
    }
    let shared = before.shared(entry);
    put(out, shared as u64);
    put_text(out, &entry.path.as_bytes()[shared..]);
}

/// Writes what a stamp differs by; what was changed last has both its times alike.
fn put_stamp(out: &mut Vec<u8>, stamp: &Stamp, before: &Stamp) {
    put_signed(out, stamp.mtime_ns.wrapping_sub(before.mtime_ns));
    put_signed(out, stamp.ctime_ns.wrapping_sub(stamp.mtime_ns));
    put_signed(out, stamp.inode.wrapping_sub(before.inode).cast_signed());
    put(out, stamp.size);
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Seven bits a byte, the lowest first; all but the last byte have the eighth.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// The sign is the lowest bit, so that what is near to nothing is short on both sides.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, (number << 1 ^ number >> 63).cast_unsigned());
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
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }
    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }
    fn text(&mut self) -> Option<&'a [u8]> {
        let count = self.number()?.try_into().ok()?;
        self.take(count)
    }
    fn stamp(&mut self, before: &Stamp) -> Option<Stamp> {
        let mtime_ns = before.mtime_ns.wrapping_add(self.signed()?);
        let ctime_ns = mtime_ns.wrapping_add(self.signed()?);
        let inode = before.inode.wrapping_add(self.signed()?.cast_unsigned());
        Some(Stamp { mtime_ns, ctime_ns, inode, size: self.number()? })
    }
    fn entry(&mut self, before: &Before) -> Option<LookEntry> {
        let [first] = self.array()?;
        let (mode, owner) = if first & SAME_OWNER != 0 {
            (before.mode, before.owner)
        } else {
            let mode = self.small()?;
            let owned = first & OWNED != 0;
            (mode, if owned { Some(Owner { uid: self.small()?, gid: self.small()? }) } else { None })
        };
        let stamp = self.stamp(&before.stamp)?;
        let plain = if first & DIGEST != 0 { Digest(self.array()?) } else { NO_DIGEST };
        let shared = before.path.get(..self.number()?.try_into().ok()?)?;
        Some(LookEntry {
            scope: *Scope::ALL.get(usize::from(first & 3))?,
            path: ConfigPath::new([shared, self.text()?].concat()).ok()?,
            kind: *KINDS.get(usize::from(first >> 2 & 3))?,
            mode,
            owner,
            stamp,
            plain,
        })
    }
}

/// Reads what [`write`] wrote.
pub(super) fn read(bytes: &[u8]) -> Option<(Digest, Kept)> {
    let mut at = Bytes(bytes);
    let (lines, rules) = (Digest(at.array()?), Digest(at.array()?));
    let head = std::str::from_utf8(at.text()?).ok()?.to_owned();
    let release = std::str::from_utf8(at.text()?).ok()?.parse().ok()?;
    let taken_ns = at.signed()?;
    let [rooted] = at.array()?;
    let root = at.stamp(&Stamp::default())?;
    let number = at.number()?;
    let digest = Digest(at.array()?);
    let month = std::str::from_utf8(at.text()?).ok()?.to_owned();
    let count = at.number()?;
    // An entry has eight bytes at least.
    let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(bytes.len() / 8));
    let root = (rooted == 1).then_some(root);
    let mut before = Before::first(root);
    for _ in 0..count {
        let entry = at.entry(&before)?;
        before.step(&entry);
        entries.push(entry);
    }
    if !at.0.is_empty() {
        return None;
    }
    let look = Look { head, release, rules, taken_ns, root, entries };
    Some((lines, Kept { look: look.into(), number, logs: (!month.is_empty()).then_some((digest, month)) }))
}
