//! Repositories that want this process to run something, and ones that are not what they seem.
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
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use confvault::store::maintain::{Effort, maintain};
use confvault::store::{Error, Repo};
use support::{add_generation, fsck, git_ok};

fn store(dir: &Path) -> Repo {
    let repo = Repo::create(&dir.join("s.git")).unwrap();
    add_generation(&repo, "refs/heads/_store", b"1").unwrap();
    repo
}

#[test]
fn settings_that_run_programs_or_hide_the_truth_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let repo = store(dir.path());
    let config = repo.dir().join("config");
    let good = fs::read_to_string(&config).unwrap();
    let marker = dir.path().join("ran");
    let program = format!("touch {}", marker.display());
    let refused = [
        ("core.hooksPath", "/tmp/hooks"),
        ("core.fsmonitor", &program),
        ("core.sshCommand", &program),
        ("core.gitProxy", &program),
        ("core.worktree", "/"),
        ("core.bare", "false"),
        ("core.repositoryformatversion", "2"),
        ("include.path", "/etc/passwd"),
        ("includeIf.gitdir:/.path", "/etc/passwd"),
        ("extensions.refStorage", "reftable"),
        ("extensions.objectFormat", "sha256"),
        ("extensions.partialClone", "origin"),
        ("extensions.worktreeConfig", "true"),
        ("extensions.fromTheFuture", "1"),
        ("filter.x.clean", &program),
        ("diff.x.textconv", &program),
        ("alias.x", "!true"),
        ("credential.helper", &program),
        ("gpg.ssh.program", &program),
        ("remote.x.uploadpack", &program),
        ("remote.x.receivepack", &program),
        ("url.ext::x.insteadOf", "https://"),
        ("protocol.ext.allow", "always"),
        ("uploadpack.packObjectsHook", &program),
    ];
    for (key, value) in refused {
        fs::write(&config, &good).unwrap();
        let status =
            support::git(dir.path()).args(["config", "--file"]).arg(&config).args(["--add", key, value]).status().unwrap();
        assert!(status.success(), "{key}");
        let error = Repo::open(repo.dir()).unwrap_err();
        assert!(matches!(error, Error::RefusedSetting { .. }), "{key}: {error}");
        let section = key.split('.').next().unwrap().to_lowercase();
        assert!(error.to_string().contains(&section), "{error} does not name {key}");
        assert!(!error.to_string().contains(&program), "{error}");
    }
    // Spelt in other ways.
    for text in ["[CORE]\nHooksPath=x", "[core]\n\tbare", "[include]", "[core] hookspath = x", "[extensions]\nrefstorage"] {
        fs::write(&config, format!("{good}{text}\n")).unwrap();
        assert!(matches!(Repo::open(repo.dir()), Err(Error::RefusedSetting { .. })), "{text:?}");
    }
    fs::write(&config, "[core\nx").unwrap();
    assert!(matches!(Repo::open(repo.dir()), Err(Error::CorruptFile { .. })));
    // What an administrator may well set is no reason to refuse.
    fs::write(
        &config,
        format!("{good}[remote \"m\"]\n\turl = https://example.org/x\n[user]\n\tname = x\n[pack]\n\tthreads = 1\n"),
    )
    .unwrap();
    Repo::open(repo.dir()).unwrap();
    assert!(!marker.exists());
}

#[test]
fn hooks_of_a_repository_never_run() {
    let dir = tempfile::tempdir().unwrap();
    let repo = store(dir.path());
    let (hooks, marker) = (repo.dir().join("hooks"), dir.path().join("ran"));
    fs::create_dir(&hooks).unwrap();
    for name in
        ["pre-auto-gc", "post-rewrite", "reference-transaction", "update", "post-update", "pre-receive", "post-index-change"]
    {
        fs::write(hooks.join(name), format!("#!/bin/sh\ntouch {}\n", marker.display())).unwrap();
        fs::set_permissions(hooks.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let repo = Repo::open(repo.dir()).unwrap();
    add_generation(&repo, "refs/heads/a", b"1").unwrap();
    maintain(&repo, Effort::Thorough).unwrap();
    assert!(!marker.exists());
}

#[test]
fn objects_elsewhere_and_histories_cut_short_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let repo = store(dir.path());
    for file in
        ["objects/info/alternates", "objects/info/http-alternates", "shallow", "info/grafts", "commondir", "config.worktree"]
    {
        let path = repo.dir().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x\n").unwrap();
        let error = Repo::open(repo.dir()).unwrap_err();
        assert!(matches!(&error, Error::RefusedSetting { setting } if setting == file), "{file}: {error}");
        fs::remove_file(&path).unwrap();
    }
    Repo::open(repo.dir()).unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("missing")] {
        assert!(matches!(Repo::open(&path), Err(Error::NoStore { .. })));
    }
    fs::write(dir.path().join("letter"), "dear").unwrap();
    assert!(matches!(Repo::create(dir.path()), Err(Error::Exists { .. })));
    assert!(matches!(Repo::create(&dir.path().join("letter")), Err(Error::Exists { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let repo = store(dir.path());
    assert!(matches!(Repo::create(repo.dir()), Err(Error::Exists { .. })));
    fsck(repo.dir());
    // A repository of another kind, made by `git` itself.
    for (name, format) in [("t", "--ref-format=reftable"), ("s", "--object-format=sha256")] {
        git_ok(dir.path(), &["init", "-q", "--bare", format, name]);
        let open = Repo::open(&dir.path().join(name));
        assert!(matches!(open, Err(Error::RefusedSetting { .. })), "{format}: {open:?}");
    }
    git_ok(dir.path(), &["init", "-q", "--bare", "plain"]);
    Repo::open(&dir.path().join("plain")).unwrap();
}

#[test]
fn a_store_of_another_user_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let repo = store(dir.path());
    for part in ["", "config", "objects"] {
        let path = repo.dir().join(part);
        if std::os::unix::fs::chown(&path, Some(4242), None).is_err() {
            // Only root can give files away.
            return;
        }
        let error = Repo::open(repo.dir()).unwrap_err();
        assert!(matches!(error, Error::ForeignOwner { owner: 4242, .. }), "{part}: {error}");
        std::os::unix::fs::chown(&path, Some(rustix::process::geteuid().as_raw()), None).unwrap();
    }
    Repo::open(repo.dir()).unwrap();
}

#[test]
fn a_store_that_cannot_be_written_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let repo = store(dir.path());
    let tip = repo.refs().unwrap().get("refs/heads/_store").unwrap().id;
    fs::remove_dir_all(repo.dir().join("confvault")).unwrap();
    let before = listing(repo.dir());
    let reader = Repo::open(repo.dir()).unwrap();
    reader.commit(&tip).unwrap();
    reader.refs().unwrap();
    confvault::store::verify::verify(&reader, 1, &std::sync::Mutex::default()).unwrap();
    assert_eq!(listing(repo.dir()), before);
    // And writing makes the folder of caches anew.
    add_generation(&reader, "refs/heads/a", b"2").unwrap();
}

fn listing(dir: &Path) -> Vec<(String, u64)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        out.push((path.display().to_string(), path.metadata().unwrap().len()));
        if path.is_dir() {
            out.extend(listing(&path));
        }
    }
    out.sort();
    out
}
