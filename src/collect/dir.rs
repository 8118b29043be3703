//! The source `dir:`: a folder of this machine.

use std::path::Path;

use crate::inventory::Device;
use crate::model::{Digest, Look};
use crate::profile::Profile;

use super::{CollectError, Collected, Context, Referenced};

pub(super) fn collect(
    folder: &Path,
    _device: &Device,
    _profile: &Profile,
    _look: Option<&Look>,
    _rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    context.check_cancel()?;
    Err(CollectError::Missing(folder.to_path_buf()))
}

pub(super) fn recheck(file: &Referenced) -> Result<(), CollectError> {
    let _ = (&file.file, file.stamp);
    Err(CollectError::Changing(file.path.clone()))
}
