//! What putting a point back to a device would do, and what it cannot do.

use std::collections::{BTreeMap, BTreeSet};

use super::error::DeviceRestoreError;
use super::goal::{Choice, Goal, lines_by_path, new_mode};
use super::item::{Act, Form, Item};
use super::job::Keeper;
use super::site::{Now, Site};
use crate::model::{ConfigPath, DeviceName, Entry, Kind, Release, Scope, count};
use crate::ops::release::{self, ReleaseDiff};
use crate::ops::restore::RestoreError;
use crate::ops::{Error, snapshot::reason};
use crate::profile::{Action, Claim, Restore, RestoreMethod};
use crate::store::{Error as StoreError, Line};

/// What putting a point back to a device would do.
#[derive(Debug)]
pub struct Plan {
    /// The device that is put back.
    pub device: DeviceName,
    /// The device whose set it is: another one for a stand-in.
    pub of: DeviceName,
    /// The number of the generation.
    pub generation: u64,
    /// Its release.
    pub release: Release,
    /// The release that the device runs, if it can be told.
    pub release_now: Option<Release>,
    /// What changed between the two releases, where they differ.
    pub between: Option<Between>,
    /// Why what stands on the device is no whole set.
    pub lacks: Option<String>,
    /// How the device is put back.
    pub method: RestoreMethod,
    /// What differs and will be put back; sorted by path.
    pub items: Vec<Item>,
    /// Entries that are as at the point.
    pub same: u64,
    /// Entries that the point does not have and that stay, as it was asked for.
    pub kept: u64,
    /// What differs and stays as it is.
    pub left: Vec<Left>,
    /// What stands in the way: nothing is done before it is gone or not chosen.
    pub blocked: Vec<Left>,
    /// What does not follow from putting the files back.
    pub notes: Vec<Note>,
    /// The commands that will run, in their order.
    pub commands: Vec<Planned>,
    /// Entries to put back that need an identity, which is not at hand.
    pub locked: u64,
    /// What has to be there before this can be done, and is not.
    pub needs: Vec<Note>,
    /// What is wrong with the signature of the point, which is put back all the same.
    pub foreign: Option<String>,
    /// What was wrong with the point when it was taken on purpose, and why it was.
    pub accepted: Option<String>,
    /// The number of the generation before, where the point is only a device, and its newest generation is what stands
    /// there: who meant another one is told of it.
    pub before: Option<u64>,
}

/// What is known of what changed between the release of the point and the one that runs.
#[derive(Debug)]
pub enum Between {
    /// The list, by the newest set of each.
    Known(ReleaseDiff),
    /// The store has no set of the release that runs.
    NoSet(Release),
    /// The release that runs cannot be told.
    NotTold,
    /// A set cannot be read, and why.
    Unread(String),
}

/// Something that differs and is not put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Where.
    pub path: ConfigPath,
    /// What it is, in words.
    pub what: String,
    /// Why it is not put back, in words.
    pub why: String,
}

/// Something beside the files: what they do not bring back, or what is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What, in words.
    pub what: String,
    /// Why, and what to do in its place.
    pub why: String,
}

/// When a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before anything becomes active.
    Check,
    /// To make it active.
    Apply,
    /// To make it last.
    Save,
}

impl Phase {
    /// Gives the word for text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Apply => "apply",
            Self::Save => "save",
        }
    }
}

/// A command that will run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// When.
    pub phase: Phase,
    /// The command as the profile has it.
    pub run: String,
    /// It interrupts calls.
    pub interrupts: bool,
}

impl Plan {
    /// Tells whether the device has what was chosen of the point.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.items.is_empty() && self.left.is_empty() && self.blocked.is_empty()
    }

    /// Tells whether the device runs the release of the point.
    #[must_use]
    pub fn same_release(&self) -> bool {
        self.release_now.as_ref() == Some(&self.release)
    }

    /// Counts what is done, by kind.
    #[must_use]
    pub fn count(&self, act: Act) -> usize {
        self.items.iter().filter(|item| item.act() == act).count()
    }

    /// Tells whether another plan would do the same, apart from what is volatile.
    pub(super) fn is_that_of(&self, other: &Plan) -> bool {
        let same = |a: &Item, b: &Item| {
            let before = match (&a.before, &b.before) {
                (Some(a), Some(b)) => a.is_met_by(b),
                (a, b) => a.is_none() && b.is_none(),
            };
            a.path == b.path && a.after == b.after && before
        };
        self.release_now == other.release_now
            && self.items.len() == other.items.len()
            && self.items.iter().zip(&other.items).all(|(a, b)| same(a, b))
    }
}

/// What the plan is made of.
struct Making<'m, 'a> {
    site: &'m Site<'a>,
    goal: &'m Goal<'a>,
    choice: &'m Choice,
    lines: BTreeMap<&'m ConfigPath, &'m Line>,
    entries: BTreeMap<&'m ConfigPath, &'m Entry>,
    /// What stands on the device that no set can have.
    odd: BTreeMap<&'m ConfigPath, &'static str>,
}

/// Makes the plan.
pub(super) fn make<'a>(site: &Site<'a>, goal: &Goal<'a>, now: &Now, choice: &Choice) -> Result<Plan, Error> {
    let restore = site.profile.restore().cloned().unwrap_or_default();
    let mut entries = BTreeMap::new();
    for entry in now.set.entries().iter().filter(|entry| entry.scope != Scope::Logs) {
        entries.entry(&entry.path).or_insert(entry);
    }
    let odd = now.skipped.iter().map(|skipped| (&skipped.path, skipped.what)).collect();
    let making = Making { site, goal, choice, lines: lines_by_path(goal)?, entries, odd };
    making.check_paths()?;
    let generation = goal.generation();
    let mut plan = Plan {
        device: site.device.name.clone(),
        of: generation.device.clone(),
        generation: generation.number,
        release: generation.release.clone(),
        release_now: now.release.clone(),
        between: None,
        lacks: now.lacks.as_ref().map(|error| reason(error)),
        method: restore.method,
        items: Vec::new(),
        same: 0,
        kept: 0,
        left: Vec::new(),
        blocked: Vec::new(),
        notes: Vec::new(),
        commands: Vec::new(),
        locked: 0,
        needs: Vec::new(),
        foreign: None,
        accepted: None,
        before: None,
    };
    making.fill(&mut plan)?;
    if !plan.same_release() {
        plan.between = Some(between(site, &plan));
    }
    let changed = |cannot: &crate::profile::Cannot| plan.items.iter().any(|item| cannot.concerns(&item.path));
    let told = restore.cannot.iter().filter(|cannot| cannot.paths.is_empty() || (cannot.written && changed(cannot)));
    plan.notes = told.map(|cannot| Note { what: cannot.what.clone(), why: cannot.why.clone() }).collect();
    if !plan.items.is_empty() {
        plan.notes.extend(no_commands(&restore));
        let filled = |run: &str| restore.upload.as_ref().map_or_else(|| run.to_owned(), |file| run.replace("{file}", file));
        for (phase, actions) in [(Phase::Check, &restore.check), (Phase::Apply, &restore.apply), (Phase::Save, &restore.save)] {
            let paths: Vec<&ConfigPath> = plan.items.iter().map(|item| &item.path).collect();
            let needed = |action: &&Action| action.concerns(&paths);
            let planned = actions.iter().filter(needed).map(|a| Planned { phase, run: filled(&a.run), interrupts: a.interrupts });
            plan.commands.extend(planned);
        }
    }
    plan.needs = needs(site, &plan);
    Ok(plan)
}

/// What files alone do not do, where the profile names no command for it.
fn no_commands(restore: &Restore) -> Vec<Note> {
    if restore.method != RestoreMethod::Files {
        return Vec::new();
    }
    let note = |what: &str, why: &str| Note { what: what.to_owned(), why: why.to_owned() };
    let check = note("a check before anything becomes active", "the profile names no command for it");
    let apply =
        note("making it active", "the profile names no command for it: what has read its files goes on with the old ones");
    let lacks = [(restore.check.is_empty(), check), (restore.apply.is_empty(), apply)];
    lacks.into_iter().filter_map(|(lacks, note)| lacks.then_some(note)).collect()
}

/// What has to be there, and is not: an identity, and programs where the commands run on this machine.
fn needs(site: &Site<'_>, plan: &Plan) -> Vec<Note> {
    let mut needs = Vec::new();
    if plan.items.is_empty() {
        return needs;
    }
    if plan.locked > 0 || matches!(Keeper::new(site), Err(DeviceRestoreError::NeedsIdentity)) {
        let closed = match plan.locked {
            0 => String::new(),
            locked => {
                let are = if locked == 1 { "is" } else { "are" };
                format!("{} at the point {are} sealed or with secrets, and ", count(locked, "entry"))
            }
        };
        let why = format!("{closed}what stands on the device is kept sealed for the way back");
        needs.push(Note { what: "an identity".to_owned(), why });
    }
    for command in &plan.commands {
        if let Some(program) = site.lacks_program(&command.run)
            && !needs.iter().any(|need: &Note| need.what == program)
        {
            let why = format!("it is not on the PATH of this machine, where `{}` runs", command.run);
            needs.push(Note { what: program, why });
        }
    }
    needs
}

/// Compares the two releases. A stand-in may have a set of the one that it runs where the device of the point has none.
fn between(site: &Site<'_>, plan: &Plan) -> Between {
    let Some(now) = &plan.release_now else { return Between::NotTold };
    for device in [&plan.device, &plan.of] {
        match release::diff_across(site.tools.reader, (&plan.of, &plan.release), (device, now)) {
            Ok(diff) => return Between::Known(diff),
            Err(Error::Store(StoreError::NoGeneration { .. } | StoreError::NoDevice { .. })) => {}
            Err(error) => return Between::Unread(reason(&error)),
        }
    }
    Between::NoSet(now.clone())
}

impl Making<'_, '_> {
    /// A path that chooses nothing, neither at the point nor on the device, is a mistake.
    fn check_paths(&self) -> Result<(), RestoreError> {
        let lines = self.lines.values().map(|line| (line.scope, &line.path));
        let entries = self.entries.values().map(|entry| (entry.scope, &entry.path));
        let all = lines.chain(entries);
        let paths = self.choice.paths.unused(all.clone());
        if paths.is_empty() {
            return Ok(());
        }
        Err(RestoreError::NoSuchPath { near: crate::ops::paths::near(&paths, all), paths })
    }

    fn fill(&self, plan: &mut Plan) -> Result<(), Error> {
        let mut paths: BTreeSet<&ConfigPath> = BTreeSet::new();
        paths.extend(self.lines.values().filter(|line| self.choice.takes(line.scope, &line.path)).map(|line| &line.path));
        paths.extend(self.entries.values().filter(|entry| self.choice.takes(entry.scope, &entry.path)).map(|e| &e.path));
        for path in paths {
            self.one(path, plan)?;
        }
        self.folders_above(plan);
        plan.items.sort_by(|a, b| a.path.cmp(&b.path));
        let locked = |item: &&Item| {
            let line = self.lines.get(&item.path).filter(|_| item.after.is_some());
            line.is_some_and(|line| self.goal.is_locked(self.site.tools, line))
        };
        plan.locked = plan.items.iter().filter(locked).count() as u64;
        Ok(())
    }

    fn one(&self, path: &ConfigPath, plan: &mut Plan) -> Result<(), Error> {
        let (line, entry) = (self.lines.get(path).copied(), self.entries.get(path).copied());
        let before = entry.map(|entry| self.goal.found(entry, self.site)).transpose()?;
        let after = line.map(|line| self.goal.wanted(line, before.as_ref(), self.choice, self.site));
        let scope = line.map(|line| line.scope).or(entry.map(|entry| entry.scope)).unwrap_or(Scope::System);
        let item = Item { scope, path: path.clone(), before, after };
        if item.wanted(super::Towards::Point).is_some_and(|after| item.before.as_ref().is_some_and(|b| after.is_met_by(b))) {
            plan.same += 1;
            return Ok(());
        }
        if let Some(left) = self.left(&item, plan.method) {
            plan.left.extend(left);
        } else if let Some(blocked) = self.blocked(&item) {
            plan.blocked.push(blocked);
        } else if item.after.is_none() && self.choice.keep_extra {
            plan.kept += 1;
        } else if item.after.is_some() || !self.is_above_something(path) {
            plan.items.push(item);
        }
        Ok(())
    }

    /// What differs and is not put back; told, unless there is nothing to tell.
    fn left(&self, item: &Item, method: RestoreMethod) -> Option<Option<Left>> {
        let profile = &self.site.profile;
        let left =
            |what: &str, why: &str| Some(Some(Left { path: item.path.clone(), what: what.to_owned(), why: why.to_owned() }));
        let restore = profile.restore();
        let cannot = restore.and_then(|r| r.cannot.iter().find(|cannot| !cannot.written && cannot.concerns(&item.path)));
        if let Some(cannot) = cannot {
            return left(&cannot.what, &cannot.why);
        }
        let config = restore.and_then(|restore| restore.config.as_ref());
        match method {
            RestoreMethod::Commands if config == Some(&item.path) => match (&item.before, &item.after) {
                (Some(_), Some(_)) => None,
                (None, _) => left("the configuration", "what stands on the device cannot be read, so there is no way back"),
                (_, None) => left("the configuration", "the point has none"),
            },
            RestoreMethod::Commands if item.kind() == Kind::Directory => Some(None),
            RestoreMethod::Commands => left("beside the configuration that is sent", "the profile says how one file is sent"),
            RestoreMethod::None => left("the set", "the profile does not say how it is put back"),
            RestoreMethod::Files => {
                if let Some(command) = profile.commands().iter().find(|command| command.path == item.path) {
                    return left(&format!("the output of `{}`", command.run), "it is no file of the device");
                }
                if profile.claim(&item.path) == Claim::Skip {
                    return left("no part of the set any more", "the profile leaves it out");
                }
                None
            }
        }
    }

    /// What cannot be replaced by a rename, or brought back if it has to be.
    fn blocked(&self, item: &Item) -> Option<Left> {
        let blocked = |what: String, why: &str| Some(Left { path: item.path.clone(), what, why: why.to_owned() });
        if let Some(what) = self.odd.get(&item.path).filter(|_| item.before.is_none()) {
            return blocked(format!("a {what}"), "it could not be brought back");
        }
        match (item.before.as_ref().map(|form| form.kind), item.after.as_ref().map(|form| form.kind)) {
            (Some(Kind::Directory), Some(Kind::File | Kind::Link)) => {
                blocked("a folder".to_owned(), "a file belongs there: move the folder away")
            }
            (Some(Kind::File), Some(Kind::Directory)) => {
                blocked("a file".to_owned(), "a folder belongs there: move the file away")
            }
            (Some(Kind::Link), Some(Kind::Directory)) => {
                blocked("a link".to_owned(), "a folder belongs there: remove the link, which is never followed")
            }
            _ => None,
        }
    }

    /// Tells whether something of the point lies below a path.
    fn is_above_something(&self, path: &ConfigPath) -> bool {
        let from = self.lines.range::<&ConfigPath, _>(path..).map(|(other, _)| other);
        from.take_while(|other| other.as_bytes().starts_with(path.as_bytes())).any(|other| is_below(other, path))
    }

    /// A file that is made needs the folders above it, also where only the file was chosen.
    fn folders_above(&self, plan: &mut Plan) {
        let made = plan.items.iter().filter(|item| item.before.is_none() && item.after.is_some());
        let mut needed: BTreeSet<ConfigPath> = BTreeSet::new();
        for item in made {
            let mut at = item.path.parent();
            while let Some(path) = at.filter(|path| !self.entries.contains_key(path)) {
                at = path.parent();
                needed.insert(path);
            }
        }
        needed.retain(|path| !plan.items.iter().any(|item| item.path == *path));
        for path in needed {
            let line = self.lines.get(&path).copied();
            let plain = |kind| Form { kind, mode: new_mode(kind, self.site), owner: None, size: 0, plain: None, normal: None };
            let after = line.map_or_else(|| plain(Kind::Directory), |line| self.goal.wanted(line, None, self.choice, self.site));
            let scope = line.map_or(Scope::System, |line| line.scope);
            plan.items.push(Item { scope, path, before: None, after: Some(after) });
        }
    }
}

/// Tells whether a path lies below another.
pub(super) fn is_below(path: &ConfigPath, folder: &ConfigPath) -> bool {
    path.as_bytes().strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
}
