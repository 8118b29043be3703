//! Archives that a device makes of itself, such as the backup of a telephone system: is one whole?
//!
//! Only what the profile names in `[[collect.expect]]` is looked at, as it is what somebody will want to have when all
//! else is lost. One that a full disk or a killed program left half is no part of the set; what stands beside it is.
//! A gzip is read to its end, whose checksum and length tell whether all of it is there, and a tar header by header
//! (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format") to the block of zeros that ends it.

use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use tar::{EntryType, Header, PaxExtensions};

use super::tree::place_folders;
use super::{CollectError, Collected, Context, Skipped};
use crate::model::{ConfigSet, Content, Entry, Kind};
use crate::profile::{Profile, matcher};

const BLOCK: usize = 512;
/// Bytes of the extended header of one file; real ones have some hundred.
const EXTENDED: u64 = 1 << 20;

const CUT: &str = "cut off or damaged";
const NO_TAR: &str = "no whole tar archive";

/// Takes the archives that are not whole out of a set, and tells of them; with [`Context::accept_partial`] they stay, and
/// are told as what was taken on purpose. What the look proved unchanged was whole when it was taken.
///
/// # Errors
/// [`CollectError::Damaged`] if no file is left; one cannot be read, or the time of the device is over.
pub(super) fn judge(collected: &mut Collected, profile: &Profile, context: &Context<'_>) -> Result<(), CollectError> {
    let globs = profile.collect().into_iter().flat_map(|collect| &collect.expect).flat_map(|expect| &expect.paths);
    let globs: Vec<_> = globs.cloned().collect();
    if globs.is_empty() {
        return Ok(());
    }
    let matches = matcher(&globs);
    let mut damaged = Vec::new();
    for entry in collected.set.entries().iter().filter(|entry| entry.kind == Kind::File && matches(&entry.path)) {
        if let Some(what) = fault(entry, context)? {
            damaged.push(Skipped { path: entry.path.clone(), what, missed: true });
        }
    }
    if context.accept_partial {
        collected.without.extend(damaged.iter().map(|skipped| format!("{} ({})", skipped.path, skipped.what)));
        return Ok(());
    }
    let Some(first) = damaged.first().cloned() else { return Ok(()) };
    let is_damaged = |entry: &Entry| entry.kind == Kind::File && damaged.iter().any(|skipped| skipped.path == entry.path);
    let mut set = collected.take_set();
    let (release, unclaimed) = (set.release.take(), std::mem::take(&mut set.unclaimed));
    let whole = set.into_entries().into_iter().filter(|entry| !is_damaged(entry));
    let (mut folders, mut entries): (Vec<_>, Vec<_>) = whole.partition(|entry| entry.kind == Kind::Directory);
    if entries.is_empty() {
        return Err(CollectError::Damaged { path: first.path, what: first.what });
    }
    // A folder is in the scopes of what is below it, and that is less now.
    folders.sort_by(|a, b| a.path.cmp(&b.path));
    folders.dedup_by(|a, b| a.path == b.path);
    place_folders(profile, folders, &mut entries);
    collected.set = ConfigSet::new(entries, release, unclaimed)?;
    collected.skipped.extend(damaged);
    Ok(())
}

/// Says what is wrong with an archive; nothing for one that is whole, and for what is none by its name.
fn fault(entry: &Entry, context: &Context<'_>) -> Result<Option<&'static str>, CollectError> {
    let name = entry.path.as_bytes().to_ascii_lowercase();
    let ends = |end: &str| name.ends_with(end.as_bytes());
    let (gzip, tar) = (ends(".gz") || ends(".tgz"), ends(".tar") || ends(".tar.gz") || ends(".tgz"));
    if !gzip && !tar {
        return Ok(None);
    }
    let unreadable = |path: &std::path::Path, source| CollectError::Read { path: path.to_owned(), source };
    let inner: Box<dyn Read + '_> = match &entry.content {
        Content::Same(_) => return Ok(None),
        Content::Bytes(bytes) => Box::new(bytes.as_slice()),
        Content::Spooled { file, .. } => Box::new(File::open(file).map_err(|error| unreadable(file, error))?),
    };
    let mut watched = Watched { inner, context, stopped: None };
    let mut reader: Box<dyn Read + '_> = match gzip {
        true => Box::new(MultiGzDecoder::new(BufReader::with_capacity(256 << 10, &mut watched))),
        false => Box::new(&mut watched),
    };
    let found = if tar { read_tar(&mut reader) } else { Ok(None) };
    let found = found.and_then(|found| match found {
        Some(what) => Ok(Some(what)),
        // What follows the tar is read for the checksum behind it.
        None => io::copy(&mut reader, &mut io::sink()).map(|_| None),
    });
    drop(reader);
    match (watched.stopped, found) {
        (Some(Stop::Cancelled), _) => Err(CollectError::Cancelled),
        (Some(Stop::Overdue), _) => Err(super::ConnectError::Overdue { doing: "reading an archive" }.into()),
        (Some(Stop::Unreadable(error)), _) => Err(unreadable(std::path::Path::new(&entry.path.to_string()), error)),
        (None, Ok(found)) => Ok(found),
        (None, Err(_)) => Ok(Some(CUT)),
    }
}

/// Goes through a tar to the block of zeros that ends it; what is not one is told in words.
///
/// # Errors
/// It ends before that.
fn read_tar(from: &mut dyn Read) -> io::Result<Option<&'static str>> {
    let mut block = [0; BLOCK];
    let mut extended_size = None;
    let mut entries = 0_u64;
    loop {
        from.read_exact(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok((entries == 0).then_some(NO_TAR));
        }
        let header = Header::from_byte_slice(&block);
        let (Ok(size), true) = (header.entry_size(), is_header(header)) else { return Ok(Some(NO_TAR)) };
        let kind = header.entry_type();
        // What a header of its own says of the size goes before what has no room in this one.
        let mut size = match kind {
            EntryType::XHeader | EntryType::XGlobalHeader => size,
            _ => extended_size.take().unwrap_or(size),
        };
        let mut further = header.as_gnu().is_some_and(|gnu| kind == EntryType::GNUSparse && gnu.is_extended());
        while further {
            from.read_exact(&mut block)?;
            further = block[504] == 1;
        }
        entries += 1;
        if kind == EntryType::XHeader {
            let mut text = Vec::new();
            let kept = from.take(size.min(EXTENDED)).read_to_end(&mut text)? as u64;
            extended_size = size_of(&text);
            size -= kept.min(size);
            // What is left of its last block, or of what was too long to be kept.
            skip(from, size + (BLOCK as u64 - kept % BLOCK as u64) % BLOCK as u64)?;
        } else {
            skip(from, size.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64)?;
        }
    }
}

/// Tells whether the sum of a header is that of its bytes.
fn is_header(header: &Header) -> bool {
    let sum = header.as_bytes().iter().enumerate();
    let sum: u32 = sum.map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum();
    header.cksum().is_ok_and(|said| said == sum)
}

/// The size in the text of an extended header.
fn size_of(text: &[u8]) -> Option<u64> {
    let size = PaxExtensions::new(text).filter_map(Result::ok).find(|extension| extension.key_bytes() == b"size")?;
    size.value().ok()?.parse().ok()
}

/// Reads past bytes that must be there.
fn skip(from: &mut dyn Read, count: u64) -> io::Result<()> {
    let read = io::copy(&mut from.take(count), &mut io::sink())?;
    if read == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Why reading ended before the archive.
enum Stop {
    Cancelled,
    Overdue,
    Unreadable(io::Error),
}

/// Keeps apart what is wrong with an archive and what is wrong with reading it.
struct Watched<'a> {
    inner: Box<dyn Read + 'a>,
    context: &'a Context<'a>,
    stopped: Option<Stop>,
}

impl Watched<'_> {
    fn stop(&mut self, stop: Stop) -> io::Error {
        self.stopped = Some(stop);
        io::Error::other("stopped")
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.context.check_cancel().is_err() {
            return Err(self.stop(Stop::Cancelled));
        }
        if self.context.is_overdue() {
            return Err(self.stop(Stop::Overdue));
        }
        match self.inner.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.stop(Stop::Unreadable(error))),
            Ok(count) => Ok(count),
        }
    }
}
