//! The files that looks lie in: a fixed number of them, so that neither a fleet makes a file a device nor a
//! run of one device reads the looks of all.
//!
//! A file is [`MAGIC`] and a record a device, sorted by name: the length of what follows, the length of
//! the name, the name, the look, and the first 16 bytes of the BLAKE3 of all that. A record that does not
//! have its checksum counts as none; so do those behind a length that leads out of the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::fsio;
use crate::model::DeviceName;
use crate::store::repo::Repo;

const MAGIC: &[u8; 8] = b"cvlook3\n";
/// The number of files. Of 100,000 devices with 20 files each, one then has 2 MB.
const SHARDS: u8 = 64;
const SUM: usize = 16;

/// Looks to be written; nothing for one that is to go.
pub(in crate::store) type Records = BTreeMap<DeviceName, Option<Vec<u8>>>;

/// As [`Records`], of one file.
type Change<'a> = Vec<(&'a DeviceName, Option<&'a [u8]>)>;

/// One file, read.
#[derive(Debug, Default)]
struct Shard {
    bytes: Vec<u8>,
    /// Where the records begin, behind their lengths, and where they end.
    records: Vec<(usize, usize)>,
}

/// All files, each read when a device of it is first asked for.
#[derive(Debug)]
pub(super) struct Shards {
    repo: Repo,
    shards: Vec<OnceLock<Shard>>,
}

impl Shards {
    pub(super) fn new(repo: &Repo) -> Self {
        Self { repo: repo.clone(), shards: (0..SHARDS).map(|_| OnceLock::new()).collect() }
    }

    /// Gives the look of a device, if its record is whole.
    pub(super) fn find(&self, device: &DeviceName) -> Option<&[u8]> {
        let number = number(device);
        let shard = self.shards[usize::from(number)]
            .get_or_init(|| fs::read(path(&self.repo, number)).map(Shard::parse).unwrap_or_default());
        shard.find(device)
    }
}

impl Shard {
    fn parse(bytes: Vec<u8>) -> Self {
        let mut records = Vec::new();
        let mut at = if bytes.starts_with(MAGIC) { MAGIC.len() } else { bytes.len() };
        while let Some(length) = bytes.get(at..at + 4) {
            let length = u32::from_le_bytes(length.try_into().expect("four bytes were taken"));
            let (start, end) = (at + 4, (at + 4).saturating_add(usize::try_from(length).unwrap_or(usize::MAX)));
            // A name, its length and a checksum are the least.
            if end > bytes.len() || end - start < 2 + SUM || end - start - 1 - SUM < usize::from(bytes[start]) {
                break;
            }
            records.push((start, end));
            at = end;
        }
        Self { bytes, records }
    }

    fn name(&self, start: usize) -> &[u8] {
        &self.bytes[start + 1..][..usize::from(self.bytes[start])]
    }

    /// Gives the look of a record that has its checksum.
    fn look(&self, (start, end): (usize, usize)) -> Option<&[u8]> {
        let (record, sum) = self.bytes[start..end].split_at(end - start - SUM);
        (blake3::hash(record).as_bytes()[..SUM] == *sum).then(|| &record[1 + self.name(start).len()..])
    }

    fn find(&self, device: &DeviceName) -> Option<&[u8]> {
        let found = self.records.binary_search_by(|(start, _)| self.name(*start).cmp(device.as_str().as_bytes()));
        self.look(self.records[found.ok()?])
    }

    /// Gives the bytes of the file with other looks of some devices. What is damaged is left out.
    fn with(&self, change: &[(&DeviceName, Option<&[u8]>)]) -> Vec<u8> {
        let whole = |record: &(usize, usize)| Some((self.name(record.0), self.look(*record)?));
        let mut looks: BTreeMap<&[u8], &[u8]> = self.records.iter().filter_map(whole).collect();
        for (device, look) in change {
            match look {
                Some(look) => looks.insert(device.as_str().as_bytes(), look),
                None => looks.remove(device.as_str().as_bytes()),
            };
        }
        let mut out =
            Vec::with_capacity(MAGIC.len() + looks.iter().map(|(name, look)| 5 + name.len() + look.len() + SUM).sum::<usize>());
        out.extend_from_slice(MAGIC);
        looks.iter().for_each(|(name, look)| put(&mut out, name, look));
        out
    }
}

fn put(out: &mut Vec<u8>, name: &[u8], look: &[u8]) {
    // Names have at most 100 bytes, and a look of gigabytes would serve nobody.
    let (Ok(letters), Ok(length)) = (u8::try_from(name.len()), u32::try_from(1 + name.len() + look.len() + SUM)) else { return };
    out.extend_from_slice(&length.to_le_bytes());
    let start = out.len();
    out.push(letters);
    out.extend_from_slice(name);
    out.extend_from_slice(look);
    let sum = blake3::hash(&out[start..]);
    out.extend_from_slice(&sum.as_bytes()[..SUM]);
}

fn number(device: &DeviceName) -> u8 {
    blake3::hash(device.as_str().as_bytes()).as_bytes()[0] % SHARDS
}

fn path(repo: &Repo, number: u8) -> PathBuf {
    repo.cache_dir().join("looks").join(format!("{number:02x}"))
}

/// Writes looks. A failure costs time at the next run and nothing else, so it is not reported.
pub(in crate::store) fn save(repo: &Repo, records: &Records) {
    let mut shards: BTreeMap<u8, Change<'_>> = BTreeMap::new();
    for (device, look) in records {
        shards.entry(number(device)).or_default().push((device, look.as_deref()));
    }
    for (number, change) in shards {
        // Another process may have written since this one read.
        drop(update(repo, number, &change));
    }
}

/// Takes the look of a device away.
///
/// # Errors
/// The disk refused.
pub(in crate::store) fn forget(repo: &Repo, device: &DeviceName) -> fsio::Result<()> {
    let number = number(device);
    if path(repo, number).exists() { update(repo, number, &[(device, None)]) } else { Ok(()) }
}

fn update(repo: &Repo, number: u8, change: &[(&DeviceName, Option<&[u8]>)]) -> fsio::Result<()> {
    let path = path(repo, number);
    let update = || fsio::update_cache(&path, fsio::PRIVATE_FILE, |old| Shard::parse(old.to_vec()).with(change));
    match (update(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == std::io::ErrorKind::NotFound => {
            fsio::create_dir_all(folder, fsio::PRIVATE_DIR)?;
            update()
        }
        (done, _) => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DeviceName {
        text.parse().unwrap()
    }

    fn shard(devices: &[(&str, &[u8])]) -> Vec<u8> {
        let names: Vec<DeviceName> = devices.iter().map(|(device, _)| name(device)).collect();
        let change: Vec<_> = names.iter().zip(devices).map(|(name, (_, look))| (name, Some(*look))).collect();
        Shard::default().with(&change)
    }

    #[test]
    fn records_are_added_replaced_and_taken_away() {
        let bytes = shard(&[("b", b"one"), ("bb", b""), ("d", b"three")]);
        let (a, b, d, e) = (name("a"), name("b"), name("d"), name("e"));
        let change: [(&DeviceName, Option<&[u8]>); 4] = [(&a, Some(b"zero")), (&b, None), (&d, Some(b"3")), (&e, Some(b"four"))];
        let next = Shard::parse(Shard::parse(bytes).with(&change));
        let found = |device| next.find(&name(device));
        assert_eq!(["a", "b", "bb", "d", "e"].map(found), [Some(&b"zero"[..]), None, Some(b""), Some(b"3"), Some(b"four")]);
    }

    #[test]
    fn damage_costs_what_is_damaged_and_no_byte_is_believed() {
        let devices: [(&str, &[u8]); 3] = [("a", b"look of a"), ("b", b"look of b"), ("c", b"look of c")];
        let bytes = shard(&devices);
        for at in 0..bytes.len() {
            for flip in [1, 0x80] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                for damaged in [Shard::parse(bad), Shard::parse(bytes[..at].to_vec())] {
                    let found = devices.map(|(device, look)| damaged.find(&name(device)).map(|found| found == look));
                    assert!(found.iter().all(|found| *found != Some(false)) && found.contains(&None), "{at} {found:?}");
                    let x = name("x");
                    let next = Shard::parse(damaged.with(&[(&x, Some(b"look of x"))]));
                    assert_eq!(next.find(&x), Some(&b"look of x"[..]), "{at}");
                }
            }
        }
    }
}
