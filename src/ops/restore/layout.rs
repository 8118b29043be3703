//! Which entries of a set are meant, and where each one goes.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};

use super::{RestoreError, RestoreOptions};
use crate::model::{ConfigPath, Kind};
use crate::ops::paths::near;
use crate::store::{Access, Form, Line, Manifest};

/// An entry and its place.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) line: &'a Line,
    pub(super) path: ConfigPath,
    /// Whether it needs an identity that is not at hand.
    pub(super) locked: bool,
}

/// Lists what is chosen, sorted by place, directories before what is in them. The directories above
/// a chosen entry are in the list, so that they get their modes. Only with `masked` may entries need an
/// identity that is not at hand.
pub(super) fn layout<'a>(
    manifest: &'a Manifest,
    access: Access<'_>,
    options: &RestoreOptions,
    masked: bool,
) -> Result<Vec<Placed<'a>>, RestoreError> {
    let in_scope = |line: &&Line| options.scopes.is_empty() || options.scopes.contains(&line.scope);
    let lines = || manifest.lines.iter().filter(in_scope);
    let entries = manifest.lines.iter().map(|line| (line.scope, &line.path));
    let missing = options.paths.unused(entries.clone());
    if !missing.is_empty() {
        return Err(RestoreError::NoSuchPath { near: near(&missing, entries), paths: missing });
    }
    let mut chosen: Vec<&Line> = lines().filter(|line| options.paths.matches(line.scope, &line.path)).collect();
    if !options.paths.is_all() {
        let mut above = HashSet::new();
        for line in &chosen {
            let mut at = line.path.parent();
            while let Some(path) = at.filter(|path| above.insert((line.scope, path.clone()))) {
                at = path.parent();
            }
        }
        let there: HashSet<_> = chosen.iter().map(|line| line.key()).collect();
        let above = |line: &&Line| {
            line.kind == Kind::Directory && above.contains(&(line.scope, line.path.clone())) && !there.contains(&line.key())
        };
        chosen.extend(lines().filter(above).collect::<Vec<_>>());
    }
    let opens = access.opener.is_some_and(|o| o.identity(manifest.epoch).is_some());
    let place = |line: &'a Line| Ok((if options.by_scope { beside_scope(line)? } else { line.path.clone() }, line));
    let placed = |(path, line): (ConfigPath, &'a Line)| {
        let form = line.body.as_ref().map(|body| body.form);
        let locked = !opens && form.is_some_and(|form| form == Form::Masked || form.sealed());
        Placed { line, path, locked }
    };
    let places: Vec<Placed<'a>> = one_a_path(chosen.into_iter().map(place))?.into_iter().map(placed).collect();
    let locked: Vec<&Placed<'_>> = places.iter().filter(|p| p.locked).collect();
    if let Some(first) = locked.first().filter(|_| !masked) {
        let (count, first) = (locked.len() as u64, first.line.shown());
        return Err(RestoreError::NeedsIdentity { epoch: manifest.epoch, count, first });
    }
    Ok(places)
}

/// Gives each path the one entry that goes there, with nothing but directories above it.
///
/// # Errors
/// [`RestoreError::Conflict`]; what an item gives.
pub(in crate::ops) fn one_a_path<'a, P: Borrow<ConfigPath> + Ord>(
    lines: impl Iterator<Item = Result<(P, &'a Line), RestoreError>>,
) -> Result<BTreeMap<P, &'a Line>, RestoreError> {
    let conflict = |path: &ConfigPath| Err(RestoreError::Conflict { path: path.to_string() });
    let mut places: BTreeMap<P, &'a Line> = BTreeMap::new();
    for item in lines {
        let (path, line) = item?;
        match places.get(path.borrow()) {
            // A directory can hold files of more than one scope, and then has a line in each.
            Some(other) if (line.kind, other.kind) == (Kind::Directory, Kind::Directory) => {}
            Some(_) => return conflict(path.borrow()),
            None => drop(places.insert(path, line)),
        }
    }
    for path in places.keys() {
        let mut at = path.borrow().parent();
        while let Some(above) = at {
            if places.get(&above).is_some_and(|line| line.kind != Kind::Directory) {
                return conflict(path.borrow());
            }
            at = above.parent();
        }
    }
    Ok(places)
}

fn beside_scope(line: &Line) -> Result<ConfigPath, RestoreError> {
    let bytes = [line.scope.as_str().as_bytes(), b"/", line.path.as_bytes()].concat();
    // Only a path that fills the limit of its length does not fit below its scope.
    ConfigPath::new(bytes).map_err(|_| RestoreError::Conflict { path: line.shown() })
}
