//! FRR as Debian has it: its daemons with sockets in a folder of their own, in a network of their own, so that nothing of
//! the system is touched. Needs root.
#![allow(dead_code)]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Frr {
    child: Child,
    dir: PathBuf,
}

impl Drop for Frr {
    fn drop(&mut self) {
        // The daemons are of the group of the shell that began them.
        if let Some(group) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0)) {
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        }
        drop(self.child.wait());
    }
}

/// Tells whether FRR can be run here: it takes root, and where that is, FRR must be.
pub fn available() -> bool {
    let there =
        ["/usr/bin/vtysh", "/usr/lib/frr/zebra", "/usr/lib/frr/frr-reload.py"].iter().all(|file| Path::new(file).exists());
    let root = rustix::process::geteuid().is_root();
    assert!(there || !root, "no FRR: `sh tests/all.sh` installs what the tests need");
    there && root
}

impl Frr {
    /// Starts zebra and staticd with their sockets in `dir`, which is made.
    pub fn start(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        assert!(Command::new("chown").arg("frr:frr").arg(dir).status().unwrap().success());
        let d = dir.display();
        let daemon = |name: &str| {
            format!("/usr/lib/frr/{name} -i {d}/{name}.pid -z {d}/zserv.api --vty_socket {d} -f /dev/null -A 127.0.0.1 -P 0 &\n")
        };
        let script = format!("{}{}wait", daemon("zebra"), daemon("staticd"));
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", &script]).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let frr = Self { child, dir: dir.to_owned() };
        for _ in 0..1200 {
            if frr.vtysh(&["-c", "show running-config"]).is_some_and(|shown| shown.contains("frr version")) {
                return frr;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("FRR did not start");
    }

    /// Runs `vtysh` against these daemons; nothing where it fails.
    pub fn vtysh(&self, args: &[&str]) -> Option<String> {
        let mut command = Command::new("/usr/bin/vtysh");
        let output = command.arg("--vty_socket").arg(&self.dir).arg("--config_dir").arg(&self.dir).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success() && !text.contains("failed to connect")).then_some(text)
    }

    /// The routes that are configured.
    pub fn routes(&self) -> Vec<String> {
        let shown = self.vtysh(&["-c", "show running-config"]).unwrap();
        shown.lines().filter(|line| line.starts_with("ip route ")).map(str::to_owned).collect()
    }
}
