//! Writing commits and tags, signed where there is a key.

use gix::ObjectId;
use gix::objs::Kind as ObjectKind;

use super::batch::Batch;
use super::error::Result;
use super::object::{self, Commit, Tag};
use crate::seal::SigningKey;

/// Writes a commit.
pub(super) fn put_commit(batch: &Batch, commit: &Commit, key: Option<&SigningKey>) -> Result<ObjectId> {
    let payload = commit.write();
    match key {
        Some(key) => batch.put(ObjectKind::Commit, &object::sign_commit(&payload, &key.sign(&payload)?)),
        None => batch.put(ObjectKind::Commit, &payload),
    }
}

/// Writes a tag.
pub(super) fn put_tag(batch: &Batch, tag: &Tag, key: Option<&SigningKey>) -> Result<ObjectId> {
    let mut data = tag.write();
    if let Some(key) = key {
        let armour = key.sign(&data)?;
        data.extend_from_slice(armour.as_bytes());
    }
    batch.put(ObjectKind::Tag, &data)
}
