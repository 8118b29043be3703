//! The source `dir:`: nothing is followed, nothing is lost, nothing is guessed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::Duration;

use confvault::collect::{CollectError, Collected, Context, Network, collect, is_unchanged};
use confvault::inventory::{Device, Inventory, Policy};
use confvault::model::{ConfigPath, Content, Digest, Kind, Look, LookEntry, Scope};
use confvault::profile::{Profile, Profiles};

struct Rig {
    dir: tempfile::TempDir,
    policy: Policy,
    keys: String,
    profile: &'static str,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("pbx")).unwrap();
        Self { dir, policy: Policy::default(), keys: "release = \"1\"\n".into(), profile: "generic" }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join("pbx").join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Does something with the device, its profile and what a source needs.
    fn with<R>(&self, work: impl FnOnce(&Device, &Profile, &Context<'_>) -> R) -> R {
        let text = format!("collector = \"c\"\n[devices.pbx]\nsource = \"dir:pbx\"\n{}", self.keys);
        let inventory = Inventory::parse(self.dir.path(), &text).unwrap();
        let profiles = Profiles::load(None).unwrap();
        let (dir, cancel, network) = (self.dir.path(), AtomicBool::new(false), Network::default());
        let context = Context::new(dir, dir, &self.policy, &|_| None, None, &cancel, &network);
        work(inventory.devices().next().unwrap(), &profiles.get(self.profile).unwrap(), &context)
    }

    fn collect(&self, look: Option<&Look>) -> Result<Collected, CollectError> {
        self.with(|device, profile, context| collect(device, profile, look, context))
    }

    fn is_unchanged(&self, look: &Look) -> bool {
        self.with(|device, _, context| is_unchanged(device, look, context))
    }

    fn look(&self) -> Look {
        let collected = self.collect(None).unwrap();
        let entries = collected.set.entries().iter().map(|e| LookEntry {
            scope: e.scope,
            path: e.path.clone(),
            kind: e.kind,
            mode: e.mode,
            owner: e.owner,
            stamp: e.stamp,
            plain: Digest([7; 32]),
        });
        Look {
            head: "0".repeat(40),
            release: "1".parse().unwrap(),
            rules: collected.rules,
            // As if the look had been taken an hour later.
            taken_ns: collected.taken_ns + 3_600_000_000_000,
            root: collected.root,
            entries: entries.collect(),
        }
    }
}

fn names(collected: &Collected) -> Vec<String> {
    collected.set.entries().iter().map(|e| e.path.to_string()).collect()
}

fn content<'a>(collected: &'a Collected, path: &str) -> &'a Content {
    &collected.set.entries().iter().find(|e| e.path.to_string() == path).unwrap().content
}

#[test]
fn a_tree_is_taken_as_it_stands() {
    let rig = Rig::new();
    rig.write("etc/a.conf", "a=1\n");
    rig.write("etc/empty", "");
    rig.write("raw", b"\0\xff\n");
    fs::create_dir(rig.path("none")).unwrap();
    fs::set_permissions(rig.path("none"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(rig.path("raw"), fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("/etc/passwd", rig.path("etc/link")).unwrap();
    let collected = rig.collect(None).unwrap();
    assert_eq!(names(&collected), ["etc", "etc/a.conf", "etc/empty", "etc/link", "none", "raw"]);
    assert_eq!(*content(&collected, "etc/link"), Content::Bytes(b"/etc/passwd".to_vec()));
    assert_eq!(*content(&collected, "raw"), Content::Bytes(b"\0\xff\n".to_vec()));
    assert_eq!(*content(&collected, "etc/empty"), Content::Bytes(Vec::new()));
    let entry = |path: &str| collected.set.entries().iter().find(|e| e.path.to_string() == path).unwrap();
    assert_eq!((entry("raw").mode, entry("none").mode, entry("etc/link").kind), (0o4750, 0o700, Kind::Link));
    assert!(entry("raw").owner.is_some());
    collected.recheck().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn reading_leaves_the_time_of_access_alone() {
    let rig = Rig::new();
    rig.write("a", "x");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(rig.path("a")).unwrap().set_times(fs::FileTimes::new().set_accessed(long_ago)).unwrap();
    assert_eq!(*content(&rig.collect(None).unwrap(), "a"), Content::Bytes(b"x".to_vec()));
    assert_eq!(fs::metadata(rig.path("a")).unwrap().accessed().unwrap(), long_ago);
}

#[test]
fn a_missing_or_empty_folder_is_a_failure_and_never_an_empty_set() {
    let rig = Rig::new();
    assert!(matches!(rig.collect(None), Err(CollectError::Empty(_))));
    fs::create_dir(rig.path("only-a-folder")).unwrap();
    assert!(matches!(rig.collect(None), Err(CollectError::Empty(_))));
    fs::remove_dir_all(rig.path("")).unwrap();
    assert!(matches!(rig.collect(None), Err(CollectError::Missing(_))));
    fs::write(rig.dir.path().join("pbx"), "a file").unwrap();
    assert!(matches!(rig.collect(None), Err(CollectError::NotFolder(_))));
}

#[test]
fn what_is_no_file_is_reported_and_does_not_hang() {
    let rig = Rig::new();
    rig.write("a", "x");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, rig.path("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(rig.path("sock")).unwrap();
    let collected = rig.collect(None).unwrap();
    assert_eq!(names(&collected), ["a"]);
    let mut skipped: Vec<_> = collected.skipped.iter().map(|s| format!("{} {}", s.path, s.what)).collect();
    skipped.sort();
    assert_eq!(skipped, ["fifo FIFO", "sock socket"]);
}

#[test]
fn a_look_saves_opening_what_did_not_change() {
    let rig = Rig::new();
    rig.write("d/a", "one");
    rig.write("d/b", "two");
    symlink("a", rig.path("d/l")).unwrap();
    let look = rig.look();
    let same = rig.collect(Some(&look)).unwrap();
    assert_eq!(same.read_bytes, 0);
    assert_eq!(*content(&same, "d/a"), Content::Same(Digest([7; 32])));
    assert_eq!(*content(&same, "d/l"), Content::Same(Digest([7; 32])));

    rig.write("d/b", "2wo");
    let changed = rig.collect(Some(&look)).unwrap();
    assert_eq!(*content(&changed, "d/a"), Content::Same(Digest([7; 32])));
    assert_eq!(*content(&changed, "d/b"), Content::Bytes(b"2wo".to_vec()));

    // Under other rules, or from a look that is as young as the files, nothing is trusted.
    let other = Look { rules: Digest([0; 32]), ..look.clone() };
    assert!(matches!(content(&rig.collect(Some(&other)).unwrap(), "d/a"), Content::Bytes(_)));
    let young = Look { taken_ns: look.entries.iter().map(|e| e.stamp.mtime_ns).max().unwrap(), ..look };
    assert!(matches!(content(&rig.collect(Some(&young)).unwrap(), "d/a"), Content::Bytes(_)));
}

#[test]
fn what_is_read_and_is_what_the_look_saw_is_not_kept() {
    let rig = Rig::new();
    rig.write("a", "one");
    rig.write("b", "two");
    symlink("a", rig.path("l")).unwrap();
    let digest = |bytes: &[u8]| Digest(*blake3::hash(bytes).as_bytes());
    let mut look = rig.look();
    for entry in &mut look.entries {
        entry.plain = digest(match entry.path.to_string().as_str() {
            "a" => b"one",
            "b" => b"two",
            _ => b"a",
        });
    }
    rig.write("a", "one");
    rig.write("b", "2wo");
    fs::remove_file(rig.path("l")).unwrap();
    symlink("a", rig.path("l")).unwrap();
    let collected = rig.with(|device, profile, context| {
        let context = Context { digest: &|bytes| Some(digest(bytes)), ..*context };
        collect(device, profile, Some(&look), &context).unwrap()
    });
    assert_eq!(*content(&collected, "a"), Content::Same(digest(b"one")));
    assert_eq!(*content(&collected, "b"), Content::Bytes(b"2wo".to_vec()));
    assert_eq!(*content(&collected, "l"), Content::Same(digest(b"a")));
    let stamp = |path: &str| fs::symlink_metadata(rig.path(path)).map(|m| std::os::unix::fs::MetadataExt::ino(&m)).unwrap();
    assert!(collected.set.entries().iter().all(|e| e.stamp.inode == stamp(&e.path.to_string())));
    assert_eq!(collected.read_bytes, 7);
}

#[test]
fn a_look_proves_that_nothing_changed_only_if_nothing_did() {
    let rig = || {
        let rig = Rig::new();
        for path in ["a.conf", "etc/b", "etc/deep/c", "etc-x/d"] {
            rig.write(path, path);
        }
        fs::create_dir(rig.path("etc/empty")).unwrap();
        symlink("b", rig.path("etc/link")).unwrap();
        rig
    };
    let changes: &[(&str, &dyn Fn(&Rig))] = &[
        ("content", &|rig| rig.write("etc/deep/c", "etc/DEEP/c")),
        ("content of a file at the top", &|rig| rig.write("a.conf", "A.conf")),
        ("mode", &|rig| fs::set_permissions(rig.path("etc/b"), fs::Permissions::from_mode(0o600)).unwrap()),
        ("mode of a folder", &|rig| fs::set_permissions(rig.path("etc/empty"), fs::Permissions::from_mode(0o700)).unwrap()),
        ("a file more", &|rig| rig.write("etc/empty/e", "")),
        ("a file more at the top", &|rig| rig.write("e", "")),
        ("a file less", &|rig| fs::remove_file(rig.path("etc-x/d")).unwrap()),
        ("a folder less", &|rig| fs::remove_dir(rig.path("etc/empty")).unwrap()),
        ("another name", &|rig| fs::rename(rig.path("etc/b"), rig.path("etc/f")).unwrap()),
        ("another file of that name", &|rig| {
            fs::write(rig.path("etc/new"), "etc/b").unwrap();
            fs::rename(rig.path("etc/new"), rig.path("etc/b")).unwrap();
        }),
        ("another target", &|rig| {
            fs::remove_file(rig.path("etc/link")).unwrap();
            symlink("c", rig.path("etc/link")).unwrap();
        }),
        ("a link in place of a folder", &|rig| {
            fs::rename(rig.path("etc/deep"), rig.dir.path().join("deep")).unwrap();
            symlink(rig.dir.path().join("deep"), rig.path("etc/deep")).unwrap();
        }),
        ("a link in place of it all", &|rig| {
            fs::rename(rig.path(""), rig.dir.path().join("away")).unwrap();
            symlink("away", rig.dir.path().join("pbx")).unwrap();
            rig.write("g", "");
        }),
    ];
    for (what, change) in changes {
        let rig = rig();
        let look = rig.look();
        assert!(rig.is_unchanged(&look), "{what}");
        // A change must be told by its time stamps even if the clock stands still; the inode's does.
        std::thread::sleep(Duration::from_millis(20));
        change(&rig);
        assert!(!rig.is_unchanged(&look), "{what}");
    }
}

#[test]
fn a_look_proves_nothing_where_something_has_to_be_told_or_is_too_young() {
    let mut rig = Rig::new();
    rig.write("a", "x");
    rig.write("d/b", "y");
    let look = rig.look();
    assert!(rig.is_unchanged(&look));
    // Taken as early as the newest of its stamps: the folder can have got another name in that instant.
    let newest = look.entries.iter().map(|e| e.stamp.ctime_ns).max().unwrap();
    assert!(!rig.is_unchanged(&Look { taken_ns: newest + 1_000_000, ..look.clone() }));
    let mut young = look.clone();
    young.root = young.root.map(|root| confvault::model::Stamp { mtime_ns: look.taken_ns, ..root });
    assert!(!rig.is_unchanged(&young));
    assert!(!rig.is_unchanged(&Look { root: None, ..look.clone() }));
    assert!(!rig.is_unchanged(&Look { release: "2".parse().unwrap(), ..look.clone() }));
    rig.policy.max_files = 1;
    assert!(!rig.is_unchanged(&look));
    rig.policy = Policy { max_size: "1".parse().unwrap(), ..Policy::default() };
    assert!(!rig.is_unchanged(&look));
    rig.policy = Policy::default();
    let _socket = std::os::unix::net::UnixListener::bind(rig.path("sock")).unwrap();
    assert!(!rig.is_unchanged(&rig.look()));
}

#[test]
fn a_release_that_is_not_found_fails_the_device() {
    let mut rig = Rig::new();
    rig.keys.clear();
    rig.write("a", "x");
    assert!(matches!(rig.collect(None), Err(CollectError::NoRelease { .. })));
}

#[test]
fn what_a_profile_requires_is_required_of_a_declared_release_too() {
    let mut rig = Rig::new();
    rig.profile = "cisco-ios";
    rig.write("vlan.dat", "x");
    let error = rig.collect(None).unwrap_err();
    assert!(matches!(&error, CollectError::NotWhole(missing) if missing == &["running-config*"]), "{error:?}");
    rig.write("running-config", "hostname gw\nend\n");
    assert!(rig.collect(None).is_ok());
}

#[test]
fn limits_end_the_collecting() {
    let mut rig = Rig::new();
    rig.write("a", "12345");
    rig.write("b", "12345");
    rig.policy.max_files = 1;
    assert!(matches!(rig.collect(None), Err(CollectError::TooMany { limit: 1 })));
    rig.policy.max_files = 2;
    rig.keys.push_str("max_size = \"9 B\"\n");
    assert!(matches!(rig.collect(None), Err(CollectError::TooLarge { limit: 9 })));
}

#[test]
fn a_large_file_is_referred_to_and_checked_again() {
    let mut rig = Rig::new();
    rig.policy.large_over = "4 B".parse().unwrap();
    rig.write("small", "1234");
    rig.write("d/large", "12345");
    let collected = rig.collect(None).unwrap();
    assert!(matches!(content(&collected, "small"), Content::Bytes(_)));
    let Content::Spooled { file, size: 5 } = content(&collected, "d/large") else { panic!("not spooled") };
    assert_eq!(fs::read(file).unwrap(), b"12345");
    collected.recheck().unwrap();

    // Neither a change nor a link in its place goes unnoticed.
    fs::rename(rig.path("d"), rig.path("moved")).unwrap();
    symlink("moved", rig.path("d")).unwrap();
    assert!(matches!(collected.recheck(), Err(CollectError::Changing(_))));
    fs::remove_file(rig.path("d")).unwrap();
    fs::rename(rig.path("moved"), rig.path("d")).unwrap();
    collected.recheck().unwrap();
    rig.write("d/large", "54321");
    assert!(matches!(collected.recheck(), Err(CollectError::Changing(_))));
}

#[test]
fn a_file_that_is_being_written_is_taken_whole_or_not_at_all() {
    let rig = Rig::new();
    rig.write("busy", "0".repeat(1000));
    let (stop, stopped) = mpsc::channel::<()>();
    let path = rig.path("busy");
    let writer = std::thread::spawn(move || {
        let mut round = 0u8;
        // Each state is 1,000 bytes of one digit, put in place in one step.
        while stopped.recv_timeout(Duration::from_micros(50)).is_err() {
            round = (round + 1) % 10;
            let side = path.with_extension("new");
            fs::write(&side, round.to_string().repeat(1000)).unwrap();
            fs::rename(&side, &path).unwrap();
        }
    });
    for _ in 0..200 {
        match rig.collect(None) {
            Ok(collected) => {
                let Content::Bytes(bytes) = content(&collected, "busy") else { panic!("not read") };
                assert!(bytes.len() == 1000 && bytes.iter().all(|b| *b == bytes[0]));
            }
            // `busy.new` may be gone, or caught while it grows.
            Err(error) => assert!(matches!(error, CollectError::Changing(_) | CollectError::Empty(_)), "{error:?}"),
        }
    }
    stop.send(()).unwrap();
    writer.join().unwrap();
}

#[test]
fn hostile_names_stay_inside_the_set() {
    let rig = Rig::new();
    for name in [".git/hooks/x", "-oProxyCommand=x", "CON", "new\nline", "..."] {
        rig.write(name, "x");
    }
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(std::ffi::OsStr::new("\u{202e}x")).to_vec();
    rig.write(std::str::from_utf8(&bytes).unwrap(), "x");
    let collected = rig.collect(None).unwrap();
    for entry in collected.set.entries() {
        assert!(ConfigPath::new(entry.path.as_bytes()).is_ok());
        assert!(!entry.path.to_string().contains(['\n', '\u{202e}']));
    }
    assert_eq!(collected.set.entries().iter().filter(|e| e.kind == Kind::File).count(), 6);
}

#[test]
fn an_unreadable_file_fails_the_device_and_is_named() {
    // The superuser reads everything: a link loop in place of a folder cannot be made, so this
    // test needs another user.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let rig = Rig::new();
    rig.write("secret", "x");
    rig.write("other", "x");
    fs::set_permissions(rig.path("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let error = rig.collect(None).unwrap_err();
    assert!(matches!(&error, CollectError::Read { path, .. } if path == Path::new(&rig.path("secret"))), "{error:?}");
}

#[test]
fn what_no_rule_claims_is_kept_in_system_and_told_once() {
    let mut rig = Rig::new();
    rig.profile = "asterisk";
    rig.write("odd.xyz", "x");
    let first = rig.collect(None).unwrap();
    assert!(first.set.entries().iter().all(|e| e.scope == Scope::System));
    assert_eq!(first.set.unclaimed.len(), 1);
    let again = rig.collect(Some(&rig.look())).unwrap();
    assert!(again.set.unclaimed.is_empty());
}
