//! Every kind of damage to every kind of file of a repository: what is not hit stays readable, the next
//! commit succeeds or refuses before it writes, and the damage is named.
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
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use confvault::store::verify::{Damage, verify};
use confvault::store::{Batch, Error, ObjectId, ObjectKind, Repo};
use support::{add_generation, edit, fsck};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Delete,
    Empty,
    Cut,
    Junk,
    Flip,
}

const ACTIONS: [Action; 5] = [Action::Delete, Action::Empty, Action::Cut, Action::Junk, Action::Flip];

fn damage(path: &Path, action: Action) {
    let mut bytes = fs::read(path).unwrap();
    // Never in place: a file may be mapped, and a real disk does not warn a reader either.
    fs::remove_file(path).unwrap();
    match action {
        Action::Delete => return,
        Action::Empty => bytes.clear(),
        Action::Cut => drop(bytes.pop()),
        Action::Junk => bytes.fill(0x5a),
        Action::Flip => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
    }
    fs::write(path, bytes).unwrap();
}

/// A store of two lines, each in a pack of its own.
fn store(dir: &Path) -> (Repo, [ObjectId; 2]) {
    let repo = Repo::create(&dir.join("s.git")).unwrap();
    let a = add_generation(&repo, "refs/heads/a/1", b"the configuration of a\n").unwrap();
    let b = add_generation(&repo, "refs/heads/b/1", b"the configuration of b\n").unwrap();
    (repo, [a, b])
}

/// Reads a line to its bytes.
fn read(repo: &Repo, tip: &ObjectId) -> Result<Vec<u8>, Error> {
    let commit = repo.commit(tip)?;
    let tree = repo.tree(&ObjectId::from_hex(&commit[5..45]).unwrap())?;
    repo.blob(&ObjectId::from_bytes_or_panic(&tree[tree.len() - 20..]), 1000)
}

fn found(repo: &Repo) -> Vec<Damage> {
    let found: Mutex<Vec<Damage>> = Mutex::default();
    verify(repo, 1, &found).unwrap();
    found.into_inner().unwrap()
}

fn pack_with(repo: &Repo, id: &ObjectId) -> PathBuf {
    let folder = repo.dir().join("objects/pack");
    let mut indices: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    indices.retain(|p| p.extension().is_some_and(|e| e == "idx"));
    let has = |p: &PathBuf| {
        let bytes = fs::read(p).unwrap();
        bytes.windows(20).any(|w| w == id.as_slice())
    };
    indices.into_iter().find(has).unwrap().with_extension("pack")
}

#[test]
fn a_damaged_pack_or_index_costs_only_what_is_in_it() {
    for end in ["pack", "idx"] {
        for action in ACTIONS {
            let what = format!("{action:?} {end}");
            let dir = tempfile::tempdir().unwrap();
            let (repo, [a, b]) = store(dir.path());
            let hit = pack_with(&repo, &a).with_extension(end);
            damage(&hit, action);
            let repo = Repo::open(repo.dir()).unwrap();
            // The other line is whole.
            assert_eq!(read(&repo, &b).unwrap(), b"the configuration of b\n", "{what}");
            // The line that was hit gives its bytes or an error, never a panic and never other bytes.
            if let Ok(bytes) = read(&repo, &a) {
                assert_eq!(bytes, b"the configuration of a\n", "{what}");
            }
            let named = found(&repo);
            let by_name =
                |d: &Damage| d.file == hit || (action == Action::Delete && d.file.with_extension("") == hit.with_extension(""));
            assert!(named.iter().any(by_name), "{what}: {named:?}");
            // Both lines go on, and the content that was lost is written again, whole.
            add_generation(&repo, "refs/heads/b/1", b"b again\n").unwrap();
            let batch = Batch::begin(&repo).unwrap();
            let blob = batch.put(ObjectKind::Blob, b"the configuration of a\n").unwrap();
            let new = support::put_commit(&batch, &[("config", b"the configuration of a\n")], None, "healed");
            batch.commit::<Error>(|_, _| Ok(vec![edit("refs/heads/a/1", Some(a), Some(new))])).unwrap();
            assert_eq!(read(&repo, &new).unwrap(), b"the configuration of a\n", "{what}");
            assert_eq!(Repo::open(repo.dir()).unwrap().blob(&blob, 1000).unwrap(), b"the configuration of a\n");
        }
    }
}

#[test]
fn damaged_refs_are_refused_before_anything_is_written() {
    for action in ACTIONS {
        let dir = tempfile::tempdir().unwrap();
        let (repo, _) = store(dir.path());
        let file = repo.dir().join("packed-refs");
        damage(&file, action);
        let state = fs::read(&file).ok();
        let refs = repo.refs();
        // The refs as a whole cannot be guarded here: whoever opens a store sees that `_store` is gone.
        let gone = matches!(action, Action::Delete | Action::Empty);
        match refs {
            Ok(refs) if gone => assert_eq!(refs.iter().count(), 0),
            // A flipped bit in a name or an id can give another one.
            Ok(_) => assert_eq!(action, Action::Flip),
            Err(e) => {
                assert!(matches!(&e, Error::CorruptFile { path, .. } if *path == file), "{action:?}: {e}");
                assert!(add_generation(&repo, "refs/heads/a/1", b"new").is_err());
                assert_eq!(fs::read(&file).ok(), state);
                assert_eq!(support::garbage(repo.dir()), Vec::<String>::new());
            }
        }
    }
}

#[test]
fn the_other_files_are_made_again_or_named() {
    for action in ACTIONS {
        for name in ["confvault/lock", "HEAD", "config"] {
            let what = format!("{action:?} {name}");
            let dir = tempfile::tempdir().unwrap();
            let (repo, [a, _]) = store(dir.path());
            let path = repo.dir().join(name);
            if fs::metadata(&path).unwrap().len() == 0 {
                fs::remove_file(&path).unwrap();
            } else {
                damage(&path, action);
            }
            match Repo::open(repo.dir()) {
                Ok(repo) => {
                    assert_eq!(read(&repo, &a).unwrap(), b"the configuration of a\n", "{what}");
                    add_generation(&repo, "refs/heads/a/1", b"new").unwrap();
                }
                Err(e) => {
                    assert!(
                        e.to_string().contains(name) || matches!(e, Error::NoStore { .. } | Error::RefusedSetting { .. }),
                        "{what}: {e}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_damaged_loose_object_or_ref_of_git_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, [a, _]) = store(dir.path());
    let input = dir.path().join("input");
    fs::write(&input, "loose").unwrap();
    let id = support::git_ok(repo.dir(), &["hash-object", "-w", input.to_str().unwrap()]);
    let id = ObjectId::from_hex(id.trim().as_bytes()).unwrap();
    assert_eq!(repo.object(&id, 100).unwrap().data, b"loose");
    let hex = id.to_string();
    let path = repo.dir().join("objects").join(&hex[..2]).join(&hex[2..]);
    for action in ACTIONS {
        let good = fs::read(&path).unwrap();
        damage(&path, action);
        let repo = Repo::open(repo.dir()).unwrap();
        match repo.object(&id, 100) {
            Err(Error::ObjectCorrupt { id: named, .. }) => assert_eq!(named, id),
            Err(Error::ObjectMissing { .. }) => assert_eq!(action, Action::Delete),
            // gix does not miss the last byte, which is of the checksum of zlib; the id vouches for the rest.
            Ok(object) => assert_eq!((action, object.data), (Action::Cut, b"loose".to_vec())),
            other => panic!("{action:?}: {other:?}"),
        }
        let named = !matches!(action, Action::Delete | Action::Cut);
        assert_eq!(found(&repo).iter().any(|d| d.file == path), named, "{action:?}");
        // The same bytes put again are written again, and then found.
        let batch = Batch::begin(&repo).unwrap();
        let new = support::put_commit(&batch, &[("x", b"loose")], None, "x");
        let name = format!("refs/heads/healed{action:?}");
        batch.commit::<Error>(|_, _| Ok(vec![edit(&name, None, Some(new))])).unwrap();
        assert_eq!(repo.object(&id, 100).unwrap().data, b"loose");
        fs::remove_dir_all(repo.dir()).unwrap();
        // Begin anew with the next action.
        let fresh = store(dir.path()).0;
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, good).unwrap();
        drop(fresh);
    }
    let loose = repo.dir().join("refs/heads/loose");
    for text in ["", "\n", "ref", &a.to_string()[..39], "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n"] {
        fs::write(&loose, text).unwrap();
        let error = repo.refs().unwrap_err();
        assert!(matches!(&error, Error::CorruptFile { path, .. } if *path == loose), "{text:?}: {error}");
    }
    fs::remove_file(&loose).unwrap();
    fsck(repo.dir());
}

/// Five hundred flipped bits, a seed each; see `every_flipped_bit_is_found_and_named` for packs folded by git.
#[test]
fn five_hundred_flipped_bits_never_give_wrong_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (repo, tips) = store(dir.path());
    let good: Vec<Vec<u8>> = tips.iter().map(|t| read(&repo, t).unwrap()).collect();
    let mut files: Vec<_> = fs::read_dir(repo.dir().join("objects/pack")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for seed in 0..500u64 {
        let random = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let path = &files[seed as usize % files.len()];
        let before = fs::read(path).unwrap();
        let mut bytes = before.clone();
        let at = (random >> 20) as usize % bytes.len();
        bytes[at] ^= 1 << (random >> 61);
        fs::remove_file(path).unwrap();
        fs::write(path, &bytes).unwrap();
        let repo = Repo::open(repo.dir()).unwrap();
        for (tip, good) in tips.iter().zip(&good) {
            let commit = repo.object(tip, 10_000);
            if let Ok(commit) = commit {
                let tree = repo.tree(&ObjectId::from_hex(&commit.data[5..45]).unwrap());
                if let Ok(tree) = tree {
                    let blob = repo.object(&ObjectId::from_bytes_or_panic(&tree[tree.len() - 20..]), 1000);
                    assert!(blob.is_err() || blob.unwrap().data == *good, "seed {seed}");
                }
            }
        }
        assert!(found(&repo).iter().any(|d| d.file == *path), "seed {seed}: byte {at} of {}", path.display());
        fs::remove_file(path).unwrap();
        fs::write(path, &before).unwrap();
    }
}
