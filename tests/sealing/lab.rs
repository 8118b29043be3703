//! A store with one administrator, one collector and devices in folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use confvault::inventory::{DeviceChange, Editor};
use confvault::model::{Kind, Point};
use confvault::ops::init::{Made, Options as InitOptions, Sealing, init};
use confvault::ops::keys::AdminFolder;
use confvault::ops::snapshot::{Options, Report, World, snapshot};
use confvault::ops::{Error, Vault};
use confvault::seal::{Identities, Opener};
use confvault::store::decode::{Access, Decoded};
use confvault::store::{Error as StoreError, Generation, Outcome};

/// Never in a store or a mirror, but for what is sealed.
pub const CANARY: &str = "CANARYxQ7vR2kW9pL4";

/// The same where only digits can stand.
pub const PIN: &str = "4815162342108";

pub struct Lab {
    pub dir: tempfile::TempDir,
    pub made: Made,
}

impl Lab {
    pub fn new(sealing: Sealing) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = init(InitOptions {
            root: dir.path().join("cv"),
            collector: "central".parse().unwrap(),
            sealing,
            admin: Some(dir.path().join("admin")),
        })
        .unwrap();
        Self { dir, made }
    }

    pub fn sealed() -> Self {
        Self::new(Sealing::Fresh(None))
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("cv")
    }

    pub fn store_dir(&self) -> PathBuf {
        self.root().join("store.git")
    }

    pub fn admin(&self) -> AdminFolder {
        AdminFolder::at(&self.dir.path().join("admin"))
    }

    /// The folder that a device is collected from.
    pub fn source(&self, device: &str) -> PathBuf {
        self.dir.path().join("devices").join(device)
    }

    pub fn write(&self, device: &str, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.source(device).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn add(&self, device: &str, profile: &str) {
        fs::create_dir_all(self.source(device)).unwrap();
        let mut editor = Editor::open(&self.root()).unwrap();
        let source = format!("dir:{}", self.source(device).display()).parse().unwrap();
        let changes = [DeviceChange::Set("profile", profile.to_owned()), DeviceChange::Set("release", "1.0".to_owned())];
        editor.add_device(&device.parse().unwrap(), &source, &changes).unwrap();
        editor.save().unwrap();
    }

    /// An Asterisk with a canary wherever a secret can stand: masked, sealed text, sealed binary.
    pub fn pbx(&self) {
        self.add("pbx", "asterisk");
        let sip = format!("[general]\nbindport=5060\n\n[100]\ntype=friend\nsecret={CANARY}one\ncontext=internal\n");
        self.write("pbx", "etc/asterisk/sip.conf", sip);
        let voicemail = format!("[default]\n100 => {PIN},Alice,alice@example.org\n");
        self.write("pbx", "etc/asterisk/voicemail.conf", voicemail);
        let key = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}three\nAAAA\n-----END PRIVATE KEY-----\n");
        self.write("pbx", "etc/asterisk/keys/asterisk.key", key);
        let mut binary = vec![0u8, 159, 146, 150];
        binary.extend_from_slice(CANARY.as_bytes());
        self.write("pbx", "var/lib/asterisk/astdb.sqlite3", binary);
        let literal = "; a literal {{sealed:00000000000000000000000000000000}} and {{sealed:\n";
        self.write("pbx", "etc/asterisk/extensions.conf", literal);
    }

    pub fn vault(&self) -> Vault {
        Vault::open(&self.root()).unwrap()
    }

    pub fn try_snapshot(&self) -> Result<Report, Error> {
        let cancel = AtomicBool::new(false);
        let world = World { env: &|_| None, home: None, cancel: &cancel };
        snapshot(&Vault::open(&self.root())?, &Options::default(), &world, &mut |_| {})
    }

    /// Takes a snapshot of all devices; gives the outcome of one.
    #[track_caller]
    pub fn snapshot(&self, device: &str) -> Outcome {
        let report = self.try_snapshot().unwrap();
        let device = report.devices.into_iter().find(|d| d.device.as_str() == device).unwrap();
        device.result.unwrap()
    }

    pub fn identities(&self) -> Identities {
        let file = self.admin().identity_file().unwrap();
        Identities::read(&file, &mut |_| None).unwrap()
    }

    pub fn opener(&self) -> Opener {
        self.vault().trusted.trust.unlock(&self.identities()).unwrap()
    }

    pub fn generation(&self, point: &str) -> Generation {
        let vault = self.vault();
        let point: Point = point.parse().unwrap();
        vault.store.resolve(&vault.store.refs().unwrap(), &point).unwrap()
    }

    /// Reads the files of a generation by `<scope>/<path>`; what is sealed and cannot be opened is `Err`.
    pub fn files(&self, point: &str, opener: Option<&Opener>) -> BTreeMap<String, Result<Decoded, StoreError>> {
        let vault = self.vault();
        let refs = vault.store.refs().unwrap();
        let generation = self.generation(point);
        let access = Access { keys: Some(&vault.keys), opener };
        let reader = vault.store.read_set(&refs, &generation, access).unwrap();
        let files = reader.manifest().lines.iter().filter(|l| l.kind == Kind::File);
        files.map(|line| (line.shown(), reader.read(line))).collect()
    }

    /// Checks that a generation is what lies in the folder of the device.
    #[track_caller]
    pub fn equals_source(&self, point: &str) {
        let opener = self.opener();
        let files = self.files(point, Some(&opener));
        let device = point.split('@').next().unwrap();
        let mut expected = walk(&self.source(device));
        for (path, decoded) in files {
            let below = path.split_once('/').unwrap().1.to_owned();
            let Ok(Decoded::Plain(bytes)) = decoded else { panic!("{path}: {decoded:?}") };
            assert_eq!(Some(bytes), expected.remove(&below), "{path}");
        }
        assert!(expected.is_empty(), "not in the generation: {:?}", expected.keys());
    }
}

/// All files below a folder by their path.
pub fn walk(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                out.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    out
}

/// Every object of a repository, inflated, by its id and kind.
pub fn objects(repo: &Path) -> Vec<(String, Vec<u8>)> {
    let out = Command::new("git")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nonexistent")
        .arg("-C")
        .arg(repo)
        .args(["cat-file", "--batch-all-objects", "--batch"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (mut rest, mut all) = (&out.stdout[..], Vec::new());
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let head = std::str::from_utf8(&rest[..end]).unwrap().to_owned();
        let size: usize = head.rsplit(' ').next().unwrap().parse().unwrap();
        all.push((head, rest[end + 1..end + 1 + size].to_vec()));
        rest = &rest[end + 2 + size..];
    }
    all
}

/// Finds the canaries in the objects of repositories and in every file below folders; gives where.
pub fn canaries(repos: &[PathBuf], folders: &[PathBuf]) -> Vec<String> {
    let has = |bytes: &[u8]| [CANARY, PIN].iter().any(|text| memchr::memmem::find(bytes, text.as_bytes()).is_some());
    let mut found = Vec::new();
    for repo in repos {
        found.extend(objects(repo).into_iter().filter(|(_, data)| has(data)).map(|(id, _)| format!("{}: {id}", repo.display())));
    }
    for folder in folders {
        found.extend(walk(folder).into_iter().filter(|(_, b)| has(b)).map(|(n, _)| format!("{}/{n}", folder.display())));
    }
    found
}

pub fn private(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
