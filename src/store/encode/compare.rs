//! Is a set the generation before, apart from what is volatile? ("What makes a generation")

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::super::error::{Error, Result};
use super::super::generation::Changed;
use super::super::manifest::{Body, Form};
use super::previous::Previous;
use super::{EncodeContext, Rules};
use crate::model::{ConfigPath, ConfigSet, Content, Digest, Entry, Kind, Look, Release, Scope};
use crate::seal::DeviceKeys;

/// A set compared with the generation before.
#[derive(Debug, Default)]
pub(in crate::store) struct Comparison {
    /// What came, differs and went.
    pub(in crate::store) changed: Changed,
    /// There is a difference in something that the device does not make by itself.
    pub(in crate::store) by_somebody: bool,
    /// Keyed digest of each entry's content in the epoch of the generation before; nothing for directories.
    pub(in crate::store) plain: Vec<Option<Digest>>,
}

impl Comparison {
    pub(in crate::store) fn same(&self) -> bool {
        self.changed == Changed::default()
    }
}

pub(super) fn is_text(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_none()
}

pub(super) fn shown(entry: &Entry) -> String {
    format!("{}/{}", entry.scope, entry.path)
}

pub(super) fn read_error(path: &Path, source: io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}

/// Gives the keyed digest of a content, read piece by piece where it is spooled.
///
/// # Errors
/// A spooled file cannot be read.
pub fn digest(keys: &DeviceKeys, content: &Content) -> Result<Digest> {
    match content {
        Content::Bytes(bytes) => Ok(keys.digest(bytes)),
        Content::Same(digest) => Ok(*digest),
        Content::Spooled { file, .. } => {
            let mut writer = keys.digest_writer();
            let mut from = File::open(file).map_err(|e| read_error(file, e))?;
            io::copy(&mut from, &mut writer).map_err(|e| read_error(file, e))?;
            Ok(writer.finish())
        }
    }
}

/// Reads a content whole; nothing for one that was not read.
///
/// # Errors
/// A spooled file cannot be read.
pub fn bytes(content: &Content) -> Result<Option<std::borrow::Cow<'_, [u8]>>> {
    match content {
        Content::Bytes(bytes) => Ok(Some(bytes.into())),
        Content::Same(_) => Ok(None),
        Content::Spooled { file, size } => {
            let mut out = Vec::with_capacity(usize::try_from(*size).unwrap_or(0).min(64 << 20));
            File::open(file).and_then(|f| f.take(256 << 20).read_to_end(&mut out)).map_err(|e| read_error(file, e))?;
            Ok(Some(out.into()))
        }
    }
}

/// Gives the keyed digest of a text without what is volatile.
pub(super) fn normal(rules: &dyn Rules, keys: &DeviceKeys, path: &ConfigPath, bytes: &[u8], plain: Digest) -> Digest {
    if !is_text(bytes) {
        return plain;
    }
    match rules.normalise(path, bytes) {
        std::borrow::Cow::Borrowed(same) if same.len() == bytes.len() => plain,
        other => keys.digest(&other),
    }
}

/// Compares an entry's content with the line before.
fn same_content(context: &EncodeContext<'_>, prev: &Previous<'_>, entry: &Entry, body: &Body, plain: Digest) -> Result<bool> {
    if plain == body.plain {
        return Ok(true);
    }
    // Under other rules the plain digests decide; a chunked file is never normalised.
    if context.rules.rules_id() != prev.manifest.rules || body.form.chunked() || entry.kind != Kind::File {
        return Ok(false);
    }
    if let Content::Spooled { size, .. } = &entry.content
        && *size > context.large_limit()
    {
        return Ok(false);
    }
    let Some(bytes) = bytes(&entry.content)? else {
        return Err(Error::ContentNeeded { device: context.device.clone(), path: shown(entry) });
    };
    Ok(normal(context.rules, &prev.keys, &entry.path, &bytes, plain) == body.normal)
}

/// Compares a set, without logs, with the generation before.
pub(in crate::store) fn compare(context: &EncodeContext<'_>, prev: &Previous<'_>, set: &ConfigSet) -> Result<Comparison> {
    let mut out = Comparison::default();
    let mut old = prev.manifest.lines.iter().peekable();
    let by_somebody = |path: &ConfigPath| !context.rules.is_by_itself(path);
    for entry in set.entries() {
        let key = (entry.scope, &entry.path);
        while let Some(gone) = old.next_if(|l| l.key() < key) {
            out.changed.removed += 1;
            out.by_somebody |= by_somebody(&gone.path);
        }
        let line = old.next_if(|l| l.key() == key);
        let plain = if entry.kind == Kind::Directory { None } else { Some(digest(&prev.keys, &entry.content)?) };
        out.plain.push(plain);
        let Some(line) = line else {
            out.changed.added += 1;
            out.by_somebody |= by_somebody(&entry.path);
            continue;
        };
        let same = line.kind == entry.kind
            && line.mode == entry.mode
            && line.owner == entry.owner
            && match (&line.body, plain) {
                (Some(body), Some(plain)) => same_content(context, prev, entry, body, plain)?,
                (None, None) => true,
                _ => false,
            };
        if !same {
            out.changed.changed += 1;
            out.by_somebody |= by_somebody(&entry.path);
        }
    }
    for gone in old {
        out.changed.removed += 1;
        out.by_somebody |= by_somebody(&gone.path);
    }
    Ok(out)
}

/// Tells whether a look proves a set, without logs, to be what the newest generation holds. `keys` are
/// of the newest epoch.
pub(in crate::store) fn as_seen(look: &Look, rules: &Digest, release: &Release, set: &ConfigSet, keys: &DeviceKeys) -> bool {
    look.rules == *rules
        && look.release == *release
        && look.entries.len() == set.entries().len()
        && set.entries().iter().zip(&look.entries).all(|(entry, seen)| {
            entry.scope == seen.scope
                && entry.path == seen.path
                && entry.kind == seen.kind
                && entry.mode == seen.mode
                && entry.owner == seen.owner
                && (entry.kind == Kind::Directory || digest(keys, &entry.content).is_ok_and(|d| d == seen.plain))
        })
}

/// Tells whether masking by the rules of now gives another stored form than the generation before has.
pub(in crate::store) fn masks_differ(context: &EncodeContext<'_>, prev: &Previous<'_>, set: &ConfigSet) -> Result<bool> {
    let masks = context.sealer.map(|_| context.rules.masks_id());
    if masks == prev.manifest.masks {
        return Ok(false);
    }
    for entry in set.entries().iter().filter(|e| e.kind == Kind::File) {
        let Some((_, body)) = prev.line(entry.scope, &entry.path) else { continue };
        match body.form {
            Form::Packed { sealed, .. } => {
                if sealed != context.sealer.is_some() {
                    return Ok(true);
                }
            }
            Form::Plain | Form::Masked => {
                let text = bytes(&entry.content)?.filter(|b| is_text(b) && entry.scope != Scope::User);
                // What was not read was compared under the same rules when its look was taken.
                let Some(text) = text else { continue };
                let stored = match context.sealer {
                    Some(_) => {
                        let spans = context.rules.secrets(&entry.path, &text);
                        blake3::hash(&crate::seal::mask_telling(&text, &spans, &prev.keys, &mut |_, _| {})?)
                    }
                    None => blake3::hash(&text),
                };
                // A volatile line that differs is no other mask: only equal plain bytes are compared.
                if prev.keys.digest(&text) == body.plain && stored.as_bytes() != &body.stored.0 {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
