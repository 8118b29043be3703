//! As a tar archive: the same bytes for the same generation, wherever and whenever it is made.
//!
//! ustar headers with numeric owners, the time of the generation as the time of every entry, sorted by
//! path. Names stand as the bytes they are; what ustar cannot hold (names over 100 bytes, large sizes and
//! owners) stands in a PAX header before the entry.

use std::io::{self, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::layout::{Placed, layout};
use super::tree::is_damage;
use super::{RestoreError, RestoreOptions, Restored, Skip, Skipped};
use crate::fsio::{self, Out};
use crate::model::{ConfigPath, Kind};
use crate::store::{Access, Decoded, Error, SetReader};

/// Sets up to this size are held in memory until every digest was checked.
const HELD: u64 = 64 << 20;

/// Writes a set into the file `to`, of mode 0600, which appears whole or not at all and is replaced only with
/// `overwrite`.
///
/// # Errors
/// [`RestoreError`]; the file is then as it was.
pub fn tar_to_file(
    set: &SetReader<'_>,
    access: Access<'_>,
    to: &Path,
    options: &RestoreOptions,
) -> Result<Restored, RestoreError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let waiting = to.with_file_name(format!(".{name}.confvault-{}", std::process::id()));
    let write = || {
        if !options.overwrite && std::fs::symlink_metadata(to).is_ok() {
            return Err(RestoreError::Existing { count: 1, first: to.to_owned() });
        }
        fsio::unlink_if_there(&waiting)?;
        let mut out = Out::create_new(&waiting, fsio::PRIVATE_FILE)?;
        let restored = archive(set, access, &mut out, options)?;
        out.finish_sync()?;
        if options.overwrite {
            fsio::rename(&waiting, to)?;
        } else {
            // A link refuses to replace what came in the meantime; a rename would not.
            fsio::link(&waiting, to)?;
            fsio::unlink(&waiting)?;
        }
        fsio::sync_dir(to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok(restored)
    };
    write().inspect_err(|_| {
        // Behind an error that is reported.
        fsio::unlink_if_there(&waiting).ok();
    })
}

/// Writes a set as an archive.
///
/// A set of at most 64 MiB is checked before its first byte goes out. If a larger one turns out damaged on
/// the way, the archive ends in a block that no reader of tar takes for an end.
///
/// # Errors
/// [`RestoreError`].
pub fn tar_to_writer(
    set: &SetReader<'_>,
    access: Access<'_>,
    out: &mut dyn Write,
    options: &RestoreOptions,
) -> Result<Restored, RestoreError> {
    let size: u64 = set.manifest().lines.iter().filter_map(|l| Some(l.body.as_ref()?.size)).sum();
    if size <= HELD {
        let mut whole = Vec::new();
        let restored = archive(set, access, &mut whole, options)?;
        out.write_all(&whole).and_then(|()| out.flush()).map_err(RestoreError::Output)?;
        return Ok(restored);
    }
    archive(set, access, out, options).inspect_err(|_| {
        let mut block = [b'!'; 512];
        let text = b"confvault: the restore failed here; this archive is not complete\n";
        block[..text.len()].copy_from_slice(text);
        out.write_all(&block).and_then(|()| out.flush()).ok();
    })
}

fn archive(
    set: &SetReader<'_>,
    access: Access<'_>,
    out: &mut dyn Write,
    options: &RestoreOptions,
) -> Result<Restored, RestoreError> {
    let places = layout(set.manifest(), access, options, options.masked)?;
    let time = u64::try_from(set.generation().time.timestamp()).unwrap_or(0);
    let mut tar = Builder::new(out);
    let mut restored = Restored::default();
    for place in &places {
        match entry(set, place, time, options, &mut tar, &mut restored) {
            Ok(()) => {}
            Err(RestoreError::Store(e)) if options.skip_damaged && is_damage(&e) => {
                restored.skipped.push(skipped(&place.path, Skip::Damaged, Some(e.to_string())));
            }
            Err(RestoreError::Store(Error::Sealed { .. })) if options.masked => {
                restored.skipped.push(skipped(&place.path, Skip::Sealed, None));
            }
            Err(e) => return Err(e),
        }
    }
    tar.finish().map_err(RestoreError::Output)?;
    Ok(restored)
}

fn skipped(path: &ConfigPath, why: Skip, detail: Option<String>) -> Skipped {
    Skipped { path: path.clone(), why, detail }
}

fn entry(
    set: &SetReader<'_>,
    place: &Placed<'_>,
    time: u64,
    options: &RestoreOptions,
    tar: &mut Builder<&mut dyn Write>,
    restored: &mut Restored,
) -> Result<(), RestoreError> {
    let line = place.line;
    let mut name = place.path.as_bytes().to_vec();
    let (kind, mut content, mut target) = (line.kind, Vec::new(), Vec::new());
    let size = line.body.as_ref().map_or(0, |b| b.size);
    // What is in chunks does not fit in memory; its size is that of the manifest, or it is refused.
    let streamed = line.body.as_ref().is_some_and(|b| b.form.chunked());
    match kind {
        Kind::Directory => name.push(b'/'),
        Kind::Link => target = set.read(line)?.into_bytes(),
        // What is left out must not have begun.
        Kind::File if streamed && options.skip_damaged => drop(set.copy(line, &mut io::sink())?),
        Kind::File if streamed => {}
        Kind::File => {
            let decoded = set.read(line)?;
            if matches!(decoded, Decoded::Masked(_)) {
                restored.masked.add(&place.path);
            }
            content = decoded.into_bytes();
        }
    }
    let size = if streamed { size } else { content.len() as u64 };
    let mut mode = line.mode & 0o7777;
    if !options.special_bits && mode & 0o6000 != 0 {
        mode &= 0o1777;
        restored.special_bits_dropped.add(&place.path);
    }
    let owner = line.owner.filter(|_| !options.no_owners);
    let (uid, gid) = owner.map_or((0, 0), |o| (u64::from(o.uid), u64::from(o.gid)));
    let mut header = Header::new_ustar();
    let mut pax: Vec<(&str, Vec<u8>)> = Vec::new();
    {
        let raw = header.as_ustar_mut().expect("the header was made as ustar");
        fill(&mut raw.name, &name, "path", &mut pax);
        fill(&mut raw.linkname, &target, "linkpath", &mut pax);
    }
    header.set_entry_type(match kind {
        Kind::Directory => EntryType::Directory,
        Kind::Link => EntryType::Symlink,
        Kind::File => EntryType::Regular,
    });
    header.set_mode(if kind == Kind::Link { 0o777 } else { mode });
    header.set_mtime(time.min(OCTAL_11));
    for (key, value, most) in [("uid", uid, OCTAL_7), ("gid", gid, OCTAL_7), ("size", size, OCTAL_11)] {
        if value > most {
            pax.push((key, value.to_string().into_bytes()));
        }
    }
    header.set_uid(uid.min(OCTAL_7));
    header.set_gid(gid.min(OCTAL_7));
    header.set_size(size.min(OCTAL_11));
    header.set_cksum();
    pax_header(tar, pax, time)?;
    if streamed {
        let mut bytes = header.as_bytes().to_vec();
        let out = tar.get_mut();
        out.write_all(&bytes).map_err(RestoreError::Output)?;
        set.copy(line, &mut Strict { out, left: size })?;
        bytes.clear();
        bytes.resize(usize::try_from((512 - size % 512) % 512).unwrap_or(0), 0);
        tar.get_mut().write_all(&bytes).map_err(RestoreError::Output)?;
    } else {
        tar.append(&header, content.as_slice()).map_err(RestoreError::Output)?;
    }
    match kind {
        Kind::Directory => restored.directories += 1,
        Kind::Link => restored.links += 1,
        Kind::File => {
            restored.files += 1;
            restored.bytes += size;
        }
    }
    Ok(())
}

const OCTAL_7: u64 = 0o7_777_777;
const OCTAL_11: u64 = 0o77_777_777_777;

/// Puts a name into its field, as bytes, and all of it into the PAX header if it is too long.
fn fill(field: &mut [u8; 100], text: &[u8], key: &'static str, pax: &mut Vec<(&'static str, Vec<u8>)>) {
    if text.len() <= field.len() {
        field[..text.len()].copy_from_slice(text);
        return;
    }
    for (to, from) in field.iter_mut().zip(text) {
        *to = if from.is_ascii() { *from } else { b'_' };
    }
    if !pax.iter().any(|(k, _)| *k == "hdrcharset") && std::str::from_utf8(text).is_err() {
        // Else a reader would take the bytes for UTF-8 and alter them.
        pax.insert(0, ("hdrcharset", b"BINARY".to_vec()));
    }
    pax.push((key, text.to_vec()));
}

/// Writes the PAX header, with a name and a time that do not depend on where it is made.
fn pax_header(tar: &mut Builder<&mut dyn Write>, records: Vec<(&str, Vec<u8>)>, time: u64) -> Result<(), RestoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        data.extend(format!("{length} {key}=").bytes());
        data.extend(value);
        data.push(b'\n');
    }
    let mut header = Header::new_ustar();
    header.as_ustar_mut().expect("the header was made as ustar").name[..9].copy_from_slice(b"PaxHeader");
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_mtime(time.min(OCTAL_11));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(data.len() as u64);
    header.set_cksum();
    tar.append(&header, data.as_slice()).map_err(RestoreError::Output)
}

/// Takes exactly so many bytes: more or less would shift everything behind.
struct Strict<'a> {
    out: &'a mut dyn Write,
    left: u64,
}

impl Write for Strict<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = bytes.len() as u64;
        self.left = self.left.checked_sub(size).ok_or(io::ErrorKind::FileTooLarge)?;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
