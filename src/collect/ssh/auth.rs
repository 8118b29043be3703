//! Logging in, once the host key is known to be good.

use std::path::{Path, PathBuf};

use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt};
use zeroize::Zeroizing;

use super::ConnectError;
use super::link::Link;
use crate::collect::Context;
use crate::collect::credentials::{CredentialError, Slot, password};
use crate::inventory::{Credential, Device};
use crate::seal::{Secret, read_private};

/// Keys of an agent that are offered at most: servers count each one as a try.
const AGENT_KEYS: usize = 5;
/// The keys that OpenSSH looks for by itself.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];
const AUTH_FAILED: ErrorCode = ErrorCode::Session(-18);
const UNVERIFIED: ErrorCode = ErrorCode::Session(-19);

/// Who logs in, and with what.
pub(super) struct Login<'a> {
    pub(super) device: &'a Device,
    pub(super) credential: Option<&'a Credential>,
    pub(super) user: &'a str,
    pub(super) host: &'a str,
    /// Key files of the ssh configuration.
    pub(super) identity_files: &'a [PathBuf],
}

impl Login<'_> {
    fn secret(&self, credential: &Credential, slot: Slot, context: &Context<'_>) -> Result<Secret, CredentialError> {
        password(credential, slot, &self.device.name, self.user, self.host, context)
    }
}

/// Answers the questions of keyboard-interactive: one password, typed once.
struct Typist<'a> {
    password: &'a str,
    typed: bool,
}

impl KeyboardInteractivePrompt for Typist<'_> {
    fn prompt(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        let answer = |prompt: &Prompt<'_>| {
            // A password that is asked for again was refused; what is shown while it is typed is no password.
            if prompt.echo || self.typed {
                return String::new();
            }
            self.typed = true;
            self.password.to_owned()
        };
        prompts.iter().map(answer).collect()
    }
}

/// Logs in.
pub(super) fn log_in(link: &Link<'_>, login: &Login<'_>, context: &Context<'_>) -> Result<(), ConnectError> {
    const DOING: &str = "logging in";
    let user = login.user;
    match login.credential {
        Some(Credential::Agent) => with_agent(link, login),
        Some(Credential::Key(path)) => {
            let passphrase = match &login.device.credential2 {
                Some(second) => Some(login.secret(second, Slot::Second, context)?),
                None => None,
            };
            with_key(link, user, &context.root.join(path), passphrase.as_ref())
        }
        Some(credential) => {
            let secret = login.secret(credential, Slot::First, context)?;
            with_password(link, user, &secret)
        }
        None => {
            // As OpenSSH does without being told: the keys of the configuration, then the agent.
            let defaults = context.home.map(|home| DEFAULT_KEYS.map(|name| home.join(".ssh").join(name))).into_iter().flatten();
            let named: Vec<PathBuf> = login.identity_files.to_vec();
            let files: Vec<PathBuf> = if named.is_empty() { defaults.collect() } else { named };
            let mut refused = None;
            for file in files.iter().filter(|file| file.exists()).take(AGENT_KEYS) {
                match with_key(link, user, file, None) {
                    Ok(()) => return Ok(()),
                    Err(error @ (ConnectError::LoginRefused { .. } | ConnectError::KeyFile(_))) => refused = Some(error),
                    Err(other) => return Err(other),
                }
            }
            match with_agent(link, login) {
                Err(ConnectError::NoMethod { .. }) if refused.is_some() => Err(refused.unwrap_or_else(|| no_method("", "none"))),
                result => result,
            }
        }
    }
    .and_then(|()| {
        if link.core.session.authenticated() {
            Ok(())
        } else {
            Err(ConnectError::LoginRefused { user: user.to_owned(), method: DOING.to_owned() })
        }
    })
}

fn no_method(offered: &str, credential: &'static str) -> ConnectError {
    let offered = if offered.is_empty() { "nothing".to_owned() } else { super::plain(offered) };
    ConnectError::NoMethod { offered, credential }
}

fn refused(user: &str, method: impl Into<String>) -> ConnectError {
    ConnectError::LoginRefused { user: user.to_owned(), method: method.into() }
}

/// Asks what the device offers; an empty list where it lets the user in without more ado.
fn offered(link: &Link<'_>, user: &str) -> Result<String, ConnectError> {
    let methods = link.call("asking how to log in", |session| session.auth_methods(user).map(str::to_owned));
    match methods {
        Err(_) if link.core.session.authenticated() => Ok(String::new()),
        methods => methods,
    }
}

fn with_password(link: &Link<'_>, user: &str, secret: &Secret) -> Result<(), ConnectError> {
    let text = std::str::from_utf8(secret.expose()).map_err(|_| CredentialError::Empty("password"))?;
    let text = Zeroizing::new(text.to_owned());
    let methods = offered(link, user)?;
    if link.core.session.authenticated() {
        return Ok(());
    }
    let has = |name: &str| methods.split(',').any(|method| method == name);
    // One way is tried, not all of them: a second refusal of the same password may lock the account.
    let (name, result) = if has("password") {
        ("password", link_call(link, |session| session.userauth_password(user, &text)))
    } else if has("keyboard-interactive") {
        let mut typist = Typist { password: &text, typed: false };
        ("keyboard-interactive", link_call(link, |session| session.userauth_keyboard_interactive(user, &mut typist)))
    } else {
        return Err(no_method(&methods, "password"));
    };
    result.map_err(|error| login_error(error, user, name))
}

/// The outcome of a login call: libssh2's refusals kept apart from a broken connection.
enum AuthError {
    Refused,
    Other(ConnectError),
}

fn link_call(link: &Link<'_>, mut call: impl FnMut(&ssh2::Session) -> Result<(), ssh2::Error>) -> Result<(), AuthError> {
    let mut was_refused = false;
    let result = link.call("logging in", |session| {
        call(session).inspect_err(|error| was_refused = matches!(error.code(), AUTH_FAILED | UNVERIFIED))
    });
    result.map_err(|error| if was_refused { AuthError::Refused } else { AuthError::Other(error) })
}

fn login_error(error: AuthError, user: &str, method: &str) -> ConnectError {
    match error {
        AuthError::Refused => refused(user, method),
        AuthError::Other(error) => error,
    }
}

fn with_key(link: &Link<'_>, user: &str, path: &Path, passphrase: Option<&Secret>) -> Result<(), ConnectError> {
    let file = read_private(path).map_err(ConnectError::KeyFile)?;
    let unfit = || {
        ConnectError::KeyFile(crate::seal::Error::NotAKey {
            what: "private key that opens with the passphrase given",
            path: path.to_owned(),
        })
    };
    let pem = unlocked(file, passphrase).ok_or_else(unfit)?;
    let pem = Zeroizing::new(String::from_utf8(pem.expose().to_vec()).map_err(|_| unfit())?);
    let result = link_call(link, |session| session.userauth_pubkey_memory(user, None, &pem, None));
    result.map_err(|error| login_error(error, user, &format!("key {}", path.display())))
}

/// Takes the passphrase off a key in OpenSSH's format; other formats are left to libssh2.
fn unlocked(file: Secret, passphrase: Option<&Secret>) -> Option<Secret> {
    let Ok(key) = ssh_key::PrivateKey::from_openssh(file.expose()) else { return Some(file) };
    if !key.is_encrypted() {
        return Some(file);
    }
    let key = key.decrypt(passphrase?.expose()).ok()?;
    let text = key.to_openssh(ssh_key::LineEnding::LF).ok()?;
    Some(Secret::new(text.as_bytes()))
}

fn with_agent(link: &Link<'_>, login: &Login<'_>) -> Result<(), ConnectError> {
    let user = login.user;
    let Ok(mut agent) = link.core.session.agent() else { return Err(no_method("", "agent")) };
    if agent.connect().and_then(|()| agent.list_identities()).is_err() {
        return Err(no_method("", "no agent"));
    }
    let mut keys = agent.identities().unwrap_or_default();
    // A public key beside a key file of the configuration says which of the agent's keys is meant.
    let wanted: Vec<Vec<u8>> = login.identity_files.iter().filter_map(|file| public_half(file)).collect();
    if keys.iter().any(|key| wanted.iter().any(|w| w == key.blob())) {
        keys.retain(|key| wanted.iter().any(|w| w == key.blob()));
    }
    if keys.is_empty() {
        return Err(no_method("", "agent without keys"));
    }
    for key in keys.iter().take(AGENT_KEYS) {
        match link_call(link, |_| agent.userauth(user, key)) {
            Ok(()) => return Ok(()),
            Err(AuthError::Refused) => {}
            Err(AuthError::Other(error)) => return Err(error),
        }
    }
    Err(refused(user, format!("{} keys of the agent", keys.len().min(AGENT_KEYS))))
}

fn public_half(file: &Path) -> Option<Vec<u8>> {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    let text = std::fs::read_to_string(name).ok()?;
    ssh_key::PublicKey::from_openssh(text.trim()).ok()?.to_bytes().ok()
}
