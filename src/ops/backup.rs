//! A backup that a device makes of itself: begun, awaited and taken.
//!
//! What differs from before is taken first. An archive that is not whole fails it, there as in any other snapshot.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use super::reach::with_context;
use super::snapshot::{Options, World, snapshot};
use super::{Error, Vault};
use crate::collect::act::{self, ActError, Scene};
use crate::collect::{Context, ask, can_ask};
use crate::inventory::{Device, SourceUrl};
use crate::model::{ConfigPath, DeviceName, Digest, Kind};
use crate::profile::{Backup, Profile};

/// Says why a device made no backup, or why it was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The profile knows of no backup.
    #[error("Profile {profile} does not say how a device makes a backup of its own: {device}")]
    NotKnown {
        /// The device.
        device: DeviceName,
        /// Its profile.
        profile: String,
    },
    /// A text is no name of a job. One could be read as an option, or by a shell.
    #[error("Not the name of a backup job: {0}")]
    NotAJob(String),
    /// The device has not the job that was named, or has several and none was named.
    #[error("{}: {device}", which(asked.as_deref(), jobs))]
    Which {
        /// The device.
        device: DeviceName,
        /// The job that was named.
        asked: Option<String>,
        /// The jobs that the device has.
        jobs: Vec<String>,
    },
    /// A step of the backup failed.
    #[error("Device made no backup: {device}")]
    Failed {
        /// The device.
        device: DeviceName,
        /// Why.
        #[source]
        source: ActError,
    },
    /// No file came of it.
    #[error("Device says that its backup was made, and there is no new {what} among the files: {device}")]
    NothingNew {
        /// The device.
        device: DeviceName,
        /// What was looked for, in the words of the profile.
        what: String,
    },
}

fn which(asked: Option<&str>, jobs: &[String]) -> String {
    match (asked, jobs) {
        (_, []) => "Device has no backup job".to_owned(),
        (Some(asked), _) => format!("Device has no backup job {asked}; it has {}", jobs.join(", ")),
        (None, _) => format!("Device has several backup jobs ({})", jobs.join(", ")),
    }
}

/// A backup that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The job that was run, where the device has several.
    pub job: Option<String>,
    /// The generation that holds the backup.
    pub generation: u64,
    /// The files that came of it.
    pub files: Vec<ConfigPath>,
}

/// Has a device make a backup of its own, and takes it. `told` hears each step before it is done.
///
/// # Errors
/// [`BackupError`]; the device cannot be collected, before the backup is begun or after it.
pub fn make_and_take(
    root: &Path,
    name: &DeviceName,
    job: Option<&str>,
    world: &World<'_>,
    told: &mut dyn FnMut(&str),
) -> Result<Taken, Error> {
    let vault = Vault::open(root)?;
    let device = vault.inventory.device(name)?;
    let (profile, _) = vault.profile(&device.profile)?;
    let not_known = || BackupError::NotKnown { device: name.clone(), profile: device.profile.to_string() };
    let backup = profile.backup().ok_or_else(not_known)?;
    if let Some(job) = job.filter(|job| !is_job(job)) {
        return Err(BackupError::NotAJob(job.to_owned()).into());
    }
    told("taking what stands there");
    take(&vault, name, Options::default(), world)?;
    let before = expected(&vault, &profile, name)?;
    let job = with_context(&vault.inventory, world, None, |context| {
        let job = match &backup.list {
            Some(list) => Some(choose(device, &profile, backup, list, job, context)?),
            None => None,
        };
        let scene = Scene { run: "backup", folder: context.spool };
        // The time of a device is that of looking at it; a backup takes what it takes.
        let deadline = Instant::now() + Duration::from_secs(backup.limit_s.clamp(1, 30 * 86_400));
        let context = &Context { deadline: Some(deadline), ..*context };
        let steps = act::work(device, &profile, scene, context, |target| {
            for action in &backup.run {
                let command = action.run.replace("{job}", job.as_deref().unwrap_or_default());
                told(&command);
                target.run(action, &command)?;
            }
            Ok(())
        });
        steps.map_err(|source| BackupError::Failed { device: name.clone(), source })?;
        Ok(job)
    })?;
    told("taking the backup");
    let note = Some(job.as_ref().map_or_else(|| "backup".to_owned(), |job| format!("backup {job}")));
    let generation = take(&vault, name, Options { note, ..Options::default() }, world)?;
    let files: Vec<ConfigPath> = expected(&vault, &profile, name)?.difference(&before).map(|(path, _)| path.clone()).collect();
    if files.is_empty() {
        let what = profile.collect().and_then(|collect| collect.expect.first()).map_or("file", |expect| &expect.what);
        return Err(BackupError::NothingNew { device: name.clone(), what: what.to_owned() }.into());
    }
    Ok(Taken { job, generation, files })
}

/// Takes the device, and gives the number of the generation that stands then.
fn take(vault: &Vault, name: &DeviceName, options: Options, world: &World<'_>) -> Result<u64, Error> {
    let options = Options { devices: vec![name.clone()], ..options };
    let mut number = 0;
    for one in snapshot(vault, &options, world, &mut |_| {})?.devices {
        number = one.number().unwrap_or_default();
        one.result?;
    }
    Ok(number)
}

/// The files of the newest generation that the profile expects beside the configuration, each with its digest.
fn expected(vault: &Vault, profile: &Profile, name: &DeviceName) -> Result<BTreeSet<(ConfigPath, Digest)>, Error> {
    let newest = vault.store.newest(&vault.store.refs()?, name)?;
    let manifest = vault.store.manifest(&newest)?;
    let is_expected = profile.expected();
    let files = manifest.lines.iter().filter(|line| line.kind == Kind::File && is_expected(&line.path));
    Ok(files.filter_map(|line| Some((line.path.clone(), line.body?.plain))).collect())
}

/// Finds the job that is to be run among those that the device has.
fn choose(
    device: &Device,
    profile: &Profile,
    backup: &Backup,
    list: &str,
    job: Option<&str>,
    context: &Context<'_>,
) -> Result<String, Error> {
    let failed = |source: ActError| BackupError::Failed { device: device.name.clone(), source };
    let said = match &device.source {
        SourceUrl::Dir(_) => act::ask_here(list, profile, context).map_err(failed)?,
        source if !can_ask(device, profile) => return Err(failed(ActError::NotSupported(source.clone())).into()),
        _ => {
            let mut answers = ask(device, profile, [list].into_iter(), context)?;
            let answer = answers.pop().unwrap_or_else(|| Ok(Vec::new()));
            answer.map_err(|error| failed(crate::collect::CollectError::from(error).into()))?
        }
    };
    let names = backup.job.as_ref().and_then(|job| job.regex()).into_iter().flat_map(|regex| regex.captures_iter(&said));
    let names: BTreeSet<String> = names
        .filter_map(|found| String::from_utf8(found.name("job")?.as_bytes().to_vec()).ok())
        .filter(|job| is_job(job))
        .collect();
    let which = |asked: Option<&str>| BackupError::Which {
        device: device.name.clone(),
        asked: asked.map(str::to_owned),
        jobs: names.iter().cloned().collect(),
    };
    match job {
        Some(job) if names.contains(job) => Ok(job.to_owned()),
        None if names.len() == 1 => Ok(names.iter().next().cloned().unwrap_or_default()),
        asked => Err(which(asked).into()),
    }
}

/// Tells whether a text can be the name of a job in a command: no shell and no program reads anything else from it.
fn is_job(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) && text.as_bytes()[0].is_ascii_alphanumeric()
}
