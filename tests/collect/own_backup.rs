//! Backups that a device makes of itself, begun and taken: a real OpenSSH server, and a stand-in for the program of FreePBX
//! that says what the real one says, in its forms.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::env::{Run, TestEnv};
use crate::sshd_server::{Sshd, available};

const JOB: &str = "4e2a5c6e-0000-4000-8000-000000000001";
const OTHER: &str = "4e2a5c6e-0000-4000-8000-000000000002";
const FILE: &str = "backup/nightly/20261125-031500-1795576500-16.0.69-1.tar.gz";
const NEXT: &str = "backup/nightly/20261126-031500-1795662900-16.0.69-2.tar.gz";

/// A device whose own program is played by a script in its folder.
struct Lab {
    sshd: Sshd,
    env: TestEnv,
}

/// The table that the program prints: names, descriptions and ids.
fn listed(jobs: &[&str]) -> String {
    let row = |job: &&str| format!("echo '| nightly | Backup nightly | {job} |'\n");
    let rows: String = jobs.iter().map(row).collect();
    format!("echo 'fwconsole backup --backup [Backup ID]'\necho '| Backup Name | Description | Backup ID |'\n{rows}")
}

/// Makes an archive, as the program does, and says so.
fn makes(file: &str) -> String {
    format!(
        "[ \"$1\" = {JOB} ] || {{ echo 'In Backup.class.php line 1:'; echo 'Invalid backup id!'; exit 1; }}\n\
         t=$(mktemp -d) && echo secret-$1 > $t/data && tar -czf {file} -C $t data; rm -r $t; echo 'Backup completed successfully'"
    )
}

impl Lab {
    /// `list` is what lists the jobs, `make` what makes a backup in the shell, in the folder of the device, with the job in `$1`.
    fn new(list: &str, make: &str) -> Self {
        Self::with(list, make, "name = \"pbx\"\nextends = \"freepbx\"\n", "")
    }

    fn with(list: &str, make: &str, profile: &str, more: &str) -> Self {
        let (sshd, env) = (Sshd::start(""), TestEnv::with_store());
        sshd.write("pbx/asterisk/sip.conf", "[general]\nbindport=5060\n");
        fs::create_dir_all(sshd.path("pbx/backup/nightly")).unwrap();
        fs::set_permissions(sshd.path("pbx/backup/nightly"), fs::Permissions::from_mode(0o777)).unwrap();
        let lab = Self { env, sshd };
        let bin = lab.sshd.path("bin");
        let bin = bin.display();
        let program = format!(
            "case \"$*\" in\n'backup --list') exec {bin}/list ;;\n'backup --backup='*) exec {bin}/make \"${{2#--backup=}}\" ;;\n\
             *) echo \"not known: $*\" >&2; exit 1 ;;\nesac"
        );
        lab.program("fwconsole", &program);
        lab.program("list", list);
        lab.makes(make);
        lab.env.write("profiles/pbx.toml", profile);
        let table = lab.sshd.table("sftp", &lab.sshd.path("pbx").display().to_string());
        let inventory = lab.env.read("confvault.toml");
        lab.env.write(
            "confvault.toml",
            format!("{inventory}\n[devices.pbx]\n{table}profile = \"pbx\"\nrelease = \"16.0.40\"\n{more}"),
        );
        lab.env.write("known_hosts", format!("pbx {}\n", lab.sshd.public_key()));
        lab
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.sshd.write(&format!("bin/{name}"), format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn makes(&self, make: &str) {
        self.program("make", &format!("cd {}\n{make}", self.sshd.path("pbx").display()));
    }

    fn backup(&self, args: &[&str]) -> Run {
        self.env.cv(&[&["backup", "pbx"], args].concat())
    }

    /// How many generations there are, and the archives in the newest.
    fn kept(&self) -> (usize, Vec<String>) {
        let log = self.env.cv(&["log", "pbx", "--json"]).json();
        let ls = self.env.cv(&["ls", "pbx", "--json"]).json();
        let paths = ls["entries"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap().to_owned());
        let archives = paths.filter(|path| path.ends_with(".tar.gz")).collect();
        (log["generations"].as_array().unwrap().len(), archives)
    }

    fn kinds(&self) -> Vec<String> {
        let log = self.env.cv(&["log", "pbx", "--json"]).json();
        log["generations"].as_array().unwrap().iter().map(|g| g["kind"].as_str().unwrap().to_owned()).collect()
    }

    fn failed_in_journal(&self) -> bool {
        let journal = self.env.cv(&["journal", "--json"]).succeeded();
        journal.contains("\"backup\"") && journal.contains("\"failed\"")
    }
}

#[test]
fn a_backup_is_begun_judged_and_comes_back_as_it_was() {
    if !available() {
        return;
    }
    let lab = Lab::new(&listed(&[JOB]), &makes(FILE));
    let run = lab.backup(&["--json"]);
    assert_eq!(run.code, 0, "{run}");
    let json = run.json();
    assert_eq!((&json["job"], &json["files"][0], &json["generation"]), (&JOB.into(), &FILE.into(), &2.into()), "{run}");
    // What stood there before is a generation of its own, and the backup is no change that nobody announced.
    assert_eq!((lab.kept(), lab.kinds()), ((2, vec![FILE.to_owned()]), vec!["snapshot".to_owned(), "first".to_owned()]));
    let log = lab.env.cv(&["log", "pbx", "--json"]).json();
    assert!(log["generations"][0]["note"].as_str().unwrap().contains(JOB), "{log}");
    lab.env.cv(&["restore", "pbx", "--to", "out"]).succeeded();
    let out = fs::read(lab.env.path("out").join(FILE)).unwrap();
    assert_eq!(out, fs::read(lab.sshd.path("pbx").join(FILE)).unwrap());
    assert!(lab.env.cv(&["journal"]).succeeded().contains("backup"));
    // The same file again is none that came of it.
    lab.makes("exit 0");
    assert!(lab.backup(&[]).failed(1).contains("there is no new backup of FreePBX"), "{:?}", lab.kept());
    // What somebody changes while a backup runs is a change that nobody announced, whatever else is in the generation.
    lab.makes(&format!("echo bindport=5070 >> asterisk/sip.conf\n{}", makes(NEXT)));
    fs::set_permissions(lab.sshd.path("pbx/asterisk/sip.conf"), fs::Permissions::from_mode(0o666)).unwrap();
    lab.env.cv(&["snapshot"]).succeeded();
    assert_eq!(lab.backup(&[]).code, 0);
    assert_eq!((lab.kinds()[0].as_str(), lab.kept().1.len()), ("unannounced", 2));
}

#[test]
fn what_is_no_backup_is_not_kept() {
    if !available() {
        return;
    }
    for (make, words, hint) in [
        ("echo 'There were errors during the backup process'; exit 0", "Answer has what means failure", "never kept"),
        ("exit 3", "Command failed with exit status 3", "never kept"),
        ("echo 'This backup is already running!'; exit 1", "Device is busy", "when the other backup has ended"),
        ("kill -9 $PPID", "Device made no backup: pbx", ""),
        ("exit 0", "there is no new backup of FreePBX with its database among the files: pbx", "store its backups on the device"),
    ] {
        let lab = Lab::new(&listed(&[JOB]), make);
        let run = lab.backup(&[]);
        assert!(run.code == 1 && run.stderr.contains(words) && run.stderr.contains("hint: "), "{make}: {run}");
        assert!(run.stderr.contains(hint), "{make}: {run}");
        assert_eq!(lab.kept(), (1, Vec::new()), "{make}");
        assert!(lab.failed_in_journal());
    }
}

/// A full disk, a killed program: what is left of an archive is no part of a set, in no run, until it is whole.
#[test]
fn half_an_archive_is_never_part_of_a_generation() {
    if !available() {
        return;
    }
    let whole = "head -c 20000 /dev/urandom > /tmp/cv-own-$$; tar -czf - -C /tmp cv-own-$$";
    for (make, what) in [
        (format!("{whole} | head -c 9000 > {FILE}; rm /tmp/cv-own-$$"), "cut off or damaged"),
        // The checksum at its end.
        (
            format!(
                "{whole} > {FILE}; printf wrong | dd of={FILE} bs=1 seek=$(($(wc -c < {FILE}) - 8)) conv=notrunc; rm /tmp/cv-own-$$"
            ),
            "cut off or damaged",
        ),
        (format!(": > {FILE}"), "cut off or damaged"),
        (format!("echo 'disk full' | gzip > {FILE}"), "cut off or damaged"),
        (format!("head -c 4096 /dev/urandom | gzip > {FILE}"), "no whole tar archive"),
        (format!("{whole} | gzip -dc | head -c 10240 | gzip > {FILE}; rm /tmp/cv-own-$$"), "cut off or damaged"),
    ] {
        let lab = Lab::new(&listed(&[JOB]), &make);
        let evidence = format!("Archive is {what}: backup/nightly/20261125-031500-");
        let run = lab.backup(&[]);
        assert!(run.code == 1 && run.stderr.contains(&evidence) && run.stderr.contains("remove it there"), "{make}: {run}");
        assert_eq!(lab.kept(), (1, Vec::new()), "{make}");
        // It lies there still: no run takes it, and each names it, until it is gone.
        lab.sshd.write("pbx/asterisk/pjsip.conf", "[transport]\n");
        assert!(lab.env.cv(&["snapshot"]).failed(3).contains(&evidence), "{make}");
        assert!(
            lab.backup(&[]).failed(1).contains(&evidence) && lab.env.cv(&["device", "test", "pbx"]).failed(1).contains(&evidence)
        );
        assert_eq!(lab.kept(), (1, Vec::new()), "{make}");
        // On purpose it is taken, and the generation says so.
        lab.env.cv(&["snapshot", "pbx", "--accept=half is better than nothing"]).succeeded();
        assert_eq!(lab.kept(), (2, vec![FILE.to_owned()]));
        let log = lab.env.cv(&["log", "pbx", "--json"]).json();
        assert!(log["generations"][0]["accepted"].as_str().unwrap().contains(what), "{log}");
        fs::remove_file(lab.sshd.path("pbx").join(FILE)).unwrap();
        lab.env.cv(&["snapshot", "pbx", "--accept=it is gone"]).succeeded();
        lab.makes(&makes(NEXT));
        let run = lab.backup(&["--json"]);
        assert_eq!((run.code, &run.json()["files"]), (0, &serde_json::json!([NEXT])), "{run}");
        assert_eq!(lab.kept().1, [NEXT], "{make}");
    }
}

/// Nothing is left of a set of which the only file is half an archive; with the damage mended it is taken.
#[test]
fn a_set_of_nothing_but_half_an_archive_is_none() {
    let env = TestEnv::with_store();
    let archive = env.path("pbx/20261125-031500-1795576500-16.0.69-1.tar.gz");
    fs::create_dir_all(env.path("pbx")).unwrap();
    let make = |file: &Path| {
        let made = Command::new("tar").args(["-czf"]).arg(file).args(["-C", "/etc", "hostname"]).status().unwrap();
        assert!(made.success());
    };
    make(&archive);
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() - 9]).unwrap();
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--profile", "freepbx"]).succeeded();
    let failed = env.cv(&["snapshot"]).failed(3);
    assert!(failed.contains("Archive is cut off or damaged: 20261125"), "{failed}");
    fs::write(&archive, &whole).unwrap();
    assert!(env.cv(&["snapshot"]).stderr.contains("1 new"));
    // Archives that other programs write are whole, too: long names, large headers, sparse files, several members.
    let deep = "d".repeat(90);
    fs::create_dir_all(env.path("t").join(&deep).join(&deep)).unwrap();
    fs::write(env.path("t").join(&deep).join(&deep).join("a"), "a").unwrap();
    let sparse = fs::File::create(env.path("t/sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    drop(sparse);
    fs::write(env.path("t/empty"), "").unwrap();
    fs::create_dir_all(env.path("pbx/backup")).unwrap();
    for (format, more) in [
        ("gnu", "-Vlabel"),
        ("gnu", "-S"),
        ("pax", "-S"),
        ("pax", "--hole-detection=raw"),
        ("ustar", "--exclude=d*"),
        ("v7", "--exclude=d*"),
    ] {
        let file = env.path(format!("pbx/backup/{format}{more}.tar.gz"));
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}")).args([more, "-czf"]).arg(file).arg("-C").arg(env.path("t")).arg(".");
        assert!(tar.status().unwrap().success(), "{format} {more}");
    }
    let two = [fs::read(&archive).unwrap(), whole].concat();
    fs::write(env.path("pbx/backup/members.tar.gz"), two).unwrap();
    let run = env.cv(&["snapshot"]);
    assert!(run.stderr.contains("1 new") && !run.stderr.contains("archive"), "{run}");
    assert_eq!(env.cv(&["ls", "pbx"]).succeeded().matches(".tar.gz").count(), 8);
}

/// Who restores over a damaged archive says so; where the restore fails it is put back as it was.
#[test]
fn half_an_archive_is_written_over_by_a_restore() {
    let env = TestEnv::with_store();
    let place = env.path("pbx/backup/20261125-031500-1795576500-16.0.69-1.tar.gz");
    env.write("pbx/sip.conf", "[general]\n");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    assert!(Command::new("tar").arg("-czf").arg(&place).args(["-C", "/etc", "hostname"]).status().unwrap().success());
    let whole = fs::read(&place).unwrap();
    let profile = |apply: &str| {
        format!("name = \"here\"\nextends = \"freepbx\"\n[restore]\nmethod = \"files\"\n[[restore.apply]]\nrun = \"{apply}\"\n")
    };
    env.write("profiles/here.toml", profile("false"));
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--profile", "here"]).succeeded();
    env.cv(&["snapshot"]).succeeded();
    fs::write(&place, &whole[..40]).unwrap();
    let refused = env.cv(&["restore", "pbx@1", "--device", "--yes"]).failed(1);
    assert!(refused.contains("cut off or damaged") && refused.contains("--incomplete"), "{refused}");
    let failed = env.cv(&["restore", "pbx@1", "--device", "--yes", "--incomplete"]);
    assert!(failed.code != 0 && fs::read(&place).unwrap() == whole[..40], "{failed}");
    env.write("profiles/here.toml", profile("true"));
    let done = env.cv(&["restore", "pbx@1", "--device", "--yes", "--incomplete"]);
    assert!(done.code == 0 && fs::read(&place).unwrap() == whole, "{done}");
}

#[test]
fn a_backup_has_an_end() {
    if !available() {
        return;
    }
    let own = |limits: &str| {
        format!(
            "name = \"pbx\"\nextends = \"freepbx\"\n[backup]\nlist = \"fwconsole backup --list\"\njob = '(?<job>[0-9a-f-]{{36}})'\n{limits}"
        )
    };
    let run = "[[backup.run]]\nrun = \"fwconsole backup --backup={job}\"\n";
    let talks = "while :; do echo 'still at it'; sleep 0.2; done";
    for (make, profile, words, hint) in [
        (
            talks,
            own(&format!("limit-s = 3\n{run}timeout-s = 60\n")),
            "Time of the device is over while running a command",
            "`limit-s`",
        ),
        ("echo begun; exec sleep 600", own(&format!("{run}timeout-s = 2\n")), "Command was silent for 2 s", "`timeout-s`"),
        ("exec yes", own(run), "Command said more than", ""),
    ] {
        let lab = Lab::with(&listed(&[JOB]), make, &profile, "");
        let run = lab.backup(&[]);
        assert!(run.code == 1 && run.stderr.contains(words) && run.stderr.contains(hint), "{make}: {run}");
        assert_eq!(lab.kept(), (1, Vec::new()), "{make}");
        assert!(lab.failed_in_journal());
    }
    // The time of a device, which is that of looking at it, does not end a backup.
    let lab = Lab::with(
        &listed(&[JOB]),
        &format!("sleep 6; {}", makes(FILE)),
        "name = \"pbx\"\nextends = \"freepbx\"\n",
        "timeout = \"5s\"\n",
    );
    assert_eq!(lab.backup(&[]).code, 0, "{:?}", lab.kept());
    // A device that is a folder of this machine has an end, too.
    let env = TestEnv::with_store();
    env.write("pbx/sip.conf", "[general]\n");
    env.write("profiles/here.toml", "name = \"here\"\nextends = \"freepbx\"\n[backup]\nlimit-s = 2\n[[backup.run]]\nrun = \"while :; do echo x; sleep 0.2; done\"\n");
    env.cv(&["device", "add", "pbx", "--source", "dir:pbx", "--profile", "here", "--release", "16"]).succeeded();
    assert!(env.cv(&["backup", "pbx"]).failed(1).contains("Time of the device is over while running a command"));
}

#[test]
fn a_backup_is_made_by_whom_the_device_says() {
    if !available() {
        return;
    }
    let profile = "name = \"pbx\"\nextends = \"freepbx\"\n";
    let lab = Lab::with(&listed(&[JOB]), &makes(FILE), profile, "become = \"sudo\"\n");
    lab.program("sudo", "printf '%s ' \"$@\" >> \"$(dirname \"$0\")/../home/called\"\n[ \"$1\" = -n ] && shift\n[ \"$1\" = -- ] && shift\nexec \"$@\"");
    fs::set_permissions(lab.sshd.path("home"), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(lab.backup(&[]).code, 0, "{:?}", lab.kept());
    let called = fs::read_to_string(lab.sshd.path("home/called")).unwrap();
    assert!(called.contains(&format!("-n -- sh -c fwconsole backup --backup={JOB}")), "{called}");
}

#[test]
fn which_job_is_run_is_never_guessed() {
    if !available() {
        return;
    }
    let lab = Lab::new(&listed(&[JOB, OTHER]), &makes(FILE));
    let several = lab.backup(&[]).failed(2);
    assert!(several.contains(JOB) && several.contains(OTHER) && several.contains("--job"), "{several}");
    let unknown = lab.backup(&["--job", "4e2a5c6e-0000-4000-8000-000000000003"]).failed(2);
    assert!(unknown.contains("Device has no backup job 4e2a5c6e-0000-4000-8000-000000000003"), "{unknown}");
    for bad in ["x;touch$IFS/tmp/x", "--restore", "", "$(id)", "a b", "../x"] {
        let refused = lab.backup(&[&format!("--job={bad}")]).failed(2);
        assert!(refused.contains("Not the name of a backup job"), "{refused}");
    }
    assert_eq!(lab.backup(&["--job", JOB]).code, 0);
    lab.program("list", &listed(&[]));
    assert!(lab.backup(&[]).failed(1).contains("Device has no backup job: pbx"));
    // A list that fails is no list without jobs.
    lab.program("list", "echo 'PHP Fatal error' >&2; exit 255");
    let failed = lab.backup(&[]);
    assert!(failed.code == 1 && !failed.stderr.contains("has no backup job") && failed.stderr.contains("hint: "), "{failed}");
    // A device of another kind is told how it is done there.
    lab.env.write("d/a.conf", "a=1\n");
    lab.env.cv(&["device", "add", "d", "--source", "dir:d", "--profile", "asterisk", "--release", "1"]).succeeded();
    let other = lab.env.cv(&["backup", "d"]).failed(1);
    assert!(other.contains("Profile asterisk does not say how a device makes a backup of its own: d"), "{other}");
    lab.env.cv(&["backup", "nobody"]).failed(2);
}
