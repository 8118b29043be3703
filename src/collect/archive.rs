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

use super::{CollectError, Collected, Context};
use crate::model::{Content, Entry, Kind};
use crate::profile::Profile;

const BLOCK: usize = 512;
/// Bytes of the extended header of one file; real ones have some hundred.
const EXTENDED: u64 = 1 << 20;

const CUT: &str = "cut off or damaged";
const NO_TAR: &str = "no whole tar archive";

/// Refuses a set in which an archive is not whole; with [`Context::accept_partial`] it is taken on purpose. What the look
/// proved unchanged was judged when it was taken.
///
/// # Errors
/// [`CollectError::Damaged`]; one cannot be read, or the time of the device is over.
pub(super) fn judge(collected: &mut Collected, profile: &Profile, context: &Context<'_>) -> Result<(), CollectError> {
    let is_expected = profile.expected();
    let mut damaged = Vec::new();
    for entry in collected.set.entries().iter().filter(|entry| entry.kind == Kind::File && is_expected(&entry.path)) {
        if let Some(what) = fault(entry, context)? {
            damaged.push((&entry.path, what));
        }
    }
    match damaged.first() {
        Some((path, what)) if !context.accept_partial => {
            Err(CollectError::Damaged { path: (*path).clone(), what, more: damaged.len() - 1 })
        }
        _ => {
            let without = damaged.iter().map(|(path, what)| format!("Archive is {what}: {path}"));
            collected.without.extend(without);
            Ok(())
        }
    }
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
        // The label of a volume has no size.
        let size = if header.as_bytes()[124..136] == [0; 12] { Ok(0) } else { header.entry_size() };
        let (Ok(size), true) = (size, is_header(header)) else { return Ok(Some(NO_TAR)) };
        let kind = header.entry_type();
        let size = match kind {
            EntryType::XHeader | EntryType::XGlobalHeader => size,
            // No bytes follow them, whatever their headers say.
            EntryType::Directory
            | EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Fifo => 0,
            // What a header of its own says of the size goes before what has no room in this one.
            _ => extended_size.unwrap_or(size),
        };
        let mut further = header.as_gnu().is_some_and(|gnu| kind == EntryType::GNUSparse && gnu.is_extended());
        while further {
            from.read_exact(&mut block)?;
            further = block[504] == 1;
        }
        entries += 1;
        if kind != EntryType::XGlobalHeader {
            // It held for this entry alone.
            extended_size = None;
        }
        let mut left = size.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64;
        if kind == EntryType::XHeader {
            let mut text = Vec::new();
            left -= from.take(size.min(EXTENDED)).read_to_end(&mut text)? as u64;
            extended_size = size_of(&text);
        }
        skip(from, left)?;
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
