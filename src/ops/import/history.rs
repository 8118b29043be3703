//! From a line of commits to what changed on each device.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ImportError;
use super::layout::{InSet, Layout, Placed};
use crate::collect::CollectError;
use crate::model::{ConfigPath, DeviceName, NameError};
use crate::ops::Error;
use crate::store::object::{EXECUTABLE, LINK, TREE, TreeEntry};
use crate::store::tree::MAX_DEPTH;
use crate::store::{Foreign, ForeignCommit, ObjectId};

/// Files that one commit may change.
const MOST_CHANGES: usize = 1_000_000;
/// Entries of trees that are looked at for one commit: trees of trees of trees can be many from little.
const MOST_ENTRIES: usize = 10_000_000;
/// Paths of files that belong to no device that are told.
const TOLD: usize = 5;

/// What a file has in a tree: whether it is a link, whether it may be executed, and its blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) link: bool,
    pub(super) executable: bool,
    pub(super) id: ObjectId,
}

/// A file that came, changed or went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// Place of the commit in the line.
    pub(super) commit: u32,
    /// Which file of the device.
    pub(super) file: u32,
    /// What it is now; nothing if it went.
    pub(super) node: Option<Node>,
}

/// A file of a device: its path in the repository, and where it stands in the set.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: Vec<u8>,
    pub(super) place: InSet,
}

/// All that happened to the files of one device, in order.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) files: Vec<File>,
    pub(super) events: Vec<Event>,
}

/// What a repository holds.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) devices: BTreeMap<DeviceName, History>,
    /// Names that cannot be those of devices.
    pub(super) bad_names: BTreeMap<String, NameError>,
    /// How many files belong to no device, and a few of them.
    pub(super) ignored: (usize, Vec<String>),
}

/// Where a path belongs, once that was found.
#[derive(Debug, Clone, Copy)]
enum Known {
    Ignored,
    File { device: u32, file: u32 },
}

/// Walks the line from its oldest commit on, below the folder `below`.
pub(super) fn walk(
    foreign: &Foreign,
    line: &[ForeignCommit],
    layout: &Layout,
    below: Option<&ConfigPath>,
    cancel: &AtomicBool,
) -> Result<Walked, Error> {
    let mut trees = Trees { foreign, now: HashMap::new(), before: HashMap::new(), looked: 0 };
    let mut sorter = Sorter { layout, known: HashMap::new(), devices: Vec::new(), at: HashMap::new(), walked: Walked::default() };
    let mut old = None;
    for (index, commit) in line.iter().enumerate() {
        if cancel.load(Ordering::Relaxed) {
            return Err(CollectError::Cancelled.into());
        }
        trees.turn();
        let new = trees.folder(commit.tree, below)?;
        if new == old {
            continue;
        }
        let mut changes = Vec::new();
        trees.compare(&mut Vec::new(), old, new, 0, &mut changes, &commit.id)?;
        let commit =
            u32::try_from(index).map_err(|_| ImportError::TooMany { limit: u32::MAX as usize, commit: commit.id.to_string() })?;
        changes.into_iter().for_each(|(path, node)| sorter.add(commit, path, node));
        old = new;
    }
    let Sorter { devices, mut walked, known, .. } = sorter;
    walked.devices = devices.into_iter().collect();
    if walked.devices.is_empty() && walked.bad_names.is_empty() {
        return Err(ImportError::NoDevices { files: known.len() }.into());
    }
    Ok(walked)
}

/// Gives each changed file to its device.
struct Sorter<'a> {
    layout: &'a Layout,
    known: HashMap<Vec<u8>, Known>,
    devices: Vec<(DeviceName, History)>,
    at: HashMap<DeviceName, u32>,
    walked: Walked,
}

impl Sorter<'_> {
    fn add(&mut self, commit: u32, path: Vec<u8>, node: Option<Node>) {
        let known = match self.known.get(&path) {
            Some(known) => *known,
            None => {
                let known = self.place(&path);
                self.known.insert(path, known);
                known
            }
        };
        if let Known::File { device, file } = known {
            self.devices[device as usize].1.events.push(Event { commit, file, node });
        }
    }

    fn place(&mut self, path: &[u8]) -> Known {
        let index = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        match self.layout.place(path) {
            Placed::Device(name, place) => {
                let device = *self.at.entry(name.clone()).or_insert_with(|| {
                    self.devices.push((name, History::default()));
                    index(self.devices.len() - 1)
                });
                let files = &mut self.devices[device as usize].1.files;
                files.push(File { path: path.to_vec(), place });
                Known::File { device, file: index(files.len() - 1) }
            }
            Placed::BadName(name, error) => {
                self.walked.bad_names.insert(name, error);
                Known::Ignored
            }
            Placed::Ignored => {
                let (count, some) = &mut self.walked.ignored;
                *count += 1;
                if some.len() < TOLD {
                    some.push(ConfigPath::new(path).map_or_else(|_| path.escape_ascii().to_string(), |p| p.to_string()));
                }
                Known::Ignored
            }
        }
    }
}

type Changes = Vec<(Vec<u8>, Option<Node>)>;

/// Reads trees and remembers those of the commit before, of which the next one has most.
struct Trees<'a> {
    foreign: &'a Foreign,
    now: HashMap<ObjectId, Rc<Vec<TreeEntry>>>,
    before: HashMap<ObjectId, Rc<Vec<TreeEntry>>>,
    /// Entries that were looked at for this commit.
    looked: usize,
}

impl Trees<'_> {
    /// Begins another commit.
    fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
        self.looked = 0;
    }

    fn entries(&mut self, id: ObjectId) -> Result<Rc<Vec<TreeEntry>>, ImportError> {
        if let Some(known) = self.now.get(&id) {
            return Ok(Rc::clone(known));
        }
        let entries = match self.before.get(&id) {
            Some(known) => Rc::clone(known),
            None => Rc::new(self.foreign.tree(&id)?),
        };
        self.now.insert(id, Rc::clone(&entries));
        Ok(entries)
    }

    /// Finds a folder below a tree.
    fn folder(&mut self, root: ObjectId, below: Option<&ConfigPath>) -> Result<Option<ObjectId>, ImportError> {
        let mut at = root;
        for name in below.into_iter().flat_map(ConfigPath::components) {
            let entries = self.entries(at)?;
            match entries.binary_search_by(|e| e.name.as_slice().cmp(name)) {
                Ok(found) if entries[found].mode == TREE => at = entries[found].id,
                _ => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Finds the files that differ between two trees; what went stands before what came.
    fn compare(
        &mut self,
        path: &mut Vec<u8>,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        depth: usize,
        changes: &mut Changes,
        commit: &ObjectId,
    ) -> Result<(), ImportError> {
        let too_many = || ImportError::TooMany { limit: MOST_CHANGES, commit: commit.to_string() };
        if depth > MAX_DEPTH {
            return Err(too_many());
        }
        let none = Rc::new(Vec::new());
        let read = |trees: &mut Self, id: Option<ObjectId>| id.map_or_else(|| Ok(Rc::clone(&none)), |id| trees.entries(id));
        let (old, new) = (read(self, old)?, read(self, new)?);
        let (mut a, mut b) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let (gone, come) = match (a.peek(), b.peek()) {
                (None, None) => return Ok(()),
                (Some(x), Some(y)) => match x.name.cmp(&y.name) {
                    std::cmp::Ordering::Less => (a.next(), None),
                    std::cmp::Ordering::Greater => (None, b.next()),
                    std::cmp::Ordering::Equal => (a.next(), b.next()),
                },
                (Some(_), None) => (a.next(), None),
                (None, Some(_)) => (None, b.next()),
            };
            if gone.zip(come).is_some_and(|(x, y)| x.mode == y.mode && x.id == y.id) {
                continue;
            }
            let Some(name) = gone.or(come).map(|e| &e.name) else { continue };
            let above = path.len();
            if above > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let tree = |e: Option<&TreeEntry>| e.filter(|e| e.mode == TREE).map(|e| e.id);
            let (old_tree, new_tree) = (tree(gone), tree(come));
            let (old_node, new_node) = (gone.and_then(node), come.and_then(node));
            if old_tree.is_some() || new_tree.is_some() {
                self.compare(path, old_tree, new_tree, depth + 1, changes, commit)?;
            }
            if old_node != new_node {
                changes.push((path.clone(), new_node));
            }
            self.looked += 1;
            if changes.len() > MOST_CHANGES || self.looked > MOST_ENTRIES {
                return Err(too_many());
            }
            path.truncate(above);
        }
    }
}

/// What an entry is, if it is a file or a link. Another repository in a folder is neither.
fn node(entry: &TreeEntry) -> Option<Node> {
    let file = entry.mode & 0o170_000 == 0o100_000;
    let link = entry.mode == LINK;
    // Old programs wrote other rights, of which the owner's to execute counts.
    let executable = file && entry.mode & (EXECUTABLE & 0o100) != 0;
    (file || link).then_some(Node { link, executable, id: entry.id })
}
