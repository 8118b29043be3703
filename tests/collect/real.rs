//! Programs as Debian packages them, collected over a real OpenSSH server with the built-in profiles.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use confvault::collect::Collected;
use confvault::model::Scope;

use crate::rig::{Rig, file, whole};
use crate::sshd_server::{Sshd, available};

/// The test stands in a namespace of its own and reads what belongs to root.
fn ready(program: &str) -> bool {
    if !available() || !rustix::process::geteuid().is_root() {
        return false;
    }
    assert!(Path::new(program).exists(), "{program} is missing: `sh tests/all.sh` installs what the tests need");
    true
}

fn rig(sshd: &Sshd) -> Rig {
    let rig = Rig::new();
    fs::write(rig.path("known_hosts"), format!("gw {}\n", sshd.public_key())).unwrap();
    rig
}

fn collect(rig: &Rig, sshd: &Sshd, scheme: &str, profile: &str) -> Collected {
    let table = sshd.table(scheme, "").replace("cv@", "root@");
    let result = rig.collect(&format!("{table}profile = \"{profile}\"\n"));
    result.unwrap_or_else(|error| panic!("{scheme} {profile}: {}\n{}", whole(&error), sshd.log()))
}

fn paths(collected: &Collected, scope: Scope) -> BTreeSet<String> {
    collected.set.entries().iter().filter(|e| e.scope == scope).map(|e| e.path.to_string()).collect()
}

#[test]
fn kamailio_gives_its_files_and_its_release() {
    if !ready("/usr/sbin/kamailio") {
        return;
    }
    let sshd = Sshd::start("");
    // Without its folder in the path the program is not there: a login that may not run it is told so.
    let rig = rig(&sshd);
    let link = sshd.path("bin/kamailio");
    std::os::unix::fs::symlink("/usr/sbin/kamailio", &link).unwrap();
    let collected = collect(&rig, &sshd, "sftp", "kamailio");
    let release = collected.set.release.as_ref().unwrap().to_string();
    let said = Command::new("/usr/sbin/kamailio").arg("-v").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).starts_with(&format!("version: kamailio {release} (")), "{release}");
    assert_eq!(file(&collected, "show-version.txt"), said.stdout);
    let config = fs::read("/etc/kamailio/kamailio.cfg").unwrap();
    assert_eq!(file(&collected, "etc/kamailio/kamailio.cfg"), config);
    assert!(paths(&collected, Scope::Voip).contains("etc/kamailio/kamctlrc"));
    assert!(collected.set.unclaimed.is_empty(), "{:?}", collected.set.unclaimed);

    fs::remove_file(link).unwrap();
    let table = sshd.table("sftp", "").replace("cv@", "root@");
    let error = rig.collect(&format!("{table}profile = \"kamailio\"\n")).unwrap_err();
    assert!(whole(&error).contains("not found"), "{}", whole(&error));
}

#[test]
fn frr_gives_its_running_configuration_and_its_files() {
    if !ready("/usr/bin/vtysh") {
        return;
    }
    let sshd = Sshd::start("");
    // The BGP daemon alone, on no interface; only where its socket lies differs from an installed one.
    let place = sshd.path("frr");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    let config = "frr defaults traditional\nhostname rr-lab\npassword vtywort\n!\nrouter bgp 65030\n no bgp default ipv4-unicast\n \
                  neighbor 192.0.2.1 remote-as 65000\n neighbor 192.0.2.1 password bgpwort-77\nexit\n";
    fs::write(place.join("bgpd.conf"), config).unwrap();
    let mut daemon = Command::new("/usr/lib/frr/bgpd");
    daemon.args(["-Z", "-n", "-p", "0", "-A", "127.0.0.1", "-f"]).arg(place.join("bgpd.conf"));
    let mut daemon = daemon.arg("--vty_socket").arg(&place).arg("-i").arg(place.join("pid")).spawn().unwrap();
    for _ in 0..1200 {
        if place.join("bgpd.vty").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let vtysh = sshd.write("bin/vtysh", format!("#!/bin/sh\nexec /usr/bin/vtysh --vty_socket {} \"$@\"\n", place.display()));
    fs::set_permissions(&vtysh, fs::Permissions::from_mode(0o755)).unwrap();
    let rig = rig(&sshd);
    let commands = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| collect(&rig, &sshd, "ssh", "frr")));
    let both = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| collect(&rig, &sshd, "sftp", "frr")));
    drop(daemon.kill());
    drop(daemon.wait());
    let (commands, both) = (commands.unwrap(), both.unwrap());

    let running = String::from_utf8_lossy(file(&commands, "running-config")).into_owned();
    assert!(running.contains(" neighbor 192.0.2.1 password bgpwort-77\n") && running.ends_with("end\n"), "{running}");
    assert!(!running.contains("Building configuration"), "{running}");
    let version = Command::new("dpkg-query").args(["-W", "-f=${Version}", "frr"]).output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let release = commands.set.release.as_ref().unwrap().to_string();
    assert!(version.starts_with(&release) && release.len() >= 3, "{version} {release}");
    assert_eq!(both.set.release.as_ref().unwrap().as_str(), release);
    assert_eq!(file(&both, "etc/frr/daemons"), fs::read("/etc/frr/daemons").unwrap());
    assert!(paths(&both, Scope::Voip).contains("etc/frr/frr.conf") && paths(&both, Scope::Voip).contains("running-config"));
    assert!(both.set.unclaimed.is_empty(), "{:?}", both.set.unclaimed);

    // The daemon is gone: what the shell says then is no configuration.
    let table = sshd.table("ssh", "").replace("cv@", "root@");
    let error = whole(&rig.collect(&format!("{table}profile = \"frr\"\n")).unwrap_err());
    assert!(error.contains("failed with exit status 1"), "{error}");
}
