//! `docs/restore-by-hand.md`: runs exactly the commands of that page, with the real programs.
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

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use confvault::model::Point;
use confvault::ops::init::Sealing;
use confvault::seal::Recipients;
use lab::{CANARY, Lab};

/// The commands of the page: each block that is marked as `sh`, in order.
fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/restore-by-hand.md")).unwrap();
    let parts = page.split("```sh\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap().to_owned()).collect()
}

/// All programs of a bare machine: those that the page names, and what every system has.
const BARE: &[&str] = &[
    "age",
    "bash",
    "cat",
    "chmod",
    "cut",
    "git",
    "grep",
    "ln",
    "mkdir",
    "rm",
    "sed",
    "sort",
    "ssh-keygen",
    "stat",
    "tail",
    "tr",
    "zstd",
];

/// Runs the page for a point; only the values of its first block are others.
fn by_hand(lab: &Lab, identity: &Path, point: &str) -> Output {
    by_hand_from(lab, &lab.store_dir(), identity, point)
}

/// The same from a copy of the store.
fn by_hand_from(lab: &Lab, mirror: &Path, identity: &Path, point: &str) -> Output {
    by_hand_of(lab, mirror, identity, point, "")
}

/// The same, for the logs of a device where one is named.
fn by_hand_of(lab: &Lab, mirror: &Path, identity: &Path, point: &str, logs_of: &str) -> Output {
    let work = lab.dir.path().join("bare-machine");
    std::fs::remove_dir_all(&work).ok();
    std::fs::create_dir(&work).unwrap();
    let bin = lab.dir.path().join("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        for program in BARE {
            let found =
                std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|dir| dir.join(program)).find(|p| p.is_file());
            symlink(found.unwrap_or_else(|| panic!("{program} is needed")), bin.join(program)).unwrap();
        }
    }
    let blocks = blocks();
    assert!(blocks.len() >= 5, "the page lost its commands");
    for name in ["MIRROR=", "IDENTITY=", "POINT=", "OUT=", "LOGS_OF="] {
        assert!(blocks[0].contains(name), "the first block of the page does not set {name}");
    }
    let mut script = String::from("set -eu\n");
    script += &format!("MIRROR='{}'\nIDENTITY='{}'\n", mirror.display(), identity.display());
    script += &format!("POINT='{point}'\nOUT=$PWD/restored\nLOGS_OF={logs_of}\n");
    for block in &blocks[1..] {
        script += block;
    }
    let mut bash = Command::new(bin.join("bash"));
    bash.arg("-c").arg(script).current_dir(&work).env_clear().env("PATH", &bin);
    bash.env("HOME", &work).env("GIT_CONFIG_NOSYSTEM", "1");
    bash.output().unwrap()
}

#[track_caller]
fn ok(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
}

/// Compares what was restored with the source: bytes, modes, links, empty directories.
fn equal(lab: &Lab, device: &str) {
    let merged = lab.dir.path().join("bare-machine/all");
    std::fs::create_dir(&merged).unwrap();
    for scope in ["voip", "system", "user"] {
        let from = lab.dir.path().join("bare-machine/restored").join(scope);
        if from.is_dir() {
            let copied = Command::new("cp").arg("-a").arg(format!("{}/.", from.display())).arg(&merged).status().unwrap();
            assert!(copied.success());
        }
    }
    let list = |dir: &Path| {
        let find = "find . -mindepth 1 ! -type d -printf '%y %m %P %l\\n' | sort; find . -mindepth 1 -type d -printf 'd %m %P\\n' | sort";
        let out = Command::new("sh").arg("-c").arg(find).current_dir(dir).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    assert_eq!(list(&merged), list(&lab.source(device)));
    let diff = Command::new("diff").arg("-r").arg("--no-dereference").arg(&merged).arg(lab.source(device)).output().unwrap();
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
}

/// A device with everything that is hard to put back.
fn hard(lab: &Lab) {
    lab.pbx();
    let source = lab.source("pbx");
    std::fs::create_dir_all(source.join("etc/asterisk/empty")).unwrap();
    symlink("../sip.conf", source.join("etc/asterisk/keys/link with blank")).unwrap();
    lab.write("pbx", "etc/asterisk/.gitattributes", "* text\n");
    lab.write("pbx", "etc/asterisk/a %41 name\\with all.conf", format!("[x]\npassword={CANARY}&/\\\\n\n"));
    lab.write("pbx", "etc/asterisk/caf\u{e9}.conf", "no newline at the end");
    lab.write("pbx", "etc/asterisk/empty.conf", "");
    let script = source.join("etc/asterisk/run.sh");
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o750)).unwrap();
    // Over the limit for one blob: chunks below refs/large.
    let mut random = Vec::new();
    let mut hash = blake3::Hasher::new();
    hash.update(b"seed");
    hash.finalize_xof().fill({
        random.resize(10 << 20, 0);
        &mut random
    });
    lab.write("pbx", "var/lib/asterisk/sounds/large.wav", &random);
    assert!(lab.try_snapshot().unwrap().devices.iter().all(|d| d.result.is_ok()));
}

#[test]
fn the_page_restores_a_sealed_store() {
    let lab = Lab::sealed();
    hard(&lab);
    let identity = lab.admin().identity_file().unwrap();
    ok(&by_hand(&lab, &identity, "pbx/1.0"));
    equal(&lab, "pbx");
}

/// A bare machine, a copy of the store, one identity, and the page: everything comes back.
#[test]
fn all_devices_come_back_on_a_bare_machine() {
    let lab = Lab::sealed();
    hard(&lab);
    // Devices of other families, one of them with a name that is a part of another's.
    for (device, profile, path, text) in [
        (
            "gw-1",
            "cisco-ios",
            "running-config",
            format!("hostname gw-1\nsnmp-server community {CANARY} RO\nenable secret 0 {CANARY}x\nend\n"),
        ),
        ("gw", "generic", "etc/frr/frr.conf", "router bgp 65001\n".to_owned()),
        ("phone", "generic", "a b/c%d.xml", format!("<x><password>{CANARY}</password></x>")),
    ] {
        lab.add(device, profile);
        lab.write(device, path, text);
    }
    assert!(lab.try_snapshot().unwrap().devices.iter().all(|d| d.result.is_ok()));
    // A second epoch, a second release: what was written before and after must both come back.
    keys_rotated(&lab);
    lab.write("gw-1", "running-config", format!("hostname gw-1\nsnmp-server community {CANARY}new RO\nend\n"));
    let file = lab.root().join("confvault.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let at = text.find("[devices.gw-1]").unwrap();
    let text = format!("{}{}", &text[..at], text[at..].replacen("release = \"1.0\"", "release = \"15.7(3)M6\"", 1));
    std::fs::write(&file, text).unwrap();
    assert!(lab.try_snapshot().unwrap().devices.iter().all(|d| d.result.is_ok()));

    // The store as it lies on a stick, and what an administrator took along; nothing else is left.
    let stick = lab.dir.path().join("stick");
    std::fs::create_dir(&stick).unwrap();
    let copied = Command::new("cp").arg("-r").arg(lab.store_dir()).arg(stick.join("store.git")).status().unwrap();
    assert!(copied.success());
    std::fs::copy(lab.admin().identity_file().unwrap(), stick.join("identity.txt")).unwrap();
    std::fs::remove_dir_all(lab.root()).unwrap();
    std::fs::remove_dir_all(lab.admin().dir()).unwrap();
    let mut git = Command::new("git");
    git.arg("-C").arg(stick.join("store.git")).args(["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]);
    let heads = git.output().unwrap();
    let heads = String::from_utf8(heads.stdout).unwrap();
    let lines: Vec<&str> = heads.lines().filter(|name| !name.starts_with('_')).collect();
    assert_eq!(lines, ["gw-1/1.0", "gw-1/15.7(3)M6", "gw/1.0", "pbx/1.0", "phone/1.0"]);
    for line in lines {
        ok(&by_hand_from(&lab, &stick.join("store.git"), &stick.join("identity.txt"), line));
        match line {
            // The set as it was before it changed.
            "gw-1/1.0" => {
                let restored = lab.dir.path().join("bare-machine/restored/voip/running-config");
                assert!(std::fs::read_to_string(restored).unwrap().contains(&format!("enable secret 0 {CANARY}x\n")));
            }
            line => equal(&lab, line.split('/').next().unwrap()),
        }
    }
}

/// Logs lie apart from the generations, and are restored by the same page.
#[test]
fn the_page_restores_logs() {
    for lab in [Lab::sealed(), Lab::new(Sealing::Off)] {
        lab.pbx();
        lab.add("other", "asterisk");
        lab.write("other", "etc/asterisk/sip.conf", "[100]\ntype=friend\n");
        let full = format!("[Nov 1] REGISTER with {CANARY}\n");
        lab.write("pbx", "var/log/asterisk/full", "older\n");
        lab.snapshot("pbx");
        lab.write("pbx", "var/log/asterisk/full", &full);
        // Over the limit for one blob: chunks beside the manifest of the logs.
        let mut large = vec![0; 10 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut large);
        lab.write("pbx", "var/log/asterisk/queue log", &large);
        lab.snapshot("pbx");
        // A later commit of the month, with the logs of another device only.
        lab.write("other", "var/log/asterisk/full", "of another\n");
        lab.snapshot("other");
        let month = format!("_logs/central/{}", chrono::Utc::now().format("%Y-%m"));
        let identity = lab.admin().identity_file().unwrap_or_else(|| "/dev/null".into());
        let restored = lab.dir.path().join("bare-machine/restored/logs/var/log/asterisk");
        ok(&by_hand_of(&lab, &lab.store_dir(), &identity, &month, "pbx"));
        assert_eq!(std::fs::read_to_string(restored.join("full")).unwrap(), full);
        assert!(std::fs::read(restored.join("queue log")).unwrap() == large);
        ok(&by_hand_of(&lab, &lab.store_dir(), &identity, &month, "other"));
        assert_eq!(std::fs::read_to_string(restored.join("full")).unwrap(), "of another\n");
        assert!(!restored.join("queue log").exists());
    }
}

fn keys_rotated(lab: &Lab) {
    use confvault::ops::keys::{KeyChange, KeyRing, apply};
    let mut store = confvault::store::Store::open(&lab.store_dir()).unwrap();
    let (ring, now) = (KeyRing::at(&lab.root()), chrono::Utc::now());
    let done = apply(&mut store, &ring, &KeyChange::Rotate, &lab.identities(), &lab.admin().key().unwrap(), now).unwrap();
    assert_eq!(done.epoch, 2);
}

#[test]
fn the_page_restores_a_name_with_an_ssh_key() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("id_ed25519");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    let recipients = Recipients::from_argument(key.with_extension("pub").to_str().unwrap()).unwrap();
    let lab = Lab::new(Sealing::To(recipients));
    hard(&lab);
    let vault = lab.vault();
    let point: Point = "pbx@1".parse().unwrap();
    let generation = vault.store.resolve(&vault.store.refs().unwrap(), &point).unwrap();
    let transaction = vault.store.begin(vault.who(&confvault::ops::Vault::new_run())).unwrap();
    transaction.name(&generation, &"golden".parse().unwrap(), None).unwrap();
    transaction.commit().unwrap();
    ok(&by_hand(&lab, &key, "pbx/golden"));
    equal(&lab, "pbx");
}

#[test]
fn the_page_restores_a_store_in_clear() {
    let lab = Lab::new(Sealing::Off);
    hard(&lab);
    ok(&by_hand(&lab, Path::new("/dev/null"), "pbx/1.0"));
    equal(&lab, "pbx");
}

#[test]
fn the_page_ends_with_an_error_where_the_identity_is_wrong() {
    let (lab, other) = (Lab::sealed(), Lab::sealed());
    lab.pbx();
    lab.snapshot("pbx");
    let output = by_hand(&lab, &other.admin().identity_file().unwrap(), "pbx/1.0");
    assert!(!output.status.success());
    assert!(!lab.dir.path().join("bare-machine/restored").exists());
}
