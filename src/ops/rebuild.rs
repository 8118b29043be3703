//! Rebuilding a store from its mirror, and joining one: the same steps.
//!
//! Nothing that came from the mirror counts before `_store` was followed back to an administrator whose
//! key the user has, or whose fingerprint the user has compared. Then every byte and every signature is
//! checked, and only then the inventory of a lost collector is taken over.

use std::path::{Path, PathBuf};

use chrono::Utc;

use super::check::{self, Report};
use super::keys::{self, AdminFolder, JoinRequest, KeyChange, KeyRing, trusted};
use super::{Error, Vault};
use crate::fsio;
use crate::inventory::{FILE_NAME, Inventory, PROFILES_DIR, ProfileName, STORE_DIR, template};
use crate::mirror::{MirrorError, Remote, clone_store, collector_files};
use crate::model::{CollectorName, DeviceName};
use crate::seal::{AllowedSigner, Fingerprint, Identities, Trust};
use crate::store::{Record, Store};

/// How a store is rebuilt.
pub struct Options<'a> {
    /// The folder; made if it is not there.
    pub root: PathBuf,
    /// The mirror.
    pub remote: Remote<'a>,
    /// The name under which this machine writes; nothing for the only collector that the mirror knows.
    pub collector: Option<CollectorName>,
    /// The administrator's folder; it proves the store and lets this machine in at once.
    pub admin: Option<AdminFolder>,
    /// The administrator's identities, which open the store keys for this machine.
    pub identities: Identities,
    /// The fingerprint of an administrator's key, known from elsewhere.
    pub fingerprint: Option<String>,
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("root", &self.root).finish_non_exhaustive()
    }
}

/// What was rebuilt.
#[derive(Debug)]
pub struct Rebuilt {
    /// The bare repository.
    pub store: PathBuf,
    /// The inventory.
    pub inventory: PathBuf,
    /// Devices of the store.
    pub devices: Vec<DeviceName>,
    /// The name under which this machine writes.
    pub collector: CollectorName,
    /// The key that `_store` was followed back to, pinned now.
    pub administrator_key: Fingerprint,
    /// The inventory came from the mirror; else it is a new one.
    pub inventory_taken_over: bool,
    /// What an administrator needs to let this machine in; nothing if that was done.
    pub request: Option<JoinRequest>,
    /// Refs of the mirror that are none of a store, and were left out.
    pub left_out: Vec<String>,
    /// Structure, every byte, every signature.
    pub check: Report,
}

/// Rebuilds a store from its mirror.
///
/// # Errors
/// Something is there already; the mirror; [`Error::Unconfirmed`] if nothing says whose store it is;
/// nothing is left then.
pub fn rebuild(options: &Options<'_>) -> Result<Rebuilt, Error> {
    let root = &options.root;
    let ring = KeyRing::at(root);
    if root.join(FILE_NAME).exists() || root.join(STORE_DIR).exists() || ring.is_there() || ring.is_pinned() {
        return Err(Error::Exists(root.clone()));
    }
    fsio::create_dir_all(root, 0o700)?;
    let root = root.canonicalize().unwrap_or_else(|_| root.clone());
    let ring = KeyRing::at(&root);
    build(options, &root, &ring).inspect_err(|_| {
        // None of it was there before; what cannot be removed is refused by the next try.
        drop(std::fs::remove_dir_all(root.join(STORE_DIR)));
        drop(std::fs::remove_dir_all(ring.dir()));
        drop(std::fs::remove_file(root.join(FILE_NAME)));
    })
}

fn build(options: &Options<'_>, root: &Path, ring: &KeyRing) -> Result<Rebuilt, Error> {
    let cloned = clone_store(options.remote, &root.join(STORE_DIR))?;
    let mut store = Store::open(&root.join(STORE_DIR))?;
    let administrator = administrator(options, &store)?;
    ring.pin(std::slice::from_ref(&administrator))?;
    trusted(&store, ring)?;
    let report = check::check(root, None, &check::Options { read_data: true, ..check::Options::default() }, &|_, _| {})?;

    let collector = match (&options.collector, cloned.collectors.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.clone(),
        (None, all) => return Err(MirrorError::Collector { names: all.iter().map(ToString::to_string).collect() }.into()),
    };
    ring.create(&collector)?;
    let request = admit(options, &mut store, ring, &collector)?;
    let known = cloned.collectors.contains(&collector);
    let signed = report.signatures.as_ref().is_some_and(|report| report.findings.is_empty());
    let inventory_taken_over = known && signed && take_over(&store, root, &collector)?;
    if !inventory_taken_over {
        fsio::write_file(&root.join(FILE_NAME), template(&collector).as_bytes(), 0o600)?;
    }
    keys::accept(ring, &store.refs()?)?;
    if request.is_none() {
        let vault = Vault::open(root)?;
        let transaction = vault.begin(&Vault::new_run())?;
        transaction.record(Record::new("init", "rebuilt").with("from", options.remote.url.to_string()));
        transaction.commit()?;
    }
    Ok(Rebuilt {
        store: root.join(STORE_DIR),
        inventory: root.join(FILE_NAME),
        devices: cloned.devices,
        collector,
        administrator_key: administrator.key.fingerprint(),
        inventory_taken_over,
        request,
        left_out: cloned.left_out,
        check: report,
    })
}

/// Finds the administrator that the user vouches for, among those that `_store` names.
fn administrator(options: &Options<'_>, store: &Store) -> Result<AllowedSigner, Error> {
    let named = Trust::parse(store.facts().files())?.administrators;
    let own = options.admin.as_ref().filter(|admin| admin.key_file().exists()).map(AdminFolder::key).transpose()?;
    let is = |signer: &&AllowedSigner| match (&own, &options.fingerprint) {
        (Some(own), _) => signer.key == own.public(),
        (None, Some(known)) => signer.key.fingerprint().to_string() == *known,
        (None, None) => false,
    };
    match named.iter().find(is) {
        Some(signer) => Ok(signer.clone()),
        None => {
            let found = named.iter().map(|signer| signer.key.fingerprint().to_string()).collect();
            Err(if own.is_some() || options.fingerprint.is_some() {
                Error::OtherAdministrator(found)
            } else {
                Error::Unconfirmed(found)
            })
        }
    }
}

/// Lets this machine in, if the administrator's key is at hand; else gives what has to be let in.
fn admit(
    options: &Options<'_>,
    store: &mut Store,
    ring: &KeyRing,
    collector: &CollectorName,
) -> Result<Option<JoinRequest>, Error> {
    let request = JoinRequest::of(ring, collector)?;
    let Some(admin) = options.admin.as_ref().filter(|admin| admin.key_file().exists()) else { return Ok(Some(request)) };
    let JoinRequest { name, recipient, signer } = request;
    let change = KeyChange::Admit { name, recipient, signer };
    keys::apply(store, ring, &change, &options.identities, &admin.key()?, Utc::now())?;
    Ok(None)
}

/// Takes over inventory and own profiles of a collector, where they read; nothing else of its branch.
fn take_over(store: &Store, root: &Path, collector: &CollectorName) -> Result<bool, Error> {
    let files = collector_files(store.repo(), collector)?;
    let text = files.get(FILE_NAME).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let Some(text) = text.filter(|text| Inventory::parse(root, text).is_ok_and(|i| i.collector == *collector)) else {
        return Ok(false);
    };
    for (path, bytes) in &files {
        let name = path.strip_prefix(PROFILES_DIR).and_then(|rest| rest.strip_prefix('/'));
        let name = name.and_then(|file| file.strip_suffix(".toml")).and_then(|name| name.parse::<ProfileName>().ok());
        if let Some(name) = name {
            let folder = root.join(PROFILES_DIR);
            fsio::create_dir_all(&folder, 0o755)?;
            fsio::write_file(&folder.join(format!("{name}.toml")), bytes, 0o644)?;
        }
    }
    fsio::write_file(&root.join(FILE_NAME), text.as_bytes(), 0o600)?;
    Ok(true)
}
