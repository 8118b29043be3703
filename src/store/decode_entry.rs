//! Decoding an entry of a pack together with the bases that it is a delta upon.
//!
//! gix parses entries and inflates them; the chain of bases is followed here, because gix remembers only the
//! last link of a chain and inflates the same bases again for every object that shares them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use gix::objs::Kind;
use gix::odb::pack::data::entry::Header;
use gix::odb::pack::{data, index};

/// How much one reader remembers, in bytes.
const REMEMBERED: usize = 16 << 20;

/// The longest chain that is followed; `git` makes none longer than 4095.
const LONGEST_CHAIN: usize = 5000;

/// What a base may have, in bytes, however small the limit of the object asked for is.
const BASE_LIMIT: u64 = 256 << 20;

/// What a reader needs for itself.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) inflate: gix::zlib::Inflate,
    recent: Recent,
    delta: Vec<u8>,
}

type Decoded = (Kind, Arc<Vec<u8>>);

/// Decodes the object at an offset of a pack, of at most `limit` bytes. The error says what is wrong.
pub(super) fn decode(
    file: &data::File,
    index: &index::File,
    at: u64,
    limit: u64,
    scratch: &mut Scratch,
) -> Result<(Kind, Vec<u8>), String> {
    let mut chain = Vec::new();
    let mut at = at;
    let (kind, mut bytes) = loop {
        if let Some(known) = scratch.recent.get((file.id, at)) {
            break known;
        }
        let entry = file.entry(at).map_err(text)?;
        let base = match &entry.header {
            Header::OfsDelta { base_distance } => {
                entry.checked_base_pack_offset(*base_distance).ok_or("a base before the beginning of the pack")?
            }
            Header::RefDelta { base_id } => {
                let base = index.lookup(base_id).ok_or_else(|| format!("its base {base_id} is not in the pack"))?;
                index.pack_offset_at_index(base)
            }
            whole => {
                let kind = whole.as_kind().ok_or("an entry of no kind")?;
                let mut bytes = Vec::new();
                inflate(file, &entry, limit.max(BASE_LIMIT), scratch, &mut bytes)?;
                let found: Decoded = (kind, Arc::new(bytes));
                // Most objects of raw packs are nobody's base.
                if !chain.is_empty() {
                    scratch.recent.put((file.id, at), &found);
                }
                break found;
            }
        };
        if chain.len() >= LONGEST_CHAIN {
            return Err("a chain of bases without an end".to_owned());
        }
        chain.push((at, entry));
        at = base;
    };
    for (at, entry) in chain.into_iter().rev() {
        let mut delta = std::mem::take(&mut scratch.delta);
        let result = inflate(file, &entry, limit.max(BASE_LIMIT), scratch, &mut delta)
            .and_then(|()| apply(&bytes, &delta, limit.max(BASE_LIMIT)));
        scratch.delta = delta;
        bytes = Arc::new(result?);
        scratch.recent.put((file.id, at), &(kind, Arc::clone(&bytes)));
    }
    if bytes.len() as u64 > limit {
        return Err(format!("it has {} bytes", bytes.len()));
    }
    Ok((kind, Arc::try_unwrap(bytes).unwrap_or_else(|shared| shared.as_ref().clone())))
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

fn inflate(file: &data::File, entry: &data::Entry, limit: u64, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<(), String> {
    let size = usize::try_from(entry.decompressed_size).ok().filter(|_| entry.decompressed_size <= limit);
    let size = size.ok_or_else(|| format!("an entry that claims {} bytes", entry.decompressed_size))?;
    out.clear();
    out.resize(size, 0);
    file.decompress_entry(entry, &mut scratch.inflate, out).map_err(text)?;
    Ok(())
}

/// Applies a delta of `git` to its base: sizes of base and result, then pieces to copy or to insert.
fn apply(base: &[u8], delta: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let mut rest = delta;
    let cut = "a delta that is cut off";
    if size(&mut rest).ok_or(cut)? != base.len() as u64 {
        return Err("a delta upon another base".to_owned());
    }
    let promised = size(&mut rest).ok_or(cut)?;
    let len = usize::try_from(promised).ok().filter(|_| promised <= limit).ok_or("a delta that claims too much")?;
    let mut out = Vec::with_capacity(len);
    while let Some((&command, after)) = rest.split_first() {
        rest = after;
        let piece = if command & 0x80 != 0 {
            let mut number = |flags: u8, bytes: u8| -> Option<usize> {
                let mut n = 0;
                for byte in (0..bytes).filter(|byte| flags >> byte & 1 != 0) {
                    let (&b, after) = rest.split_first()?;
                    rest = after;
                    n |= usize::from(b) << (8 * byte);
                }
                Some(n)
            };
            let offset = number(command & 0x0f, 4).ok_or(cut)?;
            let len = number(command >> 4 & 7, 3).ok_or(cut)?;
            let len = if len == 0 { 0x1_0000 } else { len };
            base.get(offset..offset.saturating_add(len)).ok_or("a delta that copies from beyond its base")?
        } else if command != 0 {
            let (piece, after) = rest.split_at_checked(usize::from(command)).ok_or(cut)?;
            rest = after;
            piece
        } else {
            return Err("a delta with an unknown command".to_owned());
        };
        if piece.len() > len - out.len() {
            return Err("a delta that gives more than it promised".to_owned());
        }
        out.extend_from_slice(piece);
    }
    if out.len() == len { Ok(out) } else { Err("a delta that gives less than it promised".to_owned()) }
}

/// Reads a number of seven bits a byte, the lowest first.
fn size(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// What an object is known by: its pack and its place in it.
type Place = (u32, u64);

/// The objects that one reader decoded last; the oldest are forgotten first.
#[derive(Default)]
struct Recent {
    known: HashMap<Place, Decoded>,
    order: VecDeque<Place>,
    bytes: usize,
}

impl Recent {
    fn put(&mut self, place: Place, found: &Decoded) {
        let len = found.1.len();
        if len > REMEMBERED / 8 || self.known.contains_key(&place) {
            return;
        }
        self.bytes += len;
        self.known.insert(place, found.clone());
        self.order.push_back(place);
        while self.bytes > REMEMBERED {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some((_, bytes)) = self.known.remove(&oldest) {
                self.bytes -= bytes.len();
            }
        }
    }

    fn get(&self, place: Place) -> Option<Decoded> {
        self.known.get(&place).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_stays_within_its_bytes_and_knows_its_pack() {
        let mut recent = Recent::default();
        let put = |recent: &mut Recent, n, len| recent.put((1, n), &(Kind::Blob, Arc::new(vec![0; len])));
        (0..100).for_each(|n| put(&mut recent, n, 1 << 20));
        assert!(recent.bytes <= REMEMBERED && recent.known.len() == recent.order.len());
        assert_eq!(recent.get((1, 99)).unwrap().1.len(), 1 << 20);
        assert!(recent.get((1, 0)).is_none() && recent.get((2, 99)).is_none());
        put(&mut recent, 100, REMEMBERED);
        assert!(recent.get((1, 100)).is_none());
    }

    #[test]
    fn deltas_copy_and_insert() {
        let base = b"0123456789";
        // Base of 10, result of 7: copy 3 from 4, insert "ab", copy 2 from 0.
        assert_eq!(apply(base, &[10, 7, 0x91, 4, 3, 2, b'a', b'b', 0x90, 2], 100).unwrap(), b"456ab01");
        assert_eq!(apply(base, &[10, 0], 100).unwrap(), b"");
        let large = vec![7; 0x1_0000];
        assert_eq!(apply(&large, &[0x80, 0x80, 4, 0x80, 0x80, 4, 0x80], 1 << 20).unwrap(), large);
    }

    #[test]
    fn hostile_deltas_are_refused() {
        let base = b"0123456789";
        let bad: &[&[u8]] = &[
            &[],
            &[10],
            &[9, 1, 1, b'x'],
            &[10, 3, 0],
            &[10, 3, 5, b'x'],
            &[10, 3, 0x91, 4],
            &[10, 3, 0x91, 8, 3],
            &[10, 3, 0x9f, 255, 255, 255, 255, 3],
            &[10, 2, 0x91, 4, 3],
            &[10, 4, 0x91, 4, 3],
            &[10, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0xff; 12],
        ];
        for delta in bad {
            assert!(apply(base, delta, 1000).is_err(), "{delta:?}");
        }
        for cut in 0..9 {
            assert!(apply(base, &[10, 7, 0x91, 4, 3, 2, b'a', b'b', 0x90, 2][..cut], 100).is_err(), "{cut}");
        }
    }
}
