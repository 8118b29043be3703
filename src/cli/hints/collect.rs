//! Advice on devices that could not be collected. NAME stands for the device.

use super::{Advice, advice};
use crate::cli::exit::Exit;
use crate::collect::credentials::CredentialError;
use crate::collect::session::{SessionError, WireError};
use crate::collect::{CollectError, ConnectError};

/// Left out by `device test` itself.
const EACH_STEP: &str = "`confvault device test NAME` shows each step";

/// Of an answer that came to its end.
const AS_IT_IS: &str = "if it is to be kept all the same, `confvault snapshot NAME --accept=WHY` takes it as it is, once";

/// Advice on a device that could not be collected.
pub(in crate::cli) fn collect(error: &CollectError) -> Advice {
    use CollectError as E;
    let hints: &[&str] = match error {
        E::Connect(error) => return connect(error),
        E::Session(error) => return session(error),
        E::NoRelease { .. } => &["declare it with `confvault device set NAME --release RELEASE`, or choose another profile"],
        E::Shrank { .. } => &["if the device really lost that much, take it once with `confvault snapshot NAME --accept`"],
        E::Lost { .. } => &[
            "run `confvault snapshot NAME` again when the device gives it; if it never will, take the set without it once with `confvault snapshot NAME --accept`",
        ],
        E::Missing(_) | E::NotFolder(_) => {
            &["mount or export the folder, or correct it with `confvault device set NAME --source URL`"]
        }
        E::Empty(_) => &["an empty answer is never a set: look what has become of the folder"],
        E::TooMany { .. } | E::TooLarge { .. } => {
            &["leave files out by a profile of your own, or raise the limit in confvault.toml"]
        }
        E::Changing(_) => &["run `confvault snapshot NAME` again when the device is at rest"],
        E::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            &["log in as a user that may read it, or set `become = \"sudo\"` for a source of sftp://"]
        }
        E::NotWhole(_) => &["`confvault profile show PROFILE` says what a whole set has; nothing partial is kept"],
        E::NoRoots { .. } => &["name a folder in the source, such as sftp://host/etc"],
        E::NoCommands { .. } => &["choose a profile with commands, or a source `sftp://` or `dir:`"],
        E::BackupSet { remedy, .. } | E::Backup { remedy, .. } => return (Exit::Failed, vec![(*remedy).to_owned()]),
        E::NotBackups(_) => {
            &["name the device whose source is `drs:` or `drs://`, and with `--via` the one that is the command line"]
        }
        E::NoBackupSet(_) => &["let DRS write there, or begin with `confvault drs backup`"],
        E::BackupRunning(_) => &["run `confvault snapshot NAME` again when it is done"],
        E::NotPushed => &["hand it in with `confvault snapshot NAME --from FILE.tar`"],
        E::NotSupported(_) => &["`dir:`, `sftp://`, `ssh://` and `drs:` can be collected"],
        E::Archive { .. } => &["make it anew, such as with `tar -C FOLDER -cf FILE.tar .`"],
        E::Damaged { .. } => &[
            "if the device is writing it, run it again later; else remove it there, see whether its disk is full, and have it made anew",
            "to take all as it stands, half an archive too: `confvault snapshot NAME --accept`",
        ],
        E::Cancelled => &["run the command again"],
        E::Read { .. } | E::Path { .. } | E::Set(_) | E::Spool { .. } | E::NotText { .. } => &[],
    };
    advice(Exit::Failed, hints)
}

/// Advice on a device that could not be reached.
fn connect(error: &ConnectError) -> Advice {
    use ConnectError as E;
    let hints: &[&str] = match error {
        E::Unresolved { .. } => &["correct the host with `confvault device set NAME --source URL`"],
        E::UnknownHostKey { .. } => {
            &["compare it with the device's own, then `confvault device trust NAME --fingerprint SHA256:…`"]
        }
        E::ChangedHostKey { .. } => &[
            "somebody may be in the way; if the device got a new key, compare it, then `confvault device trust NAME --fingerprint SHA256:…`",
        ],
        E::RevokedHostKey { .. } => &["do not log in before it is known why the key was revoked"],
        E::LoginRefused { .. } => &["check the credential before the next run; it was tried once"],
        E::Credential(CredentialError::NotSet(_)) => &["set it with `confvault credential set NAME`"],
        E::Credential(_) => &["check `credential` of the device in confvault.toml"],
        E::KeyFile(_) => &["the file must be its owner's alone (`chmod 600 FILE`); a passphrase comes from `credential2`"],
        E::NoMethod { .. } => &["set `credential` to something that the device takes, such as env:VARIABLE or key:FILE"],
        E::NoAlgorithm(_) => &["the device may know old algorithms only: allow one by name with `allow_algorithms`"],
        E::OldAlgorithms(_) => {
            &["update the device, or allow one of each kind in its entry of confvault.toml: `allow_algorithms = [\"ALGORITHM\"]`"]
        }
        E::UnknownAlgorithm(_) => &["correct `allow_algorithms` of the device in confvault.toml"],
        E::NoUser(_) => &["name the user in the source: ssh://USER@HOST"],
        E::Overdue { .. } => &["raise `timeout` of the device in confvault.toml"],
        E::Jump { source, .. } => return connect(source),
        E::BadProxy(_) => &["correct ProxyJump or ProxyCommand in the ssh configuration"],
        E::Refused { .. } => &[
            "see that the device has SSH on at that port (ssh://HOST:PORT) and lets this machine in; `bind_address` sets the address that is come from",
            EACH_STEP,
        ],
        E::TimedOut { .. } => &[
            "see that the address is right and that access lists on the way let this machine through; `bind_address` sets the address that is come from",
            EACH_STEP,
        ],
        E::Protocol { .. } => &[
            "look at the log of the device: it may have no session left, or a limit of them, or another service at that port",
            EACH_STEP,
        ],
        E::Endless { .. } => &["see what answers at that address and port: it is no SSH server as it should be", EACH_STEP],
        E::HostKeys(_) | E::Cancelled => &[],
    };
    advice(Exit::Failed, hints)
}

/// Advice on a device that gave no whole answer.
fn session(error: &SessionError) -> Advice {
    use SessionError as E;
    let hints: &[&str] = match error {
        E::Refused { .. } | E::Status { .. } => {
            &["give the login the right to run the command, or use another profile", AS_IT_IS]
        }
        E::NoReply { .. } => &["say where the password is with `credential` or `credential2` of the device"],
        E::LoginRefused { .. } => &["check `credential2`, which is the enable password; it was tried once"],
        E::Paged { .. } => &["let the profile switch paging off (`setup`), or answer the pager (`pager-answer`)"],
        E::Flood { .. } | E::LongLine { .. } => &["raise `max_size` if the device really has that much"],
        E::NoPrompt { .. } => &[
            "compare that line with `prompt` and `login` of the profile (`confvault profile show PROFILE`); a slow device needs a longer `start-ms`",
            EACH_STEP,
        ],
        E::StepMissing { .. } => {
            &["the login may have the rights at once: make that step `optional` in a profile of your own", EACH_STEP]
        }
        E::NoPattern => &["give the profile a `prompt`, or `mode = \"exec\"`"],
        E::Silent { .. } => {
            &["raise `timeout-s` of the command in a profile of your own if the device takes longer to answer", EACH_STEP]
        }
        E::Wire { source: WireError::Overdue, .. } => &["raise `timeout` of the device in confvault.toml", EACH_STEP],
        E::Wire { source: WireError::Cancelled, .. } => &["run the command again"],
        E::Closed { .. } | E::Wire { source: WireError::Failed(_), .. } => {
            &["look at the log of the device: it may have restarted, or its time limit of a session is too short", EACH_STEP]
        }
        E::Truncated { .. } | E::TooSmall { .. } | E::TooShort { .. } => &[
            "if every run ends so, the profile is not that of the device: `confvault profile show PROFILE` says what a whole answer has, and `confvault device set NAME --profile PROFILE` chooses another",
            AS_IT_IS,
            EACH_STEP,
        ],
        E::Asks { .. } => {
            &["see what the device asks, and answer it in a profile of your own (`pager`, `pager-answer`, `setup`)", EACH_STEP]
        }
        E::Lacks { .. } => {
            &["see that the programs on the host are those of GNU, and that its login prints nothing of its own", EACH_STEP]
        }
    };
    advice(Exit::Failed, hints)
}

/// Advice on a list of devices.
pub(in crate::cli) fn list(error: &crate::collect::inventories::ListError) -> Advice {
    use crate::collect::inventories::ListError as E;
    match error {
        E::Line { .. } => advice(Exit::Failed, &["correct the line, or take it out; nothing was changed"]),
        E::Column(_) => advice(Exit::Failed, &["a table has the columns name and source, or name, host and user"]),
        E::Fetch(_) => {
            advice(Exit::Failed, &["try the URL and the token with `curl -H 'Authorization: Token …' URL/api/dcim/devices/`"])
        }
        E::Answer(_) => advice(Exit::Failed, &["name the URL of the server, such as https://netbox.example"]),
        E::Config(_) => advice(Exit::Failed, &["name the file `config` of Oxidized, or its list itself, the router.db"]),
        E::Elsewhere(_) => advice(Exit::Failed, &["write the devices into a table with the columns name, host, user and model"]),
        E::Read { .. } => advice(Exit::Failed, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::{EACH_STEP, collect};
    use crate::collect::session::{SessionError, WireError};
    use crate::collect::{CollectError, ConnectError};

    /// Whoever follows the advice to test the device finds some there.
    #[test]
    fn a_connection_or_an_answer_that_failed_has_more_advice_than_to_test_the_device() {
        let io = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let (command, bytes, doing) = (|| "show x".to_owned(), 7, "logging in");
        let errors: Vec<CollectError> = vec![
            ConnectError::Refused { address: "a".into(), source: io() }.into(),
            ConnectError::TimedOut { doing, seconds: 1, address: "a".into() }.into(),
            ConnectError::Protocol { doing, reason: "x".into() }.into(),
            ConnectError::Endless { doing }.into(),
            SessionError::NoPrompt { seconds: 1, last: "x".into() }.into(),
            SessionError::StepMissing { step: "enable".into() }.into(),
            SessionError::NoPattern.into(),
            SessionError::Silent { command: command(), bytes, seconds: 1 }.into(),
            SessionError::Closed { command: command(), bytes }.into(),
            SessionError::Wire { command: command(), source: WireError::Failed("x".into()) }.into(),
            SessionError::Truncated { command: command(), lines: 1, bytes, marker: "x".into() }.into(),
            SessionError::TooSmall { command: command(), bytes, minimum: 9 }.into(),
            SessionError::TooShort { command: command(), lines: 1, minimum: 9 }.into(),
            SessionError::Asks { command: command(), times: 9 }.into(),
            SessionError::Lacks { command: command(), what: "x" }.into(),
        ];
        for error in errors {
            let (_, hints) = collect(&error);
            assert!(hints.iter().any(|hint| hint != EACH_STEP), "{error:?}: {hints:?}");
        }
    }
}
