//! The key folder of an installation: `DIR/keys`, beside the store and never in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::KeyError;
use crate::fsio;
use crate::model::CollectorName;
use crate::seal::{
    AllowedSigner, EpochIdentity, EpochRecipient, Error, Identities, SigningKey, check_key_folder, parse_signers, principal,
    read_private, read_public, write_private, write_signers,
};

/// The heads that this installation has seen: ref and commit, as hexadecimal digits.
pub type Seen = BTreeMap<String, String>;

/// How long another process that changes the heads is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// The folder of what mirrors have taken, a file each.
const SENT: &str = "mirrors";

const SEEN_HEAD: &str = "# confvault-seen 1";

/// The key folder of an installation, mode 0700:
///
/// ```text
/// signing.key       the collector's signing key, OpenSSH Ed25519
/// identity.txt      the collector's own age identity: opens the store keys and its device credentials
/// administrators    the administrators' public keys that this installation has pinned
/// seen              the heads that it has seen last
/// mirrors/          the heads that each mirror has taken
/// ```
///
/// Nothing here opens what is sealed. A folder that others may write to is refused: they could put another file in the place of
/// one.
#[derive(Debug, Clone)]
pub struct KeyRing {
    dir: PathBuf,
}

impl KeyRing {
    /// The key folder of the installation in the folder `root`; it need not be there.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { dir: root.join("keys") }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of the collector's signing key.
    #[must_use]
    pub fn signing_file(&self) -> PathBuf {
        self.dir.join("signing.key")
    }

    fn identity_file(&self) -> PathBuf {
        self.dir.join("identity.txt")
    }

    fn pinned_file(&self) -> PathBuf {
        self.dir.join("administrators")
    }

    fn seen_file(&self) -> PathBuf {
        self.dir.join("seen")
    }

    /// Tells whether the installation has keys.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.signing_file().exists()
    }

    /// Tells whether an administrator is pinned.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned_file().exists()
    }

    /// Makes the keys of a collector: for signing, and an identity of its own. Gives their public halves.
    ///
    /// # Errors
    /// [`KeyError::Exists`] if there is one, or the disk refused.
    pub fn create(&self, collector: &CollectorName) -> Result<(SigningKey, EpochRecipient), KeyError> {
        for path in [self.signing_file(), self.identity_file()] {
            if path.exists() {
                return Err(KeyError::Exists { path });
            }
        }
        fsio::create_dir_all(&self.dir, 0o700)?;
        let identity = EpochIdentity::generate();
        write_private(&self.identity_file(), identity.to_text().as_bytes())?;
        // The signing key last: it is what tells that the keys are there.
        let signing = SigningKey::create(&self.signing_file(), &principal(collector))?;
        Ok((signing, identity.recipient()))
    }

    /// Loads the collector's signing key.
    ///
    /// # Errors
    /// [`KeyError::Missing`], or what [`SigningKey::load`] gives.
    pub fn signing(&self) -> Result<SigningKey, KeyError> {
        check_key_folder(&self.dir)?;
        SigningKey::load(&self.signing_file()).map_err(|error| self.missing(error))
    }

    /// Loads the collector's own identity.
    ///
    /// # Errors
    /// [`KeyError::Missing`], or what [`Identities::read`] gives.
    pub fn own(&self) -> Result<Identities, KeyError> {
        check_key_folder(&self.dir)?;
        Identities::read(&self.identity_file(), &mut |_| None).map_err(|error| self.missing(error))
    }

    /// Loads the collector's own identity with its public half.
    ///
    /// # Errors
    /// [`KeyError::Missing`], or what reading the file gives.
    pub fn own_identity(&self) -> Result<EpochIdentity, KeyError> {
        check_key_folder(&self.dir)?;
        let text = read_private(&self.identity_file()).map_err(|error| self.missing(error))?;
        Ok(EpochIdentity::parse(text.expose())?)
    }

    /// Gives the public halves: of the collector's own identity and of its signing key.
    ///
    /// # Errors
    /// [`KeyError::Missing`], or what reading the files gives.
    pub fn public(&self) -> Result<(EpochRecipient, SigningKey), KeyError> {
        Ok((self.own_identity()?.recipient(), self.signing()?))
    }

    fn missing(&self, error: Error) -> KeyError {
        match error {
            Error::KeyFile { path, source } if source.kind() == io::ErrorKind::NotFound => KeyError::Missing { path },
            error => KeyError::Seal(error),
        }
    }

    /// Gives the administrators' keys that this installation has pinned.
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Damaged`].
    pub fn pinned(&self) -> Result<Vec<AllowedSigner>, KeyError> {
        check_key_folder(&self.dir)?;
        let path = self.pinned_file();
        let text = read_public(&path).map_err(|error| self.missing(error))?;
        let pinned = parse_signers(&text)?;
        if pinned.is_empty() { Err(KeyError::Damaged { what: "no administrator", path }) } else { Ok(pinned) }
    }

    /// Pins administrators' keys.
    ///
    /// # Errors
    /// The disk refused.
    pub fn pin(&self, administrators: &[AllowedSigner]) -> Result<(), KeyError> {
        fsio::create_dir_all(&self.dir, 0o700)?;
        Ok(fsio::write_file(&self.pinned_file(), write_signers(administrators).as_bytes(), 0o600)?)
    }

    /// Gives the heads that this installation has seen; none if it has seen none.
    ///
    /// # Errors
    /// [`KeyError::Damaged`]: a file that could be damaged to hide a rollback is never taken for empty.
    pub fn seen(&self) -> Result<Seen, KeyError> {
        check_key_folder(&self.dir)?;
        Self::read_heads(self.seen_file())
    }

    /// Gives the heads that a mirror has taken; none if it has taken none. `place` tells mirrors apart, also of one name.
    ///
    /// # Errors
    /// [`KeyError::Damaged`].
    pub fn sent(&self, place: &str) -> Result<Seen, KeyError> {
        Self::read_heads(self.sent_file(place))
    }

    /// Remembers the heads that a mirror has taken.
    ///
    /// # Errors
    /// The disk refused.
    pub fn set_sent(&self, place: &str, sent: &Seen) -> Result<(), KeyError> {
        fsio::create_dir_all(&self.dir.join(SENT), fsio::PRIVATE_DIR)?;
        Self::write_heads(&self.sent_file(place), sent)
    }

    fn sent_file(&self, place: &str) -> PathBuf {
        let digest = blake3::hash(place.as_bytes()).to_hex();
        self.dir.join(SENT).join(&digest.as_str()[..32])
    }

    fn read_heads(path: PathBuf) -> Result<Seen, KeyError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::new()),
            Err(_) => return Err(KeyError::Damaged { what: "unreadable", path }),
        };
        let body = text.strip_prefix(SEEN_HEAD).and_then(|t| t.strip_prefix('\n')).and_then(|t| t.strip_suffix("# end\n"));
        let body = body.ok_or_else(|| KeyError::Damaged { what: "not whole", path: path.clone() })?;
        let line = |line: &str| line.split_once(' ').map(|(commit, name)| (name.to_owned(), commit.to_owned()));
        body.lines().map(line).collect::<Option<_>>().ok_or(KeyError::Damaged { what: "a line", path })
    }

    /// Changes the heads that this installation has seen, alone among all processes.
    ///
    /// # Errors
    /// What `change` gives; the file is damaged, or the disk refused.
    pub fn change_seen<T>(&self, change: impl FnOnce(&mut Seen) -> Result<T, KeyError>) -> Result<T, KeyError> {
        let _alone = self.lock()?;
        let before = self.seen()?;
        let mut now = before.clone();
        let out = change(&mut now)?;
        if now != before {
            self.set_seen(&now)?;
        }
        Ok(out)
    }

    /// Writes the heads that this installation has seen anew, of what reads of them.
    ///
    /// # Errors
    /// The disk refused.
    pub fn renew_seen(&self, make: impl FnOnce(Seen) -> Seen) -> Result<(), KeyError> {
        let _alone = self.lock()?;
        let before = match self.seen() {
            Err(KeyError::Damaged { .. }) => Seen::new(),
            other => other?,
        };
        self.set_seen(&make(before))
    }

    /// Tells whether a path is that of the heads that were seen.
    #[must_use]
    pub fn is_seen_file(&self, path: &Path) -> bool {
        path == self.seen_file()
    }

    /// Says it where administrators are pinned and no head is remembered: that is not how an installation begins.
    pub(in crate::ops) fn warn_of_loss(&self) {
        if self.is_pinned() && !self.seen_file().exists() {
            tracing::warn!(
                "the heads that this machine has seen are gone, and are remembered anew from the store as it is: {}; \
                 if nobody took them away, compare it with a mirror",
                self.seen_file().display()
            );
        }
    }

    /// Locks the folder for other processes; the lock ends with the handle.
    fn lock(&self) -> Result<File, KeyError> {
        let refused = |e| fsio::Error::new("lock", &self.dir, e);
        let folder = File::open(&self.dir).map_err(refused)?;
        let begin = Instant::now();
        while !fsio::try_lock(&folder)? {
            if begin.elapsed() > WAIT {
                return Err(refused(io::ErrorKind::WouldBlock.into()).into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(folder)
    }

    fn set_seen(&self, seen: &Seen) -> Result<(), KeyError> {
        Self::write_heads(&self.seen_file(), seen)
    }

    fn write_heads(path: &Path, seen: &Seen) -> Result<(), KeyError> {
        let mut text = format!("{SEEN_HEAD}\n");
        for (name, commit) in seen {
            text.extend([commit.as_str(), " ", name.as_str(), "\n"]);
        }
        text.push_str("# end\n");
        Ok(fsio::write_file(path, text.as_bytes(), 0o600)?)
    }
}
