//! A host over SSH: commands in channels of their own, and its files by small fixed scripts.
//!
//! SFTP of version 3 can neither replace a file by a rename nor be told not to follow links, so files are written
//! and moved by a shell: each script goes into the folder first and makes sure that it is the one that was
//! meant, so that nobody can put a link in its place meanwhile. With `become = "sudo"` the scripts and the profile's
//! commands run under `sudo -n`.

use std::io::Read;

use super::judge::{self, LIMIT, judge};
use super::view::{archive, lay_out};
use super::words::script;
use super::{ActError, Files, LEFTOVER, OWNER, Scene, Seen, Target, numbers};
use crate::collect::CollectError;
use crate::collect::ssh::exec::{ExecError, Input, Output, run_with};
use crate::collect::ssh::{Link, plain, upload};
use crate::fsio::tree::Meta;
use crate::inventory::{Device, Elevation, Remote};
use crate::model::{ConfigPath, Owner};
use crate::profile::Action;

/// Bytes of the arguments of one script: what small servers take, too.
const ARGUMENTS: usize = 24_000;
/// The longest silence of our scripts.
const SCRIPT_IDLE: std::time::Duration = std::time::Duration::from_secs(60);
/// The exit status of our scripts where the folder is not the one that was meant.
const LINK_ABOVE: i32 = 41;
/// The exit status of our scripts where a folder stays, as something is in it.
const STAYS: i32 = 42;

/// Goes into the folder `$1`, which must be no link and reached through none. A name can end in line ends.
const ENTER: &str = r#"LC_ALL=C; export LC_ALL; cd -P -- "$1" 2>/dev/null && [ "$(pwd -P; echo x)" = "$1
x" ] || exit 41; "#;
/// `$2` name, `$3` size, `$4` mode, `$5` owner or nothing.
const STAGE_FILE: &str = r#"umask 077; set -C; cat > "$2" || exit 1; set +C; [ -f "$2" ] && [ ! -L "$2" ] && [ "$(wc -c < "$2")" -eq "$3" ] || { echo 'not whole' >&2; exit 1; }; { [ -z "$5" ] || chown -h -- "$5" "$2"; } && chmod -- "$4" "$2" && { sync -- "$2" 2>/dev/null || :; }"#;
/// `$2` name, `$3` target, `$4` owner or nothing.
const STAGE_LINK: &str = r#"ln -s -- "$3" "$2" && { [ -z "$4" ] || chown -h -- "$4" "$2"; }"#;
/// `$2` from, `$3` to.
const PLACE: &str = r#"mv -f -T -- "$2" "$3" && { sync -- . 2>/dev/null || :; }"#;
/// Triples: folder, from, to. Prints the number of the one that fails, from 0.
const PLACE_ALL: &str = r#"LC_ALL=C; export LC_ALL; n=0
places() { while [ $# -gt 0 ]; do
cd -P -- "$1" 2>/dev/null && [ "$(pwd -P; echo x)" = "$1
x" ] || { echo $n; exit 41; }
mv -f -T -- "$2" "$3" || { echo $n; exit 1; }
n=$((n + 1)); shift 3; done; }
syncs() { while [ $# -gt 0 ]; do cd -P -- "$1" 2>/dev/null && sync -- . 2>/dev/null || :; shift 3; done; }
places "$@"; syncs "$@""#;
/// `$2` name.
const MAKE_DIR: &str = r#"umask 077; [ -d "$2" ] && [ ! -L "$2" ] || mkdir -- "$2""#;
/// `$2` mode, `$3` owner or nothing; in the folder itself.
const DRESS_DIR: &str = r#"{ [ -z "$3" ] || chown -- "$3" .; } && chmod -- "$2" ."#;
/// `$2` name.
const REMOVE: &str = r#"rm -f -- "$2" && { sync -- . 2>/dev/null || :; }"#;
/// `$2` name.
const REMOVE_DIR: &str = r#"[ -e "$2" ] || [ -L "$2" ] || exit 0; [ -d "$2" ] && [ ! -L "$2" ] || { echo 'not a folder' >&2; exit 1; }; for f in "$2"/* "$2"/.[!.]* "$2"/..?*; do [ ! -e "$f" ] && [ ! -L "$f" ] || exit 42; done; rmdir -- "$2""#;
/// Everything that the other scripts use, in a place of its own.
const PROBE: &str = r#"d=$(mktemp -d) && cd -P -- "$d" && : > a && ln -s -- a b && mv -f -T -- a c && chmod -- 0600 c && echo x | wc -c > c && tar -cf - c > d; s=$?; cd / && rm -rf -- "$d" && [ $s = 0 ] && echo ready"#;
/// `$1` the folder.
const WHERE: &str = r#"cd -P -- "$1" 2>/dev/null && pwd -P || echo missing"#;
/// `$1` the folder.
const SHOW: &str = r#"umask 077; mkdir -- "$1" && cd -P -- "$1" && tar -xf -"#;
/// `$1` the folder.
const HIDE: &str = r#"rm -rf -- "$1""#;

/// A host.
pub(super) struct Host<'l, 'a> {
    link: &'l Link<'a>,
    /// Stands before each command.
    before: &'static str,
    /// The folder from which the paths of the set count, with `/` at its end; nothing where there are no files.
    base: Option<Vec<u8>>,
    /// The folder was named by the administrator, who may have named a link: this is where it leads.
    resolved: bool,
    view: String,
}

impl<'l, 'a> Host<'l, 'a> {
    pub(super) fn new(link: &'l Link<'a>, device: &Device, files: Option<&Remote>, scene: Scene<'_>) -> Self {
        let before = if device.elevation == Some(Elevation::Sudo) { "sudo -n -- " } else { "" };
        let base = files.map(|remote| format!("{}/", remote.path.trim_end_matches('/')).into_bytes());
        let resolved = base.as_ref().is_none_or(|base| base == b"/");
        Self { link, before, base, resolved, view: format!("/tmp/{LEFTOVER}{}", scene.run) }
    }

    fn resolve(&mut self) -> Result<(), ActError> {
        let Some(base) = self.base.as_ref().filter(|_| !self.resolved) else { return Ok(()) };
        let shown = String::from_utf8_lossy(base).into_owned();
        let line = script(self.before, WHERE, &[base]);
        // The input ends at once: a login that may only use SFTP has a server here that would wait for it.
        let output = self.exec(&line, &shown, SCRIPT_IDLE, Input::Bytes(&mut std::io::empty()))?;
        match output.stdout.strip_suffix(b"\n") {
            Some(place) if place.starts_with(b"/") => {
                self.base = Some([place, b"/"].concat());
                self.resolved = true;
                Ok(())
            }
            Some(b"missing") => Err(ActError::Open(CollectError::Missing(shown.into()))),
            _ => {
                let reason = "no answer: the login may only use SFTP".to_owned();
                Err(ActError::Refused { doing: "run what putting back needs", path: shown, reason })
            }
        }
    }

    fn exec(&self, line: &str, command: &str, idle: std::time::Duration, input: Input<'_>) -> Result<Output, ActError> {
        run_with(self.link, line, idle, LIMIT, input).map_err(|error| match error {
            ExecError::Connect(error) => error.into(),
            ExecError::Silent { seconds, .. } => ActError::Silent { command: command.to_owned(), seconds },
            ExecError::Flood { limit } => ActError::Flood { command: command.to_owned(), limit },
            ExecError::Refused(error) => ActError::Open(*error),
            ExecError::Input(source) => ActError::Content { path: command.to_owned(), source },
        })
    }

    /// Runs one of our scripts; its words hold names and nothing of any content.
    fn script(
        &self,
        (doing, text): (&'static str, &str),
        path: &str,
        arguments: &[&[u8]],
        input: Input<'_>,
    ) -> Result<bool, ActError> {
        let line = script(self.before, text, arguments);
        let output = self.exec(&line, path, SCRIPT_IDLE, input)?;
        match output.status {
            Some(0) => Ok(true),
            Some(STAYS) => Ok(false),
            _ => Err(refused(doing, path, &output)),
        }
    }

    /// Places what fits one call.
    fn place_batch(&self, batch: &[(ConfigPath, ConfigPath)]) -> Result<(), ActError> {
        let full: Vec<Vec<u8>> = batch.iter().map(|(staged, _)| self.absolute(staged)).collect();
        let mut arguments: Vec<&[u8]> = Vec::with_capacity(batch.len() * 3);
        for (full, (_, path)) in full.iter().zip(batch) {
            let (folder, name) = above(full);
            arguments.extend([folder, name, path.components().next_back().unwrap_or_default()]);
        }
        let line = script(self.before, PLACE_ALL, &arguments);
        let shown = |at: usize| batch.get(at).map_or_else(String::new, |(_, path)| path.to_string());
        let output = self.exec(&line, &shown(0), SCRIPT_IDLE, Input::Nothing)?;
        if output.status == Some(0) {
            return Ok(());
        }
        let failed = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0);
        Err(refused("rename", &shown(failed), &output))
    }

    /// Runs a script in the folder above a path, with the name in it as `$2` and more arguments behind it.
    fn beside(
        &self,
        (doing, text): (&'static str, &str),
        path: &ConfigPath,
        more: &[&[u8]],
        input: Input<'_>,
    ) -> Result<bool, ActError> {
        let full = self.absolute(path);
        let (folder, name) = above(&full);
        let mut arguments: Vec<&[u8]> = vec![folder, name];
        arguments.extend(more);
        self.script((doing, &format!("{ENTER}{text}")), &path.to_string(), &arguments, input)
    }
}

impl Target for Host<'_, '_> {
    fn run(&mut self, action: &Action, command: &str) -> Result<(), ActError> {
        // The whole line, not only its first command.
        let line = if self.before.is_empty() { command.to_owned() } else { script(self.before, command, &[]) };
        let input = if action.answers.is_empty() { Input::Nothing } else { Input::Answers(&action.answers) };
        let output = self.exec(&line, command, judge::idle(action), input)?;
        let (mut said, status) = (output.stdout, output.status);
        said.extend_from_slice(&output.stderr);
        judge(action, command, said, status)
    }

    fn upload(&mut self, path: &str, content: &[u8]) -> Result<(), ActError> {
        upload(self.link, path, content).map_err(|error| ActError::not_taken(path, error))
    }

    fn files(&mut self) -> Result<&mut dyn Files, ActError> {
        self.resolve()?;
        if self.base.is_some() { Ok(self) } else { Err(ActError::NoFiles) }
    }
}

impl Files for Host<'_, '_> {
    fn probe(&mut self) -> Result<(), ActError> {
        const NEEDS: &str = "a shell, mktemp, mv -T, ln, chmod, tar";
        let line = script(self.before, PROBE, &[]);
        let output = self.exec(&line, NEEDS, SCRIPT_IDLE, Input::Bytes(&mut std::io::empty()))?;
        if output.stdout == b"ready\n" {
            return Ok(());
        }
        Err(refused("run what putting back needs", NEEDS, &output))
    }

    fn absolute(&self, path: &ConfigPath) -> Vec<u8> {
        [self.base.as_deref().unwrap_or(b"/"), path.as_bytes()].concat()
    }

    fn owner(&mut self, text: &str) -> Result<Owner, ActError> {
        let (user, group) = text.split_once(':').unwrap_or((text, text));
        let line = script("", OWNER, &[user.as_bytes(), group.as_bytes()]);
        numbers(text, &self.exec(&line, text, SCRIPT_IDLE, Input::Nothing)?.stdout)
    }

    fn stage_file(&mut self, staged: &ConfigPath, meta: Meta, size: u64, content: &mut dyn Read) -> Result<(), ActError> {
        let (size, mode, owner) = (size.to_string(), octal(meta.mode), shown(meta.owner));
        let more = [size.as_bytes(), mode.as_bytes(), owner.as_bytes()];
        self.beside(("write", STAGE_FILE), staged, &more, Input::Bytes(content)).map(drop)
    }

    fn stage_link(&mut self, staged: &ConfigPath, target: &[u8], by: Option<Owner>) -> Result<(), ActError> {
        self.beside(("link", STAGE_LINK), staged, &[target, shown(by).as_bytes()], Input::Nothing).map(drop)
    }

    fn place(&mut self, staged: &ConfigPath, path: &ConfigPath) -> Result<(), ActError> {
        let to = path.components().next_back().unwrap_or_default();
        let placed = self.beside(("rename", PLACE), staged, &[to], Input::Nothing);
        placed.map(drop).map_err(|error| match error {
            ActError::Refused { doing, reason, .. } => ActError::Refused { doing, path: path.to_string(), reason },
            other => other,
        })
    }

    fn place_all(&mut self, moves: &[(ConfigPath, ConfigPath)]) -> Result<(), ActError> {
        let mut rest = moves;
        while !rest.is_empty() {
            let mut length = 0;
            let fits = |(staged, path): &&(ConfigPath, ConfigPath)| {
                length += 2 * self.absolute(staged).len() + path.as_bytes().len() + 16;
                length < ARGUMENTS
            };
            let (batch, behind) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            self.place_batch(batch)?;
            rest = behind;
        }
        Ok(())
    }

    fn make_dir(&mut self, path: &ConfigPath, meta: Meta) -> Result<(), ActError> {
        self.beside(("make a folder", MAKE_DIR), path, &[], Input::Nothing)?;
        self.dress_dir(path, meta)
    }

    fn dress_dir(&mut self, path: &ConfigPath, meta: Meta) -> Result<(), ActError> {
        let (full, mode, owner) = (self.absolute(path), octal(meta.mode), shown(meta.owner));
        let text = format!("{ENTER}{DRESS_DIR}");
        let arguments = [full.as_slice(), mode.as_bytes(), owner.as_bytes()];
        self.script(("set the mode", &text), &path.to_string(), &arguments, Input::Nothing).map(drop)
    }

    fn remove(&mut self, path: &ConfigPath) -> Result<(), ActError> {
        self.beside(("remove", REMOVE), path, &[], Input::Nothing).map(drop)
    }

    fn remove_dir(&mut self, path: &ConfigPath) -> Result<bool, ActError> {
        self.beside(("remove", REMOVE_DIR), path, &[], Input::Nothing)
    }

    fn show(&mut self, seen: &[Seen]) -> Result<String, ActError> {
        self.hide()?;
        let places = lay_out(seen, |path| self.absolute(path));
        let tar = archive(&places).map_err(|source| ActError::Content { path: self.view.clone(), source })?;
        let arguments = [self.view.as_bytes()];
        self.script(("show the new files", SHOW), &self.view, &arguments, Input::Bytes(&mut tar.as_slice()))?;
        Ok(self.view.clone())
    }

    fn hide(&mut self) -> Result<(), ActError> {
        self.script(("remove", HIDE), &self.view, &[self.view.as_bytes()], Input::Nothing).map(drop)
    }

    fn base(&self) -> String {
        let base = self.base.as_deref().unwrap_or(b"/");
        String::from_utf8_lossy(base).trim_end_matches('/').to_owned()
    }
}

/// Cuts an absolute path into the folder and the name in it.
fn above(full: &[u8]) -> (&[u8], &[u8]) {
    let cut = full.iter().rposition(|b| *b == b'/').unwrap_or(0);
    (if cut == 0 { b"/" } else { &full[..cut] }, &full[cut + 1..])
}

/// What a script of ours that failed is told as; its words hold names and nothing of any content.
fn refused(doing: &'static str, path: &str, output: &Output) -> ActError {
    if output.status == Some(LINK_ABOVE) {
        return ActError::LinkAbove { path: path.to_owned() };
    }
    let line = output.stderr.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    let mut reason = plain(&String::from_utf8_lossy(line.unwrap_or_default()));
    if reason.is_empty() {
        reason = output.status.map_or_else(|| "no exit status".into(), |status| format!("exit status {status}"));
    }
    ActError::Refused { doing, path: path.to_owned(), reason }
}

fn octal(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}

fn shown(owner: Option<Owner>) -> String {
    owner.map(|owner| format!("{}:{}", owner.uid, owner.gid)).unwrap_or_default()
}
