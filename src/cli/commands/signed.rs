//! What is said of the signatures of what is shown, in every command that shows it.

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::ui::Ui;
use crate::ops::signatures::SignatureFinding;
use crate::ops::vouch::{Signature, signature_of, trust_of};
use crate::seal::Trust;
use crate::store::{Generation, Refs, Store};

/// Warns of a generation that is shown or put back though nobody has signed it who may.
pub(super) fn warn(ui: &mut Ui, found: &SignatureFinding) {
    ui.warn(&format!("signed by nobody whom this store trusts: {found}"));
}

/// Warns of a signature that is not good.
pub(super) fn tell(ui: &mut Ui, signature: &Signature) {
    if let Signature::Wrong(found) = signature {
        warn(ui, found);
    }
}

/// A signature for JSON: `good`, `none` where the store asks for none, else what is wrong; null where nobody looked.
pub(super) fn document(signature: Option<&Signature>) -> Value {
    match signature {
        None => Value::Null,
        Some(Signature::Good) => json!("good"),
        Some(Signature::NotAsked) => json!("none"),
        Some(Signature::Wrong(found)) => json!(found.wrong)["what"].take(),
    }
}

/// Looks at the signatures of generations whose facts alone are shown, whatever else of the store does not read.
pub(super) struct Look<'a> {
    store: &'a Store,
    refs: &'a Refs,
    trust: Option<Trust>,
}

impl<'a> Look<'a> {
    /// Warns where it is not known whom the store trusts.
    pub(super) fn new(ui: &mut Ui, context: &Context, store: &'a Store, refs: &'a Refs) -> Result<Self, CommandError> {
        let trust = match trust_of(store, &context.store_root()?) {
            Ok(trust) => Some(trust),
            Err(error) => {
                ui.warn(&format!("no signature was looked at: {error}"));
                None
            }
        };
        Ok(Self { store, refs, trust })
    }

    /// Says what a signature is worth, and warns of one that is not good; nothing where it could not be looked at.
    pub(super) fn at(&self, ui: &mut Ui, generation: &Generation) -> Option<Signature> {
        let signature = signature_of(self.store, self.refs, self.trust.as_ref()?, generation);
        tell(ui, &signature);
        Some(signature)
    }
}
