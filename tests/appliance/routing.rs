//! FRR for real: its daemons, `vtysh` and `frr-reload.py`, and its files behind a real sshd.

use std::fs;

use crate::env::{Run, TestEnv};
use crate::frr::{Frr, available};
use crate::sshd::Sshd;

const GOOD: &str = "frr version 8.4.4\nfrr defaults traditional\nhostname lab\nlog syslog informational\npassword fr3r0uter-canary\n!\nip \
                    route 192.0.2.0/24 Null0\nip route 198.51.100.0/24 Null0\n!\nend\n";

struct Lab {
    env: TestEnv,
    sshd: Sshd,
    frr: Frr,
}

impl Lab {
    fn new() -> Self {
        let sshd = Sshd::start("");
        let frr = Frr::start(&sshd.path("frr"));
        let env = TestEnv::with_store();
        let (socket, tree) = (sshd.path("frr"), sshd.path("tree"));
        fs::create_dir_all(tree.join("etc/frr")).unwrap();
        let (socket, tree) = (socket.display(), tree.display());
        let vtysh = format!("vtysh --vty_socket {socket} --config_dir {socket}");
        // How the built-in profile puts back, with other places.
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/profile/builtin/frr.toml");
        let builtin = fs::read_to_string(root).unwrap();
        let restore = &builtin[builtin.find("[restore]").unwrap()..];
        let reload = format!("frr-reload.py --vty_socket {socket} --confdir {socket} --rundir {socket} --reload {tree}/etc");
        assert!(restore.contains("frr-reload.py --reload /etc/"));
        let restore = restore.replace("frr-reload.py --reload /etc", &reload).replace("owner = \"frr:frr\"\n", "");
        let profile = format!(
            r#"name = "lab"
extends = "frr"
[[command]]
run = '{vtysh} -c "show version"'
path = "show-version.txt"
scope = "system"
required = true
[[command]]
run = '{vtysh} -c "show running-config"'
path = "running-config"
scope = "voip"
required = true
end = '^end\s*'
[[health]]
what = "static routes"
run = '{vtysh} -c "show running-config"'
regex = '^ip route '
at-least = 100
{restore}
"#
        );
        env.write("profiles/lab.toml", profile);
        env.write("known_hosts", format!("gw {}\n", sshd.public_key()));
        let source = format!("sftp://root@127.0.0.1:{}{tree}", sshd.port);
        let key = format!("key:{}", sshd.path("login_key").display());
        env.cv(&["device", "add", "gw", "--source", &source, "--profile", "lab", "--credential", &key]).succeeded();
        let lab = Self { env, sshd, frr };
        lab.become_(GOOD);
        lab.env.cv(&["snapshot"]).succeeded();
        lab
    }

    fn file(&self) -> std::path::PathBuf {
        self.sshd.path("tree/etc/frr/frr.conf")
    }

    /// Somebody writes the file and makes it active.
    fn become_(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
        let (file, socket) = (self.file(), self.sshd.path("frr"));
        let mut reload = std::process::Command::new("/usr/lib/frr/frr-reload.py");
        reload.arg("--vty_socket").arg(&socket).arg("--confdir").arg(&socket).arg("--rundir").arg(&socket);
        let output = reload.arg("--stdout").arg("--reload").arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    fn restore(&self, more: &[&str]) -> Run {
        let args = [&["restore", "gw@1", "--device", "--yes", "--wait", "5"][..], more].concat();
        self.env.cv(&args)
    }
}

#[test]
fn a_broken_configuration_is_restored_and_vtysh_agrees() {
    if !available() {
        return;
    }
    let lab = Lab::new();
    lab.become_(&GOOD.replace("ip route 192.0.2.0/24 Null0\n", "ip route 203.0.113.0/24 Null0\n"));
    assert!(lab.frr.routes().contains(&"ip route 203.0.113.0/24 Null0".to_owned()));
    let run = lab.restore(&["--ticket", "T"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(fs::read_to_string(lab.file()).unwrap(), GOOD);
    assert_eq!(lab.frr.routes(), ["ip route 192.0.2.0/24 Null0", "ip route 198.51.100.0/24 Null0"]);
    let file = lab.file().display().to_string();
    assert!(lab.frr.vtysh(&["-C", "-f", &file]).is_some());
    // What the daemons run on is as at the point too.
    let diff = lab.env.cv(&["diff", "gw@1", "@post/T"]);
    assert_eq!(diff.code, 0, "{diff}");
}

#[test]
fn a_configuration_that_vtysh_refuses_never_becomes_active() {
    if !available() {
        return;
    }
    let lab = Lab::new();
    // It was written by hand and never loaded.
    fs::write(lab.file(), GOOD.replace("hostname lab", "hostname lab\nfoo bar")).unwrap();
    lab.env.cv(&["snapshot"]).succeeded();
    lab.become_(&GOOD.replace("ip route 192.0.2.0/24 Null0\n", ""));
    let before = (fs::read_to_string(lab.file()).unwrap(), lab.frr.routes());
    let run = lab.env.cv(&["restore", "gw@2", "--device", "--yes", "--wait", "5"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("foo bar") || run.stderr.contains("line "), "{run}");
    assert!(!run.stderr.contains("canary"), "{run}");
    assert_eq!((fs::read_to_string(lab.file()).unwrap(), lab.frr.routes()), before);
}

#[test]
fn what_the_daemons_refuse_leads_back() {
    if !available() {
        return;
    }
    let lab = Lab::new();
    // `vtysh -C` lets it pass, the daemon does not.
    fs::write(lab.file(), GOOD.replace("192.0.2.0/24 Null0", "192.0.2.0/24 no-such-interface nexthop-vrf none tag 99999999999"))
        .unwrap();
    lab.env.cv(&["snapshot"]).succeeded();
    lab.become_(&GOOD.replace("ip route 192.0.2.0/24 Null0\n", ""));
    let before = (fs::read_to_string(lab.file()).unwrap(), lab.frr.routes());
    let run = lab.env.cv(&["restore", "gw@2", "--device", "--yes", "--wait", "5"]);
    assert_eq!(run.code, 1, "{run}");
    assert_eq!((fs::read_to_string(lab.file()).unwrap(), lab.frr.routes()), before, "{run}");
}
