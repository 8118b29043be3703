//! Stops the world at every step of a commit and of a maintenance, reopens, and looks.
//!
//! The work is done by a child process: this very test program, told by a variable to do it. See `fsio::fault`
//! for how the world is stopped.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit
)]
// Release builds have no faults to test with.
#![cfg(debug_assertions)]

#[path = "support/kills.rs"]
mod kills;
mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use confvault::store::maintain::{Effort, maintain};
use confvault::store::verify::{Damage, verify};
use confvault::store::{Batch, Error, ObjectId, ObjectKind, Repo};
use kills::Kills;
use support::{edit, fsck, garbage, git_ok, put_tag, rounds, try_put_commit};

const TASK: &str = "CONFVAULT_CRASH_TASK";

/// What a child does: task, repository, number.
fn child(task: &str, dir: &Path, number: usize, fault: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_child", "--nocapture", "--test-threads=1"]);
    command.env(TASK, format!("{task} {number} {}", dir.display()));
    command.env_remove("CONFVAULT_FAULT").stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    if !fault.is_empty() {
        command.env("CONFVAULT_FAULT", fault);
    }
    command
}

fn run(task: &str, dir: &Path, number: usize, fault: &str) -> ExitStatus {
    child(task, dir, number, fault).status().unwrap()
}

/// The part that runs in the child. On its own it does nothing.
#[test]
fn the_child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let mut words = task.splitn(3, ' ');
    let (task, number, dir) = (words.next().unwrap(), words.next().unwrap().parse().unwrap(), Path::new(words.next().unwrap()));
    let done = match task {
        "create" => Repo::create(dir).map(drop),
        "commit" => Repo::open(dir).and_then(|repo| commit(&repo, number)),
        "fold" => Repo::open(dir).and_then(|repo| maintain(&repo, Effort::Fold).map(drop)),
        "thorough" => Repo::open(dir).and_then(|repo| maintain(&repo, Effort::Thorough).map(drop)),
        "race" => Repo::open(dir).and_then(|repo| commit_line(&repo, "refs/heads/race/1", number)),
        "many" => {
            Repo::open(dir).and_then(|repo| (0..50).try_for_each(|n| commit_line(&repo, &format!("refs/heads/p{number}/1"), n)))
        }
        _ => unreachable!("{task}"),
    };
    // An error must reach the parent as a status, and a panic as another one.
    match done {
        Ok(()) => std::process::exit(0),
        Err(Error::RefMoved { .. }) => std::process::exit(9),
        Err(_) => std::process::exit(8),
    }
}

/// Two device lines, a name and a journal move together, as in a run.
fn commit(repo: &Repo, number: usize) -> Result<(), Error> {
    let batch = Batch::begin(repo)?;
    // Some of a batch lies on disk before the lock is taken.
    let big: Vec<u8> = (0..400_000u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(number as u32) >> 24) as u8).collect();
    batch.put_raw(ObjectKind::Blob, &big)?;
    batch
        .commit::<Error>(|refs, batch| {
            let mut edits = Vec::new();
            for name in ["refs/heads/gw/1", "refs/heads/pbx/1", "refs/heads/_journal/c/2026-01"] {
                let old = refs.get(name).map(|r| r.id);
                let text = format!("{name} {number}\n");
                let files: [(&str, &[u8]); 2] = [("big", &big), ("text", text.as_bytes())];
                edits.push(edit(name, old, Some(try_put_commit(batch, &files, old, &number.to_string())?)));
            }
            let tag = put_tag(batch, edits[0].new.unwrap(), "commit", &format!("n{number}"));
            edits.push(edit(&format!("refs/tags/gw/n{number}"), None, Some(tag)));
            Ok(edits)
        })
        .map(drop)
}

fn commit_line(repo: &Repo, name: &str, number: usize) -> Result<(), Error> {
    let batch = Batch::begin(repo)?;
    let before = repo.refs()?.get(name).map(|r| r.id);
    let text = format!("{name} {number} {}", std::process::id());
    let new = try_put_commit(&batch, &[("text", text.as_bytes())], before, &text)?;
    batch.commit::<Error>(|_, _| Ok(vec![edit(name, before, Some(new))])).map(drop)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn steps(trace: &Path) -> Vec<String> {
    fs::read_to_string(trace).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// A store with two commits, as the tests begin with.
fn base(dir: &Path) -> PathBuf {
    let store = dir.join("base.git");
    let repo = Repo::create(&store).unwrap();
    commit(&repo, 1).unwrap();
    commit(&repo, 2).unwrap();
    store
}

fn refs(dir: &Path) -> String {
    git_ok(dir, &["show-ref", "--dereference"])
}

/// The store is whole, in one of the two states, and the next run needs nobody's help.
#[track_caller]
fn check_after(store: &Path, old: &str, new: &str, what: &str) -> bool {
    let now = refs(store);
    assert!(now == old || now == new, "{what}: between the states:\n{now}");
    let repo = Repo::open(store).unwrap();
    let ours: String = repo.refs().unwrap().iter().map(|r| format!("{} {}\n", r.id, r.name)).collect();
    let theirs: String = now.lines().filter(|l| !l.ends_with("^{}")).map(|l| format!("{l}\n")).collect();
    assert_eq!(ours, theirs, "{what}");
    fsck(store);
    let killed_work = store.join("confvault/work").exists();
    commit(&repo, 77).unwrap_or_else(|e| panic!("{what}: the next run fails: {e}"));
    fsck(store);
    let found: Mutex<Vec<Damage>> = Mutex::default();
    verify(&repo, 1, &found).unwrap();
    assert_eq!(found.into_inner().unwrap(), [], "{what}");
    // What a killed maintenance left goes with the next run of any kind, and the next one works.
    let left: Vec<_> = garbage(store).into_iter().filter(|f| !f.ends_with("/maintain.lock")).collect();
    assert_eq!(left, Vec::<String>::new(), "{what}");
    assert!(!store.join("confvault/work").exists(), "{what}");
    if killed_work {
        maintain(&repo, Effort::Thorough).unwrap_or_else(|e| panic!("{what}: the next maintenance fails: {e}"));
        fsck(store);
    }
    // No pack stays that nobody refers to.
    assert_eq!(unreachable(store), "", "{what}");
    now == new
}

/// Objects that no ref reaches.
fn unreachable(store: &Path) -> String {
    let out = support::git(store).args(["fsck", "--unreachable", "--no-progress"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

fn every_step(task: &str, faults: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let store = base(dir.path());
    let old = refs(&store);
    // Once undisturbed, to learn the steps and the new state.
    let (work, trace) = (dir.path().join("work.git"), dir.path().join("trace"));
    copy(&store, &work);
    assert!(run(task, &work, 3, &format!("count:{}", trace.display())).success());
    let (new, count) = (refs(&work), steps(&trace).len());
    assert!(count > 5, "{count}");
    for fault in faults {
        let (mut olds, mut news) = (0, 0);
        for n in 1..=count {
            fs::remove_dir_all(&work).unwrap();
            copy(&store, &work);
            let what = format!("{task} {fault}:{n} ({})", steps(&trace)[n - 1]);
            let status = run(task, &work, 3, &format!("{fault}:{n}"));
            if *fault == "kill" {
                assert_eq!(status.signal(), Some(9), "{what}");
            } else {
                assert!(matches!(status.code(), Some(0 | 8)), "{what}: {status}");
            }
            // Success is only said of what is there.
            let is_new = check_after(&work, &old, &new, &what);
            assert!(is_new || old == new || !status.success(), "{what}: a success that is none");
            if is_new { news += 1 } else { olds += 1 }
        }
        assert!(old == new || (olds > 0 && news > 0), "{task} {fault}: {olds} old, {news} new");
    }
}

#[test]
fn a_commit_killed_at_any_step_is_old_or_new() {
    every_step("commit", &["kill"]);
}

#[test]
fn a_commit_that_fails_at_any_step_is_old_or_new() {
    every_step("commit", &["eio", "enospc", "short"]);
}

#[test]
fn maintenance_stopped_at_any_step_loses_nothing() {
    every_step("fold", &["kill", "eio"]);
    every_step("thorough", &["kill", "enospc"]);
}

#[test]
fn a_failed_commit_says_so_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = base(dir.path());
    let (work, trace) = (dir.path().join("work.git"), dir.path().join("trace"));
    copy(&store, &work);
    assert!(run("commit", &work, 3, &format!("count:{}", trace.display())).success());
    let steps = steps(&trace);
    let publish = steps.iter().position(|s| s.starts_with("Rename") && s.ends_with("/packed-refs")).unwrap();
    for n in 1..=publish + 1 {
        fs::remove_dir_all(&work).unwrap();
        copy(&store, &work);
        let packs = |dir: &Path| fs::read_dir(dir.join("objects/pack")).unwrap().count();
        assert_eq!(run("commit", &work, 3, &format!("enospc:{n}")).code(), Some(8), "{}", steps[n - 1]);
        assert_eq!((garbage(&work), packs(&work)), (vec![], packs(&store)), "step {n}: {}", steps[n - 1]);
    }
}

#[test]
fn a_creation_stopped_at_any_step_can_be_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let (work, trace) = (dir.path().join("a/work.git"), dir.path().join("trace"));
    assert!(run("create", &work, 0, &format!("count:{}", trace.display())).success());
    for fault in ["kill", "eio", "short"] {
        for n in 1..=steps(&trace).len() {
            fs::remove_dir_all(work.parent().unwrap()).unwrap();
            let what = format!("{fault} at {}", steps(&trace)[n - 1]);
            let status = run("create", &work, 0, &format!("{fault}:{n}"));
            let repo = match Repo::open(&work) {
                // Made, or to be made again.
                Ok(repo) => repo,
                Err(_) => {
                    assert!(!status.success(), "{what}");
                    Repo::create(&work).unwrap_or_else(|e| panic!("{what}: {e}"))
                }
            };
            commit(&repo, 1).unwrap();
            fsck(&work);
        }
    }
}

/// Data before names, names before refs.
#[test]
fn everything_is_synced_before_the_refs_move() {
    let dir = tempfile::tempdir().unwrap();
    let store = base(dir.path());
    let trace = dir.path().join("trace");
    assert!(run("commit", &store, 3, &format!("count:{}", trace.display())).success());
    let steps = steps(&trace);
    let shown = steps.join("\n");
    let last = |kind: &str, end: &str| {
        steps
            .iter()
            .rposition(|s| s.starts_with(kind) && s.ends_with(end))
            .unwrap_or_else(|| panic!("no {kind} {end} in\n{shown}"))
    };
    let order = [
        last("Write", "_pack"),
        last("Sync", "_pack"),
        last("Sync", "_idx"),
        last("Sync", "/packed-refs.new"),
        last("SyncDir", "/confvault"),
        last("Rename", ".pack"),
        last("Rename", ".idx"),
        last("SyncDir", "/objects/pack"),
        last("Link", "/packed-refs.lock"),
        last("Rename", "/packed-refs"),
        last("SyncDir", "base.git"),
    ];
    assert!(order.is_sorted(), "{order:?} in\n{shown}");
}

#[test]
fn random_kills_leave_a_store_that_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = base(dir.path());
    let mut kills = Kills::new(12345);
    while kills.go_on(rounds(60, 200)) {
        let (round, task) = (kills.rounds(), ["commit", "commit", "commit", "fold", "thorough"][kills.draw() % 5]);
        kills.kill(child(task, &store, 100 + round, "").spawn().unwrap());
        // All refs of a run stand at the same run.
        let repo = Repo::open(&store).unwrap();
        let now = repo.refs().unwrap();
        let subject = |name: &str| {
            let text = String::from_utf8(repo.commit(&now.get(name).unwrap().id).unwrap()).unwrap();
            text.lines().last().unwrap().to_owned()
        };
        let tops = ["refs/heads/gw/1", "refs/heads/pbx/1", "refs/heads/_journal/c/2026-01"].map(subject);
        assert!(tops.iter().all(|t| *t == tops[0]), "{tops:?}");
    }
    fsck(&store);
    let repo = Repo::open(&store).unwrap();
    commit(&repo, 999).unwrap();
    let left: Vec<_> = garbage(&store).into_iter().filter(|f| !f.contains("maintain.lock")).collect();
    assert_eq!(left, Vec::<String>::new());
    maintain(&repo, Effort::Thorough).unwrap();
    fsck(&store);
    assert!(!store.join("confvault/work").exists());
}

#[test]
fn two_writers_of_one_ref_never_lose_an_update() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("s.git");
    drop(Repo::create(&store).unwrap());
    let mut kept = 0;
    let races = rounds(200, 1000);
    for round in 0..races {
        let mut pair: Vec<Child> = (0..2).map(|n| child("race", &store, round * 2 + n, "").spawn().unwrap()).collect();
        for running in &mut pair {
            match running.wait().unwrap().code() {
                Some(0) => kept += 1,
                Some(9) => {}
                other => panic!("round {round}: {other:?}"),
            }
        }
    }
    let count = git_ok(&store, &["rev-list", "--count", "race/1"]);
    assert_eq!(count.trim().parse::<usize>().unwrap(), kept);
    assert!(kept >= races, "{kept}");
    fsck(&store);
}

#[test]
fn eight_processes_commit_fifty_batches_each() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("s.git");
    drop(Repo::create(&store).unwrap());
    let mut running: Vec<Child> = (0..8).map(|n| child("many", &store, n, "").spawn().unwrap()).collect();
    for process in &mut running {
        assert!(process.wait().unwrap().success());
    }
    for n in 0..8 {
        assert_eq!(git_ok(&store, &["rev-list", "--count", &format!("p{n}/1")]).trim(), "50");
    }
    fsck(&store);
    assert_eq!(garbage(&store), Vec::<String>::new());
}

/// What was never synced is lost, in the way that hurts most: files are empty, renames
/// undone, removed names back. What a commit said it had done must still be there.
#[test]
fn what_was_not_synced_may_be_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = base(dir.path());
    let old = refs(&store);
    let (work, trace) = (dir.path().join("work.git"), dir.path().join("trace"));
    copy(&store, &work);
    assert!(run("commit", &work, 3, &format!("count:{}", trace.display())).success());
    let (new, all) = (refs(&work), steps(&trace));
    for n in 1..=all.len() + 1 {
        fs::remove_dir_all(&work).unwrap();
        copy(&store, &work);
        let before = work.join("packed-refs.before");
        fs::copy(work.join("packed-refs"), &before).unwrap();
        fs::remove_file(&trace).unwrap();
        run("commit", &work, 3, &format!("kill:{n},count:{}", trace.display()));
        let what = format!("power cut before step {n}: {}", all.get(n - 1).map_or("end", String::as_str));
        lose_unsynced(&steps(&trace)[..n - 1], &before);
        fs::remove_file(&before).unwrap();
        let is_new = check_after(&work, &old, &new, &what);
        assert!(is_new || n <= all.len(), "{what}: an acknowledged commit is lost");
    }
}

/// Plays the worst disk: undoes what the steps did without a sync.
fn lose_unsynced(done: &[String], packed_refs_before: &Path) {
    let split = |step: &str| step.split_once(' ').map(|(kind, path)| (kind.to_owned(), PathBuf::from(path))).unwrap();
    let steps: Vec<_> = done.iter().map(|s| split(s)).collect();
    for (at, (kind, path)) in steps.iter().enumerate().rev() {
        let folder_synced = steps[at..].iter().any(|(k, p)| k == "SyncDir" && Some(p.as_path()) == path.parent());
        match kind.as_str() {
            "Rename" if !folder_synced && path.ends_with("packed-refs") => {
                // The old file, not the new one with old content.
                fs::remove_file(path).unwrap();
                fs::copy(packed_refs_before, path).unwrap();
            }
            // The name goes; a temporary name that may come back instead is swept like any other.
            "Rename" | "Link" | "Create" if !folder_synced && kind != "Create" => drop(fs::remove_file(path)),
            "Write" if !steps[at..].iter().any(|(k, p)| k == "Sync" && p == path) && path.exists() => {
                fs::File::options().write(true).open(path).unwrap().set_len(0).unwrap();
            }
            _ => {}
        }
    }
}

#[test]
fn two_threads_of_one_process_race_for_one_ref() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("s.git")).unwrap();
    let kept: usize = std::thread::scope(|s| {
        let workers: Vec<_> = (0..4)
            .map(|n| {
                let repo = &repo;
                s.spawn(move || (0..50).filter(|i| commit_line(repo, "refs/heads/race/1", n * 100 + i).is_ok()).count())
            })
            .collect();
        workers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    let mut at: Option<ObjectId> = Some(repo.refs().unwrap().get("refs/heads/race/1").unwrap().id);
    let mut length = 0;
    while let Some(id) = at {
        length += 1;
        let text = String::from_utf8(repo.commit(&id).unwrap()).unwrap();
        at = text.split_once("\nparent ").map(|(_, rest)| ObjectId::from_hex(&rest.as_bytes()[..40]).unwrap());
    }
    assert_eq!(length, kept);
}

/// A disk of its own for a test, gone with it.
struct Disk(PathBuf);

impl Disk {
    /// None where this process may not mount.
    fn mount(at: &Path, kib: usize) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "confvault-test"]).arg(at).stderr(Stdio::null());
        command.status().is_ok_and(|s| s.success()).then(|| Self(at.to_owned()))
    }

    fn grow(&self) {
        assert!(Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

/// A real full disk where the tests may mount one; by `enospc` everywhere.
#[test]
fn a_full_disk_leaves_the_old_state_and_room_brings_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let (mut full, mut fitted) = (0, 0);
    for round in 0..10 {
        // From too small for the pack to large enough for all of it.
        let Some(disk) = Disk::mount(&dir.path().join(format!("disk{round}")), 1960 + round * 50) else { return };
        let store = disk.0.join("s.git");
        let repo = Repo::create(&store).unwrap();
        commit(&repo, 1).unwrap();
        commit(&repo, 2).unwrap();
        let old = refs(&store);
        // A second tenant of the disk.
        fs::write(disk.0.join("ballast"), vec![1; 1 << 20]).unwrap();
        let done = commit(&repo, 3);
        let now = refs(&store);
        match &done {
            Ok(()) => fitted += 1,
            Err(_) => full += 1,
        }
        assert_eq!(now == old, done.is_err(), "round {round}: {done:?}");
        fsck(&store);
        disk.grow();
        commit(&repo, 4).unwrap();
        fsck(&store);
        assert_eq!(garbage(&store), Vec::<String>::new(), "round {round}");
    }
    assert!(full > 0 && fitted > 0, "{full} full, {fitted} fitted");
}
