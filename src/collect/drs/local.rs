//! A backup folder of this machine.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{Fetched, Folder, Item, LIST_LIMIT};
use crate::collect::tree::Plan;
use crate::collect::{CollectError, Context, Referenced};
use crate::fsio::beneath;
use crate::inventory::Device;
use crate::model::{Content, Owner, Stamp};

pub(super) struct Local {
    path: PathBuf,
    root: File,
}

impl Local {
    pub(super) fn open(path: &Path) -> Result<Self, CollectError> {
        let root = File::open(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => CollectError::Missing(path.to_owned()),
            _ => CollectError::Read { path: path.to_owned(), source },
        })?;
        if !root.metadata().is_ok_and(|meta| meta.is_dir()) {
            return Err(CollectError::NotFolder(path.to_owned()));
        }
        Ok(Self { path: path.to_owned(), root })
    }

    fn file(&self, name: &[u8]) -> Result<File, CollectError> {
        let place = self.path.join(std::ffi::OsStr::from_bytes(name));
        let open = beneath::open(&self.root, name, OFlags::RDONLY);
        open.map(File::from).map_err(|error| CollectError::Read { path: place, source: error.into() })
    }
}

impl Folder for Local {
    fn items(&mut self) -> Result<Vec<Item>, CollectError> {
        let unreadable = |source| CollectError::Read { path: self.path.clone(), source };
        let mut items = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let meta = match entry.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                meta => meta.map_err(unreadable)?,
            };
            if meta.is_file() {
                items.push(Item {
                    name: entry.file_name().as_bytes().to_vec(),
                    size: meta.len(),
                    mtime_ns: meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()),
                    mode: meta.mode() & 0o7777,
                    owner: Some(Owner { uid: meta.uid(), gid: meta.gid() }),
                });
            }
        }
        Ok(items)
    }

    fn list(&mut self, item: &Item) -> Result<Vec<u8>, CollectError> {
        if item.size > LIST_LIMIT {
            return Err(CollectError::TooLarge { limit: LIST_LIMIT });
        }
        let mut bytes = Vec::new();
        let read = self.file(&item.name)?.take(LIST_LIMIT).read_to_end(&mut bytes);
        read.map_err(|source| CollectError::Read { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    fn fetch(&mut self, plan: &mut Plan<'_>, _: &Device, context: &Context<'_>) -> Result<Fetched, CollectError> {
        let mut fetched = Fetched { contents: Vec::new(), referenced: Vec::new(), read_bytes: 0 };
        for planned in &plan.planned {
            context.check_cancel()?;
            if let Some(same) = planned.same {
                fetched.contents.push(Some(Content::Same(same)));
                continue;
            }
            let name = planned.node.path.as_bytes();
            let place = self.path.join(std::ffi::OsStr::from_bytes(name));
            let failed = |source| CollectError::Read { path: place.clone(), source };
            let file = self.file(name)?;
            let meta = file.metadata().map_err(failed)?;
            if meta.len() != planned.node.stamp.size {
                return Err(CollectError::Changing(planned.node.path.clone()));
            }
            if meta.len() > context.policy.large_over.0.min(LIST_LIMIT) {
                let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
                let stamp = Stamp {
                    mtime_ns: ns(meta.mtime(), meta.mtime_nsec()),
                    ctime_ns: ns(meta.ctime(), meta.ctime_nsec()),
                    inode: meta.ino(),
                    size: meta.len(),
                };
                let referenced = Referenced { folder: self.path.clone(), path: planned.node.path.clone(), stamp };
                fetched.referenced.push(referenced);
                fetched.contents.push(Some(Content::Spooled { file: place, size: meta.len() }));
                continue;
            }
            let mut bytes = Vec::new();
            file.take(meta.len() + 1).read_to_end(&mut bytes).map_err(failed)?;
            if bytes.len() as u64 != meta.len() {
                return Err(CollectError::Changing(planned.node.path.clone()));
            }
            fetched.read_bytes += meta.len();
            fetched.contents.push(Some(Content::Bytes(bytes)));
        }
        Ok(fetched)
    }

    fn now_ns(&self) -> i64 {
        crate::collect::now_ns()
    }
}
