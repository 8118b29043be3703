//! Algorithms of old devices, against a real OpenSSH server that offers nothing else.

use std::fs;
use std::process::Command;

use crate::rig::{Rig, file, whole};
use crate::sshd_server::{Sshd, available};

const PROFILE: &str =
    "[session]\nmode = \"exec\"\n[[command]]\nrun = \"echo state of $((40+2))\"\npath = \"state\"\nscope = \"voip\"\n";

/// Lines of the server's configuration, the kind of host key, and what has to be allowed.
const CASES: [(&str, &str, &[&str], &str); 6] = [
    ("Ciphers aes128-cbc", "ed25519", &["aes128-cbc"], "cipher"),
    ("Ciphers 3des-cbc", "ed25519", &["3des-cbc"], "cipher"),
    ("KexAlgorithms diffie-hellman-group14-sha1", "ed25519", &["diffie-hellman-group14-sha1"], "key exchange"),
    ("Ciphers aes128-ctr\nMACs hmac-sha1", "ed25519", &["hmac-sha1"], "MAC"),
    ("HostKeyAlgorithms ssh-rsa", "rsa", &["ssh-rsa"], "host key"),
    // A gateway of IOS 15.
    (
        "KexAlgorithms diffie-hellman-group1-sha1\nHostKeyAlgorithms ssh-rsa\nCiphers aes256-cbc\nMACs hmac-sha1",
        "rsa",
        &["diffie-hellman-group1-sha1", "ssh-rsa", "aes256-cbc", "hmac-sha1"],
        "key exchange",
    ),
];

#[test]
fn old_algorithms_are_off_named_allowed_one_by_one_and_reported() {
    if !available() {
        return;
    }
    for (lines, kind, algorithms, what) in CASES {
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success());
        let sshd = Sshd::start(&format!("{lines}\nHostKey {}", key.display()));
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let rig = Rig::new();
        rig.profile("host", PROFILE);
        fs::write(rig.path("known_hosts"), format!("gw {public}gw {}\n", sshd.public_key())).unwrap();
        let table = format!("{}profile = \"host\"\nrelease = \"12\"\n", sshd.table("ssh", ""));

        let off = whole(&rig.collect(&table).unwrap_err());
        assert!(off.contains("Device offers only old SSH algorithms") && off.contains(what), "{lines}: {off}");
        // The message names each of them, and allowing all but one is not enough.
        for missing in algorithms {
            assert!(off.contains(missing), "{lines}: {off}");
            let others: Vec<&str> = algorithms.iter().filter(|name| *name != missing).copied().collect();
            let error = whole(&rig.collect(&format!("{table}allow_algorithms = {others:?}\n")).unwrap_err());
            assert!(error.contains(missing), "{lines} with {others:?}: {error}");
        }
        assert!(!sshd.log().contains("userauth-request"), "a login was tried: {}", sshd.log());

        let collected = rig.collect(&format!("{table}allow_algorithms = {algorithms:?}\n"));
        let collected = collected.unwrap_or_else(|error| panic!("{lines}: {}\n{}", whole(&error), sshd.log()));
        assert_eq!(file(&collected, "state"), b"state of 42\n");
        for name in algorithms {
            assert!(collected.warnings.contains(&format!("Old SSH algorithm in use: {name}")), "{:?}", collected.warnings);
        }
    }
}

#[test]
fn what_is_allowed_and_not_needed_is_not_used() {
    if !available() {
        return;
    }
    let sshd = Sshd::start("Ciphers +aes256-cbc");
    let rig = Rig::new();
    rig.profile("host", PROFILE);
    fs::write(rig.path("known_hosts"), format!("gw {}\n", sshd.public_key())).unwrap();
    let table = format!("{}profile = \"host\"\nrelease = \"12\"\n", sshd.table("ssh", ""));
    let allowed = format!("{table}allow_algorithms = [\"aes256-cbc\"]\n");
    assert!(rig.collect(&allowed).unwrap().warnings.is_empty());
    let unknown = rig.collect(&format!("{table}allow_algorithms = [\"ssh-dss\"]\n")).unwrap_err();
    assert!(whole(&unknown).contains("cannot be used: ssh-dss"), "{}", whole(&unknown));
}
