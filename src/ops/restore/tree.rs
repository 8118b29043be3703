//! Into a directory.

use std::io::Write;
use std::path::Path;

use super::layout::{Placed, layout};
use super::{RestoreError, RestoreOptions, Restored, Skip, Skipped};
use crate::fsio::tree::{Durability, Meta, TreeError, TreeOptions, TreeWriter, Written};
use crate::model::{ConfigPath, DeviceName, Kind};
use crate::store::{Access, Decoded, Error, SetReader};

/// Files up to this size go through memory.
const SMALL: u64 = 4 << 20;

pub(super) fn tree_options(options: &RestoreOptions, sync: Durability) -> TreeOptions {
    TreeOptions { overwrite: options.overwrite, owners: !options.no_owners, special_bits: options.special_bits, sync }
}

/// Puts a set back into the directory `to`, which is made if it is not there.
///
/// Nothing is in place before every digest of what was chosen was checked. What stands there is never
/// followed, and replaced only with `overwrite`.
///
/// # Errors
/// [`RestoreError`]; nothing is in place then, unless the disk failed in the last step.
pub fn restore(set: &SetReader<'_>, access: Access<'_>, to: &Path, options: &RestoreOptions) -> Result<Restored, RestoreError> {
    let places = layout(set.manifest(), access, options, options.masked)?;
    if !options.overwrite {
        refuse_existing(to, &places)?;
    }
    let sync = if options.passing { Durability::Never } else { Durability::EachCommit };
    let mut out = TreeWriter::open(to, tree_options(options, sync))?;
    let mut restored = Restored::default();
    stage(set, &places, None, options, &mut out, &mut restored)?;
    finish(out.finish()?, &mut restored);
    Ok(restored)
}

/// Looks before anything is begun whether something stands where an entry belongs. What comes in
/// between is met by the writer, which never overwrites either.
fn refuse_existing(to: &Path, places: &[Placed<'_>]) -> Result<(), RestoreError> {
    use std::os::unix::ffi::OsStrExt as _;
    if std::fs::read_dir(to).is_ok_and(|mut list| list.next().is_none()) || std::fs::symlink_metadata(to).is_err() {
        return Ok(());
    }
    let place = |p: &Placed<'_>| to.join(std::ffi::OsStr::from_bytes(p.path.as_bytes()));
    let taken = |p: &&Placed<'_>| {
        let found = std::fs::symlink_metadata(place(p));
        found.is_ok_and(|m| !(p.line.kind == Kind::Directory && m.is_dir()))
    };
    let mut taken = places.iter().filter(taken);
    match taken.next() {
        Some(first) => Err(RestoreError::Existing { count: 1 + taken.count() as u64, first: place(first) }),
        None => Ok(()),
    }
}

/// Reads what was chosen, checks it, and hands it to the writer, which keeps it back.
pub(super) fn stage(
    set: &SetReader<'_>,
    places: &[Placed<'_>],
    below: Option<&DeviceName>,
    options: &RestoreOptions,
    out: &mut TreeWriter,
    restored: &mut Restored,
) -> Result<(), RestoreError> {
    for place in places {
        let path = match below {
            Some(device) => ConfigPath::new([device.as_str().as_bytes(), b"/", place.path.as_bytes()].concat())
                .map_err(|_| RestoreError::Conflict { path: place.line.shown() })?,
            None => place.path.clone(),
        };
        match one(set, place, &path, out, restored) {
            Ok(()) => {}
            Err(RestoreError::Store(e)) if options.skip_damaged && e.is_damage() => {
                restored.skipped.push(Skipped { path, why: Skip::Damaged, detail: Some(e.to_string()) });
            }
            Err(RestoreError::Store(Error::Sealed { .. })) if options.masked => {
                restored.skipped.push(Skipped { path, why: Skip::Sealed, detail: None });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn one(
    set: &SetReader<'_>,
    place: &Placed<'_>,
    path: &ConfigPath,
    out: &mut TreeWriter,
    restored: &mut Restored,
) -> Result<(), RestoreError> {
    let line = place.line;
    let meta = Meta { mode: line.mode, owner: line.owner };
    match line.kind {
        Kind::Directory => out.directory(path, meta)?,
        Kind::Link => out.link(path, set.read(line)?.bytes(), line.owner)?,
        Kind::File if line.body.as_ref().is_some_and(|b| b.size > SMALL) => {
            let mut masked = false;
            out.file_with(path, meta, |file: &mut dyn Write| {
                masked = set.copy(line, file)?;
                Ok::<_, RestoreError>(())
            })?;
            if masked {
                restored.masked.add(path);
            }
        }
        Kind::File => {
            let decoded = set.read(line)?;
            out.file(path, meta, decoded.bytes())?;
            if matches!(decoded, Decoded::Masked(_)) {
                restored.masked.add(path);
            }
        }
    }
    Ok(())
}

/// Takes over what the writer did.
pub(super) fn finish(written: Written, restored: &mut Restored) {
    restored.files += written.files;
    restored.directories += written.directories;
    restored.links += written.links;
    restored.bytes += written.bytes;
    restored.owners_not_set = written.owners_not_set;
    restored.special_bits_dropped = written.special_bits_dropped;
    let in_the_way = |path: ConfigPath, detail| Skipped { path, why: Skip::InTheWay, detail };
    restored.skipped.extend(written.existing.first.into_iter().map(|path| in_the_way(path, None)));
    restored.skipped.extend(written.failed.into_iter().map(|(path, e): (_, TreeError)| in_the_way(path, Some(e.to_string()))));
}
