//! What is known of device families, as data: the profile language and the built-in profiles.
//!
//! A profile is a file of the language of `docs/profiles.md`. This room reads such files, and
//! answers by them: which scope a file has, where the release stands, what is volatile, in which
//! section a line stands, where secrets stand; and it hands the collecting and restoring rooms
//! their part as plain values. There is no code for a vendor here or anywhere.
//!
//! It reads the user's folder of profiles and nothing else, writes nothing, and runs nothing.
//! Rules are compiled when they are first used.

mod builtin;
mod check;
mod error;
mod globs;
mod language;
mod pattern;
mod profiles;
mod rules;
pub mod secrets;
pub mod syntax;
mod volatile;

pub use error::ProfileError;
pub(crate) use globs::matcher;
pub use language::{
    Action, Backup, Cannot, Collect, Command, Expect, Health, Module, Restore, RestoreMethod, Session, SessionMode, Step,
};
pub use pattern::Pattern;
pub use profiles::{Origin, Profiles, Summary};
pub use rules::{Claim, Profile};
pub use secrets::{MaskOverrides, MaskRule, SecretSpan};
pub use syntax::{Sections, Syntax, sections};
