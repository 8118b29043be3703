//! Any other repository: trees of one device, folders, expressions.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::repo::{Commit, World, commit, git, git_ok, of, running};

fn write(tree: &Path, path: &str, text: &str) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn commit_as(tree: &Path, who: &str, time: i64, message: &str) {
    git_ok(tree, &["add", "-A"]);
    let date = format!("{time} +0200");
    let mut commit = git(tree);
    commit.args([
        "-c",
        &format!("user.name={who}"),
        "-c",
        &format!("user.email={who}@example.org"),
        "commit",
        "-q",
        "-m",
        message,
    ]);
    assert!(commit.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date).status().unwrap().success());
}

/// A tree as etckeeper keeps it: modes, links, a file that comes and goes, many files that do not change.
fn etc(world: &World) -> std::path::PathBuf {
    let tree = world.env.path("etc");
    fs::create_dir_all(&tree).unwrap();
    git_ok(&tree, &["init", "-q", "-b", "main"]);
    write(&tree, ".gitignore", "*~\n");
    write(&tree, ".etckeeper", "maybe chmod 0640 'shadow'\n");
    write(&tree, "os-release", "NAME=\"Debian\"\nVERSION_ID=\"12\"\n");
    write(&tree, "shadow", "root:$6$CaNaRyOne$abcdefghijklmnop:19000:0:99999:7:::\n");
    write(&tree, "asterisk/sip.conf", "[general]\nport=5060\n\n[100]\nsecret=CaNaRySip\n");
    write(&tree, "default/ünï", "x=1\n");
    for n in 0..60 {
        write(&tree, &format!("conf.d/{n}.conf"), &format!("n={n}\n"));
    }
    write(&tree, "cron.daily/backup", "#!/bin/sh\ntrue\n");
    fs::set_permissions(tree.join("cron.daily/backup"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/usr/share/zoneinfo/UTC", tree.join("localtime")).unwrap();
    commit_as(&tree, "ada", 1_500_000_000, "initial commit");
    write(&tree, "asterisk/sip.conf", "[general]\nport=5060\n\n[100]\nsecret=CaNaRyNew\n");
    write(&tree, "conf.d/7.conf", "n=seven\n");
    commit_as(&tree, "bob", 1_500_100_000, "set password = CaNaRyMessage for 100");
    fs::remove_file(tree.join("default/ünï")).unwrap();
    write(&tree, "os-release", "NAME=\"Debian\"\nVERSION_ID=\"13\"\n");
    commit_as(&tree, "ada", 1_500_200_000, "upgraded");
    write(&tree, "conf.d/new", "y\n");
    commit_as(&tree, "ada", 1_500_300_000, "a file");
    tree
}

#[test]
fn a_tree_of_one_device_comes_back_as_each_commit_had_it() {
    let world = World::new();
    let tree = etc(&world);
    let report = world.import(&["git", "etc", "--device", "pbx", "--profile", "linux"]);
    let pbx = of(&report, "pbx");
    assert_eq!((&pbx["first"], &pbx["last"]), (&1.into(), &4.into()));
    let log = world.log("pbx");
    let short: Vec<_> = log.iter().map(|l| [l[0].as_str(), &l[1], &l[3], &l[4]]).collect();
    let wanted = [
        ["4", "13", "1500300000", "ada <ada@example.org>"],
        ["3", "13", "1500200000", "ada <ada@example.org>"],
        ["2", "12", "1500100000", "bob <bob@example.org>"],
        ["1", "12", "1500000000", "ada <ada@example.org>"],
    ];
    assert_eq!(short, wanted);
    for number in 1..=4 {
        let (to, out) = (format!("wanted{number}"), format!("out{number}"));
        git_ok(&tree, &["worktree", "add", "-q", "--detach", &format!("../{to}"), &format!("main~{}", 4 - number)]);
        let identity = ["--identity", "cv-admin/identity.txt"];
        world.cv(&[&["restore", &format!("pbx@{number}"), "--to", &out][..], &identity].concat()).succeeded();
        fs::remove_file(world.env.path(&to).join(".git")).unwrap();
        let diff =
            Command::new("diff").arg("-r").arg("--no-dereference").arg(&to).arg(&out).current_dir(world.env.path("")).output();
        assert_eq!(String::from_utf8_lossy(&diff.unwrap().stdout), "");
        let mode = |path: &str| fs::metadata(world.env.path(&out).join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("cron.daily/backup"), mode("shadow")), (0o755, 0o644));
    }
    // A worktree is not the repository itself.
    let said = world.cv(&["import", "git", "../nowhere", "--device", "x", "--profile", "linux"]).failed(1);
    assert!(said.contains("No git repository here"), "{said}");

    // No message stands in the store unless it was asked for.
    let objects = crate::lab::objects(&world.store());
    assert!(objects.iter().all(|(_, data)| memchr::memmem::find(data, b"CaNaRy").is_none()));
    assert!(objects.iter().all(|(_, data)| memchr::memmem::find(data, b"upgraded").is_none()));
    let before = world.refs();
    world.import(&["git", "etc", "--device", "pbx", "--profile", "linux"]);
    assert_eq!(world.refs(), before);
    world.clean();
}

#[test]
fn messages_are_kept_when_asked_for_without_what_the_rules_know_for_a_secret() {
    let world = World::new();
    etc(&world);
    world.import(&["git", "etc", "--device", "pbx", "--profile", "linux", "--messages"]);
    let shown = world.cv(&["show", "pbx@2"]).succeeded();
    assert!(shown.contains("set password = (secret)"), "{shown}");
    assert!(world.cv(&["show", "pbx@3"]).succeeded().contains("upgraded"));
    let objects = crate::lab::objects(&world.store());
    assert!(objects.iter().all(|(_, data)| memchr::memmem::find(data, b"CaNaRy").is_none()));
    world.clean();
}

#[test]
fn devices_are_folders_or_what_an_expression_finds() {
    let world = World::new();
    let text = |name: &str| Some(running(name, "m", "c"));
    let files = vec![
        ("README".to_owned(), Some("hello\n".to_owned())),
        ("sites/berlin/gw-1.cfg".to_owned(), text("gw-1")),
        ("sites/bonn/gw-2.cfg".to_owned(), text("gw-2")),
        ("sites/bonn/bad name.cfg".to_owned(), text("x")),
        ("pbx-1/etc/a.conf".to_owned(), Some("a=1\n".to_owned())),
        ("pbx-1/b.conf".to_owned(), Some("b=1\n".to_owned())),
    ];
    commit(&world.env.path("any.git"), &[Commit { author: "Ada <ada@x>", time: 1_500_000_000, message: "all", files }]);
    let pattern = "^sites/[^/]+/(?<device>[^/]+)[.]cfg$";
    let report = world.import_ends(3, &["git", "any.git", "--device-from", pattern, "--profile", "cisco-ios"]);
    assert_eq!((&of(&report, "gw-1")["last"], &of(&report, "gw-2")["last"]), (&1.into(), &1.into()));
    assert!(of(&report, "bad name")["reason"].as_str().unwrap().starts_with("Name cannot be that of a device"));
    assert_eq!(report["ignored_count"], 3);
    assert_eq!(world.show("gw-1", "running-config"), running("gw-1", "m", "c"));

    let report = world.import(&["git", "any.git", "--profile", "generic", "--release", "1", "--only", "pbx-1"]);
    assert_eq!(of(&report, "pbx-1")["last"], 1);
    assert_eq!(world.show("pbx-1", "etc/a.conf"), "a=1\n");
    let said = world.cv(&["import", "git", "any.git", "--device-from", "(x"]).failed(2);
    assert!(said.contains("Not an expression with a group `device`"), "{said}");
    world.clean();
}

#[test]
fn of_merges_the_first_parent_counts_and_another_branch_can_be_chosen() {
    let world = World::new();
    let tree = world.env.path("m");
    fs::create_dir_all(&tree).unwrap();
    git_ok(&tree, &["init", "-q", "-b", "main"]);
    write(&tree, "gw/a.conf", "a=1\n");
    commit_as(&tree, "ada", 1_500_000_000, "one");
    git_ok(&tree, &["checkout", "-q", "-b", "work"]);
    for n in 2..=3 {
        write(&tree, "gw/a.conf", &format!("a={n}\n"));
        commit_as(&tree, "bob", 1_500_000_000 + n, "work");
    }
    git_ok(&tree, &["checkout", "-q", "main"]);
    git_ok(&tree, &["-c", "user.name=ada", "-c", "user.email=a@b", "merge", "-q", "--no-ff", "-m", "merge", "work"]);
    let args = ["git", "m", "--profile", "generic", "--release", "1"];
    world.import(&args);
    assert_eq!(world.log("gw").len(), 2);
    assert_eq!(world.show("gw", "a.conf"), "a=3\n");
    let said = world.cv(&["import", "git", "m", "--branch", "nope", "--profile", "generic"]).failed(1);
    assert!(said.contains("Repository has no branch nope"), "{said}");
    let other = World::new();
    let from = tree.to_str().unwrap();
    other.import(&["git", from, "--branch", "work", "--profile", "generic", "--release", "1"]);
    assert_eq!(other.log("gw").len(), 3);
}
