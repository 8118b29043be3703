//! The source `sftp://`: files of a host, with their modes, owners and links.
//!
//! Folders are listed, the profile says what of them is part of the set, and what the look proves
//! unchanged is not fetched. Several files are in flight at once. What cannot be read fails the
//! device; with `become = "sudo"` everything is read by `find` and `tar` under `sudo -n`.

pub(super) mod fetch;
mod sudo;
pub(super) mod walk;

use std::time::{Duration, Instant};

use crate::inventory::{Device, Elevation, Remote};
use crate::model::{ConfigPath, Content, Digest, Look, count};
use crate::profile::{Profile, Session as Script, SessionMode};

use super::session::Answer;
use super::ssh::{self, Link};
use super::tree::{Plan, collected};
use super::{CollectError, Collected, Context};

/// How far the clock of a host may be behind ours where it cannot be asked, in nanoseconds: what was
/// changed within this time is always fetched.
const UNKNOWN_CLOCK_NS: i64 = 25 * 3600 * 1_000_000_000;
/// The longest silence of the host.
const IDLE: Duration = Duration::from_secs(60);

/// Where the files of a source stand.
pub(super) struct Roots {
    /// The absolute folder from which the paths of the set count; ends with `/`.
    pub(super) base: String,
    /// What is walked, below the base; nothing for the base itself.
    pub(super) starts: Vec<ConfigPath>,
}

impl Roots {
    /// The roots that the URL names or, where it names none, the profile.
    fn new(remote: &Remote, profile: &Profile) -> Result<Self, CollectError> {
        if remote.path != "/" {
            return Ok(Self { base: format!("{}/", remote.path.trim_end_matches('/')), starts: Vec::new() });
        }
        let roots = profile.collect().map(|collect| collect.roots.as_slice()).unwrap_or_default();
        let starts = roots.iter().map(|root| ConfigPath::new(root.trim_matches('/')));
        let starts = starts.collect::<Result<Vec<_>, _>>().map_err(|source| CollectError::Path { folder: "/".into(), source })?;
        if starts.is_empty() {
            return Err(CollectError::NoRoots { profile: profile.name().to_owned() });
        }
        Ok(Self { base: "/".to_owned(), starts })
    }

    /// The absolute path of something, as bytes.
    pub(super) fn absolute(&self, path: Option<&ConfigPath>) -> Vec<u8> {
        let mut bytes = self.base.clone().into_bytes();
        match path {
            Some(path) => bytes.extend_from_slice(path.as_bytes()),
            None if bytes.len() > 1 => drop(bytes.pop()),
            None => {}
        }
        bytes
    }
}

/// Collects the files of a host, and the output of the profile's commands where it has any.
pub(super) fn collect(
    remote: &Remote,
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    rules: Digest,
    context: &Context<'_>,
) -> Result<Collected, CollectError> {
    let roots = Roots::new(remote, profile)?;
    let link = ssh::connect(device, remote, context)?;
    let taken_ns = clock(&link);
    let mut plan = Plan::new(device, profile, look, context);
    let begun = Instant::now();
    let contents;
    let mut read_bytes = 0;
    if device.elevation == Some(Elevation::Sudo) {
        sudo::list(&link, &roots, &mut plan)?;
        told(context, begun, &plan);
        let begun = Instant::now();
        contents = sudo::fetch(&link, &roots, &plan, device, context, &mut read_bytes)?;
        context.step(begun, || format!("{} fetched by tar under sudo", count(read_bytes, "byte")));
    } else {
        let sftp = link.call("opening SFTP", |session| session.sftp())?;
        walk::list(&link, &sftp, &roots, &mut plan)?;
        told(context, begun, &plan);
        let begun = Instant::now();
        contents = fetch::fetch(&link, sftp, &roots, &mut plan, device, context, &mut read_bytes)?;
        context.step(begun, || format!("{} fetched", count(read_bytes, "byte")));
    }
    let commands = commands(&link, device, profile, look, context)?;
    drop(link);
    let files = contents.iter().flatten().count() + commands.entries.len();
    if files == 0 && !context.partial {
        return Err(CollectError::Empty(remote.path.clone().into()));
    }
    read_bytes += commands.read_bytes;
    // What was not fetched is not needed for the release: rules read small files, and those are in memory.
    let (set, skipped) = plan.finish(contents, device, commands.entries, &mut |_| None)?;
    let (warnings, without) = (commands.warnings, commands.without);
    Ok(Collected { warnings, without, ..collected(set, skipped, taken_ns, rules, read_bytes) })
}

fn told(context: &Context<'_>, begun: Instant, plan: &Plan<'_>) {
    context.step(begun, || {
        let fetch = plan.planned.iter().filter(|p| p.same.is_none()).count();
        format!("{} listed, {fetch} to fetch", count(plan.planned.len(), "file"))
    });
}

/// The time of the host in nanoseconds since 1970, as its files have it: asked, or ours with a wide margin.
pub(super) fn clock(link: &Link<'_>) -> i64 {
    let answer = ssh::exec::run(link, "date +%s", Duration::from_secs(10), 4096).ok();
    let seconds = answer.filter(|a| a.status == Some(0)).and_then(|a| {
        let text = String::from_utf8(a.stdout).ok()?;
        text.trim().parse::<i64>().ok()
    });
    match seconds {
        Some(seconds) => seconds.saturating_mul(1_000_000_000),
        None => super::now_ns() - UNKNOWN_CLOCK_NS,
    }
}

/// Runs the profile's commands beside the files. A login that may only use SFTP has none of them; one that lost the
/// right to run what the set had before gives no set.
fn commands(
    link: &Link<'_>,
    device: &Device,
    profile: &Profile,
    look: Option<&Look>,
    context: &Context<'_>,
) -> Result<ssh::Answers, CollectError> {
    let default = Script::default();
    let script = profile.session().unwrap_or(&default);
    let mut answers = ssh::Answers { warnings: link.warnings(), ..ssh::Answers::default() };
    if script.mode != SessionMode::Exec {
        return Ok(answers);
    }
    let sudo = if device.elevation == Some(Elevation::Sudo) { "sudo -n -- " } else { "" };
    for command in profile.commands() {
        let begun = Instant::now();
        let room = ssh::MEMORY - answers.read_bytes.min(ssh::MEMORY);
        let answer = ssh::run_alternatives(link, sudo, command, script, room)?;
        let refused = answer.is_refused();
        match answer.fault {
            Some(error) if refused => {
                context.step(begun, || format!("the login may not run `{}`", command.run));
                if !answers.refused(command, error, look, context)? && command.required {
                    answers.warnings.push(format!("The login may not run `{}`", command.run));
                }
            }
            fault => {
                context.step(begun, || format!("{} from `{}`", count(answer.bytes.len(), "byte"), command.run));
                answers.take(command, Answer { bytes: answer.bytes, fault }, context)?;
            }
        }
    }
    Ok(answers)
}

/// Gives the content of what need not be fetched.
pub(super) fn known(same: Option<Digest>) -> Option<Content> {
    same.map(Content::Same)
}
