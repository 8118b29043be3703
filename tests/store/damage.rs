//! Damage: found by name, survived by what it does not touch, healed by the next snapshot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use confvault::model::{Entry, Scope};
use confvault::store::{Access, CheckOptions, CheckReport, Fault, ObjectId, Outcome, Store};

use super::lab::{Lab, file, voip};

fn check(lab: &Lab, read_data: bool) -> CheckReport {
    let opener = lab.opener();
    let access = Access { keys: Some(&lab.keys), opener: opener.as_ref() };
    let options = CheckOptions { read_data, access, threads: 2, ..CheckOptions::default() };
    let store = Store::open(&lab.git_dir()).unwrap();
    store.check(&store.refs().unwrap(), &options, &|_, _| {}).unwrap()
}

fn sets() -> [Vec<Entry>; 3] {
    let a = |n: &str| voip("etc/a", &format!("first line of the file\nsecret=s\nnumber {n}\n"));
    let book = || file(Scope::User, b"book", b"Alice 1 2 3\n");
    [vec![a("1"), voip("b", "x"), book()], vec![a("2"), voip("b", "x"), book()], vec![a("3"), voip("b", "y"), book()]]
}

fn filled(lab: &Lab) {
    for set in sets() {
        lab.made("gw-1", "1", set.clone());
    }
    lab.made("gw-2", "1", sets()[0].clone());
}

/// All files of the repository that hold data.
fn data_files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("confvault") {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "pack" || e == "idx") {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

fn alter(path: &Path, act: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let before = fs::read(path).unwrap();
    let mut bytes = before.clone();
    act(&mut bytes);
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
    before
}

/// Writes an object anew as a loose one and takes it out of its packs; gives the loose file.
fn unpack(lab: &Lab) {
    let packs = lab.git_dir().join("objects/pack");
    let away = lab.dir.path().join("away");
    fs::create_dir(&away).unwrap();
    for file in data_files(&packs) {
        fs::rename(&file, away.join(file.file_name().unwrap())).unwrap();
    }
    for pack in data_files(&away).iter().filter(|p| p.extension().unwrap() == "pack") {
        let command = format!("git unpack-objects -q < '{}'", pack.display());
        let done = std::process::Command::new("sh").args(["-c", &command]).current_dir(lab.git_dir()).status().unwrap();
        assert!(done.success());
    }
}

fn loose(lab: &Lab, id: &str) -> PathBuf {
    lab.git_dir().join("objects").join(&id[..2]).join(&id[2..])
}

#[test]
fn a_whole_store_is_clean() {
    for lab in [Lab::clear(), Lab::sealed()] {
        filled(&lab);
        lab.made("gw-1", "2", sets()[0].clone());
        let transaction = lab.begin();
        transaction.name(&lab.at("gw-1@2").unwrap(), &"golden".parse().unwrap(), None).unwrap();
        transaction.commit().unwrap();
        for read_data in [false, true] {
            let report = check(&lab, read_data);
            assert_eq!((report.findings.as_slice(), report.devices, report.generations), (&[][..], 2, 5));
            assert_eq!(report.objects > 30, read_data);
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_never_read_as_good() {
    let lab = Lab::clear();
    filled(&lab);
    let expected =
        sets().map(|s| super::lab::set("1", s).entries().iter().filter(|e| e.scope == Scope::Voip).cloned().collect::<Vec<_>>());
    for (n, path) in data_files(&lab.git_dir()).iter().enumerate() {
        let size = fs::metadata(path).unwrap().len();
        for seed in 0..12u64 {
            let at = (seed * 7919 + 31 * n as u64) * 2_654_435_761 % size;
            let before = alter(path, |b| b[usize::try_from(at).unwrap()] ^= 1 << (seed % 8));
            // That `_store` itself does not open is an error, not a wrong answer.
            if let Ok(store) = Store::open(&lab.git_dir()) {
                let refs = store.refs().unwrap();
                let options = CheckOptions { read_data: true, ..CheckOptions::default() };
                let report = store.check(&refs, &options, &|_, _| {}).unwrap();
                let named = report.findings.iter().any(|f| f.file.as_ref() == Some(path) || f.object.is_some());
                assert!(named, "{}:{at} was not found", path.display());
                for number in 1..=3usize {
                    let point = format!("gw-1@{number}").parse().unwrap();
                    let Ok(generation) = store.resolve(&refs, &point) else { continue };
                    let Ok(set) = store.read_set(&refs, &generation, Access { keys: Some(&lab.keys), opener: None }) else {
                        continue;
                    };
                    for (line, entry) in set.manifest().lines.iter().filter(|l| l.scope == Scope::Voip).zip(&expected[number - 1])
                    {
                        let confvault::model::Content::Bytes(bytes) = &entry.content else { panic!() };
                        assert!(set.read(line).map_or(true, |read| read.bytes() == bytes), "wrong bytes were read as good");
                    }
                }
            }
            fs::write(path, before).unwrap();
        }
    }
    assert!(check(&lab, true).is_clean());
}

#[test]
fn damage_names_the_object_and_the_generations_that_need_it() {
    let mut lab = Lab::clear();
    filled(&lab);
    let id = lab.git(&["rev-parse", &format!("{}:voip/b", lab.at("gw-1@1").unwrap().id)]).trim().to_owned();
    unpack(&lab);
    // Both devices have this file: so has every generation but the last.
    for act in ["delete", "empty", "cut", "junk"] {
        let path = loose(&lab, &id);
        let before = alter(&path, |b| match act {
            "empty" => b.clear(),
            "cut" => b.truncate(b.len() / 2),
            "junk" => b.fill(7),
            _ => {}
        });
        if act == "delete" {
            fs::remove_file(&path).unwrap();
        }
        let report = check(&lab, true);
        lab.reopen();
        let found: Vec<_> = report.findings.iter().filter(|f| f.object == ObjectId::from_hex(id.as_bytes()).ok()).collect();
        assert!(!found.is_empty(), "{act}: {report:?}");
        let touched: Vec<_> = found[0].touches.iter().map(|t| (t.device.as_str(), t.first, t.last)).collect();
        assert_eq!(touched, [("gw-1", 1, 2), ("gw-2", 1, 1)], "{act}");
        let fault = if act == "delete" { Fault::Missing } else { Fault::Damaged };
        assert!(found.iter().any(|f| f.fault == fault), "{act}: {found:?}");
        // What the damage does not touch reads as before, and history is listed.
        lab.assert_holds(&lab.at("gw-1@3").unwrap(), &sets()[2]);
        assert!(lab.read(&lab.at("gw-1@1").unwrap()).is_err());
        fs::write(&path, before).unwrap();
        assert!(check(&lab, true).is_clean(), "{act}");
    }
}

#[test]
fn the_next_snapshot_heals_what_it_holds() {
    for kind in ["blob", "tree", "manifest"] {
        let mut lab = Lab::clear();
        filled(&lab);
        let newest = lab.at("gw-1").unwrap();
        let name = match kind {
            "blob" => format!("{}:voip/b", newest.id),
            "tree" => format!("{}:voip", newest.id),
            _ => format!("{}:.confvault/manifest", newest.id),
        };
        let id = lab.git(&["rev-parse", &name]).trim().to_owned();
        unpack(&lab);
        alter(&loose(&lab, &id), Vec::clear);
        lab.reopen();
        assert!(lab.read(&lab.at("gw-1").unwrap()).is_err());
        let report = check(&lab, true);
        assert!(report.findings.iter().any(|f| f.object == ObjectId::from_hex(id.as_bytes()).ok()), "{kind}: {report:?}");
        lab.reopen();
        // The look would have proven the set unchanged; now it is read again and written again.
        assert!(lab.look("gw-1").is_none() && lab.look("gw-2").is_some());
        assert_eq!(lab.put("gw-1", "1", sets()[2].clone()), Outcome::Unchanged { number: 3 }, "{kind}");
        lab.reopen();
        lab.assert_holds(&lab.at("gw-1").unwrap(), &sets()[2]);
        let left = check(&lab, true);
        assert!(left.findings.iter().all(|f| f.fault == Fault::Copy), "{kind}: {left:?}");
        fs::remove_file(loose(&lab, &id)).unwrap();
        assert!(check(&lab, true).is_clean(), "{kind}");
        assert!(lab.look("gw-1").is_some());
        lab.fsck();
    }
}

#[test]
fn what_is_sealed_and_damaged_is_sealed_anew() {
    let mut lab = Lab::sealed();
    filled(&lab);
    let id = lab.git(&["rev-parse", &format!("{}:user/book", lab.at("gw-1").unwrap().id)]).trim().to_owned();
    unpack(&lab);
    alter(&loose(&lab, &id), |b| b.truncate(20));
    assert!(!check(&lab, true).is_clean());
    lab.reopen();
    let fourth = lab.made("gw-1", "1", sets()[2].clone());
    assert_eq!((fourth.number, fourth.changed.to_string()), (4, "+0 ~0 -0".to_owned()));
    lab.assert_holds(&fourth, &sets()[2]);
}

#[test]
fn structure_that_does_not_go_together_is_found() {
    let faults = |lab: &Lab| -> Vec<Fault> { check(lab, false).findings.iter().map(|f| f.fault).collect() };
    let lab = Lab::clear();
    filled(&lab);
    let commit = |n: u64| lab.at(&format!("gw-1@{n}")).unwrap().id.to_string();
    // A line that was moved back.
    let (second, third) = (commit(2), commit(3));
    lab.git(&["update-ref", "refs/heads/gw-1/9", &second]);
    assert!(faults(&lab).contains(&Fault::Line));
    lab.git(&["update-ref", "-d", "refs/heads/gw-1/9"]);
    assert_eq!(faults(&lab), []);
    // A generation whose tree has a file more than its manifest.
    let blob = lab.git(&["rev-parse", &format!("{third}:voip/b")]).trim().to_owned();
    let voip = lab.git(&["ls-tree", &format!("{third}:voip")]) + &format!("100644 blob {blob}\tsmuggled\n");
    let voip = mktree(&lab, &voip);
    let root = lab.git(&["ls-tree", &third]);
    let root: String = root
        .lines()
        .map(|l| if l.ends_with("\tvoip") { format!("040000 tree {voip}\tvoip\n") } else { format!("{l}\n") })
        .collect();
    let root = mktree(&lab, &root);
    let text = lab.git(&["cat-file", "commit", &third]);
    let forged = text.lines().map(|l| if l.starts_with("tree ") { format!("tree {root}\n") } else { format!("{l}\n") });
    let forged = hash_object(&lab, "commit", &forged.collect::<String>());
    lab.git(&["update-ref", "refs/heads/gw-1/1", &forged]);
    let found = check(&lab, false).findings;
    let smuggled = found.iter().find(|f| f.fault == Fault::Manifest).unwrap();
    assert_eq!(smuggled.place.as_deref(), Some("voip/smuggled"));
    assert_eq!((smuggled.touches[0].first, smuggled.touches[0].last), (3, 3));
    lab.git(&["update-ref", "refs/heads/gw-1/1", &third]);
    // Refs and names that nobody made, and a journal that was cut.
    lab.git(&["update-ref", "refs/heads/stranger", &third]);
    lab.git(&["update-ref", "refs/tags/gw-1/moved", &third]);
    let journal = lab.git(&["for-each-ref", "--format=%(refname)", "refs/heads/_journal"]).trim().to_owned();
    lab.git(&["update-ref", &journal.replace("2023-11", "2023-10"), &third]);
    let found = faults(&lab);
    for fault in [Fault::Ref, Fault::Damaged, Fault::Journal] {
        assert!(found.contains(&fault), "{fault}: {found:?}");
    }
}

/// A collector that lies: the newest generation of gw-1 with another digest in one line of its manifest, and
/// everything that hangs on the manifest made to fit.
fn with_other_digest(lab: &Lab, path: &str, field: usize) {
    let newest = lab.at("gw-1").unwrap().id.to_string();
    let manifest = lab.git(&["cat-file", "blob", &format!("{newest}:.confvault/manifest")]);
    let other = |line: &str| {
        let mut fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if fields.last().is_some_and(|last| last == path) {
            let first = if fields[field].starts_with('0') { "1" } else { "0" };
            fields[field].replace_range(..1, first);
        }
        fields.join(" ") + "\n"
    };
    let forged: String = manifest.lines().map(other).collect();
    assert_ne!(forged, manifest);
    let digest = blake3::hash(forged.as_bytes()).to_string();
    let manifest = hash_object(lab, "blob", &forged);
    let replaced = |tree: &str, kind: &str, name: &str, id: &str| -> String {
        let end = format!("\t{name}");
        let listing = lab.git(&["ls-tree", tree]);
        let lines = listing.lines().map(|l| if l.ends_with(&end) { format!("{kind} {id}{end}\n") } else { format!("{l}\n") });
        mktree(lab, &lines.collect::<String>())
    };
    let own = replaced(&format!("{newest}:.confvault"), "100644 blob", "manifest", &manifest);
    let root = replaced(&newest, "040000 tree", ".confvault", &own);
    let commit = lab.git(&["cat-file", "commit", &newest]);
    let commit = commit.lines().map(|l| match l {
        l if l.starts_with("tree ") => format!("tree {root}\n"),
        l if l.starts_with("Set-Digest: ") => format!("Set-Digest: {digest}\n"),
        l => format!("{l}\n"),
    });
    lab.git(&["update-ref", "refs/heads/gw-1/1", &hash_object(lab, "commit", &commit.collect::<String>())]);
}

#[test]
fn bytes_that_are_not_those_of_their_digests_are_found_though_git_finds_them_whole() {
    const PLAIN: usize = 5;
    const STORED: usize = 7;
    for sealed in [false, true] {
        for (path, field) in
            [("voip/b", PLAIN), ("voip/b", STORED), ("user/book", PLAIN), ("user/book", STORED), ("voip/etc/a", PLAIN)]
        {
            let lab = if sealed { Lab::sealed() } else { Lab::clear() };
            filled(&lab);
            with_other_digest(&lab, path, field);
            lab.fsck();
            let report = check(&lab, true);
            let found: Vec<_> = report.findings.iter().map(|f| (f.fault, f.touches.iter().map(|t| t.last).max())).collect();
            assert!(found.contains(&(Fault::Digest, Some(3))), "{sealed} {path} {field}: {report:?}");
        }
    }
}

fn pipe(lab: &Lab, args: &[&str], input: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child =
        Command::new("git").args(args).current_dir(lab.git_dir()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn mktree(lab: &Lab, listing: &str) -> String {
    pipe(lab, &["mktree"], listing)
}

fn hash_object(lab: &Lab, kind: &str, content: &str) -> String {
    pipe(lab, &["hash-object", "-t", kind, "-w", "--stdin"], content)
}

#[test]
fn a_store_of_a_later_version_or_with_an_unknown_feature_is_refused_and_not_written() {
    for (format, name) in [("confvault-store 2\nfeatures\n", "2"), ("confvault-store 1\nfeatures signing sparkle\n", "sparkle")] {
        let lab = Lab::clear();
        lab.made("gw-1", "1", vec![voip("a", "1")]);
        let blob = hash_object(&lab, "blob", format);
        let tree = lab.git(&["ls-tree", "_store"]);
        let tree = tree
            .lines()
            .map(|l| if l.ends_with("\tformat") { format!("100644 blob {blob}\tformat\n") } else { format!("{l}\n") });
        let tree = mktree(&lab, &tree.collect::<String>());
        let text = lab.git(&["cat-file", "commit", "_store"]);
        let text: String =
            text.lines().map(|l| if l.starts_with("tree ") { format!("tree {tree}\n") } else { format!("{l}\n") }).collect();
        lab.git(&["update-ref", "refs/heads/_store", &hash_object(&lab, "commit", &text)]);
        let before = lab.git(&["for-each-ref"]);
        let error = Store::open(&lab.git_dir()).unwrap_err().to_string();
        assert!(error.ends_with(&format!(": {name}")), "{error}");
        // One that was open before notices under the lock.
        let transaction = lab.begin();
        let set = super::lab::set("1", vec![voip("a", "2")]);
        lab.encode_in(&transaction, "gw-1", set, lab.meta(), &super::lab::RULES).unwrap();
        assert!(transaction.commit().is_err());
        assert_eq!(lab.git(&["for-each-ref"]), before);
    }
}
