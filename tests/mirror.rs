//! Mirrors, with real servers: pushing, refusing, the append-only hook, silence, rebuilding.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::let_underscore_must_use,
    clippy::single_range_in_vec_init,
    clippy::type_complexity,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "support/git_server.rs"]
mod git_server;
#[path = "sealing/lab.rs"]
mod lab;
mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use confvault::mirror::{self, Attack, GitEnv, GitUrl, Group, Limits, MirrorError, PushOutcome, PushReport, RefState, Remote};
use confvault::model::DeviceName;
use confvault::ops::rebuild::{Options as Rebuild, Rebuilt};
use confvault::store::{Batch, Repo, Store};
use git_server::GitServer;
use lab::Lab;
use support::{add_generation, edit, fsck, git, git_ok, put_commit};

struct Far {
    url: GitUrl,
    env: GitEnv,
    limits: Limits,
}

impl Far {
    fn at(url: &str) -> Self {
        let vars = [
            ("PATH", std::env::var_os("PATH").unwrap()),
            ("HOME", "/nonexistent".into()),
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
        ];
        let env = GitEnv::of(vars.map(|(name, value)| (name.into(), value)));
        let limits = Limits { idle: Duration::from_secs(60), total: Duration::from_secs(120), ..Limits::default() };
        Self { url: url.parse().unwrap(), env, limits }
    }

    fn remote(&self) -> Remote<'_> {
        Remote { url: &self.url, env: &self.env, limits: self.limits, cancel: None }
    }
}

fn bare(dir: &Path) -> String {
    git_ok(Path::new("/"), &["init", "--quiet", "--bare", "--initial-branch=_store", dir.to_str().unwrap()]);
    format!("file://{}", dir.display())
}

fn protect(dir: &Path) {
    let hook = dir.join("hooks/update");
    fs::create_dir_all(dir.join("hooks")).unwrap();
    fs::write(&hook, mirror::hook()).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

fn refs(dir: &Path) -> String {
    git_ok(dir, &["for-each-ref", "--format=%(objectname) %(refname)"])
}

fn outcome<'a>(report: &'a PushReport, device: &str) -> &'a PushOutcome {
    let group = Group::Device(device.parse().unwrap());
    &report.groups.iter().find(|g| g.group == group).unwrap().outcome
}

/// A store with two devices of two generations, a name and logs of nothing.
fn store() -> Lab {
    let lab = Lab::sealed();
    lab.pbx();
    lab.add("gw", "generic");
    lab.write("gw", "running.cfg", "hostname gw\n");
    lab.snapshot("pbx");
    lab.write("gw", "running.cfg", "hostname gateway\n");
    lab.snapshot("gw");
    let vault = lab.vault();
    confvault::ops::name::name(&vault, &"gw@1".parse().unwrap(), &"golden".parse().unwrap(), None).unwrap();
    lab
}

fn repo(lab: &Lab) -> Repo {
    Repo::open(&lab.store_dir()).unwrap()
}

#[test]
fn everything_arrives_and_the_second_push_moves_nothing() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let far = Far::at(&bare(&there));
    protect(&there);
    let status = mirror::status(far.remote(), &repo(&lab)).unwrap();
    assert!(!status.complete());
    assert!(status.groups.iter().flat_map(|g| &g.refs).all(|r| r.state == RefState::Missing));
    assert_eq!(status.independence, mirror::Independence::SameFileSystem);

    let report = mirror::push(far.remote(), &repo(&lab), None).unwrap();
    assert_eq!(report.refused().count(), 0);
    assert!(report.together && report.conversations == 2, "{report:?}");
    assert_eq!(refs(&there), refs(&lab.store_dir()));
    fsck(&there);
    assert!(mirror::status(far.remote(), &repo(&lab)).unwrap().complete());
    let again = mirror::push(far.remote(), &repo(&lab), None).unwrap();
    assert_eq!((again.moved(), again.conversations), (0, 1));

    // One generation more, and the mirror is one behind; only that device is pushed.
    lab.write("gw", "running.cfg", "hostname third\n");
    lab.snapshot("gw");
    let status = mirror::status(far.remote(), &repo(&lab)).unwrap();
    let of = |name: &str| status.groups.iter().find(|g| g.group == Group::Device(name.parse().unwrap())).unwrap();
    assert_eq!((of("gw").behind, of("pbx").behind), (Some(1), None));
    assert!(of("gw").refs.iter().any(|r| r.state == RefState::Behind(1)));
    let only = Group::Device("gw".parse().unwrap());
    let report = mirror::push(far.remote(), &repo(&lab), Some(&only)).unwrap();
    assert_eq!((report.groups.len(), report.moved()), (1, 1));

    // Nothing secret lies there, however it is unpacked.
    let found = lab::canaries(std::slice::from_ref(&there), &[]);
    assert!(found.is_empty(), "{found:?}");
}

/// Writes another history of a device into the mirror, as a collector with a lost disk would.
fn diverge(there: &Path, branch: &str) {
    let far = Repo::open(there).unwrap();
    let batch = Batch::begin(&far).unwrap();
    let old = far.refs().unwrap().get(branch).map(|r| r.id);
    let other = put_commit(&batch, &[("config", b"elsewhere")], None, "another history");
    batch.commit::<confvault::store::Error>(|_, _| Ok(vec![edit(branch, old, Some(other))])).unwrap();
}

#[test]
fn a_device_that_the_mirror_holds_otherwise_is_refused_and_the_others_pass() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let far = Far::at(&bare(&there));
    mirror::push(far.remote(), &repo(&lab), None).unwrap();
    diverge(&there, "refs/heads/gw/1.0");
    let before = refs(&there);
    lab.write("gw", "running.cfg", "hostname third\n");
    lab.write("pbx", "etc/asterisk/sip.conf", "[general]\nbindport=5070\n");
    lab.snapshot("pbx");
    let status = mirror::status(far.remote(), &repo(&lab)).unwrap();
    let gw = status.groups.iter().find(|g| g.group.to_string() == "gw").unwrap();
    assert_eq!(gw.refused().unwrap().state, RefState::Diverged);

    let report = mirror::push(far.remote(), &repo(&lab), None).unwrap();
    assert!(matches!(outcome(&report, "gw"), PushOutcome::Refused { partly: false, .. }));
    assert_eq!(outcome(&report, "pbx"), &PushOutcome::Pushed { refs: 1 });
    let line = |text: &str| text.lines().find(|l| l.ends_with("refs/heads/gw/1.0")).unwrap().to_owned();
    assert_eq!(line(&refs(&there)), line(&before), "never forced");
    // No ref of the refused device moved, not even a new one.
    let tags = |lab: &Lab| confvault::ops::name::name(&lab.vault(), &"gw@2".parse().unwrap(), &"later".parse().unwrap(), None);
    tags(&lab).unwrap();
    mirror::push(far.remote(), &repo(&lab), None).unwrap();
    assert!(!refs(&there).contains("refs/tags/gw/later"));
}

#[test]
fn a_mirror_that_is_ahead_or_has_a_line_more_is_not_written_over() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let far = Far::at(&bare(&there));
    mirror::push(far.remote(), &repo(&lab), None).unwrap();
    // Another collector went on, on the same line and under another release.
    add_generation(&Repo::open(&there).unwrap(), "refs/heads/gw/1.0", b"newer").unwrap();
    add_generation(&Repo::open(&there).unwrap(), "refs/heads/pbx/2.0", b"newer").unwrap();
    let status = mirror::status(far.remote(), &repo(&lab)).unwrap();
    let of = |name: &str| status.groups.iter().find(|g| g.group.to_string() == name).unwrap().refused().unwrap().clone();
    assert_eq!(of("gw").state, RefState::Ahead);
    assert_eq!((of("pbx").state, of("pbx").name.as_str()), (RefState::RemoteOnly, "refs/heads/pbx/2.0"));
    let report = mirror::push(far.remote(), &repo(&lab), None).unwrap();
    assert_eq!(report.refused().count(), 2);
}

#[test]
fn what_the_server_refuses_is_named_and_the_rest_moves() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let far = Far::at(&bare(&there));
    let hook = there.join("hooks/update");
    fs::create_dir_all(there.join("hooks")).unwrap();
    fs::write(&hook, "#!/bin/sh\ncase $1 in refs/tags/gw/*) echo no tags of gw >&2; exit 1 ;; esac\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let report = mirror::push(far.remote(), &repo(&lab), None).unwrap();
    let PushOutcome::Refused { name, reason, partly } = outcome(&report, "gw") else { panic!("{report:?}") };
    assert_eq!((name.as_str(), partly), ("refs/tags/gw/golden", &false));
    assert!(reason.contains("hook declined"), "{reason}");
    assert!(matches!(outcome(&report, "pbx"), PushOutcome::Pushed { .. }));
    assert!(!refs(&there).contains("/gw/"), "{}", refs(&there));
    assert!(refs(&there).contains("refs/heads/_store"));
    // A hook that refuses the whole push: everybody is named, and it ends.
    fs::rename(&hook, there.join("hooks/pre-receive")).unwrap();
    fs::write(there.join("hooks/pre-receive"), "#!/bin/sh\nexit 1\n").unwrap();
    lab.write("pbx", "new.conf", "new\n");
    lab.snapshot("pbx");
    let report = mirror::push(far.remote(), &repo(&lab), None).unwrap();
    let names: Vec<String> = report.refused().map(|g| g.group.to_string()).collect();
    assert_eq!((report.moved(), names), (0, vec!["_journal/central".to_owned(), "gw".to_owned(), "pbx".to_owned()]));
}

#[test]
fn many_refused_devices_do_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("store.git")).unwrap();
    for n in 0..60 {
        add_generation(&repo, &format!("refs/heads/gw-{n:02}/1"), format!("{n}").as_bytes()).unwrap();
    }
    let there = dir.path().join("mirror.git");
    let far = Far::at(&bare(&there));
    let hook = there.join("hooks/update");
    fs::create_dir_all(there.join("hooks")).unwrap();
    fs::write(&hook, "#!/bin/sh\ncase $1 in *0/1 | *5/1 | *3/1 | *7/1) exit 1 ;; esac\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let report = mirror::push(far.remote(), &repo, None).unwrap();
    assert_eq!((report.moved(), report.refused().count()), (36, 24));
    assert!(report.conversations <= 20, "{}", report.conversations);
    assert_eq!(refs(&there).lines().count(), 36);
}

/// Everything that must be refused, tried with plain git by somebody who has the right to push.
#[test]
fn the_hook_guards_every_ref() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let url = bare(&there);
    let far = Far::at(&url);
    let repo = repo(&lab);
    add_generation(&repo, "refs/large/gw/1", b"chunk").unwrap();
    add_generation(&repo, "refs/large/gw/1", b"chunk two").unwrap();
    mirror::push(far.remote(), &repo, None).unwrap();
    protect(&there);
    let before = refs(&there);
    let thief = lab.dir.path().join("thief.git");
    git_ok(Path::new("/"), &["clone", "--quiet", "--mirror", &url, thief.to_str().unwrap()]);
    let tree = git_ok(&thief, &["mktree"]).trim().to_owned();
    let commit = |args: &[&str]| {
        let mut git = git(&thief);
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "x").env(format!("GIT_{role}_EMAIL"), "x@x");
        }
        let out = git.args(["commit-tree", "-m", "x", &tree]).args(args).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    let alien = commit(&[]);
    let push = |specs: &[&str]| git(&thief).args(["push", "--quiet", &url]).args(specs).output().unwrap();
    for line in before.lines() {
        let (id, name) = line.split_once(' ').unwrap();
        let is_tag = name.starts_with("refs/tags/");
        let mut attacks = vec![format!(":{name}"), format!("+{alien}:{name}"), format!("+{tree}:{name}")];
        if is_tag {
            // Forward, too, a tag never moves.
            attacks.push(format!("+{}:{name}", commit(&["-p", &format!("{id}^{{commit}}")])));
        } else {
            attacks.push(format!("+{id}^:{name}"));
        }
        for attack in attacks {
            if attack.contains('^')
                && !git(&thief).args(["rev-parse", "-q", "--verify", &format!("{id}^")]).output().unwrap().status.success()
            {
                continue;
            }
            assert!(!push(&[&attack]).status.success(), "{attack}");
        }
    }
    assert_eq!(refs(&there), before);
    // Ancestry cannot be forged: a replacement would make the alien commit look like a descendant.
    let gw = before.lines().find(|l| l.ends_with("refs/heads/gw/1.0")).unwrap().split(' ').next().unwrap().to_owned();
    let child = commit(&["-p", &gw]);
    git_ok(&thief, &["update-ref", &format!("refs/replace/{alien}"), &child]);
    let replace = format!("refs/replace/{alien}");
    assert!(!push(&[&replace]).status.success());
    git_ok(&there, &["fetch", "--quiet", thief.to_str().unwrap(), &format!("{replace}:{replace}")]);
    assert!(!push(&[&format!("+{alien}:refs/heads/gw/1.0")]).status.success(), "a replacement was believed");
    git_ok(&there, &["update-ref", "-d", &replace]);
    assert!(!push(&[&format!("{alien}:refs/notes/x")]).status.success());
    // And what must pass, passes.
    assert!(push(&[&format!("{child}:refs/heads/gw/1.0"), &format!("{alien}:refs/heads/new/1")]).status.success());
}

#[test]
fn a_proof_shows_what_is_guarded_and_leaves_what_it_says() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let far = Far::at(&bare(&there));
    mirror::push(far.remote(), &repo(&lab), None).unwrap();
    let before = refs(&there);
    let proof = mirror::prove(far.remote()).unwrap();
    assert!(!proof.append_only() && proof.attempts.iter().all(|a| a.refused.is_none()), "{proof:?}");
    assert!(proof.left.is_empty());
    assert_eq!(refs(&there), before);

    // git's own settings guard branches only.
    for setting in ["receive.denyDeletes", "receive.denyNonFastForwards"] {
        git_ok(&there, &["config", setting, "true"]);
    }
    let proof = mirror::prove(far.remote()).unwrap();
    assert!(!proof.append_only());
    let tags: Vec<_> = proof.attempts.iter().filter(|a| a.name.starts_with("refs/tags/")).collect();
    assert!(tags.iter().any(|a| a.attack == Attack::Forward && a.refused.is_none()), "{tags:?}");

    protect(&there);
    for _ in 0..2 {
        let proof = mirror::prove(far.remote()).unwrap();
        assert!(proof.append_only(), "{proof:?}");
        assert_eq!(proof.left.len(), 3);
    }
    let added: Vec<String> = refs(&there).lines().filter(|l| !before.contains(*l)).map(ToOwned::to_owned).collect();
    assert!(added.len() == 3 && added.iter().all(|l| l.ends_with("/_probe/append-only")), "{added:?}");
    // Probes are no part of a store.
    assert!(mirror::status(far.remote(), &repo(&lab)).unwrap().strange.is_empty());
}

#[test]
fn a_silent_mirror_ends_in_a_time_out() {
    let lab = store();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            listener.set_nonblocking(true).unwrap();
            let mut held = Vec::new();
            while !done.load(Ordering::Relaxed) {
                // Taken, and never answered.
                held.extend(listener.accept());
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for url in [format!("git://127.0.0.1:{port}/x"), format!("http://127.0.0.1:{port}/x")] {
            let mut far = Far::at(&url);
            far.limits.idle = Duration::from_secs(2);
            let begun = Instant::now();
            for failed in [
                mirror::push(far.remote(), &repo(&lab), None).map(drop),
                mirror::status(far.remote(), &repo(&lab)).map(drop),
                mirror::clone_store(far.remote(), &lab.dir.path().join("x.git")).map(drop),
            ] {
                assert!(matches!(failed, Err(MirrorError::Silent { seconds: 2, .. })), "{url}: {failed:?}");
            }
            // Far from it: a hang is what would fail this.
            assert!(begun.elapsed() < Duration::from_secs(110));
        }
        let mut far = Far::at(&format!("git://127.0.0.1:{port}/x"));
        far.limits.total = Duration::from_secs(1);
        assert!(matches!(mirror::status(far.remote(), &repo(&lab)), Err(MirrorError::TooLong { seconds: 1, .. })));
        let cancel = AtomicBool::new(true);
        let remote = Remote { cancel: Some(&cancel), ..far.remote() };
        assert!(matches!(mirror::status(remote, &repo(&lab)), Err(MirrorError::Cancelled)));
        done.store(true, Ordering::Relaxed);
    });
    assert!(!lab.dir.path().join("x.git").exists());
    assert!(!names(lab.dir.path()).iter().any(|n| n.contains("incoming")));
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Rebuilds a store with the administrator's folder at hand.
fn rebuild(lab: &Lab, remote: Remote<'_>, root: &Path) -> Result<Rebuilt, confvault::ops::Error> {
    let (admin, identities) = (Some(lab.admin()), lab.identities());
    let options = Rebuild { root: root.to_owned(), remote, collector: None, admin, identities, fingerprint: None };
    confvault::ops::rebuild::rebuild(&options)
}

#[test]
fn a_store_rebuilt_from_its_mirror_is_the_store() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let far = Far::at(&bare(&there));
    let vault = lab.vault();
    fs::write(lab.root().join("known_hosts"), "# pins\n").unwrap();
    fs::create_dir_all(lab.root().join("devices.d")).unwrap();
    fs::write(lab.root().join("devices.d/more.toml"), "# none\n").unwrap();
    let keep = vault.store.begin(vault.who(&confvault::ops::Vault::new_run())).unwrap();
    keep.collector_files(confvault::ops::take_over::collector_files(&lab.root()).unwrap());
    keep.commit().unwrap();
    mirror::push(far.remote(), &repo(&lab), None).unwrap();
    protect(&there);
    mirror::prove(far.remote()).unwrap();
    // What a forge adds, and what somebody pushed by mistake.
    git_ok(&there, &["update-ref", "refs/pull/1/head", "refs/heads/_store"]);
    git_ok(&there, &["update-ref", "refs/heads/main", "refs/heads/_store"]);
    let root = lab.dir.path().join("rebuilt");
    // What a killed rebuild left.
    fs::create_dir_all(root.join(".confvault-incoming-dead/came.git")).unwrap();
    // One that fails late leaves nothing of what it had taken over.
    fs::create_dir_all(root.join("known_hosts/in-the-way")).unwrap();
    rebuild(&lab, far.remote(), &root).unwrap_err();
    fs::remove_dir_all(root.join("known_hosts")).unwrap();
    for gone in ["devices.d/more.toml", "store.git", "keys", "unfinished"] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    let taken = rebuild(&lab, far.remote(), &root).unwrap();
    // That the new machine was let in stands in `_store` and in the journal.
    let others = |dir: &Path| {
        let lines = refs(dir);
        let own = |line: &&str| !line.ends_with("/_store") && !line.contains("/_journal/");
        lines.lines().filter(own).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(others(&root.join("store.git")), others(&lab.store_dir()));
    fsck(&root.join("store.git"));
    assert_eq!(taken.left_out, ["refs/heads/main", "refs/pull/1/head"]);
    assert_eq!((taken.collector.as_str(), taken.inventory_taken_over), ("central", true));
    assert!(taken.check.is_clean());
    assert_eq!(taken.administrator_key, lab.made.administrator_key);
    assert_eq!(fs::read(root.join("confvault.toml")).unwrap(), fs::read(lab.root().join("confvault.toml")).unwrap());
    assert_eq!(fs::read(root.join("known_hosts")).unwrap(), b"# pins\n");
    assert_ne!(fs::read(root.join("keys/signing.key")).unwrap(), fs::read(lab.root().join("keys/signing.key")).unwrap());
    assert!(names(&root).iter().all(|n| !n.contains("incoming")), "{:?}", names(&root));
    assert!(fs::read_to_string(root.join("store.git/config")).unwrap().lines().all(|l| !l.contains("url")));
    assert_eq!(fs::metadata(root.join("store.git")).unwrap().permissions().mode() & 0o777, 0o700);
    // Every file of every generation is the one of the original.
    let store = Store::open(&root.join("store.git")).unwrap();
    let found = store.refs().unwrap();
    let device: DeviceName = "pbx".parse().unwrap();
    let generation = store.newest(&found, &device).unwrap();
    let keys = vault.keys.clone();
    let access = confvault::store::Access { keys: Some(&keys), opener: Some(&lab.opener()) };
    let set = store.read_set(&found, &generation, access).unwrap();
    let to = lab.dir.path().join("out");
    confvault::ops::restore::restore(&set, access, &to, &Default::default()).unwrap();
    let same = std::process::Command::new("diff").arg("-r").args([&to, &lab.source("pbx")]).status().unwrap();
    assert!(same.success());
    // A second time there is something in the way.
    assert!(mirror::clone_store(far.remote(), &root.join("store.git")).is_err());
}

#[test]
fn over_ssh_a_known_host_is_pushed_to_and_an_unknown_one_is_not() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    bare(&there);
    let server = GitServer::start(lab.dir.path());
    let url = server.url(&there);
    // The administrator's own command for ssh is kept: here it names a key and the list of known hosts.
    let far = |known: &str| {
        let ssh = server.ssh(known, "yes");
        let mut far = Far::at(&url);
        let vars =
            [("PATH", std::env::var_os("PATH").unwrap()), ("HOME", "/nonexistent".into()), ("GIT_SSH_COMMAND", ssh.into())];
        far.env = GitEnv::of(vars.map(|(name, value)| (name.into(), value)));
        far
    };
    let failed = mirror::push(far("nobody").remote(), &repo(&lab), None).unwrap_err();
    assert!(failed.to_string().contains("Host key verification failed"), "{failed}");
    let key = fs::read_to_string(server.dir.join("host.pub")).unwrap();
    fs::write(server.dir.join("known"), format!("[127.0.0.1]:{} {key}", server.port)).unwrap();
    let far = far("known");
    mirror::push(far.remote(), &repo(&lab), None).unwrap();
    assert_eq!(refs(&there), refs(&lab.store_dir()));
    let status = mirror::status(far.remote(), &repo(&lab)).unwrap();
    assert!(status.complete() && !status.unprotected);
    assert_eq!(status.independence, mirror::Independence::SameHost);
    let to = lab.dir.path().join("again.git");
    mirror::clone_store(far.remote(), &to).unwrap();
    assert_eq!(refs(&to), refs(&lab.store_dir()));
}

#[test]
fn nothing_of_the_store_or_the_surroundings_makes_git_run_anything() {
    let lab = store();
    let there = lab.dir.path().join("mirror.git");
    let mut far = Far::at(&bare(&there));
    let trace = lab.dir.path().join("ran");
    let run = lab.dir.path().join("run.sh");
    fs::write(&run, format!("#!/bin/sh\necho \"$0 $@\" >> {}\n", trace.display())).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    // Hooks of the store, and variables that make git run or write something.
    fs::create_dir_all(lab.store_dir().join("hooks")).unwrap();
    for hook in ["pre-push", "reference-transaction", "post-index-change"] {
        fs::copy(&run, lab.store_dir().join("hooks").join(hook)).unwrap();
    }
    let shown = run.to_str().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let vars: Vec<(std::ffi::OsString, std::ffi::OsString)> = [
        ("PATH", path.to_str().unwrap()),
        ("HOME", "/nonexistent"),
        ("GIT_EXTERNAL_DIFF", shown),
        ("GIT_PAGER", shown),
        ("GIT_EDITOR", shown),
        ("GIT_TRACE", "/dev/stdout"),
        ("GIT_DIR", "/nonexistent"),
        ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.sshCommand"),
        ("GIT_CONFIG_VALUE_0", shown),
        ("LD_PRELOAD", "/nonexistent.so"),
    ]
    .map(|(n, v)| (n.into(), v.into()))
    .into();
    far.env = GitEnv::of(vars);
    let report = mirror::push(far.remote(), &repo(&lab), None).unwrap();
    assert_eq!(report.refused().count(), 0);
    mirror::clone_store(far.remote(), &lab.dir.path().join("again.git")).unwrap();
    assert!(!trace.exists(), "{}", fs::read_to_string(&trace).unwrap());
}

/// What the user's git turns a URL into is no way around the list of protocols.
#[test]
fn no_setting_leads_to_a_remote_helper() {
    let lab = store();
    let ran = lab.dir.path().join("ran");
    let config = lab.dir.path().join("gitconfig");
    for evil in [format!("ext::touch {} %G", ran.display()), format!("ext::sh -c \"touch {}\" ", ran.display())] {
        git_ok(
            Path::new("/"),
            &["config", "--file", config.to_str().unwrap(), &format!("url.{evil}.insteadOf"), "file:///evil/"],
        );
    }
    let mut far = Far::at("file:///evil/x");
    far.env = GitEnv::of([
        ("PATH".into(), std::env::var_os("PATH").unwrap()),
        ("GIT_CONFIG_GLOBAL".into(), config.into_os_string()),
        ("GIT_ALLOW_PROTOCOL".into(), "ext:file".into()),
    ]);
    let failed = mirror::push(far.remote(), &repo(&lab), None).unwrap_err();
    assert!(failed.to_string().contains("not allowed"), "{failed}");
    assert!(mirror::clone_store(far.remote(), &lab.dir.path().join("x.git")).is_err());
    assert!(!ran.exists());
}

#[test]
fn a_message_never_holds_a_password() {
    let lab = store();
    let refused = "https://user:CANARYpassword@host/x".parse::<GitUrl>().unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("CANARY"));
    let far = Far::at("https://CANARYtoken@127.0.0.1:1/x");
    let failed = mirror::push(far.remote(), &repo(&lab), None).unwrap_err();
    assert!(!format!("{failed} {failed:?} {:?}", far.remote()).contains("CANARY"), "{failed:?}");
}
