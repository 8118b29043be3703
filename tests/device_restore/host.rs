//! A host with a real sshd: a Kamailio, sudo, and connections that are cut at every step.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::TestEnv;
use crate::lab::{CANARY, Lab, PROFILE, break_it, good, thorough, tree};
use crate::sshd::{Sshd, available};

/// A device on a host.
pub struct Host {
    pub lab: Lab,
    pub sshd: Sshd,
}

/// Gives a tree to the user of the server.
fn own(sshd: &Sshd, at: &Path) {
    if sshd.with_password {
        assert!(Command::new("chown").args(["-hR", "4242:4242"]).arg(at).status().unwrap().success());
    }
}

fn script(sshd: &Sshd, name: &str, text: &str) {
    let path = sshd.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Host {
    /// A host whose tree `fill` makes; `lines` go into the device's table, `user` logs in.
    fn new(sshd: Sshd, profile: &str, lines: &str, user: Option<&str>, fill: impl Fn(&Path)) -> Self {
        let env = TestEnv::new();
        let at = sshd.path("tree");
        fs::create_dir(&at).unwrap();
        fill(&at);
        own(&sshd, &at);
        let mut table = sshd.table("sftp", &at.display().to_string());
        if let Some(user) = user {
            table = table.replace(&format!("//{}@", sshd.user), &format!("//{user}@"));
        }
        fs::create_dir_all(env.path("../home/.ssh")).unwrap();
        let known = format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.public_key());
        fs::write(env.path("../home/.ssh/known_hosts"), known).unwrap();
        let lab = Lab::with(env, at, &format!("{table}{lines}"), profile);
        Self { lab, sshd }
    }

    /// The device of [`Lab`], on a host, without any command.
    pub fn start() -> Self {
        Self::usual("", "", "")
    }

    /// Another `[restore]`, and what follows it, from here on.
    pub fn becomes(&self, restore: &str) {
        self.lab.env.write("store/profiles/pb.toml", format!("{PROFILE}\n[restore]\nmethod = \"files\"\n{restore}"));
    }

    /// The device of [`Lab`], on a host.
    fn usual(more: &str, restore: &str, lines: &str) -> Self {
        let profile = format!("{PROFILE}\n[restore]\nmethod = \"files\"\n{restore}");
        let mut host = Self::new(Sshd::start(more), &profile, lines, None, good);
        break_it(&host.lab.at);
        own(&host.sshd, &host.lab.at);
        host.lab.broken = tree(&host.lab.at);
        host
    }
}

/// Where the package of Debian puts its program and its configuration.
fn kamailio() -> PathBuf {
    let (program, config) = (PathBuf::from("/usr/sbin/kamailio"), Path::new("/etc/kamailio/kamailio.cfg"));
    assert!(program.exists() && config.exists(), "no Kamailio: `sh tests/all.sh` installs what the tests need");
    program
}

/// The built-in profile, with a reload that a test can see and a file included beside the main one.
const KAMAILIO: &str = r#"
name = "pb"
extends = "kamailio"
[restore]
method = "files"
owner = "root:kamailio"
mode = "0640"
[[restore.check]]
run = "echo {root} >> $HOME/views; PATH=$PATH:/usr/sbin; kamailio -c -f {root}/etc/kamailio/kamailio.cfg"
ok = '(?i)config file ok'
[[restore.apply]]
run = "PATH=$PATH:/usr/sbin; kamailio -c -f {root}/etc/kamailio/kamailio.cfg && echo reloaded >> $HOME/reloaded"
ok = '(?i)config file ok'
"#;

fn agrees(program: &Path, at: &Path) -> bool {
    let config = at.join("etc/kamailio/kamailio.cfg");
    let output = Command::new(program).arg("-c").arg("-f").arg(config).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("config file ok")
}

fn fill_kamailio(at: &Path) {
    let folder = at.join("etc/kamailio");
    fs::create_dir_all(&folder).unwrap();
    let config = fs::read_to_string("/etc/kamailio/kamailio.cfg").unwrap();
    let config = format!("{config}\ninclude_file \"local.cfg\"\n");
    fs::write(folder.join("kamailio.cfg"), config).unwrap();
    fs::write(folder.join("local.cfg"), "route[LOCAL] {\n\txlog(\"here\\n\");\n}\n").unwrap();
    fs::copy("/etc/kamailio/kamctlrc", folder.join("kamctlrc")).unwrap();
}

#[test]
fn a_broken_kamailio_is_put_back_and_kamailio_agrees() {
    assert!(available());
    let program = kamailio();
    let host = Host::new(Sshd::start(""), KAMAILIO, "", None, fill_kamailio);
    let Host { lab, .. } = &host;
    let config = lab.at.join("etc/kamailio/kamailio.cfg");
    assert!(agrees(&program, &lab.at));
    // Broken twice: in the main file, and in the one that it includes.
    let broken = fs::read_to_string(&config).unwrap().replace("request_route {", "request_route {\n  if (");
    fs::write(&config, broken).unwrap();
    fs::write(lab.at.join("etc/kamailio/local.cfg"), "route[LOCAL] {\n").unwrap();
    assert!(!agrees(&program, &lab.at));
    let run = lab.restore(&[]);
    assert_eq!(run.code, 0, "{run}\n{}", host.sshd.log());
    assert!(agrees(&program, &lab.at));
    assert_eq!(tree(&lab.at), lab.good);
    assert!(host.sshd.path("home/reloaded").exists());
    lab.assert_tidy();
    // What the check looked at was no part of the device, and is gone.
    let views = fs::read_to_string(host.sshd.path("home/views")).unwrap();
    assert!(views.lines().all(|view| view.starts_with("/tmp/.confvault-restore-") && !Path::new(view).exists()), "{views}");
    assert!(!views.is_empty());

    // A set that is broken itself does not become active: Kamailio is asked before.
    fs::write(lab.at.join("etc/kamailio/local.cfg"), "route[LOCAL] {\n").unwrap();
    lab.cv(&["snapshot"]).succeeded();
    fill_kamailio(&lab.at);
    own(&host.sshd, &lab.at);
    fs::remove_file(host.sshd.path("home/reloaded")).unwrap();
    let before = tree(&lab.at);
    let run = lab.cv(&["restore", "pbx@2", "--device", "--yes", "--wait", "3"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(
        run.stderr.contains("Answer has not what means success") && run.stderr.contains("parse error in config file"),
        "{run}"
    );
    assert_eq!(tree(&lab.at), before);
    assert!(!host.sshd.path("home/reloaded").exists());
    lab.assert_tidy();
}

#[test]
fn everything_that_differs_is_put_back_on_a_host_and_the_way_back_works() {
    if !available() {
        return;
    }
    let host = Host::usual(
        "",
        "[[restore.check]]\nrun = \"grep -q 5060 {root}/main.conf && grep -q gone {root}/deep/er/gone.conf\"\nwhen = [\"main.conf\"]\n[[restore.apply]]\nrun = \"grep -q 5060 {root}/main.conf\"\n",
        "",
    );
    let lab = &host.lab;
    let run = lab.restore(&["--ticket", "T-1"]);
    assert_eq!(run.code, 0, "{run}\n{}", host.sshd.log());
    assert_eq!(lab.tree(), lab.point());
    lab.assert_tidy();
    let log = fs::read_to_string(host.sshd.path("log")).unwrap();
    assert!(!format!("{run}{log}").contains(CANARY), "a secret is shown");
    // A reload that fails takes all of it back.
    let failing = lab.cv(&["restore", "pbx@pre/T-1", "--device", "--yes", "--wait", "3"]);
    assert_eq!(failing.code, 1, "{failing}");
    assert_eq!(lab.tree(), lab.point());
    lab.assert_tidy();
}

/// Counts the commands of a login and, at the one that was asked for, cuts the connection: before it, after it, or with
/// half of its input. With `down` every later connection is cut at once.
const FORCED: &str = r#"#!/bin/sh
d=$(dirname "$0")/..
case "$SSH_ORIGINAL_COMMAND" in
*sftp*) [ ! -e $d/state/isdown ] || kill -9 $PPID; exec /usr/lib/openssh/sftp-server ;;
esac
[ ! -e $d/state/isdown ] || kill -9 $PPID
n=$(cat $d/state/count 2>/dev/null || echo 0); n=$((n + 1)); echo $n > $d/state/count
read at how down < $d/state/cut
if [ "$n" = "$at" ]; then
    [ "$down" != down ] || touch $d/state/isdown
    case $how in
    before) ;;
    after) sh -c "$SSH_ORIGINAL_COMMAND" > /dev/null 2>&1 < /dev/null ;;
    half) case "$SSH_ORIGINAL_COMMAND" in *"cat >"*) head -c 7 | sh -c "$SSH_ORIGINAL_COMMAND" > /dev/null 2>&1 ;; esac ;;
    whole) sh -c "$SSH_ORIGINAL_COMMAND" > /dev/null 2>&1 ;;
    esac
    kill -9 $PPID
    exit 1
fi
exec sh -c "$SSH_ORIGINAL_COMMAND"
"#;

/// A host whose connections can be cut.
fn cutting() -> Host {
    let more = "ForceCommand /bin/sh -c 'exec \"$(dirname \"$HOME\")\"/bin/forced'\n";
    let restore = "[[restore.check]]\nrun = \"grep -q 5060 {root}/main.conf\"\n[[restore.apply]]\nrun = \"grep -q port {root}/main.conf\"\n";
    let sshd = Sshd::start(more);
    script(&sshd, "bin/forced", FORCED);
    fs::create_dir(sshd.path("state")).unwrap();
    fs::write(sshd.path("state/cut"), "0 never\n").unwrap();
    own(&sshd, &sshd.path("state"));
    let profile = format!("{PROFILE}\n[restore]\nmethod = \"files\"\n{restore}");
    let mut host = Host::new(sshd, &profile, "", None, good);
    break_it(&host.lab.at);
    own(&host.sshd, &host.lab.at);
    host.lab.broken = tree(&host.lab.at);
    host
}

impl Host {
    fn cut(&self, at: usize, how: &str, down: bool) {
        let state = self.sshd.path("state");
        fs::write(state.join("cut"), format!("{at} {how} {}\n", if down { "down" } else { "" })).unwrap();
        drop(fs::remove_file(state.join("count")));
        drop(fs::remove_file(state.join("isdown")));
    }

    fn count(&self) -> usize {
        fs::read_to_string(self.sshd.path("state/count")).unwrap().trim().parse().unwrap()
    }

    /// Breaks the device again.
    fn again(&self) {
        let at = &self.lab.at;
        fs::remove_dir_all(at).unwrap();
        fs::create_dir(at).unwrap();
        good(at);
        break_it(at);
        own(&self.sshd, at);
        assert_eq!(self.lab.tree(), self.lab.broken);
    }
}

#[test]
fn a_connection_cut_at_any_step_leaves_the_device_as_before_or_as_the_point() {
    if !available() {
        return;
    }
    let host = cutting();
    let lab = &host.lab;
    host.cut(0, "never", false);
    let run = lab.restore(&[]);
    assert_eq!(run.code, 0, "{run}\n{}", host.sshd.log());
    assert_eq!(lab.tree(), lab.point());
    let steps = host.count();
    assert!(steps > 20, "{steps}");
    let (mut put_back, mut taken_back) = (0, 0);
    for n in (1..=steps).step_by(if thorough() { 1 } else { 3 }) {
        let how = ["before", "after", "half", "whole"][n % 4];
        let at = format!("cut {how} step {n} of {steps}");
        host.again();
        host.cut(n, how, false);
        let run = lab.cv(&["restore", "pbx@1", "--device", "--yes", "--wait", "20"]);
        match run.code {
            0 | 3 => {
                put_back += 1;
                assert_eq!(lab.tree(), lab.point(), "{at}: {run}");
            }
            1 => {
                taken_back += 1;
                assert_eq!(lab.tree(), lab.broken, "{at}: {run}");
            }
            _ => panic!("{at}: {run}"),
        }
        lab.assert_tidy();
    }
    assert!(put_back > 0 && taken_back > put_back, "{put_back} {taken_back}");
}

/// What is told of each entry is what stands there. Of one that was about to change nothing is claimed.
#[track_caller]
fn stands_as_told(lab: &Lab, told: &serde_json::Value, known: &mut usize, at: &str) {
    let (tree, point) = (lab.tree(), lab.point());
    let told = told.as_array().unwrap();
    let mut unknown = 0;
    for one in told {
        let path = one["path"].as_str().unwrap();
        let (found, before, after) = (tree.get(path), lab.broken.get(path), point.get(path));
        let fits = match one["stands"].as_str().unwrap() {
            "before" | "probably-before" => found == before,
            "point" | "probably-point" => found == after,
            "unknown" => {
                unknown += 1;
                true
            }
            other => panic!("{at}: {other}: {path}"),
        };
        assert!(fits, "{at}: {one}, and there is {found:?}");
    }
    assert!(told.len() > 10, "{at}: {told:?}");
    *known += told.len() - unknown;
}

#[test]
fn a_device_that_goes_away_is_told_of_and_one_command_ends_it_when_it_is_there_again() {
    if !available() {
        return;
    }
    let host = cutting();
    let lab = &host.lab;
    host.cut(0, "never", false);
    assert_eq!(lab.restore(&[]).code, 0);
    let steps = host.count();
    let (mut stuck, mut known) = (0, 0);
    // In the middle of it: the first steps look, the last ones too.
    for (n, way) in (8..steps).step_by(if thorough() { 1 } else { 5 }).zip(["--undo", "--resume"].into_iter().cycle()) {
        let at = format!("gone at step {n} of {steps}, then {way}");
        host.again();
        host.cut(n, "before", true);
        let run = lab.cv(&["restore", "pbx@1", "--device", "--yes", "--wait", "1", "--json"]);
        host.cut(0, "never", false);
        assert!(run.code == 1 || run.code == 3, "{at}: {run}");
        if lab.env.path("store/restores/pbx").exists() {
            assert!(run.stderr.contains("could not be taken back"), "{at}: {run}");
            let document = run.json();
            assert_eq!(document["outcome"], "stuck", "{at}: {run}");
            stands_as_told(lab, &document["standing"], &mut known, &at);
            stuck += 1;
            let refused = lab.restore(&[]);
            assert!(refused.stderr.contains("A restore of the device did not end"), "{at}: {refused}");
            let ended = lab.cv(&["restore", way, "--wait", "5"]);
            assert_eq!(ended.code, 0, "{at}: {run}{ended}");
            let wanted = if way == "--undo" { lab.broken.clone() } else { lab.point() };
            assert_eq!(lab.tree(), wanted, "{at}: {run}{ended}");
            lab.assert_tidy();
        } else {
            assert!([lab.broken.clone(), lab.point()].contains(&lab.tree()), "{at}: {run}");
            // A change whose snapshot after could not be taken stays open, and says so.
            let open = lab.cv(&["change", "list", "--json"]).json();
            for change in open["changes"].as_array().unwrap() {
                let ticket = change["change"].as_str().unwrap();
                assert!(lab.cv(&["change", "close", ticket]).code <= 3);
            }
        }
    }
    assert!(stuck > 1 && known > 10 * stuck / 2, "{stuck} {known}");
}

#[test]
fn a_killed_restore_of_a_host_is_taken_up_and_never_under_another_host_key() {
    assert!(available());
    let host = Host::usual("", "[[restore.check]]\nrun = \"grep -q 5060 {root}/main.conf\"\n", "");
    let lab = &host.lab;
    let pin = |key: &str| lab.env.write("store/known_hosts", format!("pbx {key}\n"));
    pin(&host.sshd.public_key());
    let trace = lab.env.path("trace");
    let run = lab.env.run(lab.restore_command(&[]).env("CONFVAULT_FAULT", format!("count:{}", trace.display())));
    assert_eq!(run.code, 0, "{run}");
    let steps = fs::read_to_string(trace).unwrap();
    let kills = (1..).zip(steps.lines()).filter(|(_, step)| step.contains("/restores/")).map(|(n, _): (usize, _)| n);
    let mut taken_up = 0;
    for (n, way) in kills.step_by(if thorough() { 1 } else { 13 }).zip(["--undo", "--resume"].into_iter().cycle()) {
        host.again();
        let at = format!("killed at step {n}, then {way}");
        let killed = lab.restore_command(&[]).env("CONFVAULT_FAULT", format!("kill:{n}")).output().unwrap();
        if killed.status.signal() != Some(9) {
            // A store that has more already has fewer steps.
            assert!(killed.status.success(), "{at}");
            continue;
        }
        let stands = lab.tree();
        // The key of another host is pinned by now, as `device replace` does.
        pin("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl");
        let refused = lab.cv(&["restore", way, "--wait", "3"]);
        pin(&host.sshd.public_key());
        assert_eq!((refused.code, lab.tree()), (1, stands), "{at}: {refused}");
        let ended = lab.cv(&["restore", way, "--wait", "3"]);
        if refused.stderr.contains("No restore is unfinished") {
            assert!([&lab.broken, &lab.point()].contains(&&lab.tree()), "{at}: {ended}");
            continue;
        }
        assert!(refused.stderr.contains("began on another device: its host key was SHA256:"), "{at}: {refused}");
        assert_eq!(ended.code, 0, "{at}: {ended}");
        let wanted = if way == "--undo" { &lab.broken } else { &lab.point() };
        assert_eq!(lab.tree(), *wanted, "{at}: {ended}");
        lab.assert_tidy();
        taken_up += 1;
    }
    assert!(taken_up > 2, "{taken_up}");
}

#[test]
fn what_the_login_may_not_write_is_put_back_by_sudo() {
    if !available() || !rustix::process::geteuid().is_root() {
        return;
    }
    assert!(Path::new("/usr/bin/sudo").exists(), "no sudo: `sh tests/all.sh` installs what the tests need");
    let sshd = Sshd::start("");
    let restore = "[[restore.check]]\nrun = \"grep -q 5060 {root}/main.conf\"\n[[restore.apply]]\nrun = \"id -u\"\nok = '^0$'\n";
    let profile = format!("{PROFILE}\n[restore]\nmethod = \"files\"\n{restore}");
    let mut host = Host::new(sshd, &profile, "become = \"sudo\"\n", None, good);
    let lab = &mut host.lab;
    break_it(&lab.at);
    // Now it is root's, and closed to the login.
    assert!(Command::new("chown").args(["-hR", "0:0"]).arg(&lab.at).status().unwrap().success());
    fs::set_permissions(lab.at.join("extra"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(lab.at.join("main.conf"), fs::Permissions::from_mode(0o600)).unwrap();
    lab.broken = tree(&lab.at);
    let refused = lab.env.read("store/confvault.toml");
    lab.env.write("store/confvault.toml", refused.replace("become = \"sudo\"\n", ""));
    assert_ne!(lab.restore(&[]).code, 0);
    assert_eq!(tree(&lab.at), lab.broken);
    lab.env.write("store/confvault.toml", refused);
    let run = lab.restore(&["--ticket", "T-1"]);
    assert_eq!(run.code, 0, "{run}\n{}", host.sshd.log());
    // Owners came back with the files: what differs is given to whom it belonged. What is no part of the set stays.
    let without_cache = |tree: crate::lab::Tree| -> crate::lab::Tree {
        tree.into_iter().filter(|(path, _)| !path.starts_with("cache/")).collect()
    };
    assert_eq!(without_cache(lab.tree()), without_cache(lab.good.clone()));
    lab.assert_tidy();
    let point = lab.tree();
    let back = lab.cv(&["restore", "pbx@pre/T-1", "--device", "--yes"]);
    assert_eq!(back.code, 1, "the check finds what was broken: {back}");
    assert_eq!(lab.tree(), point);
}

#[test]
fn a_login_that_may_only_look_is_found_out_before_anything_is_begun() {
    if !available() {
        return;
    }
    let host = Host::usual("ForceCommand internal-sftp\n", "", "");
    let lab = &host.lab;
    let run = lab.restore(&[]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("Device refused to run what putting back needs"), "{run}");
    assert_eq!(lab.tree(), lab.broken);
    assert!(lab.outcomes().is_empty(), "something was begun");
    assert_eq!(lab.cv(&["log", "pbx", "--json"]).json()["generations"].as_array().unwrap().len(), 1);
}
