//! A real server that lets one key in for git alone, on a port of its own, without any setting of this machine.
#![allow(dead_code, unreachable_pub)]

#[path = "listening.rs"]
mod listening;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

pub struct GitServer {
    child: Child,
    pub port: u16,
    /// Has the key that is let in, `user`, the server's own, `host.pub`, and lists of known hosts.
    pub dir: PathBuf,
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl GitServer {
    /// Starts it, with its files in the folder `ssh` of `above`.
    pub fn start(above: &Path) -> Self {
        let dir = above.join("ssh");
        fs::create_dir(&dir).unwrap();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(key)).status();
            assert!(made.unwrap().success());
        }
        let public = fs::read_to_string(dir.join("user.pub")).unwrap();
        // What docs/mirror.md says: who pushes has git-shell and no other.
        let command = "command=\"git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\",restrict";
        fs::write(dir.join("authorized"), format!("{command} {public}")).unwrap();
        let config = format!(
            "ListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n",
            dir.display()
        );
        fs::write(dir.join("config"), config).unwrap();
        fs::create_dir_all("/run/sshd").ok();
        let (child, port) = listening::start(&dir.join("log"), |port| {
            let mut command = Command::new("/usr/sbin/sshd");
            command.args(["-D", "-e", "-f"]).arg(dir.join("config")).args(["-p", &port.to_string()]);
            command
        });
        Self { child, port, dir }
    }

    pub fn url(&self, repo: &Path) -> String {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        format!("ssh://{user}@127.0.0.1:{}{}", self.port, repo.display())
    }

    /// The command by which git reaches it; `known` is a list of hosts in its folder, `strict` what becomes of others.
    pub fn ssh(&self, known: &str, strict: &str) -> String {
        format!(
            "ssh -F /dev/null -i {0}/user -oIdentitiesOnly=yes -oBatchMode=yes -oUserKnownHostsFile={0}/{known} -oStrictHostKeyChecking={strict}",
            self.dir.display()
        )
    }
}
