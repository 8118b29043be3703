//! Reading what a vendor says of a new release: which passages are about what this device uses, and what the
//! reviewer decided of each (`docs/releases.md`).
//!
//! Nothing is decided here. A passage that is listed may turn out not to matter; one is left out only if it
//! names nothing of the device, or is about a release that is not between the two.

mod decide;
mod matching;
mod notes;
mod uses;

use std::path::PathBuf;

use super::{Error, Reader};
use crate::model::{DeviceName, Release};

pub use decide::{Choice, Decision, decide, state};
pub use matching::{Hit, HitKind};
pub use notes::{Passage, passages};
pub use uses::Uses;

/// Says why change notes cannot be reviewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// A file cannot be read.
    #[error("Change notes cannot be read: {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// A decision is about no item of the list.
    #[error("No such item in the review: {0}")]
    NoItem(String),
    /// A decision has no reason.
    #[error("A decision needs a reason")]
    NoReason,
}

/// A file of change notes.
#[derive(Debug, Clone)]
pub struct Notes {
    /// Its name, as it is shown.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Notes {
    /// Reads a file; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// [`ReviewError::Read`].
    pub fn read(name: &str, file: &std::path::Path) -> Result<Self, ReviewError> {
        let bytes = std::fs::read(file).map_err(|error| ReviewError::Read(file.to_path_buf(), error))?;
        Ok(Self { name: name.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// A passage that names something that the device uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Eight hexadecimal digits, by the words of the passage: the same wherever it stands.
    pub id: String,
    /// The passage.
    pub passage: Passage,
    /// Every place at which it stands: file and line.
    pub places: Vec<(String, u32)>,
    /// What it names.
    pub hits: Vec<Hit>,
    /// What was decided of it.
    pub decision: Option<Decision>,
}

/// A review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// The device.
    pub device: DeviceName,
    /// The release that it has.
    pub old: Release,
    /// The release that it is to have.
    pub new: Release,
    /// The number of the generation by which it is known what the device uses.
    pub generation: u64,
    /// Passages of the notes that are about releases behind the old one, up to the new one.
    pub passages: usize,
    /// Those that name something.
    pub items: Vec<Item>,
}

impl Review {
    /// How many items are not decided.
    #[must_use]
    pub fn undecided(&self) -> usize {
        self.items.iter().filter(|item| item.decision.is_none()).count()
    }
}

/// Reads change notes for a device, by its newest generation. With `all`, lists of commits count too.
///
/// # Errors
/// The device is not there; its newest generation or the journal cannot be read.
pub fn review(reader: &Reader, device: &DeviceName, new: &Release, notes: &[Notes], all: bool) -> Result<Review, Error> {
    let refs = reader.store.refs()?;
    let generation = reader.store.newest(&refs, device)?;
    let uses = Uses::of(reader, &refs, &generation)?;
    let made = decide::decisions(&reader.store, &refs, device, new)?;
    let mut out = Review {
        device: device.clone(),
        old: generation.release.clone(),
        new: new.clone(),
        generation: generation.number,
        passages: 0,
        items: Vec::new(),
    };
    let mut seen: std::collections::HashMap<String, Option<usize>> = std::collections::HashMap::new();
    for file in notes {
        for passage in passages(&file.name, &file.text, all) {
            if !notes::between(passage.version.as_deref(), &generation.release, new) {
                continue;
            }
            let (id, place) = (passage.id(), (file.name.clone(), passage.line));
            if let Some(known) = seen.get(&id) {
                if let Some(at) = known {
                    out.items[*at].places.push(place);
                }
                continue;
            }
            out.passages += 1;
            let hits = matching::hits(&passage, &uses);
            let listed = (!hits.is_empty()).then_some(out.items.len());
            seen.insert(id.clone(), listed);
            if listed.is_some() {
                let decision = made.get(&id).cloned();
                out.items.push(Item { id, passage, places: vec![place], hits, decision });
            }
        }
    }
    Ok(out)
}
