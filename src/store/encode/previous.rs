//! The newest generation of a device, as the next one is compared with it and built on it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use gix::ObjectId;

use super::super::decode;
use super::super::error::Result;
use super::super::generation::Generation;
use super::super::manifest::{Body, Form, Line, Manifest};
use super::super::refs::Refs;
use super::super::store::Store;
use super::super::tree::{Old, Trees};
use super::super::view::View;
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

/// The newest generation of a device within a batch: the next one is built on it.
#[derive(Debug, Clone)]
pub(in crate::store) struct Tip {
    pub(in crate::store) generation: Generation,
    pub(in crate::store) manifest: Arc<Manifest>,
    /// The tree of its chunks, if it has any.
    pub(in crate::store) large: Option<ObjectId>,
}

/// The generation before, readable at least as far as its manifest.
pub(in crate::store) struct Previous<'a> {
    pub(in crate::store) generation: Generation,
    pub(in crate::store) manifest: Arc<Manifest>,
    /// The keys of the epoch of its manifest.
    pub(in crate::store) keys: DeviceKeys,
    pub(super) trees: Trees<'a>,
    view: View<'a>,
    refs: &'a Refs,
    /// The tree of its chunks, where no ref has it yet.
    large: Option<ObjectId>,
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
        let manifest = Arc::new(store.manifest(&generation)?);
        let key = keys.epoch(manifest.epoch).ok_or(Error::NoStoreKey(manifest.epoch))?;
        let (keys, view) = (DeviceKeys::derive(key, device), View::new(store.repo(), None));
        let (trees, large) = (Trees::of(view), None);
        Ok(Self { generation, manifest, keys, trees, view, refs, large, chunks: OnceCell::new() })
    }

    /// Takes a generation that was encoded in the same batch before.
    pub(in crate::store) fn in_batch(view: View<'a>, refs: &'a Refs, keys: &StoreKeys, tip: &Tip) -> Result<Self> {
        let epoch = tip.manifest.epoch;
        let keys = DeviceKeys::derive(keys.epoch(epoch).ok_or(Error::NoStoreKey(epoch))?, &tip.generation.device);
        let (generation, manifest) = (tip.generation.clone(), Arc::clone(&tip.manifest));
        Ok(Self { generation, manifest, keys, trees: Trees::of(view), view, refs, large: tip.large, chunks: OnceCell::new() })
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
        let data = self.view.blob(&id, limit).ok()?;
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
            let (device, number) = (&self.generation.device, self.generation.number);
            let read = match self.large {
                Some(tree) => self.trees.entries(tree).and_then(|entries| decode::chunk_ids(device, tree, &entries)),
                None => decode::large_tree(self.view.repo(), self.refs, device, number),
            };
            read.unwrap_or_default()
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
