//! Hostile repositories: nothing of them is run or followed, and the store stays as it was.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::repo::{Commit, World, commit, git, git_ok, of, oxidized, oxidized_head, running};

const GENERIC: [&str; 4] = ["--profile", "generic", "--release", "1"];

fn simple(repo: &Path) {
    let files = vec![("gw/a.conf".to_owned(), Some("a=1\n".to_owned())), ("gw/b.conf".to_owned(), Some("b=1\n".to_owned()))];
    commit(repo, &[Commit { author: "Ada <ada@x>", time: 1_500_000_000, message: "one", files }]);
}

/// Writes an object as it is, whatever git thinks of it.
fn object(repo: &Path, kind: &str, data: &[u8]) -> String {
    let mut git = git(repo);
    git.args(["hash-object", "-t", kind, "-w", "--stdin", "--literally"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = git.spawn().unwrap();
    child.stdin.take().unwrap().write_all(data).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn raw(id: &str) -> Vec<u8> {
    (0..20).map(|n| u8::from_str_radix(&id[n * 2..n * 2 + 2], 16).unwrap()).collect()
}

/// Writes a tree with these entries in this order.
fn tree(repo: &Path, entries: &[(&str, &[u8], &str)]) -> String {
    let mut data = Vec::new();
    for (mode, name, id) in entries {
        data.extend_from_slice(format!("{mode} ").as_bytes());
        data.extend_from_slice(name);
        data.push(0);
        data.extend_from_slice(&raw(id));
    }
    object(repo, "tree", &data)
}

/// Makes a repository whose one commit has this tree, below a folder `gw`.
fn with_tree(world: &World, name: &str, make: impl Fn(&Path) -> String) -> PathBuf {
    let repo = world.env.path(name);
    fs::create_dir_all(&repo).unwrap();
    git_ok(&repo, &["init", "-q", "--bare", "-b", "master"]);
    let inner = make(&repo);
    let top = tree(&repo, &[("40000", b"gw", &inner)]);
    let text = format!("tree {top}\nauthor A <a@x> 1500000000 +0000\ncommitter A <a@x> 1500000000 +0000\n\nx\n");
    let id = object(&repo, "commit", text.as_bytes());
    git_ok(&repo, &["update-ref", "refs/heads/master", &id]);
    repo
}

/// An import that must fail as a whole and leave the store as it was; gives what was said.
#[track_caller]
fn refused(world: &World, repo: &str) -> String {
    let before = world.refs();
    let packs = || fs::read_dir(world.store().join("objects/pack")).unwrap().count();
    let count = packs();
    let said = world.cv(&[&["import", "git", repo][..], &GENERIC].concat()).failed(1);
    assert_eq!((world.refs(), packs()), (before, count));
    said
}

#[test]
fn no_hook_and_no_setting_of_a_repository_is_run() {
    let world = World::new();
    let repo = world.env.path("trap.git");
    simple(&repo);
    let trap = world.env.path("trap.sh");
    fs::write(&trap, format!("#!/bin/sh\ntouch {}\n", world.env.path("sprung").display())).unwrap();
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let program = trap.to_str().unwrap();
    for setting in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "uploadpack.packObjectsHook",
        "filter.x.smudge",
        "filter.x.clean",
        "diff.x.textconv",
        "diff.external",
        "gpg.program",
        "credential.helper",
        "alias.log",
        "remote.origin.uploadpack",
    ] {
        git_ok(&repo, &["config", setting, program]);
    }
    git_ok(&repo, &["config", "remote.origin.url", &format!("ext::{program}")]);
    git_ok(&repo, &["config", "remote.origin.promisor", "true"]);
    git_ok(&repo, &["config", "include.path", "/dev/zero"]);
    for hook in ["post-checkout", "reference-transaction", "pre-auto-gc", "post-index-change", "fsmonitor-watchman"] {
        fs::copy(&trap, repo.join("hooks").join(hook)).unwrap();
    }
    fs::write(repo.join("info/attributes"), "* filter=x diff=x\n").unwrap();
    world.import(&[&["git", "trap.git"][..], &GENERIC].concat());
    assert_eq!(world.show("gw", "a.conf"), "a=1\n");
    assert!(!world.env.path("sprung").exists());
    // What looks like a URL is the name of a folder that is not there.
    for url in [format!("ext::{program}"), "ssh://-oProxyCommand=x/y".to_owned(), "-F@host".to_owned()] {
        let run = world.cv(&["import", "git", "--profile", "generic", "--", &url]);
        assert!(run.failed(1).contains("No git repository here"), "{url}");
    }
    assert!(!world.env.path("sprung").exists());
    world.clean();
}

#[test]
fn formats_and_objects_that_are_elsewhere_are_refused_with_the_way_out() {
    let world = World::new();
    let repo = world.env.path("whole.git");
    simple(&repo);
    let at = |name: &str| world.env.path(name);
    let work = at("");
    git_ok(&work, &["clone", "-q", "--bare", "--shared", "whole.git", "shared.git"]);
    let said = refused(&world, "shared.git");
    assert!(said.contains("it takes objects from another repository"), "{said}");
    assert!(said.contains("git clone --mirror --no-local"), "{said}");
    git_ok(&work, &["clone", "-q", "whole.git", "tree"]);
    git_ok(&at("tree"), &["worktree", "add", "-q", "--detach", "../linked"]);
    assert!(refused(&world, "linked").contains("a working tree whose repository lies elsewhere"));
    git_ok(&work, &["init", "-q", "--bare", "--object-format=sha256", "sha256.git"]);
    assert!(refused(&world, "sha256.git").contains("other names than SHA-1"));
    simple(&at("table.git"));
    git_ok(&at("table.git"), &["config", "extensions.refStorage", "reftable"]);
    assert!(refused(&world, "table.git").contains("its refs are not files"));
    git_ok(&work, &["init", "-q", "--bare", "-b", "main", "empty.git"]);
    assert!(refused(&world, "empty.git").contains("Repository has no branch main"));
    // A shallow one has what it has.
    let file = format!("file://{}", repo.display());
    let files = |n: u32| vec![("gw/a.conf".to_owned(), Some(format!("a={n}\n")))];
    for n in 2..6 {
        commit(&repo, &[Commit { author: "Ada <ada@x>", time: 1_500_000_000, message: "more", files: files(n) }]);
    }
    git_ok(&work, &["clone", "-q", "--bare", "--depth", "2", &file, "shallow.git"]);
    let report = world.import(&[&["git", "shallow.git"][..], &GENERIC].concat());
    assert_eq!((&report["shallow"], &of(&report, "gw")["last"]), (&true.into(), &2.into()));
    // The owner does not matter, as nothing of his counts.
    if rustix::process::geteuid().is_root() {
        assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(&repo).status().unwrap().success());
        let other = World::new();
        other.import(&[&["git", repo.to_str().unwrap()][..], &GENERIC].concat());
        assert_eq!(other.log("gw").len(), 5);
    }
    world.clean();
}

#[test]
fn hostile_trees_are_refused_before_anything_is_written() {
    let world = World::new();
    let blob = |repo: &Path| object(repo, "blob", b"x=1\n");
    type Make = fn(&Path, &str) -> String;
    let cases: [(&str, Make); 6] = [
        ("leads elsewhere", |repo, blob| tree(repo, &[("100644", b"..", blob)])),
        ("leads elsewhere", |repo, blob| tree(repo, &[("100644", b"a/b", blob)])),
        ("leads elsewhere", |repo, blob| tree(repo, &[("100644", b"", blob)])),
        ("one name twice", |repo, blob| tree(repo, &[("100644", b"a", blob), ("120000", b"a", blob)])),
        ("one name twice", |repo, blob| {
            let below = tree(repo, &[("100644", b"x", blob)]);
            tree(repo, &[("120000", b"a", blob), ("40000", b"a", &below)])
        }),
        ("not a tree", |repo, blob| tree(repo, &[("40000", b"a", blob)])),
    ];
    for (n, (wanted, make)) in cases.iter().enumerate() {
        let name = format!("tree{n}.git");
        with_tree(&world, &name, |repo| make(repo, &blob(repo)));
        let said = refused(&world, &name);
        assert!(said.contains("error: Repository is damaged") && said.contains(wanted), "{n}: {said}");
    }
    // 600 levels, and trees of trees of trees: many from little.
    with_tree(&world, "deep.git", |repo| {
        (0..600).fold(tree(repo, &[("100644", b"a", &blob(repo))]), |below, _| tree(repo, &[("40000", b"d", &below)]))
    });
    assert!(refused(&world, "deep.git").contains("A commit changes more than"));
    for (name, leaf) in [("bomb.git", true), ("hollow.git", false)] {
        with_tree(&world, name, |repo| {
            let blob = blob(repo);
            let bottom = if leaf { tree(repo, &[("100644", b"a", &blob)]) } else { tree(repo, &[]) };
            (0..9).fold(bottom, |below, _| {
                let names: Vec<String> = (0..10).map(|n| format!("d{n}")).collect();
                let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_bytes(), below.as_str())).collect();
                tree(repo, &entries)
            })
        });
        let said = refused(&world, name);
        assert!(said.contains("A commit changes more than") && said.contains("--below FOLDER"), "{said}");
    }
}

#[test]
fn odd_trees_are_taken_as_what_they_are() {
    let world = World::new();
    with_tree(&world, "odd.git", |repo| {
        let blob = object(repo, "blob", b"x=1\n");
        let hook = tree(repo, &[("100755", b"post-checkout", &blob)]);
        let git = tree(repo, &[("40000", b"hooks", &hook)]);
        let link = object(repo, "blob", b"/etc/passwd");
        tree(
            repo,
            &[
                ("40000", b".GIT", &git),
                ("100664", b"old-mode", &blob),
                ("160000", b"submodule", "1234567812345678123456781234567812345678"),
                ("100644", b"back\\slash", &blob),
                ("100644", b"esc\x1b[2J", &blob),
                ("120000", b"link", &link),
                ("100644", b"zz\xff", &blob),
            ],
        )
    });
    let run = world.cv(&[&["import", "git", "odd.git"][..], &GENERIC].concat());
    assert_eq!(run.code, 0, "{run}");
    let listed = world.cv(&["--json", "ls", "gw"]).json();
    let paths: Vec<&str> = listed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["kind"] != "directory")
        .map(|e| e["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths.len(), 6, "{listed}");
    assert!(!listed.to_string().contains("submodule"));
    world.clean();
    world.cv(&["restore", "gw", "--to", "out"]).succeeded();
    assert_eq!(fs::read_link(world.env.path("out/link")).unwrap(), Path::new("/etc/passwd"));
    // A clone of the store gets no folder that git would act on.
    git_ok(&world.env.path(""), &["clone", "-q", "cv/store.git", "-b", "gw/1", "clone"]);
    assert!(!world.env.path("clone/voip/.GIT").exists());
}

#[test]
fn damage_costs_what_it_touches_or_the_whole_import_and_never_the_store() {
    let world = World::new();
    let state = |name: &str, marker: &str| oxidized_head("15.7(3)M6") + &running(name, marker, "c");
    let repo = world.env.path("d.git");
    commit(
        &repo,
        &[
            oxidized(1_500_000_000, &[("r1", &state("r1", "one")), ("r2", &state("r2", "one"))]),
            oxidized(1_500_000_001, &[("r1", &state("r1", "two"))]),
            oxidized(1_500_000_002, &[("r1", &state("r1", "three"))]),
        ],
    );
    git_ok(&repo, &["repack", "-adfq"]);
    git_ok(&repo, &["config", "core.looseCompression", "1"]);
    // A state whose bytes are lost: loose objects, one of them emptied.
    git_ok(&world.env.path(""), &["init", "-q", "--bare", "-b", "master", "loose.git"]);
    let mut unpack = git(&world.env.path("loose.git"));
    let pack = fs::read_dir(repo.join("objects/pack"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "pack"));
    let pack = pack.unwrap();
    unpack.args(["unpack-objects", "-q"]).stdin(fs::File::open(&pack).unwrap());
    assert!(unpack.status().unwrap().success());
    let head = git_ok(&repo, &["rev-parse", "master"]);
    git_ok(&world.env.path("loose.git"), &["update-ref", "refs/heads/master", head.trim()]);
    let lost = git_ok(&repo, &["rev-parse", "master~1:r1"]);
    let (folder, file) = lost.trim().split_at(2);
    let lost = world.env.path("loose.git/objects").join(folder).join(file);
    fs::set_permissions(&lost, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&lost, "").unwrap();
    let report = world.import(&["oxidized", "loose.git", "--profile", "cisco-ios"]);
    assert_eq!((&of(&report, "r1")["last"], &of(&report, "r2")["last"]), (&2.into(), &1.into()));
    assert!(of(&report, "r1")["skipped"][0]["reason"].as_str().unwrap().starts_with("Repository is damaged"));
    assert_eq!(world.show("r1", "running-config"), state("r1", "three"));

    // A state that inflates to more than a file may have: 100 MiB of a blank from 100 KiB.
    let files = vec![("gw/zeros".to_owned(), Some(" ".repeat(100 << 20)))];
    commit(&world.env.path("zeros.git"), &[Commit { author: "A <a@x>", time: 1, message: "m", files }]);
    let report = world.import(&[&["git", "zeros.git"][..], &GENERIC].concat());
    assert!(of(&report, "gw")["skipped"][0]["reason"].as_str().unwrap().contains("more than the limit"), "{report}");

    // Every cut and every flipped byte: an error or what is still whole, never something else.
    let whole = fs::read(&pack).unwrap();
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o644)).unwrap();
    let before = world.refs();
    for at in (12..whole.len()).step_by(whole.len() / 12) {
        for cut in [true, false] {
            let mut bad = whole.clone();
            if cut {
                bad.truncate(at)
            } else {
                bad[at] ^= 0x10
            }
            fs::write(&pack, bad).unwrap();
            let run = world.cv(&["import", "oxidized", "d.git", "--profile", "cisco-ios", "--plan"]);
            assert!([0, 1, 3].contains(&run.code), "{run}");
        }
    }
    assert_eq!(world.refs(), before);
    world.clean();
}

#[test]
fn pipes_in_the_place_of_files_are_not_waited_for() {
    let world = World::new();
    for place in ["HEAD", "refs/heads/master", "config", "shallow", "packed-refs"] {
        let repo = world.env.path("pipe.git");
        drop(fs::remove_dir_all(&repo));
        simple(&repo);
        drop(fs::remove_file(repo.join(place)));
        fs::create_dir_all(repo.join(place).parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(repo.join(place)).status().unwrap().success());
        let said = refused(&world, "pipe.git");
        assert!(said.contains("Repository is damaged") || said.contains("No git repository"), "{place}: {said}");
    }
}

#[test]
fn who_and_when_are_taken_as_far_as_they_can_be() {
    let world = World::new();
    let repo = world.env.path("who.git");
    simple(&repo);
    let mut parent = git_ok(&repo, &["rev-parse", "master"]).trim().to_owned();
    let authors = [
        "author Eve <eve@x> 99999999999999999999 +0000",
        "author Eve <eve@x> 4000000000 +0000",
        "author \x1b[31mEve\x07 <<e>> -5 +0000",
        "author nobody",
        "x",
    ];
    for (n, author) in authors.iter().enumerate() {
        let blob = object(&repo, "blob", format!("a={n}\n").as_bytes());
        let gw = tree(&repo, &[("100644", b"a.conf", &blob)]);
        let top = tree(&repo, &[("40000", b"gw", &gw)]);
        let text = format!("tree {top}\nparent {parent}\n{author}\ncommitter C <c@x> 1500000009 +0000\n\nx\n");
        parent = object(&repo, "commit", text.as_bytes());
    }
    git_ok(&repo, &["update-ref", "refs/heads/master", &parent]);
    world.import(&[&["git", "who.git"][..], &GENERIC].concat());
    let log = world.log("gw");
    assert_eq!(log.len(), 6);
    let now = chrono::Utc::now().timestamp();
    assert!(log.iter().all(|l| (0..=now).contains(&l[3].parse().unwrap())), "{log:?}");
    assert!(log.iter().all(|l| !l[4].contains(['\x1b', '\x07'])), "{log:?}");
    assert_eq!(log[0][4], "C <c@x>");
    world.clean();
}
