//! Objects that were decoded last: bases of what comes next.

use std::collections::{HashMap, VecDeque};

use gix::objs::Kind;
use gix::odb::pack::cache::DecodeEntry;

/// How much one reader remembers, in bytes.
const REMEMBERED: usize = 16 << 20;

/// What a base is known by: its pack and its place in it.
type Place = (u32, u64);

/// The objects that one reader decoded last; the oldest are forgotten first.
#[derive(Default)]
pub(super) struct Recent {
    known: HashMap<Place, (Kind, usize, Vec<u8>)>,
    order: VecDeque<Place>,
    bytes: usize,
}

impl DecodeEntry for Recent {
    fn put(&mut self, pack: u32, offset: u64, data: &[u8], kind: Kind, compressed: usize) {
        let place = (pack, offset);
        if data.len() > REMEMBERED / 8 || self.known.contains_key(&place) {
            return;
        }
        self.bytes += data.len();
        self.known.insert(place, (kind, compressed, data.to_owned()));
        self.order.push_back(place);
        while self.bytes > REMEMBERED {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some((.., data)) = self.known.remove(&oldest) {
                self.bytes -= data.len();
            }
        }
    }

    fn get(&mut self, pack: u32, offset: u64, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let (kind, compressed, data) = self.known.get(&(pack, offset))?;
        out.clear();
        out.extend_from_slice(data);
        Some((*kind, *compressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_stays_within_its_bytes_and_knows_its_pack() {
        let (mut recent, mut out) = (Recent::default(), Vec::new());
        for n in 0..100 {
            recent.put(1, n, &vec![0; 1 << 20], Kind::Blob, 7);
        }
        assert!(recent.bytes <= REMEMBERED && recent.known.len() == recent.order.len());
        assert_eq!(recent.get(1, 99, &mut out), Some((Kind::Blob, 7)));
        assert_eq!(out.len(), 1 << 20);
        assert_eq!(recent.get(1, 0, &mut out), None);
        assert_eq!(recent.get(2, 99, &mut out), None);
        recent.put(1, 100, &vec![0; REMEMBERED], Kind::Blob, 7);
        assert_eq!(recent.get(1, 100, &mut out), None);
    }
}
