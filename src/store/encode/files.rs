//! From the content of an entry to its stored form ("Forms").

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Read};
use std::ops::Range;

use fastcdc::v2020::{Normalization, StreamCDC};
use gix::ObjectId;
use gix::objs::Kind as ObjectKind;

use super::super::batch::Batch;
use super::super::decode;
use super::super::error::{Error, Result};
use super::super::manifest::{Body, Form, Line};
use super::compare::{bytes, is_text, normal, read_error, shown};
use super::previous::{Known, Previous};
use super::{CHUNK_SIZES, EncodeContext};
use crate::fsio::Patient;
use crate::model::{Content, Digest, Entry, Kind, Scope};
use crate::seal::{DeviceKeys, SecretList, mask_telling};

/// The level of zstd: its own default.
const LEVEL: i32 = 3;

/// An entry in its stored form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) body: Body,
    /// The blob; nothing: the one at this place in the tree before.
    pub(super) blob: Option<ObjectId>,
}

/// Encodes the entries of one set.
pub(super) struct Encoder<'a> {
    pub(super) context: &'a EncodeContext<'a>,
    pub(super) batch: &'a Batch,
    pub(super) prev: Option<&'a Previous<'a>>,
    /// Whether what the generation before has may stand in the new tree unread.
    pub(super) reuse: bool,
    /// The keys of the newest epoch.
    pub(super) keys: &'a DeviceKeys,
    pub(super) epoch: u32,
    /// Values of the masked files that were encoded anew.
    pub(super) secrets: SecretList,
    /// The chunks that the generation needs, by their stored digest.
    pub(super) large: BTreeMap<Digest, ObjectId>,
    /// Chunks that need not be written again, by their keyed digest.
    chunks: Option<HashMap<Digest, Known>>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(
        context: &'a EncodeContext<'a>,
        batch: &'a Batch,
        prev: Option<&'a Previous<'a>>,
        reuse: bool,
        keys: &'a DeviceKeys,
        epoch: u32,
    ) -> Self {
        let (secrets, large) = (SecretList::default(), BTreeMap::new());
        Self { context, batch, prev, reuse, keys, epoch, secrets, large, chunks: None }
    }

    /// The generation before, where what it sealed can serve again.
    fn same_epoch(&self) -> Option<&'a Previous<'a>> {
        self.prev.filter(|p| p.manifest.epoch == self.epoch)
    }

    /// Gives the line before of an entry, if it holds for the entry as it is.
    pub(super) fn kept(&self, entry: &Entry, plain: Option<Digest>) -> Option<(&'a Line, Body)> {
        let prev = self.same_epoch().filter(|_| self.reuse)?;
        let line = prev.manifest.find(entry.scope, &entry.path)?;
        let body = line.body.filter(|b| Some(b.plain) == plain && line.kind == entry.kind)?;
        let masks = self.context.sealer.map(|_| self.context.rules.masks_id());
        let same_rules = prev.manifest.rules == self.context.rules.rules_id();
        let same_form = match body.form {
            Form::Plain | Form::Masked => entry.kind == Kind::Link || masks == prev.manifest.masks,
            Form::Packed { sealed, .. } => sealed == self.context.sealer.is_some(),
        };
        (same_rules && same_form).then_some((line, body))
    }

    /// Encodes one file or link. `plain` is its keyed digest in the epoch of the generation before.
    pub(super) fn entry(&mut self, entry: &Entry, plain: Option<Digest>) -> Result<Stored> {
        if let Some((line, body)) = self.kept(entry, plain)
            && self.keep_chunks(line, &body)
        {
            return Ok(Stored { body, blob: None });
        }
        if let Content::Spooled { file, .. } = &entry.content
            && self.is_large(entry)
        {
            let from = File::open(file).map_err(|e| read_error(file, e))?;
            return self.chunked(entry, from);
        }
        let Some(content) = bytes(&entry.content)? else {
            return Err(Error::ContentNeeded { device: self.context.device.clone(), path: shown(entry) });
        };
        if self.is_large(entry) {
            return self.chunked(entry, Cursor::new(content.as_ref()));
        }
        let same_keys = self.same_epoch().is_some() && !matches!(entry.content, Content::Spooled { .. });
        let plain = plain.filter(|_| same_keys).unwrap_or_else(|| self.keys.digest(&content));
        self.whole(entry, &content, plain)
    }

    fn is_large(&self, entry: &Entry) -> bool {
        let size = match &entry.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Spooled { size, .. } => *size,
            Content::Same(_) => 0,
        };
        entry.kind == Kind::File && size > self.context.large_limit()
    }

    /// Encodes a content that is not large.
    fn whole(&mut self, entry: &Entry, content: &[u8], plain: Digest) -> Result<Stored> {
        let size = content.len() as u64;
        let mut body = Body { size, form: Form::Plain, plain, normal: plain, stored: plain };
        if entry.kind == Kind::Link {
            return self.put(entry, body, content);
        }
        if entry.scope != Scope::Logs {
            body.normal = normal(self.context.rules, self.keys, &entry.path, content, plain);
        }
        if !is_text(content) || !matches!(entry.scope, Scope::Voip | Scope::System) {
            return self.packed(body, content);
        }
        if self.context.sealer.is_some() {
            let spans = self.context.rules.secrets(&entry.path, content);
            if let Cow::Owned(masked) = self.mask(content, &spans)? {
                body.form = Form::Masked;
                return self.put(entry, body, &masked);
            }
        }
        self.put(entry, body, content)
    }

    /// Masks a text and keeps its secrets; borrowed where it has none.
    pub(super) fn mask<'t>(&mut self, text: &'t [u8], spans: &[Range<usize>]) -> Result<Cow<'t, [u8]>> {
        let secrets = &mut self.secrets;
        Ok(mask_telling(text, spans, self.keys, &mut |token, secret| secrets.add(token, secret))?)
    }

    /// Writes a blob that is readable as it is, unless the generation before has it at this place.
    fn put(&self, entry: &Entry, mut body: Body, stored: &[u8]) -> Result<Stored> {
        body.stored = Digest(*blake3::hash(stored).as_bytes());
        let before = self.prev.filter(|_| self.reuse).and_then(|p| p.line(entry.scope, &entry.path));
        let there = before.is_some_and(|(line, b)| b.stored == body.stored && line.kind == entry.kind);
        let blob = if there { None } else { Some(self.batch.put(ObjectKind::Blob, stored)?) };
        Ok(Stored { body, blob })
    }

    /// Compresses, and seals where there is sealing; what is sealed already is not sealed anew.
    fn packed(&self, mut body: Body, content: &[u8]) -> Result<Stored> {
        body.form = Form::Packed { chunked: false, sealed: self.context.sealer.is_some() };
        let known = self.same_epoch().and_then(|prev| {
            let (line, old) = prev.of_form(|f| f == body.form).find(|(_, b)| b.plain == body.plain)?;
            // Checked whole: a damaged blob is not carried on.
            prev.stored(line, old)?;
            Some((old.stored, prev.blob_id(line)?))
        });
        if let Some((stored, id)) = known.filter(|_| self.reuse || body.form.sealed()) {
            body.stored = stored;
            return Ok(Stored { body, blob: Some(id) });
        }
        let data = self.pack(content)?;
        body.stored = Digest(*blake3::hash(&data).as_bytes());
        Ok(Stored { body, blob: Some(self.batch.put_raw(ObjectKind::Blob, &data)?) })
    }

    fn pack(&self, content: &[u8]) -> Result<Vec<u8>> {
        let packed = zstd::bulk::compress(content, LEVEL)
            .map_err(|_| Error::Refused { what: "cannot be compressed", subject: self.context.device.to_string() })?;
        match self.context.sealer {
            Some(sealer) => Ok(sealer.seal(&packed)?),
            None => Ok(packed),
        }
    }

    /// Cuts a large content into chunks; memory is bounded by the largest chunk.
    fn chunked(&mut self, entry: &Entry, from: impl Read) -> Result<Stored> {
        let form = Form::Packed { chunked: true, sealed: self.context.sealer.is_some() };
        let [least, average, most] = CHUNK_SIZES;
        // Borders that depend on a key do not tell a stranger, by their distances, which file it is.
        let mut seed = [0; 8];
        seed.copy_from_slice(&self.keys.digest(b"confvault 1 chunk borders").0[..8]);
        let seed = u64::from_le_bytes(seed);
        let pieces = StreamCDC::with_level_and_seed(Patient(from), least, average, most, Normalization::Level1, seed);
        let (mut whole, mut size, mut list) = (self.keys.digest_writer(), 0, Vec::new());
        for piece in pieces {
            let piece = piece.map_err(|e| {
                let file = if let Content::Spooled { file, .. } = &entry.content { file.as_path() } else { "-".as_ref() };
                read_error(file, e.into())
            })?;
            whole.update(&piece.data);
            size += piece.data.len() as u64;
            let plain = self.keys.digest(&piece.data);
            let known = self.chunk(plain, &piece.data)?;
            self.large.insert(known.stored, known.id);
            list.push(decode::ChunkRef { stored: known.stored, plain, size: known.size });
        }
        let plain = whole.finish();
        let list = decode::write_chunks(&list);
        let body = Body { size, form, plain, normal: plain, stored: plain };
        self.put(entry, body, &list)
    }

    /// Finds a chunk that is whole in the store, or writes it.
    fn chunk(&mut self, plain: Digest, content: &[u8]) -> Result<Known> {
        let prev = self.same_epoch();
        let sealed = self.context.sealer.is_some();
        let chunks = self.chunks.get_or_insert_with(|| {
            let lists = prev.into_iter().flat_map(|p| {
                let lines = p.of_form(move |f| f == Form::Packed { chunked: true, sealed });
                lines.filter_map(|(line, body)| p.chunks_of(line, body)).flatten()
            });
            lists.collect()
        });
        if let Some(known) = chunks.get(&plain) {
            let fresh = self.large.contains_key(&known.stored);
            let whole = fresh || prev.is_some_and(|p| p.whole(known.id, &known.stored, decode::MAX_CHUNK).is_some());
            if whole {
                return Ok(*known);
            }
        }
        let data = self.pack(content)?;
        let stored = Digest(*blake3::hash(&data).as_bytes());
        let known = Known { stored, size: content.len() as u64, id: self.batch.put_raw(ObjectKind::Blob, &data)? };
        self.chunks.get_or_insert_default().insert(plain, known);
        Ok(known)
    }

    /// Takes the chunks of an unchanged file over; says whether all are there.
    fn keep_chunks(&mut self, line: &Line, body: &Body) -> bool {
        if !body.form.chunked() {
            return true;
        }
        let Some(chunks) = self.prev.and_then(|p| p.chunks_of(line, body)) else { return false };
        self.large.extend(chunks.into_iter().map(|(_, known)| (known.stored, known.id)));
        true
    }
}
