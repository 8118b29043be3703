//! Backups that a device makes of itself, begun and taken: a real OpenSSH server, and a stand-in for the program of FreePBX.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::env::{Run, TestEnv};
use crate::sshd_server::{Sshd, available};

const JOB: &str = "4e2a5c6e-0000-4000-8000-000000000001";
const OTHER: &str = "4e2a5c6e-0000-4000-8000-000000000002";
const FILE: &str = "backup/nightly/20261125-031500-1795576500-16.0.69-1.tar.gz";

/// A device whose own program is played by a script in its folder.
struct Lab {
    sshd: Sshd,
    env: TestEnv,
}

impl Lab {
    /// `list` is what lists the jobs, `make` what makes a backup in the shell, in the folder of the device, with the job in `$1`.
    fn new(list: &str, make: &str) -> Self {
        let (sshd, env) = (Sshd::start(""), TestEnv::with_store());
        sshd.write("pbx/asterisk/sip.conf", "[general]\nbindport=5060\n");
        fs::create_dir_all(sshd.path("pbx/backup/nightly")).unwrap();
        fs::set_permissions(sshd.path("pbx/backup/nightly"), fs::Permissions::from_mode(0o777)).unwrap();
        let tree = sshd.path("pbx");
        let tree = tree.display();
        let lab = Self { env, sshd };
        lab.program("list", list);
        lab.program("make", &format!("cd {tree}\n{make}"));
        let bin = lab.sshd.path("bin");
        let bin = bin.display();
        let profile = format!(
            "name = \"pbx\"\nextends = \"freepbx\"\n[backup]\nlist = \"{bin}/list\"\njob = '\\b(?<job>[0-9a-f-]{{36}})\\b'\n\
             [[backup.run]]\nrun = \"{bin}/make {{job}}\"\nfails = '(?i)exception'\ntimeout-s = 3\n\
             [[backup.run]]\nrun = \"find {tree}/backup -name '*.gz' -exec gzip -t '{{}}' +\"\n"
        );
        lab.env.write("profiles/pbx.toml", profile);
        let table = lab.sshd.table("sftp", &tree.to_string());
        let inventory = lab.env.read("confvault.toml");
        lab.env.write("confvault.toml", format!("{inventory}\n[devices.pbx]\n{table}profile = \"pbx\"\nrelease = \"16.0.40\"\n"));
        lab.env.write("known_hosts", format!("pbx {}\n", lab.sshd.public_key()));
        lab
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.sshd.write(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn backup(&self, args: &[&str]) -> Run {
        self.env.cv(&[&["backup", "pbx"], args].concat())
    }

    /// How many generations there are, and whether the newest holds a backup.
    fn kept(&self) -> (usize, bool) {
        let log = self.env.cv(&["log", "pbx", "--json"]).json();
        let files = self.env.cv(&["ls", "pbx"]).succeeded();
        (log["generations"].as_array().unwrap().len(), files.contains(".tar.gz"))
    }
}

fn one() -> String {
    format!("echo '| nightly | {JOB} |'")
}

fn makes() -> String {
    format!("[ \"$1\" = {JOB} ] || exit 9\nt=$(mktemp -d) && echo secret-$1 > $t/data && tar -czf {FILE} -C $t data; rm -r $t")
}

#[test]
fn a_backup_is_begun_judged_and_comes_back_as_it_was() {
    if !available() {
        return;
    }
    let lab = Lab::new(&one(), &makes());
    let run = lab.backup(&["--json"]);
    assert_eq!(run.code, 0, "{run}");
    let json = run.json();
    assert_eq!((&json["job"], &json["files"][0], &json["generation"]), (&JOB.into(), &FILE.into(), &2.into()), "{run}");
    // What stood there before is a generation of its own, and the backup is no change that nobody announced.
    assert_eq!(lab.kept(), (2, true));
    let log = lab.env.cv(&["log", "pbx", "--json"]).json();
    assert!(log["generations"][0]["note"].as_str().unwrap().contains(JOB), "{log}");
    assert!(!log.to_string().contains("unannounced"), "{log}");
    lab.env.cv(&["restore", "pbx", "--to", "out"]).succeeded();
    let out = fs::read(lab.env.path("out").join(FILE)).unwrap();
    assert_eq!(out, fs::read(lab.sshd.path("pbx").join(FILE)).unwrap());
    assert!(lab.env.cv(&["journal"]).succeeded().contains("backup"));
    // The same file again is none that came of it.
    lab.program("make", "exit 0");
    assert!(lab.backup(&[]).failed(1).contains("there is no new backup of FreePBX"), "{:?}", lab.kept());
}

#[test]
fn what_is_no_backup_is_not_kept() {
    if !available() {
        return;
    }
    for (make, words) in [
        ("echo 'Exception: no space left on device'; exit 0", "Answer has what means failure"),
        ("exit 3", "Command failed with exit status 3"),
        ("echo begun; exec sleep 60", "Command was silent for 3 s"),
        ("kill -9 $PPID", "Device made no backup: pbx"),
        (&format!("head -c 2000 /dev/urandom | gzip | head -c 1000 > {FILE}"), "Command failed with exit status"),
        ("exit 0", "there is no new backup of FreePBX with its database among the files: pbx"),
    ] {
        let lab = Lab::new(&one(), make);
        let run = lab.backup(&[]);
        assert!(run.code == 1 && run.stderr.contains(words) && run.stderr.contains("hint: "), "{make}: {run}");
        assert_eq!(lab.kept(), (1, false), "{make}");
        let failed = lab.env.cv(&["journal", "--json"]).succeeded();
        assert!(failed.contains("\"backup\"") && failed.contains("\"failed\""), "{failed}");
    }
}

#[test]
fn which_job_is_run_is_never_guessed() {
    if !available() {
        return;
    }
    let lab = Lab::new(&format!("echo '| nightly | {JOB} |'; echo '| weekly | {OTHER} |'"), &makes());
    let several = lab.backup(&[]).failed(2);
    assert!(several.contains(JOB) && several.contains(OTHER) && several.contains("--job"), "{several}");
    let unknown = lab.backup(&["--job", "4e2a5c6e-0000-4000-8000-000000000003"]).failed(2);
    assert!(unknown.contains("Device has no backup job 4e2a5c6e-0000-4000-8000-000000000003"), "{unknown}");
    for bad in ["x;touch$IFS/tmp/x", "--restore", "", "$(id)", "a b", "../x"] {
        let refused = lab.backup(&[&format!("--job={bad}")]).failed(2);
        assert!(refused.contains("Not the name of a backup job"), "{refused}");
    }
    assert_eq!(lab.backup(&["--job", JOB]).code, 0);
    lab.program("list", "true");
    assert!(lab.backup(&[]).failed(1).contains("Device has no backup job: pbx"));
    // A device of another kind is told how it is done there.
    lab.env.write("d/a.conf", "a=1\n");
    lab.env.cv(&["device", "add", "d", "--source", "dir:d", "--profile", "asterisk", "--release", "1"]).succeeded();
    let other = lab.env.cv(&["backup", "d"]).failed(1);
    assert!(other.contains("Profile asterisk does not say how a device makes a backup of its own: d"), "{other}");
    lab.env.cv(&["backup", "nobody"]).failed(2);
}
