//! The store: generations, manifest, forms, points, journal, pack writing (`docs/format.md`).
//!
//! The low half knows a repository and nothing of devices: [`repo`] opens it and reads objects, [`refs`]
//! reads refs, [`batch`] commits a pack and its refs as one, [`lock`] is the writers' lock, [`maintain`]
//! folds packs. See "Writing and reading" in `docs/format.md`.
//!
//! The high half knows devices and generations: a [`Store`] is opened, read by [`Store::history`],
//! [`Store::resolve`] and [`Store::read_set`], and written by a [`Transaction`], which encodes sets and
//! commits them with the journal's record. [`manifest`], [`place`], [`object`] and [`generation`] are the
//! forms of what lies in it.
//!
//! Invariants: nothing is written before the version and the features of the store are known; a
//! generation is never altered; no digest is taken on trust: what is stored is compared before it is
//! used, what was decoded after.

pub mod batch;
pub mod change;
pub mod check;
mod commit;
mod damage;
pub mod decode;
mod decode_entry;
pub mod encode;
pub mod error;
pub mod facts;
pub mod foreign;
pub mod generation;
mod git;
mod guard;
mod hints;
pub mod history;
pub mod journal;
pub mod lock;
mod logs;
mod look;
pub mod maintain;
pub mod manifest;
pub mod names;
pub mod object;
mod objects;
mod pack;
mod pending;
pub mod place;
mod points;
pub mod refs;
mod reftx;
pub mod remake;
pub mod repo;
#[allow(clippy::module_inception)]
mod store;
pub mod transaction;
pub mod tree;
pub mod verify;
mod view;

pub use batch::{Batch, Committed};
pub use change::{ChangeEnd, ChangeItem, Measured, Pair, Reading};
pub use check::{CheckOptions, CheckReport, Fault, Finding, Span};
pub use decode::{Access, Decoded, SetReader};
pub use encode::{EncodeContext, Meta, Outcome, ProfileRules, Rules};
pub use error::{Error, Result};
pub use facts::{FactFiles, Facts, Feature};
pub use foreign::{Foreign, ForeignCommit, ForeignError};
pub use generation::{ChangeId, Changed, Generation, GenerationKind};
pub use gix::ObjectId;
pub use gix::objs::Kind as ObjectKind;
pub use history::History;
pub use journal::{Entry, JournalQuery, Open, Record, RunId};
pub use logs::FiledLogs;
pub use manifest::{Body, Form, Line, Manifest};
pub use names::Name;
pub use refs::{Ref, RefEdit, Refs};
pub use repo::{Object, Repo};
pub use store::Store;
pub use transaction::{Chain, Done, Transaction, Who};
