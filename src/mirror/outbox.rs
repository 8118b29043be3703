//! A throw-away repository that borrows the store's objects: what `git` sees of a store.
//!
//! It has our refs and nothing else: no settings, hooks or remotes of the store can make `git` run
//! anything, and refs that must not move are not there to be moved.

use std::path::{Path, PathBuf};

use super::MirrorError;
use crate::fsio::{self, Out};
use crate::store::{ObjectId, Repo};

pub(super) struct Outbox {
    dir: tempfile::TempDir,
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), MirrorError> {
    let mut out = Out::create_new(path, fsio::PRIVATE_FILE)?;
    out.put(bytes)?;
    Ok(out.flush_buffer()?)
}

impl Outbox {
    /// Makes an empty one. `store` lends its objects, if given.
    pub(super) fn new(store: Option<&Repo>) -> Result<Self, MirrorError> {
        let pipe = |source| MirrorError::Pipe { command: "init", source };
        let dir = tempfile::Builder::new().prefix("confvault-mirror-").tempdir().map_err(pipe)?;
        let at = |name: &str| dir.path().join(name);
        for name in ["objects", "objects/info", "objects/pack", "refs"] {
            fsio::create_dir(&at(name), fsio::PRIVATE_DIR)?;
        }
        put(&at("HEAD"), b"ref: refs/heads/_store\n")?;
        put(&at("config"), b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n")?;
        if let Some(store) = store {
            let objects = store.dir().join("objects");
            let objects = std::path::absolute(&objects).map_err(pipe)?;
            let mut line = objects.into_os_string().into_encoded_bytes();
            // A path with a line end or a quote must be quoted as in C.
            if line.iter().any(|b| b.is_ascii_control() || matches!(b, b'"' | b'\\' | b'#')) {
                let mut quoted = vec![b'"'];
                for byte in line {
                    quoted.extend(format!("\\{byte:03o}").bytes());
                }
                quoted.push(b'"');
                line = quoted;
            }
            line.push(b'\n');
            put(&at("objects/info/alternates"), &line)?;
        }
        Ok(Self { dir })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn packs(&self) -> PathBuf {
        self.dir.path().join("objects/pack")
    }

    /// Sets the refs to these and no others.
    pub(super) fn set_refs<'r>(&self, refs: impl Iterator<Item = (&'r str, ObjectId)>) -> Result<(), MirrorError> {
        let mut lines: Vec<String> = refs.map(|(name, id)| format!("{id} {name}\n")).collect();
        lines.sort_by(|a, b| a[41..].cmp(&b[41..]));
        let text = format!("# pack-refs with: sorted \n{}", lines.concat());
        let path = self.dir.path().join("packed-refs");
        fsio::unlink_if_there(&path)?;
        put(&path, text.as_bytes())
    }
}
