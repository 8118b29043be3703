//! A restore that was killed, taken up when something is another than it was.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use crate::lab::{Lab, good, tree};

/// A restore whose process is killed when all files are in place, and no snapshot is taken; only the first time.
const KILLED: &str = "[[restore.apply]]\nrun = \"test -e ../was-killed || { touch ../was-killed; kill -9 $PPID; sleep 5; }\"\n";

fn killed(lab: Lab) -> Lab {
    let status = lab.restore_command(&[]).output().unwrap().status;
    assert_eq!(status.signal(), Some(9));
    assert_eq!(lab.tree(), lab.point(), "killed before its last file");
    lab
}

fn source(lab: &Lab, source: &str) -> crate::env::Run {
    let run = lab.cv(&["device", "set", "pbx", "--source", source]);
    assert_eq!(run.code, 0, "{run}");
    run
}

/// How many generations there are.
fn generations(lab: &Lab) -> usize {
    lab.cv(&["log", "pbx", "--json"]).json()["generations"].as_array().unwrap().len()
}

#[test]
fn a_device_that_is_elsewhere_by_now_is_not_touched() {
    let lab = killed(Lab::new(KILLED));
    let other = lab.env.path("other");
    good(&other);
    fs::write(other.join("main.conf"), "[innocent]\n").unwrap();
    let innocent = tree(&other);
    let set = source(&lab, "dir:../other");
    assert!(set.stderr.contains("warning: a restore of pbx did not end"), "{set}");
    for way in ["--undo", "--resume"] {
        let run = lab.cv(&["restore", way, "--wait", "3"]);
        assert_eq!(run.code, 1, "{run}");
        assert!(
            run.stderr.contains("Restore of pbx began on another device: its source was dir:../pbx, and is dir:../other"),
            "{run}"
        );
        assert_eq!((tree(&other), lab.tree()), (innocent.clone(), lab.point()), "{run}");
    }
    // The way back is there still.
    drop(source(&lab, "dir:../pbx"));
    let run = lab.cv(&["restore", "--undo", "--wait", "3"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!((tree(&other), lab.tree()), (innocent, lab.broken.clone()));
    lab.assert_tidy();
}

#[test]
fn the_same_device_under_another_source_is_taken_when_that_is_said() {
    let lab = killed(Lab::new(KILLED));
    fs::rename(&lab.at, lab.env.path("elsewhere")).unwrap();
    drop(source(&lab, "dir:../elsewhere"));
    let run = lab.cv(&["restore", "--undo", "--moved", "--wait", "3"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(tree(&lab.env.path("elsewhere")), lab.broken, "{run}");
}

#[test]
fn a_device_that_is_removed_meanwhile_is_warned_of() {
    let lab = killed(Lab::new(KILLED));
    let run = lab.cv(&["device", "remove", "pbx"]);
    assert!(run.stderr.contains("a restore of pbx did not end; `confvault restore --undo pbx`"), "{run}");
}

#[test]
fn going_on_asks_for_the_release_again() {
    let lab = killed(Lab::new(KILLED));
    lab.cv(&["device", "set", "pbx", "--release", "2"]).succeeded();
    let run = lab.cv(&["restore", "--resume", "--wait", "3"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Device runs another release: 2 in place of 1"), "{run}");
    assert!(run.stderr.contains("--across-releases"), "{run}");
    let lab = {
        let other = lab.copy();
        let run = other.cv(&["restore", "--resume", "--across-releases", "--wait", "3"]);
        assert_eq!(run.code, 0, "{run}");
        assert_eq!(other.tree(), other.point());
        other.assert_tidy();
        lab
    };
    // Back is free.
    let run = lab.cv(&["restore", "--undo", "--wait", "3"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.broken);
    lab.assert_tidy();
}

#[test]
fn what_was_begun_across_releases_goes_on_without_being_asked_again() {
    let lab = Lab::new(KILLED);
    lab.cv(&["device", "set", "pbx", "--release", "2"]).succeeded();
    assert_eq!(lab.restore_command(&["--across-releases"]).output().unwrap().status.signal(), Some(9));
    let run = lab.cv(&["restore", "--resume", "--wait", "3"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.point());
    lab.assert_tidy();
}

#[test]
fn what_somebody_changed_since_is_kept_before_it_is_written_over() {
    let first = killed(Lab::new(KILLED));
    for (way, wanted, count) in [("--resume", first.point(), 3), ("--undo", first.broken.clone(), 2)] {
        let lab = first.copy();
        fs::write(lab.at.join("gone.conf"), "[mended by night]\n").unwrap();
        let run = lab.cv(&["restore", way, "--wait", "3"]);
        assert_eq!(run.code, 0, "{run}");
        assert_eq!(lab.tree(), wanted, "{run}");
        assert!(run.stderr.contains("pbx was changed since the restore stopped: what stood then is kept as pbx@3"), "{run}");
        assert_eq!(lab.cv(&["show", "pbx@3", "gone.conf"]).text(), "[mended by night]\n");
        lab.assert_tidy();
        // Where nobody changed anything, there is no snapshot of what stands between.
        let lab = first.copy();
        let run = lab.cv(&["restore", way, "--wait", "3", "--json"]);
        assert_eq!((run.code, &run.json()["kept"]), (0, &serde_json::Value::Null), "{run}");
        assert_eq!(generations(&lab), count, "{run}");
    }
}

#[test]
fn what_cannot_be_kept_is_not_written_over_unless_that_is_said() {
    let lab = killed(Lab::new(KILLED));
    fs::write(lab.at.join("gone.conf"), "[mended by night]\n").unwrap();
    // No snapshot can be taken of a device whose release cannot be told.
    lab.cv(&["device", "set", "pbx", "--no-release"]).succeeded();
    let run = lab.cv(&["restore", "--undo", "--wait", "3"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Device was changed since the restore stopped, 1 in all, and no snapshot"), "{run}");
    assert_eq!(fs::read_to_string(lab.at.join("gone.conf")).unwrap(), "[mended by night]\n");
    let run = lab.cv(&["restore", "--undo", "--incomplete", "--wait", "3"]);
    assert!(lab.tree() == lab.broken, "{run}");
}

#[test]
fn a_change_does_not_end_before_its_restore() {
    let lab = Lab::new(KILLED);
    lab.cv(&["change", "open", "pbx", "--ticket", "CHG-7", "--why", "codecs"]).succeeded();
    let lab = killed(lab);
    for end in ["close", "abort"] {
        let run = lab.cv(&["change", end, "CHG-7"]);
        assert_eq!(run.code, 1, "{run}");
        assert!(run.stderr.contains("Change CHG-7 cannot end before the restore of its device pbx"), "{run}");
        assert!(run.stderr.contains("confvault restore --resume pbx"), "{run}");
    }
    // A device that is gone for good: its record is removed by hand.
    let gone = lab.copy();
    fs::remove_dir_all(gone.env.path("store/restores/pbx")).unwrap();
    gone.cv(&["change", "abort", "CHG-7"]).succeeded();
    let run = lab.cv(&["restore", "--undo", "--wait", "3"]);
    assert!(run.code == 0 && run.stderr.contains("Change CHG-7"), "{run}");
    lab.cv(&["change", "close", "CHG-7"]).succeeded();
    lab.assert_tidy();
}

/// Signs both generations anew, by a key that the store does not know.
fn sign_as_a_stranger(lab: &Lab) {
    let run = |program: &str, args: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.current_dir(lab.env.path("store/store.git")).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "central").env(format!("GIT_{who}_EMAIL"), "central@confvault");
        }
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let key = lab.env.path("stranger").display().to_string();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key]);
    let key = format!("user.signingkey={key}");
    let mut parents: Vec<String> = Vec::new();
    for commit in ["pbx/1~1", "pbx/1"] {
        let message = run("git", &["log", "-1", "--format=%B", commit]);
        let tree = format!("{commit}^{{tree}}");
        let mut args = vec!["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S", "-m", &message, &tree];
        args.extend(parents.iter().flat_map(|parent| ["-p", parent.as_str()]));
        parents = vec![run("git", &args)];
    }
    run("git", &["update-ref", "refs/heads/pbx/1", &parents[0]]);
}

#[test]
fn a_point_that_nobody_has_signed_who_may_is_not_gone_on_with() {
    let lab = killed(Lab::new(KILLED));
    sign_as_a_stranger(&lab);
    // The line is taken as it is, so that snapshots go on; what is put back is asked for all the same.
    lab.cv(&["key", "heads", "--accept"]).succeeded();
    let run = lab.cv(&["restore", "--resume", "--wait", "3"]);
    assert_eq!(run.code, 13, "{run}");
    assert!(run.stderr.contains("signed by an unknown key") && run.stderr.contains("`--unverified`"), "{run}");
    for (args, tree) in [(&["--resume", "--unverified"][..], lab.point()), (&["--undo"], lab.broken.clone())] {
        let lab = lab.copy();
        let run = lab.cv(&[&["restore", "--wait", "3"], args].concat());
        assert_eq!(run.code, 0, "{run}");
        assert_eq!(lab.tree(), tree, "{run}");
        lab.assert_tidy();
    }
    // One that was begun so goes on so.
    lab.cv(&["restore", "--undo", "--wait", "3"]).succeeded();
    fs::remove_file(lab.env.path("was-killed")).unwrap();
    let refused = lab.restore(&[]);
    assert_eq!(refused.code, 13, "{refused}");
    let begun = lab.cv(&["restore", "pbx@1", "--device", "--yes", "--unverified"]);
    assert!(begun.code == -1 && begun.stderr.contains("warning: signed by nobody whom this store trusts: "), "{begun}");
    let run = lab.cv(&["restore", "--resume", "--wait", "3"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.point());
}
