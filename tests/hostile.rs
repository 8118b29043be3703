//! Those who attack: a process that swaps directories for links while a tree is written.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use confvault::fsio::tree::{Durability, Meta, TreeError, TreeOptions, TreeWriter};
use confvault::model::ConfigPath;
use rustix::fs::{CWD, RenameFlags};

/// RELIABILITY 36: a parent is swapped for a symbolic link all the time; nothing is written outside.
#[test]
fn a_parent_swapped_for_a_link_leads_nowhere() {
    // In memory where that is possible, so that the disk does not slow the race down.
    let shm = std::path::Path::new("/dev/shm");
    let dir = if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() };
    let (to, outside) = (dir.path().join("to"), dir.path().join("outside"));
    fs::create_dir_all(to.join("a/b/c")).unwrap();
    fs::create_dir_all(outside.join("b/c")).unwrap();
    fs::write(outside.join("b/c/f0"), "canary").unwrap();
    symlink(&outside, to.join("link")).unwrap();
    fs::create_dir_all(to.join("a/bb")).unwrap();
    symlink(outside.join("b"), to.join("a/evil")).unwrap();

    let stop = AtomicBool::new(false);
    let swaps = AtomicU64::new(0);
    let (mut placed, mut failed, mut moved) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // `a`, or `b` in it, is by turns a directory and a link to one outside of the same form. What
                // the writer replaced is put back.
                for (place, link, target) in [("a", "link", "."), ("a/b", "a/evil", "b")] {
                    let link = to.join(link);
                    if !fs::symlink_metadata(&link).is_ok_and(|m| m.is_symlink()) {
                        fs::remove_dir_all(&link).ok();
                        symlink(outside.join(target), &link).ok();
                    }
                    let swap = || rustix::fs::renameat_with(CWD, to.join(place), CWD, &link, RenameFlags::EXCHANGE);
                    if swap().is_ok() {
                        std::thread::sleep(std::time::Duration::from_micros(30));
                        swap().ok();
                        swaps.fetch_add(1, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(std::time::Duration::from_micros(30));
            }
        });
        let _stop = Stop(&stop);
        for round in 0..3_000 {
            let overwrite = round % 2 == 0;
            let mut out =
                TreeWriter::open(&to, TreeOptions { overwrite, sync: Durability::Never, ..TreeOptions::default() }).unwrap();
            let meta = Meta { mode: 0o640, owner: None };
            out.directory(&ConfigPath::new("a/b/c").unwrap(), Meta { mode: 0o750, owner: None }).unwrap();
            for name in ["a/b/c/f0", "a/b/c/new", "a/f"] {
                out.file(&ConfigPath::new(name).unwrap(), meta, b"restored").unwrap();
            }
            out.link(&ConfigPath::new("a/b/l").unwrap(), b"c", None).unwrap();
            let done = out.finish().unwrap();
            placed += done.files;
            failed += done.failed.len();
            moved += done.failed.iter().filter(|(_, e)| matches!(e, TreeError::Moved { .. })).count();
        }
    });
    let seen: Vec<String> = walk(&outside);
    assert_eq!(seen, ["b", "b/c", "b/c/f0"], "written outside");
    assert_eq!(fs::read(outside.join("b/c/f0")).unwrap(), b"canary");
    // The race was one: some rounds met a link, some did not.
    assert!(placed > 100 && failed > 100, "{placed} placed, {failed} failed, {moved} moved, {swaps:?} swaps");
}

/// Ends the attacker, also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            out.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() {
                todo.push(path);
            }
        }
    }
    out.sort();
    out
}
