//! What an administrator has and a collector has not.

use std::path::{Path, PathBuf};

use super::KeyError;
use crate::fsio;
use crate::seal::{EpochIdentity, Recipient, Secret, SigningKey, check_key_folder, protect, write_private};

/// Who learns of a key file before it is written.
pub type Announce<'a> = dyn FnMut(&Path, &[u8]) -> fsio::Result<()> + 'a;

/// The folder of an administrator, mode 0700, outside of the store's folder:
///
/// ```text
/// identity.txt        an age identity that opens everything (identity.age: behind a passphrase)
/// administrator.key   signs `_store`, OpenSSH Ed25519
/// ```
///
/// Who has it reads every secret and decides who else does: it is to be kept apart.
#[derive(Debug, Clone)]
pub struct AdminFolder {
    dir: PathBuf,
}

impl AdminFolder {
    /// A folder; it need not be there.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The folder that `init` makes for the store in `root`: beside it, not in it.
    #[must_use]
    pub fn beside(root: &Path) -> Self {
        let mut name = root.file_name().unwrap_or_default().to_owned();
        name.push("-admin");
        Self { dir: root.with_file_name(name) }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of the signing key.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.dir.join("administrator.key")
    }

    /// The file of the identity, if there is one here.
    #[must_use]
    pub fn identity_file(&self) -> Option<PathBuf> {
        ["identity.txt", "identity.age"].map(|name| self.dir.join(name)).into_iter().find(|path| path.exists())
    }

    /// Makes the key that signs `_store`. `announce` learns of the file and its bytes before it is written.
    ///
    /// # Errors
    /// There is one, or the disk refused.
    pub fn create_key(&self, announce: &mut Announce<'_>) -> Result<SigningKey, KeyError> {
        fsio::create_dir_all(&self.dir, 0o700)?;
        let path = self.key_file();
        if path.exists() {
            return Err(KeyError::Exists { path });
        }
        let key = SigningKey::generate("administrator@confvault")?;
        let text = key.to_openssh();
        announce(&path, text.as_bytes())?;
        write_private(&path, text.as_bytes())?;
        Ok(key)
    }

    /// Refuses a folder in which others may put a key in the place of one.
    ///
    /// # Errors
    /// [`crate::seal::Error::KeyFolderOpen`].
    pub fn check(&self) -> Result<(), KeyError> {
        Ok(check_key_folder(&self.dir)?)
    }

    /// Loads the key that signs `_store`.
    ///
    /// # Errors
    /// What [`AdminFolder::check`] and [`SigningKey::load`] give.
    pub fn key(&self) -> Result<SigningKey, KeyError> {
        self.check()?;
        let path = self.key_file();
        if !path.exists() {
            return Err(KeyError::Missing { path });
        }
        Ok(SigningKey::load(&path)?)
    }

    /// Makes an identity, behind a passphrase if one is given. Gives its file and its recipient. `announce`
    /// learns of the file and its bytes before it is written.
    ///
    /// # Errors
    /// There is one, or the disk refused.
    pub fn create_identity(
        &self,
        passphrase: Option<&Secret>,
        announce: &mut Announce<'_>,
    ) -> Result<(PathBuf, Recipient), KeyError> {
        fsio::create_dir_all(&self.dir, 0o700)?;
        let identity = EpochIdentity::generate();
        let text = identity.to_text();
        let (path, bytes) = match passphrase {
            Some(passphrase) => (self.dir.join("identity.age"), protect(&text, passphrase)?),
            None => (self.dir.join("identity.txt"), text.as_bytes().to_vec()),
        };
        for path in [self.dir.join("identity.age"), self.dir.join("identity.txt")] {
            if path.exists() {
                return Err(KeyError::Exists { path });
            }
        }
        announce(&path, &bytes)?;
        write_private(&path, &bytes)?;
        let recipient: Recipient = identity.recipient().to_string().parse()?;
        Ok((path, recipient.with_comment("made by init")))
    }
}
