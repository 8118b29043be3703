//! What was replaced by something else that is genuine in itself: another file, an older version, an older state.
//!
//! Two kinds of forgers: whoever holds a mirror can write what they like and sign nothing; whoever stole a
//! collector can sign, and open nothing.
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

#[path = "sealing/lab.rs"]
mod lab;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use confvault::mirror::MirrorError;
use confvault::ops::check::{self, Report};
use confvault::ops::keys::{KeyChange, apply};
use confvault::store::decode::Decoded;
use confvault::store::object::{sign_commit, split_commit};
use confvault::store::{Error as StoreError, Outcome};
use lab::Lab;

/// Git in a repository, with an index of the test's own.
struct Forger {
    repo: PathBuf,
    index: PathBuf,
}

impl Forger {
    fn of(lab: &Lab) -> Self {
        Self { repo: lab.store_dir(), index: lab.dir.path().join("index") }
    }

    fn git(&self, args: &[&str], input: &[u8]) -> String {
        let mut git = Command::new("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", "/nonexistent").env("GIT_INDEX_FILE", &self.index);
        git.current_dir(&self.repo).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = git.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn blob(&self, at: &str, path: &str) -> String {
        self.git(&["rev-parse", &format!("{at}:{path}")], b"")
    }

    fn manifest(&self, at: &str) -> String {
        self.git(&["show", &format!("{at}:.confvault/manifest")], b"") + "\n"
    }

    /// Makes the newest generation of a line say something else, and keeps everything else of it; gives the
    /// payload that would have to be signed.
    fn payload(&self, line: &str, manifest: &str, blobs: &[(&str, String)]) -> String {
        let old = self.manifest(line);
        self.git(&["read-tree", line], b"");
        let written = self.git(&["hash-object", "-w", "--stdin"], manifest.as_bytes());
        for (path, id) in blobs.iter().map(|(p, i)| (*p, i.as_str())).chain([(".confvault/manifest", written.as_str())]) {
            self.git(&["update-index", "--cacheinfo", &format!("100644,{id},{path}")], b"");
        }
        let tree = self.git(&["write-tree"], b"");
        let commit = self.git(&["cat-file", "commit", line], b"");
        let (payload, _) = split_commit(format!("{commit}\n").as_bytes()).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
        let payload = payload.replace(&digest(&old), &digest(manifest));
        payload.replacen(payload.lines().next().unwrap(), &format!("tree {tree}"), 1)
    }

    fn set(&self, line: &str, commit: &[u8]) {
        let id = self.git(&["hash-object", "-t", "commit", "-w", "--stdin"], commit);
        self.git(&["update-ref", &format!("refs/heads/{line}"), &id], b"");
    }

    /// As a thief of the collector's key.
    fn signed(&self, lab: &Lab, line: &str, manifest: &str, blobs: &[(&str, String)]) {
        let payload = self.payload(line, manifest, blobs);
        let armour = lab.vault().signing.unwrap().sign(payload.as_bytes()).unwrap();
        self.set(line, &sign_commit(payload.as_bytes(), &armour));
    }

    /// As a mirror's host: with the signature of what stood there before.
    fn borrowed(&self, line: &str, manifest: &str, blobs: &[(&str, String)]) {
        let payload = self.payload(line, manifest, blobs);
        let commit = self.git(&["cat-file", "commit", line], b"");
        let (_, armour) = split_commit(format!("{commit}\n").as_bytes()).unwrap();
        self.set(line, &sign_commit(payload.as_bytes(), &armour));
    }
}

/// The field of a manifest's line that says what the bytes as stored are, or the like.
fn field(manifest: &str, ends: &str, at: usize) -> String {
    manifest.lines().find(|l| l.ends_with(ends)).unwrap().split(' ').nth(at).unwrap().to_owned()
}

fn line_of<'m>(manifest: &'m str, ends: &str) -> &'m str {
    manifest.lines().find(|l| l.ends_with(ends)).unwrap()
}

const STORED: usize = 7;

fn place(manifest: &str, ends: &str) -> String {
    line_of(manifest, ends).rsplit(' ').next().unwrap().to_owned()
}

fn check(lab: &Lab) -> Report {
    let options = check::Options { read_data: true, ..check::Options::default() };
    check::check(&lab.root(), Some(&lab.identities()), &options, &|_, _| {}).unwrap()
}

/// Both open, but neither is what the manifest says it is.
#[test]
fn sealed_files_that_changed_places_open_and_are_refused() {
    let lab = Lab::sealed();
    lab.add("box", "generic");
    lab.write("box", "a.bin", b"\0the first");
    lab.write("box", "b.bin", b"\0the second");
    lab.snapshot("box");
    let forger = Forger::of(&lab);
    let manifest = forger.manifest("box/1.0");
    assert!(line_of(&manifest, "/a.bin").contains("packed,sealed"), "{manifest}");
    let (a, b) = (field(&manifest, "/a.bin", STORED), field(&manifest, "/b.bin", STORED));
    let (place_a, place_b) = (place(&manifest, "/a.bin"), place(&manifest, "/b.bin"));
    let swapped = manifest.replace(&a, "HERE").replace(&b, &a).replace("HERE", &b);
    let blobs = [(&*place_a, forger.blob("box/1.0", &place_b)), (&*place_b, forger.blob("box/1.0", &place_a))];
    forger.signed(&lab, "box/1.0", &swapped, &blobs);
    let files = lab.files("box", Some(&lab.opener()));
    for place in [&place_a, &place_b] {
        assert!(matches!(files[place], Err(StoreError::FileDamaged { .. })), "{place}: {:?}", files[place]);
    }
    assert!(!check(&lab).is_clean());
}

/// A device with a sealed file, a sealed file in chunks and a masked one, in two versions.
fn two_versions(lab: &Lab) {
    lab.add("box", "asterisk");
    for version in ["old", "new"] {
        lab.write("box", "etc/asterisk/sip.conf", format!("[100]\nsecret={version}-secret-of-100\n"));
        lab.write("box", "etc/asterisk/astdb.sqlite3", format!("\0sealed {version}"));
        let mut large = vec![0_u8; 9 << 20];
        let mut state = version.len() as u64 + u64::from(version.as_bytes()[0]);
        for byte in &mut large {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        lab.write("box", "var/lib/asterisk/sounds/custom/large.bin", &large);
        assert!(matches!(lab.snapshot("box"), Outcome::Generation(_)));
    }
}

#[test]
fn an_older_version_of_a_sealed_file_is_refused() {
    let lab = Lab::sealed();
    two_versions(&lab);
    assert!(check(&lab).is_clean());
    let forger = Forger::of(&lab);
    let (old, new) = (forger.manifest("box/1.0~1"), forger.manifest("box/1.0"));
    let file = place(&new, "/astdb.sqlite3");
    let forged = new.replace(&field(&new, "/astdb.sqlite3", STORED), &field(&old, "/astdb.sqlite3", STORED));
    assert_ne!(forged, new);
    forger.signed(&lab, "box/1.0", &forged, &[(&file, forger.blob("box/1.0~1", &file))]);
    let files = lab.files("box", Some(&lab.opener()));
    assert!(matches!(files[&file], Err(StoreError::FileDamaged { .. })), "{:?}", files[&file]);
    // The others of the set are as they were.
    assert!(files.iter().filter(|(name, _)| **name != file).all(|(_, read)| matches!(read, Ok(Decoded::Plain(_)))));
    // The damage, and a head that this machine did not write.
    let report = check(&lab);
    assert_eq!((report.data.findings.len(), report.signatures.unwrap().findings.len()), (1, 1));
}

#[test]
fn an_older_version_of_the_secrets_is_refused() {
    let lab = Lab::sealed();
    two_versions(&lab);
    let forger = Forger::of(&lab);
    let (old, new) = (forger.manifest("box/1.0~1"), forger.manifest("box/1.0"));
    let secrets = |manifest: &str| manifest.lines().find(|l| l.starts_with("secrets ")).unwrap().to_owned();
    // As a whole, and with the digest of the right one.
    let stored = |line: &str| line.split(' ').nth(2).unwrap().to_owned();
    let whole = new.replace(&secrets(&new), &secrets(&old));
    let mixed = new.replace(&stored(&secrets(&new)), &stored(&secrets(&old)));
    let head = forger.git(&["rev-parse", "box/1.0"], b"");
    for forged in [whole, mixed] {
        forger.signed(
            &lab,
            "box/1.0",
            &forged,
            &[(".confvault/secrets.age", forger.blob("box/1.0~1", ".confvault/secrets.age"))],
        );
        let vault = lab.vault();
        let refs = vault.store.refs().unwrap();
        let opener = lab.opener();
        let access = confvault::store::Access { keys: Some(&vault.keys), opener: Some(&opener) };
        let generation = lab.generation("box");
        let set = vault.store.read_set(&refs, &generation, access);
        let refused = set.and_then(|set| {
            let line = set.manifest().lines.iter().find(|l| l.path.to_string().ends_with("sip.conf")).unwrap();
            set.read(line)
        });
        assert!(refused.is_err(), "{refused:?}");
        assert!(!check(&lab).is_clean());
        forger.git(&["update-ref", "refs/heads/box/1.0", &head], b"");
    }
    assert!(check(&lab).is_clean());
}

#[test]
fn an_older_masked_text_and_an_older_chunk_are_refused() {
    let lab = Lab::sealed();
    two_versions(&lab);
    let forger = Forger::of(&lab);
    let (old, new) = (forger.manifest("box/1.0~1"), forger.manifest("box/1.0"));
    let head = forger.git(&["rev-parse", "box/1.0"], b"");
    // Of what is plain or masked, the older bytes with the newer keyed digest; of what is in chunks, the older list.
    for name in ["/sip.conf", "/large.bin"] {
        let file = place(&new, name);
        let forged = new.replace(&field(&new, name, STORED), &field(&old, name, STORED));
        assert_ne!(forged, new);
        forger.signed(&lab, "box/1.0", &forged, &[(&file, forger.blob("box/1.0~1", &file))]);
        let files = lab.files("box", Some(&lab.opener()));
        assert!(files[&file].is_err(), "{name}: {:?}", files[&file]);
        assert!(!check(&lab).is_clean(), "{name}");
        forger.git(&["update-ref", "refs/heads/box/1.0", &head], b"");
    }
}

/// A mirror whose host alters, drops, reorders and rolls back.
#[test]
fn a_host_that_alters_what_it_holds_is_noticed_by_who_rebuilds() {
    let lab = Lab::sealed();
    two_versions(&lab);
    lab.write("box", "etc/asterisk/sip.conf", "[100]\nsecret=third\n");
    lab.snapshot("box");
    let genuine = Forger::of(&lab);
    let attacks: [(&str, &dyn Fn(&Forger)); 7] = [
        ("an older version of a file", &|forger| {
            let (old, new) = (forger.manifest("box/1.0~2"), forger.manifest("box/1.0"));
            let file = place(&new, "/astdb.sqlite3");
            let forged = new.replace(&field(&new, "/astdb.sqlite3", STORED), &field(&old, "/astdb.sqlite3", STORED));
            forger.borrowed("box/1.0", &forged, &[(&file, forger.blob("box/1.0~2", &file))]);
        }),
        ("a readable file altered", &|forger| {
            let new = forger.manifest("box/1.0");
            let file = place(&new, "/sip.conf");
            let text = forger.git(&["show", &format!("box/1.0:{file}")], b"").replace("[100]", "[666]") + "\n";
            let id = forger.git(&["hash-object", "-w", "--stdin"], text.as_bytes());
            let forged = new.replace(&field(&new, "/sip.conf", STORED), blake3::hash(text.as_bytes()).to_hex().as_str());
            forger.borrowed("box/1.0", &forged, &[(&file, id)]);
        }),
        ("a generation taken out of the middle", &|forger| {
            let commit = forger.git(&["cat-file", "commit", "box/1.0"], b"");
            let (payload, armour) = split_commit(format!("{commit}\n").as_bytes()).unwrap();
            let payload = String::from_utf8(payload).unwrap();
            let (parent, first) = (forger.git(&["rev-parse", "box/1.0~1"], b""), forger.git(&["rev-parse", "box/1.0~2"], b""));
            forger.set("box/1.0", &sign_commit(payload.replace(&parent, &first).as_bytes(), &armour));
        }),
        ("two generations that changed places", &|forger| {
            let order = ["box/1.0", "box/1.0~1"].map(|at| forger.git(&["cat-file", "commit", at], b""));
            let ids = ["box/1.0~1", "box/1.0~2"].map(|at| forger.git(&["rev-parse", at], b""));
            for (commit, parent) in order.iter().zip([&ids[1], &"HEAD".to_owned()]) {
                let parent = if parent == "HEAD" { forger.git(&["rev-parse", "box/1.0"], b"") } else { parent.clone() };
                let (payload, armour) = split_commit(format!("{commit}\n").as_bytes()).unwrap();
                let payload = String::from_utf8(payload).unwrap();
                let now = payload.lines().find(|l| l.starts_with("parent ")).unwrap().to_owned();
                forger.set("box/1.0", &sign_commit(payload.replace(&now, &format!("parent {parent}")).as_bytes(), &armour));
            }
        }),
        ("the line of one device under the name of another", &|forger| {
            forger.git(&["update-ref", "refs/heads/other/1.0", "box/1.0"], b"");
        }),
        ("a name that points elsewhere", &|forger| {
            let tag = forger.git(&["cat-file", "tag", "box/golden"], b"");
            let (from, to) = (forger.git(&["rev-parse", "box/1.0"], b""), forger.git(&["rev-parse", "box/1.0~1"], b""));
            let id = forger.git(&["hash-object", "-t", "tag", "-w", "--stdin"], (tag.replace(&from, &to) + "\n").as_bytes());
            forger.git(&["update-ref", "refs/tags/box/golden", &id], b"");
        }),
        ("a record taken out of the journal", &|forger| {
            let journal = forger.git(&["for-each-ref", "--format=%(refname)", "refs/heads/_journal"], b"");
            let tree = forger.git(&["rev-parse", &format!("{journal}~1^{{tree}}")], b"");
            let commit = forger.git(&["cat-file", "commit", &journal], b"");
            let forged = commit.replacen(commit.lines().next().unwrap(), &format!("tree {tree}"), 1) + "\n";
            let id = forger.git(&["hash-object", "-t", "commit", "-w", "--stdin"], forged.as_bytes());
            forger.git(&["update-ref", &journal, &id], b"");
        }),
    ];
    confvault::ops::name::name(&lab.vault(), &"box@3".parse().unwrap(), &"golden".parse().unwrap(), None).unwrap();
    for (what, attack) in attacks {
        let mirror = lab.dir.path().join("mirror.git");
        let _ = fs::remove_dir_all(&mirror);
        let cloned = Command::new("git").args(["clone", "-q", "--mirror"]).args([&genuine.repo, &mirror]).status().unwrap();
        assert!(cloned.success());
        attack(&Forger { repo: mirror.clone(), index: lab.dir.path().join("index") });
        let root = lab.dir.path().join("rebuilt");
        let _ = fs::remove_dir_all(&root);
        let rebuilt = rebuild(&lab, &mirror, &root);
        let noticed = match rebuilt {
            Ok(report) => !report.is_clean(),
            Err(confvault::ops::Error::Mirror(MirrorError::Hostile { .. } | MirrorError::Git { .. })) => true,
            Err(error) => panic!("{what}: {error}"),
        };
        assert!(noticed, "{what} was not noticed");
    }
    // And what is not altered is good.
    let _ = fs::remove_dir_all(lab.dir.path().join("rebuilt"));
    assert!(rebuild(&lab, &genuine.repo, &lab.dir.path().join("rebuilt")).unwrap().is_clean());
}

fn rebuild(lab: &Lab, mirror: &Path, root: &Path) -> Result<Report, confvault::ops::Error> {
    use confvault::mirror::{GitEnv, GitUrl, Limits, Remote};
    let url: GitUrl = mirror.to_str().unwrap().parse().unwrap();
    let env = GitEnv::of(std::env::vars_os());
    let remote = Remote { url: &url, env: &env, limits: Limits::default(), cancel: None };
    let (admin, identities) = (Some(lab.admin()), lab.identities());
    let options = confvault::ops::rebuild::Options {
        root: root.to_owned(),
        remote,
        collector: "central".parse().ok(),
        admin,
        identities,
        fingerprint: None,
    };
    Ok(confvault::ops::rebuild::rebuild(&options)?.check)
}

/// A collector that was stolen signs an inventory in the place of another's: whoever rebuilds that one would run what it
/// says. Its own signature is genuine.
#[test]
fn the_inventory_of_a_collector_is_its_own() {
    let lab = Lab::sealed();
    two_versions(&lab);
    let vault = lab.vault();
    let keep = vault.store.begin(vault.who(&confvault::ops::Vault::new_run())).unwrap();
    let files = confvault::ops::take_over::collector_files(&lab.root()).unwrap();
    keep.collector_files(files);
    keep.commit().unwrap();
    let thief = confvault::seal::SigningKey::generate("branch").unwrap();
    let recipient = confvault::seal::EpochIdentity::generate().recipient();
    let change = KeyChange::Admit { name: "branch".parse().unwrap(), recipient, signer: thief.public() };
    let mut store = confvault::store::Store::open(&lab.store_dir()).unwrap();
    let ring = lab.vault().ring;
    apply(&mut store, &ring, &change, &lab.identities(), &lab.admin().key().unwrap(), chrono::Utc::now()).unwrap();
    let genuine = Forger::of(&lab);
    assert!(rebuild(&lab, &genuine.repo, &lab.dir.path().join("good")).unwrap().is_clean());

    for name in ["refs/heads/_collector/central", "refs/heads/_journal/central/2024-01", "refs/heads/_logs/central/2024-01"] {
        let mirror = lab.dir.path().join("mirror.git");
        let _ = fs::remove_dir_all(&mirror);
        let cloned = Command::new("git").args(["clone", "-q", "--mirror"]).args([&genuine.repo, &mirror]).status().unwrap();
        assert!(cloned.success());
        let forger = Forger { repo: mirror.clone(), index: lab.dir.path().join("index") };
        let inventory = fs::read_to_string(lab.root().join("confvault.toml")).unwrap();
        let evil = inventory + "\n[devices.evil]\nsource = \"ssh://x\"\ncredential = \"command:touch /tmp/evil\"\n";
        let blob = forger.git(&["hash-object", "-w", "--stdin"], evil.as_bytes());
        let tree = forger.git(&["mktree"], format!("100644 blob {blob}\tconfvault.toml\n").as_bytes());
        let who = "branch <branch@confvault> 1700000000 +0000";
        let payload = format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n\nConfvault-Format: 1\nCollector: branch\n");
        let signed = sign_commit(payload.as_bytes(), &thief.sign(payload.as_bytes()).unwrap());
        let id = forger.git(&["hash-object", "-t", "commit", "-w", "--stdin"], &signed);
        forger.git(&["update-ref", name, &id], b"");
        let root = lab.dir.path().join("rebuilt");
        let _ = fs::remove_dir_all(&root);
        let report = rebuild(&lab, &mirror, &root).unwrap();
        let found = report.signatures.unwrap().findings;
        assert!(
            found.iter().any(|f| f.reference == name && f.to_string().contains("in the name of central")),
            "{name}: {found:?}"
        );
        assert!(!fs::read_to_string(root.join("confvault.toml")).unwrap().contains("evil"), "{name}");
    }
}

/// A device cannot have a secret put where it is told: a token that it read on a mirror is a text like any other.
#[test]
fn a_token_that_a_device_plants_opens_nothing() {
    let lab = Lab::sealed();
    lab.add("box", "asterisk");
    lab.write("box", "etc/asterisk/sip.conf", "[100]\nsecret=the-real-secret\n");
    lab.write("box", "etc/asterisk/extensions.conf", "[internal]\n");
    lab.snapshot("box");
    let forger = Forger::of(&lab);
    let shown = forger.git(&["show", "box/1.0:voip/etc/asterisk/sip.conf"], b"");
    let token = &shown[shown.find("{{sealed:").unwrap()..shown.find("}}").unwrap() + 2];
    let planted = format!("[internal]\n; {token}\nexten => 1,1,NoOp({token})\nsecret={token}\n");
    lab.write("box", "etc/asterisk/extensions.conf", &planted);
    lab.write("box", "etc/asterisk/sip.conf", format!("[100]\nsecret=the-real-secret\n;{token}\n"));
    lab.snapshot("box");
    let files = lab.files("box", Some(&lab.opener()));
    let Ok(Decoded::Plain(text)) = &files["voip/etc/asterisk/extensions.conf"] else { panic!("{files:?}") };
    assert_eq!(String::from_utf8_lossy(text), planted);
    lab.equals_source("box");
    // Restored by hand it is no other: the token does not stand in the stored text as a token.
    let stored = forger.git(&["show", "box/1.0:voip/etc/asterisk/extensions.conf"], b"");
    assert!(!stored.contains(token), "{stored}");
}

/// Whoever holds a mirror and has a guess cannot confirm it: no digest of a secret or of what is sealed stands there
/// without a key.
#[test]
fn a_guess_is_not_confirmed_by_what_a_mirror_holds() {
    let lab = Lab::sealed();
    lab.add("box", "asterisk");
    let secret = "guessed-it-right";
    let sealed = b"\0what a recording is made of";
    let text = format!("[100]\nsecret={secret}\n");
    lab.write("box", "etc/asterisk/sip.conf", &text);
    lab.write("box", "var/lib/asterisk/sounds/custom/a.wav", sealed);
    lab.snapshot("box");
    let tool = |program: &str, bytes: &[u8]| {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let out = child.wait_with_output().unwrap();
        String::from_utf8(out.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    let forger = Forger::of(&lab);
    let mut digests = Vec::new();
    for guess in [secret.as_bytes(), format!("{secret}\n").as_bytes(), sealed.as_slice(), text.as_bytes()] {
        digests.push(blake3::hash(guess).to_hex().to_string());
        for program in ["md5sum", "sha1sum", "sha256sum", "sha512sum"] {
            digests.push(tool(program, guess));
        }
        digests.push(forger.git(&["hash-object", "--stdin"], guess));
    }
    for (id, data) in lab::objects(&lab.store_dir()) {
        for digest in &digests {
            let raw: Vec<u8> =
                (0..digest.len() / 2).map(|i| u8::from_str_radix(&digest[2 * i..2 * i + 2], 16).unwrap()).collect();
            let has = |what: &[u8]| memchr::memmem::find(&data, what).is_some();
            // Half of a digest is enough to confirm a guess.
            let shown =
                has(digest.as_bytes()) || has(&digest.as_bytes()[..32]) || has(&raw[..16]) || id.starts_with(digest.as_str());
            assert!(!shown, "{digest} stands in {id}");
        }
    }
}
