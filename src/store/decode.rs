//! Reading the set of a generation back: every digest checked, a file whole or not at all.

mod chunks;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::Write;

use gix::ObjectId;

pub(super) use chunks::{ChunkRef, chunk_ids, large_ref, large_tree, parse_chunks, write_chunks};

use super::error::{Error, Result};
use super::generation::Generation;
use super::manifest::{Body, Form, Line, Manifest};
use super::refs::Refs;
use super::store::Store;
use super::tree::Trees;
use crate::model::{Digest, Scope};
use crate::seal::{DeviceKeys, Opener, SecretMap, StoreKeys, script, unmask};

/// The largest age file of secrets, and the largest script in it, in bytes.
pub(super) const MAX_SECRETS: u64 = 64 << 20;
/// The largest chunk as stored, and as it comes out, in bytes.
pub(super) const MAX_CHUNK: u64 = 64 << 20;
/// The largest file that is not in chunks, and the largest list of chunks, in bytes.
const MAX_WHOLE: u64 = 1 << 30;

/// Gives the most bytes that the blob of a file can have.
pub(super) fn blob_limit(body: &Body) -> u64 {
    let size = body.size.min(MAX_WHOLE);
    match body.form {
        Form::Plain => size,
        // Each byte can be a secret of its own.
        Form::Masked => size.saturating_mul(43).min(MAX_WHOLE),
        Form::Packed { chunked: false, .. } => size + size / 64 + 8192,
        Form::Packed { chunked: true, .. } => MAX_WHOLE,
    }
}

/// With what a set is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access<'a> {
    /// Store keys: with them the digests of the plain bytes are checked.
    pub keys: Option<&'a StoreKeys>,
    /// Identities: with them what is sealed and masked comes back.
    pub opener: Option<&'a Opener>,
}

/// The bytes of a file, as far as they can be read.
#[derive(Clone, PartialEq, Eq)]
pub enum Decoded {
    /// As they came from the device.
    Plain(Vec<u8>),
    /// Text whose secrets are tokens, as no identity was at hand.
    Masked(Vec<u8>),
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Decoded::Plain(bytes) => write!(f, "Plain({} bytes)", bytes.len()),
            Decoded::Masked(bytes) => write!(f, "Masked({} bytes)", bytes.len()),
        }
    }
}

impl Decoded {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Decoded::Plain(bytes) | Decoded::Masked(bytes) => bytes,
        }
    }

    /// The bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Decoded::Plain(bytes) | Decoded::Masked(bytes) => bytes,
        }
    }
}

/// The set of a generation. For one thread; others make their own.
#[derive(Debug)]
pub struct SetReader<'a> {
    manifest: Manifest,
    generation: Generation,
    store: &'a Store,
    refs: Refs,
    access: Access<'a>,
    keys: Option<DeviceKeys>,
    trees: Trees<'a>,
    secrets: OnceCell<Option<SecretMap>>,
    chunks: OnceCell<HashMap<Digest, ObjectId>>,
}

impl<'a> SetReader<'a> {
    pub(super) fn new(store: &'a Store, refs: &Refs, generation: &Generation, access: Access<'a>) -> Result<Self> {
        Ok(Self::of(store, refs, generation.clone(), store.manifest(generation)?, access))
    }

    /// Reads what a manifest lists from the tree of `generation`.
    pub(super) fn of(store: &'a Store, refs: &Refs, generation: Generation, manifest: Manifest, access: Access<'a>) -> Self {
        let key = access.keys.and_then(|k| k.epoch(manifest.epoch));
        Self {
            keys: key.map(|k| DeviceKeys::derive(k, &generation.device)),
            manifest,
            generation,
            store,
            refs: refs.clone(),
            access,
            trees: Trees::new(store.repo()),
            secrets: OnceCell::new(),
            chunks: OnceCell::new(),
        }
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The generation.
    #[must_use]
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    fn damaged(&self, line: &Line, what: &'static str, source: Option<Error>) -> Error {
        Error::FileDamaged {
            what,
            device: self.generation.device.clone(),
            number: self.generation.number,
            path: line.shown(),
            source: source.map(Box::new),
        }
    }

    /// Gives the bytes of a line as they are stored, checked against `stored`.
    ///
    /// # Errors
    /// [`Error::FileDamaged`].
    pub fn stored(&self, line: &Line) -> Result<Vec<u8>> {
        let Some(body) = &line.body else { return Ok(Vec::new()) };
        let found = self.trees.find_path(self.generation.tree, line.scope, &line.path);
        let id = match found {
            Ok(Some((_, id))) => id,
            Ok(None) => return Err(self.damaged(line, "not in the tree", None)),
            Err(e) => return Err(self.damaged(line, "its tree cannot be read", Some(e))),
        };
        self.blob(line, id, &body.stored, blob_limit(body))
    }

    fn blob(&self, line: &Line, id: ObjectId, stored: &Digest, limit: u64) -> Result<Vec<u8>> {
        let data = self.store.repo().blob(&id, limit).map_err(|e| self.damaged(line, "its object cannot be read", Some(e)))?;
        if blake3::hash(&data).as_bytes() != &stored.0 {
            return Err(self.damaged(line, "its digest as stored", None));
        }
        Ok(data)
    }

    /// Gives the values of the tokens; nothing without an identity of the epoch.
    fn secrets(&self, line: &Line) -> Result<Option<&SecretMap>> {
        if let Some(secrets) = self.secrets.get() {
            return Ok(secrets.as_ref());
        }
        let epoch = self.manifest.epoch;
        let opened = match (self.manifest.secrets, self.access.opener.filter(|o| o.identity(epoch).is_some())) {
            (Some(facts), Some(opener)) => {
                let place = [b".confvault".as_slice(), b"secrets.age"];
                let found = self.trees.find(self.generation.tree, place.into_iter())?;
                let (_, id) = found.ok_or_else(|| self.damaged(line, "its secrets are not in the tree", None))?;
                let sealed = self.blob(line, id, &facts.stored, MAX_SECRETS)?;
                let plain = opener.open(epoch, &sealed, MAX_SECRETS)?;
                if self.keys.as_ref().is_some_and(|k| k.digest(plain.expose()) != facts.plain) {
                    return Err(self.damaged(line, "the digest of its secrets", None));
                }
                Some(script::parse(&self.generation.device, plain.expose())?)
            }
            _ => None,
        };
        Ok(self.secrets.get_or_init(|| opened).as_ref())
    }

    /// Reads a file or link whole, in memory; of a directory, nothing. For a large file [`SetReader::copy`]
    /// is better.
    ///
    /// # Errors
    /// [`Error::FileDamaged`], [`Error::Sealed`] where an identity is needed.
    pub fn read(&self, line: &Line) -> Result<Decoded> {
        let Some(body) = &line.body else { return Ok(Decoded::Plain(Vec::new())) };
        if body.form.chunked() {
            let mut out = Vec::new();
            self.copy_chunks(line, body, &mut out)?;
            return Ok(Decoded::Plain(out));
        }
        let stored = self.stored(line)?;
        let plain = match body.form {
            Form::Plain => stored,
            Form::Masked => match self.secrets(line)? {
                Some(secrets) => unmask(&stored, secrets)?,
                None => return Ok(Decoded::Masked(stored)),
            },
            Form::Packed { sealed, .. } => self.unpack(line, &stored, sealed, body.size)?,
        };
        if plain.len() as u64 != body.size {
            return Err(self.damaged(line, "its size", None));
        }
        if self.keys.as_ref().is_some_and(|k| k.digest(&plain) != body.plain) {
            return Err(self.damaged(line, "its digest", None));
        }
        Ok(Decoded::Plain(plain))
    }

    fn unpack(&self, line: &Line, stored: &[u8], sealed: bool, size: u64) -> Result<Vec<u8>> {
        let size = usize::try_from(size.min(MAX_WHOLE)).map_err(|_| self.damaged(line, "its size", None))?;
        let broken = |_| self.damaged(line, "its compression", None);
        if !sealed {
            return zstd::bulk::decompress(stored, size).map_err(broken);
        }
        let epoch = self.manifest.epoch;
        let opener = self.access.opener.filter(|o| o.identity(epoch).is_some());
        let opener = opener.ok_or_else(|| Error::Sealed { epoch, path: line.shown() })?;
        let packed = opener.open(epoch, stored, stored.len() as u64)?;
        zstd::bulk::decompress(packed.expose(), size).map_err(broken)
    }

    /// Writes a file piece by piece, in memory of a few MiB whatever its size. What was written counts
    /// only if this ends well. Gives whether the text is masked.
    ///
    /// # Errors
    /// As [`SetReader::read`]; [`Error::Output`] if `out` refuses.
    pub fn copy(&self, line: &Line, out: &mut dyn Write) -> Result<bool> {
        if let Some(body) = line.body.as_ref().filter(|b| b.form.chunked()) {
            self.copy_chunks(line, body, out)?;
            return Ok(false);
        }
        let decoded = self.read(line)?;
        out.write_all(decoded.bytes()).map_err(Error::Output)?;
        Ok(matches!(decoded, Decoded::Masked(_)))
    }

    /// Where the chunks of logs lie: beside their manifest.
    fn log_chunks(&self) -> Result<HashMap<Digest, ObjectId>> {
        let place = [b".confvault".as_slice(), b"chunks"];
        let Some((_, id)) = self.trees.find(self.generation.tree, place.into_iter())? else { return Ok(HashMap::new()) };
        chunk_ids(&self.generation.device, id, &self.trees.entries(id)?)
    }

    fn copy_chunks(&self, line: &Line, body: &Body, out: &mut dyn Write) -> Result<()> {
        let list = parse_chunks(&self.stored(line)?).ok_or_else(|| self.damaged(line, "its list of chunks", None))?;
        let mut whole = self.keys.as_ref().map(DeviceKeys::digest_writer);
        let mut size = 0u64;
        for chunk in list {
            let there = match self.chunks.get() {
                Some(there) => there,
                None => {
                    let (device, number) = (&self.generation.device, self.generation.number);
                    let read = match line.scope {
                        Scope::Logs => self.log_chunks(),
                        _ => large_tree(self.store.repo(), &self.refs, device, number),
                    };
                    let read = read.map_err(|e| self.damaged(line, "its chunks cannot be found", Some(e)))?;
                    self.chunks.get_or_init(|| read)
                }
            };
            let id = *there.get(&chunk.stored).ok_or_else(|| self.damaged(line, "one of its chunks is missing", None))?;
            let stored = self.blob(line, id, &chunk.stored, MAX_CHUNK)?;
            let plain = self.unpack(line, &stored, body.form.sealed(), chunk.size.min(MAX_CHUNK))?;
            if plain.len() as u64 != chunk.size || self.keys.as_ref().is_some_and(|k| k.digest(&plain) != chunk.plain) {
                return Err(self.damaged(line, "the digest of a chunk", None));
            }
            size += chunk.size;
            if let Some(whole) = &mut whole {
                whole.update(&plain);
            }
            out.write_all(&plain).map_err(Error::Output)?;
        }
        if size != body.size || whole.is_some_and(|w| w.finish() != body.plain) {
            return Err(self.damaged(line, "its digest", None));
        }
        Ok(())
    }
}
