//! The facts of trust in `_store`: who reads, who signs, the epochs ("The branch `_store`" in
//! `docs/format.md`), as values. Reading and writing the branch is the store's.

use std::collections::BTreeMap;

use super::{
    AllowedSigner, EpochIdentity, EpochRecipient, Error, Fingerprint, Identities, Opener, PublicKey, Recipients, Sealer,
    StoreKey, StoreKeys, parse_signers, write_signers,
};
use crate::model::CollectorName;

/// Files of `_store`: path and content.
pub type TrustFiles = BTreeMap<String, Vec<u8>>;

/// No sealed key is larger than this when opened, in bytes.
const KEY_LIMIT: u64 = 1 << 20;

/// Where the store key of an epoch lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKeyAt {
    /// `epochs/<n>/store-key.age`, sealed to the recipients.
    Sealed(Vec<u8>),
    /// `epochs/<n>/store-key`, in clear, in a store without sealing.
    Clear(StoreKey),
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The recipient and its sealed identity; nothing for an epoch in which nothing is sealed.
    pub sealed: Option<(EpochRecipient, Vec<u8>)>,
    /// The store key.
    pub store_key: StoreKeyAt,
}

/// What `_store` holds of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorKeys {
    /// The recipient of the collector's own identity.
    pub recipient: EpochRecipient,
    /// The store keys of all epochs, sealed to it.
    pub keys: Vec<u8>,
}

/// A line of `revoked`: of the commits by `key`, those on `reference` count that are reachable from `commit`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    /// The revoked key.
    pub key: Fingerprint,
    /// The ref, in full.
    pub reference: String,
    /// The last commit that counts, as hexadecimal digits.
    pub commit: String,
}

/// Who reads, who signs, and the epochs of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// To whom the epochs are sealed.
    pub recipients: Recipients,
    /// Whose signatures count on generations, names, logs and journals.
    pub signers: Vec<AllowedSigner>,
    /// Whose signatures count on `_store`.
    pub administrators: Vec<AllowedSigner>,
    /// Where revoked keys are cut off. They stay among the signers, so that git still finds them.
    pub revoked: Vec<Cut>,
    /// The epochs, the first being epoch 1.
    pub epochs: Vec<Epoch>,
    /// The collectors.
    pub collectors: BTreeMap<CollectorName, CollectorKeys>,
}

/// Tells whether a file of `_store` belongs to [`Trust`].
fn is_ours(path: &str) -> bool {
    matches!(path, "recipients" | "signers" | "administrators" | "revoked")
        || path.starts_with("epochs/")
        || path.starts_with("collectors/")
}

fn text(bytes: &[u8], what: &'static str) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Malformed { what })
}

impl Trust {
    /// Reads the files of `_store`; those that are not about trust are left out.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Signers`], [`Error::Recipient`]; also for an epoch that is missing
    /// between two others or has no store key.
    pub fn parse(files: &TrustFiles) -> Result<Self, Error> {
        let file = |path: &str| files.get(path).map(Vec::as_slice).unwrap_or_default();
        let mut trust = Self {
            recipients: Recipients::parse(file("recipients"))?,
            signers: parse_signers(file("signers"))?,
            administrators: parse_signers(file("administrators"))?,
            revoked: parse_revoked(file("revoked"))?,
            ..Self::default()
        };
        for number in 1.. {
            let at = |name: &str| files.get(&format!("epochs/{number}/{name}"));
            let sealed = match (at("recipient"), at("identity.age")) {
                (Some(recipient), Some(identity)) => Some((text(recipient, "epoch's recipient")?.parse()?, identity.clone())),
                (None, None) => None,
                _ => return Err(Error::Malformed { what: "epoch (a recipient and an identity)" }),
            };
            let store_key = match (at("store-key.age"), at("store-key")) {
                (Some(sealed), None) => StoreKeyAt::Sealed(sealed.clone()),
                (None, Some(clear)) => StoreKeyAt::Clear(StoreKey::from_hex(&text(clear, "store key")?)?),
                (None, None) if sealed.is_none() => break,
                _ => return Err(Error::Malformed { what: "epoch (one store key)" }),
            };
            trust.epochs.push(Epoch { sealed, store_key });
        }
        for path in files.keys() {
            if let Some(rest) = path.strip_prefix("epochs/") {
                let number = rest.split('/').next().and_then(|n| n.parse::<usize>().ok());
                if number.is_none_or(|n| n == 0 || n > trust.epochs.len()) {
                    return Err(Error::Malformed { what: "list of epochs without a gap" });
                }
            }
            let Some(name) = path.strip_prefix("collectors/").and_then(|p| p.strip_suffix("/recipient")) else { continue };
            let bad = || Error::Malformed { what: "collector's name" };
            let keys = files.get(&format!("collectors/{name}/keys.age")).cloned().unwrap_or_default();
            let recipient = text(file(path), "collector's recipient")?.parse()?;
            trust.collectors.insert(name.parse().map_err(|_| bad())?, CollectorKeys { recipient, keys });
        }
        Ok(trust)
    }

    /// Puts everything in its place among the files of `_store`; other files stay.
    pub fn write(&self, files: &mut TrustFiles) {
        files.retain(|path, _| !is_ours(path));
        let mut put = |path: String, bytes: Vec<u8>| {
            files.insert(path, bytes);
        };
        put("recipients".into(), self.recipients.to_text().into_bytes());
        put("signers".into(), write_signers(&self.signers).into_bytes());
        put("administrators".into(), write_signers(&self.administrators).into_bytes());
        let revoked: String = self.revoked.iter().map(|c| format!("{} {} {}\n", c.key, c.reference, c.commit)).collect();
        put("revoked".into(), revoked.into_bytes());
        for (at, epoch) in self.epochs.iter().enumerate() {
            let dir = format!("epochs/{}", at + 1);
            if let Some((recipient, identity)) = &epoch.sealed {
                put(format!("{dir}/recipient"), format!("{recipient}\n").into_bytes());
                put(format!("{dir}/identity.age"), identity.clone());
            }
            match &epoch.store_key {
                StoreKeyAt::Sealed(sealed) => put(format!("{dir}/store-key.age"), sealed.clone()),
                StoreKeyAt::Clear(key) => put(format!("{dir}/store-key"), key.to_hex().as_bytes().to_vec()),
            }
        }
        for (name, keys) in &self.collectors {
            put(format!("collectors/{name}/recipient"), format!("{}\n", keys.recipient).into_bytes());
            put(format!("collectors/{name}/keys.age"), keys.keys.clone());
        }
    }

    /// Gives the number of the newest epoch; 0 if there is none.
    #[must_use]
    pub fn newest(&self) -> u32 {
        u32::try_from(self.epochs.len()).unwrap_or(u32::MAX)
    }

    /// Gives what seals to the newest epoch; nothing if nothing is sealed in it.
    #[must_use]
    pub fn sealer(&self) -> Option<Sealer> {
        let (recipient, _) = self.epochs.last()?.sealed.as_ref()?;
        Some(Sealer::new(self.newest(), recipient.clone()))
    }

    /// Opens the identities of all epochs.
    ///
    /// # Errors
    /// [`Error::Key`] if one does not open.
    pub fn unlock(&self, own: &Identities) -> Result<Opener, Error> {
        let sealed = (1..).zip(&self.epochs).filter_map(|(n, epoch)| Some((n, epoch.sealed.as_ref()?.1.clone())));
        Opener::unlock(own, sealed)
    }

    /// Gives the store keys of all epochs to whom the epochs are sealed; in clear ones to everybody.
    ///
    /// # Errors
    /// [`Error::Key`] if one does not open, [`Error::Malformed`].
    pub fn store_keys(&self, own: &Identities) -> Result<StoreKeys, Error> {
        let one = |epoch: &Epoch| match &epoch.store_key {
            StoreKeyAt::Clear(key) => Ok(key.clone()),
            StoreKeyAt::Sealed(sealed) => {
                let opened = own.open(sealed, KEY_LIMIT)?;
                let hex = std::str::from_utf8(opened.expose()).map_err(|_| Error::Malformed { what: "store key" })?;
                StoreKey::from_hex(hex)
            }
        };
        self.epochs.iter().map(one).collect::<Result<_, _>>().map(StoreKeys::new)
    }

    /// Gives the store keys of all epochs to a collector.
    ///
    /// # Errors
    /// [`Error::Key`] if the collector was not let in, or the identity is not its own; [`Error::Malformed`].
    pub fn collector_keys(&self, name: &CollectorName, own: &Identities) -> Result<StoreKeys, Error> {
        if self.epochs.iter().all(|epoch| matches!(epoch.store_key, StoreKeyAt::Clear(_))) {
            return self.store_keys(own);
        }
        let sealed = self.collectors.get(name).map(|c| c.keys.as_slice()).filter(|k| !k.is_empty()).ok_or(Error::Key)?;
        let keys = StoreKeys::parse(own.open(sealed, KEY_LIMIT)?.expose())?;
        if keys.newest() == self.newest() { Ok(keys) } else { Err(Error::Malformed { what: "list of store keys" }) }
    }

    /// Begins an epoch: sealed to the recipients, or, without any, in clear. `keys` are those of the epochs
    /// so far, and get the new one, which every collector receives.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin_epoch(&mut self, keys: &mut StoreKeys) -> Result<(), Error> {
        let key = StoreKey::generate();
        keys.push(key.clone());
        let epoch = if self.recipients.is_empty() {
            Epoch { sealed: None, store_key: StoreKeyAt::Clear(key) }
        } else {
            let identity = EpochIdentity::generate();
            let sealed = self.recipients.seal(identity.to_text().as_bytes())?;
            let store_key = StoreKeyAt::Sealed(self.recipients.seal(key.to_hex().as_bytes())?);
            Epoch { sealed: Some((identity.recipient(), sealed)), store_key }
        };
        self.epochs.push(epoch);
        self.hand_out(keys)
    }

    /// Seals the store keys to every collector anew.
    fn hand_out(&mut self, keys: &StoreKeys) -> Result<(), Error> {
        let text = keys.to_text();
        for collector in self.collectors.values_mut() {
            collector.keys = collector.recipient.seal(text.as_bytes())?;
        }
        Ok(())
    }

    /// Seals the identity and the store key of every epoch to the recipients as they are now.
    ///
    /// # Errors
    /// [`Error::EpochUnknown`] if `opener` lacks an epoch, [`Error::NoRecipient`], [`Error::Io`].
    pub fn rewrap(&mut self, opener: &Opener, keys: &StoreKeys) -> Result<(), Error> {
        for (n, epoch) in (1..).zip(&mut self.epochs) {
            if let Some((_, sealed)) = &mut epoch.sealed {
                let identity = opener.identity(n).ok_or(Error::EpochUnknown(n))?;
                *sealed = self.recipients.seal(identity.to_text().as_bytes())?;
            }
            if let StoreKeyAt::Sealed(sealed) = &mut epoch.store_key {
                let key = keys.epoch(n).ok_or(Error::EpochUnknown(n))?;
                *sealed = self.recipients.seal(key.to_hex().as_bytes())?;
            }
        }
        Ok(())
    }

    /// Lets a collector in: it may sign, and gets the store keys.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn admit(
        &mut self,
        name: &CollectorName,
        recipient: EpochRecipient,
        signer: PublicKey,
        keys: &StoreKeys,
    ) -> Result<(), Error> {
        let sealed = recipient.seal(keys.to_text().as_bytes())?;
        self.collectors.insert(name.clone(), CollectorKeys { recipient, keys: sealed });
        let signer = AllowedSigner { principal: principal(name), key: signer };
        if !self.signers.contains(&signer) {
            self.signers.push(signer);
        }
        Ok(())
    }

    /// Tells whether a key was revoked.
    #[must_use]
    pub fn is_revoked(&self, key: &Fingerprint) -> bool {
        self.revoked.iter().any(|cut| cut.key == *key)
    }
}

/// The principal of a collector's signatures.
#[must_use]
pub fn principal(collector: &CollectorName) -> String {
    format!("{collector}@confvault")
}

fn parse_revoked(bytes: &[u8]) -> Result<Vec<Cut>, Error> {
    let bad = || Error::Malformed { what: "list of revoked keys" };
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let mut word = || words.next().filter(|w| !w.is_empty()).ok_or_else(bad);
        let (key, reference, commit) = (word()?.parse()?, word()?.to_owned(), word()?.to_owned());
        let hex = commit.len() == 40 && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hex || words.next().is_some() {
            return Err(bad());
        }
        Ok(Cut { key, reference, commit })
    };
    text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(line).collect()
}
