//! Plain values: names, paths, points, scopes, sets.
//!
//! This room does no input and no output and imports no other room. Whatever comes from a device,
//! a tree, an archive, a URL or a command line becomes one of these types through one fallible
//! constructor, under `serde` too; what has been constructed is safe to put into a ref, a tree or
//! a path. See "Terms" in `docs/format.md`.

mod digest;
mod look;
mod names;
mod near;
mod path;
mod point;
mod set;
mod text;
mod url;

pub use digest::{Digest, DigestError};
pub use look::{Look, LookEntry, Stamp};
pub use names::{CollectorName, DeviceName, MirrorName, NameError, NameTag, Release, Ticket};
pub use near::near;
pub use path::{ConfigPath, PathError};
pub use point::{Phase, Point, PointError, Where};
pub use set::{ConfigSet, Content, Entry, Kind, Owner, Scope, SetError};
pub use text::count;
pub(crate) use text::text_type;
pub use url::{GitUrl, MirrorUrl, Remote, SourceUrl, UrlError, redact_word};
