//! Putting files: staged beside their places, checked, placed by renames, made active.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::error::DeviceRestoreError;
use super::item::{Form, Towards};
use super::job::Job;
use super::plan::is_below;
use super::record::Mark;
use super::site::Now;
use crate::collect::act::{ActError, Files, LEFTOVER, Seen, Target};
use crate::fsio::tree::Meta;
use crate::model::{ConfigPath, Kind, Owner, Scope};
use crate::profile::{Action, Restore};

/// Text of at most so many bytes is searched for secrets that must not be shown, in bytes.
const SEARCHED: u64 = 4 << 20;

/// Takes the files of a device one way. What stands as it is to stand is not touched, so this can be begun again
/// wherever it ended.
pub(super) fn put(job: &mut Job<'_, '_>, towards: Towards, now: &Now) -> Result<(), DeviceRestoreError> {
    let found = job.found(now)?;
    let begun = job.record.marks.iter().any(|mark| matches!(mark, Mark::Towards { .. }));
    let applied = job.record.has(&Mark::Applying);
    job.mark(Mark::Towards { towards })?;
    let (site, run, folder) = (job.site, job.record.facts.run.clone(), job.record.dir().to_owned());
    let restore = site.profile.restore().cloned().unwrap_or_default();
    let is_due = |at: &usize| {
        let (item, found) = (&job.record.facts.items[*at], found[*at].as_ref());
        let to_go = item.wanted(towards).is_none() && found.is_some();
        to_go || !item.is_met_by(towards, found)
    };
    let due: Vec<usize> = (0..found.len()).filter(is_due).collect();
    site.work(&run, &folder, |target| {
        let mut putting = Putting { job, towards, found: &found, restore: &restore, owner: None };
        if begun {
            putting.clean(target.files()?)?;
        }
        putting.stage(target, &due)?;
        if towards == Towards::Point {
            putting.check(target, &due, now)?;
        }
        putting.place(target.files()?, &due)?;
        let base = target.files()?.base();
        match towards {
            Towards::Point => putting.apply(target, &base, &restore.apply),
            // What never became active need not be made inactive.
            Towards::Before if applied => {
                putting.apply(target, &base, &restore.undo).and_then(|()| putting.apply(target, &base, &restore.apply))
            }
            Towards::Before => Ok(()),
        }
    })
}

struct Putting<'p, 'j, 'a> {
    job: &'p mut Job<'j, 'a>,
    towards: Towards,
    found: &'p [Option<Form>],
    restore: &'p Restore,
    /// The owner of new files by the profile, once it was asked for.
    owner: Option<Option<Owner>>,
}

impl Putting<'_, '_, '_> {
    fn path(&self, at: usize) -> ConfigPath {
        self.job.record.facts.items[at].path.clone()
    }

    fn wanted(&self, at: usize) -> Option<Form> {
        self.job.record.facts.items[at].wanted(self.towards).cloned()
    }

    /// Where an entry waits for its place.
    fn staged(&self, at: usize) -> Result<ConfigPath, ActError> {
        let path = &self.job.record.facts.items[at].path;
        let name = format!("{LEFTOVER}{}-{at}", self.job.record.facts.run);
        let staged = match path.parent() {
            Some(parent) => parent.join(name.as_bytes()),
            None => ConfigPath::new(name.as_bytes()),
        };
        staged.map_err(|error| ActError::Refused { doing: "write", path: path.to_string(), reason: error.to_string() })
    }

    /// Removes what an earlier try left.
    fn clean(&self, files: &mut dyn Files) -> Result<(), DeviceRestoreError> {
        files.hide()?;
        for at in 0..self.job.record.facts.items.len() {
            match files.remove(&self.staged(at)?) {
                // A folder that is not there has nothing in it.
                Ok(()) | Err(ActError::LinkAbove { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes what is new, beside its place; folders that are to be there are made at once, closed to others.
    fn stage(&mut self, target: &mut dyn Target, due: &[usize]) -> Result<(), DeviceRestoreError> {
        for &at in due {
            self.job.site.tools.world.check()?;
            let Some(wanted) = self.wanted(at) else { continue };
            let (path, staged) = (self.path(at), self.staged(at)?);
            let stands = self.found[at].as_ref();
            let owner = self.owner(target, &wanted, stands)?;
            match wanted.kind {
                Kind::Directory if stands.is_some_and(|form| form.kind == Kind::Directory) => {}
                Kind::Directory => {
                    self.job.mark(Mark::Changing { path: path.clone() })?;
                    // It has changed when it has its mode.
                    target.files()?.make_dir(&path, Meta { mode: 0o700, owner })?;
                }
                Kind::File => {
                    self.learn_secrets(at, &wanted)?;
                    let (towards, meta) = (self.towards, Meta { mode: wanted.mode, owner });
                    let files = target.files()?;
                    self.job.with_content(at, towards, |content| Ok(files.stage_file(&staged, meta, wanted.size, content)?))?;
                }
                Kind::Link => {
                    let bytes = self.job.with_content(at, self.towards, |content| {
                        let mut bytes = Vec::new();
                        let read = content.take(1 << 16).read_to_end(&mut bytes);
                        read.map_err(|source| ActError::Content { path: path.to_string(), source })?;
                        Ok(bytes)
                    })?;
                    target.files()?.stage_link(&staged, &bytes, owner)?;
                }
            }
        }
        Ok(())
    }

    fn learn_secrets(&mut self, at: usize, wanted: &Form) -> Result<(), DeviceRestoreError> {
        if wanted.size > SEARCHED {
            return Ok(());
        }
        let path = self.path(at);
        let bytes = self.job.with_content(at, self.towards, |content| {
            let mut bytes = zeroize::Zeroizing::new(Vec::new());
            content.read_to_end(&mut bytes).map_err(|source| ActError::Content { path: path.to_string(), source })?;
            Ok(bytes)
        })?;
        self.job.hide_secrets(&path, &bytes);
        Ok(())
    }

    /// The owner that an entry gets: that of the set, else the one that stands there, else the profile's.
    fn owner(
        &mut self,
        target: &mut dyn Target,
        wanted: &Form,
        stands: Option<&Form>,
    ) -> Result<Option<Owner>, DeviceRestoreError> {
        if wanted.owner.is_some() {
            return Ok(wanted.owner);
        }
        if let Some(owner) = stands.and_then(|form| form.owner) {
            return Ok(Some(owner));
        }
        if self.owner.is_none() {
            let named = self.restore.owner.as_ref();
            self.owner = Some(named.map(|text| target.files()?.owner(text)).transpose()?);
        }
        Ok(self.owner.flatten())
    }

    /// Shows the device's own programs the set as it will be.
    fn check(&mut self, target: &mut dyn Target, due: &[usize], now: &Now) -> Result<(), DeviceRestoreError> {
        let paths: Vec<&ConfigPath> = self.job.record.facts.items.iter().map(|item| &item.path).collect();
        let checks: Vec<&Action> = self.restore.check.iter().filter(|action| action.concerns(&paths)).collect();
        if checks.is_empty() {
            return Ok(());
        }
        let commands = self.job.site.profile.commands();
        let there = now.set.entries().iter().filter(|entry| entry.scope != Scope::Logs);
        let there = there.filter(|entry| !commands.iter().any(|command| command.path == entry.path));
        let mut seen: BTreeMap<ConfigPath, Option<ConfigPath>> =
            there.map(|entry| (entry.path.clone(), (entry.kind != Kind::Directory).then(|| entry.path.clone()))).collect();
        for &at in due {
            match self.wanted(at).map(|form| form.kind) {
                None => drop(seen.remove(&self.path(at))),
                Some(Kind::Directory) => drop(seen.insert(self.path(at), None)),
                Some(_) => drop(seen.insert(self.path(at), Some(self.staged(at)?))),
            }
        }
        let seen: Vec<Seen> = seen.into_iter().map(|(path, at)| Seen { path, at }).collect();
        let root = target.files()?.show(&seen)?;
        for action in checks {
            (self.job.tell)(&format!("Checking: {}", action.run));
            target.run(action, &action.run.replace("{root}", &root))?;
        }
        Ok(target.files()?.hide()?)
    }

    /// Gives everything its place.
    fn place(&mut self, files: &mut dyn Files, due: &[usize]) -> Result<(), DeviceRestoreError> {
        let change = |job: &mut Job<'_, '_>, path: &ConfigPath, act: &mut dyn FnMut() -> Result<(), ActError>| {
            job.mark(Mark::Changing { path: path.clone() })?;
            act()?;
            job.mark(Mark::Changed { path: path.clone() })
        };
        let mut moves = Vec::new();
        for &at in due.iter().filter(|&&at| self.wanted(at).is_some_and(|wanted| wanted.kind != Kind::Directory)) {
            moves.push((self.staged(at)?, self.path(at)));
        }
        // All at once: in between a program would see some of each.
        for (_, path) in &moves {
            self.job.mark(Mark::Changing { path: path.clone() })?;
        }
        files.place_all(&moves)?;
        for (_, path) in moves {
            self.job.mark(Mark::Changed { path })?;
        }
        for &at in due {
            let stands = self.found[at].as_ref().is_some_and(|stands| stands.kind != Kind::Directory);
            if stands && self.wanted(at).is_none() {
                let path = self.path(at);
                change(self.job, &path, &mut || files.remove(&path))?;
            }
        }
        // Folders last and the deepest first, as their modes may shut us out.
        for &at in due.iter().rev() {
            let path = self.path(at);
            match (self.wanted(at), &self.found[at]) {
                (Some(wanted), stands) if wanted.kind == Kind::Directory => {
                    let meta = Meta { mode: wanted.mode, owner: wanted.owner.or(stands.as_ref().and_then(|form| form.owner)) };
                    change(self.job, &path, &mut || files.dress_dir(&path, meta))?;
                }
                (None, Some(stands)) if stands.kind == Kind::Directory && !self.holds_something(&path) => {
                    change(self.job, &path, &mut || files.remove_dir(&path).map(drop))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells whether an entry below a folder is to be there.
    fn holds_something(&self, folder: &ConfigPath) -> bool {
        self.job.record.facts.items.iter().any(|item| is_below(&item.path, folder) && item.wanted(self.towards).is_some())
    }

    /// Runs the commands that make the files active.
    fn apply(&mut self, target: &mut dyn Target, base: &str, actions: &[Action]) -> Result<(), DeviceRestoreError> {
        let paths: Vec<&ConfigPath> = self.job.record.facts.items.iter().map(|item| &item.path).collect();
        let needed: Vec<&Action> = actions.iter().filter(|action| action.concerns(&paths)).collect();
        if needed.is_empty() {
            return Ok(());
        }
        self.job.mark(Mark::Applying)?;
        for action in needed {
            (self.job.tell)(&format!("Running: {}", action.run));
            target.run(action, &action.run.replace("{root}", base))?;
        }
        self.job.mark(Mark::Applied)
    }
}
