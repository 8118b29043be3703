//! Names: annotated tags on generations ("Names" in `docs/format.md`).

use chrono::{DateTime, Utc};
use gix::ObjectId;

use super::error::{Error, Result};
use super::generation::{FORMAT, Generation, Message};
use super::object::{Ident, Tag};
use super::refs::{Ref, Refs};
use super::repo::Repo;
use crate::model::{CollectorName, DeviceName, NameTag};

/// A name of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The word.
    pub name: NameTag,
    /// The number of the generation.
    pub number: u64,
    /// The commit of the generation.
    pub commit: ObjectId,
    /// The tag.
    pub tag: ObjectId,
    /// The note.
    pub note: Option<String>,
    /// When it was given.
    pub time: DateTime<Utc>,
    /// The collector that gave it.
    pub by: String,
}

/// Gives the ref of a name.
#[must_use]
pub fn tag_ref(device: &DeviceName, name: &NameTag) -> String {
    format!("refs/tags/{device}/{name}")
}

/// Makes the tag of a name.
pub(super) fn tag(generation: &Generation, name: &NameTag, note: Option<&str>, by: &CollectorName, now: DateTime<Utc>) -> Tag {
    let note = note.map(str::trim).filter(|n| !n.is_empty());
    let (subject, rest) = note.map_or((name.as_str(), None), |n| n.split_once('\n').map_or((n, None), |(s, r)| (s, Some(r))));
    let trailers = [
        ("Confvault-Format", FORMAT.to_string()),
        ("Device", generation.device.to_string()),
        ("Generation", generation.number.to_string()),
        ("Name", name.to_string()),
        ("Collector", by.to_string()),
    ];
    let message = Message {
        subject: subject.to_owned(),
        note: rest.map(str::to_owned),
        trailers: trailers.map(|(k, v)| (k.to_owned(), v)).into(),
    };
    Tag {
        target: generation.id,
        name: format!("{}/{name}", generation.device),
        tagger: Ident::of(by, now),
        message: message.write(),
    }
}

/// Reads a name.
///
/// # Errors
/// The tag is missing, corrupt, or not of this device.
pub fn read(repo: &Repo, device: &DeviceName, tag: &Ref<'_>) -> Result<Name> {
    let corrupt = |what: &str| Error::Corrupt { whose: device.to_string(), what: what.to_owned(), id: tag.id };
    let read = Tag::parse(&repo.tag(&tag.id)?).map_err(|e| corrupt(e.0))?;
    let message = Message::parse(&read.message).map_err(|e| corrupt(e.0))?;
    let need = |key| message.get(key).ok_or_else(|| corrupt("a name without one of its trailers"));
    let name: NameTag = need("Name")?.parse().map_err(|_| corrupt("a name that is none"))?;
    // A tag moved to another ref would give its generation another name.
    if need("Device")? != device.as_str() || tag_ref(device, &name) != tag.name {
        return Err(corrupt("a name under the ref of another"));
    }
    let number = need("Generation")?.parse().map_err(|_| corrupt("a name of no generation"))?;
    let by = need("Collector")?.to_owned();
    let note = match (&message.subject, &message.note) {
        (subject, None) if *subject == name.as_str() => None,
        (subject, None) => Some(subject.clone()),
        (subject, Some(rest)) => Some(format!("{subject}\n\n{rest}")),
    };
    Ok(Name { number, commit: read.target, tag: tag.id, note, time: read.tagger.time, by, name })
}

/// Gives the names of a device, sorted; each may be missing or corrupt by itself.
pub(super) fn each(repo: &Repo, refs: &Refs, device: &DeviceName) -> impl Iterator<Item = Result<Name>> {
    refs.prefix(&format!("refs/tags/{device}/")).map(|tag| read(repo, device, &tag))
}

/// Lists the names of a device, sorted.
///
/// # Errors
/// A tag is missing or corrupt.
pub fn list(repo: &Repo, refs: &Refs, device: &DeviceName) -> Result<Vec<Name>> {
    each(repo, refs, device).collect()
}
