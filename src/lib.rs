//! confvault: a content-addressed, versioned store for the configuration of VoIP and network devices.
//!
//! The rooms of this crate, each importing only rooms below it:
//!
//! ```text
//! cli        one file per command: arguments in, rendering out, no rules
//! ops        what an administrator does: snapshot, restore, check, change, release, drill, import, keys
//! mirror     other repositories: push, fetch, rebuild, forget
//! store      generations, manifest, forms, points, journal, pack writing
//! collect    sources: folders, SSH, SFTP, DRS sets; acting on devices; many at a time
//! inventory  devices and policies
//! seal       keys, age, masking          diff   lines, structure, rendering
//! profile    the profile language and the built-in profiles
//! fsio       all writes to disk
//! model      names, points, scopes, sets
//! ```

pub mod cli;
pub mod collect;
pub mod diff;
pub mod fsio;
pub mod inventory;
pub mod mirror;
pub mod model;
pub mod ops;
pub mod profile;
pub mod seal;
pub mod store;
