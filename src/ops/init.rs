//! Making a store.

use std::path::PathBuf;

use chrono::Utc;

use super::keys::{AdminFolder, KeyRing, found};
use super::{Error, Vault};
use crate::fsio;
use crate::inventory::{FILE_NAME, STORE_DIR, template};
use crate::model::CollectorName;
use crate::seal::{Fingerprint, Recipient, Recipients, Secret};
use crate::store::{Record, Store};

/// Who is to read what is sealed.
#[derive(Debug)]
pub enum Sealing {
    /// Nobody: secrets are kept in clear.
    Off,
    /// These recipients.
    To(Recipients),
    /// A fresh identity in the administrator's folder, behind the passphrase if there is one.
    Fresh(Option<Secret>),
}

/// What a store is made with.
#[derive(Debug)]
pub struct Options {
    /// The folder; made if it is not there.
    pub root: PathBuf,
    /// The name under which this machine writes.
    pub collector: CollectorName,
    /// Who is to read what is sealed.
    pub sealing: Sealing,
    /// The administrator's folder; nothing for the one beside `root`.
    pub admin: Option<PathBuf>,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// The bare repository.
    pub store: PathBuf,
    /// The inventory.
    pub inventory: PathBuf,
    /// The administrator's folder, to be kept apart from this machine.
    pub admin: PathBuf,
    /// The identity that was made, and its recipient.
    pub identity: Option<(PathBuf, Recipient)>,
    /// The key that signs generations.
    pub collector_key: Fingerprint,
    /// The key that signs `_store`, pinned on this machine.
    pub administrator_key: Fingerprint,
}

/// Makes a store: repository, inventory and keys.
///
/// # Errors
/// [`Error::Exists`] where a store, an inventory or a key is; the disk refused.
pub fn init(options: Options) -> Result<Made, Error> {
    let Options { root, collector, sealing, admin } = options;
    let (store_dir, inventory) = (root.join(STORE_DIR), root.join(FILE_NAME));
    if inventory.exists() || store_dir.exists() {
        return Err(Error::Exists(root));
    }
    fsio::create_dir_all(&root, 0o700)?;
    let root = root.canonicalize().unwrap_or(root);
    let admin = admin.map_or_else(|| AdminFolder::beside(&root), |dir| AdminFolder::at(&dir));
    let administrator = admin.create_key()?;
    let (recipients, identity) = match sealing {
        Sealing::Off => (Recipients::default(), None),
        Sealing::To(recipients) => (recipients, None),
        Sealing::Fresh(passphrase) => {
            let (file, recipient) = admin.create_identity(passphrase.as_ref())?;
            let mut recipients = Recipients::default();
            recipients.add(recipient.clone())?;
            (recipients, Some((file, recipient)))
        }
    };
    let sealed = !recipients.is_empty();
    let founded = found(&KeyRing::at(&root), &collector, recipients, &administrator)?;
    let store = Store::create(&store_dir, &founded.features, founded.files, Some(&administrator), Utc::now())?;
    // The inventory comes last: a folder without it is not an installation.
    fsio::write_file(&inventory, template(&collector).as_bytes(), 0o600)?;

    let vault = Vault::open(&root)?;
    let transaction = vault.begin(&Vault::new_run())?;
    transaction.record(Record::new("init", "done").with("sealing", sealed));
    transaction.commit()?;
    drop(store);
    Ok(Made {
        store: store_dir,
        inventory,
        admin: admin.dir().to_owned(),
        identity,
        collector_key: founded.signing.fingerprint(),
        administrator_key: administrator.fingerprint(),
    })
}
