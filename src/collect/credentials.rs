//! Credentials of devices: where they are looked up, and the collector's own sealed ones.
//!
//! A credential is looked up only after the host key of the device was found good. It is never written
//! anywhere but sealed, never an argument of a program, and never part of a message. Files that others
//! may read are refused. Children get an environment without the variables of the user's own making.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::inventory::Credential;
use crate::model::DeviceName;
use crate::seal::{EpochIdentity, Identities, Secret, read_private, write_private};

use super::Context;

/// Folder of the sealed credentials in the folder of the store.
pub const CREDENTIALS_DIR: &str = "credentials";
/// The collector's own identity, which opens nothing but its credentials.
pub const IDENTITY_FILE: &str = "keys/credentials";
/// The longest that a credential command may take.
const COMMAND_TIME: Duration = Duration::from_secs(60);
/// The longest credential, in bytes.
const LIMIT: u64 = 16 << 10;
/// Variables of the environment that children get.
const CHILD_VARIABLES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TERM",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "XDG_RUNTIME_DIR",
    "GNUPGHOME",
    "GPG_TTY",
    "DBUS_SESSION_BUS_ADDRESS",
    "PASSWORD_STORE_DIR",
];

/// Says why a credential could not be had. Never holds any of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The variable is not set, or empty.
    #[error("Variable of the credential is not set: {0}")]
    NoVariable(String),
    /// The file cannot be used.
    #[error("File of the credential cannot be used")]
    File(#[source] crate::seal::Error),
    /// The credential is empty, or is no text.
    #[error("Credential is empty or no text: {0}")]
    Empty(&'static str),
    /// The command could not be run.
    #[error("Credential command cannot be run")]
    CommandStart(#[source] std::io::Error),
    /// The command failed; its words are not shown, as they may hold what it knows.
    #[error("Credential command failed: {0}")]
    CommandFailed(String),
    /// The command took too long.
    #[error("Credential command took longer than {seconds} s")]
    CommandSlow {
        /// The limit in seconds.
        seconds: u64,
    },
    /// Nothing was set for the device.
    #[error("No credential was set for the device: {0}")]
    NotSet(DeviceName),
    /// A sealed credential cannot be opened, read or written.
    #[error("Sealed credential cannot be used: {}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A kind of credential that does not give a password.
    #[error("This kind of credential gives no password: {0}")]
    NoPassword(&'static str),
    /// The number of the credential is not 1 or 2, or the device has none of it.
    #[error("The device names no credential of its own")]
    None,
}

/// Commands that ran already, by their text; each runs once in a run.
#[derive(Debug, Default)]
pub(super) struct Commands(Mutex<HashMap<String, Answer>>);

/// What a command gave, or why it gave nothing; empty while it runs.
type Answer = Arc<OnceLock<Result<Secret, String>>>;

/// Which of the two credentials of a device is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The password of the login.
    First,
    /// The passphrase of its key, or its enable password.
    Second,
}

impl Slot {
    fn suffix(self) -> &'static str {
        match self {
            Slot::First => "",
            Slot::Second => ".second",
        }
    }
}

/// Gives the password, passphrase or enable password that a credential leads to.
///
/// # Errors
/// [`CredentialError`].
pub(super) fn password(
    credential: &Credential,
    slot: Slot,
    device: &DeviceName,
    user: &str,
    host: &str,
    context: &Context<'_>,
) -> Result<Secret, CredentialError> {
    match credential {
        Credential::Env(name) => match (context.env)(name) {
            Some(value) if !value.is_empty() => Ok(Secret::new(value)),
            _ => Err(CredentialError::NoVariable(name.clone())),
        },
        Credential::File(path) => {
            let file = read_private(&context.root.join(path)).map_err(CredentialError::File)?;
            first_line(file.expose()).ok_or(CredentialError::Empty("file"))
        }
        Credential::Command(line) => {
            let line = line.replace("{device}", device.as_str()).replace("{user}", user).replace("{host}", host);
            run_once(&line, context)
        }
        Credential::Store => open(context.root, device, slot),
        Credential::Agent => Err(CredentialError::NoPassword("agent")),
        _ => Err(CredentialError::NoPassword("key")),
    }
}

fn first_line(bytes: &[u8]) -> Option<Secret> {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let good = !line.is_empty() && std::str::from_utf8(line).is_ok() && !line.contains(&0);
    good.then(|| Secret::new(line))
}

fn run_once(line: &str, context: &Context<'_>) -> Result<Secret, CredentialError> {
    let slot = {
        let mut commands = context.network.commands.0.lock().unwrap_or_else(PoisonError::into_inner);
        commands.entry(line.to_owned()).or_default().clone()
    };
    let mut first = None;
    let kept = slot.get_or_init(|| {
        run_command(line, context).map_err(|error| {
            let text = error.to_string();
            first = Some(error);
            text
        })
    });
    match (kept, first) {
        (Ok(secret), _) => Ok(secret.clone()),
        (Err(_), Some(error)) => Err(error),
        (Err(_), None) => Err(CredentialError::CommandFailed("it failed before in this run".into())),
    }
}

/// A shell command with an environment of its own.
pub(super) fn shell(line: &str, context: &Context<'_>) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env_clear().current_dir(context.root);
    for name in CHILD_VARIABLES {
        if let Some(value) = (context.env)(name) {
            command.env(name, value);
        }
    }
    command
}

fn run_command(line: &str, context: &Context<'_>) -> Result<Secret, CredentialError> {
    use std::os::unix::process::CommandExt as _;
    let mut command = shell(line, context);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(CredentialError::CommandStart)?;
    let group = rustix::process::Pid::from_child(&child);
    // The whole group: a shell that dies alone would leave its child holding the pipe.
    let guard = context.network.watchdog().guard(Instant::now() + COMMAND_TIME, move || {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    });
    let mut out = zeroize::Zeroizing::new(Vec::new());
    let begun = Instant::now();
    let read = child.stdout.take().map(|pipe| pipe.take(LIMIT).read_to_end(&mut out));
    let status = child.wait().map_err(CredentialError::CommandStart)?;
    drop(guard);
    if begun.elapsed() >= COMMAND_TIME {
        return Err(CredentialError::CommandSlow { seconds: COMMAND_TIME.as_secs() });
    }
    if !status.success() || !matches!(read, Some(Ok(_))) {
        return Err(CredentialError::CommandFailed(status.to_string()));
    }
    first_line(&out).ok_or(CredentialError::Empty("command"))
}

fn sealed_path(root: &Path, device: &DeviceName, slot: Slot) -> PathBuf {
    root.join(CREDENTIALS_DIR).join(format!("{device}{}.age", slot.suffix()))
}

fn sealed_error<E: std::error::Error + Send + Sync + 'static>(path: &Path) -> impl FnOnce(E) -> CredentialError {
    let path = path.to_owned();
    move |source| CredentialError::Sealed { path, source: Box::new(source) }
}

fn open(root: &Path, device: &DeviceName, slot: Slot) -> Result<Secret, CredentialError> {
    let path = sealed_path(root, device, slot);
    let sealed = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(CredentialError::NotSet(device.clone())),
        sealed => sealed.map_err(sealed_error(&path))?,
    };
    let identity_path = root.join(IDENTITY_FILE);
    let identity = Identities::read(&identity_path, &mut |_| None).map_err(sealed_error(&identity_path))?;
    let plain = identity.open(&sealed, LIMIT).map_err(sealed_error(&path))?;
    // The name stands inside, so that one device's file is not taken for another's.
    let bound = plain.expose().strip_prefix(binding(device, slot).as_bytes()).map(Secret::new);
    bound.ok_or_else(|| CredentialError::Sealed { path, source: "it was sealed for another device".into() })
}

fn binding(device: &DeviceName, slot: Slot) -> String {
    format!("confvault-credential 1 {device}{}\n", slot.suffix())
}

/// Seals a credential of a device to the collector's own identity, which is made if there is none.
///
/// # Errors
/// [`CredentialError::Sealed`], [`CredentialError::Empty`].
pub fn set(root: &Path, device: &DeviceName, slot: Slot, secret: &Secret) -> Result<(), CredentialError> {
    let secret = first_line(secret.expose()).ok_or(CredentialError::Empty("input"))?;
    let identity_path = root.join(IDENTITY_FILE);
    if !identity_path.exists() {
        if let Some(folder) = identity_path.parent() {
            crate::fsio::create_dir_all(folder, 0o700).map_err(sealed_error(folder))?;
        }
        let text = EpochIdentity::generate().to_text();
        write_private(&identity_path, text.as_bytes()).map_err(sealed_error(&identity_path))?;
    }
    let text = read_private(&identity_path).map_err(sealed_error(&identity_path))?;
    let identity = EpochIdentity::parse(text.expose()).map_err(sealed_error(&identity_path))?;
    let mut plain = zeroize::Zeroizing::new(binding(device, slot).into_bytes());
    plain.extend_from_slice(secret.expose());
    let path = sealed_path(root, device, slot);
    let sealed = identity.recipient().seal(&plain).map_err(sealed_error(&path))?;
    crate::fsio::create_dir_all(&root.join(CREDENTIALS_DIR), 0o700).map_err(sealed_error(&path))?;
    crate::fsio::write_file(&path, &sealed, 0o600).map_err(sealed_error(&path))
}

/// Removes a sealed credential; tells whether there was one.
///
/// # Errors
/// [`CredentialError::Sealed`].
pub fn unset(root: &Path, device: &DeviceName, slot: Slot) -> Result<bool, CredentialError> {
    let path = sealed_path(root, device, slot);
    crate::fsio::unlink_if_there(&path).map_err(sealed_error(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_credential_belongs_to_its_device() {
        let root = tempfile::tempdir().unwrap();
        let (a, b): (DeviceName, DeviceName) = ("gw-1".parse().unwrap(), "gw-2".parse().unwrap());
        let secret = Secret::new("canary-7f3a\n");
        set(root.path(), &a, Slot::First, &secret).unwrap();
        assert_eq!(open(root.path(), &a, Slot::First).unwrap().expose(), b"canary-7f3a");
        assert!(matches!(open(root.path(), &a, Slot::Second), Err(CredentialError::NotSet(_))));
        let file = std::fs::read(sealed_path(root.path(), &a, Slot::First)).unwrap();
        assert!(!file.windows(6).any(|w| w == b"canary"));
        std::fs::write(sealed_path(root.path(), &b, Slot::First), &file).unwrap();
        assert!(matches!(open(root.path(), &b, Slot::First), Err(CredentialError::Sealed { .. })));
        assert!(unset(root.path(), &a, Slot::First).unwrap());
        assert!(!unset(root.path(), &a, Slot::First).unwrap());
    }

    #[test]
    fn only_the_first_line_of_a_file_counts() {
        assert_eq!(first_line(b"secret\r\nmore").unwrap().expose(), b"secret");
        assert!(first_line(b"\nx").is_none() && first_line(b"a\0b").is_none() && first_line(b"\xff").is_none());
    }
}
