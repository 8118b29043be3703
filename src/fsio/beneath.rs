//! Opening below a folder without ever following a link.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens `path`, relative and made of plain components, below `root`. No link is followed, neither
/// in the middle nor at the end, whatever happens to the tree meanwhile. An empty path is `root`.
///
/// # Errors
/// The system refused, or a link stands in the way (`LOOP`, `NOTDIR`).
pub fn open(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if path.is_empty() {
        return rustix::fs::openat(root, c".", flags, Mode::empty());
    }
    if !path.contains(&b'/') {
        return rustix::fs::openat(root, path, flags, Mode::empty());
    }
    #[cfg(target_os = "linux")]
    {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
            // Kernels before 5.6 lack the call; some sandboxes forbid it.
            Err(Errno::NOSYS | Errno::PERM) => {}
            // A name moved somewhere in the system while the path was resolved.
            Err(Errno::AGAIN) => {}
            // Longer than one call takes.
            Err(Errno::NAMETOOLONG) => {}
            result => return result,
        }
    }
    step_by_step(root, path, flags)
}

/// The same with one call a component.
fn step_by_step(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut parts = path.split(|b| *b == b'/').peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() { folder } else { flags };
        let next = match &at {
            Some(fd) => rustix::fs::openat(fd, part, flags, Mode::empty()),
            None => rustix::fs::openat(&root, part, flags, Mode::empty()),
        }?;
        at = Some(next);
    }
    at.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn no_link_is_followed_by_either_way() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("a/b/last")).unwrap();
        let root = fs::File::open(dir.path()).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for path in ["a/b/file", "a/b", "a"] {
            assert!(open(&root, path.as_bytes(), OFlags::RDONLY).is_ok(), "{path}");
            assert!(step_by_step(&root, path.as_bytes(), flags).is_ok(), "{path}");
        }
        assert!(open(&root, b"", OFlags::RDONLY | OFlags::DIRECTORY).is_ok());
        // Longer than one call takes.
        let long = vec!["n".repeat(250); 20].join("/");
        let mut at = rustix::fs::openat(&root, ".", OFlags::RDONLY, Mode::empty()).unwrap();
        for name in long.split('/') {
            rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o700)).unwrap();
            at = rustix::fs::openat(&at, name, OFlags::RDONLY, Mode::empty()).unwrap();
        }
        assert!(open(&root, long.as_bytes(), OFlags::RDONLY).is_ok());
        assert_eq!(open(&root, "n".repeat(5000).as_bytes(), OFlags::RDONLY).unwrap_err(), Errno::NAMETOOLONG);
        for path in ["link/b/file", "a/b/last", "a/b/nothing"] {
            assert!(open(&root, path.as_bytes(), OFlags::RDONLY).is_err(), "{path}");
            assert!(step_by_step(&root, path.as_bytes(), flags).is_err(), "{path}");
        }
    }
}
