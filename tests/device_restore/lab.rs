//! A store with one device that is a folder, in a good state that is stored and a broken one that stands.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::env::{Run, TestEnv};

/// A secret that stands in the files.
pub const CANARY: &str = "s3cr3t-canary-0815";

/// What the profile `pb` does beside what each test adds.
pub const PROFILE: &str = r#"
name = "pb"
[[file]]
paths = ["*.db"]
scope = "user"
[[file]]
paths = ["cache/**"]
skip = true
[[file]]
paths = ["**"]
scope = "voip"
syntax = "ini"
[[volatile]]
paths = ["main.conf"]
regex = '^; written at '
"#;

/// Whether everything is to be tried, as before a release.
pub fn thorough() -> bool {
    std::env::var_os("CONFVAULT_THOROUGH").is_some()
}

/// Everything below a folder: kind, mode, and bytes or target, by path.
pub type Tree = BTreeMap<String, String>;

pub fn tree(dir: &Path) -> Tree {
    let mut out = Tree::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                todo.push(path.clone());
                format!("folder {:o} {}:{}", meta.permissions().mode(), meta.uid(), meta.gid())
            } else if meta.is_file() {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                format!("file {:o} {}:{} {text}", meta.permissions().mode(), meta.uid(), meta.gid())
            } else {
                "odd".to_owned()
            };
            out.insert(path.strip_prefix(dir).unwrap().display().to_string(), what);
        }
    }
    out
}

/// A store that seals, with a device `pbx` that is the folder `pbx`.
pub struct Lab {
    pub env: TestEnv,
    /// The folder that is the device.
    pub at: PathBuf,
    /// The good state, which is generation 1.
    pub good: Tree,
    /// The broken state, which stands.
    pub broken: Tree,
}

impl Lab {
    /// `restore` is the `[restore]` of the profile.
    pub fn new(restore: &str) -> Self {
        Self::in_folder(restore, &[])
    }

    /// The same, in a store that keeps secrets in clear.
    pub fn without_sealing(restore: &str) -> Self {
        Self::in_folder(restore, &["--no-sealing"])
    }

    fn in_folder(restore: &str, more: &[&str]) -> Self {
        let env = TestEnv::new();
        env.cv(&[&["init", "store", "--collector", "central"], more].concat()).succeeded();
        let at = env.path("pbx");
        good(&at);
        let lab =
            Self::with(env, at, "source = \"dir:../pbx\"\n", &format!("{PROFILE}\n[restore]\nmethod = \"files\"\n{restore}"));
        break_it(&lab.at);
        Self { broken: tree(&lab.at), ..lab }
    }

    /// A device with this table and this profile, whose set as it stands is generation 1. It is not broken yet.
    pub fn with(env: TestEnv, at: PathBuf, table: &str, profile: &str) -> Self {
        if !env.path("store").exists() {
            env.cv(&["init", "store", "--collector", "central"]).succeeded();
        }
        env.write("store/profiles/pb.toml", profile);
        let inventory = env.read("store/confvault.toml");
        env.write("store/confvault.toml", format!("{inventory}\n[devices.pbx]\nprofile = \"pb\"\nrelease = \"1\"\n{table}"));
        env.cv(&["-C", "store", "snapshot"]).succeeded();
        let good = tree(&at);
        Self { env, broken: good.clone(), good, at }
    }

    /// Another lab in the same state, in a place of its own.
    pub fn copy(&self) -> Self {
        let env = TestEnv::new();
        let done = std::process::Command::new("cp").arg("-a").arg(self.env.path(".")).arg(env.path("../work")).status();
        assert!(done.unwrap().success());
        let at = env.path("pbx");
        Self { env, good: self.good.clone(), broken: self.broken.clone(), at }
    }

    /// What stands on the device when the point is back: the good state, but for what is no part of the set and what is
    /// volatile.
    pub fn point(&self) -> Tree {
        let mut tree = self.good.clone();
        for path in ["volatile/main.conf", "cache/y"] {
            tree.insert(path.to_owned(), self.broken[path].clone());
        }
        tree
    }

    /// Runs a command on the store, with the administrator's identity.
    pub fn cv(&self, args: &[&str]) -> Run {
        self.env.run(&mut self.command(args))
    }

    pub fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.env.command(&["-C", "store"]);
        command.args(args).env("CONFVAULT_IDENTITY", self.env.path("store-admin/identity.txt"));
        command
    }

    pub fn restore(&self, more: &[&str]) -> Run {
        self.env.run(&mut self.restore_command(more))
    }

    pub fn restore_command(&self, more: &[&str]) -> std::process::Command {
        let mut args = vec!["restore", "pbx@1", "--device", "--yes", "--wait", "3"];
        args.extend(more);
        self.command(&args)
    }

    pub fn tree(&self) -> Tree {
        tree(&self.at)
    }

    /// No restore is left, in the store's folder and on the device.
    #[track_caller]
    pub fn assert_tidy(&self) {
        assert!(!self.env.path("store/restores/pbx").exists(), "a record is left");
        let left: Vec<String> = self.tree().into_keys().filter(|name| name.contains(".confvault-restore")).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(self.cv(&["change", "list", "--json"]).json()["changes"].as_array().unwrap().is_empty(), "a change is open");
    }

    /// The outcomes of restores in the journal, oldest first.
    pub fn outcomes(&self) -> Vec<String> {
        let text = self.cv(&["journal", "--json"]).text();
        let all = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut out: Vec<String> = all
            .filter(|record| record["action"] == "restore")
            .map(|record| record["outcome"].as_str().unwrap().to_owned())
            .collect();
        out.reverse();
        out
    }
}

fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The good state.
pub fn good(at: &Path) {
    write(&at.join("main.conf"), format!("; written at noon\n[general]\nport=5060\npassword={CANARY}\n"), 0o640);
    write(&at.join("same.conf"), "[same]\n", 0o644);
    write(&at.join("mode.conf"), "[mode]\n", 0o600);
    write(&at.join("gone.conf"), "[gone]\n", 0o644);
    write(&at.join("deep/er/gone.conf"), "[gone]\n", 0o644);
    write(&at.join("users.db"), b"\0binary\0", 0o600);
    write(&at.join("volatile/main.conf"), "; written at noon\n[x]\n", 0o644);
    write(&at.join("cache/x"), "1", 0o644);
    fs::create_dir_all(at.join("empty")).unwrap();
    fs::set_permissions(at.join("empty"), fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::symlink("main.conf", at.join("link")).unwrap();
    std::os::unix::fs::symlink("main.conf", at.join("was-link")).unwrap();
}

/// The broken state: everything that can be wrong with a tree.
pub fn break_it(at: &Path) {
    write(&at.join("main.conf"), format!("; written at one\n[general]\nport=5061\npassword={CANARY}-new\n"), 0o644);
    fs::set_permissions(at.join("mode.conf"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::remove_file(at.join("gone.conf")).unwrap();
    fs::remove_dir_all(at.join("deep")).unwrap();
    write(&at.join("users.db"), b"\0other\0", 0o600);
    write(&at.join("volatile/main.conf"), "; written at one\n[x]\n", 0o644);
    write(&at.join("cache/y"), "2", 0o644);
    write(&at.join("extra/new.conf"), "[new]\n", 0o644);
    fs::set_permissions(at.join("empty"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(at.join("link")).unwrap();
    std::os::unix::fs::symlink("same.conf", at.join("link")).unwrap();
    fs::remove_file(at.join("was-link")).unwrap();
    write(&at.join("was-link"), "a file now\n", 0o644);
}
