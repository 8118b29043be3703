//! Folding packs by `git pack-objects`, beside running writers and readers.
//!
//! Why no object of a running or just finished batch is lost: the packs that may go are listed, and the
//! refs read, under the writers' lock, when every pack that is there has its refs. So the new pack holds whatever
//! the listed ones had that a ref reaches, and packs that appear meanwhile are not on the list. A batch that runs
//! relies only on what refs reach, and a ref that it relied on and that was removed meanwhile fails its commit.
//! Readers that hold an old pack keep it, others look once more.
//!
//! Packs of batches are *raw*: compressed fast, without deltas. `git` takes for granted that objects of
//! one pack were compared with each other when it was made, so raw packs are first packed anew from the bytes up,
//! once in the life of an object; after that its deltas and its compression are used again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{Error, Result};
use super::lock::Lock;
use super::objects::Pack;
use super::pack::count_objects;
use super::refs::Refs;
use super::repo::Repo;
use super::{git, hints, pending};
use crate::fsio;

/// How much work maintenance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Folds small packs together so that few are left; all objects stay.
    Fold,
    /// Packs everything that a ref reaches into one pack with good deltas; the rest goes.
    Thorough,
}

/// What maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Packs before.
    pub packs_before: usize,
    /// Packs after, those that appeared meanwhile included.
    pub packs_after: usize,
    /// Size of all packs and indices before, in bytes.
    pub before_bytes: u64,
    /// Size of all packs and indices after, in bytes.
    pub after_bytes: u64,
}

/// A pack on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OnDisk {
    /// `pack-<hash>`.
    stem: String,
    objects: u64,
    /// Size of the pack and what belongs to it, in bytes.
    bytes: u64,
    /// Marked by someone to stay.
    keep: bool,
    /// Written by a batch: without deltas, and without the reverse index that `git` writes for its own.
    raw: bool,
}

/// How long maintenance waits for a writer.
pub(super) const WAIT: Duration = Duration::from_secs(60);

/// The ends of the names of the files of a pack, its index first: without it, no reader looks at the others.
const PARTS: &[&str] = &["idx", "pack", "rev", "bitmap", "mtimes"];

/// A file of a killed `git` is left alone for this long, as it could be a living one's.
const FOREIGN_AGE: Duration = Duration::from_secs(24 * 3600);

/// Each pack that stays is at least this many times as large as all smaller ones together.
const GEOMETRY: u64 = 2;

/// Counts the packs: each snapshot run adds one, and every one costs each reader some time.
///
/// # Errors
/// The folder of packs cannot be read.
pub fn pack_count(repo: &Repo) -> Result<usize> {
    Ok(list(&repo.pack_dir())?.len())
}

/// Folds packs, beside running writers and readers.
///
/// # Errors
/// [`Error::Locked`] if another maintenance runs, [`Error::Git`], or the disk refused; the store then holds what it held.
pub fn maintain(repo: &Repo, effort: Effort) -> Result<Maintained> {
    let cache = repo.make_cache_dir()?;
    let _alone = Lock::take(&cache.join("maintain.lock"), Duration::ZERO)?;
    let folder = repo.pack_dir();
    let (packs, refs) = {
        let _writers = repo.lock(WAIT)?;
        pending::recover(repo)?;
        (list(&folder)?, repo.refs()?)
    };
    sweep_foreign(&folder)?;
    let work = Work::create(cache, &repo.dir().join("objects"))?;
    let chosen: Vec<&OnDisk> = match effort {
        Effort::Fold => fold_choice(&packs),
        Effort::Thorough => packs.iter().filter(|p| !p.keep).collect(),
    };
    let sum = |packs: &[OnDisk]| packs.iter().map(|p| p.bytes).sum();
    if !chosen.is_empty() {
        let new = work.make(repo, effort, &chosen, &refs)?;
        for stem in &new {
            work.sync(stem)?;
        }
        {
            // So that a writer who finds half of a pack knows that its maintenance is dead.
            let _writers = repo.lock(WAIT)?;
            for stem in &new {
                work.publish(stem, &folder)?;
            }
            fsio::sync_dir(&folder)?;
        }
        // Lists of packs and commits that `git` made by hand name what goes now.
        for list in ["multi-pack-index", "../info/commit-graph"] {
            fsio::unlink_if_there(&folder.join(list))?;
        }
        for pack in chosen.iter().filter(|p| !new.contains(&p.stem)) {
            work.retire(&pack.stem, &folder)?;
        }
        fsio::sync_dir(&folder)?;
        if effort == Effort::Thorough {
            let mut command = git::command(repo.dir());
            command.args(["prune-packed", "--quiet"]);
            git::run(command, "prune-packed", Vec::new())?;
        }
    }
    work.remove();
    let after = list(&folder)?;
    Ok(Maintained { packs_before: packs.len(), packs_after: after.len(), before_bytes: sum(&packs), after_bytes: sum(&after) })
}

/// Gives the packs that must be folded so that the rest is a geometric row; none if it is one already.
fn fold_choice(packs: &[OnDisk]) -> Vec<&OnDisk> {
    let mut row: Vec<&OnDisk> = packs.iter().filter(|p| !p.keep).collect();
    row.sort_by(|a, b| a.objects.cmp(&b.objects).then_with(|| a.stem.cmp(&b.stem)));
    // From the largest down, as long as each is large enough against the next smaller one.
    let mut split = row.len();
    while split > 1 && row[split - 1].objects >= GEOMETRY * row[split - 2].objects {
        split -= 1;
    }
    if split <= 1 {
        return Vec::new();
    }
    // What is folded becomes one pack; the ones above must be large enough against that too.
    let mut total: u64 = row[..split].iter().map(|p| p.objects).sum();
    while split < row.len() && row[split].objects < GEOMETRY * total {
        total += row[split].objects;
        split += 1;
    }
    row.truncate(split);
    row
}

/// The folder `confvault/work`: an object directory for `git`, in which it leaves what it makes.
#[derive(Debug)]
struct Work {
    dir: PathBuf,
}

impl Work {
    /// Makes the folder anew; what a killed maintenance left in it goes.
    fn create(cache: &Path, objects: &Path) -> Result<Self> {
        let work = Self { dir: cache.join("work") };
        work.remove();
        for folder in ["", "info", "pack"] {
            fsio::create_dir_all(&work.dir.join(folder), fsio::PRIVATE_DIR)?;
        }
        let mut line = objects.as_os_str().as_encoded_bytes().to_vec();
        line.push(b'\n');
        fsio::write_file(&work.dir.join("info/alternates"), &line, fsio::PRIVATE_FILE)?;
        Ok(work)
    }

    /// Removes the folder; what cannot be removed now is removed the next time.
    fn remove(&self) {
        drop(fsio::remove_all(&self.dir));
    }

    /// Makes the packs that stand for the chosen ones; gives their stems.
    fn make(&self, repo: &Repo, effort: Effort, chosen: &[&OnDisk], refs: &Refs) -> Result<Vec<String>> {
        let (open, _) = repo.objects().packs()?;
        let is = |pack: &Pack, wanted: &OnDisk| pack.path.file_stem().is_some_and(|stem| stem == wanted.stem.as_str());
        let among = |wanted: &[&OnDisk]| {
            let packs: Vec<_> = open.iter().filter(|p| wanted.iter().any(|w| is(p, w))).collect();
            if packs.len() == wanted.len() {
                return hints::within(repo, packs.iter().map(|p| p.as_ref()));
            }
            let what = "an index does not open".to_owned();
            Err(Error::CorruptFile { what, path: repo.pack_dir() })
        };
        let raw: Vec<&OnDisk> = chosen.iter().copied().filter(|p| p.raw).collect();
        let cooked = if raw.is_empty() { Vec::new() } else { self.pack(repo, &["--no-reuse-object"], among(&raw)?)? };
        match effort {
            Effort::Fold if raw.len() == chosen.len() => Ok(cooked),
            Effort::Fold => self.pack(repo, &[], among(chosen)?),
            Effort::Thorough => self.pack(repo, &[], hints::reachable(repo, refs)?),
        }
    }

    /// Runs `git pack-objects` and gives the stems of the packs that it made.
    fn pack(&self, repo: &Repo, args: &[&str], list: hints::List) -> Result<Vec<String>> {
        let mut command = git::command(repo.dir());
        command.env("GIT_OBJECT_DIRECTORY", &self.dir);
        command.args(["-c", "pack.packSizeLimit=0", "-c", "pack.writeReverseIndex=true"]);
        // Ten versions of a text take little; ten chunks of large files would take a gigabyte with all threads.
        command.args(["-c", "pack.windowMemory=64m"]);
        // And whole packs mapped at once would take as much as the store has.
        command.args(["-c", "core.packedGitWindowSize=16m", "-c", "core.packedGitLimit=64m", "-c", "pack.deltaCacheSize=32m"]);
        command.arg("pack-objects");
        command.args(["--quiet", "--non-empty", "--delta-base-offset", "--depth=50"]).args(args);
        command.arg(self.dir.join("pack/pack"));
        let out = git::run(command, "pack-objects", list.into_lines())?;
        let out = String::from_utf8_lossy(&out);
        Ok(out.lines().filter(|l| l.len() == 40).map(|hash| format!("pack-{hash}")).collect())
    }

    /// Syncs the files of a pack.
    fn sync(&self, stem: &str) -> Result<()> {
        for part in PARTS {
            let path = self.dir.join("pack").join(format!("{stem}.{part}"));
            if path.exists() {
                fsio::set_mode_and_sync(&path, fsio::PRIVATE_FILE)?;
            }
        }
        Ok(())
    }

    /// Moves a synced pack among the others, its index last.
    fn publish(&self, stem: &str, folder: &Path) -> Result<()> {
        for part in PARTS.iter().rev() {
            let name = format!("{stem}.{part}");
            let from = self.dir.join("pack").join(&name);
            if from.exists() {
                fsio::rename(&from, &folder.join(&name))?;
            }
        }
        Ok(())
    }

    /// Removes a pack that was folded. Its index goes first, so that no reader looks at the rest; it is moved
    /// here, where [`recover`] finds it.
    fn retire(&self, stem: &str, folder: &Path) -> Result<()> {
        let name = format!("{stem}.idx");
        fsio::rename(&folder.join(&name), &self.dir.join("pack").join(&name))?;
        remove(folder, stem)
    }
}

/// Removes what a killed maintenance left: the packs whose indices are in the folder of the work, be it not yet or not
/// any more among the others, and that folder. The caller holds the writers' lock.
pub(super) fn recover(repo: &Repo) -> Result<()> {
    let work = repo.cache_dir().join("work");
    if !work.exists() {
        return Ok(());
    }
    let folder = repo.pack_dir();
    for entry in fs::read_dir(work.join("pack")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".idx").filter(|s| s.starts_with("pack-")) else { continue };
        if !folder.join(&name).exists() {
            remove(&folder, stem)?;
        }
    }
    // If nobody works there any more: it may hold as much as the store.
    if Lock::take(&repo.cache_dir().join("maintain.lock"), Duration::ZERO).is_ok() {
        drop(fsio::remove_all(&work));
    }
    Ok(())
}

fn remove(folder: &Path, stem: &str) -> Result<()> {
    for part in PARTS {
        fsio::unlink_if_there(&folder.join(format!("{stem}.{part}")))?;
    }
    Ok(())
}

/// Lists the packs that have an index.
fn list(folder: &Path) -> Result<Vec<OnDisk>> {
    let read = |path: &Path, source| Error::Read { path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| read(folder, e))? {
        let path = entry.map_err(|e| read(folder, e))?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !stem.starts_with("pack-") || path.extension().is_none_or(|e| e != "idx") {
            continue;
        }
        let mut bytes = 0;
        for part in PARTS {
            match fs::metadata(path.with_extension(part)) {
                Ok(meta) => bytes += meta.len(),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(read(&path, e)),
            }
        }
        let objects = count_objects(&path).map_err(|e| read(&path, e))?.into();
        let keep = path.with_extension("keep").exists() || path.with_extension("promisor").exists();
        let raw = !path.with_extension("rev").exists();
        found.push(OnDisk { stem, objects, bytes, keep, raw });
    }
    found.sort_by(|a, b| a.stem.cmp(&b.stem));
    Ok(found)
}

/// Removes what a `git` that was killed long ago left among the packs.
fn sweep_foreign(folder: &Path) -> Result<()> {
    let read = |source| Error::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let foreign = ["tmp_pack_", "tmp_idx_", "tmp_rev_", ".tmp-"].iter().any(|begin| name.starts_with(begin));
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        if foreign && age.is_some_and(|age| age > FOREIGN_AGE) {
            fsio::unlink_if_there(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packs(objects: &[u64]) -> Vec<OnDisk> {
        let name = |(i, n): (usize, &u64)| OnDisk { stem: format!("pack-{i:02}"), objects: *n, bytes: 0, keep: false, raw: true };
        objects.iter().enumerate().map(name).collect()
    }

    fn chosen(objects: &[u64]) -> Vec<u64> {
        fold_choice(&packs(objects)).iter().map(|p| p.objects).collect()
    }

    #[test]
    fn a_geometric_row_is_left_alone() {
        assert!(chosen(&[]).is_empty());
        assert!(chosen(&[7]).is_empty());
        assert!(chosen(&[1, 2, 4, 100]).is_empty());
    }

    #[test]
    fn what_breaks_the_row_is_folded_and_no_more() {
        assert_eq!(chosen(&[1, 1, 100]), [1, 1]);
        assert_eq!(chosen(&[5; 40]), [5; 40]);
        assert_eq!(chosen(&[1, 1, 3, 100]), [1, 1, 3]);
        assert_eq!(chosen(&[10, 10, 1000, 1]), [1, 10, 10]);
    }

    #[test]
    fn after_a_fold_nothing_is_left_to_fold() {
        let mut row: Vec<u64> = Vec::new();
        let mut work = 0;
        for _ in 0..366 {
            row.push(300);
            let folded: u64 = chosen(&row).iter().sum();
            let out: Vec<usize> = fold_choice(&packs(&row)).iter().map(|p| p.stem[5..].parse().unwrap()).collect();
            let mut at = 0;
            row.retain(|_| {
                at += 1;
                !out.contains(&(at - 1))
            });
            if folded > 0 {
                row.push(folded);
            }
            work += folded;
            assert!(chosen(&row).is_empty());
            assert!(row.len() < 12);
        }
        // Each object is packed anew a logarithmic number of times.
        assert!(work < 366 * 300 * 12);
    }
}
