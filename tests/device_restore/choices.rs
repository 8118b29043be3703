//! What is put back, to what, and within which change.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::env::TestEnv;
use crate::lab::{CANARY, Lab, PROFILE, tree};

#[test]
fn paths_and_scopes_choose_and_what_is_not_chosen_stays() {
    let lab = Lab::new("");
    let run = lab.restore(&["deep/er/gone.conf", "extra/new.conf"]);
    assert_eq!(run.code, 0, "{run}");
    let mut wanted = lab.broken.clone();
    for path in ["deep", "deep/er", "deep/er/gone.conf"] {
        wanted.insert(path.into(), lab.good[path].clone());
    }
    wanted.remove("extra/new.conf");
    assert_eq!(lab.tree(), wanted, "{run}");
    let run = lab.restore(&["--scope", "user"]);
    assert_eq!(run.code, 0, "{run}");
    wanted.insert("users.db".into(), lab.good["users.db"].clone());
    assert_eq!(lab.tree(), wanted, "{run}");
    let run = lab.restore(&["no/such.conf"]);
    assert!(run.code == 2 && run.stderr.contains("No such path in this generation: no/such.conf"), "{run}");
    // What the point does not have can stay.
    fs::write(lab.at.join("extra/new.conf"), "[new]\n").unwrap();
    let run = lab.restore(&["--keep-extra"]);
    assert_eq!(run.code, 0, "{run}");
    let mut wanted = lab.point();
    wanted.insert("extra".into(), lab.broken["extra"].clone());
    wanted.insert("extra/new.conf".into(), lab.broken["extra/new.conf"].clone());
    assert_eq!(lab.tree(), wanted, "{run}");
    lab.assert_tidy();
}

#[test]
fn a_set_of_another_release_is_refused_with_what_changed_between_them() {
    let lab = Lab::new("");
    lab.cv(&["device", "set", "pbx", "--release", "2"]).succeeded();
    lab.cv(&["snapshot"]).succeeded();
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Device runs another release: 2 in place of 1"), "{run}");
    let text = run.text();
    assert!(text.contains("What changed from 1 to 2") && text.contains("gone  voip/gone.conf"), "{text}");
    assert!(text.contains("port: 5060 -> 5061"), "{text}");
    assert_eq!(lab.tree(), lab.broken);
    let plan = lab.cv(&["restore", "pbx@1", "--device", "--plan", "--json"]).json();
    assert_eq!(plan["plan"]["release_now"], "2");
    assert!(plan["plan"]["between_releases"]["files"].as_array().is_some_and(|files| !files.is_empty()), "{plan}");
    let run = lab.restore(&["--across-releases"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.point());
}

#[test]
fn a_release_that_the_store_has_no_set_of_is_refused_with_the_reason_why_there_is_no_list() {
    let lab = Lab::new("");
    lab.cv(&["device", "set", "pbx", "--release", "3"]).succeeded();
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    let why = "the store has no set of release 3; `confvault snapshot pbx` takes one";
    assert!(run.stderr.contains(&format!("what changed between the releases cannot be shown: {why}")), "{run}");
    let run = lab.restore(&["--json"]);
    assert_eq!((run.code, &run.json()["plan"]["between_releases_lacks"]), (1, &why.into()), "{run}");
    // The set that is taken then is the list.
    lab.cv(&["snapshot"]).succeeded();
    let run = lab.restore(&["--json"]);
    let plan = &run.json()["plan"];
    assert_eq!((run.code, &plan["between_releases_lacks"]), (1, &serde_json::Value::Null), "{run}");
    assert!(plan["between_releases"]["files"].as_array().is_some_and(|files| !files.is_empty()), "{plan}");
    assert!(run.stderr.contains("Device runs another release: 3 in place of 1"), "{run}");
    assert_eq!(lab.tree(), lab.broken);
}

#[test]
fn a_device_without_a_whole_set_is_put_back_when_that_is_said() {
    let env = TestEnv::new();
    let at = env.path("pbx");
    crate::lab::good(&at);
    let profile = format!(
        "{PROFILE}\n[collect]\nrequired = [\"main.conf\"]\n[[release]]\npaths = [\"same.conf\"]\nregex = '\\[(?<release>.*)\\]'\n[restore]\nmethod = \"files\"\n"
    );
    let lab = Lab::with(env, at, "source = \"dir:../pbx\"\n", &profile);
    let inventory = lab.env.read("store/confvault.toml").replace("release = \"1\"\n", "");
    lab.env.write("store/confvault.toml", inventory);
    lab.cv(&["snapshot"]).succeeded();
    fs::remove_file(lab.at.join("main.conf")).unwrap();
    let mut without = lab.good.clone();
    without.remove("main.conf");
    let run = lab.cv(&["restore", "pbx", "--device", "--yes"]);
    assert!(run.code == 1 && run.stderr.contains("Device has no whole set"), "{run}");
    assert!(run.stderr.contains("nothing matches main.conf"), "{run}");
    assert_eq!(lab.tree(), without);
    let run = lab.cv(&["restore", "pbx", "--device", "--yes", "--incomplete"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.good);
    // All of it gone, release and all: a folder that is there and empty.
    fs::remove_dir_all(&lab.at).unwrap();
    fs::create_dir(&lab.at).unwrap();
    let run = lab.cv(&["restore", "pbx", "--device", "--yes", "--incomplete"]);
    assert!(run.code == 1 && run.stderr.contains("one that cannot be told in place of same"), "{run}");
    let run = lab.cv(&["restore", "pbx", "--device", "--yes", "--incomplete", "--across-releases"]);
    assert_eq!(run.code, 0, "{run}");
    let mut wanted = lab.good.clone();
    wanted.retain(|path, _| !path.starts_with("cache/"));
    assert_eq!(lab.tree(), wanted);
    lab.assert_tidy();
}

#[test]
fn a_restore_within_an_open_change_belongs_to_it_and_leaves_it_open() {
    let lab = Lab::new("");
    lab.cv(&["change", "open", "pbx", "--ticket", "CHG-7", "--why", "codecs"]).succeeded();
    let run = lab.restore(&["gone.conf", "--ticket", "IGNORED"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stderr.contains("Change CHG-7"), "{run}");
    let open = lab.cv(&["change", "list", "--json"]).json();
    assert_eq!(open["changes"][0]["change"], "CHG-7");
    lab.cv(&["change", "close", "CHG-7"]).succeeded();
    assert!(lab.cv(&["diff", "pbx@pre/CHG-7", "@post/CHG-7", "--stat"]).text().contains("gone.conf"));
}

#[test]
fn a_change_that_is_given_up_puts_back_what_stood_before_it() {
    let lab = Lab::new("[[restore.check]]\nrun = \"! grep -q bad {root}/main.conf\"\n");
    lab.cv(&["change", "open", "pbx", "--ticket", "CHG-7", "--why", "codecs"]).succeeded();
    fs::write(lab.at.join("main.conf"), "changed\n").unwrap();
    fs::remove_file(lab.at.join("same.conf")).unwrap();
    let asked = lab.cv(&["change", "abort", "CHG-7", "--restore"]);
    assert!(asked.code == 2 && asked.stderr.contains("Nothing is asked without a terminal"), "{asked}");
    let run = lab.cv(&["change", "abort", "CHG-7", "--restore", "--yes", "--note", "no good"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.broken);
    assert!(!run.stderr.contains("is not as it stood before"), "{run}");
    let shown = lab.cv(&["change", "show", "CHG-7", "--json"]).json();
    assert_eq!((&shown["state"], &shown["note"]), (&"aborted".into(), &"no good".into()));
    assert_eq!(shown["devices"][0]["pre"], 2);
    lab.assert_tidy();

    // One that cannot be put back keeps the change open.
    fs::write(lab.at.join("main.conf"), "bad\n").unwrap();
    lab.cv(&["change", "open", "pbx", "--ticket", "CHG-8", "--why", "codecs"]).succeeded();
    fs::write(lab.at.join("main.conf"), "worse\n").unwrap();
    let run = lab.cv(&["change", "abort", "CHG-8", "--restore", "--yes", "--json"]);
    assert_eq!(run.code, 1, "{run}");
    let document = run.json();
    assert_eq!((&document["state"], &document["restored"][0]["outcome"]), (&"open".into(), &"went-back".into()));
    assert_eq!(fs::read_to_string(lab.at.join("main.conf")).unwrap(), "worse\n");
    assert_eq!(lab.cv(&["change", "abort", "CHG-9", "--restore", "--yes"]).code, 2);
}

#[test]
fn a_stand_in_takes_the_set_of_another_device() {
    let lab = Lab::new("[[restore.apply]]\nrun = \"touch {root}/../applied\"\n");
    lab.env.write("spare/main.conf", "[general]\nport=1\n");
    lab.cv(&["device", "add", "spare", "--source", "dir:../spare", "--profile", "pb", "--release", "1"]).succeeded();
    lab.cv(&["snapshot", "spare"]).succeeded();
    let run = lab.restore(&["--onto", "spare", "--ticket", "DRILL-1"]);
    assert_eq!(run.code, 0, "{run}");
    let mut wanted = lab.good.clone();
    wanted.retain(|path, _| !path.starts_with("cache/"));
    assert_eq!(tree(&lab.env.path("spare")), wanted);
    assert_eq!(lab.tree(), lab.broken);
    let pre = lab.cv(&["show", "spare@pre/DRILL-1", "main.conf"]).text();
    assert!(pre.contains("port=1"), "{pre}");
    let mine = lab.cv(&["restore", "pbx@1", "--device", "--onto", "spare", "--plan"]);
    assert_eq!(mine.code, 0, "{mine}");
}

#[test]
fn the_result_is_one_document() {
    let lab = Lab::new(
        "[[restore.apply]]\nrun = \"true\"\ninterrupts = true\n[[restore.cannot]]\npaths = [\"users.db\"]\nwhat = \"the database\"\nwhy = \"stop it first\"\n[[restore.cannot]]\nwhat = \"the licence\"\nwhy = \"it belongs to the board\"\n",
    );
    let run = lab.restore(&["--json", "--ticket", "T-1", "--by", "anna", "--why", "it broke"]);
    assert_eq!(run.code, 0, "{run}");
    let document = run.json();
    assert_eq!(
        (&document["version"], &document["command"], &document["outcome"]),
        (&1.into(), &"restore".into(), &"done".into())
    );
    assert_eq!((&document["pre"], &document["post"], &document["change"]), (&2.into(), &3.into(), &"T-1".into()));
    let plan = &document["plan"];
    assert_eq!(plan["left"][0]["path"], "users.db");
    assert_eq!(plan["notes"][0]["what"], "the licence");
    assert_eq!(plan["commands"][0]["interrupts"], true);
    assert_eq!(lab.tree()["users.db"], lab.broken["users.db"]);
    assert!(!format!("{run}").contains(CANARY));
    // What cannot be put back still differs.
    let plan = lab.cv(&["restore", "pbx@1", "--device", "--plan"]);
    assert!(plan.code == 1 && plan.text().contains("stays   users.db"), "{plan}");
    let again = lab.restore(&[]);
    assert!(again.code == 0 && again.text().contains("nothing was done"), "{again}");
}

#[test]
fn hostile_names_come_back_and_links_above_are_never_followed() {
    let env = TestEnv::new();
    let at = env.path("pbx");
    fs::create_dir_all(&at).unwrap();
    let names: [&[u8]; 7] = [b"-rf", b"new\nline", b"esc\x1b[2J", b"\xff\xfe", b"$(reboot)", b"it's", b".confvaultx"];
    for name in names {
        fs::write(at.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    fs::create_dir(at.join("sub")).unwrap();
    fs::write(at.join("sub/inner"), "inner").unwrap();
    let profile = format!("{PROFILE}\n[restore]\nmethod = \"files\"\n");
    let lab = Lab::with(env, at, "source = \"dir:../pbx\"\n", &profile);
    let outside = lab.env.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("inner"), "outside").unwrap();
    for name in names {
        fs::write(lab.at.join(std::ffi::OsStr::from_bytes(name)), "broken").unwrap();
    }
    // A folder that became a link is in the way, and what it leads to is not touched.
    fs::remove_dir_all(lab.at.join("sub")).unwrap();
    symlink(&outside, lab.at.join("sub")).unwrap();
    let run = lab.restore(&[]);
    assert!(run.code == 1 && run.stderr.contains("In the way stands a link"), "{run}");
    let run = lab.restore(&["sub/inner"]);
    assert!(run.code == 1 && run.stderr.contains("Folder above is a link, or is not there: sub/"), "{run}");
    assert!(!run.stderr.contains('\u{1b}'));
    assert_eq!(fs::read_to_string(outside.join("inner")).unwrap(), "outside");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    lab.assert_tidy();
    fs::remove_file(lab.at.join("sub")).unwrap();
    let run = lab.restore(&[]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(lab.tree(), lab.good);
}

#[test]
fn setuid_is_kept_where_it_stands_and_given_only_when_asked_for() {
    let lab = Lab::new("");
    let file = lab.at.join("tool");
    let set = |text: &str, mode| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
    set("one", 0o4755);
    lab.cv(&["snapshot"]).succeeded();
    set("two", 0o4755);
    let restore = |more: &[&str]| {
        let run = lab.cv(&[&["restore", "pbx@2", "tool", "--device", "--yes"], more].concat());
        assert_eq!(run.code, 0, "{run}");
    };
    restore(&[]);
    assert_eq!(mode(), 0o4755);
    set("two", 0o755);
    restore(&[]);
    assert_eq!((mode(), fs::read_to_string(&file).unwrap()), (0o755, "one".to_owned()));
    restore(&["--special-bits"]);
    assert_eq!(mode(), 0o4755);
}

#[test]
fn large_files_come_piece_by_piece_and_go_back_so() {
    let lab = Lab::new("[[restore.check]]\nrun = \"cmp {root}/big.db ../wanted\"\n");
    let inventory = lab.env.read("store/confvault.toml");
    lab.env.write("store/confvault.toml", inventory.replacen("[policy]\n", "[policy]\nlarge_over = \"1 MiB\"\n", 1));
    let noise = |seed: u32| -> Vec<u8> {
        (0..6_000_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed)).to_le_bytes()).collect()
    };
    fs::write(lab.at.join("big.db"), noise(1)).unwrap();
    fs::write(lab.env.path("wanted"), noise(1)).unwrap();
    lab.cv(&["snapshot"]).succeeded();
    fs::write(lab.at.join("big.db"), noise(2)).unwrap();
    let run = lab.cv(&["restore", "pbx@2", "--device", "--yes", "--ticket", "T-1"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(fs::read(lab.at.join("big.db")).unwrap() == noise(1));
    // The check refuses the other one, and the way back is as large.
    let run = lab.cv(&["restore", "pbx@pre/T-1", "--device", "--yes"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(fs::read(lab.at.join("big.db")).unwrap() == noise(1));
    lab.assert_tidy();
}

#[test]
fn a_set_that_knows_no_owners_keeps_those_that_stand_and_new_files_get_the_profiles() {
    let lab = Lab::new("owner = \"root:root\"\nmode = \"0604\"\n");
    // An imported history knows text and paths alone.
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(args).current_dir(lab.env.path("old.git")).env("HOME", "/nonexistent").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@b");
        }
        assert!(git.stdout(std::process::Stdio::null()).status().unwrap().success());
    };
    lab.env.write("old.git/imp/main.conf", "[general]\nport=7\n");
    lab.env.write("old.git/imp/fresh.conf", "[fresh]\n");
    git(&["init", "-q", "."]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "x"]);
    lab.env.write("imp/main.conf", "broken\n");
    fs::set_permissions(lab.env.path("imp/main.conf"), fs::Permissions::from_mode(0o600)).unwrap();
    lab.cv(&["device", "add", "imp", "--source", "dir:../imp", "--profile", "pb", "--release", "1"]).succeeded();
    let import = lab.cv(&["import", "git", lab.env.path("old.git").to_str().unwrap()]);
    assert_eq!(import.code, 0, "{import}");
    let release = lab.cv(&["show", "imp@1", "--json"]).json()["generation"]["release"].as_str().unwrap().to_owned();
    assert_eq!(release, "1");
    let run = lab.cv(&["restore", "imp@1", "--device", "--yes"]);
    assert_eq!(run.code, 0, "{run}");
    let stands = tree(&lab.env.path("imp"));
    assert!(stands["main.conf"].starts_with("file 100600 ") && stands["main.conf"].ends_with("port=7\n"), "{stands:?}");
    assert!(stands["fresh.conf"].starts_with("file 100604 0:0 "), "{stands:?}");
}
