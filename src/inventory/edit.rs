//! Changes to `confvault.toml` and the files of `devices.d` that keep comments, order and layout.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, value};

use crate::model::{DeviceName, MirrorName};

use super::{Inventory, InventoryError, LabelKey, MirrorUrl, SourceUrl, file, layout};

/// A change to the table of one device. Values are texts as they stand in the file; they are
/// checked when the change is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceChange {
    /// Sets a key to a text.
    Set(&'static str, String),
    /// Sets a key to true or false.
    Flag(&'static str, bool),
    /// Removes a key.
    Unset(&'static str),
    /// Sets a label.
    Label(LabelKey, String),
    /// Removes a label.
    Unlabel(LabelKey),
}

impl DeviceChange {
    /// The key that it changes.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Set(key, _) | Self::Flag(key, _) | Self::Unset(key) => key,
            Self::Label(..) | Self::Unlabel(_) => "labels",
        }
    }
}

/// The files while they are changed; nothing is written before [`Editor::save`].
#[derive(Debug)]
pub struct Editor {
    root: PathBuf,
    /// `confvault.toml` first.
    files: Vec<Edited>,
    inventory: Inventory,
}

/// One file, as it is and as it is to be.
#[derive(Debug)]
struct Edited {
    path: PathBuf,
    before: String,
    document: DocumentMut,
}

impl Editor {
    /// Reads the files in the folder `root`.
    ///
    /// # Errors
    /// As [`Inventory::load`].
    pub fn open(root: &Path) -> Result<Self, InventoryError> {
        let texts = file::texts(root)?;
        let inventory = Inventory::parse_all(root, &texts)?;
        let mut files = Vec::with_capacity(texts.len());
        for (path, before) in texts {
            // The inventory was read from the same text.
            let document =
                before.parse().map_err(|_| InventoryError::Read(path.clone(), std::io::ErrorKind::InvalidData.into()))?;
            files.push(Edited { path, before, document });
        }
        Ok(Self { root: root.to_path_buf(), files, inventory })
    }

    /// `confvault.toml`.
    fn main(&mut self) -> &mut DocumentMut {
        &mut self.files[0].document
    }

    /// The file that has a device.
    fn home(&mut self, name: &DeviceName) -> Option<&mut DocumentMut> {
        let has = |document: &DocumentMut| {
            let devices = document.get("devices").and_then(Item::as_table_like);
            devices.is_some_and(|devices| devices.contains_key(name.as_str()))
        };
        self.files.iter_mut().map(|file| &mut file.document).find(|document| has(document))
    }

    /// The inventory as it was when the files were read.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Adds a device behind the last one of `confvault.toml`.
    ///
    /// # Errors
    /// [`InventoryError::Exists`].
    pub fn add_device(&mut self, name: &DeviceName, source: &SourceUrl, changes: &[DeviceChange]) -> Result<(), InventoryError> {
        if self.home(name).is_some() {
            return Err(InventoryError::Exists(name.clone()));
        }
        let devices = super_table(self.main(), "devices");
        let mut table = Table::new();
        table.insert("source", value(source.to_string()));
        for change in changes {
            apply(&mut table, change);
        }
        devices.insert(name.as_str(), Item::Table(table));
        layout::put_behind(self.main(), "devices", name.as_str());
        Ok(())
    }

    /// Changes the table of a device.
    ///
    /// # Errors
    /// [`InventoryError::NoDevice`].
    pub fn change_device(&mut self, name: &DeviceName, changes: &[DeviceChange]) -> Result<(), InventoryError> {
        let document = self.home(name).ok_or_else(|| InventoryError::NoDevice(name.clone()))?;
        let table = super_table(document, "devices").get_mut(name.as_str()).and_then(Item::as_table_like_mut);
        let table = table.ok_or_else(|| InventoryError::NoDevice(name.clone()))?;
        for change in changes {
            apply(table, change);
        }
        Ok(())
    }

    /// Removes the table of a device. Its history stays in the store.
    ///
    /// # Errors
    /// [`InventoryError::NoDevice`].
    pub fn remove_device(&mut self, name: &DeviceName) -> Result<(), InventoryError> {
        let taken = self.home(name).and_then(|document| layout::take_out(document, "devices", name.as_str()));
        taken.ok_or_else(|| InventoryError::NoDevice(name.clone()))
    }

    /// Adds a mirror.
    ///
    /// # Errors
    /// [`InventoryError::MirrorExists`].
    pub fn add_mirror(&mut self, name: &MirrorName, url: &MirrorUrl) -> Result<(), InventoryError> {
        let mirrors = super_table(self.main(), "mirrors");
        if mirrors.contains_key(name.as_str()) {
            return Err(InventoryError::MirrorExists(name.clone()));
        }
        let mut table = Table::new();
        table.insert("url", value(url.to_string()));
        mirrors.insert(name.as_str(), Item::Table(table));
        layout::put_behind(self.main(), "mirrors", name.as_str());
        Ok(())
    }

    /// Removes a mirror.
    ///
    /// # Errors
    /// [`InventoryError::NoMirror`].
    pub fn remove_mirror(&mut self, name: &MirrorName) -> Result<(), InventoryError> {
        layout::take_out(self.main(), "mirrors", name.as_str()).ok_or_else(|| InventoryError::NoMirror(name.clone()))
    }

    /// Gives the inventory that the changed text says, without writing it.
    ///
    /// # Errors
    /// [`InventoryError::Syntax`] where a changed value is not one.
    pub fn check(&self) -> Result<Inventory, InventoryError> {
        let texts: Vec<_> = self.files.iter().map(|file| (file.path.clone(), file.document.to_string())).collect();
        Inventory::parse_all(&self.root, &texts)
    }

    /// Checks the whole changed text as if it had been read, and writes each file that changed in one step.
    ///
    /// # Errors
    /// [`InventoryError::Syntax`] where a changed value is not one, [`InventoryError::Write`].
    pub fn save(self) -> Result<Inventory, InventoryError> {
        let inventory = self.check()?;
        for file in &self.files {
            let text = file.document.to_string();
            if text != file.before {
                crate::fsio::write_file(&file.path, text.as_bytes(), 0o644)?;
            }
        }
        Ok(inventory)
    }
}

/// The devices that the folders in `folder` would be: every folder whose name does not begin with
/// `.`, sorted, with its source.
///
/// # Errors
/// [`InventoryError::Read`], [`InventoryError::Folder`] where a name cannot be that of a device,
/// [`InventoryError::NoFolders`].
pub fn devices_in(folder: &Path) -> Result<Vec<(DeviceName, SourceUrl)>, InventoryError> {
    let unreadable = |source| InventoryError::Read(folder.to_path_buf(), source);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        if !entry.file_type().map_err(unreadable)?.is_dir() || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let name: DeviceName = name.to_string_lossy().parse().map_err(InventoryError::Folder)?;
        let source = format!("dir:{}", folder.join(name.as_str()).display()).parse()?;
        found.push((name, source));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if found.is_empty() { Err(InventoryError::NoFolders(folder.to_path_buf())) } else { Ok(found) }
}

/// Gives a table that only holds tables, made without a header of its own where it is missing.
fn super_table<'a>(document: &'a mut DocumentMut, key: &str) -> &'a mut dyn toml_edit::TableLike {
    let item = document.entry(key).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    item.as_table_like_mut().expect("the inventory was read, so what stands here is a table")
}

fn apply(table: &mut dyn toml_edit::TableLike, change: &DeviceChange) {
    match change {
        DeviceChange::Set(key, text) => set(table, key, text.as_str().into()),
        DeviceChange::Flag(key, flag) => set(table, key, (*flag).into()),
        DeviceChange::Unset(key) => {
            table.remove(key);
        }
        DeviceChange::Label(key, text) => {
            if !table.get("labels").is_some_and(Item::is_table_like) {
                table.insert("labels", value(toml_edit::InlineTable::new()));
            }
            if let Some(labels) = table.get_mut("labels").and_then(Item::as_table_like_mut) {
                set(labels, key.as_str(), text.as_str().into());
                labels.fmt();
            }
        }
        DeviceChange::Unlabel(key) => {
            if let Some(labels) = table.get_mut("labels").and_then(Item::as_table_like_mut) {
                labels.remove(key.as_str());
                if labels.is_empty() {
                    table.remove("labels");
                }
            }
        }
    }
}

/// Sets a value and keeps the comment behind the old one.
fn set(table: &mut dyn toml_edit::TableLike, key: &str, mut new: toml_edit::Value) {
    if let Some(old) = table.get(key).and_then(Item::as_value) {
        *new.decor_mut() = old.decor().clone();
    }
    table.insert(key, Item::Value(new));
}
