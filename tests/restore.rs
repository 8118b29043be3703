//! Writing a tree: what stands there, modes, owners, and nothing by halves.
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

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use confvault::fsio::tree::{Durability, Meta, TreeError, TreeOptions, TreeWriter};
use confvault::model::{ConfigPath, Owner};

fn path(text: &str) -> ConfigPath {
    ConfigPath::new(text).unwrap()
}

fn meta(mode: u32) -> Meta {
    Meta { mode, owner: None }
}

/// Tests do not wait for the disk.
fn quick() -> TreeOptions {
    TreeOptions { sync: Durability::Never, ..TreeOptions::default() }
}

fn over() -> TreeOptions {
    TreeOptions { overwrite: true, ..quick() }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_tree_comes_out_with_its_modes_whatever_the_umask() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("new/out");
    for umask in [0o000, 0o077] {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let mut out = TreeWriter::open(&to, over()).unwrap();
        out.directory(&path("etc"), meta(0o755)).unwrap();
        out.directory(&path("etc/keys"), meta(0o510)).unwrap();
        out.directory(&path("etc/empty"), meta(0o1777)).unwrap();
        out.file(&path("etc/keys/tls.key"), meta(0o400), b"key").unwrap();
        out.file(&path("etc/sip.conf"), meta(0o664), b"[general]\n").unwrap();
        out.file(&path("etc/nothing"), meta(0o644), b"").unwrap();
        out.file(&path("unlisted/run.sh"), meta(0o755), b"#!/bin/sh\n").unwrap();
        out.link(&path("etc/zone"), b"/usr/share/zoneinfo/UTC", None).unwrap();
        let done = out.finish().unwrap();
        rustix::process::umask(before);
        assert_eq!((done.files, done.directories, done.links, done.bytes), (4, 3, 1, 23));
        assert!(done.failed.is_empty() && done.existing.count == 0);
        for (name, wanted) in [
            ("", 0o700),
            ("etc", 0o755),
            ("etc/keys", 0o510),
            ("etc/empty", 0o1777),
            ("etc/keys/tls.key", 0o400),
            ("etc/sip.conf", 0o664),
            ("etc/nothing", 0o644),
            ("unlisted", 0o700),
            ("unlisted/run.sh", 0o755),
        ] {
            assert_eq!(mode(&to.join(name)), wanted, "{name} under umask {umask:o}");
        }
        assert_eq!(fs::read(to.join("etc/sip.conf")).unwrap(), b"[general]\n");
        assert_eq!(fs::read_link(to.join("etc/zone")).unwrap().to_str(), Some("/usr/share/zoneinfo/UTC"));
        assert_eq!(names(&to), ["etc", "unlisted"], "nothing of ours stays");
    }
}

#[test]
fn nothing_is_wider_than_it_may_be_for_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("out");
    let mut out = TreeWriter::open(&to, quick()).unwrap();
    out.file_with(&path("a/wide"), meta(0o666), |file| {
        file.write_all(b"secret").unwrap();
        file.flush().unwrap();
        let waiting = names(&to);
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        let folder = to.join(&waiting[0]);
        assert_eq!((mode(&to), mode(&folder)), (0o700, 0o700));
        let file = folder.join(&names(&folder)[0]);
        assert_eq!((mode(&file), fs::read(&file).unwrap().as_slice()), (0o600, &b"secret"[..]));
        Ok::<_, TreeError>(())
    })
    .unwrap();
    assert!(!to.join("a").exists(), "nothing is in its place before it is proven good");
    out.commit().unwrap();
    assert_eq!((mode(&to.join("a")), mode(&to.join("a/wide"))), (0o700, 0o666));
}

#[test]
fn a_file_that_fails_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut out = TreeWriter::open(dir.path(), quick()).unwrap();
    out.file(&path("good"), meta(0o644), b"good").unwrap();
    let failed = out.file_with(&path("bad"), meta(0o644), |file| {
        file.write_all(&[7; 300_000]).unwrap();
        Err(TreeError::Twice { path: path("bad") })
    });
    assert!(failed.is_err());
    out.abandon().unwrap();
    out.file(&path("good"), meta(0o644), b"anew").unwrap();
    let done = out.finish().unwrap();
    assert_eq!(done.files, 1);
    assert_eq!(names(dir.path()), ["good"]);

    let mut out = TreeWriter::open(dir.path(), over()).unwrap();
    out.file(&path("good"), meta(0o644), b"not committed").unwrap();
    drop(out);
    assert_eq!(names(dir.path()), ["good"]);
    assert_eq!(fs::read(dir.path().join("good")).unwrap(), b"anew");
}

#[test]
fn setuid_and_setgid_are_not_set_unless_asked_and_owned() {
    let dir = tempfile::tempdir().unwrap();
    let me = Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    let write = |name: &str, options: TreeOptions| {
        let mut out = TreeWriter::open(&dir.path().join(name), options).unwrap();
        out.file(&path("tool"), Meta { mode: 0o6755, owner: Some(me) }, b"x").unwrap();
        out.directory(&path("shared"), Meta { mode: 0o2775, owner: Some(me) }).unwrap();
        let dropped = out.finish().unwrap().special_bits_dropped.count;
        (mode(&dir.path().join(name).join("tool")), mode(&dir.path().join(name).join("shared")), dropped)
    };
    assert_eq!(write("a", quick()), (0o755, 0o775, 2));
    assert_eq!(write("b", TreeOptions { special_bits: true, ..quick() }), (0o6755, 0o2775, 0));
    // Under another owner than its own a setuid program would give away the rights of whoever restores.
    assert_eq!(write("c", TreeOptions { special_bits: true, owners: false, ..quick() }), (0o755, 0o775, 2));
}

#[test]
fn owners_are_set_where_permitted_else_counted() {
    let dir = tempfile::tempdir().unwrap();
    let other = Owner { uid: 12_345, gid: 54_321 };
    let mut out = TreeWriter::open(dir.path(), quick()).unwrap();
    out.file(&path("d/f"), Meta { mode: 0o640, owner: Some(other) }, b"x").unwrap();
    out.directory(&path("d"), Meta { mode: 0o750, owner: Some(other) }).unwrap();
    out.link(&path("l"), b"d/f", Some(other)).unwrap();
    let done = out.finish().unwrap();
    for name in ["d/f", "d", "l"] {
        let found = fs::symlink_metadata(dir.path().join(name)).unwrap();
        if is_root() {
            assert_eq!((found.uid(), found.gid()), (12_345, 54_321), "{name}");
        }
    }
    assert_eq!(done.owners_not_set.count, if is_root() { 0 } else { 3 });
}

/// Puts something at `place`, beside what must not be touched in `outside`.
fn put(kind: &str, place: &Path, outside: &Path) {
    fs::create_dir_all(outside).unwrap();
    fs::write(outside.join("canary"), "canary").unwrap();
    fs::set_permissions(outside.join("canary"), fs::Permissions::from_mode(0o604)).unwrap();
    match kind {
        "file" => fs::write(place, "old").unwrap(),
        "read-only" => {
            fs::write(place, "old").unwrap();
            fs::set_permissions(place, fs::Permissions::from_mode(0o400)).unwrap();
        }
        "link" => symlink(outside.join("canary"), place).unwrap(),
        "link to nothing" => symlink(outside.join("made"), place).unwrap(),
        "link to directory" => symlink(outside, place).unwrap(),
        "hard link" => fs::hard_link(outside.join("canary"), place).unwrap(),
        "fifo" => {
            rustix::fs::mknodat(rustix::fs::CWD, place, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644), 0)
                .unwrap()
        }
        "directory" => fs::create_dir(place).unwrap(),
        _ => unreachable!(),
    }
}

fn untouched(outside: &Path) {
    assert_eq!(names(outside), ["canary"]);
    assert_eq!(fs::read(outside.join("canary")).unwrap(), b"canary");
    assert_eq!(mode(&outside.join("canary")), 0o604);
}

const KINDS: [&str; 8] = ["file", "read-only", "link", "link to nothing", "link to directory", "hard link", "fifo", "directory"];

#[test]
fn what_stands_there_is_left_alone_without_overwrite() {
    for kind in KINDS {
        for entry in ["file", "link"] {
            let dir = tempfile::tempdir().unwrap();
            let (to, outside) = (dir.path().join("to"), dir.path().join("outside"));
            fs::create_dir(&to).unwrap();
            put(kind, &to.join("x"), &outside);
            let before = fs::symlink_metadata(to.join("x")).unwrap();
            let mut out = TreeWriter::open(&to, quick()).unwrap();
            match entry {
                "file" => out.file(&path("x"), meta(0o666), b"new").unwrap(),
                _ => out.link(&path("x"), b"/etc/passwd", None).unwrap(),
            }
            out.file(&path("y"), meta(0o644), b"beside").unwrap();
            let done = out.finish().unwrap();
            assert_eq!((done.existing.count, done.files), (1, 1), "{kind}");
            let after = fs::symlink_metadata(to.join("x")).unwrap();
            assert_eq!((before.ino(), before.mode(), before.size()), (after.ino(), after.mode(), after.size()), "{kind}");
            assert_eq!(names(&to), ["x", "y"]);
            untouched(&outside);
        }
    }
}

#[test]
fn what_stands_there_is_replaced_never_followed_with_overwrite() {
    for kind in KINDS {
        for entry in ["file", "link"] {
            let dir = tempfile::tempdir().unwrap();
            let (to, outside) = (dir.path().join("to"), dir.path().join("outside"));
            fs::create_dir(&to).unwrap();
            put(kind, &to.join("x"), &outside);
            let mut out = TreeWriter::open(&to, over()).unwrap();
            match entry {
                "file" => out.file(&path("x"), meta(0o600), b"new").unwrap(),
                _ => out.link(&path("x"), b"elsewhere", None).unwrap(),
            }
            let done = out.finish().unwrap();
            untouched(&outside);
            assert_eq!(names(&to), ["x"]);
            let now = fs::symlink_metadata(to.join("x")).unwrap();
            if kind == "directory" {
                assert!(matches!(done.failed[0].1, TreeError::Blocked { found: "a directory", .. }));
                assert!(now.is_dir());
            } else if entry == "file" {
                assert!(now.is_file() && now.nlink() == 1, "{kind}");
                assert_eq!((fs::read(to.join("x")).unwrap().as_slice(), now.mode() & 0o7777), (&b"new"[..], 0o600));
            } else {
                assert_eq!(fs::read_link(to.join("x")).unwrap().to_str(), Some("elsewhere"), "{kind}");
            }
        }
    }
}

#[test]
fn where_a_directory_belongs_nothing_is_followed() {
    for kind in KINDS {
        for options in [quick(), over()] {
            let dir = tempfile::tempdir().unwrap();
            let (to, outside) = (dir.path().join("to"), dir.path().join("outside"));
            fs::create_dir(&to).unwrap();
            put(kind, &to.join("x"), &outside);
            let mut out = TreeWriter::open(&to, options).unwrap();
            out.directory(&path("x"), meta(0o711)).unwrap();
            out.file(&path("x/f"), meta(0o644), b"new").unwrap();
            out.link(&path("x/l"), b"f", None).unwrap();
            out.file(&path("y"), meta(0o644), b"beside").unwrap();
            let done = out.finish().unwrap();
            untouched(&outside);
            let inside = to.join("x/f").exists();
            assert_eq!(inside, options.overwrite || kind == "directory", "{kind}");
            assert_eq!(done.failed.len(), if inside { 0 } else { 3 }, "{kind}");
            assert_eq!(names(&to), ["x", "y"]);
            if kind == "fifo" && !inside {
                assert!(fs::symlink_metadata(to.join("x")).unwrap().file_type().is_fifo());
            }
            if inside {
                // A directory that stood there keeps its mode unless it may be overwritten.
                let wanted = if options.overwrite { 0o711 } else { 0o755 };
                assert_eq!(mode(&to.join("x")) | 0o055, wanted | 0o055, "{kind}");
            }
        }
    }
}

#[test]
fn the_directory_itself_is_never_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    for name in ["link", "link/"] {
        let refused = TreeWriter::open(&dir.path().join(name), quick());
        assert!(matches!(refused, Err(TreeError::RootIsLink { .. })), "{name}");
    }
    assert!(names(&dir.path().join("real")).is_empty());
}

#[test]
fn a_killed_restore_is_swept_by_the_next_and_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let dead = dir.path().join(".confvault-restore-1-0");
    fs::create_dir(&dead).unwrap();
    fs::set_permissions(&dead, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dead.join("0"), "half").unwrap();
    // Not of our making, however it is called.
    let foreign = dir.path().join(".confvault-restore-notes");
    fs::create_dir(&foreign).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(foreign.join("notes.txt"), "important").unwrap();

    let mut first = TreeWriter::open(dir.path(), quick()).unwrap();
    assert!(!dead.exists());
    first.file(&path("a"), meta(0o644), b"a").unwrap();
    let mut second = TreeWriter::open(dir.path(), quick()).unwrap();
    second.file(&path("b"), meta(0o644), b"b").unwrap();
    second.finish().unwrap();
    first.finish().unwrap();
    assert_eq!(names(dir.path()), [".confvault-restore-notes", "a", "b"]);
    assert_eq!(names(&foreign), ["notes.txt"]);
    // Where others may rename, nothing is swept: they could give any folder that name.
    fs::create_dir(&dead).unwrap();
    fs::set_permissions(&dead, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    drop(TreeWriter::open(dir.path(), quick()).unwrap());
    assert!(dead.exists());
}

#[test]
fn what_is_mounted_below_is_written_to_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("mounted");
    fs::create_dir(&below).unwrap();
    let mount =
        |args: &[&str]| std::process::Command::new(args[0]).args(&args[1..]).arg(&below).status().is_ok_and(|s| s.success());
    if !mount(&["mount", "-t", "tmpfs", "none"]) {
        return;
    }
    let run = || {
        let mut out = TreeWriter::open(dir.path(), TreeOptions::default()).unwrap();
        out.file(&path("mounted/f"), Meta { mode: 0o640, owner: Some(Owner { uid: 7, gid: 8 }) }, b"content").unwrap();
        out.link(&path("mounted/l"), b"f", None).unwrap();
        out.finish().unwrap()
    };
    let (first, second) = (run(), run());
    let found = fs::symlink_metadata(below.join("f")).unwrap();
    let (content, there) = (fs::read(below.join("f")).unwrap(), names(&below));
    let left = names(dir.path());
    assert!(mount(&["umount"]));
    assert_eq!((first.files, first.links, second.existing.count), (1, 1, 2));
    assert_eq!((content.as_slice(), found.mode() & 0o7777, found.uid(), found.gid()), (&b"content"[..], 0o640, 7, 8));
    assert_eq!(there, ["f", "l"]);
    assert_eq!(left, ["mounted"]);
}

#[test]
fn one_path_is_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let mut out = TreeWriter::open(dir.path(), over()).unwrap();
    out.link(&path("a"), b"/etc", None).unwrap();
    assert!(matches!(out.directory(&path("a"), meta(0o777)), Err(TreeError::Twice { .. })));
    assert!(matches!(out.file(&path("a"), meta(0o777), b""), Err(TreeError::Twice { .. })));
    // A file below a link: the directory comes first, and the link finds it in its way.
    out.file(&path("a/passwd"), meta(0o644), b"mine").unwrap();
    let before = mode(Path::new("/etc"));
    let done = out.finish().unwrap();
    assert!(matches!(done.failed[0].1, TreeError::Blocked { .. }));
    assert_eq!(fs::read(dir.path().join("a/passwd")).unwrap(), b"mine");
    assert_eq!(mode(Path::new("/etc")), before);
}

/// Thousands of levels, a small stack, few descriptors.
#[test]
fn depth_costs_neither_stack_nor_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    let deep = path(&format!("{}f", "d/".repeat(2_000)));
    let wide: Vec<ConfigPath> = (0..300).map(|n| path(&format!("w{n}/f"))).collect();
    let open = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let work = || {
        let mut out = TreeWriter::open(&to, quick()).unwrap();
        out.file(&deep, meta(0o644), b"deep").unwrap();
        for path in &wide {
            out.file(path, meta(0o644), b"wide").unwrap();
        }
        let before = open();
        out.commit().unwrap();
        // Other tests of this process open files as well, so the bound is a wide one.
        assert!(open() < before + 200, "{} descriptors", open());
        out.finish().unwrap()
    };
    let done = std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(192 << 10).spawn_scoped(scope, work).unwrap().join().unwrap()
    });
    assert_eq!((done.files, done.failed.len()), (301, 0));
}
