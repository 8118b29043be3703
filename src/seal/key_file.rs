//! Reading key files with care: size limits, and no private key that others can read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use zeroize::Zeroizing;

use super::{Error, Secret};

/// No key file is larger, in bytes.
const LIMIT: u64 = 1 << 20;

fn read(path: &Path, private: bool) -> Result<Secret, Error> {
    let failed = |source| Error::KeyFile { path: path.to_owned(), source };
    // A pipe that nobody writes to is empty, and not waited for; one that a shell made has its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = File::from(open(path, flags, Mode::empty()).map_err(|e| failed(e.into()))?);
    fcntl_setfl(&file, OFlags::empty()).map_err(|e| failed(e.into()))?;
    let meta = file.metadata().map_err(failed)?;
    if meta.is_dir() {
        // Before the rights are looked at, which are not what is wrong with it.
        return Err(failed(rustix::io::Errno::ISDIR.into()));
    }
    if private {
        // Asked of the open file, so that nobody can change what was asked about.
        let mode = meta.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::KeyFileOpen { path: path.to_owned(), mode });
        }
        let own = rustix::process::geteuid().as_raw();
        if meta.uid() != own && meta.uid() != 0 {
            return Err(Error::KeyFileOwner { path: path.to_owned(), uid: meta.uid() });
        }
    }
    let too_large = || Error::KeyFileSize { path: path.to_owned(), limit: LIMIT };
    if meta.len() > LIMIT {
        return Err(too_large());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1));
    (&mut file).take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(too_large());
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

/// Reads a file with a private key of at most 1 MiB.
///
/// # Errors
/// [`Error::KeyFileOpen`] if others than its owner may read or write it, [`Error::KeyFileOwner`] if it
/// belongs neither to this user nor to root, [`Error::KeyFileSize`], [`Error::KeyFile`].
pub fn read_private(path: &Path) -> Result<Secret, Error> {
    read(path, true)
}

/// Refuses a folder of keys in which others than its owner may put another file in the place of a key. One that is not
/// there has none.
///
/// # Errors
/// [`Error::KeyFolderOpen`].
pub fn check_key_folder(path: &Path) -> Result<(), Error> {
    let Ok(meta) = path.metadata() else { return Ok(()) };
    let mode = meta.mode() & 0o7777;
    // With the sticky bit nobody replaces a file of somebody else, and a key of somebody else is refused.
    let is_open = mode & 0o022 != 0 && mode & 0o1000 == 0;
    if is_open { Err(Error::KeyFolderOpen { path: path.to_owned(), mode }) } else { Ok(()) }
}

/// Reads a file with public keys of at most 1 MiB.
///
/// # Errors
/// [`Error::KeyFileSize`], [`Error::KeyFile`].
pub fn read_public(path: &Path) -> Result<Vec<u8>, Error> {
    read(path, false).map(|secret| secret.expose().to_vec())
}

/// Writes a new file with a private key, of mode 0600 from its first moment; refuses one that exists.
///
/// # Errors
/// [`Error::KeyFile`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    crate::fsio::write_new(path, bytes, 0o600).map_err(|e| Error::KeyFile { path: path.to_owned(), source: e.source })
}
