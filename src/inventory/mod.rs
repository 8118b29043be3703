//! Devices and policies: the file `confvault.toml` of an administrator, and the files of devices in `devices.d`.
//!
//! Reads the files strictly (a key that is not known is an error with its line), gives devices,
//! policies and mirrors as checked values, and changes a file so that comments and order stay.
//! It never holds a secret: a URL with a password is refused, a credential is only a reference.

mod device;
mod edit;
mod error;
mod file;
mod layout;
mod locate;
mod policy;
mod template;
mod units;

pub use device::{Credential, Device, DeviceKeys, Elevation, LabelKey, LabelSelector, ProfileName};
pub use edit::{DeviceChange, Editor, devices_in};
pub use error::InventoryError;
pub use file::{Inventory, Mirror};
pub use locate::{DEVICES_DIR, FILE_NAME, PROFILES_DIR, STORE_DIR, locate};
pub use policy::Policy;
pub use template::template;
// A source and a mirror are URLs; their types stand with the other checked values.
pub use crate::model::{MirrorUrl, Remote, SourceUrl, UrlError};
pub use units::{ByteSize, Months, Percent, Seconds, UnitError};
