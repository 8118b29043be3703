//! A store to try things in.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use confvault::model::{ConfigPath, ConfigSet, Content, Digest, Entry, Kind, Look, Owner, Scope, Stamp};
use confvault::seal::{AllowedSigner, EpochIdentity, Opener, Sealer, SigningKey, StoreKey, StoreKeys, write_signers};
use confvault::store::manifest::RulesId;
use confvault::store::{
    Access, ChangeId, Done, EncodeContext, Error, FactFiles, Feature, Generation, GenerationKind, Meta, Outcome, Rules, RunId,
    Store, Transaction, Who,
};
use tempfile::TempDir;

/// Lines that begin with `! ` are volatile; what stands behind `secret=` is a secret.
pub struct PlainRules {
    pub word: &'static str,
    pub masks: u64,
}

impl Rules for PlainRules {
    fn rules_id(&self) -> RulesId {
        RulesId(7)
    }
    fn masks_id(&self) -> RulesId {
        RulesId(self.masks)
    }
    fn normalise<'a>(&self, _: &ConfigPath, text: &'a [u8]) -> Cow<'a, [u8]> {
        let lines = text.split_inclusive(|b| *b == b'\n').filter(|l| !l.starts_with(b"! "));
        let out = lines.flatten().copied().collect::<Vec<_>>();
        if out.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned(out) }
    }
    fn is_by_itself(&self, _: &ConfigPath) -> bool {
        false
    }
    fn secrets(&self, _: &ConfigPath, text: &[u8]) -> Vec<Range<usize>> {
        let word = self.word.as_bytes();
        let mut out = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive(|b| *b == b'\n') {
            if let Some(found) = line.windows(word.len()).position(|w| w == word) {
                let end = line.len() - usize::from(line.ends_with(b"\n"));
                if found + word.len() < end {
                    out.push(at + found + word.len()..at + end);
                }
            }
            at += line.len();
        }
        out
    }
}

pub const RULES: PlainRules = PlainRules { word: "secret=", masks: 1 };

/// A store and everything that a collector and an administrator hold.
pub struct Lab {
    pub dir: TempDir,
    pub store: Store,
    pub keys: StoreKeys,
    pub signing: SigningKey,
    pub identity: Option<EpochIdentity>,
    pub sealer: Option<Sealer>,
    pub large_over: u64,
    now: Cell<i64>,
    runs: Cell<u8>,
}

pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

pub fn file(scope: Scope, path: &[u8], content: &[u8]) -> Entry {
    let stamp = Stamp { mtime_ns: 1, ctime_ns: 1, inode: 1, size: content.len() as u64 };
    Entry {
        scope,
        path: ConfigPath::new(path).unwrap(),
        kind: Kind::File,
        mode: 0o644,
        owner: Some(Owner { uid: 0, gid: 5 }),
        stamp,
        content: Content::Bytes(content.to_vec()),
    }
}

pub fn voip(path: &str, content: &str) -> Entry {
    file(Scope::Voip, path.as_bytes(), content.as_bytes())
}

pub fn directory(scope: Scope, path: &[u8]) -> Entry {
    Entry { kind: Kind::Directory, mode: 0o750, content: Content::Bytes(Vec::new()), ..file(scope, path, b"") }
}

pub fn link(scope: Scope, path: &[u8], target: &[u8]) -> Entry {
    Entry { kind: Kind::Link, mode: 0o777, ..file(scope, path, target) }
}

pub const SEED: Digest = Digest([9; 32]);

impl Lab {
    pub fn clear() -> Self {
        Self::new(false)
    }

    pub fn sealed() -> Self {
        Self::new(true)
    }

    fn new(sealing: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = StoreKey::generate();
        let signing = SigningKey::generate("central@confvault").unwrap();
        let signer = AllowedSigner { principal: "central@confvault".to_owned(), key: signing.public() };
        let mut files = FactFiles::new();
        files.insert("signers".to_owned(), write_signers(std::slice::from_ref(&signer)).into_bytes());
        files.insert("administrators".to_owned(), write_signers(&[signer]).into_bytes());
        let identity = sealing.then(EpochIdentity::generate);
        let mut features = vec![Feature::Signing];
        match &identity {
            Some(identity) => {
                features.push(Feature::Sealing);
                files.insert("epochs/1/recipient".to_owned(), format!("{}\n", identity.recipient()).into_bytes());
            }
            None => drop(files.insert("epochs/1/store-key".to_owned(), key.to_hex().as_bytes().to_vec())),
        }
        let store = Store::create(&dir.path().join("store.git"), &features, files, Some(&signing), at(1_700_000_000)).unwrap();
        let sealer = store.facts().sealer().unwrap();
        assert_eq!(sealer.is_some(), sealing);
        Self {
            dir,
            store,
            keys: StoreKeys::new(vec![key]),
            signing,
            identity,
            sealer,
            large_over: 8 << 20,
            now: Cell::new(1_700_000_000),
            runs: Cell::new(0),
        }
    }

    pub fn git_dir(&self) -> PathBuf {
        self.dir.path().join("store.git")
    }

    pub fn reopen(&mut self) {
        self.store = Store::open(&self.git_dir()).unwrap();
    }

    pub fn set_now(&self, seconds: i64) {
        self.now.set(seconds);
    }

    pub fn now(&self) -> DateTime<Utc> {
        at(self.now.get())
    }

    pub fn who(&self) -> Who {
        self.runs.set(self.runs.get().wrapping_add(1));
        Who {
            collector: "central".parse().unwrap(),
            signing: Some(self.signing.clone()),
            run: RunId::new(self.now(), [self.runs.get(); 10]),
            now: self.now(),
        }
    }

    pub fn begin(&self) -> Transaction<'_> {
        self.now.set(self.now.get() + 60);
        self.store.begin(self.who()).unwrap()
    }

    pub fn meta(&self) -> Meta {
        Meta::new(self.now(), SEED, self.now.get() * 1_000_000_000)
    }

    pub fn encode_in(
        &self,
        transaction: &Transaction<'_>,
        device: &str,
        set: ConfigSet,
        meta: Meta,
        rules: &dyn Rules,
    ) -> Result<Outcome, Error> {
        let device = device.parse().unwrap();
        let (keys, sealer) = (&self.keys, self.sealer.as_ref());
        let context = EncodeContext { device: &device, keys, rules, sealer, large_over: self.large_over };
        transaction.snapshot(&context, set, meta)
    }

    pub fn put_with(&self, device: &str, release: &str, entries: Vec<Entry>, meta: Meta, rules: &dyn Rules) -> Outcome {
        let transaction = self.begin();
        let set = set(release, entries);
        let outcome = self.encode_in(&transaction, device, set, meta, rules).unwrap();
        let done: Done = transaction.commit().unwrap();
        assert_eq!(done.moved, []);
        outcome
    }

    pub fn put(&self, device: &str, release: &str, entries: Vec<Entry>) -> Outcome {
        self.now.set(self.now.get() + 60);
        self.put_with(device, release, entries, self.meta(), &RULES)
    }

    /// Puts a set that must be a generation.
    pub fn made(&self, device: &str, release: &str, entries: Vec<Entry>) -> Generation {
        match self.put(device, release, entries) {
            Outcome::Generation(generation) => *generation,
            unchanged => panic!("{unchanged:?}"),
        }
    }

    pub fn change(&self, device: &str, kind: GenerationKind, change: &str, entries: Vec<Entry>) -> Outcome {
        self.now.set(self.now.get() + 60);
        let change: ChangeId = change.parse().unwrap();
        let meta = Meta { kind: Some(kind), change: Some(change), ..self.meta() };
        self.put_with(device, "1", entries, meta, &RULES)
    }

    pub fn opener(&self) -> Option<Opener> {
        let identity = self.identity.clone()?;
        let mut opener = Opener::default();
        opener.insert(1, identity);
        Some(opener)
    }

    /// Reads everything back as entries without stamps.
    pub fn read(&self, generation: &Generation) -> Result<Vec<Entry>, Error> {
        let opener = self.opener();
        let access = Access { keys: Some(&self.keys), opener: opener.as_ref() };
        let reader = self.store.read_set(&self.store.refs()?, generation, access)?;
        let mut out = Vec::new();
        for line in &reader.manifest().lines {
            let mut content = Vec::new();
            assert!(!reader.copy(line, &mut content)?, "masked");
            out.push(Entry {
                scope: line.scope,
                path: line.path.clone(),
                kind: line.kind,
                mode: line.mode,
                owner: line.owner,
                stamp: Stamp::default(),
                content: Content::Bytes(content),
            });
        }
        Ok(out)
    }

    /// Asserts that a generation reads back as a set.
    pub fn assert_holds(&self, generation: &Generation, entries: &[Entry]) {
        let mut expected = set("1", entries.to_vec()).entries().to_vec();
        expected.iter_mut().for_each(|e| e.stamp = Stamp::default());
        let read = self.read(generation).unwrap();
        assert_eq!(read, expected, "{}@{}", generation.device, generation.number);
    }

    pub fn at(&self, point: &str) -> Result<Generation, Error> {
        self.store.resolve(&self.store.refs()?, &point.parse().unwrap())
    }

    /// The file of the cache that has the look of a device.
    pub fn look_file(&self, device: &str) -> PathBuf {
        let files = std::fs::read_dir(self.git_dir().join("confvault/looks")).unwrap().map(|e| e.unwrap().path());
        let of_device = |path: &PathBuf| {
            let name = [&[device.len() as u8], device.as_bytes()].concat();
            std::fs::read(path).unwrap().windows(name.len()).any(|part| part == name)
        };
        files.into_iter().find(of_device).unwrap()
    }

    pub fn look(&self, device: &str) -> Option<Arc<Look>> {
        self.begin().look(&device.parse().unwrap(), &SEED)
    }

    /// Runs git on the store and gives what it prints.
    pub fn git(&self, args: &[&str]) -> String {
        let (ok, text) = run_git(&self.git_dir(), args);
        assert!(ok, "git {args:?}: {text}");
        text
    }

    /// Asserts that git finds nothing, not even something to warn of.
    pub fn fsck(&self) {
        assert_eq!(self.git(&["fsck", "--strict", "--full", "--no-dangling"]), "");
    }
}

pub fn set(release: &str, entries: Vec<Entry>) -> ConfigSet {
    ConfigSet::new(entries, Some(release.parse().unwrap()), Vec::new()).unwrap()
}

/// Runs git without anybody's settings; gives its success and all that it prints.
pub fn run_git(dir: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), text)
}
