//! Changes, with what they did.

use super::{ChangeError, Shown, Summary};
use crate::model::{DeviceName, Phase, Point, Where};
use crate::ops::compare::{Difference, Options, compare};
use crate::ops::snapshot::World;
use crate::ops::{Error, Reader, health};
use crate::store::{ChangeId, ChangeItem, Generation, Refs, Store};

/// Lists changes, newest first: those that are open, or all.
///
/// # Errors
/// The journal cannot be read.
pub fn list(store: &Store, all: bool) -> Result<Vec<ChangeItem>, Error> {
    let mut items = store.changes(&store.refs()?, None)?;
    items.retain(|item| all || item.end.is_none());
    items.reverse();
    Ok(items)
}

/// Shows a change, with what it did to each device.
///
/// # Errors
/// [`ChangeError::Unknown`]; a generation cannot be read.
pub fn show(reader: &Reader, id: &ChangeId, world: &World<'_>) -> Result<Shown, Error> {
    let items = reader.store.changes(&reader.store.refs()?, Some(&id.ticket))?;
    let found = items.into_iter().rfind(|item| item.change == *id);
    let item = found.ok_or_else(|| ChangeError::Unknown(id.clone()))?;
    let summaries = summaries(reader, &item, world)?;
    Ok(Shown { item, summaries })
}

/// Compares what stood before and after a change.
pub(super) fn summaries(reader: &Reader, item: &ChangeItem, world: &World<'_>) -> Result<Vec<Summary>, Error> {
    let refs = reader.store.refs()?;
    item.devices.keys().map(|device| summary(reader, &refs, item, device, world)).collect()
}

fn summary(reader: &Reader, refs: &Refs, item: &ChangeItem, device: &DeviceName, world: &World<'_>) -> Result<Summary, Error> {
    let point = |number| Point { device: device.clone(), release: None, at: Where::Number(number) };
    let facts = |g: Generation| (g.number, g.release, g.time);
    let at = |phase| item.number(device, phase).map(|number| reader.store.resolve(refs, &point(number))).transpose();
    let pre = at(Phase::Pre)?.ok_or_else(|| ChangeError::Unknown(item.change.clone()))?;
    let post = at(Phase::Post)?;
    let stats = match &post {
        None => None,
        Some(post) => {
            let found = compare(reader, &point(pre.number), Some(&point(post.number)), &Options::default(), world)?;
            match found.difference {
                Difference::Lines(diff) => Some(diff.stats),
                Difference::Settings(_) => None,
            }
        }
    };
    let health = item.devices.get(device).map(health::of_change).unwrap_or_default();
    Ok(Summary { device: device.clone(), pre: facts(pre), post: post.map(facts), stats, health })
}
