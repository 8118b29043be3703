//! Listing over SFTP.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ssh2::{FileStat, Sftp};

use super::Roots;
use crate::collect::ssh::{ConnectError, Link};
use crate::collect::tree::{Node, Plan};
use crate::collect::{CollectError, Skipped};
use crate::model::{ConfigPath, Kind, Owner, Stamp};

const KIND: u32 = 0o170_000;

/// What an SFTP call said about a path, or that the connection is gone.
pub(in crate::collect) enum SftpError {
    Missing,
    Denied,
    Failed(String),
    Connect(ConnectError),
}

impl SftpError {
    pub(in crate::collect) fn at(self, path: &[u8]) -> CollectError {
        use std::io::{Error, ErrorKind};
        let source = match self {
            Self::Connect(error) => return error.into(),
            Self::Missing => ErrorKind::NotFound.into(),
            Self::Denied => ErrorKind::PermissionDenied.into(),
            Self::Failed(reason) => Error::other(reason),
        };
        CollectError::Read { path: PathBuf::from(OsStr::from_bytes(path)), source }
    }
}

/// Takes an error of libssh2 apart: the server's words about a path, or a failure of the connection.
pub(in crate::collect) fn sftp_error(link: &Link<'_>, error: &ssh2::Error) -> SftpError {
    match error.code() {
        ssh2::ErrorCode::SFTP(2 | 10) => SftpError::Missing,
        ssh2::ErrorCode::SFTP(3) => SftpError::Denied,
        ssh2::ErrorCode::SFTP(code) => SftpError::Failed(format!("SFTP status {code}")),
        ssh2::ErrorCode::Session(_) => SftpError::Connect(link.failed("reading files", error)),
    }
}

/// Calls SFTP until it has done what it was asked for.
pub(in crate::collect) fn call<T>(link: &Link<'_>, mut call: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, SftpError> {
    let mut said = None;
    let result = link.call("reading files", |_| {
        call().inspect_err(|error| {
            if let ssh2::ErrorCode::SFTP(_) = error.code() {
                said = Some(sftp_error(link, error));
            }
        })
    });
    result.map_err(|error| said.unwrap_or(SftpError::Connect(error)))
}

/// What attributes say of something; `Err` has the words for what cannot be part of a set.
pub(in crate::collect) fn node(path: ConfigPath, stat: &FileStat) -> Result<Node, &'static str> {
    // Without a mode nothing is known of it but that it can be read.
    let perm = stat.perm.unwrap_or(0o100_644);
    let kind = match perm & KIND {
        0o040_000 => Kind::Directory,
        0o100_000 | 0 => Kind::File,
        0o120_000 => Kind::Link,
        0o140_000 => return Err("socket"),
        0o010_000 => return Err("FIFO"),
        _ => return Err("device"),
    };
    let owner = stat.uid.zip(stat.gid).map(|(uid, gid)| Owner { uid, gid });
    let mtime_ns = i64::try_from(stat.mtime.unwrap_or(0)).unwrap_or(0).saturating_mul(1_000_000_000);
    let stamp = Stamp { mtime_ns, ctime_ns: 0, inode: 0, size: stat.size.unwrap_or(0) };
    Ok(Node { path, kind, mode: perm & 0o7777, owner, stamp })
}

/// Lists everything below the roots into the plan.
pub(in crate::collect) fn list(link: &Link<'_>, sftp: &Sftp, roots: &Roots, plan: &mut Plan<'_>) -> Result<(), CollectError> {
    let mut folders: Vec<Option<ConfigPath>> = Vec::new();
    if roots.starts.is_empty() {
        folders.push(None);
    }
    let mut found = roots.starts.is_empty();
    for start in &roots.starts {
        let place = roots.absolute(Some(start));
        match call(link, || sftp.lstat(os(&place))) {
            Ok(stat) => {
                found = true;
                parents(link, sftp, roots, start, plan)?;
                visit(start.clone(), &stat, plan, &mut folders)?;
            }
            Err(SftpError::Missing) => {}
            Err(error) => return Err(error.at(&place)),
        }
    }
    if !found && !plan.partial {
        return Err(CollectError::Missing(roots.base.clone().into()));
    }
    while let Some(folder) = folders.pop() {
        list_folder(link, sftp, roots, folder.as_ref(), plan, &mut folders)?;
    }
    Ok(())
}

/// The folders above a root are part of the set, so that it can be put back as it was.
fn parents(link: &Link<'_>, sftp: &Sftp, roots: &Roots, start: &ConfigPath, plan: &mut Plan<'_>) -> Result<(), CollectError> {
    let mut above = start.parent();
    while let Some(path) = above {
        let place = roots.absolute(Some(&path));
        let stat = call(link, || sftp.lstat(os(&place))).map_err(|error| error.at(&place))?;
        above = path.parent();
        if let Ok(node) = node(path, &stat)
            && node.kind == Kind::Directory
            && !plan.has_folder(&node.path)
        {
            plan.folder(node)?;
        }
    }
    Ok(())
}

fn list_folder(
    link: &Link<'_>,
    sftp: &Sftp,
    roots: &Roots,
    folder: Option<&ConfigPath>,
    plan: &mut Plan<'_>,
    folders: &mut Vec<Option<ConfigPath>>,
) -> Result<(), CollectError> {
    let place = roots.absolute(folder);
    let mut handle = match call(link, || sftp.opendir(os(&place))) {
        // Removed since its parent was listed.
        Err(SftpError::Missing) if folder.is_some() => return Ok(()),
        Err(SftpError::Missing) => return Err(CollectError::Missing(os(&place).to_owned())),
        handle => handle.map_err(|error| error.at(&place))?,
    };
    loop {
        let entry = match call(link, || read_entry(&mut handle)) {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) => return Err(error.at(&place)),
        };
        let (name, stat) = entry;
        let name = name.as_os_str().as_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let wrong = |source| CollectError::Path { folder: os(&place).to_owned(), source };
        // A name with a `/` is a hostile server's: it would lead elsewhere.
        let path = match folder {
            _ if name.contains(&b'/') => ConfigPath::new(&b".."[..]),
            Some(folder) => folder.join(name),
            None => ConfigPath::new(name),
        };
        visit(path.map_err(wrong)?, &stat, plan, folders)?;
    }
    call(link, || handle.close()).map_err(|error| error.at(&place))
}

/// The next entry of a folder; nothing at its end.
pub(in crate::collect) fn read_entry(handle: &mut ssh2::File) -> Result<Option<(PathBuf, FileStat)>, ssh2::Error> {
    // libssh2's code for "no more entries" in the words of ssh2.
    const END: ssh2::ErrorCode = ssh2::ErrorCode::Session(-16);
    match handle.readdir() {
        Ok(entry) => Ok(Some(entry)),
        Err(error) if error.code() == END => Ok(None),
        Err(error) => Err(error),
    }
}

fn visit(
    path: ConfigPath,
    stat: &FileStat,
    plan: &mut Plan<'_>,
    folders: &mut Vec<Option<ConfigPath>>,
) -> Result<(), CollectError> {
    match node(path.clone(), stat) {
        Ok(node) if node.kind == Kind::Directory => {
            if plan.folder(node)? {
                folders.push(Some(path));
            }
            Ok(())
        }
        Ok(node) => plan.leaf(node),
        Err(_) if plan.leaves_out(&path) => Ok(()),
        Err(what) => {
            plan.skipped.push(Skipped { path, what });
            Ok(())
        }
    }
}

/// Bytes as a path of a remote host.
pub(in crate::collect) fn os(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
