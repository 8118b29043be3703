//! A buffered file that is synced when it is finished.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fault::{self, Step, Verdict};
use super::{Error, Result};

/// How many bytes are gathered before one write, in bytes.
const BUFFER: usize = 1 << 18;

/// A new file, written through a buffer.
///
/// Dropped without [`Out::finish_sync`] the file stays as it is: whoever made it under a temporary name
/// removes it.
#[derive(Debug)]
pub struct Out {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// How much of the file has left the buffer, in bytes.
    written: u64,
}

impl Out {
    /// Makes a file that must not be there, with exactly this mode, for reading and writing.
    ///
    /// # Errors
    /// The file is there, or cannot be made.
    pub fn create_new(path: &Path, mode: u32) -> Result<Self> {
        let make = || {
            fault::step(Step::Create, path)?;
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600 & mode).open(path)?;
            // The umask may have taken bits away, so the mode is set again; it is never wider meanwhile.
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            Ok(file)
        };
        let file = make().map_err(|e| Error::new("create", path, e))?;
        Ok(Self { file, path: path.to_owned(), buffer: Vec::new(), written: 0 })
    }

    /// Gives the path that the file was made under.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file, for locks and for reading back; writing to it goes past the buffer.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk refused.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush_buffer()?;
        }
        if bytes.len() >= BUFFER {
            return self.write_through(bytes);
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(BUFFER);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands everything that was put to the system, without a sync.
    ///
    /// # Errors
    /// The disk refused.
    pub fn flush_buffer(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let done = self.write_through(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        done
    }

    /// Appends bytes past the buffer, which is empty.
    fn write_through(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_here(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn write_here(&mut self, bytes: &[u8]) -> Result<()> {
        let mut write = || match fault::step(Step::Write, &self.path)? {
            Verdict::Go => self.file.write_all(bytes),
            Verdict::Half => {
                self.file.write_all(&bytes[..bytes.len() / 2])?;
                Err(fault::no_space())
            }
        };
        write().map_err(|e| Error::new("write", &self.path, e))
    }

    /// Overwrites bytes at an offset from the beginning; later bytes go on at the end.
    ///
    /// # Errors
    /// The disk refused.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.flush_buffer()?;
        self.file.seek(SeekFrom::Start(offset)).map_err(|e| Error::new("write", &self.path, e))?;
        self.write_here(bytes)?;
        self.file.seek(SeekFrom::End(0)).map_err(|e| Error::new("write", &self.path, e))?;
        Ok(())
    }

    /// Reads back bytes that were put, `length` of them from an offset on; they may not have left the buffer.
    ///
    /// # Errors
    /// The disk refused, or so many bytes were never put.
    pub fn read_back(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let error = |e| Error::new("read", &self.path, e);
        let mut bytes = vec![0; length];
        let on_disk = usize::try_from(self.written.saturating_sub(offset)).unwrap_or(length).min(length);
        let (there, gathered) = bytes.split_at_mut(on_disk);
        self.file.read_exact_at(there, offset).map_err(error)?;
        if !gathered.is_empty() {
            let from = usize::try_from((offset + on_disk as u64).saturating_sub(self.written)).unwrap_or(usize::MAX);
            let found = from.checked_add(gathered.len()).and_then(|to| self.buffer.get(from..to));
            gathered.copy_from_slice(found.ok_or_else(|| error(io::ErrorKind::UnexpectedEof.into()))?);
        }
        Ok(bytes)
    }

    /// Writes what is gathered and syncs the file; more can follow.
    ///
    /// # Errors
    /// The disk refused.
    pub fn sync(&mut self) -> Result<()> {
        self.flush_buffer()?;
        let sync = || {
            fault::step(Step::Sync, &self.path)?;
            self.file.sync_all()
        };
        sync().map_err(|e| Error::new("sync", &self.path, e))
    }

    /// Writes what is gathered, syncs the file, and gives it back (its locks live as long as it).
    ///
    /// # Errors
    /// The disk refused.
    pub fn finish_sync(mut self) -> Result<File> {
        self.sync()?;
        Ok(self.file)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes).map_err(|e| e.source)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer().map_err(|e| e.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_reads_back_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Out::create_new(&dir.path().join("x"), 0o600).unwrap();
        let bytes: Vec<u8> = (0..BUFFER * 2 + 777).map(|n| u8::try_from(n % 251).unwrap()).collect();
        for piece in bytes.chunks(100_000) {
            out.put(piece).unwrap();
        }
        out.patch(1, b"xyz").unwrap();
        let whole = [&bytes[..1], b"xyz", &bytes[4..], b"tail"].concat();
        out.put(b"tail").unwrap();
        let end = whole.len();
        for (from, to) in [(0, 10), (BUFFER - 5, BUFFER + 5), (end - 6, end), (end - 2, end), (0, end), (end, end)] {
            assert_eq!(out.read_back(from as u64, to - from).unwrap(), &whole[from..to], "{from}..{to}");
        }
        assert!(out.read_back(end as u64, 1).is_err() && out.read_back(u64::MAX, 1).is_err());
    }
}
