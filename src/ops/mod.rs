//! What an administrator does: make a store, take snapshots, put back, check.
//!
//! Each job is one file: plain options in, a plain report out. Nothing is printed here, and no rule of a
//! job stands in the command line or in a page. A failure of one device is a line of the report, never an
//! error of the job.

pub mod backup;
pub mod change;
pub mod check;
pub mod compare;
pub mod device_restore;
pub mod drill;
pub mod drs;
pub mod enlist;
mod error;
pub mod fetch;
pub mod forget;
mod gone;
pub mod health;
pub mod import;
pub mod init;
pub mod keys;
mod lines;
pub mod maintain;
pub mod mirror;
pub mod name;
mod paths;
pub mod points;
pub mod profile_test;
pub mod reach;
mod reader;
pub mod rebuild;
mod record;
pub mod release;
pub mod replace;
pub mod restore;
pub mod review;
pub mod search;
pub mod secrets;
pub mod signatures;
pub mod snapshot;
mod spool;
pub mod take_over;
pub mod trust;
mod unfinished;
mod vault;
pub mod vouch;
mod waiting;

pub use error::Error;
pub use gone::{gone, gone_at};
pub use paths::{PathFilter, near};
pub use reader::Reader;
pub use record::record;
pub use vault::Vault;
