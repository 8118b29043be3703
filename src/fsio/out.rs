//! A buffered file that is synced when it is finished.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
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
        Ok(Self { file, path: path.to_owned(), buffer: Vec::new() })
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

    fn write_through(&mut self, bytes: &[u8]) -> Result<()> {
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
        self.write_through(bytes)?;
        self.file.seek(SeekFrom::End(0)).map_err(|e| Error::new("write", &self.path, e))?;
        Ok(())
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
