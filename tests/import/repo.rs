//! Repositories as the tools leave them, made by `git` itself.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::env::{Run, TestEnv};

/// A `git` that sees nobody's settings.
pub fn git(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", dir).env("LC_ALL", "C").env("TZ", "UTC");
    git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(dir);
    git
}

#[track_caller]
pub fn git_ok(dir: &Path, args: &[&str]) -> String {
    let out = git(dir).args(args).output().unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// One commit: what came or changed (with content), what went (without).
pub struct Commit<'a> {
    pub author: &'a str,
    pub time: i64,
    pub message: &'a str,
    pub files: Vec<(String, Option<String>)>,
}

/// Commits to `master` of a bare repository, as fast as git can: by its own `fast-import`.
pub fn commit(repo: &Path, commits: &[Commit<'_>]) {
    if !repo.exists() {
        std::fs::create_dir_all(repo).unwrap();
        git_ok(repo, &["init", "-q", "--bare", "-b", "master"]);
    }
    let mut stream = String::new();
    let head = git(repo).args(["rev-parse", "-q", "--verify", "refs/heads/master"]).output().unwrap();
    let mut from = String::from_utf8(head.stdout).unwrap().trim().to_owned();
    for c in commits {
        let data = |text: &str| format!("data {}\n{text}\n", text.len());
        writeln!(
            stream,
            "commit refs/heads/master\nauthor {} {} +0100\ncommitter Tool <tool@example.org> {} +0000",
            c.author, c.time, c.time
        )
        .unwrap();
        stream.push_str(&data(c.message));
        if !from.is_empty() {
            writeln!(stream, "from {from}").unwrap();
            from.clear();
        }
        for (path, content) in &c.files {
            match content {
                Some(content) => write!(stream, "M 100644 inline {path}\n{}", data(content)).unwrap(),
                None => writeln!(stream, "D {path}").unwrap(),
            }
        }
    }
    let mut child = git(repo).args(["fast-import", "--quiet", "--date-format=raw"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// What Oxidized commits.
pub fn oxidized<'a>(time: i64, files: &[(&str, &str)]) -> Commit<'a> {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect();
    Commit { author: "Oxidized <oxidized@example.org>", time, message: "update", files }
}

/// The head that Oxidized puts above the configuration of an IOS device.
pub fn oxidized_head(release: &str) -> String {
    format!(
        "! Cisco IOS Software, C2900 Software (C2900-UNIVERSALK9-M), Version {release}, RELEASE SOFTWARE (fc3)\n\
         ! \n! Image: Software: C2900-UNIVERSALK9-M, {release}, RELEASE SOFTWARE (fc3)\n! Chassis type: CISCO2911/K9\n! \n"
    )
}

/// The head that RANCID puts above it.
pub fn rancid_head(release: &str) -> String {
    format!(
        "!RANCID-CONTENT-TYPE: cisco\n!\n!Chassis type: CISCO2911/K9 - a C2900 router\n!CPU: C2900\n!\n\
         !Image: Software: C2900-UNIVERSALK9-M, {release}, RELEASE SOFTWARE (fc3)\n!\n"
    )
}

/// A running configuration: long enough to be one, with secrets that hold `canary`.
pub fn running(name: &str, marker: &str, canary: &str) -> String {
    format!(
        "version 15.7\nservice timestamps debug datetime msec\nhostname {name}\n!\nenable secret 5 $1${canary}$enable\n!\n\
         username admin privilege 15 secret 5 $1${canary}$user\n!\ndial-peer voice 100 voip\n destination-pattern 5...\n \
         authentication username u1 password 7 {canary}dial\n!\ninterface GigabitEthernet0/1\n description {marker}\n ip address 10.0.0.1 255.0.0.0\n!\n\
         snmp-server community {canary}snmp RO\nntp clock-period 1717{}\nend\n",
        marker.len()
    )
}

/// A store with sealing below the working folder, and the program on it.
pub struct World {
    pub env: TestEnv,
    begun: std::time::SystemTime,
}

impl World {
    pub fn new() -> Self {
        let (env, begun) = (TestEnv::new(), std::time::SystemTime::now());
        env.cv(&["init", "cv", "--collector", "central"]).succeeded();
        Self { env, begun }
    }

    pub fn cv(&self, args: &[&str]) -> Run {
        let mut all = vec!["-C", "cv"];
        all.extend(args);
        self.env.cv(&all)
    }

    pub fn store(&self) -> PathBuf {
        self.env.path("cv/store.git")
    }

    /// All refs as they stand.
    pub fn refs(&self) -> String {
        git_ok(&self.store(), &["for-each-ref"])
    }

    /// Runs an import that must end well, and gives its document.
    #[track_caller]
    pub fn import(&self, args: &[&str]) -> serde_json::Value {
        self.import_ends(0, args)
    }

    #[track_caller]
    pub fn import_ends(&self, code: i32, args: &[&str]) -> serde_json::Value {
        let mut all = vec!["--json", "import"];
        all.extend(args);
        let run = self.cv(&all);
        assert_eq!(run.code, code, "{run}");
        run.json()
    }

    /// Generations of a device, newest first: number, release, kind, time, author, `Imported`.
    pub fn log(&self, device: &str) -> Vec<[String; 6]> {
        let format = "--format=%(trailers:key=Generation,valueonly,separator=)%x09%(trailers:key=Release,valueonly,separator=)%x09\
                      %(trailers:key=Kind,valueonly,separator=)%x09%at%x09%an <%ae>%x09%(trailers:key=Imported,valueonly,separator=)";
        let text = git_ok(&self.store(), &["log", format, &format!("--branches={device}/*")]);
        let mut lines: Vec<[String; 6]> =
            text.lines().map(|l| l.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()).collect();
        // Whatever the time of a state, its commit is of now.
        let now = git_ok(&self.store(), &["log", "--format=%ct", &format!("--branches={device}/*")]);
        let since = std::time::SystemTime::now().duration_since(self.begun).unwrap().as_secs();
        let begun = self.begun.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        for time in now.lines().map(|time| time.parse::<u64>().unwrap()) {
            assert!((begun..=begun + since + 1).contains(&time), "committed at {time}");
        }
        lines.sort_by_key(|l| std::cmp::Reverse(l[0].parse::<u64>().unwrap()));
        lines
    }

    /// The strictest checks of git and of the program find nothing.
    #[track_caller]
    pub fn clean(&self) {
        assert_eq!(git_ok(&self.store(), &["fsck", "--strict", "--full", "--no-dangling", "--no-progress"]), "");
        self.cv(&["check", "--read-data", "--identity", "cv-admin/identity.txt"]).succeeded();
    }

    /// A file as it stood in a generation, opened.
    #[track_caller]
    pub fn show(&self, point: &str, path: &str) -> String {
        let run = self.cv(&["show", point, path, "--identity", "cv-admin/identity.txt"]);
        assert_eq!(run.code, 0, "{run}");
        String::from_utf8(run.stdout).unwrap()
    }
}

/// The report of one device.
pub fn of<'a>(report: &'a serde_json::Value, device: &str) -> &'a serde_json::Value {
    report["devices"].as_array().unwrap().iter().find(|d| d["device"] == device).unwrap_or_else(|| panic!("{report}"))
}
