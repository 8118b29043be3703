//! Folding packs beside writers and readers, and reading every object.
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

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use confvault::store::maintain::{Effort, maintain, pack_count};
use confvault::store::verify::{Damage, verify};
use confvault::store::{Batch, Error, ObjectId, ObjectKind, Repo};
use support::{add_generation, edit, fsck, garbage, git_ok, put_commit, rounds};

fn content(device: usize, generation: usize) -> Vec<u8> {
    let mut text: Vec<String> = (0..120).map(|line| format!("line {line} of device {device} is {}\n", line * device)).collect();
    for g in 0..generation {
        text[(g * 7) % 120] = format!("changed in {g} on {device}\n");
    }
    text.concat().into_bytes()
}

fn fill(repo: &Repo, devices: usize, generations: usize) {
    for generation in 0..generations {
        let batch = Batch::begin(repo).unwrap();
        batch
            .commit::<Error>(|refs, batch| {
                let change = |device: usize| {
                    let name = format!("refs/heads/d{device}/1");
                    let old = refs.get(&name).map(|r| r.id);
                    let new = put_commit(batch, &[("running", &content(device, generation))], old, "x");
                    edit(&name, old, Some(new))
                };
                Ok((0..devices).map(change).collect())
            })
            .unwrap();
    }
}

fn damage(repo: &Repo) -> Vec<Damage> {
    let found: Mutex<Vec<Damage>> = Mutex::default();
    verify(repo, 2, &found).unwrap();
    found.into_inner().unwrap()
}

/// What every device has in every generation, read by us.
fn read_all(repo: &Repo, devices: usize, generations: usize) {
    let refs = repo.refs().unwrap();
    for device in 0..devices {
        let mut at = Some(refs.get(&format!("refs/heads/d{device}/1")).unwrap().id);
        let mut seen = 0;
        while let Some(id) = at {
            let commit = String::from_utf8(repo.commit(&id).unwrap()).unwrap();
            let tree = repo.tree(&ObjectId::from_hex(&commit.as_bytes()[5..45]).unwrap()).unwrap();
            let blob = ObjectId::from_bytes_or_panic(&tree[tree.len() - 20..]);
            seen += 1;
            assert_eq!(repo.blob(&blob, 1 << 20).unwrap(), content(device, generations - seen));
            at = commit.split_once("\nparent ").map(|(_, rest)| ObjectId::from_hex(&rest.as_bytes()[..40]).unwrap());
        }
        assert_eq!(seen, generations);
    }
}

#[test]
fn folding_keeps_every_object_and_leaves_few_packs() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("s.git")).unwrap();
    fill(&repo, 5, 30);
    // An object that no ref reaches, as a batch that another process still builds on could want it.
    let batch = Batch::begin(&repo).unwrap();
    let kept = batch.put(ObjectKind::Blob, b"unreachable soon").unwrap();
    let tip = put_commit(&batch, &[("x", b"unreachable soon")], None, "x");
    batch.commit::<Error>(|_, _| Ok(vec![edit("refs/heads/gone", None, Some(tip))])).unwrap();
    let batch = Batch::begin(&repo).unwrap();
    batch.commit::<Error>(|_, _| Ok(vec![edit("refs/heads/gone", Some(tip), None)])).unwrap();
    assert_eq!(pack_count(&repo).unwrap(), 31);
    let refs = git_ok(repo.dir(), &["show-ref"]);

    let done = maintain(&repo, Effort::Fold).unwrap();
    assert_eq!((done.packs_before, done.packs_after), (31, 1));
    assert!(done.after_bytes < done.before_bytes);
    fsck(repo.dir());
    read_all(&repo, 5, 30);
    assert_eq!(repo.blob(&kept, 100).unwrap(), b"unreachable soon");
    assert_eq!(maintain(&repo, Effort::Fold).unwrap().packs_after, 1);

    let done = maintain(&repo, Effort::Thorough).unwrap();
    assert_eq!(done.packs_after, 1);
    assert!(matches!(Repo::open(repo.dir()).unwrap().blob(&kept, 100), Err(Error::ObjectMissing { .. })));
    // Repositories that were open all the time find the rest in the new pack.
    read_all(&repo, 5, 30);
    read_all(&Repo::open(repo.dir()).unwrap(), 5, 30);
    fsck(repo.dir());
    assert_eq!(git_ok(repo.dir(), &["show-ref"]), refs);
    assert_eq!(damage(&repo), []);
    let left = garbage(repo.dir());
    assert_eq!(left, [repo.dir().join("confvault/maintain.lock").display().to_string()]);
    assert!(!repo.dir().join("confvault/work").exists());
}

#[test]
fn writers_and_readers_go_on_beside_maintenance() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("s.git")).unwrap();
    fill(&repo, 3, 10);
    let stop = AtomicBool::new(false);
    let generations = rounds(40, 1000);
    let (written, reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|s| {
        let writers: Vec<_> = (0..2)
            .map(|n| {
                let (dir, written) = (repo.dir().to_owned(), &written);
                s.spawn(move || {
                    for generation in 0..generations {
                        let repo = Repo::open(&dir).unwrap();
                        add_generation(&repo, &format!("refs/heads/w{n}"), format!("{n} {generation}").as_bytes()).unwrap();
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // One reader keeps its repository open, one opens it anew each time.
        for anew in [false, true] {
            let (repo, stop, reads) = (repo.clone(), &stop, &reads);
            s.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if anew {
                        read_all(&Repo::open(repo.dir()).unwrap(), 3, 10);
                    } else {
                        read_all(&repo, 3, 10);
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut round = 0;
        // Until the readers had their share, too.
        let begun = std::time::Instant::now();
        let enough = || reads.load(Ordering::Relaxed) > rounds(2, 1000) || begun.elapsed().as_secs() > 3600;
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) || round < 4 || !enough() {
            let effort = if round % 2 == 0 { Effort::Thorough } else { Effort::Fold };
            maintain(&repo, effort).unwrap();
            round += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(written.into_inner(), 2 * generations);
    let reads = reads.into_inner();
    assert!(reads > rounds(2, 1000), "{reads}");
    fsck(repo.dir());
    for n in 0..2 {
        assert_eq!(git_ok(repo.dir(), &["rev-list", "--count", &format!("w{n}")]).trim(), generations.to_string());
    }
    assert_eq!(damage(&repo), []);
}

#[test]
fn a_second_maintenance_is_refused_and_a_killed_one_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("s.git")).unwrap();
    fill(&repo, 2, 3);
    let lock = confvault::store::lock::Lock::take(&repo.cache_dir().join("maintain.lock"), std::time::Duration::ZERO).unwrap();
    assert!(matches!(maintain(&repo, Effort::Fold), Err(Error::Locked { .. })));
    drop(lock);
    std::fs::create_dir_all(repo.cache_dir().join("work/pack")).unwrap();
    std::fs::write(repo.cache_dir().join("work/pack/tmp_pack_x"), "junk").unwrap();
    maintain(&repo, Effort::Thorough).unwrap();
    assert!(!repo.cache_dir().join("work").exists());
}

#[test]
fn maintenance_of_a_damaged_store_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("s.git")).unwrap();
    fill(&repo, 3, 4);
    let pack = first_pack(repo.dir());
    let mut bytes = std::fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::remove_file(&pack).unwrap();
    std::fs::write(&pack, &bytes).unwrap();
    for effort in [Effort::Thorough, Effort::Fold] {
        assert!(maintain(&repo, effort).is_err(), "{effort:?}");
        assert_eq!(pack_count(&repo).unwrap(), 4);
    }
    assert!(pack.exists());
}

fn first_pack(dir: &Path) -> std::path::PathBuf {
    let mut packs: Vec<_> = std::fs::read_dir(dir.join("objects/pack")).unwrap().map(|e| e.unwrap().path()).collect();
    packs.retain(|p| p.extension().is_some_and(|e| e == "pack"));
    packs.sort();
    packs.remove(0)
}

#[test]
fn every_flipped_bit_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("s.git")).unwrap();
    fill(&repo, 3, 5);
    maintain(&repo, Effort::Thorough).unwrap();
    fill_more(&repo);
    let mut seed = 7u64;
    for entry in std::fs::read_dir(repo.dir().join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pack" && e != "idx") {
            continue;
        }
        let good = std::fs::read(&path).unwrap();
        for _ in 0..60 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut bad = good.clone();
            let at = (seed >> 20) as usize % bad.len();
            bad[at] ^= 1 << (seed >> 60 & 7);
            // A new file: the old one may be mapped.
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, &bad).unwrap();
            let found = damage(&Repo::open(repo.dir()).unwrap());
            assert!(found.iter().any(|d| d.file == path), "byte {at} of {}: {found:?}", path.display());
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &good).unwrap();
    }
    assert_eq!(damage(&Repo::open(repo.dir()).unwrap()), []);
}

fn fill_more(repo: &Repo) {
    for n in 0..3 {
        add_generation(repo, "refs/heads/more", format!("more {n}").repeat(100).as_bytes()).unwrap();
    }
}

/// Text that no two devices share, so that only earlier versions of a file help to store it.
fn own_text(device: usize, generation: usize) -> Vec<u8> {
    let mut seed = device as u64 + 1;
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..100 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        lines.push(format!("{seed:x} {:x}\n", seed.rotate_left(17)));
    }
    for g in 0..generation {
        lines[g % 100] = format!("changed in {g}\n");
    }
    lines.concat().into_bytes()
}

#[test]
fn versions_of_a_file_meet_however_many_devices_have_one() {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(&dir.path().join("s.git")).unwrap();
    for generation in 0..12 {
        let batch = Batch::begin(&repo).unwrap();
        batch
            .commit::<Error>(|refs, batch| {
                let change = |device: usize| {
                    let name = format!("refs/heads/d{device}/1");
                    let old = refs.get(&name).map(|r| r.id);
                    let message = format!("d{device} 1 generation {generation}");
                    edit(&name, old, Some(put_commit(batch, &[("running", &own_text(device, generation))], old, &message)))
                };
                Ok((0..40).map(change).collect())
            })
            .unwrap();
    }
    let by_git = dir.path().join("by-git.git");
    assert!(support::git(dir.path()).args(["clone", "-q", "--mirror", "s.git"]).arg(&by_git).status().unwrap().success());
    git_ok(&by_git, &["repack", "-adfq"]);
    let size = |dir: &Path| first_pack(dir).metadata().unwrap().len();
    for effort in [Effort::Fold, Effort::Thorough] {
        maintain(&repo, effort).unwrap();
        assert!(size(repo.dir()) * 10 < size(&by_git) * 8, "{effort:?}: {} of {}", size(repo.dir()), size(&by_git));
    }
    fsck(repo.dir());
}
