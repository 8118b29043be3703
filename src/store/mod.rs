//! The store: generations, manifest, forms, points, journal, pack writing (`docs/format.md`).
//!
//! The low half knows a repository and nothing of devices: [`repo`] opens it and reads objects, [`refs`]
//! reads and rewrites refs, [`pack`] writes packs, [`batch`] commits a pack and its refs as one,
//! [`lock`] is the writers' lock, [`maintain`] folds packs. See "Writing and reading" in `docs/format.md`.

pub mod batch;
pub mod error;
pub mod lock;
pub mod maintain;
pub mod pack;
pub mod refs;
pub mod repo;

pub use batch::{Batch, Committed};
pub use error::{Error, Result};
pub use gix::ObjectId;
pub use gix::objs::Kind as ObjectKind;
pub use refs::{Ref, RefEdit, Refs};
pub use repo::{Object, Repo};
