//! Names: annotated tags on generations ("Names" in `docs/format.md`).

use chrono::{DateTime, Utc};
use gix::ObjectId;

use crate::model::NameTag;

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
