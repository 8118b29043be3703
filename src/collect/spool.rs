//! Where the bytes of a file go while they come in: memory, or a file of the spool for what is large.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fsio::Out;
use crate::model::{Content, DeviceName};

use super::CollectError;

/// Bytes of a set that are held in memory until it is whole; what is behind them goes to the spool.
pub(super) const MEMORY: u64 = 32 << 20;

/// Names of spool files are numbered over the whole process.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Takes up the bytes of one file.
pub(super) enum Sink {
    Memory(Vec<u8>),
    Spool { out: Out, size: u64 },
}

impl Sink {
    /// Begins a file of about this size; above `large_over` it goes to the spool.
    pub(super) fn new(spool: &Path, device: &DeviceName, size: u64, large_over: u64) -> Result<Self, CollectError> {
        if size <= large_over {
            return Ok(Self::Memory(Vec::with_capacity(usize::try_from(size).unwrap_or(0))));
        }
        Self::to_spool(spool, device)
    }

    /// Gives a content once more, for another name of one file; what is in memory there is not again, where it is larger
    /// than `large_over`.
    pub(super) fn again(there: &Content, spool: &Path, device: &DeviceName, large_over: u64) -> Result<Content, CollectError> {
        match there {
            Content::Bytes(bytes) if bytes.len() as u64 > large_over => {
                let mut sink = Self::to_spool(spool, device)?;
                sink.put(bytes)?;
                sink.finish()
            }
            there => Ok(there.clone()),
        }
    }

    fn to_spool(spool: &Path, device: &DeviceName) -> Result<Self, CollectError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = spool.join(format!("{device}-{}-{number}", std::process::id()));
        let out = Out::create_new(&path, 0o600).map_err(|error| spool_error(&path, error))?;
        Ok(Self::Spool { out, size: 0 })
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), CollectError> {
        match self {
            Self::Memory(all) => all.extend_from_slice(bytes),
            Self::Spool { out, size } => {
                *size += bytes.len() as u64;
                let path = out.path().to_owned();
                out.put(bytes).map_err(|error| spool_error(&path, error))?;
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(all) => all.len() as u64,
            Self::Spool { size, .. } => *size,
        }
    }

    pub(super) fn finish(self) -> Result<Content, CollectError> {
        match self {
            Self::Memory(bytes) => Ok(Content::Bytes(bytes)),
            Self::Spool { mut out, size } => {
                let file = out.path().to_owned();
                out.flush_buffer().map_err(|error| spool_error(&file, error))?;
                Ok(Content::Spooled { file, size })
            }
        }
    }

    /// Forgets the bytes of a file that is not taken.
    pub(super) fn discard(self) {
        if let Self::Spool { out, .. } = self {
            let path = out.path().to_owned();
            drop(out);
            crate::fsio::unlink(&path).ok();
        }
    }
}

fn spool_error(path: &Path, error: crate::fsio::Error) -> CollectError {
    CollectError::Spool { path: path.to_owned(), source: error.source }
}
