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

/// Runs the page for a point; only the values of its first block are others.
fn by_hand(lab: &Lab, identity: &Path, point: &str) -> Output {
    let work = lab.dir.path().join("bare-machine");
    std::fs::remove_dir_all(&work).ok();
    std::fs::create_dir(&work).unwrap();
    let blocks = blocks();
    assert!(blocks.len() >= 5, "the page lost its commands");
    for name in ["MIRROR=", "IDENTITY=", "POINT=", "OUT="] {
        assert!(blocks[0].contains(name), "the first block of the page does not set {name}");
    }
    let mut script = String::from("set -eu\n");
    script += &format!("MIRROR='{}'\nIDENTITY='{}'\n", lab.store_dir().display(), identity.display());
    script += &format!("POINT='{point}'\nOUT=$PWD/restored\n");
    for block in &blocks[1..] {
        script += block;
    }
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).current_dir(&work).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
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
