//! Where the store of an administrator is.

use std::path::{Path, PathBuf};

use super::InventoryError;

/// Name of the inventory's file in the folder of a store.
pub const FILE_NAME: &str = "confvault.toml";
/// Name of the bare repository in the folder of a store.
pub const STORE_DIR: &str = "store.git";
/// Name of the folder with the user's own profiles in the folder of a store.
pub const PROFILES_DIR: &str = "profiles";
/// The folder of further files with devices, beside the inventory.
pub const DEVICES_DIR: &str = "devices.d";

/// Finds the folder that holds `confvault.toml`: `start` or, if `parents`, the nearest one above it.
///
/// # Errors
/// [`InventoryError::NotFound`]; [`InventoryError::Read`] if `start` cannot be looked into.
pub fn locate(start: &Path, parents: bool) -> Result<PathBuf, InventoryError> {
    match start.join(FILE_NAME).metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return Err(InventoryError::Read(start.join(FILE_NAME), e)),
        _ => {}
    }
    let reach = if parents { usize::MAX } else { 1 };
    start
        .ancestors()
        .take(reach)
        .find(|dir| dir.join(FILE_NAME).is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| InventoryError::NotFound(start.to_path_buf()))
}
