//! Batches, refs and objects of a repository, read back by the real `git`.
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

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use confvault::store::{Batch, Error, ObjectId, ObjectKind, Repo};
use support::{add_generation, edit, fsck, garbage, git, git_ok, put_commit, put_tag};

fn repo(dir: &Path) -> Repo {
    Repo::create(&dir.join("store.git")).unwrap()
}

fn packs(repo: &Repo) -> usize {
    let entries = fs::read_dir(repo.dir().join("objects/pack")).unwrap();
    entries.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "pack")).count()
}

#[test]
fn git_reads_what_a_batch_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let batch = Batch::begin(&repo).unwrap();
    let raw = batch.put_raw(ObjectKind::Blob, &big).unwrap();
    let first = put_commit(&batch, &[("a", b"one\n"), ("b", b""), ("c", &big)], None, "first");
    let tag = put_tag(&batch, first, "commit", "golden");
    let upon = put_tag(&batch, tag, "tag", "upon");
    let done = batch
        .commit::<Error>(|refs, _| {
            assert_eq!(refs.iter().count(), 0);
            Ok(vec![
                edit("refs/heads/gw/1", None, Some(first)),
                edit("refs/tags/gw/golden", None, Some(tag)),
                edit("refs/tags/gw/upon", None, Some(upon)),
                edit("refs/heads/_store", None, Some(first)),
            ])
        })
        .unwrap();
    assert_eq!((done.refs, packs(&repo)), (4, 1));
    // The same bytes put twice are one object: 3 blobs, tree, commit, 2 tags.
    assert_eq!(done.objects, 7);
    assert_eq!(garbage(repo.dir()), Vec::<String>::new());
    fsck(repo.dir());
    assert_eq!(git_ok(repo.dir(), &["cat-file", "blob", "gw/1:a"]), "one\n");
    let sizes = git_ok(repo.dir(), &["cat-file", "-s", &raw.to_string()]);
    assert_eq!(sizes.trim(), "3000000");
    let shown = git_ok(repo.dir(), &["show-ref", "--dereference"]);
    let want = format!(
        "{first} refs/heads/_store\n{first} refs/heads/gw/1\n{tag} refs/tags/gw/golden\n{first} refs/tags/gw/golden^{{}}\n{upon} refs/tags/gw/upon\n{first} refs/tags/gw/upon^{{}}\n"
    );
    assert_eq!(shown, want);
    let peeled = git_ok(repo.dir(), &["for-each-ref", "--format=%(objecttype) %(*objecttype)", "refs/tags/gw/golden"]);
    assert_eq!(peeled, "tag commit\n");
    assert_eq!(git_ok(repo.dir(), &["symbolic-ref", "HEAD"]), "refs/heads/_store\n");
    // And a clone, which checks every object that it receives.
    let clone = dir.path().join("clone");
    let status = git(dir.path()).args(["clone", "-q", "--mirror", "store.git"]).arg(&clone).status().unwrap();
    assert!(status.success());
    fsck(&clone);
    // Our own reader agrees.
    assert_eq!(repo.blob(&raw, u64::MAX).unwrap(), big);
    assert_eq!(repo.peel(&upon).unwrap(), Some(first));
    assert_eq!(repo.refs().unwrap().get("refs/tags/gw/upon").unwrap().peeled, Some(first));
}

#[test]
fn a_repository_is_made_private_whatever_the_umask() {
    // The umask belongs to the whole process, so the work is done in a shell of its own.
    if let Some(dir) = std::env::var_os("CONFVAULT_TEST_UMASK_DIR") {
        let repo = Repo::create(Path::new(&dir)).unwrap();
        add_generation(&repo, "refs/heads/a", b"x").unwrap();
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    for umask in ["000", "077", "777"] {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("s.git");
        let test = "a_repository_is_made_private_whatever_the_umask";
        let status = std::process::Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$0\" --exact {test}")])
            .arg(std::env::current_exe().unwrap())
            .env("CONFVAULT_TEST_UMASK_DIR", &store)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        // Under umask 777 the shell's own files would be closed to a user, but not to us.
        assert!(status.success(), "umask {umask}");
        let mut folders = vec![store];
        while let Some(folder) = folders.pop() {
            assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
                }
            }
        }
    }
}

#[test]
fn an_empty_batch_writes_no_pack_and_one_without_edits_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let first = add_generation(&repo, "refs/heads/a", b"1").unwrap();
    let batch = Batch::begin(&repo).unwrap();
    let done = batch.commit::<Error>(|_, _| Ok(vec![edit("refs/heads/b", None, Some(first))])).unwrap();
    assert_eq!((done.objects, done.added_bytes, done.refs, packs(&repo)), (0, 0, 1, 1));
    let batch = Batch::begin(&repo).unwrap();
    batch.put(ObjectKind::Blob, b"nobody wants me").unwrap();
    assert_eq!(batch.commit::<Error>(|_, _| Ok(vec![])).unwrap().objects, 0);
    let batch = Batch::begin(&repo).unwrap();
    batch.put(ObjectKind::Blob, b"nobody wants me").unwrap();
    drop(batch);
    assert_eq!(packs(&repo), 1);
    assert_eq!(garbage(repo.dir()), Vec::<String>::new());
}

#[test]
fn a_moved_ref_a_bad_name_and_a_missing_object_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let first = add_generation(&repo, "refs/heads/a/1", b"1").unwrap();
    let gone = ObjectId::from_hex(b"0123456789012345678901234567890123456789").unwrap();
    let before = fs::read(repo.dir().join("packed-refs")).unwrap();
    let cases: Vec<(&str, Vec<_>)> = vec![
        ("moved", vec![edit("refs/heads/a/1", None, Some(first))]),
        ("moved", vec![edit("refs/heads/a/1", Some(gone), None)]),
        ("moved", vec![edit("refs/heads/b", Some(first), Some(first))]),
        ("name", vec![edit("refs/heads/a", None, Some(first))]),
        ("name", vec![edit("refs/heads/a/1/2", None, Some(first))]),
        ("name", vec![edit("refs/heads/n", None, Some(first)), edit("refs/heads/n/m", None, Some(first))]),
        ("name", vec![edit("refs/heads/n", None, Some(first)), edit("refs/heads/n", None, None)]),
        ("name", vec![edit("HEAD", None, Some(first))]),
        ("name", vec![edit("refs/heads/x.lock", None, Some(first))]),
        ("name", vec![edit("refs/heads/x\ny", None, Some(first))]),
        ("missing", vec![edit("refs/heads/g", None, Some(gone))]),
    ];
    for (want, edits) in cases {
        let batch = Batch::begin(&repo).unwrap();
        batch.put(ObjectKind::Blob, b"in vain").unwrap();
        let shown = format!("{edits:?}");
        let error = batch.commit::<Error>(|_, _| Ok(edits)).unwrap_err();
        let got = match error {
            Error::RefMoved { .. } => "moved",
            Error::RefName { .. } => "name",
            Error::ObjectMissing { .. } => "missing",
            _ => "other",
        };
        assert_eq!(got, want, "{shown}: {error}");
        assert_eq!(fs::read(repo.dir().join("packed-refs")).unwrap(), before, "{shown}");
        assert_eq!((packs(&repo), garbage(repo.dir())), (1, vec![]), "{shown}");
    }
    // A folder of refs may become a ref in one and the same commit.
    let batch = Batch::begin(&repo).unwrap();
    let edits = vec![edit("refs/heads/a/1", Some(first), None), edit("refs/heads/a", None, Some(first))];
    batch.commit::<Error>(|_, _| Ok(edits)).unwrap();
    fsck(repo.dir());
    assert_eq!(git_ok(repo.dir(), &["for-each-ref", "--format=%(refname)"]), "refs/heads/a\n");
}

#[test]
fn loose_refs_of_git_are_seen_folded_in_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let first = add_generation(&repo, "refs/heads/a/1", b"1").unwrap();
    let second = add_generation(&repo, "refs/heads/a/2", b"2").unwrap();
    let refs = [("refs/heads/a/1", second), ("refs/heads/deep/er/x", first)];
    for (name, id) in refs {
        git_ok(repo.dir(), &["update-ref", name, &id.to_string()]);
    }
    let tagger = ["-c", "user.name=x", "-c", "user.email=x", "tag", "-a", "-m", "t", "t", "a/2"];
    git_ok(repo.dir(), &tagger);
    assert_eq!(repo.refs().unwrap().get("refs/heads/a/1").unwrap().id, second);
    assert_eq!(repo.refs().unwrap().get("refs/tags/t").unwrap().peeled, Some(second));
    let shown = git_ok(repo.dir(), &["show-ref", "--dereference"]);
    let third = add_generation(&repo, "refs/heads/a/1", b"3").unwrap();
    assert!(!repo.dir().join("refs/heads/a").exists() && !repo.dir().join("refs/heads/deep").exists());
    assert!(repo.dir().join("refs/heads").exists() && !repo.dir().join("refs/tags/t").exists());
    let after = git_ok(repo.dir(), &["show-ref", "--dereference"]);
    assert_eq!(after, shown.replace(&format!("{second} refs/heads/a/1"), &format!("{third} refs/heads/a/1")));
    fsck(repo.dir());
}

#[test]
fn a_foreign_lock_on_packed_refs_is_respected() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let first = add_generation(&repo, "refs/heads/a", b"1").unwrap();
    let lock = repo.dir().join("packed-refs.lock");
    fs::write(&lock, "").unwrap();
    let other = repo.clone();
    let writer = std::thread::spawn(move || add_generation(&other, "refs/heads/a", b"2"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(repo.refs().unwrap().get("refs/heads/a").unwrap().id, first);
    assert!(lock.exists());
    fs::remove_file(&lock).unwrap();
    let second = writer.join().unwrap().unwrap();
    assert_eq!(repo.refs().unwrap().get("refs/heads/a").unwrap().id, second);
    assert_eq!(garbage(repo.dir()), Vec::<String>::new());
}

#[test]
fn a_batch_takes_objects_from_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let batch = Batch::begin(&repo).unwrap();
    let next = AtomicU64::new(0);
    let ids = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                loop {
                    // Each content is put twice, by whichever threads come to it.
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= 2000 {
                        break;
                    }
                    let content = format!("file {}\n", n / 2).repeat(50);
                    let id = batch.put(ObjectKind::Blob, content.as_bytes()).unwrap();
                    ids.lock().unwrap().push((id, content));
                }
            });
        }
    });
    let commit = put_commit(&batch, &[("x", b"x")], None, "x");
    let done = batch.commit::<Error>(|_, _| Ok(vec![edit("refs/heads/x", None, Some(commit))])).unwrap();
    assert_eq!(done.objects, 1003);
    let ids = ids.into_inner().unwrap();
    std::thread::scope(|s| {
        for part in ids.chunks(300) {
            let repo = repo.clone();
            s.spawn(move || {
                part.iter().for_each(|(id, text)| assert_eq!(repo.object(id, 1 << 20).unwrap().data, text.as_bytes()))
            });
        }
    });
    fsck(repo.dir());
}

#[test]
fn the_limit_of_a_reader_holds() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let batch = Batch::begin(&repo).unwrap();
    let zeros = batch.put(ObjectKind::Blob, &vec![0; 50 << 20]).unwrap();
    let commit = put_commit(&batch, &[("x", b"x")], None, "x");
    batch.commit::<Error>(|_, _| Ok(vec![edit("refs/heads/x", None, Some(commit))])).unwrap();
    let error = repo.blob(&zeros, (50 << 20) - 1).unwrap_err();
    assert!(matches!(error, Error::ObjectTooLarge { size: 52_428_800, .. }), "{error}");
    assert_eq!(repo.header(&zeros).unwrap(), (ObjectKind::Blob, 50 << 20));
    assert_eq!(repo.blob(&zeros, 50 << 20).unwrap().len(), 50 << 20);
    assert!(matches!(repo.tree(&zeros).unwrap_err(), Error::ObjectKind { .. }));
}

#[test]
fn a_pack_is_read_on_when_its_mapping_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let repo = repo(dir.path());
    let batch = Batch::begin(&repo).unwrap();
    let content = |n: u8| vec![n; 8 << 20];
    let blobs: Vec<ObjectId> = (0..6).map(|n| batch.put(ObjectKind::Blob, &content(n)).unwrap()).collect();
    let commit = put_commit(&batch, &[("a", b"a")], None, "first");
    batch.commit::<Error>(|_, _| Ok(vec![edit("refs/heads/gw/1", None, Some(commit))])).unwrap();
    // Six times eight MiB are more than one mapping serves for, also among threads.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for (n, id) in (0..).zip(&blobs) {
                    assert!(repo.blob(id, 8 << 20).unwrap() == content(n));
                }
            });
        }
    });
    // A pack that is gone when it would be mapped again is a pack that is gone.
    let pack = repo.dir().join("objects/pack");
    for entry in fs::read_dir(&pack).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let missing = (0..12).find_map(|n| repo.blob(&blobs[n % 6], 8 << 20).err());
    assert!(matches!(missing, Some(Error::ObjectMissing { .. })), "{missing:?}");
}
