//! From a set to a tree.

use std::collections::{BTreeMap, BTreeSet};

use gix::ObjectId;
use gix::objs::Kind as ObjectKind;

use super::super::batch::Batch;
use super::super::decode;
use super::super::error::{Error, Result};
use super::super::manifest::{Form, Line, Manifest, Secrets};
use super::super::object::{FILE, TREE, TreeEntry};
use super::super::tree::{self, put_tree};
use super::EncodeContext;
use super::compare::{bytes, shown};
use super::files::{Encoder, Stored};
use super::previous::Previous;
use crate::model::{Content, Digest, Entry, Kind, Scope};
use crate::seal::{DeviceKeys, OPENING, Token, script};

/// A set whose objects are in the batch.
#[derive(Debug)]
pub(in crate::store) struct Encoded {
    pub(in crate::store) manifest: Manifest,
    pub(in crate::store) set_digest: Digest,
    pub(in crate::store) tree: ObjectId,
    /// The tree of `refs/large/…`, where there are chunks.
    pub(in crate::store) large: Option<ObjectId>,
}

/// How much of the generation before is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Reuse {
    /// What did not change is not written again.
    Yes,
    /// Everything is written again: something of it is damaged.
    Rewrite,
}

/// Encodes the entries of a set. `plain` goes with the entries: their keyed digests in the epoch of `prev`.
pub(in crate::store) fn encode(
    context: &EncodeContext<'_>,
    batch: &Batch,
    entries: &[Entry],
    prev: Option<&Previous<'_>>,
    plain: &[Option<Digest>],
    reuse: Reuse,
) -> Result<Encoded> {
    let epoch = context.keys.newest();
    let key = context.keys.epoch(epoch).ok_or(Error::NoStoreKey(epoch))?;
    let keys = DeviceKeys::derive(key, context.device);
    let mut encoder = Encoder::new(context, batch, prev, reuse == Reuse::Yes, &keys, epoch);
    let (mut lines, mut blobs, mut kept) = (Vec::with_capacity(entries.len()), Vec::new(), Vec::new());
    for (i, entry) in entries.iter().enumerate() {
        let stored = match entry.kind {
            Kind::Directory => None,
            _ => Some(encoder.entry(entry, plain.get(i).copied().flatten())?),
        };
        if entry.path.components().count() > tree::MAX_DEPTH {
            return Err(Error::Refused { what: "directories nested too deeply", subject: shown(entry) });
        }
        blobs.push(stored.and_then(|s: Stored| s.blob));
        // A masked file that the encoder did not look into: its values are not at hand.
        let unread = stored.is_some_and(|s| s.body.form == Form::Masked && s.blob.is_none());
        kept.push(unread && encoder.kept(entry, plain.get(i).copied().flatten()).is_some());
        let (scope, path, kind) = (entry.scope, entry.path.clone(), entry.kind);
        let (mode, owner) = (entry.mode & 0o7777, entry.owner);
        lines.push(Line { scope, path, kind, mode, owner, body: stored.map(|s| s.body) });
    }
    let sealed = secrets(&mut encoder, entries, &lines, &kept)?;
    let manifest = Manifest {
        epoch,
        rules: context.rules.rules_id(),
        masks: context.sealer.map(|_| context.rules.masks_id()),
        secrets: sealed.map(|s| s.1),
        lines,
    };
    let text = manifest.write().map_err(|e| Error::Refused { what: e.what, subject: context.device.to_string() })?;
    let mut own = vec![TreeEntry { mode: FILE, name: b"manifest".to_vec(), id: batch.put(ObjectKind::Blob, text.as_bytes())? }];
    own.extend(sealed.map(|(id, _)| TreeEntry { mode: FILE, name: b"secrets.age".to_vec(), id }));
    let large = (!encoder.large.is_empty()).then(|| put_chunks(batch, &encoder.large)).transpose()?;
    // Logs have no ref for their chunks: they go with the month.
    let logs = entries.first().is_some_and(|e| e.scope == Scope::Logs);
    own.extend(large.filter(|_| logs).map(|id| TreeEntry { mode: TREE, name: b"chunks".to_vec(), id }));
    let old = prev.filter(|_| reuse == Reuse::Yes).map(Previous::old);
    let mut root = tree::put_scopes(batch, old, &manifest, &blobs)?;
    root.push(TreeEntry { mode: TREE, name: b".confvault".to_vec(), id: put_tree(batch, own)? });
    let set_digest = Digest(*blake3::hash(text.as_bytes()).as_bytes());
    Ok(Encoded { set_digest, tree: put_tree(batch, root)?, manifest, large })
}

/// Writes the flat tree of chunks.
pub(super) fn put_chunks(batch: &Batch, chunks: &BTreeMap<Digest, ObjectId>) -> Result<ObjectId> {
    let entries = chunks.iter().map(|(stored, id)| TreeEntry { mode: FILE, name: stored.to_string().into_bytes(), id: *id });
    put_tree(batch, entries.collect())
}

/// Gives the tokens of a masked text.
fn tokens(masked: &[u8]) -> impl Iterator<Item = Token> {
    memchr::memmem::find_iter(masked, OPENING).filter_map(|at| Token::at_start(&masked[at..]))
}

/// Seals the values of all tokens, or takes the age file of the generation before again.
///
/// `kept` says for each entry whether its masked text was taken over unread.
fn secrets(encoder: &mut Encoder<'_>, entries: &[Entry], lines: &[Line], kept: &[bool]) -> Result<Option<(ObjectId, Secrets)>> {
    let masked = |line: &Line| line.body.is_some_and(|b| b.form == Form::Masked);
    let Some(sealer) = encoder.context.sealer.filter(|_| lines.iter().any(masked)) else { return Ok(None) };
    if let Some(again) = same_tokens(encoder, lines, kept) {
        return Ok(Some(again));
    }
    // The values of all masked files are needed, also of those that did not change.
    for (i, entry) in entries.iter().enumerate().filter(|(i, _)| kept[*i]) {
        let content = match &entry.content {
            Content::Same(_) => None,
            content => bytes(content)?,
        };
        let Some(content) = content else {
            return Err(Error::ContentNeeded { device: encoder.context.device.clone(), path: shown(&entries[i]) });
        };
        let spans = encoder.context.rules.secrets(&entry.path, &content);
        encoder.mask(&content, &spans)?;
    }
    let secrets = encoder.secrets.in_order();
    let count = secrets.len() as u64;
    let plain = script::write_each(encoder.context.device, secrets);
    let digest = encoder.keys.digest(&plain);
    let prev = encoder.prev.filter(|p| p.manifest.epoch == encoder.epoch);
    if let Some((id, _, stored)) = prev.and_then(Previous::secrets_file).filter(|f| f.1 == digest) {
        return Ok(Some((id, Secrets { plain: digest, stored, count })));
    }
    let data = sealer.seal(&plain)?;
    if data.len() as u64 > decode::MAX_SECRETS {
        return Err(Error::Refused { what: "more secrets than a generation holds", subject: encoder.context.device.to_string() });
    }
    let stored = Digest(*blake3::hash(&data).as_bytes());
    Ok(Some((encoder.batch.put_raw(ObjectKind::Blob, &data)?, Secrets { plain: digest, stored, count })))
}

/// Gives the age file of the generation before, if the tokens are the same: so are then their values.
fn same_tokens(encoder: &Encoder<'_>, lines: &[Line], kept: &[bool]) -> Option<(ObjectId, Secrets)> {
    let prev = encoder.prev.filter(|p| p.manifest.epoch == encoder.epoch)?;
    let old = prev.manifest.secrets?;
    let text = |line: &Line| -> Option<BTreeSet<Token>> {
        let (line, body) = prev.line(line.scope, &line.path)?;
        Some(tokens(&prev.stored(line, body)?).collect())
    };
    let kept: Vec<&Line> = lines.iter().zip(kept).filter(|(_, k)| **k).map(|(l, _)| l).collect();
    let is_kept = |line: &Line| kept.binary_search_by(|k| k.key().cmp(&line.key())).is_ok();
    let mut before = BTreeSet::new();
    for (line, _) in prev.of_form(|f| f == Form::Masked).filter(|(l, _)| !is_kept(l)) {
        before.extend(text(line)?);
    }
    let mut now: BTreeSet<Token> = encoder.secrets.tokens().collect();
    if before != now {
        // A token that one file lost may still stand in another.
        for line in &kept {
            let tokens = text(line)?;
            before.extend(tokens.iter().copied());
            now.extend(tokens);
        }
    }
    if before != now {
        return None;
    }
    let (id, plain, stored) = prev.secrets_file()?;
    Some((id, Secrets { plain, stored, count: old.count }))
}
