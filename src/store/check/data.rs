//! The objects themselves: there, whole, and of the digests that manifests name.

use std::collections::{BTreeMap, HashSet};

use gix::ObjectId;
use gix::objs::Kind as ObjectKind;

use super::super::error::Result;
use super::super::history;
use super::super::manifest::Form;
use super::super::verify::{Damage, Watch, verify};
use super::{Check, Expected, Fault};
use crate::model::Digest;
use crate::seal::DeviceKeys;

/// Is each blob that a manifest needs in the repository?
pub(super) fn exists(check: &Check<'_>) {
    for id in check.expected.keys() {
        if let Err(e) = check.store.repo().header(id) {
            check.error(&e, None, &[]);
        }
    }
}

struct Reader<'a, 'c> {
    check: &'a Check<'c>,
    progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// Reads every object once; gives how many, and their bytes.
pub(super) fn read(check: &Check<'_>, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(u64, u64)> {
    let verified = verify(check.store.repo(), check.options.threads.max(1), &Reader { check, progress })?;
    Ok((verified.objects, verified.bytes))
}

impl Watch for Reader<'_, '_> {
    fn damage(&self, damage: Damage) {
        let Damage { file, object, what } = damage;
        let whole = object.is_some_and(|id| self.check.store.repo().object(&id, u64::MAX).is_ok());
        let (fault, what) = match object {
            Some(_) if whole => (Fault::Copy, format!("a copy of an object is damaged, another is whole ({what})")),
            Some(_) => (Fault::Damaged, format!("an object is damaged ({what})")),
            None => (Fault::Damaged, format!("a file of the repository is damaged ({what})")),
        };
        self.check.add((fault, what, object, None, Some(file)), &[]);
    }

    fn object(&self, id: &ObjectId, kind: ObjectKind, data: &[u8]) {
        if kind == ObjectKind::Blob {
            for expected in self.check.expected.get(id).into_iter().flatten() {
                if let Some(what) = wrong(self.check, expected, data) {
                    self.check.find(Fault::Digest, what, Some(*id), None, &[]);
                }
            }
        }
    }

    fn progress(&self, done: u64, total: u64) {
        (self.progress)(done, total);
    }
}

/// Compares the bytes of a blob with its digests, as far as keys are at hand.
fn wrong(check: &Check<'_>, expected: &Expected, data: &[u8]) -> Option<&'static str> {
    if blake3::hash(data).as_bytes() != &expected.stored.0 {
        return Some("an object is not what the manifest says was stored");
    }
    let (epoch, form, size, plain) = expected.plain?;
    let device = check.devices.get(usize::try_from(expected.device).ok()?)?;
    let keys = DeviceKeys::derive(check.options.access.keys?.epoch(epoch)?, device);
    let good = |bytes: &[u8]| keys.digest(bytes) == plain && bytes.len() as u64 == size;
    let unpack = |packed: &[u8]| zstd::bulk::decompress(packed, usize::try_from(size).unwrap_or(0).min(1 << 30));
    let good = match form {
        Form::Packed { sealed: true, .. } => {
            let opener = check.options.access.opener.filter(|o| o.identity(epoch).is_some())?;
            let opened = opener.open(epoch, data, data.len() as u64);
            opened.is_ok_and(|packed| unpack(packed.expose()).is_ok_and(|b| good(&b)))
        }
        Form::Packed { sealed: false, .. } => unpack(data).is_ok_and(|b| good(&b)),
        Form::Plain | Form::Masked => good(data),
    };
    (!good).then_some("an object does not decode to what the manifest says")
}

/// Opens masked files, where there is an identity: each masked text once with its values.
pub(super) fn read_masked(check: &Check<'_>) {
    if check.options.access.opener.is_none() {
        return;
    }
    for device in &check.devices {
        let Ok(history) = history::History::new(check.store.repo(), check.refs, device) else { continue };
        let mut seen: HashSet<(Digest, Digest)> = HashSet::new();
        let mut wrong: BTreeMap<String, (String, Vec<super::Use>)> = BTreeMap::new();
        let index = check.devices.iter().position(|d| d == device).and_then(|i| u32::try_from(i).ok()).unwrap_or(u32::MAX);
        for generation in history.map_while(std::result::Result::ok) {
            let Ok(set) = check.store.read_set(check.refs, &generation, check.options.access) else { continue };
            for line in &set.manifest().lines {
                let Some(body) = line.body.as_ref().filter(|b| b.form == Form::Masked) else { continue };
                if !seen.insert((body.stored, body.plain)) {
                    continue;
                }
                if let Err(e) = set.read(line) {
                    let r#use = super::Use { device: index, first: generation.number, last: generation.number };
                    let entry = wrong.entry(line.shown()).or_insert_with(|| (e.to_string(), Vec::new()));
                    super::join(&mut entry.1, r#use);
                }
            }
        }
        for (place, (what, uses)) in wrong {
            check.find(Fault::Digest, &format!("a masked file does not come back ({what})"), None, Some(&place), &uses);
        }
    }
}
