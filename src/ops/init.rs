//! Making a store.

use std::path::{Path, PathBuf};

use chrono::Utc;

use super::keys::{AdminFolder, KeyRing, found};
use super::unfinished::{self, Before, Unfinished, Work};
use super::{Error, Vault};
use crate::fsio;
use crate::inventory::{FILE_NAME, Inventory, STORE_DIR, template};
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
    /// What an `init` that was killed had left was taken away first.
    pub begun_anew: bool,
}

/// Makes a store: repository, inventory and keys. One that was killed is begun anew by the next.
///
/// # Errors
/// [`Error::Exists`] where a store, an inventory or a key is; the disk refused.
pub fn init(options: Options) -> Result<Made, Error> {
    let Options { root, collector, sealing, admin } = options;
    fsio::create_dir_all(&root, 0o700)?;
    let root = root.canonicalize().unwrap_or(root);
    let admin = admin.map_or_else(|| AdminFolder::beside(&root), |dir| AdminFolder::at(&dir));
    let before = unfinished::clear(&root, Work::Make)?;
    let mut unfinished = Unfinished::begin(&root, Work::Make)?;
    let made = match before {
        Before::Done => made(&root, &collector, &sealing, &admin),
        Before::Nothing | Before::Cleared => make(&root, &collector, sealing, &admin, &mut unfinished),
    };
    match made {
        Ok(made) => {
            unfinished.end()?;
            Ok(Made { begun_anew: before == Before::Cleared, ..made })
        }
        Err(error) => {
            // What cannot be taken away now, the next try takes away.
            if unfinished::clear(&root, Work::Make).is_ok() {
                drop(unfinished.end());
            }
            Err(error)
        }
    }
}

fn make(
    root: &Path,
    collector: &CollectorName,
    sealing: Sealing,
    admin: &AdminFolder,
    unfinished: &mut Unfinished,
) -> Result<Made, Error> {
    let (store_dir, inventory) = (root.join(STORE_DIR), root.join(FILE_NAME));
    let mut announce = |path: &Path, bytes: &[u8]| unfinished.announce(path, bytes);
    let administrator = admin.create_key(&mut announce)?;
    let (recipients, identity) = match sealing {
        Sealing::Off => (Recipients::default(), None),
        Sealing::To(recipients) => (recipients, None),
        Sealing::Fresh(passphrase) => {
            let (file, recipient) = admin.create_identity(passphrase.as_ref(), &mut announce)?;
            let mut recipients = Recipients::default();
            recipients.add(recipient.clone())?;
            (recipients, Some((file, recipient)))
        }
    };
    let sealed = !recipients.is_empty();
    let founded = found(&KeyRing::at(root), collector, recipients, &administrator)?;
    Store::create(&store_dir, &founded.features, founded.files, Some(&administrator), Utc::now())?;
    let template = template(collector);
    let vault = Vault::of(Inventory::parse(root, &template)?)?;
    vault.record([Record::new("init", "done").with("sealing", sealed)])?;
    // The inventory comes last: a folder without it is not an installation.
    fsio::write_file(&inventory, template.as_bytes(), 0o600)?;
    Ok(Made {
        store: store_dir,
        inventory,
        admin: admin.dir().to_owned(),
        identity,
        collector_key: founded.signing.fingerprint(),
        administrator_key: administrator.fingerprint(),
        begun_anew: false,
    })
}

/// Tells what an `init` had made that was killed at its very last step, if it was asked for the same.
fn made(root: &Path, collector: &CollectorName, sealing: &Sealing, admin: &AdminFolder) -> Result<Made, Error> {
    let vault = Vault::open(root)?;
    let recipients = &vault.trusted.trust.recipients;
    let identity = admin.identity_file().zip(recipients.iter().next().cloned());
    let same = match sealing {
        Sealing::Off => recipients.is_empty(),
        Sealing::To(wished) => *wished == *recipients,
        Sealing::Fresh(_) => identity.is_some(),
    };
    let administrator = admin.key()?;
    if !same || vault.inventory.collector != *collector {
        return Err(Error::Exists(root.to_owned()));
    }
    Ok(Made {
        store: root.join(STORE_DIR),
        inventory: root.join(FILE_NAME),
        admin: admin.dir().to_owned(),
        identity: identity.filter(|_| matches!(sealing, Sealing::Fresh(_))),
        collector_key: vault.ring.signing()?.fingerprint(),
        administrator_key: administrator.fingerprint(),
        begun_anew: false,
    })
}
