//! What all connections of a run share: the watchdog, and what is read once and used for each device.

use std::path::Path;
use std::sync::OnceLock;

use super::Context;
use super::credentials::Commands;
use super::hostkeys::{HostKeyError, KnownHosts, PINS_FILE};
use super::sshconfig::SshConfig;
use super::watch::Watchdog;

/// The system's list of known hosts.
const SYSTEM_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";
/// The system's configuration of ssh.
const SYSTEM_CONFIG: &str = "/etc/ssh/ssh_config";

/// Shared by all devices of a run; cheap to make, as everything in it is made when it is first needed.
///
/// It remembers host keys and the ssh configuration as they were when they were first needed, so a run
/// makes its own.
#[derive(Debug, Default)]
pub struct Network {
    watchdog: OnceLock<Watchdog>,
    pins: OnceLock<KnownHosts>,
    known_hosts: OnceLock<Vec<KnownHosts>>,
    ssh_config: OnceLock<SshConfig>,
    pub(super) commands: Commands,
}

impl Network {
    /// Makes it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The watchdog that ends connections whose time is over.
    pub(super) fn watchdog(&self) -> &Watchdog {
        self.watchdog.get_or_init(Watchdog::start)
    }

    /// The pinned host keys.
    pub(super) fn pins(&self, context: &Context<'_>) -> Result<&KnownHosts, HostKeyError> {
        load(&self.pins, || KnownHosts::read(&context.root.join(PINS_FILE), true))
    }

    /// The lists of OpenSSH: the user's and the system's.
    pub(super) fn known_hosts(&self, context: &Context<'_>) -> Result<&Vec<KnownHosts>, HostKeyError> {
        load(&self.known_hosts, || {
            let mut lists = vec![KnownHosts::read(Path::new(SYSTEM_KNOWN_HOSTS), false)?];
            if let Some(home) = context.home {
                for name in ["known_hosts", "known_hosts2"] {
                    lists.push(KnownHosts::read(&home.join(".ssh").join(name), false)?);
                }
            }
            Ok(lists)
        })
    }

    /// The configuration of OpenSSH.
    pub(super) fn ssh_config(&self, context: &Context<'_>) -> &SshConfig {
        self.ssh_config.get_or_init(|| SshConfig::read(context.home, Path::new(SYSTEM_CONFIG)))
    }
}

/// Reads once; a failure is not remembered.
fn load<T>(slot: &OnceLock<T>, read: impl FnOnce() -> Result<T, HostKeyError>) -> Result<&T, HostKeyError> {
    if let Some(value) = slot.get() {
        return Ok(value);
    }
    let value = read()?;
    Ok(slot.get_or_init(|| value))
}
