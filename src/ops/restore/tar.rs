//! As a tar archive: the same bytes for the same generation, wherever and whenever it is made.
//!
//! ustar headers with numeric owners, the time of the generation as the time of every entry, sorted by
//! path. Names stand as the bytes they are; what ustar cannot hold (names over 100 bytes, large sizes and
//! owners) stands in a PAX header before the entry.

use std::io::{self, Write};
use std::path::Path;

use tar::{EntryType, Header};

use super::layout::{Placed, layout};
use super::{FleetRestored, RestoreError, RestoreOptions, Restored, Skip, Skipped};
use crate::fsio::{self, Out};
use crate::model::{ConfigPath, DeviceName, Kind};
use crate::store::{Access, Decoded, Error, Refs, SetReader, Store};

/// Bytes of zeros that end an archive.
const END: usize = 1024;
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
    into_file(to, options.overwrite, &mut |out| archive(set, access, out, options))
}

/// Writes the newest generation of every device into the file `to`, as [`tar_all_to_writer`] and [`tar_to_file`] do.
///
/// # Errors
/// [`RestoreError`]; the file is then as it was.
pub fn tar_all_to_file(
    store: &Store,
    refs: &Refs,
    access: Access<'_>,
    to: &Path,
    options: &RestoreOptions,
) -> Result<FleetRestored, RestoreError> {
    into_file(to, options.overwrite, &mut |out| tar_all_to_writer(store, refs, access, out, options))
}

/// Writes a file under another name, and gives it its own once it is whole.
fn into_file<T>(
    to: &Path,
    overwrite: bool,
    fill: &mut dyn FnMut(&mut dyn Write) -> Result<T, RestoreError>,
) -> Result<T, RestoreError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let waiting = to.with_file_name(format!(".{name}.confvault-{}", std::process::id()));
    let mut write = || {
        if !overwrite && std::fs::symlink_metadata(to).is_ok() {
            return Err(RestoreError::Existing { count: 1, first: to.to_owned() });
        }
        fsio::unlink_if_there(&waiting)?;
        let mut out = Out::create_new(&waiting, fsio::PRIVATE_FILE)?;
        let restored = fill(&mut out)?;
        out.finish_sync()?;
        if overwrite {
            fsio::rename(&waiting, to)?;
        } else {
            // What came in the meantime is not replaced.
            fsio::rename_to_free(&waiting, to)?;
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
    if size(set) <= HELD {
        let mut whole = Vec::new();
        let restored = archive(set, access, &mut whole, options)?;
        out.write_all(&whole).and_then(|()| out.flush()).map_err(RestoreError::Output)?;
        return Ok(restored);
    }
    archive(set, access, out, options).inspect_err(|_| spoil(out))
}

/// Writes the newest generation of every device as one archive, each into a folder named as the device.
///
/// A device that fails before its first byte does not stop the others.
///
/// # Errors
/// [`RestoreError`]; the archive then ends in a block that no reader of tar takes for an end.
pub fn tar_all_to_writer(
    store: &Store,
    refs: &Refs,
    access: Access<'_>,
    out: &mut dyn Write,
    options: &RestoreOptions,
) -> Result<FleetRestored, RestoreError> {
    let mut fleet = FleetRestored { devices: Vec::new(), failed: Vec::new(), restored: Restored::default() };
    for device in store.devices(refs) {
        match of_device(store, refs, access, &device, out, options) {
            Ok((number, restored)) => {
                fleet.devices.push((device, number));
                fleet.restored.add(restored);
            }
            // The path that was asked for is another device's.
            Err(Failed::Before(RestoreError::NoSuchPath { .. })) => {}
            Err(Failed::Before(error)) => fleet.failed.push((device, error)),
            Err(Failed::Amid(error)) => {
                spoil(out);
                return Err(error);
            }
        }
    }
    out.write_all(&[0; END]).and_then(|()| out.flush()).map_err(RestoreError::Output)?;
    Ok(fleet)
}

/// Whether bytes of a device are in the archive already.
enum Failed {
    Before(RestoreError),
    Amid(RestoreError),
}

fn of_device(
    store: &Store,
    refs: &Refs,
    access: Access<'_>,
    device: &DeviceName,
    out: &mut dyn Write,
    options: &RestoreOptions,
) -> Result<(u64, Restored), Failed> {
    let before = |error: Error| Failed::Before(error.into());
    options.check(device).map_err(Failed::Before)?;
    let generation = store.newest(refs, device).map_err(before)?;
    let set = store.read_set(refs, &generation, access).map_err(before)?;
    if size(&set) > HELD {
        // Too large to be held: it is read once to be proven, and once more to be written.
        entries(&set, access, &mut io::sink(), options, Some(device)).map_err(Failed::Before)?;
        let restored = entries(&set, access, out, options, Some(device)).map_err(Failed::Amid)?;
        return Ok((generation.number, restored));
    }
    let mut whole = Vec::new();
    let restored = entries(&set, access, &mut whole, options, Some(device)).map_err(Failed::Before)?;
    out.write_all(&whole).map_err(|e| Failed::Amid(RestoreError::Output(e)))?;
    Ok((generation.number, restored))
}

/// Sum of the plain sizes, in bytes.
fn size(set: &SetReader<'_>) -> u64 {
    set.manifest().lines.iter().filter_map(|l| Some(l.body.as_ref()?.size)).sum()
}

/// Ends an archive that is not complete in a block that no reader takes for an end.
fn spoil(out: &mut dyn Write) {
    let mut block = [b'!'; 512];
    let text = b"confvault: the restore failed here; this archive is not complete\n";
    block[..text.len()].copy_from_slice(text);
    // Behind an error that is reported.
    out.write_all(&block).and_then(|()| out.flush()).ok();
}

fn archive(
    set: &SetReader<'_>,
    access: Access<'_>,
    out: &mut dyn Write,
    options: &RestoreOptions,
) -> Result<Restored, RestoreError> {
    let restored = entries(set, access, out, options, None)?;
    out.write_all(&[0; END]).map_err(RestoreError::Output)?;
    Ok(restored)
}

fn entries(
    set: &SetReader<'_>,
    access: Access<'_>,
    tar: &mut dyn Write,
    options: &RestoreOptions,
    device: Option<&DeviceName>,
) -> Result<Restored, RestoreError> {
    let places = layout(set.manifest(), access, options, options.masked)?;
    let time = u64::try_from(set.generation().time.timestamp()).unwrap_or(0);
    let mut restored = Restored::default();
    for place in &places {
        match entry(set, place, device, time, options, tar, &mut restored) {
            Ok(()) => {}
            Err(RestoreError::Store(e)) if options.skip_damaged && e.is_damage() => {
                restored.skipped.push(skipped(&place.path, Skip::Damaged, Some(e.to_string())));
            }
            Err(RestoreError::Store(Error::Sealed { .. })) if options.masked => {
                restored.skipped.push(skipped(&place.path, Skip::Sealed, None));
            }
            Err(e) => return Err(e),
        }
    }
    Ok(restored)
}

fn skipped(path: &ConfigPath, why: Skip, detail: Option<String>) -> Skipped {
    Skipped { path: path.clone(), why, detail }
}

fn entry(
    set: &SetReader<'_>,
    place: &Placed<'_>,
    device: Option<&DeviceName>,
    time: u64,
    options: &RestoreOptions,
    tar: &mut dyn Write,
    restored: &mut Restored,
) -> Result<(), RestoreError> {
    let line = place.line;
    let mut name = device.map(|device| format!("{device}/").into_bytes()).unwrap_or_default();
    name.extend_from_slice(place.path.as_bytes());
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
        tar.write_all(header.as_bytes()).map_err(RestoreError::Output)?;
        set.copy(line, &mut Strict { out: tar, left: size })?;
        tar.write_all(padding(size)).map_err(RestoreError::Output)?;
    } else {
        put(tar, &header, &content)?;
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

/// Writes an entry that is in memory.
fn put(out: &mut dyn Write, header: &Header, content: &[u8]) -> Result<(), RestoreError> {
    let pieces = [header.as_bytes(), content, padding(content.len() as u64)];
    pieces.into_iter().try_for_each(|piece| out.write_all(piece)).map_err(RestoreError::Output)
}

/// The zeros that fill the last block of a content.
fn padding(size: u64) -> &'static [u8] {
    &[0; 512][..usize::try_from((512 - size % 512) % 512).unwrap_or(0)]
}

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
fn pax_header(tar: &mut dyn Write, records: Vec<(&str, Vec<u8>)>, time: u64) -> Result<(), RestoreError> {
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
    put(tar, &header, &data)
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
