//! Every file of an installation, damaged in every way, under every command: what the damage does not reach comes back
//! byte for byte, and nothing that is wrong is taken for good.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::{Run, TestEnv};

const ACTS: [&str; 5] = ["missing", "empty", "cut", "junk", "unreadable"];

/// The sets, each in a pack of its own, and what the file of each holds.
const SETS: [(&str, &str); 4] = [("a@1", "a1\n"), ("a@2", "a2\n"), ("b@1", "[b]\nb=1\n"), ("b@2", "[b]\nb=2\n")];

/// Another user than the superuser, for whom nothing is closed.
const USER: u32 = 65534;

struct Lab {
    env: TestEnv,
    program: PathBuf,
    root: bool,
    /// What each pack holds: the sets whose commits are in it, or `_store`.
    packs: BTreeMap<String, Vec<&'static str>>,
}

impl Lab {
    fn new() -> Self {
        let env = TestEnv::new();
        env.cv(&["init", "vault", "--no-sealing", "--collector", "c"]).succeeded();
        for device in ["a", "b"] {
            let source = format!("dir:../src/{device}");
            fs::create_dir_all(env.path(format!("src/{device}"))).unwrap();
            env.cv(&["-C", "vault", "device", "add", device, "--source", &source, "--release", "1"]).succeeded();
        }
        for (point, text) in SETS {
            let device = &point[..1];
            env.write(&format!("src/{device}/x.conf"), text.repeat(200));
            env.cv(&["-C", "vault", "snapshot", device]).succeeded();
            // A name leads to a generation where the ones after it are lost.
            env.cv(&["-C", "vault", "name", point, &format!("n{}", &point[2..])]).succeeded();
        }
        let root = rustix::process::geteuid().is_root();
        let program = env.path("cv");
        fs::copy(env.command(&[]).get_program(), &program).unwrap();
        let mut lab = Self { env, program, root, packs: BTreeMap::new() };
        lab.packs = lab.contents();
        if root {
            fs::set_permissions(lab.env.path(".."), fs::Permissions::from_mode(0o755)).unwrap();
        }
        lab.give(".");
        lab
    }

    /// Gives what the superuser made to the user that runs the program.
    fn give(&self, path: &str) {
        if self.root {
            self.sh(&format!("chown -R {USER}:{USER} {path}"));
        }
    }

    fn sh(&self, script: &str) -> String {
        let out = Command::new("sh").args(["-c", script]).current_dir(self.env.path("")).output().unwrap();
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn contents(&self) -> BTreeMap<String, Vec<&'static str>> {
        let sets = SETS.map(|(point, _)| (point, format!("{}/n{}^{{commit}}", &point[..1], &point[2..])));
        let all = sets.into_iter().chain([("_store", "_store".to_owned())]);
        let ids: Vec<_> = all.map(|(what, rev)| (what, self.sh(&format!("git -C vault/store.git rev-parse '{rev}'")))).collect();
        let mut packs = BTreeMap::new();
        for index in self.sh("ls vault/store.git/objects/pack/*.idx").lines() {
            let there = self.sh(&format!("git -C vault/store.git show-index < {index}"));
            let within = ids.iter().filter(|(_, id)| there.contains(id.trim())).map(|(what, _)| *what).collect();
            packs.insert(Path::new(index).file_stem().unwrap().to_str().unwrap().to_owned(), within);
        }
        packs
    }

    /// Every file of the installation, as its path below it.
    fn files(&self) -> Vec<String> {
        let mut files: Vec<_> = self.sh("cd vault && find . -type f").lines().map(|line| line[2..].to_owned()).collect();
        files.sort();
        files
    }

    /// Makes a fresh copy with one file damaged.
    fn damaged(&self, file: &str, act: &str) {
        self.sh("rm -rf out damaged && cp -a vault damaged");
        for (point, text) in [SETS[1], SETS[3]] {
            self.env.write(&format!("src/{}/x.conf", &point[..1]), text.repeat(200));
        }
        let path = self.env.path("damaged").join(file);
        let bytes = fs::read(&path).unwrap();
        match act {
            "missing" => fs::remove_file(&path).unwrap(),
            "unreadable" => fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap(),
            "empty" => rewrite(&path, &[]),
            "cut" => rewrite(&path, &bytes[..bytes.len().saturating_sub(1)]),
            _ => rewrite(&path, &vec![0x5a; bytes.len().max(10)]),
        }
    }

    fn cv(&self, args: &[&str]) -> Run {
        let mut command = if self.root { Command::new("setpriv") } else { Command::new(&self.program) };
        if self.root {
            command.args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()]).arg(&self.program);
        }
        command.args(["-C", "damaged"]).args(args).current_dir(self.env.path("")).env_clear();
        command.env("HOME", self.env.path("../home")).env("PATH", std::env::var_os("PATH").unwrap());
        command.stdin(std::process::Stdio::null());
        let run = self.env.run(&mut command);
        assert!(matches!(run.code, 0..=3 | 10..=13) && !run.stderr.contains("panicked"), "{args:?}: {run}");
        run
    }

    /// Restores a set; says whether it came back. What is wrong never does.
    fn comes_back(&self, point: &str, text: &str) -> bool {
        self.sh("rm -rf out");
        let run = self.cv(&["restore", point, "--to", "out"]);
        match fs::read_to_string(self.env.path("out/x.conf")) {
            Ok(there) => assert_eq!((run.code, there == text.repeat(200)), (0, true), "{point}: {run}"),
            Err(_) => assert_ne!(run.code, 0, "{point}: {run}"),
        }
        run.code == 0
    }

    /// One cell: a file and what is done to it. Gives what does not hold.
    fn cell(&self, file: &str, act: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        self.damaged(file, act);
        // Nothing of the store is in these, and no git opens a repository without them: the advice is the line that
        // writes them back.
        if ["store.git/HEAD", "store.git/config"].contains(&file) && act == "missing" {
            let said = self.cv(&["check"]).failed(13).replace("$TEST", self.env.path("..").to_str().unwrap());
            self.sh(said.split('`').nth(1).unwrap());
            self.give(&format!("damaged/{file}"));
        } else if file == "store.git/config" && act == "unreadable" {
            assert!(self.cv(&["check"]).failed(1).contains("store.git/config"));
            return wrong;
        }
        let refs = fs::read(self.env.path("damaged/store.git/packed-refs")).ok();
        let check = self.cv(&["check", "--read-data"]);
        let stem = Path::new(file).file_stem().unwrap().to_str().unwrap();
        let lost = self.packs.get(stem).cloned().unwrap_or_default();
        let lost_all = lost.contains(&"_store") || file.ends_with("packed-refs");
        let mut whole = true;
        for (point, text) in SETS {
            let back = self.comes_back(point, text);
            whole &= back;
            if !back && !lost_all && !lost.contains(&point) {
                wrong.push(format!("{point} does not come back"));
            }
        }
        let of_store = self.packs.contains_key(stem) || file.ends_with("packed-refs");
        if (of_store || !whole) && check.code == 0 {
            wrong.push("check finds nothing".to_owned());
        }
        let said = format!("{}{}", String::from_utf8_lossy(&check.stdout), check.stderr);
        if check.code == 13 && !["missing", "lost its branch", stem].iter().any(|word| said.contains(word)) {
            wrong.push(format!("check does not name it: {check}"));
        }
        let log = self.cv(&["log", "a"]);
        let diff = self.cv(&["diff", "a@1", "@2"]);
        // Of a name that is lost `log` complains, below all that it shows.
        let listed = log.text().lines().count() == 3 && (log.code == 0 || of_store && log.code == 13);
        if whole && !(listed && diff.code == 1 && diff.text().contains("+a2")) {
            wrong.push(format!("log {} diff {}", log.code, diff.code));
        }
        self.env.write("src/a/x.conf", "a3\n".repeat(200));
        let snapshot = self.cv(&["snapshot"]);
        if snapshot.code == 0 {
            if !self.comes_back("a@3", "a3\n") {
                wrong.push("a snapshot that does not come back".to_owned());
            }
        } else if fs::read(self.env.path("damaged/store.git/packed-refs")).ok() != refs && snapshot.code != 3 {
            wrong.push("a snapshot that failed and wrote".to_owned());
        }
        if !wrong.is_empty() {
            wrong.push(format!("check {}, log {}, diff {}, snapshot {}", check.code, log.code, diff.code, snapshot));
        }
        wrong
    }
}

/// Writes into the file that is there, whatever its mode.
fn rewrite(path: &Path, bytes: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

/// All cells with `CONFVAULT_THOROUGH=1`, else one in nineteen, of every act some.
#[test]
fn what_damage_does_not_reach_comes_back() {
    let thorough = std::env::var_os("CONFVAULT_THOROUGH").is_some();
    let lab = Lab::new();
    let mut wrong = Vec::new();
    let files = lab.files();
    let cells = files.iter().flat_map(|file| ACTS.map(|act| (file, act)));
    for (file, act) in cells.enumerate().filter(|(at, _)| thorough || at % 19 == 0).map(|(_, cell)| cell) {
        wrong.extend(lab.cell(file, act).into_iter().map(|what| format!("{file} {act}: {what}")));
    }
    assert!(wrong.is_empty(), "{}\n{:?}", wrong.join("\n"), lab.packs);
}
