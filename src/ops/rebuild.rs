//! Rebuilding a store from its mirror, and joining one: the same steps.
//!
//! Nothing that came from the mirror counts before `_store` was followed back to an administrator whose
//! key the user has, or whose fingerprint the user has compared. Then every byte and every signature is
//! checked, and only then the inventory of a lost collector is taken over.

use std::path::{Path, PathBuf};

use chrono::Utc;

use super::check::{self, Report};
use super::keys::{self, AdminFolder, JoinRequest, KeyChange, KeyRing, trusted};
use super::take_over::of_inventory;
use super::unfinished::{self, Before, Unfinished, Work};
use super::vouch::wrong;
use super::{Error, Vault};
use crate::fsio;
use crate::inventory::{FILE_NAME, Inventory, STORE_DIR, template};
use crate::mirror::{MirrorError, Remote, clone_store, collector_files};
use crate::model::{CollectorName, DeviceName};
use crate::seal::{AllowedSigner, Fingerprint, Identities, Trust};
use crate::store::facts::STORE_REF;
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
    /// The mirror holds an inventory of this collector that was not taken over: why.
    pub inventory_left_out: Option<String>,
    /// What an administrator needs to let this machine in; nothing if that was done.
    pub request: Option<JoinRequest>,
    /// Refs of the mirror that are none of a store, and were left out.
    pub left_out: Vec<String>,
    /// Structure, every byte, every signature.
    pub check: Report,
}

/// Rebuilds a store from its mirror.
///
/// One that was killed is begun anew by the next.
///
/// # Errors
/// Something is there already; the mirror; [`Error::Unconfirmed`] if nothing says whose store it is;
/// nothing is left then.
pub fn rebuild(options: &Options<'_>) -> Result<Rebuilt, Error> {
    fsio::create_dir_all(&options.root, 0o700)?;
    let root = options.root.canonicalize().unwrap_or_else(|_| options.root.clone());
    let ring = KeyRing::at(&root);
    let before = unfinished::clear(&root, Work::Rebuild)?;
    let mut unfinished = Unfinished::begin(&root, Work::Rebuild)?;
    let rebuilt = match before {
        Before::Done => rebuilt(&root, &ring)?,
        Before::Nothing | Before::Cleared => match build(options, &root, &ring, &mut unfinished) {
            Ok(rebuilt) => rebuilt,
            Err(error) => {
                // None of it was there before; what cannot be removed is taken away by the next try.
                if unfinished::clear(&root, Work::Rebuild).is_ok() {
                    drop(unfinished.end());
                }
                return Err(error);
            }
        },
    };
    unfinished.end()?;
    Ok(rebuilt)
}

/// Tells what was rebuilt by one that was killed at its very last step; everything is checked again.
fn rebuilt(root: &Path, ring: &KeyRing) -> Result<Rebuilt, Error> {
    let inventory = Inventory::load(root)?;
    let store = Store::open(&inventory.store_dir())?;
    let trusted = trusted(&store, ring)?;
    let admitted = trusted.trust.collector_keys(&inventory.collector, &ring.own()?).is_ok();
    let administrator_key =
        ring.pinned()?.first().map(|signer| signer.key.fingerprint()).ok_or(Error::Exists(root.to_owned()))?;
    Ok(Rebuilt {
        devices: store.devices(&store.refs()?),
        inventory: root.join(FILE_NAME),
        administrator_key,
        inventory_taken_over: std::fs::read_to_string(root.join(FILE_NAME))
            .is_ok_and(|text| text != template(&inventory.collector)),
        inventory_left_out: None,
        request: if admitted { None } else { Some(JoinRequest::of(ring, &inventory.collector)?) },
        collector: inventory.collector.clone(),
        left_out: Vec::new(),
        check: check::check(root, None, &check::Options { read_data: true, ..check::Options::default() }, &|_, _| {})?,
        store: inventory.store_dir(),
    })
}

fn build(options: &Options<'_>, root: &Path, ring: &KeyRing, unfinished: &mut Unfinished) -> Result<Rebuilt, Error> {
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
    // What is wrong elsewhere says nothing of what this collector itself has signed.
    let own = format!("refs/heads/_collector/{collector}");
    let all = report.signatures.iter().flat_map(|report| &report.findings);
    let against = all.filter(|f| f.reference == own || f.reference == STORE_REF).map(ToString::to_string).next();
    let unread = || Some("it does not read".to_owned());
    let (taken_over, inventory_left_out) = match (known, against) {
        (false, _) => (None, None),
        (true, Some(against)) => (None, Some(against)),
        (true, None) => {
            take_over(&store, root, &collector, unfinished)?.map_or_else(|| (None, unread()), |text| (Some(text), None))
        }
    };
    let inventory_taken_over = taken_over.is_some();
    let text = taken_over.unwrap_or_else(|| template(&collector));
    let refs = store.refs()?;
    keys::accept(ring, &refs)?;
    let trust = trusted(&store, ring)?.trust;
    ring.change_seen(|seen| {
        // What nobody has signed who may is none that was taken over: nothing is built on it.
        seen.retain(|name, _| refs.get(name).is_none_or(|head| wrong(&store, &refs, &trust, name, head.id).is_none()));
        Ok(())
    })?;
    if request.is_none() {
        let vault = Vault::of(Inventory::parse(root, &text)?)?;
        vault.record([Record::new("init", "rebuilt").with("from", options.remote.url.to_string())])?;
    }
    // The inventory comes last: a folder without it is not an installation.
    fsio::write_file(&root.join(FILE_NAME), text.as_bytes(), 0o600)?;
    Ok(Rebuilt {
        store: root.join(STORE_DIR),
        inventory: root.join(FILE_NAME),
        devices: cloned.devices,
        collector,
        administrator_key: administrator.key.fingerprint(),
        inventory_taken_over,
        inventory_left_out,
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

/// Takes over own profiles and host-key pins of a collector and gives its inventory, where it reads; nothing else of its branch.
fn take_over(
    store: &Store,
    root: &Path,
    collector: &CollectorName,
    unfinished: &mut Unfinished,
) -> Result<Option<String>, Error> {
    let files = of_inventory(collector_files(store.repo(), collector)?);
    let text = files.get(FILE_NAME).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let Some(text) = text.filter(|text| Inventory::parse(root, text).is_ok_and(|i| i.collector == *collector)) else {
        return Ok(None);
    };
    for (path, bytes) in files.iter().filter(|(path, _)| *path != FILE_NAME && !path.contains(char::is_control)) {
        let path = root.join(path);
        fsio::create_dir_all(path.parent().unwrap_or(root), fsio::PRIVATE_DIR)?;
        unfinished.announce(&path, bytes)?;
        fsio::write_file(&path, bytes, fsio::PRIVATE_FILE)?;
    }
    Ok(Some(text.to_owned()))
}
