//! Advice: what to do about each error. The rooms know facts, this file knows the commands.
//!
//! A hint is a runnable command or a decision, and never offers to switch a protection off.

mod collect;
mod put_back;

pub(super) use collect::{collect, list};

use super::exit::Exit;
use crate::fsio::tree::TreeError;
use crate::inventory::{InventoryError, UrlError};
use crate::model::DeviceName;
use crate::profile::ProfileError;
use crate::{diff, fsio, mirror, store};

type Advice = (Exit, Vec<String>);

fn advice(exit: Exit, hints: &[&str]) -> Advice {
    (exit, hints.iter().map(|hint| (*hint).to_owned()).collect())
}

/// Advice on an inventory.
pub(super) fn inventory(error: &InventoryError) -> Advice {
    match error {
        InventoryError::NotFound(_) => {
            advice(Exit::NoStore, &["name the folder with `-C DIR` or CONFVAULT_DIR, or make a store with `confvault init DIR`"])
        }
        InventoryError::Syntax { .. } => advice(Exit::Usage, &[]),
        InventoryError::Twice { .. } => advice(Exit::Usage, &["take the device out of one of the files"]),
        InventoryError::Exists(name) => (Exit::Failed, vec![format!("change it with `confvault device set {name} …`")]),
        InventoryError::NoDevice(_) => advice(Exit::Usage, &["`confvault device list` shows all devices"]),
        InventoryError::NoMirror(_) => {
            advice(Exit::Usage, &["`confvault mirror status` shows all mirrors, `confvault mirror add MIRROR URL` adds one"])
        }
        InventoryError::MirrorExists(_) => advice(Exit::Failed, &["`confvault mirror status` shows all mirrors"]),
        InventoryError::NoFolders(_) => advice(Exit::Failed, &["name a folder that has one folder for each device"]),
        InventoryError::Folder(_) => {
            advice(Exit::Failed, &["rename the folder, or add the device with `confvault device add NAME --source dir:FOLDER`"])
        }
        InventoryError::Url(error) => url(error),
        InventoryError::Read(..) | InventoryError::Write(_) => advice(Exit::Failed, &[]),
    }
}

/// Advice on a URL.
pub(super) fn url(error: &UrlError) -> Advice {
    match error {
        UrlError::Password(_) => advice(
            Exit::Usage,
            &["leave the password out; say where it is with `credential = \"env:VARIABLE\"`, `file:`, `command:` or `key:`"],
        ),
        UrlError::Scheme { .. } => advice(Exit::Usage, &["a folder of this machine is `dir:/etc/asterisk`"]),
        UrlError::Part { .. } => advice(Exit::Usage, &[]),
        UrlError::Git { .. } => advice(Exit::Usage, &["`https://HOST/PATH`, `ssh://USER@HOST/PATH`, `USER@HOST:PATH` or a path"]),
    }
}

/// Advice on a profile.
pub(super) fn profile(error: &ProfileError) -> Advice {
    match error {
        ProfileError::Unknown(_) => advice(Exit::Usage, &["`confvault profile list` shows all profiles"]),
        ProfileError::Read { .. } => advice(Exit::Failed, &[]),
        ProfileError::OverrideSpelt { .. } => advice(
            Exit::Usage,
            &[
                r"describe the secret by what stands around it, as in `code (?<secret>\S+)`",
                "the inventory goes to every mirror in clear; if it was pushed with this rule, change the secret on the device",
            ],
        ),
        ProfileError::Syntax { .. }
        | ProfileError::Value { .. }
        | ProfileError::Circle(_)
        | ProfileError::OverrideRegex { .. }
        | ProfileError::OverrideGlob { .. } => advice(Exit::Usage, &[]),
    }
}

/// Advice on a store.
pub(super) fn store(error: &store::Error) -> Advice {
    use store::Error as E;
    match error {
        E::NoStore { .. } => {
            advice(Exit::NoStore, &["make one with `confvault init DIR`, or rebuild it with `confvault init DIR --from URL`"])
        }
        E::Exists { .. } => advice(Exit::Failed, &["choose an empty folder"]),
        E::BranchGone { .. } => advice(Exit::Damage, PUT_BACK),
        E::ForeignOwner { .. } => advice(Exit::Failed, &["run confvault as the owner of the store"]),
        E::RefusedSetting { .. } => advice(Exit::Failed, &["if you trust the store, remove the setting from its `config` file"]),
        E::Locked { .. } => advice(Exit::Locked, &["wait for the other process; its lock ends with it"]),
        E::NoDevice { near, .. } => {
            let hint = "`confvault device list` shows all devices".to_owned();
            (Exit::Usage, vec![if near.is_empty() { hint } else { near_words(near) }])
        }
        E::NoGeneration { device, .. } => (Exit::Usage, vec![format!("`confvault log {device}` shows all generations")]),
        E::NoName { there, device, .. } if there.is_empty() => {
            (Exit::Usage, vec![format!("give one with `confvault name {device}@NUMBER NAME`")])
        }
        E::NoName { there, .. } => (Exit::Usage, vec![format!("names: {}", there.join(", "))]),
        E::NameTaken { .. } | E::NameUsed { .. } => {
            advice(Exit::Failed, &["choose another name, such as one with a date; a name is never given to another generation"])
        }
        E::Sealed { .. } | E::NoStoreKey(_) => advice(Exit::Key, &[IDENTITY]),
        E::Seal(error) => seal(error),
        E::Disk(error) => disk(error),
        E::CorruptFile { path, .. } if path.ends_with("packed-refs") => advice(Exit::Damage, PUT_BACK),
        E::CorruptFile { path, .. } if path.ends_with("HEAD") && !path.exists() => {
            let hint = format!("nothing of the store was in it: `echo 'ref: refs/heads/_store' > {}`", path.display());
            (Exit::Damage, vec![hint])
        }
        E::CorruptFile { path, .. } if path.ends_with("store.git/config") && !path.exists() => {
            let text = r"[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n";
            (Exit::Damage, vec![format!("nothing of the store was in it: `printf '{text}' > {}`", path.display())])
        }
        E::ObjectMissing { .. }
        | E::ObjectCorrupt { .. }
        | E::CorruptFile { .. }
        | E::Corrupt { .. }
        | E::Manifest { .. }
        | E::FileDamaged { .. } => advice(
            Exit::Damage,
            &[
                "`confvault check --read-data` shows all damage; `confvault mirror fetch MIRROR` takes back what a mirror has of it",
                "`confvault maintain` makes an index anew that a whole pack has lost",
                "`confvault init DIR --from URL` rebuilds a store from its mirror",
            ],
        ),
        E::UnknownFormat(_) | E::UnknownFeature(_) => {
            advice(Exit::Failed, &["use the version of confvault that wrote the store, or a newer one"])
        }
        E::Tombstone(_) => advice(Exit::Failed, &["take the device in again under another name"]),
        E::BatchBroken(Some(cause)) => disk(cause),
        E::RefMoved { .. } | E::BatchBroken(None) => advice(Exit::Failed, &["run the command again"]),
        E::ContentNeeded { .. } => advice(Exit::Failed, &["run `confvault snapshot --full`"]),
        E::NotStored { .. } => advice(Exit::Usage, &["only `diff` takes the point `now`"]),
        E::ObjectKind { .. } | E::ObjectTooLarge { .. } | E::Collision | E::NoRef { .. } => {
            advice(Exit::Damage, &["`confvault check --read-data` shows all damage"])
        }
        E::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            advice(Exit::Failed, &["run confvault as the owner of the store"])
        }
        E::TooManyObjects | E::RefName { .. } | E::Git { .. } | E::Read { .. } => advice(Exit::Failed, &[]),
        E::NoRelease { .. } | E::Refused { .. } | E::Output { .. } => advice(Exit::Failed, &[]),
    }
}

/// Advice on a path that a set does not have.
pub(super) fn near_path(near: &[String]) -> String {
    if near.is_empty() { "`confvault ls POINT` lists the files of a generation".to_owned() } else { near_words(near) }
}

/// Advice on a word that is none of those that there are.
pub(super) fn near_words(near: &[String]) -> String {
    format!("near: {}", near.join(", "))
}

/// For refs that are gone or went back.
pub(super) const PUT_BACK: &[&str] = &[
    "`confvault key heads --put-back` sets refs to where this machine has seen them, as far as the store has what they stood on",
    "what it has no more comes from a mirror: `confvault mirror fetch MIRROR`",
];

pub(super) const IDENTITY: &str = "name an identity that was a recipient then, with `--identity FILE` or CONFVAULT_IDENTITY";

fn is_pipe(path: &std::path::Path) -> bool {
    path.metadata().is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type()))
}

/// Advice on keys and what they seal.
pub(super) fn seal(error: &crate::seal::Error) -> Advice {
    use crate::seal::Error as E;
    match error {
        E::Key | E::EpochUnknown(_) => advice(Exit::Key, &[IDENTITY]),
        E::KeyFileOpen { path, .. } if is_pipe(path) => advice(
            Exit::Key,
            &["this is a pipe that others can read; one of your own is made by `--identity <(COMMAND)`, or by `mkfifo -m 600`"],
        ),
        E::KeyFolderOpen { path, .. } => {
            (Exit::Key, vec![format!("take the rights away with `chmod go-w {}`, and see who wrote there", path.display())])
        }
        E::KeyFileOpen { path, .. } => (Exit::Key, vec![format!("take the rights away with `chmod 600 {}`", path.display())]),
        E::KeyFileOwner { .. } => advice(Exit::Key, &["use a key file of your own"]),
        E::KeyFile { path, source } if source.kind() == std::io::ErrorKind::IsADirectory => {
            let inner = ["identity.txt", "identity.age"].map(|name| path.join(name)).into_iter().find(|path| path.exists());
            let file = inner.map_or_else(|| "the file in it".to_owned(), |path| format!("`{}`", path.display()));
            (Exit::Key, vec![format!("this is a folder; name {file}")])
        }
        E::KeyFile { source, .. } if source.kind() == std::io::ErrorKind::NotFound => advice(Exit::Key, &[IDENTITY]),
        E::NotAKey { what: "age identity or ssh-ed25519 private key", .. } => advice(Exit::Key, &[IDENTITY]),
        E::KeyFile { .. } | E::KeyFileSize { .. } | E::NotAKey { .. } | E::Work { .. } => advice(Exit::Key, &[]),
        E::Recipient { .. } | E::Malformed { .. } => advice(Exit::Usage, &[]),
        E::NoRecipient => advice(Exit::Usage, &["give a recipient: age1…, ssh-ed25519 …, or a file of them"]),
        E::Damaged
        | E::TooLarge { .. }
        | E::TokenUnknown(_)
        | E::TokenBroken { .. }
        | E::Script { .. }
        | E::ScriptDevice
        | E::Signature
        | E::SignerUnknown(_)
        | E::Signers { .. } => advice(Exit::Damage, &["`confvault check --read-data` shows all damage"]),
        E::Span { .. } | E::Io(_) => advice(Exit::Failed, &[]),
    }
}

/// Advice on the keys of an installation.
pub(super) fn keys(error: &crate::ops::keys::KeyError) -> Advice {
    use crate::ops::keys::KeyError as E;
    match error {
        E::Missing { .. } => advice(
            Exit::Key,
            &["name the administrator's folder with `--admin FOLDER`, or put the key back from where it is kept"],
        ),
        E::Exists { .. } => advice(Exit::Failed, &["choose another folder; a key is never overwritten"]),
        E::Damaged { path, .. } if path.ends_with("seen") => advice(
            Exit::Damage,
            &[
                "compare the store with a mirror (`confvault mirror status`), then `confvault key heads --accept` writes the file anew",
            ],
        ),
        E::Damaged { .. } => advice(Exit::Damage, &["put the key folder back from where it is kept"]),
        E::Untrusted { .. } | E::RolledBack { .. } => {
            advice(Exit::Damage, &["someone may have altered the store: compare with another mirror, and with the administrator"])
        }
        E::LineWentBack { .. } => {
            let (exit, mut hints) = advice(Exit::Damage, PUT_BACK);
            hints.push("if it is meant to be so, `confvault key heads --accept`".to_owned());
            (exit, hints)
        }
        E::OtherStore => {
            advice(Exit::Failed, &["`confvault key fetch MIRROR` takes over what an administrator has signed there"])
        }
        E::Foreign(_) => advice(
            Exit::Damage,
            &[
                "someone may have altered the store: `confvault check` names all of it; compare with another mirror",
                "if the line is to go on as it is, `confvault key heads --accept`",
            ],
        ),
        E::NotAdministrator(_) => {
            advice(Exit::Key, &["`confvault key list` shows the administrators; name another folder with `--admin FOLDER`"])
        }
        E::Nobody(_) => advice(Exit::Failed, &["add another first, with `confvault key add`"]),
        E::NoSuch { what: "device in the store", .. } => advice(Exit::Usage, &["`confvault device list` shows all devices"]),
        E::NoSuch { .. } => advice(Exit::Usage, &["`confvault key list` shows what there is"]),
        E::Already(_) => advice(Exit::Failed, &[]),
        E::InUse(device) => (
            Exit::Failed,
            vec![format!("if it is retired: `confvault device remove {device}`, then this again; until then its history stays")],
        ),
        E::NotSealing => advice(Exit::Failed, &["`confvault key add RECIPIENT` turns the store to sealing"]),
        E::Seal(error) => seal(error),
        E::Store(error) => store(error),
        E::Disk(error) => disk(error),
    }
}

/// Advice on a comparison.
pub(super) fn diff(error: &diff::Error) -> Advice {
    match error {
        diff::Error::Twice(_) => advice(Exit::Damage, &["`confvault check` shows what is damaged"]),
        diff::Error::Unparsed { .. } | diff::Error::NoSettings => {
            advice(Exit::Failed, &["compare by line, without `--semantic`"])
        }
    }
}

/// Advice on a change.
fn change(error: &crate::ops::change::ChangeError) -> Advice {
    use crate::ops::change::ChangeError as E;
    match error {
        E::NoDevice => advice(Exit::Usage, &["name the devices that are to be changed"]),
        E::NoReason => advice(Exit::Usage, &["say why with `--why TEXT`"]),
        E::IsOpen(ticket) => (Exit::Failed, vec![format!("end it first, with `confvault change close {ticket}`")]),
        E::Busy { change, .. } => (Exit::Failed, vec![format!("end it first, with `confvault change close {}`", change.ticket)]),
        E::Restoring { device, .. } => (
            Exit::Failed,
            vec![format!("`confvault restore --resume {device}` ends the restore at the point, `--undo {device}` takes it back")],
        ),
        E::Unknown(_) | E::NoTicket(_) => advice(Exit::Usage, &["`confvault change list --all` shows what there is"]),
        E::NotOpen(_) => advice(Exit::Failed, &["`confvault change list --all` shows what there is"]),
        E::Elsewhere { .. } => advice(Exit::Failed, &["run the command on that collector"]),
    }
}

/// Advice on the disk.
pub(super) fn disk(error: &fsio::Error) -> Advice {
    use std::io::ErrorKind as K;
    match error.kind() {
        _ if error.is_full() => advice(Exit::Failed, &["make room on the disk; the store is as it was, run the command again"]),
        K::PermissionDenied | K::ReadOnlyFilesystem => advice(Exit::Failed, &["run confvault as the owner of the folder"]),
        _ => advice(Exit::Failed, &[]),
    }
}

/// Advice on a mirror.
pub(super) fn mirror(error: &mirror::MirrorError) -> Advice {
    use mirror::MirrorError as E;
    match error {
        E::NoGit { .. } => advice(Exit::Failed, &["install git; mirrors are reached with it"]),
        E::Silent { .. } | E::TooLong { .. } => {
            advice(Exit::Failed, &["try the URL with `git ls-remote`; the limit is `mirror_timeout` in confvault.toml"])
        }
        E::Url(error) => url(error),
        E::NotAStore { .. } => advice(Exit::Failed, &["name the mirror of a confvault store"]),
        E::Hostile { .. } => advice(Exit::Damage, &["do not use this mirror before it is known who altered it"]),
        E::Collector { .. } => advice(Exit::Usage, &["name it with `--collector COLLECTOR`"]),
        E::Exists { .. } => advice(Exit::Failed, &["choose an empty folder"]),
        E::Store(error) => store(error),
        E::Disk(error) => disk(error),
        E::Cancelled => advice(Exit::Failed, &["run the command again"]),
        E::Unknown { .. } => advice(Exit::Failed, &["use the version of confvault that wrote the store, or a newer one"]),
        E::Git { message, .. } if message.contains("does not appear to be a git repository") => advice(
            Exit::Failed,
            &["make it there with `git init --bare`, or correct the URL: `confvault mirror remove`, then `add`"],
        ),
        E::Git { .. } => advice(
            Exit::Failed,
            &["try `git ls-remote URL` as the user that confvault runs as; keys and host keys are those of git and ssh"],
        ),
        E::Pipe { .. } | E::TooMuch { .. } => advice(Exit::Failed, &[]),
    }
}

/// Advice on putting back.
pub(super) fn restore(error: &crate::ops::restore::RestoreError) -> Advice {
    use crate::ops::restore::RestoreError as E;
    match error {
        E::NoSuchPath { near, .. } => (Exit::Usage, vec![near_path(near)]),
        E::NeedsIdentity { .. } => {
            (Exit::Key, vec![IDENTITY.to_owned(), "or put back text with tokens in place of secrets, `--masked`".to_owned()])
        }
        E::Foreign(_) => advice(
            Exit::Damage,
            &[
                "someone may have altered the store: `confvault check` names all of it; an older generation may be sound",
                "to put it back as it is, `--unverified`",
            ],
        ),
        E::Existing { .. } => {
            advice(Exit::Failed, &["choose an empty folder, look with `--plan`, or replace with `--overwrite`"])
        }
        E::Conflict { .. } => {
            advice(Exit::Failed, &["give each scope a folder of its own with `--by-scope`, or choose one with `--scope`"])
        }
        E::Store(error) if error.is_damage() => {
            let (exit, mut hints) = store(error);
            hints.insert(0, "put everything else back with `--skip-damaged`".to_owned());
            (exit, hints)
        }
        E::Store(error) => store(error),
        E::Disk(error) => disk(error),
        E::Tree(TreeError::Disk(error)) if error.is_full() => {
            advice(Exit::Failed, &["make room on the disk, or choose a folder on another one; nothing was put back"])
        }
        E::Tree(_) | E::Read { .. } => advice(Exit::Failed, &["choose a folder that is yours and that nobody else changes"]),
        E::Output(_) => advice(Exit::Failed, &[]),
    }
}

/// Advice on an upgrade.
fn upgrade(error: &crate::ops::release::UpgradeError) -> Advice {
    use crate::ops::release::UpgradeError as E;
    match error {
        E::Same { device, .. } | E::OneRelease(device) => {
            (Exit::Failed, vec![format!("`confvault release list {device}` shows its releases")])
        }
        E::IsOpen { device, .. } => (Exit::Failed, vec![format!("end it first, with `confvault release finish {device}`")]),
        E::NotOpen(device) => (Exit::Failed, vec![format!("begin it with `confvault release begin {device} NEW --why TEXT`")]),
        E::NotReviewed { device, release, .. } => (
            Exit::Failed,
            vec![
                format!("read them with `confvault release review {device} {release} --notes FILE`, and decide"),
                "or say why not, with `--unreviewed WHY`".to_owned(),
            ],
        ),
        E::NotYet { device, .. } => {
            (Exit::Failed, vec![format!("upgrade it, or end this with `confvault release rollback {device} --done`")])
        }
        E::NotBack { device, .. } => (Exit::Failed, vec![format!("`confvault release rollback {device}` shows the way back")]),
    }
}

/// Advice on the replacement of a device.
fn replace(error: &crate::ops::replace::ReplaceError) -> Advice {
    use crate::ops::replace::ReplaceError as E;
    match error {
        E::OtherKey { .. } => advice(
            Exit::Failed,
            &["somebody may be in the way: read the key from the replacement itself, by its console, and compare again"],
        ),
        E::Revoked(_) => advice(Exit::Failed, &["do not log in before it is known why the key was revoked"]),
        E::NoHostKey { device, .. } => (
            Exit::Failed,
            vec![format!(
                "change where it is with `confvault device set {device}`, and take the first set with `confvault snapshot {device} --accept=WHY`"
            )],
        ),
        E::Nothing(name) => {
            (Exit::Failed, vec![format!("`confvault device trust {name}` shows the key of a device that is new")])
        }
    }
}

/// Advice on a review.
fn review(error: &crate::ops::review::ReviewError) -> Advice {
    use crate::ops::review::ReviewError as E;
    match error {
        E::Read(..) => advice(Exit::Failed, &["name the vendor's change notes, Markdown or text, with `--notes FILE`"]),
        E::NoItem(_) => advice(Exit::Usage, &["the number or the id of an item of the list, or `rest`"]),
        E::NoReason => advice(Exit::Usage, &["say why with `--why TEXT`"]),
    }
}

/// Advice on a foreign history.
fn import(error: &crate::ops::import::ImportError) -> Advice {
    use crate::ops::import::ImportError as E;
    use store::ForeignError as F;
    match error {
        E::Repository(F::NotThere(_)) => {
            advice(Exit::Failed, &["name the folder of a git repository, bare or with a working tree"])
        }
        E::Repository(F::Unsupported { .. }) => {
            advice(Exit::Failed, &["import a whole copy of it: `git clone --mirror --no-local REPO COPY.git`"])
        }
        E::Repository(F::NoBranch { .. }) => {
            advice(Exit::Failed, &["choose a branch with `--branch BRANCH`; `git branch` lists them"])
        }
        E::Repository(F::Damaged { .. }) => advice(Exit::Failed, &["`git fsck` shows what is damaged in the repository"]),
        E::NoDevices { .. } => advice(
            Exit::Failed,
            &[
                "choose how the repository is laid out: `import oxidized`, `import rancid`, or `import git` with `--device` or `--device-from`",
            ],
        ),
        E::TooMany { .. } => advice(Exit::Failed, &["choose a part of the repository with `--below FOLDER`"]),
        E::Pattern(_) => advice(Exit::Usage, &["such as '^configs/(?<device>[^/]+)[.]cfg$'"]),
        E::Name(_) => {
            advice(Exit::Failed, &["import it with `import git --device-from REGEX`, so that a part of it is the name"])
        }
        E::Twice(_) => advice(Exit::Failed, &["choose one of the folders with `--below FOLDER`"]),
        E::NoProfile { model: Some(model) } => {
            (Exit::Failed, vec![format!("name one with `--map {model}=PROFILE`; `confvault profile list` shows all")])
        }
        E::NoProfile { model: None } => {
            advice(Exit::Failed, &["name one with `--profile PROFILE`, or the list of the other program, that has models"])
        }
        E::NoRelease { .. } => advice(Exit::Failed, &["name it with `--release RELEASE`, and the device with `--only NAME`"]),
        E::Collected { .. } => advice(Exit::Failed, &["go on with `confvault snapshot NAME`; histories are not mixed"]),
        E::OtherHistory { .. } => advice(Exit::Failed, &["import from the repository that was imported before"]),
        E::NoSuch(_) => advice(Exit::Usage, &["leave out `--only`, with `--plan`, to see all devices"]),
    }
}

/// Advice on a drill.
fn drill(error: &crate::ops::drill::DrillError) -> Advice {
    use crate::ops::drill::DrillError as E;
    match error {
        E::NoMirror => advice(Exit::Failed, &["add one with `confvault mirror add MIRROR URL`, and push to it"]),
        E::WhichMirror(_) => advice(Exit::Usage, &["name it with `--from MIRROR`"]),
        E::NoDevice => advice(Exit::Failed, &["take a snapshot first, with `confvault snapshot`"]),
        E::Twice(_) => advice(Exit::Usage, &["one point of a device at a time"]),
        E::Itself(_) => advice(Exit::Usage, &["a device itself is put back with `confvault restore POINT --device`"]),
        E::OneForOne(stand_in) => (Exit::Usage, vec![format!("`confvault drill POINT --into {stand_in}`")]),
        E::NotEmpty(_) => advice(Exit::Failed, &["choose an empty folder, or one that is not there"]),
        E::Stopped => advice(Exit::Failed, &["run the command again"]),
        E::Unknown(_) | E::Ambiguous(_) => advice(Exit::Usage, &["`confvault drill list` shows the drills"]),
        E::Never => advice(Exit::Failed, &["`confvault drill` makes one"]),
    }
}

/// Advice where `-C` names a repository.
pub(super) fn bare_repository() -> Vec<String> {
    vec!["name the folder that it lies in; it is read under the name `store.git`, which may be a link to it".to_owned()]
}

/// Advice on a drill that failed.
pub(super) fn drill_failed(protocol: &crate::ops::drill::Protocol) -> Vec<String> {
    use crate::ops::drill::{Failure, What};
    let mirror = &protocol.mirror.name;
    let behind = protocol.findings.iter().any(|finding| matches!(finding.what, What::Behind | What::Missing));
    let untaken = protocol.findings.iter().filter(|finding| finding.what == What::NeverTaken);
    let untaken: Vec<&str> = untaken.filter_map(|finding| finding.device.as_ref().map(DeviceName::as_str)).collect();
    match protocol.failure() {
        None => Vec::new(),
        Some(Failure::Identity) => {
            vec!["name an identity of a recipient, with `--identity FILE` or CONFVAULT_IDENTITY".to_owned()]
        }
        Some(Failure::Damage) => vec![format!(
            "compare `confvault check --read-data` here with `confvault mirror status {mirror}`: find out who wrote there"
        )],
        Some(Failure::Unreachable) => vec![format!("`confvault mirror status {mirror}` shows whether it answers")],
        Some(Failure::Partly) if !untaken.is_empty() => {
            let devices = untaken.join(" ");
            vec![format!(
                "`confvault snapshot {devices}` takes one, `confvault mirror push {mirror}` sends it; then exercise again"
            )]
        }
        Some(Failure::Partly) if behind => {
            vec![format!("`confvault mirror push {mirror}` sends what it lacks; then exercise again")]
        }
        Some(Failure::Partly) => vec!["mend what FAILS above, and exercise again".to_owned()],
    }
}

/// Advice on a job.
pub(super) fn ops(error: &crate::ops::Error) -> Advice {
    use crate::ops::Error as E;
    match error {
        E::Inventory(error) => inventory(error),
        E::Profile(error) => profile(error),
        E::Store(error) => store(error),
        E::Seal(error) => seal(error),
        E::Disk(error) => disk(error),
        E::Collect(error) => collect(error),
        E::Key(error) => keys(error),
        E::Diff(error) => diff(error),
        E::Change(error) => change(error),
        E::Mirror(error) => mirror(error),
        E::Import(error) => import(error),
        E::Restore(error) => restore(error),
        E::DeviceRestore(error) => put_back::device_restore(error),
        E::Upgrade(error) => upgrade(error),
        E::Backup(error) => put_back::backup(error),
        E::Replace(error) => replace(error),
        E::Review(error) => review(error),
        E::Drill(error) => drill(error),
        E::Unconfirmed(_) => advice(
            Exit::Key,
            &[
                "compare the fingerprint with the administrator's own (`confvault key list`), then give it: `--fingerprint SHA256:…`",
                "or name the administrator's folder with `--admin FOLDER`",
            ],
        ),
        E::OtherAdministrator(_) => advice(
            Exit::Key,
            &["this is another store, or someone posed as it: do not use it before the administrator has said so"],
        ),
        E::Point(_) => {
            advice(Exit::Usage, &["a point is DEVICE[:RELEASE][@WHERE], such as gw-1@42, gw-1@golden, gw-1@2026-11-22"])
        }
        E::Ambiguous(text) => (Exit::Usage, vec![format!("write `-- {text}` for the path, `{}` for the point", as_point(text))]),
        E::Exists(_) => advice(Exit::Failed, &["choose an empty folder"]),
        E::Internal(_) => advice(Exit::Failed, &[]),
        E::Unwritten { source, .. } => ops(source),
        E::Moved | E::NotBegun | E::Stopped => advice(Exit::Failed, &["run the command again"]),
    }
}

/// A point that cannot be taken for a path.
fn as_point(text: &str) -> String {
    match text {
        "now" => "@now".to_owned(),
        text if text.contains('@') => text.to_owned(),
        device => format!("{device}@~0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_no_end_of_a_restore() {
        let id = crate::store::ObjectId::empty_blob(gix::hash::Kind::Sha1);
        let (exit, hints) = restore(&crate::ops::restore::RestoreError::Store(crate::store::Error::ObjectMissing { id }));
        assert_eq!(exit, Exit::Damage);
        assert!(hints[0].contains("--skip-damaged"), "{hints:?}");
    }
}
