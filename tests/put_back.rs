//! Sets put back: byte for byte, into a directory or an archive, all or nothing, whatever stands there and whenever it is killed.
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

#[path = "sealing/lab.rs"]
mod lab;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use confvault::model::Scope;
use confvault::ops::PathFilter;
use confvault::ops::restore::{
    Act, Difference, RestoreError, RestoreOptions, Skip, compare, plan, restore, restore_all, tar_to_file, tar_to_writer,
};
use confvault::seal::Opener;
use confvault::store::{Access, ObjectId, SetReader, Store};
use lab::{CANARY, Lab};

const LARGE: usize = 9 << 20;

/// A telephone system with everything that is hard to put back.
fn pbx() -> Lab {
    let lab = Lab::sealed();
    lab.pbx();
    let source = lab.source("pbx");
    lab.write("pbx", "etc/asterisk/empty.conf", "");
    lab.write("pbx", "etc/asterisk/line\nend", "x");
    lab.write("pbx", "etc/asterisk/-rf", "x");
    lab.write("pbx", "etc/asterisk/.gitignore", "*\n");
    lab.write("pbx", &format!("etc/{}/{}", "l".repeat(120), "n".repeat(200)), "long");
    let noise: Vec<u8> = (0..LARGE as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    lab.write("pbx", "var/large.bin", &noise);
    fs::write(source.join(std::ffi::OsStr::from_bytes(b"etc/asterisk/\xff\xfe.conf")), "bytes").unwrap();
    fs::create_dir_all(source.join("var/spool/empty")).unwrap();
    symlink("/usr/share/zoneinfo/UTC", source.join("etc/localtime")).unwrap();
    symlink("../asterisk", source.join("etc/asterisk/loop")).unwrap();
    for (path, mode) in [
        ("etc/asterisk/keys", 0o500),
        ("etc/asterisk/sip.conf", 0o640),
        ("var/spool/empty", 0o1777),
        ("etc/asterisk/-rf", 0o4755),
    ] {
        fs::set_permissions(source.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    lab.snapshot("pbx");
    lab
}

/// Opens the newest generation, with all keys or with none.
fn with<T>(lab: &Lab, open: bool, act: impl FnOnce(&SetReader<'_>, Access<'_>) -> T) -> T {
    let vault = lab.vault();
    let opener: Opener = lab.opener();
    let access = if open { Access { keys: Some(&vault.keys), opener: Some(&opener) } } else { Access::default() };
    let refs = vault.store.refs().unwrap();
    let generation = vault.store.newest(&refs, &"pbx".parse().unwrap()).unwrap();
    act(&vault.store.read_set(&refs, &generation, access).unwrap(), access)
}

/// Everything that stands below a folder: path, mode, owner, content or target.
fn tree(dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = match () {
                () if meta.is_dir() => String::new(),
                () if meta.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                () => blake3::hash(&fs::read(&path).unwrap()).to_string(),
            };
            let mode = if meta.is_symlink() { 0 } else { meta.mode() };
            out.push(format!("{:?} {mode:o} {}:{} {content}", path.strip_prefix(dir).unwrap(), meta.uid(), meta.gid()));
            if meta.is_dir() {
                todo.push(path);
            }
        }
    }
    out.sort();
    out
}

fn asked() -> RestoreOptions {
    RestoreOptions { special_bits: true, ..RestoreOptions::default() }
}

#[test]
fn a_set_comes_back_as_it_was() {
    let lab = pbx();
    let to = lab.dir.path().join("out");
    with(&lab, true, |set, access| {
        let done = restore(set, access, &to, &asked()).unwrap();
        assert!(done.is_complete() && done.masked.count == 0);
        assert_eq!(tree(&to), tree(&lab.source("pbx")));
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o700);
        let equal = compare(set, access, &to, &asked()).unwrap();
        assert!(equal.is_equal() && equal.same == tree(&to).len() as u64, "{equal:?}");
        assert!(plan(set, access, &to, &asked()).unwrap().iter().all(|p| p.act == Act::Same));
        // Again: everything stands there, and nothing is touched.
        assert!(matches!(restore(set, access, &to, &asked()), Err(RestoreError::Existing { .. })));
        // The setuid bit comes only where it is asked for.
        let plain = lab.dir.path().join("plain");
        let done = restore(set, access, &plain, &RestoreOptions::default()).unwrap();
        assert_eq!(done.special_bits_dropped.count, 1);
        assert_eq!(fs::metadata(plain.join("etc/asterisk/-rf")).unwrap().mode() & 0o7777, 0o755);
    });
}

#[test]
fn every_difference_is_named_and_repaired_with_overwrite() {
    let lab = pbx();
    let to = lab.dir.path().join("out");
    with(&lab, true, |set, access| {
        restore(set, access, &to, &asked()).unwrap();
        let at = |path: &str| to.join("etc/asterisk").join(path);
        let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(at("sip.conf"), "altered").unwrap();
        fs::write(at("extra"), "extra").unwrap();
        fs::remove_file(at("empty.conf")).unwrap();
        fs::remove_file(at("loop")).unwrap();
        symlink("elsewhere", at("loop")).unwrap();
        chmod(&at("voicemail.conf"), 0o600);
        fs::remove_file(at("line\nend")).unwrap();
        symlink("/etc/passwd", at("line\nend")).unwrap();
        let found = compare(set, access, &to, &asked()).unwrap();
        let words: Vec<(String, &str)> =
            found.differences.iter().map(|(p, d)| (p.to_string().replace("etc/asterisk/", ""), d.as_str())).collect();
        let expected = [
            ("empty.conf", "missing"),
            ("extra", "extra"),
            ("line%0Aend", "kind"),
            ("loop", "target"),
            ("sip.conf", "content"),
            ("voicemail.conf", "mode"),
        ];
        let words: Vec<(&str, &str)> = words.iter().map(|(p, d)| (p.as_str(), *d)).collect();
        assert_eq!(words, expected);
        let acts: Vec<Act> =
            plan(set, access, &to, &asked()).unwrap().iter().map(|p| p.act).filter(|a| *a != Act::Same).collect();
        assert_eq!(acts, [Act::Create, Act::Replace, Act::Replace, Act::Replace, Act::Adjust]);
        restore(set, access, &to, &RestoreOptions { overwrite: true, ..asked() }).unwrap();
        let found = compare(set, access, &to, &asked()).unwrap();
        assert_eq!(found.differences.iter().map(|(_, d)| d.clone()).collect::<Vec<_>>(), [Difference::Extra]);
    });
}

#[test]
fn without_an_identity_secrets_stay_masked_and_only_when_that_is_wished() {
    let lab = pbx();
    let to = lab.dir.path().join("out");
    with(&lab, false, |set, access| {
        let refused = restore(set, access, &to, &RestoreOptions::default()).unwrap_err();
        assert!(matches!(refused, RestoreError::NeedsIdentity { epoch: 1, .. }), "{refused}");
        assert!(!to.exists());
        let masked = RestoreOptions { masked: true, ..RestoreOptions::default() };
        let done = restore(set, access, &to, &masked).unwrap();
        assert!(done.masked.count > 0 && done.skipped.iter().all(|s| s.why == Skip::Sealed) && !done.is_complete());
        assert!(fs::read_to_string(to.join("etc/asterisk/sip.conf")).unwrap().contains("secret={{sealed:"));
        let found = Command::new("grep").args(["-r", CANARY]).arg(&to).stdout(Stdio::null()).status().unwrap();
        assert_eq!(found.code(), Some(1));
    });
    // What cannot be told without a key is not called equal.
    with(&lab, false, |set, access| {
        let found = compare(set, access, &lab.source("pbx"), &asked()).unwrap();
        assert!(found.differences.iter().any(|(_, d)| *d == Difference::Unproven));
    });
    with(&lab, true, |set, access| {
        let keys_only = Access { opener: None, ..access };
        let vault = lab.vault();
        let set = vault.store.read_set(&vault.store.refs().unwrap(), set.generation(), keys_only).unwrap();
        assert!(compare(&set, keys_only, &lab.source("pbx"), &asked()).unwrap().is_equal(), "digests prove it all the same");
    });
}

#[test]
fn a_choice_brings_its_folders_and_nothing_else() {
    let lab = pbx();
    with(&lab, true, |set, access| {
        let to = lab.dir.path().join("out");
        let paths = |texts: &[&str]| PathFilter::new(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let only = RestoreOptions { paths: paths(&["etc/asterisk/sip.conf"]), ..asked() };
        restore(set, access, &to, &only).unwrap();
        let found: Vec<String> = tree(&to).iter().map(|l| l.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(found, ["\"etc\"", "\"etc/asterisk\"", "\"etc/asterisk/sip.conf\""]);
        assert_eq!(fs::metadata(to.join("etc")).unwrap().mode(), fs::metadata(lab.source("pbx").join("etc")).unwrap().mode());
        assert!(compare(set, access, &to, &only).unwrap().is_equal());
        let none = RestoreOptions { paths: paths(&["etc/nothing"]), ..asked() };
        assert!(
            matches!(restore(set, access, &to, &none), Err(RestoreError::NoSuchPath { paths, .. }) if paths == ["etc/nothing"])
        );
        let scopes = RestoreOptions { by_scope: true, scopes: vec![Scope::Voip], ..asked() };
        let by_scope = lab.dir.path().join("scopes");
        restore(set, access, &by_scope, &scopes).unwrap();
        assert_eq!(fs::read_dir(&by_scope).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>(), ["voip"]);
    });
}

/// Takes an object out of the store.
fn lose(lab: &Lab, id: &ObjectId) {
    let packs = lab.store_dir().join("objects/pack");
    let away = lab.dir.path().join("away");
    fs::rename(&packs, &away).unwrap();
    fs::create_dir(&packs).unwrap();
    for entry in fs::read_dir(&away).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "pack") {
            let mut unpack = Command::new("git");
            unpack.args(["unpack-objects", "-q"]).current_dir(lab.store_dir()).stdin(fs::File::open(path).unwrap());
            assert!(unpack.status().unwrap().success());
        }
    }
    let id = id.to_string();
    fs::remove_file(lab.store_dir().join("objects").join(&id[..2]).join(&id[2..])).unwrap();
}

#[test]
fn damage_leaves_nothing_behind_or_only_itself_out() {
    let lab = pbx();
    let entry = |path: &str| {
        let spec = format!("pbx/1.0:{path}");
        let out = Command::new("git").arg("-C").arg(lab.store_dir()).args(["rev-parse", &spec]).output().unwrap();
        ObjectId::from_hex(String::from_utf8(out.stdout).unwrap().trim().as_bytes()).unwrap()
    };
    let lost = with(&lab, true, |set, _| {
        set.manifest().lines.iter().find(|l| l.path.as_bytes().ends_with(b"/extensions.conf")).unwrap().shown()
    });
    lose(&lab, &entry(&lost));
    let (to, file) = (lab.dir.path().join("out"), lab.dir.path().join("out.tar"));
    with(&lab, true, |set, access| {
        assert!(matches!(restore(set, access, &to, &asked()), Err(RestoreError::Store(_))));
        assert!(tree(&to).is_empty(), "{:?}", tree(&to));
        assert!(tar_to_file(set, access, &file, &asked()).is_err());
        assert!(!file.exists());
        let mut out = Vec::new();
        assert!(tar_to_writer(set, access, &mut out, &asked()).is_err());
        assert!(out.is_empty(), "a set of this size is checked before its first byte goes out");
        let done = restore(set, access, &to, &RestoreOptions { skip_damaged: true, ..asked() }).unwrap();
        assert_eq!(
            done.skipped.iter().map(|s| (s.path.to_string(), s.why)).collect::<Vec<_>>(),
            [("etc/asterisk/extensions.conf".to_owned(), Skip::Damaged)]
        );
        let found = compare(set, access, &to, &asked()).unwrap();
        assert_eq!(found.differences.len(), 1);
    });
}

#[test]
fn an_archive_is_the_same_each_time_and_any_tar_reads_it() {
    let lab = pbx();
    let file = lab.dir.path().join("pbx.tar");
    with(&lab, true, |set, access| {
        tar_to_file(set, access, &file, &asked()).unwrap();
        let mut out = Vec::new();
        tar_to_writer(set, access, &mut out, &asked()).unwrap();
        assert!(out == fs::read(&file).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(tar_to_file(set, access, &file, &asked()), Err(RestoreError::Existing { .. })));
        tar_to_file(set, access, &file, &RestoreOptions { overwrite: true, ..asked() }).unwrap();
        assert!(out == fs::read(&file).unwrap());
    });
    let to = lab.dir.path().join("untarred");
    fs::create_dir(&to).unwrap();
    let said = Command::new("tar").args(["--warning=no-timestamp", "-xpf"]).arg(&file).arg("-C").arg(&to).output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(tree(&to), tree(&lab.source("pbx")));
    // A reader that is not GNU's.
    let mut archive = tar::Archive::new(fs::File::open(&file).unwrap());
    let times: Vec<u64> = archive.entries().unwrap().map(|e| e.unwrap().header().mtime().unwrap()).collect();
    assert!(times.len() > 10 && times.windows(2).all(|w| w[0] == w[1]), "the time of the generation");
}

#[test]
fn a_large_archive_that_fails_on_the_way_is_no_archive() {
    let lab = pbx();
    let noise: Vec<u8> = (0..70u32 << 20).map(|n| (n.wrapping_mul(2_246_822_519) >> 11) as u8).collect();
    lab.write("pbx", "var/huge.bin", noise);
    lab.snapshot("pbx");
    let chunks = Command::new("git").arg("-C").arg(lab.store_dir()).args(["ls-tree", "refs/large/pbx/2"]).output().unwrap();
    let list = String::from_utf8(chunks.stdout).unwrap();
    let last = list.lines().last().unwrap().split_whitespace().nth(2).unwrap().to_owned();
    lose(&lab, &ObjectId::from_hex(last.as_bytes()).unwrap());
    let file = lab.dir.path().join("cut.tar");
    with(&lab, true, |set, access| {
        assert!(tar_to_writer(set, access, &mut fs::File::create(&file).unwrap(), &asked()).is_err());
    });
    let to = lab.dir.path().join("untarred");
    fs::create_dir(&to).unwrap();
    let said = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&to).stderr(Stdio::null()).status().unwrap();
    assert!(!said.success(), "tar took it for a whole archive");
}

#[test]
fn every_device_comes_back_into_a_folder_of_its_own() {
    let lab = pbx();
    for n in 0..20 {
        let name = format!("gw-{n:02}");
        lab.add(&name, "generic");
        lab.write(&name, "running.cfg", format!("hostname {name}\n"));
        lab.write(&name, "flash/vlan.dat", [n as u8; 3]);
    }
    lab.snapshot("pbx");
    let list = Command::new("git").arg("-C").arg(lab.store_dir()).args(["ls-tree", "-r", "gw-07/1.0"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let line = list.lines().find(|l| l.ends_with("/running.cfg")).unwrap();
    lose(&lab, &ObjectId::from_hex(line.split_whitespace().nth(2).unwrap().as_bytes()).unwrap());
    let vault = lab.vault();
    let opener = lab.opener();
    let access = Access { keys: Some(&vault.keys), opener: Some(&opener) };
    let refs = vault.store.refs().unwrap();
    for jobs in [1, 3] {
        let to = lab.dir.path().join(format!("all-{jobs}"));
        let done = restore_all(&vault.store, &refs, access, &to, &asked(), jobs).unwrap();
        assert_eq!((done.devices.len(), done.failed.len()), (20, 1));
        assert_eq!(done.failed[0].0.as_str(), "gw-07");
        assert!(!to.join("gw-07").exists(), "nothing of what failed");
        assert_eq!(tree(&to.join("pbx")), tree(&lab.source("pbx")));
        assert_eq!(tree(&to.join("gw-19")), tree(&lab.source("gw-19")));
        let left: Vec<PathBuf> =
            fs::read_dir(&to).unwrap().map(|e| e.unwrap().path()).filter(|p| p.to_string_lossy().contains("confvault")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Killed, or refused by the disk, at every step.
#[test]
fn a_restore_that_dies_anywhere_is_done_again_without_help() {
    let lab = Lab::sealed();
    lab.pbx();
    lab.snapshot("pbx");
    let source = tree(&lab.source("pbx"));
    let identity = lab.admin().identity_file().unwrap();
    let to = lab.dir.path().join("out");
    let run = |fault: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_confvault"));
        command.env_clear().env("HOME", lab.dir.path()).env("CONFVAULT_FAULT", fault).arg("-C").arg(lab.root());
        command.args(["restore", "pbx", "--overwrite", "--to"]).arg(&to).arg("--identity").arg(&identity);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    let steps = lab.dir.path().join("steps");
    assert!(run(&format!("count:{}", steps.display())));
    assert_eq!(tree(&to), source);
    let count = fs::read_to_string(&steps).unwrap().lines().filter(|l| l.contains("/out")).count();
    assert!(count > 20, "{count} steps");
    for fault in ["kill", "eio", "short"] {
        for n in 1..=count {
            fs::remove_dir_all(&to).ok();
            let done = run(&format!("{fault}:{n}"));
            let files = lab::walk(&to);
            for (path, bytes) in files.iter().filter(|(p, _)| !p.starts_with(".confvault-restore-")) {
                assert!(*bytes == fs::read(lab.source("pbx").join(path)).unwrap(), "{fault}:{n}: {path} by halves");
            }
            if fault != "kill" && !done {
                assert!(files.keys().all(|p| !p.starts_with(".confvault")), "{fault}:{n}: {:?}", files.keys());
            }
            assert!(run(""), "{fault}:{n}");
            assert_eq!(tree(&to), source, "{fault}:{n}");
        }
    }
}

#[test]
fn a_store_on_a_read_only_disk_is_restored_from() {
    let lab = pbx();
    let before = tree(&lab.store_dir());
    with(&lab, true, |set, access| restore(set, access, &lab.dir.path().join("out"), &asked()).unwrap());
    assert_eq!(tree(&lab.store_dir()), before, "reading writes nothing");
    assert!(Store::open(&lab.store_dir()).is_ok());
}
