//! The lines of a device and its generations, newest first; from commits alone.

use gix::ObjectId;

use super::error::{Error, Result};
use super::generation::Generation;
use super::refs::Refs;
use super::repo::Repo;
use crate::model::{DeviceName, Release};

/// Lists the devices that have a line, sorted.
#[must_use]
pub fn devices(refs: &Refs) -> Vec<DeviceName> {
    let mut out: Vec<DeviceName> = Vec::new();
    for name in refs.prefix("refs/heads/").filter_map(|r| r.name.strip_prefix("refs/heads/")?.split_once('/')) {
        // What begins with `_` is no device, and is no device name either.
        if out.last().is_none_or(|d| d.as_str() != name.0) {
            out.extend(name.0.parse::<DeviceName>().ok());
        }
    }
    // Refs sort `a-b/x` before `a/x`.
    out.sort();
    out.dedup();
    out
}

/// Gives the lines of a device: release and newest commit.
pub fn lines<'a>(refs: &'a Refs, device: &DeviceName) -> impl Iterator<Item = (Release, ObjectId)> + use<'a> {
    let prefix = format!("refs/heads/{device}/");
    let cut = prefix.len();
    refs.prefix(&prefix).filter_map(move |r| Some((Release::from_ref(r.name.get(cut..)?).ok()?, r.id)))
}

/// Gives the ref of a line.
#[must_use]
pub fn line_ref(device: &DeviceName, release: &Release) -> String {
    format!("refs/heads/{device}/{}", release.to_ref())
}

/// Reads a generation of a device.
///
/// # Errors
/// The commit is missing, corrupt, or of another device.
pub fn read_generation(repo: &Repo, device: &DeviceName, id: ObjectId) -> Result<Generation> {
    let corrupt = |what: &str| Error::Corrupt { whose: device.to_string(), what: what.to_owned(), id };
    let generation = Generation::parse(id, &repo.commit(&id)?).map_err(|e| corrupt(e.0))?;
    if generation.device != *device {
        return Err(corrupt("a generation of another device"));
    }
    Ok(generation)
}

/// Gives the newest generation of a device, over all its lines.
///
/// # Errors
/// [`Error::NoDevice`] with names that are near; a commit is missing or corrupt.
pub fn newest(repo: &Repo, refs: &Refs, device: &DeviceName) -> Result<Generation> {
    let mut newest: Option<Generation> = None;
    for (_, id) in lines(refs, device) {
        let head = read_generation(repo, device, id)?;
        if newest.as_ref().is_none_or(|n| n.number < head.number) {
            newest = Some(head);
        }
    }
    newest.ok_or_else(|| Error::NoDevice { device: device.clone(), near: near(refs, device) })
}

/// Finds the devices whose names are like a name, nearest first.
fn near(refs: &Refs, wanted: &DeviceName) -> Vec<String> {
    let devices = devices(refs);
    crate::model::near(wanted.as_str(), devices.iter().map(DeviceName::as_str))
}

/// Walks from generation to generation; reads commits only.
#[derive(Debug)]
pub struct History {
    repo: Repo,
    device: DeviceName,
    next: Option<Result<Generation>>,
}

impl History {
    pub(super) fn new(repo: &Repo, refs: &Refs, device: &DeviceName) -> Result<Self> {
        Ok(Self::from(repo, newest(repo, refs, device)?))
    }

    /// Begins at a generation.
    pub(super) fn from(repo: &Repo, at: Generation) -> Self {
        Self { repo: repo.clone(), device: at.device.clone(), next: Some(Ok(at)) }
    }

    fn before(&self, generation: &Generation) -> Option<Result<Generation>> {
        let corrupt = |what: &str| Error::Corrupt { whose: self.device.to_string(), what: what.to_owned(), id: generation.id };
        match generation.before() {
            None if generation.number == 1 => None,
            None => Some(Err(corrupt("a generation without the one before it"))),
            Some(id) => Some(read_generation(&self.repo, &self.device, id).and_then(|before| {
                // Numbers that go down by one at each step also make an end of every walk.
                if before.number + 1 == generation.number {
                    Ok(before)
                } else {
                    Err(corrupt("a generation whose last parent is not the one before it"))
                }
            })),
        }
    }
}

impl Iterator for History {
    type Item = Result<Generation>;
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next.take()?;
        if let Ok(generation) = &next {
            self.next = self.before(generation);
        }
        Some(next)
    }
}
