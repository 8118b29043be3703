//! Would the mirror be lost together with the store?

use std::net::{ToSocketAddrs, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::GitUrl;

/// How far a mirror is from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Independence {
    /// On the same file system: lost with the disk.
    SameFileSystem,
    /// On another file system of this host: lost with the host.
    SameHost,
    /// On another host.
    OtherHost,
    /// The name of the host says nothing, such as an alias of ssh.
    Unknown,
}

impl Independence {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Independence::SameFileSystem => "same-file-system",
            Independence::SameHost => "same-host",
            Independence::OtherHost => "other-host",
            Independence::Unknown => "unknown",
        }
    }
}

/// Judges where a mirror lies, beside the store in `store`. Asks the resolver for the host's name.
#[must_use]
pub fn independence(url: &GitUrl, store: &Path) -> Independence {
    if let Some(path) = url.local_path() {
        return local(&path, store);
    }
    let Some(host) = url.host() else { return Independence::Unknown };
    let Ok(addresses) = (host.as_str(), 0).to_socket_addrs() else { return Independence::Unknown };
    // A socket can be bound to an address of this host and to no other.
    let ours = addresses.into_iter().any(|address| address.ip().is_loopback() || UdpSocket::bind(address).is_ok());
    if ours { Independence::SameHost } else { Independence::OtherHost }
}

fn local(path: &Path, store: &Path) -> Independence {
    let device = |path: &Path| path.ancestors().find_map(|p| std::fs::metadata(p).ok()).map(|m| m.dev());
    if device(path) == device(store) {
        return Independence::SameFileSystem;
    }
    if on_network(path) { Independence::OtherHost } else { Independence::SameHost }
}

/// Says whether a file system is served by another host: NFS, SMB, CIFS, Ceph, AFS, 9P.
#[cfg(target_os = "linux")]
fn on_network(path: &Path) -> bool {
    const REMOTE: &[u64] = &[0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x00c3_6400, 0x5346_414f, 0x0102_1997];
    rustix::fs::statfs(path).is_ok_and(|s| u64::try_from(s.f_type).is_ok_and(|kind| REMOTE.contains(&kind)))
}

#[cfg(not(target_os = "linux"))]
fn on_network(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_together_is_not_independent() {
        let dir = tempfile::tempdir().unwrap();
        let judge = |url: &str| independence(&url.parse().unwrap(), dir.path());
        let beside = dir.path().join("mirror.git");
        assert_eq!(judge(beside.to_str().unwrap()), Independence::SameFileSystem);
        assert_eq!(judge("/proc/mirror.git"), Independence::SameHost);
        assert_eq!(judge("ssh://git@127.0.0.1/x"), Independence::SameHost);
        assert_eq!(judge("git://[::1]/x"), Independence::SameHost);
        assert_eq!(judge("ssh://192.0.2.1/x"), Independence::OtherHost);
        assert_eq!(judge("ssh://no-such-host.invalid/x"), Independence::Unknown);
    }
}
