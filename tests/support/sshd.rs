//! A real OpenSSH server on a port of its own. Run by root, it stands in a mount namespace in which a user
//! `cv` with the password `lab` exists, who may use sudo where that is installed; the system itself is not touched. Else it serves the user who runs
//! the tests, by key only.
#![allow(dead_code)]

#[path = "listening.rs"]
mod listening;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// `lab`, as crypt(3) has it.
const LAB: &str = "$6$saltsalt$o9BDZcqOvA9gBm8IDhbfwz8GxnHOOltC..bw9GzAtlAI2ea/cjxjAwWEukk5P5pWjH7ZwG86iB73QT/8bzqlv0";
const UID: u32 = 4242;

pub struct Sshd {
    child: Child,
    pub port: u16,
    pub dir: tempfile::TempDir,
    /// Who can log in.
    pub user: String,
    /// Whether the password `lab` works.
    pub with_password: bool,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub fn keygen(file: &Path, passphrase: &str) {
    keygen_of("ed25519", file, passphrase);
}

fn keygen_of(kind: &str, file: &Path, passphrase: &str) {
    let status = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(file).status();
    assert!(status.unwrap().success());
}

/// There must be a server to test against: a test that is left out proves nothing.
pub fn available() -> bool {
    let there = Path::new("/usr/sbin/sshd").exists() && Path::new("/usr/bin/ssh-keygen").exists();
    assert!(there, "no OpenSSH server: `sh tests/all.sh` installs what the tests need");
    there
}

impl Sshd {
    pub fn start(more: &str) -> Self {
        Self::with("ed25519", "Subsystem sftp internal-sftp", more)
    }

    /// A server whose only host key is of a kind.
    pub fn with_host_key(kind: &str) -> Self {
        Self::with(kind, "Subsystem sftp internal-sftp", "")
    }

    /// A server that has no SFTP.
    pub fn without_sftp() -> Self {
        Self::with("ed25519", "", "")
    }

    fn with(kind: &str, sftp: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("home")).unwrap();
        fs::create_dir_all(at("bin")).unwrap();
        keygen_of(kind, &at("host_key"), "");
        keygen(&at("login_key"), "");
        keygen(&at("locked_key"), "open sesame");
        let mut keys = fs::read_to_string(at("login_key.pub")).unwrap();
        keys.push_str(&fs::read_to_string(at("locked_key.pub")).unwrap());
        fs::write(at("authorized_keys"), keys).unwrap();
        let root = rustix::process::geteuid().is_root();
        let text = format!(
            "ListenAddress 127.0.0.1\nHostKey {d}/host_key\nAuthorizedKeysFile {d}/authorized_keys\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication {}\nKbdInteractiveAuthentication no\nMaxAuthTries 20\nMaxStartups 200\n\
             PermitRootLogin yes\n{sftp}\nSetEnv PATH={d}/bin:/usr/bin:/bin\nLogLevel DEBUG\n{more}\n",
            if root { "yes" } else { "no" },
            d = dir.path().display(),
        );
        fs::write(at("config"), text).unwrap();
        if root {
            namespace(dir.path());
        }
        let d = dir.path().display();
        let (child, port) = listening::start(&at("log"), |port| {
            let sshd = format!("exec /usr/sbin/sshd -D -e -f {d}/config -p {port}");
            if !root {
                let mut command = Command::new("sh");
                command.args(["-c", &sshd]);
                return command;
            }
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c"]).arg(format!(
                "mount --bind {d}/passwd /etc/passwd && mount --bind {d}/shadow /etc/shadow && mount -t tmpfs tmpfs /run && \
                 {{ [ ! -e /etc/sudoers ] || mount --bind {d}/sudoers /etc/sudoers; }} && mkdir /run/sshd && {sshd}"
            ));
            command
        });
        let user = if root { "cv".to_owned() } else { std::env::var("USER").unwrap_or_else(|_| "root".into()) };
        Self { child, port, dir, user, with_password: root }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The host key as a line of `known_hosts` without its names.
    pub fn public_key(&self) -> String {
        fs::read_to_string(self.path("host_key.pub")).unwrap().trim().to_owned()
    }

    /// Writes a file that the user of the server owns.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if self.with_password {
            std::os::unix::fs::chown(&path, Some(UID), Some(UID)).unwrap();
        }
        path
    }

    /// The beginning of the device's table: source and login by key.
    pub fn table(&self, scheme: &str, path: &str) -> String {
        format!(
            "source = \"{scheme}://{}@127.0.0.1:{}{path}\"\ncredential = \"key:{}\"\n",
            self.user,
            self.port,
            self.path("login_key").display()
        )
    }
}

/// Files that are the system's in the server's namespace.
fn namespace(dir: &Path) {
    let mut passwd = fs::read_to_string("/etc/passwd").unwrap();
    passwd.push_str(&format!("cv:x:{UID}:{UID}::{}/home:/bin/sh\n", dir.display()));
    fs::write(dir.join("passwd"), passwd).unwrap();
    let mut shadow = fs::read_to_string("/etc/shadow").unwrap();
    shadow.push_str(&format!("cv:{LAB}:19000:0:99999:7:::\n"));
    fs::write(dir.join("shadow"), shadow).unwrap();
    fs::set_permissions(dir.join("shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    // As the documentation has it.
    fs::write(dir.join("sudoers"), "cv ALL=(root) NOPASSWD: /usr/bin/find, /usr/bin/tar\n").unwrap();
    fs::set_permissions(dir.join("sudoers"), fs::Permissions::from_mode(0o440)).unwrap();
    std::os::unix::fs::chown(dir.join("home"), Some(UID), Some(UID)).unwrap();
    fs::write(dir.join("sudoers"), "cv ALL=(root) NOPASSWD: ALL\n").unwrap();
    fs::set_permissions(dir.join("sudoers"), fs::Permissions::from_mode(0o440)).unwrap();
}
