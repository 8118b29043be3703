//! Working on a device: the same steps on a folder of this machine and on a host with a real sshd.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use confvault::collect::act::{ActError, Seen};
use confvault::fsio::tree::Meta;
use confvault::model::{ConfigPath, Owner};
use confvault::profile::Action;

use crate::rig::{Rig, whole};
use crate::sshd_server::{Sshd, available};

const PLAIN: &str = "[[file]]\npaths = [\"**\"]\nscope = \"voip\"\n";
const META: Meta = Meta { mode: 0o640, owner: None };

/// A device with its folder; the server lives as long.
struct Place {
    rig: Rig,
    table: String,
    tree: PathBuf,
    _sshd: Option<Sshd>,
}

/// A folder of this machine, and one on a host.
fn places() -> Vec<Place> {
    let rig = Rig::new();
    rig.profile("host", PLAIN);
    let tree = rig.path("tree");
    fs::create_dir(&tree).unwrap();
    let table = "source = \"dir:tree\"\nprofile = \"host\"\nrelease = \"1\"\n".to_owned();
    let mut places = vec![Place { rig, table, tree, _sshd: None }];
    if available() {
        places.push(host("", ""));
    }
    places
}

/// A folder on a host; `more` are lines of the server's configuration.
fn host(more: &str, lines: &str) -> Place {
    let sshd = Sshd::start(more);
    let rig = Rig::new();
    rig.profile("host", PLAIN);
    fs::write(rig.path("known_hosts"), format!("gw {}\n", sshd.public_key())).unwrap();
    let tree = sshd.path("tree");
    fs::create_dir(&tree).unwrap();
    own(&sshd, &tree);
    let table = sshd.table("sftp", &tree.display().to_string()) + "profile = \"host\"\nrelease = \"1\"\n" + lines;
    Place { rig, table, tree, _sshd: Some(sshd) }
}

/// Gives a tree to the user of the server.
fn own(sshd: &Sshd, tree: &Path) {
    if sshd.with_password {
        assert!(Command::new("chown").args(["-hR", "cv:cv"]).arg(tree).env("PATH", "/usr/bin:/bin").status().is_ok());
        assert!(Command::new("chown").args(["-hR", "4242:4242"]).arg(tree).status().unwrap().success());
    }
}

impl Place {
    fn own(&self) {
        if let Some(sshd) = &self._sshd {
            own(sshd, &self.tree);
        }
    }

    fn stage(&self, at: &str, bytes: &[u8]) -> Result<(), ActError> {
        let (at, size) = (path(at), bytes.len() as u64);
        self.rig.work(&self.table, |target| target.files()?.stage_file(&at, META, size, &mut &*bytes))
    }

    fn place(&self, staged: &str, at: &str) -> Result<(), ActError> {
        let (staged, at) = (path(staged), path(at));
        self.rig.work(&self.table, |target| target.files()?.place(&staged, &at))
    }

    fn read(&self, at: &str) -> Vec<u8> {
        fs::read(self.tree.join(at)).unwrap()
    }

    fn mode(&self, at: &str) -> u32 {
        fs::symlink_metadata(self.tree.join(at)).unwrap().permissions().mode() & 0o7777
    }
}

fn path(text: &str) -> ConfigPath {
    text.parse().unwrap()
}

#[test]
fn whatever_stands_at_a_place_is_replaced_and_never_followed() {
    for place in places() {
        let outside = tempfile::tempdir_in(place.tree.parent().unwrap()).unwrap();
        let kept = outside.path().join("kept");
        fs::write(&kept, "kept").unwrap();
        fs::create_dir_all(place.tree.join("etc/full")).unwrap();
        symlink(&kept, place.tree.join("etc/link")).unwrap();
        fs::hard_link(&kept, place.tree.join("etc/hard")).unwrap();
        fs::write(place.tree.join("etc/readonly"), "old").unwrap();
        fs::set_permissions(place.tree.join("etc/readonly"), fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Command::new("mkfifo").arg(place.tree.join("etc/fifo")).status().unwrap().success());
        symlink(outside.path(), place.tree.join("away")).unwrap();
        symlink(&kept, place.tree.join("etc/.waiting")).unwrap();
        place.own();
        for name in ["link", "hard", "readonly", "fifo", "fresh"] {
            place.stage("etc/.new", b"new").unwrap_or_else(|e| panic!("{}", whole(&e)));
            place.place("etc/.new", &format!("etc/{name}")).unwrap_or_else(|e| panic!("{name}: {}", whole(&e)));
            assert_eq!((place.read(&format!("etc/{name}")), place.mode(&format!("etc/{name}"))), (b"new".to_vec(), 0o640));
            assert!(!place.tree.join("etc/.new").exists());
        }
        // A directory stays, a link that waits where something is to be staged is not followed, and neither is one above.
        place.stage("etc/.new", b"new").unwrap();
        assert!(matches!(place.place("etc/.new", "etc/full"), Err(ActError::Refused { .. })));
        assert!(matches!(place.stage("etc/.new", b"again"), Err(ActError::Refused { .. })));
        assert!(matches!(place.stage("etc/.waiting", b"x"), Err(ActError::Refused { .. })));
        assert!(matches!(place.stage("away/x", b"x"), Err(ActError::LinkAbove { .. })));
        assert!(matches!(place.stage("etc/nothing/x", b"x"), Err(ActError::LinkAbove { .. })));
        let refused =
            |error: ActError| assert!(matches!(error, ActError::LinkAbove { .. } | ActError::Refused { .. }), "{error}");
        let files = |job: &dyn Fn(&mut dyn confvault::collect::act::Files) -> Result<(), ActError>| {
            place.rig.work(&place.table, |target| job(target.files()?))
        };
        refused(files(&|files| files.remove(&path("away/kept"))).unwrap_err());
        refused(files(&|files| files.make_dir(&path("away"), META)).unwrap_err());
        refused(files(&|files| files.make_dir(&path("away/sub"), META)).unwrap_err());
        refused(files(&|files| files.dress_dir(&path("away"), META)).unwrap_err());
        refused(files(&|files| files.remove_dir(&path("away")).map(drop)).unwrap_err());
        assert_eq!(fs::read(&kept).unwrap(), b"kept");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}

#[test]
fn hostile_names_modes_and_large_files() {
    for place in places() {
        place.own();
        let names: [&[u8]; 9] =
            [b"a b", b"-rf", b"$(reboot)`x`", b"it's \"q\"", b"end\n", b"\n", b"\xff\xfe\n", b"*", b"!@#;&|<>\\n%s"];
        let big: Vec<u8> = (0..1_500_000_u32).flat_map(u32::to_le_bytes).collect();
        for name in names {
            let (at, staged) = (ConfigPath::new(name).unwrap(), path(".confvault-restore-x-1"));
            let folder = at.join(name).unwrap();
            place
                .rig
                .work(&place.table, |target| {
                    let files = target.files()?;
                    files.stage_file(&staged, META, 4, &mut &b"text"[..])?;
                    files.place(&staged, &at)?;
                    files.remove(&at)?;
                    files.stage_link(&staged, name, None)?;
                    files.place(&staged, &at)?;
                    files.remove(&at)?;
                    files.remove(&at)?;
                    files.make_dir(&at, Meta { mode: 0o755, owner: None })?;
                    let inner = at.join(b"inner").unwrap();
                    files.stage_link(&inner, b"nowhere", None)?;
                    assert!(!files.remove_dir(&at)?);
                    files.remove(&inner)?;
                    files.make_dir(&folder, Meta { mode: 0o2751, owner: None })?;
                    files.dress_dir(&folder, Meta { mode: 0o700, owner: None })?;
                    assert!(!files.remove_dir(&at)?);
                    assert!(files.remove_dir(&folder)? && files.remove_dir(&at)? && files.remove_dir(&at)?);
                    files.stage_link(&staged, name, None)?;
                    files.place(&staged, &at)
                })
                .unwrap_or_else(|e| panic!("{at}: {}", whole(&e)));
            assert_eq!(fs::read_link(place.tree.join(std::ffi::OsStr::from_bytes(name))).unwrap().as_os_str().as_bytes(), name);
        }
        assert_eq!(fs::read_dir(&place.tree).unwrap().count(), names.len());
        let meta = Meta { mode: 0o4751, owner: owner_of(&place.tree) };
        place
            .rig
            .work(&place.table, |target| {
                target.files()?.stage_file(&path("big"), meta, big.len() as u64, &mut big.as_slice())?;
                target.files()?.stage_file(&path("empty"), META, 0, &mut &b""[..])
            })
            .unwrap_or_else(|e| panic!("{}", whole(&e)));
        assert!(place.read("big") == big && place.read("empty").is_empty());
        assert_eq!(place.mode("big"), 0o4751);
        // Less than was said is not a file.
        let short = place.rig.work(&place.table, |target| target.files()?.stage_file(&path("short"), META, 5, &mut &b"four"[..]));
        assert!(short.is_err());
    }
}

fn owner_of(path: &Path) -> Option<Owner> {
    let meta = fs::metadata(path).unwrap();
    Some(Owner { uid: meta.uid(), gid: meta.gid() })
}

#[test]
fn an_owner_that_may_not_be_given_is_an_error() {
    if !available() || !rustix::process::geteuid().is_root() {
        return;
    }
    let place = host("", "");
    let meta = Meta { mode: 0o600, owner: Some(Owner { uid: 0, gid: 0 }) };
    let staged = place.rig.work(&place.table, |target| target.files()?.stage_file(&path("x"), meta, 1, &mut &b"x"[..]));
    let error = whole(&staged.unwrap_err());
    assert!(error.contains("Device refused to write") && error.contains("Operation not permitted"), "{error}");
}

/// A command of a profile with these words about it.
fn action(text: &str) -> Action {
    toml::from_str(&format!("run = 'x'\n{text}")).unwrap()
}

#[test]
fn many_are_placed_behind_each_other_and_the_one_that_fails_is_named() {
    for place in places() {
        place.own();
        // More than one call takes, and names that a shell would read.
        let names: Vec<String> =
            (0..400).map(|n| format!("a 'name' of $({n}) that is long enough to fill the line {n}")).collect();
        let moves: Vec<(ConfigPath, ConfigPath)> =
            names.iter().enumerate().map(|(n, name)| (path(&format!(".new-{n}")), path(name))).collect();
        place
            .rig
            .work(&place.table, |target| {
                let files = target.files()?;
                for (staged, _) in &moves {
                    files.stage_link(staged, b"x", None)?;
                }
                files.place_all(&moves)
            })
            .unwrap_or_else(|e| panic!("{}", whole(&e)));
        assert!(names.iter().all(|name| fs::read_link(place.tree.join(name)).is_ok()));
        assert_eq!(fs::read_dir(&place.tree).unwrap().count(), 400);
        let failed = place.rig.work(&place.table, |target| {
            let files = target.files()?;
            for (n, name) in ["one", "two", "three"].iter().enumerate() {
                files.stage_link(&path(&format!(".new-{n}")), name.as_bytes(), None)?;
            }
            files.make_dir(&path("two"), META)?;
            files.place_all(&[0, 1, 2].map(|n| (path(&format!(".new-{n}")), path(["one", "two", "three"][n]))))
        });
        let words = whole(&failed.unwrap_err());
        assert!(words.contains("Device refused to rename") && words.contains(": two"), "{words}");
        assert!(place.tree.join("one").is_symlink() && place.tree.join("two").is_dir() && !place.tree.join("three").is_symlink());
    }
}

#[test]
fn a_view_shows_the_set_as_it_will_be() {
    for place in places() {
        fs::create_dir_all(place.tree.join("etc")).unwrap();
        fs::write(place.tree.join("etc/.new"), "new").unwrap();
        fs::write(place.tree.join("etc/b"), "old").unwrap();
        place.own();
        let seen = [("etc", None), ("etc/a", Some("etc/.new")), ("etc/b", Some("etc/b"))];
        let seen = seen.map(|(name, at)| Seen { path: path(name), at: at.map(path) });
        let absolute = fs::canonicalize(&place.tree).unwrap();
        place
            .rig
            .work(&place.table, |target| {
                let root = target.files()?.show(&seen)?;
                let both = format!("cat {root}/etc/a {root}{}/etc/b", absolute.display());
                target.run(&action("ok = '^newold$'"), &both)?;
                target.files()?.hide()?;
                target.files()?.hide()?;
                assert!(!Path::new(&root).exists());
                assert!(target.files()?.base().ends_with("/tree"));
                Ok(())
            })
            .unwrap_or_else(|e| panic!("{}", whole(&e)));
    }
}

#[test]
fn commands_are_judged_and_their_questions_answered() {
    let answers = "answers = [{ expect = 'Sure\\?', send = 'yes' }, { expect = 'Really\\?', send = 'aye' }]\nok = 'done yes aye'";
    let asks = "printf 'Sure? '; read a; printf 'Really? ' >&2; read b; echo done $a $b";
    let cases: BTreeMap<&str, (&str, &str)> = BTreeMap::from([
        ("true", ("", "")),
        ("echo CANARY; exit 3", ("", "Command failed with exit status 3")),
        ("echo config file ok >&2; exit 1", ("ok = 'file ok'", "")),
        ("echo CANARY", ("ok = 'file ok'", "Answer has not what means success (file ok)")),
        ("echo all well; echo an error >&2", ("fails = 'error'", "Answer has what means failure (error)")),
        ("sleep 5", ("timeout-s = 1", "Command was silent for 1 s")),
        ("no-such-program", ("", "Command failed with exit status 127")),
        (asks, (answers, "")),
    ]);
    for place in places() {
        for (command, (text, words)) in &cases {
            let result = place.rig.work(&place.table, |target| target.run(&action(text), command));
            let told = result.as_ref().map_or_else(|error| format!("{} {error:?}", whole(error)), |()| String::new());
            assert!(if words.is_empty() { result.is_ok() } else { told.contains(words) }, "{command}: {told}");
            assert!(!told.replace(command, "").contains("CANARY"), "{told}");
        }
    }
}

#[test]
fn what_a_restore_left_is_no_part_of_a_set() {
    for place in places() {
        place.own();
        place.stage(".confvault-restore-0123-7", b"new").unwrap();
        place.stage("a.conf", b"a").unwrap();
        let collected = place.rig.collect(&place.table).unwrap_or_else(|e| panic!("{}", whole(&e)));
        let paths: Vec<String> = collected.set.entries().iter().map(|e| e.path.to_string()).collect();
        assert_eq!(paths, ["a.conf"]);
        assert_eq!(collected.skipped[0].what, "part of a restore that did not end");
    }
}

#[test]
fn a_folder_that_is_swapped_for_a_link_all_the_time_leads_nowhere() {
    let thorough = std::env::var_os("CONFVAULT_THOROUGH").is_some();
    for mut place in places() {
        place.rig.timeout = std::time::Duration::from_secs(3600);
        let outside = tempfile::tempdir_in(place.tree.parent().unwrap()).unwrap();
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let (folder, link) = (place.tree.join("sub"), place.tree.join("link"));
        fs::create_dir(&folder).unwrap();
        place.own();
        symlink(outside.path(), &link).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let longest = if place._sshd.is_some() { 100_000 } else { 1_000 };
        let rounds = match (place._sshd.is_some(), thorough) {
            (_, true) => 10_000,
            (false, false) => 500,
            (true, false) => 60,
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                // One of both always stands there, now for a moment, now for some steps.
                for n in (0_u64..).take_while(|_| !stop.load(std::sync::atomic::Ordering::Relaxed)) {
                    renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                    std::thread::sleep(std::time::Duration::from_micros(n * n * 31 % longest));
                }
            });
            let swapped = place.rig.work(&place.table, |target| {
                let (mut entered, mut refused) = (0, 0);
                // Until both were met, on a machine of whatever speed.
                for round in 0..50 * rounds {
                    if round >= rounds && entered > 0 && refused > 0 {
                        break;
                    }
                    let files = target.files()?;
                    let steps = files
                        .stage_file(&path("sub/.new"), META, 3, &mut &b"new"[..])
                        .inspect(|()| entered += 1)
                        .and_then(|()| files.place(&path("sub/.new"), &path("sub/a.conf")))
                        .and_then(|()| files.make_dir(&path("sub/dir"), META))
                        .and_then(|()| files.remove(&path("sub/a.conf")));
                    match steps {
                        Ok(()) => {}
                        Err(ActError::LinkAbove { .. } | ActError::Refused { .. }) => {
                            refused += 1;
                            // What is refused at once would be, many times, before the next swap.
                            std::thread::sleep(std::time::Duration::from_micros(longest / 5));
                        }
                        // A connection that is over would be refused for ever, and nothing tried.
                        Err(error) => return Err(error),
                    }
                    drop(files.remove(&path("sub/.new")));
                }
                Ok((entered, refused))
            });
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            let (entered, refused) = swapped.unwrap_or_else(|e| panic!("{}", whole(&e)));
            assert!(entered > 0 && refused > 0, "{entered} of {rounds} entered the folder, {refused} refused");
        });
        let written: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(written.is_empty(), "{written:?}");
    }
}
