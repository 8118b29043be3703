//! Reading `confvault.toml`, and the devices of the folder `devices.d`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::{CollectorName, DeviceName, MirrorName};
use crate::profile::MaskRule;

use super::device::DeviceKeys;
use super::error::Detail;
use super::{DEVICES_DIR, Device, FILE_NAME, InventoryError, LabelSelector, MirrorUrl, PROFILES_DIR, Policy, STORE_DIR};

/// A table `[mirrors.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Where git reaches it.
    pub url: MirrorUrl,
}

/// Everything that `confvault.toml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    root: PathBuf,
    /// The name under which this installation writes.
    pub collector: CollectorName,
    /// How things are kept and how much is done at once.
    pub policy: Policy,
    /// The mirrors by name.
    pub mirrors: BTreeMap<MirrorName, Mirror>,
    /// What is not a secret although a rule says so.
    pub never_mask: Vec<MaskRule>,
    /// What is a secret although no rule says so.
    pub always_mask: Vec<MaskRule>,
    devices: BTreeMap<DeviceName, Device>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    collector: CollectorName,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    mirrors: BTreeMap<MirrorName, Mirror>,
    #[serde(default)]
    devices: BTreeMap<DeviceName, DeviceKeys>,
    #[serde(default, rename = "never-mask")]
    never_mask: Vec<MaskRule>,
    #[serde(default, rename = "always-mask")]
    always_mask: Vec<MaskRule>,
}

/// A file of the folder `devices.d`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDevices {
    #[serde(default)]
    devices: BTreeMap<DeviceName, DeviceKeys>,
}

fn read<T: serde::de::DeserializeOwned>(file: &Path, text: &str) -> Result<T, InventoryError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let (line, key) = place(text, start);
        let source = Detail(sentence(error.message()));
        InventoryError::Syntax { file: file.to_path_buf(), line, key, source }
    })
}

/// Reads the files of the inventory in the folder `root`: `confvault.toml`, then those of `devices.d`, sorted.
pub(super) fn texts(root: &Path) -> Result<Vec<(PathBuf, String)>, InventoryError> {
    let file = root.join(FILE_NAME);
    let text = std::fs::read_to_string(&file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => InventoryError::NotFound(root.to_path_buf()),
        _ => InventoryError::Read(file.clone(), source),
    })?;
    let mut texts = vec![(file, text)];
    let folder = root.join(DEVICES_DIR);
    let unreadable = |source| InventoryError::Read(folder.clone(), source);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(texts),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        // What editors leave beside a file begins or ends otherwise.
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.ends_with(b".toml") && !name.starts_with(b".") && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|source| InventoryError::Read(file.clone(), source))?;
        texts.push((file, text));
    }
    Ok(texts)
}

impl Inventory {
    /// Reads the inventory of the store in the folder `root`.
    ///
    /// # Errors
    /// [`InventoryError::NotFound`], [`InventoryError::Read`], [`InventoryError::Syntax`], [`InventoryError::Twice`].
    pub fn load(root: &Path) -> Result<Self, InventoryError> {
        Self::parse_all(root, &texts(root)?)
    }

    /// Reads the text of a `confvault.toml` that belongs into the folder `root`.
    ///
    /// # Errors
    /// [`InventoryError::Syntax`].
    pub fn parse(root: &Path, text: &str) -> Result<Self, InventoryError> {
        Self::parse_all(root, &[(root.join(FILE_NAME), text.to_owned())])
    }

    /// Reads the texts of all files of an inventory, `confvault.toml` first.
    pub(super) fn parse_all(root: &Path, texts: &[(PathBuf, String)]) -> Result<Self, InventoryError> {
        let Some(((main, text), more)) = texts.split_first() else {
            return Err(InventoryError::NotFound(root.to_path_buf()));
        };
        let raw: Raw = read(main, text)?;
        let device = |(name, keys): (DeviceName, DeviceKeys)| (name.clone(), Device { name, keys });
        let mut devices: BTreeMap<DeviceName, Device> = raw.devices.into_iter().map(device).collect();
        let mut homes: BTreeMap<DeviceName, &PathBuf> = devices.keys().map(|name| (name.clone(), main)).collect();
        for (file, text) in more {
            for (name, device) in read::<RawDevices>(file, text)?.devices.into_iter().map(device) {
                if let Some(first) = homes.insert(name.clone(), file) {
                    return Err(InventoryError::Twice { name, files: Box::new([first.clone(), file.clone()]) });
                }
                devices.insert(name, device);
            }
        }
        Ok(Self {
            root: root.to_path_buf(),
            collector: raw.collector,
            policy: raw.policy,
            mirrors: raw.mirrors,
            never_mask: raw.never_mask,
            always_mask: raw.always_mask,
            devices,
        })
    }

    /// The folder of the store: relative sources count from it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The bare repository.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.root.join(STORE_DIR)
    }

    /// The folder with the user's own profiles; it need not exist.
    #[must_use]
    pub fn profiles_dir(&self) -> PathBuf {
        self.root.join(PROFILES_DIR)
    }

    /// All devices, sorted by name.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// One device.
    ///
    /// # Errors
    /// [`InventoryError::NoDevice`].
    pub fn device(&self, name: &DeviceName) -> Result<&Device, InventoryError> {
        self.devices.get(name).ok_or_else(|| InventoryError::NoDevice(name.clone()))
    }

    /// The devices that an administrator means: those named, or all enabled ones; of these, the
    /// ones that have every label. Sorted by name, each once.
    ///
    /// # Errors
    /// [`InventoryError::NoDevice`] if a name is not one of the inventory.
    pub fn select(&self, names: &[DeviceName], labels: &[LabelSelector]) -> Result<Vec<&Device>, InventoryError> {
        let mut chosen: Vec<&Device> = if names.is_empty() {
            self.devices().filter(|device| device.enabled).collect()
        } else {
            names.iter().map(|name| self.device(name)).collect::<Result<_, _>>()?
        };
        chosen.retain(|device| labels.iter().all(|label| device.matches(label)));
        chosen.sort_by(|a, b| a.name.cmp(&b.name));
        chosen.dedup_by(|a, b| a.name == b.name);
        Ok(chosen)
    }

    /// One mirror.
    ///
    /// # Errors
    /// [`InventoryError::NoMirror`].
    pub fn mirror(&self, name: &MirrorName) -> Result<&Mirror, InventoryError> {
        self.mirrors.get(name).ok_or_else(|| InventoryError::NoMirror(name.clone()))
    }
}

/// Gives the line (from 1) of a place in the text, and the key that stands there, with its table.
fn place(text: &str, at: usize) -> (usize, Option<String>) {
    let line = text[..at].matches('\n').count() + 1;
    let here = text.lines().nth(line - 1).unwrap_or_default();
    let clean = |key: &str| key.chars().filter(|c| !c.is_control()).take(120).collect::<String>();
    if let Some(header) = here.trim().strip_prefix('[') {
        return (line, Some(clean(header.trim_matches(['[', ']', ' ']))));
    }
    let Some((key, _)) = here.split_once('=') else { return (line, None) };
    let table = text.lines().take(line - 1).filter_map(|l| l.trim().strip_prefix('[')).last();
    let table = table.map(|header| format!("{}.", header.split(']').next().unwrap_or_default().trim_matches(['[', ' '])));
    (line, Some(clean(&format!("{}{}", table.unwrap_or_default(), key.trim()))))
}

/// Makes the parser's message one line that begins like ours.
fn sentence(message: &str) -> String {
    let mut text = String::new();
    for c in message.trim_end_matches('.').chars().map(|c| if c == '\n' { ' ' } else { c }) {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
