//! The source `ssh://`: the output of commands, each in an exec channel or all in one terminal session, as
//! the profile says.
//!
//! No credential is sent before the host key of the device was found good, a refused login is never
//! tried again, and whatever is not whole by the rules of the profile fails the device.

mod algorithms;
mod auth;
mod connect;
mod error;
pub(crate) mod exec;
mod jump;
mod link;
mod offer;
mod received;
mod socket;
mod terminal;
mod upload;

use std::time::{Duration, Instant};

use crate::inventory::{Device, Remote};
use crate::model::{ConfigSet, Content, Digest, Entry, Kind, Look, Scope, Stamp, count};
use crate::profile::{Command, Profile, Session as Script, SessionMode};

use super::session::{Answer, Limits, Replies, Session, SessionError, judge, refusal};
use super::{CollectError, Collected, Context, finish};

pub(crate) use connect::connect;
pub use connect::{Shown, show_host_key};
pub use error::ConnectError;
pub(crate) use exec::ExecError;
pub(crate) use link::Link;
pub(crate) use terminal::Terminal;
pub(crate) use upload::{UploadError, upload};

/// The longest silence where neither profile nor policy says so.
const IDLE: Duration = Duration::from_secs(30);
/// Bytes of the answers of one device that are kept in memory; a policy can only make it less.
pub(super) const MEMORY: u64 = 48 << 20;

/// A text from outside in one line without control characters, at most 200 characters.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .take(200)
        .flat_map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() }.chars().collect::<Vec<_>>())
        .collect()
}

/// Collects the output of the profile's commands.
pub(super) fn collect(
    remote: &Remote,
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    if profile.commands().is_empty() {
        return Err(CollectError::NoCommands { profile: device.profile.clone() });
    }
    let taken_ns = super::now_ns();
    let link = connect(device, remote, context)?;
    let answers = run_commands(&link, device, profile, look, context)?;
    drop(link);
    finish_set(answers, Vec::new(), device, profile, rules, taken_ns)
}

/// What the commands gave.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) entries: Vec<Entry>,
    pub(super) warnings: Vec<String>,
    pub(super) without: Vec<String>,
    pub(super) read_bytes: u64,
}

impl Answers {
    /// Takes an answer. One that is not whole makes the device fail, unless it is taken so on purpose.
    pub(super) fn take(&mut self, command: &Command, answer: Answer, context: &Context<'_>) -> Result<(), CollectError> {
        if let Some(error) = answer.fault {
            if !context.accept_partial {
                return Err(error.into());
            }
            self.without.push(format!("Answer of {} is not whole: {error}", command.path));
        }
        self.read_bytes += answer.bytes.len() as u64;
        self.entries.push(Entry {
            scope: command.scope,
            path: command.path.clone(),
            kind: Kind::File,
            mode: 0o644,
            owner: None,
            // The size counts when the next answer is compared with this one.
            stamp: Stamp { size: answer.bytes.len() as u64, ..Stamp::default() },
            content: Content::Bytes(answer.bytes),
        });
        Ok(())
    }

    /// Takes the answer of a device of which the commands are all, or does without one that is refused and not required.
    fn of_device(
        &mut self,
        begun: Instant,
        command: &Command,
        answer: Answer,
        look: Option<&Look>,
        context: &Context<'_>,
    ) -> Result<(), CollectError> {
        let refused = answer.is_refused() && !command.required;
        match answer.fault {
            Some(error) if refused => {
                context.step(begun, || format!("the device has no `{}`", command.run));
                self.refused(command, error, look, context).map(drop)
            }
            fault => {
                context.step(begun, || format!("{} from `{}`", count(answer.bytes.len(), "byte"), command.run));
                self.take(command, Answer { bytes: answer.bytes, fault }, context)
            }
        }
    }

    /// Leaves out the answer of a command that was refused. If the newest generation has one, that may be a server of
    /// authorisation or a program that is down: there is no set then, unless it is taken so on purpose. True if it is.
    pub(super) fn refused(
        &mut self,
        command: &Command,
        error: SessionError,
        look: Option<&Look>,
        context: &Context<'_>,
    ) -> Result<bool, CollectError> {
        let path = &command.path;
        let had = match (look, context.previous) {
            // Logs are in no generation.
            _ if command.scope == Scope::Logs => false,
            (Some(look), _) => look.entries.iter().any(|entry| entry.path == *path),
            (None, Some(previous)) => previous().contains(path),
            (None, None) => false,
        };
        if had && !context.accept {
            return Err(CollectError::Lost { path: path.clone(), source: error });
        }
        if had {
            self.without.push(format!("Set without {path}: {error}"));
        }
        Ok(had)
    }
}

/// Makes a set of entries that are all there.
pub(super) fn finish_set(
    answers: Answers,
    more: Vec<Entry>,
    device: &Device,
    profile: &Profile,
    rules: Digest,
    taken_ns: i64,
) -> Result<Collected, CollectError> {
    let mut entries = answers.entries;
    entries.extend(more);
    finish::check_required(profile, &entries)?;
    let release = finish::release(device, profile, &entries, &mut |_| None)?;
    let set = ConfigSet::new(entries, Some(release), Vec::new())?;
    Ok(Collected {
        set,
        taken_ns,
        rules,
        root: None,
        skipped: Vec::new(),
        warnings: answers.warnings,
        without: answers.without,
        more: false,
        read_bytes: answers.read_bytes,
        referenced: Vec::new(),
    })
}

/// Runs the commands of the profile over a connection.
pub(super) fn run_commands(
    link: &Link<'_>,
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    context: &Context<'_>,
) -> Result<Answers, CollectError> {
    let default = Script::default();
    let script = profile.session().unwrap_or(&default);
    let total = device.max_size.unwrap_or(context.policy.max_size).0.min(MEMORY);
    let mut answers = Answers { warnings: link.warnings(), ..Answers::default() };
    match script.mode {
        SessionMode::Terminal => in_terminal(link, script, device, profile, (look, context), total, &mut answers)?,
        SessionMode::Exec => in_channels(link, script, profile, (look, context), total, &mut answers)?,
    }
    Ok(answers)
}

struct Typed<'a> {
    device: &'a Device,
    user: Option<String>,
    context: &'a Context<'a>,
    failed: std::cell::Cell<Option<super::credentials::CredentialError>>,
}

impl Replies for Typed<'_> {
    fn reply(&self, what: &str) -> Option<String> {
        use super::credentials::{Slot, password};
        let user = self.user.clone().unwrap_or_default();
        let (credential, slot) = match what {
            "user" => return self.user.clone(),
            "password" => (self.device.credential.as_ref(), Slot::First),
            // A device whose enable password is its login's names no second one.
            _ if self.device.credential2.is_some() => (self.device.credential2.as_ref(), Slot::Second),
            _ => (self.device.credential.as_ref(), Slot::First),
        };
        match password(credential?, slot, &self.device.name, &user, "", self.context) {
            Ok(secret) => String::from_utf8(secret.expose().to_vec()).ok(),
            Err(error) => {
                self.failed.set(Some(error));
                None
            }
        }
    }
}

fn in_terminal(
    link: &Link<'_>,
    script: &Script,
    device: &Device,
    profile: &Profile,
    (look, context): (Option<&Look>, &Context<'_>),
    total: u64,
    answers: &mut Answers,
) -> Result<(), CollectError> {
    let begun = Instant::now();
    let mut session = open_session(link, script, device, context, total)?;
    context.step(begun, || format!("prompt {}", session.prompt()));
    for command in profile.commands() {
        let begun = Instant::now();
        answers.of_device(begun, command, session.run(command)?, look, context)?;
    }
    drop(session.leave());
    Ok(())
}

/// Opens a terminal session: prompt, login steps, paging off.
pub(super) fn open_session<'s, 'l, 'a>(
    link: &'l Link<'a>,
    script: &'s Script,
    device: &Device,
    context: &Context<'_>,
    total: u64,
) -> Result<Session<'s, Terminal<'l, 'a>>, CollectError> {
    let total_bytes = usize::try_from(total).unwrap_or(usize::MAX);
    let limits = Limits { idle: IDLE, total_bytes, ..Limits::default() };
    let user = match &device.source {
        crate::inventory::SourceUrl::Ssh(remote) => remote.user.clone(),
        _ => None,
    };
    let replies = Typed { device, user, context, failed: std::cell::Cell::new(None) };
    let terminal = Terminal::open(link, script)?;
    match Session::open(terminal, script, limits, &replies) {
        Err(error @ SessionError::NoReply { .. }) => match replies.failed.take() {
            Some(failed) => Err(ConnectError::from(failed).into()),
            None => Err(error.into()),
        },
        session => Ok(session?),
    }
}

fn in_channels(
    link: &Link<'_>,
    script: &Script,
    profile: &Profile,
    (look, context): (Option<&Look>, &Context<'_>),
    total: u64,
    answers: &mut Answers,
) -> Result<(), CollectError> {
    for command in profile.commands() {
        let begun = Instant::now();
        let answer = run_alternatives(link, "", command, script, total - answers.read_bytes.min(total))?;
        answers.of_device(begun, command, answer, look, context)?;
    }
    Ok(())
}

/// Runs a command, then its other spellings as long as they are refused; `before` stands before each.
pub(super) fn run_alternatives(
    link: &Link<'_>,
    before: &str,
    command: &Command,
    script: &Script,
    limit: u64,
) -> Result<Answer, CollectError> {
    let mut answer = run_one(link, &format!("{before}{}", command.run), command, script, limit)?;
    for other in &command.or {
        if !answer.is_refused() {
            break;
        }
        answer = run_one(link, &format!("{before}{other}"), command, script, limit)?;
    }
    Ok(answer)
}

fn run_one(link: &Link<'_>, text: &str, command: &Command, script: &Script, limit: u64) -> Result<Answer, CollectError> {
    let output = run_exec(link, text, command.timeout().unwrap_or(IDLE), limit)?;
    // Network devices refuse on standard output with status 0, hosts on the error output with another.
    let mut answer = judge(text, command, &script.refusals, output.stdout);
    if !answer.is_refused() {
        answer.fault = ended_well(text, output.status, &output.stderr).err().or(answer.fault);
    }
    Ok(answer)
}

/// Runs a command of no set: whole is what ends well and is not refused.
pub(super) fn run_text(link: &Link<'_>, text: &str, script: &Script, limit: u64) -> Result<Vec<u8>, CollectError> {
    let output = run_exec(link, text, IDLE, limit)?;
    if let Some(phrase) = refusal(&output.stdout, &script.refusals) {
        return Err(SessionError::Refused { command: text.to_owned(), phrase }.into());
    }
    ended_well(text, output.status, &output.stderr)?;
    Ok(output.stdout)
}

fn run_exec(link: &Link<'_>, text: &str, idle: Duration, limit: u64) -> Result<exec::Output, CollectError> {
    let name = || text.to_owned();
    exec::run(link, text, idle, limit).map_err(|error| match error {
        ExecError::Connect(error) => CollectError::Connect(error),
        ExecError::Silent { bytes, seconds } => SessionError::Silent { command: name(), bytes, seconds }.into(),
        ExecError::Refused(error) => *error,
        ExecError::Input(source) => CollectError::Read { path: "the input of a command".into(), source },
        ExecError::Flood { limit } => {
            SessionError::Flood { command: name(), limit: usize::try_from(limit).unwrap_or(usize::MAX) }.into()
        }
    })
}

fn ended_well(text: &str, status: Option<i32>, stderr: &[u8]) -> Result<(), SessionError> {
    if status == Some(0) {
        return Ok(());
    }
    let phrase = stderr.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    let phrase = plain(&String::from_utf8_lossy(phrase.unwrap_or_default()));
    Err(SessionError::Status { command: text.to_owned(), status, phrase })
}
