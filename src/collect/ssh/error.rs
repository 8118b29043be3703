//! Why a connection did not come about, or broke.

use crate::collect::credentials::CredentialError;
use crate::collect::hostkeys::HostKeyError;

/// Says what is wrong with a connection. Holds no secret and no text of a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name of the host is not known.
    #[error("Host is not known: {host}")]
    Unresolved {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No connection to the address.
    #[error("No connection to {address}")]
    Refused {
        /// The address, or the way to it.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing answered in time.
    #[error("No answer within {seconds} s while {doing}: {address}")]
    TimedOut {
        /// What was waited for.
        doing: &'static str,
        /// The limit in seconds.
        seconds: u64,
        /// The address.
        address: String,
    },
    /// The time of the device is over.
    #[error("Time of the device is over while {doing}")]
    Overdue {
        /// What was going on.
        doing: &'static str,
    },
    /// The device sends what nobody asked for, and never stops.
    #[error("Device sends without end while {doing}")]
    Endless {
        /// What was going on.
        doing: &'static str,
    },
    /// The run was cancelled.
    #[error("Stopped before it was done")]
    Cancelled,
    /// The other side does not speak SSH as it should, or closed the connection.
    #[error("SSH failed while {doing}: {reason}")]
    Protocol {
        /// What was going on.
        doing: &'static str,
        /// libssh2's words.
        reason: String,
    },
    /// No algorithm that both sides allow, or the exchange was cut off.
    #[error("No SSH algorithm that both sides allow, or the key exchange failed: {0}")]
    NoAlgorithm(String),
    /// The device offers nothing that is allowed; the text says for what, and what it offers.
    #[error("Device offers only old SSH algorithms: {0}")]
    OldAlgorithms(String),
    /// An algorithm that the device's entry allows is none that can be used.
    #[error("Algorithm in allow_algorithms cannot be used: {0}")]
    UnknownAlgorithm(String),
    /// The host key is not known.
    #[error("Host key is not known: {kind} {fingerprint}")]
    UnknownHostKey {
        /// The kind of key.
        kind: String,
        /// Its fingerprint.
        fingerprint: String,
    },
    /// The host key is another than the one that is known.
    #[error("Host key changed: expected {}, received {received}", expected.join(" or "))]
    ChangedHostKey {
        /// Fingerprints of the keys that are known.
        expected: Vec<String>,
        /// Fingerprint of the key that was shown.
        received: String,
    },
    /// The host key is marked as revoked.
    #[error("Host key is revoked: {fingerprint}")]
    RevokedHostKey {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// A list of host keys cannot be used.
    #[error("Host keys cannot be checked")]
    HostKeys(#[from] HostKeyError),
    /// Neither the source nor the ssh configuration names a user.
    #[error("No user is named for host {0}")]
    NoUser(String),
    /// A credential could not be had.
    #[error("Credential could not be had")]
    Credential(#[from] CredentialError),
    /// The device refused the login. It is never tried again in the same run, as accounts get locked.
    #[error("Login refused for user {user} by {method}")]
    LoginRefused {
        /// The user.
        user: String,
        /// What was tried.
        method: String,
    },
    /// The device offers no way to log in that the credential serves.
    #[error("Device offers no login that the credential serves ({offered} offered, {credential} at hand)")]
    NoMethod {
        /// What the device offers.
        offered: String,
        /// The kind of credential.
        credential: &'static str,
    },
    /// A file of the login's key cannot be used.
    #[error("Key file cannot be used")]
    KeyFile(#[source] crate::seal::Error),
    /// A way through other hosts is too long or not understood.
    #[error("Way to the host is not understood: {0}")]
    BadProxy(String),
    /// A host on the way could not be passed.
    #[error("Host on the way could not be passed: {host}")]
    Jump {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: Box<ConnectError>,
    },
}

impl ConnectError {
    /// What failed, in the words that stand first: whoever reads "cannot be reached" looks at the cable.
    pub(crate) fn headline(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } | Self::Refused { .. } | Self::TimedOut { .. } | Self::BadProxy(_) => {
                "Device cannot be reached"
            }
            Self::Overdue { .. }
            | Self::Endless { .. }
            | Self::Protocol { .. }
            | Self::NoAlgorithm(_)
            | Self::OldAlgorithms(_)
            | Self::UnknownAlgorithm(_) => "SSH connection to the device failed",
            Self::UnknownHostKey { .. } | Self::ChangedHostKey { .. } | Self::RevokedHostKey { .. } | Self::HostKeys(_) => {
                "Host key of the device is not accepted"
            }
            Self::NoUser(_) | Self::Credential(_) | Self::KeyFile(_) => "Login is not set up",
            Self::LoginRefused { .. } | Self::NoMethod { .. } => "Login failed",
            Self::Cancelled => "Device was given up",
            Self::Jump { source, .. } => source.headline(),
        }
    }

    /// Tells whether another try may succeed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            // A key exchange that failed may have been cut off; no credential was sent yet.
            Self::Refused { .. } | Self::TimedOut { .. } | Self::Protocol { .. } | Self::NoAlgorithm(_) => true,
            Self::Jump { source, .. } => source.may_pass(),
            _ => false,
        }
    }
}
