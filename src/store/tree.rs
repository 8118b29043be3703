//! Trees: reading, finding, and building one from a manifest with what did not change taken over.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use gix::ObjectId;
use gix::objs::Kind as ObjectKind;

use super::batch::Batch;
use super::error::{Error, Result};
use super::facts::FactFiles;
use super::manifest::{Line, Manifest};
use super::object::{self, EXECUTABLE, FILE, LINK, TREE, TreeEntry};
use super::place;
use super::repo::Repo;
use super::view::View;
use crate::model::{ConfigPath, Digest, Kind, Scope};

/// The most components that a path of a set may have: git refuses trees of about 2,000 levels, and
/// what walks them must not exhaust its stack.
pub const MAX_DEPTH: usize = 500;

/// Reads trees and remembers them.
#[derive(Debug)]
pub struct Trees<'a> {
    view: View<'a>,
    read: RefCell<HashMap<ObjectId, Rc<Vec<TreeEntry>>>>,
}

impl<'a> Trees<'a> {
    /// Reads from a repository.
    #[must_use]
    pub fn new(repo: &'a Repo) -> Self {
        Self::of(View::new(repo, None))
    }

    /// Reads what a transaction sees.
    pub(super) fn of(view: View<'a>) -> Self {
        Self { view, read: RefCell::default() }
    }

    /// Gives the entries of a tree, sorted by name.
    ///
    /// # Errors
    /// The tree is missing or corrupt.
    pub fn entries(&self, id: ObjectId) -> Result<Rc<Vec<TreeEntry>>> {
        if let Some(entries) = self.read.borrow().get(&id) {
            return Ok(Rc::clone(entries));
        }
        let entries = Rc::new(sorted(&self.view.tree(&id)?, id)?);
        self.read.borrow_mut().insert(id, Rc::clone(&entries));
        Ok(entries)
    }

    /// Finds what stands at a place below a tree.
    ///
    /// # Errors
    /// A tree on the way is missing or corrupt.
    pub fn find<'p>(&self, root: ObjectId, place: impl Iterator<Item = &'p [u8]>) -> Result<Option<(u32, ObjectId)>> {
        let mut at = (TREE, root);
        for component in place {
            if at.0 != TREE {
                return Ok(None);
            }
            let entries = self.entries(at.1)?;
            let Ok(i) = entries.binary_search_by(|e| e.name.as_slice().cmp(component)) else { return Ok(None) };
            at = (entries[i].mode, entries[i].id);
        }
        Ok(Some(at))
    }

    /// Finds the blob of a path of a set.
    ///
    /// # Errors
    /// A tree on the way is missing or corrupt.
    pub fn find_path(&self, root: ObjectId, scope: Scope, path: &ConfigPath) -> Result<Option<(u32, ObjectId)>> {
        let names: Vec<_> = path.components().map(place::encode).collect();
        let place = std::iter::once(scope.as_str().as_bytes()).chain(names.iter().map(AsRef::as_ref));
        self.find(root, place)
    }
}

/// Reads a tree; the entries are sorted by name, bytewise.
///
/// # Errors
/// The tree is missing or corrupt.
pub fn read_tree(repo: &Repo, id: ObjectId) -> Result<Vec<TreeEntry>> {
    sorted(&repo.tree(&id)?, id)
}

fn sorted(tree: &[u8], id: ObjectId) -> Result<Vec<TreeEntry>> {
    let mut entries = object::parse_tree(tree).map_err(|e| Error::ObjectCorrupt { what: e.0.to_owned(), id })?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Reads a blob that no digest of ours stands for, so it is compared with its id.
pub(super) fn checked_blob(repo: &Repo, id: ObjectId, limit: u64) -> Result<Vec<u8>> {
    let object = repo.object(&id, limit)?;
    match object.kind {
        ObjectKind::Blob => Ok(object.data),
        found => Err(Error::ObjectKind { wanted: ObjectKind::Blob, found, id }),
    }
}

fn corrupt(whose: &str, what: &str, id: ObjectId) -> Error {
    Error::Corrupt { whose: whose.to_owned(), what: what.to_owned(), id }
}

/// Writes a tree.
///
/// # Errors
/// The disk refused.
pub fn put_tree(batch: &Batch, mut entries: Vec<TreeEntry>) -> Result<ObjectId> {
    batch.put(ObjectKind::Tree, &object::write_tree(&mut entries))
}

/// Writes files and the trees above them; names are taken as they are.
///
/// # Errors
/// The disk refused.
pub fn put_files(batch: &Batch, files: &FactFiles) -> Result<ObjectId> {
    let mut leaves = BTreeMap::new();
    for (path, content) in files {
        leaves.insert(path.as_str(), batch.put(ObjectKind::Blob, content)?);
    }
    let leaves: Vec<_> = leaves.into_iter().collect();
    put_leaves(batch, &leaves, 0)
}

fn put_leaves(batch: &Batch, leaves: &[(&str, ObjectId)], prefix: usize) -> Result<ObjectId> {
    let mut entries = Vec::new();
    let mut rest = leaves;
    while let Some((path, id)) = rest.first() {
        let path = &path[prefix..];
        if let Some(cut) = path.find('/') {
            let with = &path[..=cut];
            // Sorted by whole paths, all that lies in one directory stands together.
            let count = rest.iter().take_while(|(p, _)| p[prefix..].starts_with(with)).count();
            let id = put_leaves(batch, &rest[..count], prefix + cut + 1)?;
            entries.push(TreeEntry { mode: TREE, name: path[..cut].into(), id });
            rest = &rest[count..];
        } else {
            entries.push(TreeEntry { mode: FILE, name: path.into(), id: *id });
            rest = &rest[1..];
        }
    }
    put_tree(batch, entries)
}

/// Reads all files below a tree of ours, such as `_store`: path to blob.
///
/// # Errors
/// A tree is missing or corrupt, or nested too deeply.
pub fn list_files(repo: &Repo, whose: &str, root: ObjectId) -> Result<BTreeMap<String, ObjectId>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![(String::new(), root, 0)];
    while let Some((prefix, id, depth)) = todo.pop() {
        if depth > 8 {
            return Err(corrupt(whose, "nested too deeply", id));
        }
        for entry in read_tree(repo, id)? {
            let name = String::from_utf8(entry.name).map_err(|_| corrupt(whose, "a name that is not UTF-8", id))?;
            let path = format!("{prefix}{name}");
            match entry.mode {
                TREE => todo.push((format!("{path}/"), entry.id, depth + 1)),
                FILE => drop(out.insert(path, entry.id)),
                _ => return Err(corrupt(whose, "something else than a file", id)),
            }
        }
    }
    Ok(out)
}

/// The mode that a line has in a tree.
#[must_use]
pub fn tree_mode(line: &Line) -> u32 {
    match line.kind {
        Kind::Link => LINK,
        _ if line.mode & 0o100 != 0 => EXECUTABLE,
        _ => FILE,
    }
}

struct Item<'a> {
    path: &'a [u8],
    mode: u32,
    stored: Digest,
    /// The blob; nothing: the one at this place in the old tree.
    id: Option<ObjectId>,
}

/// The tree that unchanged parts are taken from.
#[derive(Debug, Clone, Copy)]
pub struct Old<'a> {
    /// Reads its trees.
    pub trees: &'a Trees<'a>,
    /// Its root.
    pub root: ObjectId,
    /// Its manifest.
    pub manifest: &'a Manifest,
}

/// Writes the scopes' trees of a manifest and gives their entries for the root.
///
/// `blobs` goes with the lines of the manifest; nothing stands for a directory, and for the blob that
/// the old tree has at this place.
///
/// # Errors
/// The old tree lacks what was to be taken from it; the disk refused.
pub fn put_scopes(
    batch: &Batch,
    old: Option<Old<'_>>,
    manifest: &Manifest,
    blobs: &[Option<ObjectId>],
) -> Result<Vec<TreeEntry>> {
    let items = |manifest: &'_ Manifest, blobs: Option<&[Option<ObjectId>]>, scope| {
        let lines = manifest.lines.iter().enumerate().filter(|(_, l)| l.scope == scope);
        lines
            .filter_map(|(i, line)| {
                let stored = line.body.as_ref()?.stored;
                Some((line, stored, blobs.and_then(|b| b[i])))
            })
            .map(|(line, stored, id)| (line.path.as_bytes().to_vec(), tree_mode(line), stored, id))
            .collect::<Vec<_>>()
    };
    let mut out = Vec::new();
    for scope in Scope::ALL {
        let new = items(manifest, Some(blobs), scope);
        if new.is_empty() {
            continue;
        }
        let before = old.map(|o| items(o.manifest, None, scope)).unwrap_or_default();
        let old_tree = match &old {
            Some(o) => o.trees.find(o.root, std::iter::once(scope.as_str().as_bytes()))?.filter(|e| e.0 == TREE).map(|e| e.1),
            None => None,
        };
        fn borrow(items: &[(Vec<u8>, u32, Digest, Option<ObjectId>)]) -> Vec<Item<'_>> {
            items.iter().map(|(path, mode, stored, id)| Item { path, mode: *mode, stored: *stored, id: *id }).collect()
        }
        let builder = Builder { batch, trees: old.map(|o| o.trees) };
        let id = builder.build(&borrow(&new), 0, old_tree, &borrow(&before), 0)?;
        out.push(TreeEntry { mode: TREE, name: scope.as_str().into(), id });
    }
    Ok(out)
}

struct Builder<'a> {
    batch: &'a Batch,
    trees: Option<&'a Trees<'a>>,
}

impl Builder<'_> {
    fn build(
        &self,
        items: &[Item<'_>],
        prefix: usize,
        old: Option<ObjectId>,
        before: &[Item<'_>],
        depth: usize,
    ) -> Result<ObjectId> {
        if depth > MAX_DEPTH {
            return Err(Error::Refused { what: "directories nested too deeply", subject: shown(items[0].path) });
        }
        let same =
            |(a, b): (&Item<'_>, &Item<'_>)| a.id.is_none() && a.path == b.path && a.mode == b.mode && a.stored == b.stored;
        if let Some(old) = old
            && items.len() == before.len()
            && items.iter().zip(before).all(same)
        {
            return Ok(old);
        }
        let known = match (old, self.trees) {
            (Some(old), Some(trees)) => Some(trees.entries(old)?),
            _ => None,
        };
        let known = |name: &[u8]| {
            let entries = known.as_ref()?;
            entries.binary_search_by(|e| e.name.as_slice().cmp(name)).ok().map(|i| &entries[i])
        };
        let mut entries = Vec::new();
        let mut rest = items;
        while let Some(item) = rest.first() {
            let path = &item.path[prefix..];
            if let Some(cut) = memchr::memchr(b'/', path) {
                let with = &item.path[..=prefix + cut];
                // Sorted by raw paths, all that lies in one directory stands together.
                let count = rest.partition_point(|i| i.path.starts_with(with));
                let from = before.partition_point(|i| i.path < with);
                let to = from + before[from..].partition_point(|i| i.path.starts_with(with));
                let name = place::encode(&path[..cut]).into_owned();
                let below = known(&name).filter(|e| e.mode == TREE).map(|e| e.id);
                let id = self.build(&rest[..count], prefix + cut + 1, below, &before[from..to], depth + 1)?;
                entries.push(TreeEntry { mode: TREE, name, id });
                rest = &rest[count..];
            } else {
                let name = place::encode(path).into_owned();
                let id = match item.id {
                    Some(id) => id,
                    None => known(&name).filter(|e| e.mode != TREE).map(|e| e.id).ok_or_else(|| Error::Refused {
                        what: "the tree before lacks a file of its manifest",
                        subject: shown(item.path),
                    })?,
                };
                entries.push(TreeEntry { mode: item.mode, name, id });
                rest = &rest[1..];
            }
        }
        put_tree(self.batch, entries)
    }
}

fn shown(path: &[u8]) -> String {
    ConfigPath::new(path).map_or_else(|_| path.escape_ascii().to_string(), |p| p.to_string())
}
