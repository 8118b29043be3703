//! Those who attack: a process that swaps directories for links while a tree is written, and mirrors that
//! send what must never become a store.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use confvault::fsio::tree::{Durability, Meta, TreeError, TreeOptions, TreeWriter};
use confvault::mirror::{self, GitEnv, GitUrl, Limits, Remote};
use confvault::model::ConfigPath;
use confvault::store::Store;
use confvault::store::facts::FactFiles;
use rustix::fs::{CWD, RenameFlags};
use support::{add_generation, git, git_ok, rounds};

/// A parent is swapped for a symbolic link all the time; nothing is written outside.
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
        let enough = rounds(3_000, 10_000);
        for round in 0..20 * enough {
            // Until the race was one, on a machine of whatever speed.
            if round >= enough && placed > 100 && failed > 100 {
                break;
            }
            let overwrite = round % 2 == 0;
            let mut out =
                TreeWriter::open(&to, TreeOptions { overwrite, sync: Durability::Never, ..TreeOptions::default() }).unwrap();
            let meta = Meta { mode: 0o640, owner: None };
            out.directory(&ConfigPath::new("a/b/c").unwrap(), Meta { mode: 0o750, owner: None }).unwrap();
            for name in ["a/b/c/f0", "a/b/c/new", "a/f"] {
                out.file(&ConfigPath::new(name).unwrap(), meta, b"restored").unwrap();
            }
            out.link(&ConfigPath::new("a/b/l").unwrap(), b"c", None).unwrap();
            // A restore whose folder is pulled about may fail as a whole, too; what counts is what stands outside.
            let Ok(done) = out.finish() else {
                failed += 1;
                continue;
            };
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

// --- Mirrors that attack whoever rebuilds a store from them: hostile trees and packs, old and unrelated histories ---

fn far(url: &str) -> (GitUrl, GitEnv, Limits) {
    let env = GitEnv::of([("PATH".into(), std::env::var_os("PATH").unwrap()), ("HOME".into(), "/nonexistent".into())]);
    (url.parse().unwrap(), env, Limits { total: Duration::from_secs(300), ..Limits::default() })
}

/// A mirror that is good: one device and `_store`.
fn good_mirror(dir: &Path) -> PathBuf {
    let store = Store::create(&dir.join("store.git"), &[], FactFiles::new(), None, chrono::Utc::now()).unwrap();
    add_generation(store.repo(), "refs/heads/gw/1.0", b"hostname gw\n").unwrap();
    let mirror = dir.join("mirror.git");
    git_ok(Path::new("/"), &["init", "--quiet", "--bare", "--initial-branch=_store", mirror.to_str().unwrap()]);
    let (url, env, limits) = far(mirror.to_str().unwrap());
    mirror::push(Remote { url: &url, env: &env, limits, cancel: None }, store.repo(), None).unwrap();
    mirror
}

/// Rebuilds from it, which must fail, leave nothing, and write nothing beside.
#[track_caller]
fn must_fail(mirror: &Path, dir: &Path, limits: impl FnOnce(&mut Limits)) -> String {
    let before = walk(dir);
    let (url, env, mut limit) = far(&format!("file://{}", mirror.display()));
    limits(&mut limit);
    let remote = Remote { url: &url, env: &env, limits: limit, cancel: None };
    let failed = mirror::clone_store(remote, &dir.join("rebuilt.git")).unwrap_err();
    assert_eq!(walk(dir), before);
    failed.to_string()
}

/// Writes an object as it is, whatever git thinks of it.
fn write_object(mirror: &Path, kind: &str, data: &[u8]) -> String {
    let mut child = git(mirror)
        .args(["hash-object", "-w", "--literally", "--stdin", "-t", kind])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(data).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn id_bytes(id: &str) -> Vec<u8> {
    (0..20).map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).unwrap()).collect()
}

fn tree_of(entries: &[(&str, &[u8], &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (mode, name, id) in entries {
        out.extend([mode.as_bytes(), b" ", name, b"\0", &id_bytes(id)].concat());
    }
    out
}

fn commit_tree(mirror: &Path, tree: &str, name: &str) {
    let who = "x <x@x> 1700000000 +0000";
    let commit = write_object(mirror, "commit", format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n").as_bytes());
    git_ok(mirror, &["update-ref", name, &commit]);
}

#[test]
fn hostile_trees_never_become_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let mirror = good_mirror(dir.path());
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    let blob = write_object(&mirror, "blob", b"#!/bin/sh\n");
    let sub = write_object(&mirror, "tree", &tree_of(&[("100755", b"post-checkout", &blob)]));
    let gitlink = "1".repeat(40);
    let cases: Vec<Vec<(&str, &[u8], &str)>> = vec![
        vec![("100644", b"..", &blob)],
        vec![("40000", b"..", &sub)],
        vec![("40000", b".git", &sub)],
        vec![("40000", b".GIT", &sub)],
        vec![("40000", b"git~1", &sub)],
        vec![("40000", ".g\u{200c}it".as_bytes(), &sub)],
        vec![("100644", b".gitmodules", &blob)],
        vec![("100644", b".gitattributes", &blob)],
        vec![("100644", b"a/b", &blob)],
        vec![("100644", b"a\\b", &blob)],
        vec![("100644", b"a", &blob), ("100644", b"a", &blob)],
        vec![("120000", b"a", &blob), ("40000", b"a", &sub)],
        vec![("160000", b"module", &gitlink)],
        vec![("100644", b"b", &blob), ("100644", b"a", &blob)],
        vec![("100666", b"a", &blob)],
        vec![("100644", b"", &blob)],
        vec![("100644", b"missing", &gitlink)],
    ];
    for entries in cases {
        let tree = write_object(&mirror, "tree", &tree_of(&entries));
        // Deep in a tree of a device, as in its root.
        let above = write_object(&mirror, "tree", &tree_of(&[("40000", b"voip", &tree)]));
        for tree in [&tree, &above] {
            commit_tree(&mirror, tree, "refs/heads/evil/1.0");
            let why = must_fail(&mirror, &work, |_| {});
            assert!(!why.is_empty());
        }
    }
    git_ok(&mirror, &["update-ref", "-d", "refs/heads/evil/1.0"]);
    let (url, env, limits) = far(&format!("file://{}", mirror.display()));
    mirror::clone_store(Remote { url: &url, env: &env, limits, cancel: None }, &work.join("good.git")).unwrap();
}

#[test]
fn damaged_and_swollen_packs_never_become_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let mirror = good_mirror(dir.path());
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    // A blob that is small on the wire and large in memory, and a tree of the same kind.
    let zeros = vec![0; 300 << 20];
    let blob = write_object(&mirror, "blob", &zeros);
    let tree = write_object(&mirror, "tree", &tree_of(&[("100644", b"zeros", &blob)]));
    commit_tree(&mirror, &tree, "refs/heads/evil/1.0");
    assert!(must_fail(&mirror, &work, |_| {}).contains("314572800 bytes"));
    // The kernel ends what takes more memory than it may, or writes more than it may.
    must_fail(&mirror, &work, |limits| limits.memory_bytes = 32 << 20);
    let noise: Vec<u8> = (0..4 << 20)
        .scan(1u32, |x, _| {
            *x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*x >> 24) as u8)
        })
        .collect();
    let blob = write_object(&mirror, "blob", &noise);
    let tree = write_object(&mirror, "tree", &tree_of(&[("100644", b"noise", &blob)]));
    commit_tree(&mirror, &tree, "refs/heads/evil/1.0");
    must_fail(&mirror, &work, |limits| limits.fetched_bytes = 1 << 20);
    git_ok(&mirror, &["update-ref", "-d", "refs/heads/evil/1.0"]);

    // Every file of objects, cut or with a bit flipped.
    git_ok(&mirror, &["repack", "-adq"]);
    git_ok(&mirror, &["prune", "--expire=now"]);
    let pack = fs::read_dir(mirror.join("objects/pack")).unwrap().map(|e| e.unwrap().path());
    let pack = pack.filter(|p| p.extension().is_some_and(|e| e == "pack")).last().unwrap();
    let good = fs::read(&pack).unwrap();
    let put = |bytes: &[u8]| {
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
    };
    let mut failed = 0;
    for at in (12..good.len() - 20).step_by(good.len() / 12) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        put(&bad);
        must_fail(&mirror, &work, |_| {});
        put(&good[..at]);
        must_fail(&mirror, &work, |_| {});
        failed += 1;
    }
    assert!(failed > 10);
}

#[test]
fn a_mirror_without_a_store_or_of_another_version_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mirror = good_mirror(dir.path());
    let work = dir.path().join("work");
    fs::create_dir(&work).unwrap();
    for (format, told) in [("confvault-store 2\nfeatures\n", "2"), ("confvault-store 1\nfeatures telepathy\n", "telepathy")] {
        let blob = write_object(&mirror, "blob", format.as_bytes());
        let tree = write_object(&mirror, "tree", &tree_of(&[("100644", b"format", &blob)]));
        commit_tree(&mirror, &tree, "refs/heads/_store");
        let why = must_fail(&mirror, &work, |_| {});
        assert!(why.contains(told), "{why}");
    }
    git_ok(&mirror, &["update-ref", "-d", "refs/heads/_store"]);
    assert!(must_fail(&mirror, &work, |_| {}).contains("no branch `_store`"));
    let empty = dir.path().join("empty.git");
    git_ok(Path::new("/"), &["init", "--quiet", "--bare", empty.to_str().unwrap()]);
    assert!(must_fail(&empty, &work, |_| {}).contains("no branch `_store`"));
}

/// A server that speaks git's protocol as it likes: a flood of refs, and lines that are none.
#[test]
fn a_server_that_lies_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: Vec<Vec<u8>> = vec![
        b"garbage".to_vec(),
        b"ffff".to_vec(),
        b"0000".to_vec(),
        b"003fzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz refs/heads/_store\n0000".to_vec(),
        [b"0040".as_slice(), "1".repeat(40).as_bytes(), b" refs/heads/../../x\n0000"].concat(),
        vec![b'0'; 1 << 20],
    ];
    let count = answers.len();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for answer in &answers {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(answer).ok();
                stream.flush().ok();
                stream.shutdown(std::net::Shutdown::Write).ok();
                std::io::copy(&mut stream, &mut std::io::sink()).ok();
            }
        });
        for _ in 0..count {
            let (url, env, limits) = far(&format!("git://127.0.0.1:{port}/x"));
            let remote = Remote { url: &url, env: &env, limits, cancel: None };
            let failed = mirror::clone_store(remote, &dir.path().join("x.git")).unwrap_err().to_string();
            assert!(!failed.chars().any(char::is_control), "{failed:?}");
            assert!(walk(dir.path()).is_empty());
        }
    });
}
