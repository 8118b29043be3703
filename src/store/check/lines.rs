//! The lines of one device: commits, numbers, parents, manifests and trees.

use std::collections::{BTreeMap, HashMap, HashSet};

use gix::ObjectId;

use super::super::decode::{self, large_ref, large_tree, parse_chunks};
use super::super::generation::Generation;
use super::super::history::{self, line_ref};
use super::super::manifest::{Form, Line, Manifest};
use super::super::object::TREE;
use super::super::place;
use super::super::tree::{MAX_DEPTH, Trees, tree_mode};
use super::{Check, Expected, Fault, Span, Use};
use crate::model::{DeviceName, Release, Scope};

/// Checks everything that hangs on the lines of a device.
pub(super) fn device(check: &mut Check<'_>, index: u32) {
    let device = check.devices[usize::try_from(index).unwrap_or(usize::MAX)].clone();
    let heads: Vec<(Release, ObjectId)> = history::lines(check.refs, &device).collect();
    if heads.is_empty() {
        check.find(Fault::Line, "a device has no line", None, Some(device.as_str()), &[]);
        return;
    }
    let generations = collect(check, &device, index, &heads);
    order(check, &device, index, &heads, &generations);
    // One reader for all generations: what they share is read once.
    let store = check.store.clone();
    let trees = Trees::new(store.repo());
    let mut chunked = BTreeMap::new();
    for generation in generations.values() {
        check.generations += 1;
        chunked.extend(set(check, &trees, generation, index).map(|needs| (generation.number, needs)));
    }
    large(check, &device, index, &chunked);
}

/// Reads all commits that the lines reach, by number.
fn collect(check: &mut Check<'_>, device: &DeviceName, index: u32, heads: &[(Release, ObjectId)]) -> BTreeMap<u64, Generation> {
    let mut out: BTreeMap<u64, Generation> = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut todo: Vec<ObjectId> = heads.iter().map(|(_, id)| *id).collect();
    // The lowest number of a commit that has the other as its parent; none for a head that nothing else reaches.
    let mut above: HashMap<ObjectId, u64> = HashMap::new();
    let mut unread = Vec::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        match history::read_generation(check.store.repo(), device, id) {
            Ok(generation) => {
                let number = generation.number;
                check.note_use(id, Use { device: index, first: number, last: number });
                for parent in &generation.parents {
                    above.entry(*parent).and_modify(|n| *n = number.min(*n)).or_insert(number);
                    todo.push(*parent);
                }
                if let Some(other) = out.insert(number, generation)
                    && other.id != id
                {
                    let uses = [Use { device: index, first: number, last: number }];
                    check.find(Fault::Line, "two generations have one number", Some(id), Some(device.as_str()), &uses);
                }
            }
            Err(e) => unread.push((id, e)),
        }
    }
    let known = out.keys().next_back().copied().unwrap_or(0);
    for (id, error) in unread {
        // How far a line went whose head is lost, nobody knows: all from what is known on.
        let (first, last) = above.get(&id).map_or((known + 1, Span::OPEN), |n| (1, n.saturating_sub(1).max(1)));
        check.error(&error, Some(device.as_str()), &[Use { device: index, first, last }]);
    }
    out
}

/// Numbers without gaps, parents by the rule, and each line at its newest generation.
fn order(
    check: &Check<'_>,
    device: &DeviceName,
    index: u32,
    heads: &[(Release, ObjectId)],
    generations: &BTreeMap<u64, Generation>,
) {
    let place = Some(device.as_str());
    let mut newest: HashMap<&Release, &Generation> = HashMap::new();
    let mut before: Option<&Generation> = None;
    for generation in generations.values() {
        let number = generation.number;
        let uses = [Use { device: index, first: number, last: number }];
        if number != before.map_or(1, |b| b.number + 1) {
            let gap = [Use { device: index, first: before.map_or(1, |b| b.number + 1), last: number - 1 }];
            check.find(Fault::Line, "generations are missing", None, place, &gap);
        } else {
            let line = newest.get(&generation.release).map(|g| g.id);
            let last = before.map(|b| b.id);
            let right: Vec<ObjectId> = line.into_iter().chain(last.filter(|id| Some(*id) != line)).collect();
            if generation.parents != right {
                check.find(Fault::Line, "a generation has other parents than the rule gives", Some(generation.id), place, &uses);
            }
        }
        newest.insert(&generation.release, generation);
        before = Some(generation);
    }
    for (release, id) in heads {
        let name = line_ref(device, release);
        match newest.get(release) {
            Some(g) if g.id == *id => {}
            // An unreadable head was found already.
            _ if !generations.values().any(|g| g.id == *id) => {}
            Some(g) => {
                let uses = [Use { device: index, first: g.number, last: g.number }];
                check.find(Fault::Line, "a line is not at its newest generation", Some(*id), Some(&name), &uses);
            }
            None => check.find(Fault::Line, "a line holds no generation of its release", Some(*id), Some(&name), &[]),
        }
    }
    for (release, generation) in newest {
        if !heads.iter().any(|(r, _)| r == release) {
            let uses = [Use { device: index, first: generation.number, last: generation.number }];
            check.find(Fault::Line, "the line of a release is gone", None, Some(&line_ref(device, release)), &uses);
        }
    }
}

/// Compares a manifest with its tree, both ways, and notes what its blobs must be. Says whether it needs chunks.
fn set(check: &mut Check<'_>, trees: &Trees<'_>, generation: &Generation, index: u32) -> Option<bool> {
    let uses = [Use { device: index, first: generation.number, last: generation.number }];
    let device = Some(generation.device.as_str());
    let mut leaves = HashMap::new();
    if !flatten(check, trees, generation, uses[0], &mut leaves) {
        return None;
    }
    let manifest = match check.store.manifest(generation) {
        Ok(manifest) => manifest,
        Err(e @ super::Error::Manifest { .. }) => {
            let source = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            check.find(Fault::Manifest, &source, Some(generation.id), device, &uses);
            return None;
        }
        Err(e) => {
            check.error(&e, device, &uses);
            return None;
        }
    };
    for line in &manifest.lines {
        let Some(body) = &line.body else { continue };
        let place = line.shown();
        let Some((mode, id)) = leaves.remove(&(Some(line.scope), line.path.as_bytes().to_vec())) else {
            check.find(Fault::Manifest, "a file of the manifest is not in the tree", None, Some(&place), &uses);
            continue;
        };
        if mode != tree_mode(line) {
            check.find(Fault::Manifest, "a file has another mode in the tree", Some(id), Some(&place), &uses);
        }
        let alone = matches!(body.form, Form::Plain | Form::Packed { chunked: false, .. });
        let plain = alone.then_some((manifest.epoch, body.form, body.size, body.plain));
        expect(check, id, Expected { device: index, stored: body.stored, plain });
        if body.form.chunked() {
            chunks(check, &manifest, generation, line, id, uses[0]);
        }
    }
    leaves.remove(&(None, b".confvault/manifest".to_vec()));
    let sealed = leaves.remove(&(None, b".confvault/secrets.age".to_vec()));
    match (manifest.secrets, sealed) {
        (Some(s), Some((_, id))) => expect(check, id, Expected { device: index, stored: s.stored, plain: None }),
        (None, None) => {}
        _ => check.find(Fault::Manifest, "secrets in the tree and in the manifest do not go together", None, device, &uses),
    }
    for ((scope, path), (_, id)) in leaves {
        let place = scope.map_or_else(String::new, |s| format!("{s}/")) + &path.escape_ascii().to_string();
        check.find(Fault::Manifest, "a file of the tree is not in the manifest", Some(id), Some(&place), &uses);
    }
    Some(manifest.lines.iter().any(|l| l.body.is_some_and(|b| b.form.chunked())))
}

fn expect(check: &mut Check<'_>, id: ObjectId, expected: Expected) {
    // Most objects have one; room for four would be most of what a check holds.
    let all = check.expected.entry(id).or_insert_with(|| Vec::with_capacity(1));
    let same = |e: &Expected| e.stored == expected.stored && e.plain == expected.plain;
    // One device comes after another: what an object of many is to others stands before.
    if !all.iter().rev().take_while(|e| e.device == expected.device).any(same) {
        all.push(expected);
    }
}

type Leaves = HashMap<(Option<Scope>, Vec<u8>), (u32, ObjectId)>;

/// Lists all blobs of a tree by scope and true path; `.confvault/` has no scope.
fn flatten(check: &mut Check<'_>, trees: &Trees<'_>, generation: &Generation, r#use: Use, out: &mut Leaves) -> bool {
    let device = Some(generation.device.as_str());
    let mut whole = true;
    let mut todo: Vec<(Option<Scope>, Vec<u8>, ObjectId, usize)> = vec![(None, Vec::new(), generation.tree, 0)];
    while let Some((scope, prefix, id, depth)) = todo.pop() {
        check.note_use(id, r#use);
        let entries = match trees.entries(id) {
            Ok(entries) => entries,
            Err(e) => {
                check.error(&e, device, &[r#use]);
                whole = false;
                continue;
            }
        };
        for entry in entries.iter() {
            if entry.mode != TREE {
                check.note_use(entry.id, r#use);
            }
            if depth == 0 {
                match std::str::from_utf8(&entry.name).ok().and_then(|n| n.parse().ok()) {
                    Some(scope) if entry.mode == TREE => todo.push((Some(scope), Vec::new(), entry.id, 1)),
                    _ if entry.mode == TREE && entry.name == b".confvault" => {
                        todo.push((None, b".confvault/".to_vec(), entry.id, 1));
                    }
                    _ => {
                        let place = entry.name.escape_ascii().to_string();
                        check.find(
                            Fault::Manifest,
                            "a tree holds what the format does not know",
                            Some(id),
                            Some(&place),
                            &[r#use],
                        );
                    }
                }
                continue;
            }
            let name = if scope.is_some() { place::decode(&entry.name) } else { Some(entry.name.clone()) };
            let (Some(name), true) = (name, depth <= MAX_DEPTH + 1) else {
                let place = entry.name.escape_ascii().to_string();
                check.find(
                    Fault::Manifest,
                    "a tree holds a name that is not in its written form",
                    Some(id),
                    Some(&place),
                    &[r#use],
                );
                continue;
            };
            let mut path = prefix.clone();
            path.extend_from_slice(&name);
            if entry.mode == TREE {
                path.push(b'/');
                todo.push((scope, path, entry.id, depth + 1));
            } else {
                out.insert((scope, path), (entry.mode, entry.id));
            }
        }
    }
    whole
}

/// Notes what the chunks of a file must be; whether they are there is looked at below.
fn chunks(check: &mut Check<'_>, manifest: &Manifest, generation: &Generation, line: &Line, id: ObjectId, r#use: Use) {
    let Some(body) = &line.body else { return };
    let place = line.shown();
    let list = match check.store.repo().blob(&id, decode::blob_limit(body)) {
        Ok(list) => list,
        // That the object is missing or damaged is found elsewhere.
        Err(_) => return,
    };
    let Some(list) = parse_chunks(&list) else {
        return check.find(Fault::Large, "a list of chunks does not read", Some(id), Some(&place), &[r#use]);
    };
    let number = generation.number;
    let there = match large_tree(check.store.repo(), check.refs, &generation.device, number) {
        Ok(there) => there,
        Err(super::Error::NoRef { .. }) => return,
        Err(e) => return check.error(&e, Some(&large_ref(&generation.device, number)), &[r#use]),
    };
    for chunk in list {
        let Some(id) = there.get(&chunk.stored) else {
            check.find(Fault::Large, "a chunk is missing", None, Some(&place), &[r#use]);
            continue;
        };
        check.note_use(*id, r#use);
        let form = Form::Packed { chunked: false, sealed: body.form.sealed() };
        let plain = Some((manifest.epoch, form, chunk.size, chunk.plain));
        expect(check, *id, Expected { device: r#use.device, stored: chunk.stored, plain });
    }
}

/// The refs of chunks: one for each generation that needs it, unless it was dropped on purpose.
fn large(check: &Check<'_>, device: &DeviceName, index: u32, generations: &BTreeMap<u64, bool>) {
    let dropped = check.store.facts().file(&format!("tombstones/{device}")).unwrap_or_default();
    let dropped = String::from_utf8_lossy(dropped);
    for (number, needs) in generations {
        let name = large_ref(device, *number);
        let on_purpose = || dropped.lines().any(|l| l.split(' ').next() == Some(&name));
        let uses = [Use { device: index, first: *number, last: *number }];
        match check.refs.get(&name) {
            // What was dropped on purpose stands in a branch that may not read.
            None if *needs && check.store.facts().are_read() && !on_purpose() => {
                check.find(Fault::Large, "the large files of a generation are gone", None, Some(&name), &uses);
            }
            Some(_) if !needs => check.find(Fault::Large, "large files of a generation that has none", None, Some(&name), &uses),
            _ => {}
        }
    }
    let prefix = format!("refs/large/{device}/");
    for r in check.refs.prefix(&prefix) {
        let number = r.name[prefix.len()..].parse::<u64>().ok();
        if number.is_none_or(|n| !generations.contains_key(&n)) {
            check.find(Fault::Large, "large files of no generation", Some(r.id), Some(r.name), &[]);
        }
    }
}
