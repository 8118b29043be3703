//! The newest generation of a device, as the next one is compared with it and built on it.

use std::cell::OnceCell;
use std::collections::HashMap;

use gix::ObjectId;

use super::super::decode;
use super::super::error::Result;
use super::super::generation::Generation;
use super::super::manifest::{Body, Form, Line, Manifest};
use super::super::refs::Refs;
use super::super::repo::Repo;
use super::super::store::Store;
use super::super::tree::{Old, Trees};
use crate::model::{ConfigPath, DeviceName, Digest, Scope};
use crate::seal::{DeviceKeys, StoreKeys};
use crate::store::error::Error;

/// A chunk that lies in the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) stored: Digest,
    pub(super) size: u64,
    pub(super) id: ObjectId,
}

/// The generation before, readable at least as far as its manifest.
pub(in crate::store) struct Previous<'a> {
    pub(in crate::store) generation: Generation,
    pub(in crate::store) manifest: Manifest,
    /// The keys of the epoch of its manifest.
    pub(in crate::store) keys: DeviceKeys,
    pub(super) trees: Trees<'a>,
    pub(super) repo: &'a Repo,
    refs: &'a Refs,
    chunks: OnceCell<HashMap<Digest, ObjectId>>,
}

impl<'a> Previous<'a> {
    /// Reads the manifest of the newest generation.
    pub(in crate::store) fn load(
        store: &'a Store,
        refs: &'a Refs,
        device: &'a DeviceName,
        keys: &StoreKeys,
        generation: Generation,
    ) -> Result<Self> {
        let manifest = store.manifest(&generation)?;
        let key = keys.epoch(manifest.epoch).ok_or(Error::NoStoreKey(manifest.epoch))?;
        let (keys, repo) = (DeviceKeys::derive(key, device), store.repo());
        let trees = Trees::new(repo);
        Ok(Self { generation, manifest, keys, trees, repo, refs, chunks: OnceCell::new() })
    }

    pub(super) fn old(&self) -> Old<'_> {
        Old { trees: &self.trees, root: self.generation.tree, manifest: &self.manifest }
    }

    pub(super) fn line(&self, scope: Scope, path: &ConfigPath) -> Option<(&Line, &Body)> {
        let line = self.manifest.find(scope, path)?;
        line.body.as_ref().map(|body| (line, body))
    }

    /// Gives the blob of a line; nothing if the tree does not have it.
    pub(super) fn blob_id(&self, line: &Line) -> Option<ObjectId> {
        self.trees.find_path(self.generation.tree, line.scope, &line.path).ok().flatten().map(|e| e.1)
    }

    /// Reads a blob of this generation; nothing if it is missing or not what was stored.
    pub(super) fn whole(&self, id: ObjectId, stored: &Digest, limit: u64) -> Option<Vec<u8>> {
        let data = self.repo.blob(&id, limit).ok()?;
        (blake3::hash(&data).as_bytes() == &stored.0).then_some(data)
    }

    /// Reads the blob of a line; nothing if it is missing or not what was stored.
    pub(super) fn stored(&self, line: &Line, body: &Body) -> Option<Vec<u8>> {
        self.whole(self.blob_id(line)?, &body.stored, decode::blob_limit(body))
    }

    /// Reads the age file of the secrets; nothing if there is none, or it is not whole.
    pub(super) fn secrets_file(&self) -> Option<(ObjectId, Digest, Digest)> {
        let secrets = self.manifest.secrets.as_ref()?;
        let place = [b".confvault".as_slice(), b"secrets.age"];
        let (_, id) = self.trees.find(self.generation.tree, place.into_iter()).ok()??;
        self.whole(id, &secrets.stored, decode::MAX_SECRETS)?;
        Some((id, secrets.plain, secrets.stored))
    }

    /// Gives where a chunk lies, by its stored digest.
    pub(super) fn chunk(&self, stored: &Digest) -> Option<ObjectId> {
        let chunks = self.chunks.get_or_init(|| {
            decode::large_tree(self.repo, self.refs, &self.generation.device, self.generation.number).unwrap_or_default()
        });
        chunks.get(stored).copied()
    }

    /// Gives the chunks of a file: keyed digest of the plain bytes, and where it lies. Nothing if the list
    /// or one of the chunks is not there.
    pub(super) fn chunks_of(&self, line: &Line, body: &Body) -> Option<Vec<(Digest, Known)>> {
        let list = decode::parse_chunks(&self.stored(line, body)?)?;
        let known = |c: &decode::ChunkRef| Some((c.plain, Known { stored: c.stored, size: c.size, id: self.chunk(&c.stored)? }));
        list.iter().map(known).collect()
    }

    /// Gives all lines of a form.
    pub(super) fn of_form(&self, fits: impl Fn(Form) -> bool) -> impl Iterator<Item = (&Line, &Body)> {
        self.manifest.lines.iter().filter_map(|l| Some((l, l.body.as_ref()?))).filter(move |(_, b)| fits(b.form))
    }
}
