//! A set in a transaction: is it new, and what is it then?

use std::sync::Arc;

use super::super::commit::put_commit;
use super::super::decode::large_ref;
use super::super::encode::{self, Comparison, EncodeContext, Encoded, Meta, Outcome, Previous, Reuse, Tip};
use super::super::error::{Error, Result};
use super::super::generation::{Changed, FORMAT, Generation, GenerationKind};
use super::super::history::{self, line_ref};
use super::super::journal::Record;
use super::super::logs;
use super::super::look::{self, Kept};
use super::super::object::{Commit, Ident};
use super::super::refs::RefEdit;
use super::super::view::View;
use super::{Plan, Transaction};
use crate::model::{ConfigSet, DeviceName, Digest, Entry, Kind, Look, LookEntry, Release};
use crate::seal::{DeviceKeys, principal};

/// A set that is taken, and what is said of it.
#[derive(Clone, Copy)]
pub(super) struct Taking<'t> {
    pub(super) context: &'t EncodeContext<'t>,
    pub(super) set: &'t ConfigSet,
    pub(super) release: &'t Release,
    pub(super) meta: &'t Meta,
}

/// What a new generation comes of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Somebody changed the device, or nobody knows who.
    Somebody,
    /// All that differs the device makes by itself.
    Device,
    /// Nothing but how it is masked.
    Masks,
}

/// What became of a set, with the look that saw it, and the tip that the next set of the device is built on.
pub(super) struct Made {
    pub(super) outcome: Outcome,
    look: Look,
    /// Nothing where it is no new generation.
    pub(super) tip: Option<Tip>,
}

impl Transaction<'_> {
    /// Encodes a set. Logs of the set are filed with the run.
    ///
    /// # Errors
    /// [`Error::ContentNeeded`]: collect again without a look; `NoRelease`, `NoStoreKey`, `Tombstone`, `Refused` (also
    /// for a second set of one device in one transaction), and what reading and writing objects gives. The
    /// other devices are not touched by it.
    pub fn snapshot(&self, context: &EncodeContext<'_>, set: ConfigSet, mut meta: Meta) -> Result<Outcome> {
        let device = context.device;
        self.check_new(device)?;
        let release = set.release.clone().ok_or_else(|| Error::NoRelease { device: device.clone() })?;
        let (set, logs) = set.split_logs();
        let kept = self.kept(device);
        let mut plan = Plan { snapshot: true, ..Plan::default() };
        let filed = logs::file(context, &self.batch, &logs, kept.as_deref(), self.who.now)?;
        plan.logs = filed.tree;
        if filed.remembered.is_some() {
            // A look does not tell of logs, so it must not prove that nothing changed.
            meta.root = None;
        }
        let (outcome, look) = match self.by_look(context, &set, &release, &meta, kept.as_deref()) {
            Some(seen) => seen,
            None => {
                let made = self.by_content(Taking { context, set: &set, release: &release, meta: &meta }, &mut plan, None)?;
                (made.outcome, made.look)
            }
        };
        let number = match &outcome {
            Outcome::Unchanged { number } => *number,
            Outcome::Generation(generation) => generation.number,
        };
        let look = Kept { look: look.into(), number, logs: filed.remembered };
        let known = kept.as_ref().is_some_and(|k| k.logs == look.logs && look::adds_nothing(&look.look, &k.look));
        if !known {
            let prefix = format!("refs/heads/{device}/");
            let line = plan.edits.iter().find(|e| e.name.starts_with(&prefix));
            let line = line.and_then(|e| Some((e.name.as_str(), e.new?)));
            plan.look = Some(look::record(&look::lines_digest(&self.refs, device, line), &look));
        }
        self.tell(&mut plan, device, &outcome, &meta);
        self.plan(device, plan);
        Ok(outcome)
    }

    /// Takes note that the source of a device is as its look saw it, so that no set is needed; `look` is what
    /// [`Transaction::look`] gave. Gives nothing where the set is needed all the same: the device has logs.
    ///
    /// # Errors
    /// As [`Transaction::snapshot`].
    pub fn unchanged(&self, device: &DeviceName, meta: &Meta) -> Result<Option<Outcome>> {
        self.check_new(device)?;
        let Some(kept) = self.kept(device).filter(|kept| kept.logs.is_none()) else { return Ok(None) };
        let outcome = Outcome::Unchanged { number: kept.number };
        let mut plan = Plan { snapshot: true, ..Plan::default() };
        self.tell(&mut plan, device, &outcome, meta);
        self.plan(device, plan);
        Ok(Some(outcome))
    }

    /// Takes up what is to be committed of a device.
    pub(super) fn plan(&self, device: &DeviceName, mut plan: Plan) {
        // A fleet of looks would fill the memory for nothing.
        self.release(device);
        let mut planned = self.planned();
        let there = planned.devices.entry(device.clone()).or_default();
        // Names may have been given before.
        plan.edits.append(&mut there.edits);
        plan.records.append(&mut there.records);
        plan.given.append(&mut there.given);
        plan.removed.append(&mut there.removed);
        *there = plan;
    }

    /// Refuses a device that was erased, or that has its set in this transaction already.
    pub(super) fn check_new(&self, device: &DeviceName) -> Result<()> {
        if self.store.facts().erased(device) {
            return Err(Error::Tombstone(device.clone()));
        }
        if self.planned().devices.get(device).is_some_and(|p| p.snapshot) {
            return Err(Error::Refused { what: "two sets of one device in one transaction", subject: device.to_string() });
        }
        Ok(())
    }

    /// Is it what the look saw? Then no git object is opened.
    fn by_look(
        &self,
        context: &EncodeContext<'_>,
        set: &ConfigSet,
        release: &Release,
        meta: &Meta,
        kept: Option<&Kept>,
    ) -> Option<(Outcome, Look)> {
        let kept = kept?;
        let keys = DeviceKeys::derive(context.keys.epoch(context.keys.newest())?, context.device);
        if !encode::as_seen(&kept.look, &meta.look_rules, release, set, &keys) {
            return None;
        }
        let mut look = Look::clone(&kept.look);
        (look.taken_ns, look.root) = (meta.taken_ns, meta.root);
        for (seen, entry) in look.entries.iter_mut().zip(set.entries()) {
            seen.stamp = entry.stamp;
        }
        Some((Outcome::Unchanged { number: kept.number }, look))
    }

    /// Compares a set with the newest generation, which is `tip` where this transaction made it, and encodes
    /// it if it differs.
    pub(super) fn by_content(&self, taking: Taking<'_>, plan: &mut Plan, tip: Option<&Tip>) -> Result<Made> {
        let Taking { context, set, release, meta } = taking;
        let (store, device) = (self.store, context.device);
        let newest = match tip.map_or_else(|| history::newest(store.repo(), &self.refs, device), |t| Ok(t.generation.clone())) {
            Ok(newest) => Some(newest),
            Err(Error::NoDevice { .. }) => None,
            Err(e) => return Err(e),
        };
        let Some(newest) = newest else {
            let encoded = encode::encode(context, &self.batch, set.entries(), None, &[], Reuse::Yes)?;
            let changed = Changed { added: encoded.manifest.lines.len() as u64, ..Changed::default() };
            return self.generation(taking, plan, None, (encoded, changed, Cause::Somebody));
        };
        let damaged = store.damage().concerns(device);
        let prev = match tip {
            Some(tip) => Previous::in_batch(View::new(store.repo(), Some(&self.batch)), &self.refs, context.keys, tip),
            None => Previous::load(store, &self.refs, device, context.keys, newest.clone()),
        };
        let prev = match prev {
            Ok(prev) => prev,
            Err(e @ (Error::NoStoreKey(_) | Error::UnknownFeature(_))) => return Err(e),
            Err(_) => return self.over_damage(taking, plan, &newest, None),
        };
        let compared = encode::compare(context, &prev, set)?;
        if damaged {
            return self.over_damage(taking, plan, &newest, Some((&prev, &compared)));
        }
        let same = compared.same() && *release == newest.release;
        let remask = same && encode::masks_differ(context, &prev, set)?;
        if same && !remask {
            let look = look_of(&newest, meta, set.entries(), |i| {
                let entry = &set.entries()[i];
                let before = prev.manifest.find(entry.scope, &entry.path)?.body?.plain;
                Some((before, compared.plain[i] == Some(before)))
            });
            return Ok(Made { outcome: Outcome::Unchanged { number: newest.number }, look, tip: None });
        }
        let encoded = encode::encode(context, &self.batch, set.entries(), Some(&prev), &compared.plain, Reuse::Yes)?;
        let cause = match remask {
            true => Cause::Masks,
            false if compared.by_somebody || *release != newest.release => Cause::Somebody,
            false => Cause::Device,
        };
        self.generation(taking, plan, Some(&newest), (encoded, compared.changed, cause))
    }

    /// Writes everything again where something of the device is damaged. What comes out as it was is healed
    /// by that; else it is a new generation, which needs nothing of the damaged one.
    fn over_damage(
        &self,
        taking: Taking<'_>,
        plan: &mut Plan,
        newest: &Generation,
        before: Option<(&Previous<'_>, &Comparison)>,
    ) -> Result<Made> {
        let Taking { context, set, release, meta } = taking;
        let (prev, plain) = before.map_or((None, &[][..]), |(p, c)| (Some(p), c.plain.as_slice()));
        let encoded = encode::encode(context, &self.batch, set.entries(), prev, plain, Reuse::Rewrite)?;
        let same = before.is_some_and(|(_, c)| c.same()) && *release == newest.release;
        // The damaged objects of the newest generation must all be in the batch now.
        let mut needed = self.store.damage().of(context.device, newest.number);
        let healed = needed.all(|id| self.batch.contains(id));
        if *release == newest.release && (encoded.set_digest == newest.set_digest || same) && healed {
            let look = look_of(newest, meta, set.entries(), |i| {
                let entry = &set.entries()[i];
                let now = encoded.manifest.lines[i].body?.plain;
                let then = prev.map_or(Some(now), |p| Some(p.manifest.find(entry.scope, &entry.path)?.body?.plain))?;
                Some((then, then == now))
            });
            let record = Record::new("heal", "done");
            plan.records.push(record.with("device", context.device.as_str()).with("generation", newest.number));
            return Ok(Made { outcome: Outcome::Unchanged { number: newest.number }, look, tip: None });
        }
        let lines = encoded.manifest.lines.len() as u64;
        let changed = before.map_or(Changed { changed: lines, ..Changed::default() }, |(_, c)| c.changed);
        self.generation(taking, plan, Some(newest), (encoded, changed, Cause::Somebody))
    }

    fn generation(
        &self,
        taking: Taking<'_>,
        plan: &mut Plan,
        newest: Option<&Generation>,
        (encoded, changed, cause): (Encoded, Changed, Cause),
    ) -> Result<Made> {
        let Taking { context, set, release, meta } = taking;
        let device = context.device;
        let line = line_ref(device, release);
        let expected = self.refs.get(&line).map(|r| r.id);
        let head = plan.head(&line).or(expected);
        let mut parents: Vec<_> = head.into_iter().collect();
        parents.extend(newest.map(|n| n.id).filter(|id| Some(*id) != head));
        let kind = match meta.kind {
            None | Some(GenerationKind::Pre) if meta.unannounced && newest.is_some() && cause == Cause::Somebody => {
                GenerationKind::Unannounced
            }
            Some(kind) => kind,
            None if newest.is_none() => GenerationKind::First,
            None if head.is_none() => GenerationKind::Release,
            None if cause == Cause::Masks => GenerationKind::Remask,
            None => GenerationKind::Snapshot,
        };
        let who = &self.who;
        let collector = who.collector.to_string();
        let mut generation = Generation {
            device: device.clone(),
            release: release.clone(),
            number: newest.map_or(1, |n| n.number + 1),
            id: encoded.tree,
            tree: encoded.tree,
            parents,
            time: meta.time,
            author: meta.author.clone().unwrap_or_else(|| (collector.clone(), principal(&who.collector))),
            committed: who.now,
            collector: who.collector.clone(),
            kind,
            note: meta.note.clone(),
            changed,
            set_digest: encoded.set_digest,
            features: Vec::new(),
            change: meta.change.clone(),
            run: Some(who.run.to_string()),
            accepted: meta.accepted.clone(),
            imported: meta.imported.clone(),
        };
        generation.id = put_commit(&self.batch, &generation.commit(), who.signing.as_ref())?;
        plan.move_head(line, expected, generation.id);
        if let Some(tree) = encoded.large {
            plan.edits.push(self.large(&generation, tree)?);
        }
        let plains: Vec<Option<Digest>> = encoded.manifest.lines.iter().map(|l| l.body.map(|b| b.plain)).collect();
        let look = look_of(&generation, meta, set.entries(), |i| Some((plains[i]?, true)));
        let tip = Tip { generation: generation.clone(), manifest: Arc::new(encoded.manifest), large: encoded.large };
        Ok(Made { outcome: Outcome::Generation(Box::new(generation)), look, tip: Some(tip) })
    }

    /// Commits the chunks of a generation.
    fn large(&self, generation: &Generation, tree: gix::ObjectId) -> Result<RefEdit> {
        let (device, number) = (&generation.device, generation.number);
        let by = Ident::of(&self.who.collector, self.who.now);
        let message = format!(
            "{device} large files of generation {number}\n\nConfvault-Format: {FORMAT}\nDevice: {device}\nGeneration: {number}\nCollector: {}\n",
            self.who.collector
        );
        let commit = Commit { tree, parents: Vec::new(), author: by.clone(), committer: by, message };
        let new = put_commit(&self.batch, &commit, self.who.signing.as_ref())?;
        let name = large_ref(device, number);
        Ok(RefEdit { expected: self.refs.get(&name).map(|r| r.id), name, new: Some(new) })
    }

    /// Makes the journal's record of an outcome; unchanged devices share one.
    fn tell(&self, plan: &mut Plan, device: &DeviceName, outcome: &Outcome, meta: &Meta) {
        let record = match outcome {
            Outcome::Unchanged { number } if matches!(meta.kind, Some(GenerationKind::Pre | GenerationKind::Post)) => {
                Record::new("snapshot", "unchanged").with("device", device.as_str()).with("generation", *number)
            }
            Outcome::Unchanged { .. } => {
                plan.unchanged = true;
                return;
            }
            Outcome::Generation(g) => Record::new("snapshot", "generation")
                .with("device", device.as_str())
                .with("generation", g.number)
                .with("release", g.release.as_str())
                .with("kind", g.kind.as_str())
                .with("changed", g.changed.to_string()),
        };
        let kind = |record: Record| match (meta.kind, outcome) {
            (Some(kind), Outcome::Unchanged { .. }) => record.with("kind", kind.as_str()),
            _ => record,
        };
        let record = kind(record);
        plan.records.push(match &meta.change {
            Some(change) => record.with("change", change.to_string()),
            None => record,
        });
    }
}

/// Makes the look of a set. `plain` gives the digest in the manifest of the newest generation, and whether
/// the content is the one of that digest: if not, the file must be read again next time.
fn look_of(generation: &Generation, meta: &Meta, entries: &[Entry], plain: impl Fn(usize) -> Option<(Digest, bool)>) -> Look {
    let seen = entries.iter().enumerate().map(|(i, entry)| {
        let mut stamp = entry.stamp;
        let digest = match entry.kind {
            Kind::Directory => Digest([0; 32]),
            _ => {
                let (digest, same) = plain(i).unwrap_or((Digest([0; 32]), false));
                if !same {
                    look::distrust(&mut stamp);
                }
                digest
            }
        };
        LookEntry {
            scope: entry.scope,
            path: entry.path.clone(),
            kind: entry.kind,
            mode: entry.mode,
            owner: entry.owner,
            stamp,
            plain: digest,
        }
    });
    Look {
        head: generation.id.to_string(),
        release: generation.release.clone(),
        rules: meta.look_rules,
        taken_ns: meta.taken_ns,
        root: meta.root,
        entries: seen.collect(),
    }
}
