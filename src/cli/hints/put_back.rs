//! Advice on putting sets back to devices.

use super::{Advice, IDENTITY, advice, collect, ops, restore};
use crate::cli::exit::Exit;
use crate::collect::act::ActError;
use crate::collect::{CollectError, ConnectError};
use crate::ops::backup::BackupError;
use crate::ops::device_restore::DeviceRestoreError;

/// Advice on putting a set back to a device.
pub(super) fn device_restore(error: &DeviceRestoreError) -> Advice {
    use DeviceRestoreError as E;
    match error {
        E::NoMethod(profile) => (
            Exit::Failed,
            vec![
                "`confvault restore POINT --to FOLDER` gives the files".to_owned(),
                format!("`confvault profile show {profile}` shows what the profile knows; `[restore]` of your own says how"),
            ],
        ),
        E::NeedsIdentity => advice(Exit::Key, &[IDENTITY]),
        E::NoProgram { .. } => advice(
            Exit::Failed,
            &[
                "install it here, or put the set back where it is: by a source `sftp://`",
                "a profile of your own says what is run; nothing was done",
            ],
        ),
        E::OtherRelease { .. } => advice(
            Exit::Failed,
            &[
                "choose a generation of the release that the device runs, `DEVICE:RELEASE@…`",
                "if the set is meant for it all the same: `--across-releases`",
            ],
        ),
        E::Blocked { .. } => advice(Exit::Failed, &["move it away on the device, or choose other paths"]),
        E::NotWhole { .. } => advice(
            Exit::Failed,
            &["`--incomplete` goes on: what stands there is kept for the way back, and is no generation of the store"],
        ),
        E::Moved { .. } => advice(
            Exit::Failed,
            &[
                "if another device stands there, set the old source or host key again; nothing was done",
                "if it is the same device, or the one that is to be put back: `--moved`",
            ],
        ),
        E::NotKept { .. } => advice(
            Exit::Failed,
            &["mend what stands in the way of a snapshot, or write over what was changed with `--incomplete`; nothing was done"],
        ),
        E::Unfinished(device) => {
            (Exit::Failed, vec![format!("end it with `confvault restore --resume {device}`, or go back with `--undo {device}`")])
        }
        E::Running(_) => advice(Exit::Locked, &["wait for the other process; its lock ends with it"]),
        E::NothingUnfinished(_) => advice(Exit::Failed, &["`confvault journal` shows how restores ended"]),
        E::SeveralUnfinished(_) => advice(Exit::Usage, &["name the device"]),
        E::Record { .. } => advice(Exit::Failed, &["compare with `--plan`, and put back by hand what differs"]),
        E::Elsewhere { .. } => advice(Exit::Failed, &["run the command on that collector, or end the change there"]),
        E::Changed => advice(Exit::Failed, &["look at the new plan, and decide again"]),
        E::Step(failed) => act(&failed.source),
        E::Differs { .. } => {
            advice(Exit::Failed, &["`--plan` shows what differs; something on the device may write its own files"])
        }
        E::NoHealth(_) => advice(
            Exit::Failed,
            &["`[[health]]` of the profile says what is counted; `--require-health` asks for it before the restore and after"],
        ),
        E::Health { .. } => advice(Exit::Failed, &["without `--require-health` the set stays, whatever the health"]),
        E::Restore(error) => restore(error),
        E::Job(error) => ops(error),
    }
}

/// Advice on a backup that a device makes of itself.
pub(super) fn backup(error: &BackupError) -> Advice {
    use BackupError as E;
    match error {
        E::NotKnown { profile, .. } => (
            Exit::Failed,
            vec![
                format!("`confvault profile show {profile}` shows what the profile knows; `[backup]` of your own says how"),
                "a call manager is told by `confvault drs backup`".to_owned(),
            ],
        ),
        E::NotAJob(_) => advice(Exit::Usage, &["it has letters, digits, `-`, `_` and `.`, as the device lists it"]),
        E::Which { jobs, .. } if jobs.is_empty() => {
            advice(Exit::Failed, &["set one up on the device, with this device itself as a place where it is stored"])
        }
        E::Which { .. } => advice(Exit::Usage, &["choose one with `--job NAME`"]),
        E::Failed { source, .. } => match source {
            ActError::Status { .. } | ActError::NotOk { .. } | ActError::Fails { .. } => advice(
                Exit::Failed,
                &["run the command on the device itself, and read what it says; what it left half is never kept"],
            ),
            ActError::Busy { .. } => advice(Exit::Failed, &["run it again when the other backup has ended"]),
            ActError::Open(CollectError::Connect(ConnectError::Overdue { .. })) => advice(
                Exit::Failed,
                &["`limit-s` of `[backup]` in the profile is how long it may take; see whether it still runs on the device"],
            ),
            other => act(other),
        },
        E::NothingNew { .. } => advice(
            Exit::Failed,
            &["let the job store its backups on the device too, where its source reads them (`confvault ls NAME`)"],
        ),
    }
}

/// Advice on a step on a device.
fn act(error: &ActError) -> Advice {
    match error {
        ActError::Open(error) => collect(error),
        ActError::NotSupported(_) => advice(Exit::Failed, &["`confvault restore POINT --to FOLDER` gives the files"]),
        ActError::NoFiles => {
            advice(Exit::Failed, &["only a source `sftp://` or `dir:` is of files; the profile's method must fit the source"])
        }
        ActError::Status { .. } | ActError::NotOk { .. } | ActError::Fails { .. } => {
            advice(Exit::Failed, &["`restore -v` shows all that the command says, without secrets"])
        }
        ActError::Busy { .. } => advice(
            Exit::Failed,
            &["somebody or something else is at work on the configuration: look with `--plan` when it has ended"],
        ),
        ActError::Silent { .. } => {
            advice(Exit::Failed, &["`timeout-s` of the command in the profile is how long it may be silent"])
        }
        ActError::LinkAbove { .. } => advice(Exit::Failed, &["nothing is written through a link: replace it with a folder"]),
        ActError::Refused { doing: "take a file", .. } => advice(
            Exit::Failed,
            &[
                "the device must take files by SFTP or SCP (on Cisco IOS `ip scp server enable`), and the login may write them without `enable`",
            ],
        ),
        ActError::Refused { .. } => advice(
            Exit::Failed,
            &["the login needs the right to write there: `become = \"sudo\"` in the device's table, or another login"],
        ),
        ActError::Flood { .. } | ActError::Start { .. } | ActError::Content { .. } => advice(Exit::Failed, &[]),
        ActError::Disk(error) => super::disk(error),
    }
}
