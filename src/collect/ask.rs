//! Commands that a device is asked beside its set: whether it is well.
//!
//! Nothing of an answer is kept here, and what is asked changes nothing on the device: that is for the
//! profile to see to.

use crate::inventory::{Device, Elevation, SourceUrl};
use crate::profile::{Profile, Session as Script, SessionMode};

use super::session::{SessionError, refusal};
use super::ssh::{self, MEMORY};
use super::{CollectError, Context};

/// The answers to commands, in their order. A session that broke off gives fewer than were asked.
pub type Answers = Vec<Result<Vec<u8>, SessionError>>;

/// Tells whether commands can reach a device: whether it is a host that is logged in to, in the way that
/// the profile speaks.
#[must_use]
pub fn can_ask(device: &Device, profile: &Profile) -> bool {
    match device.source {
        SourceUrl::Ssh(_) => true,
        SourceUrl::Sftp(_) => profile.session().is_none_or(|session| session.mode == SessionMode::Exec),
        _ => false,
    }
}

/// Asks a device commands, one after the other, over one connection. A command that the device refuses is an
/// error in its place and does not end the others.
///
/// # Errors
/// [`CollectError::NotSupported`] where [`can_ask`] says no; what keeps the connection or its session from coming about.
pub fn ask<'c>(
    device: &Device,
    profile: &Profile,
    commands: impl Iterator<Item = &'c str>,
    context: &Context<'_>,
) -> Result<Answers, CollectError> {
    let (SourceUrl::Ssh(remote) | SourceUrl::Sftp(remote)) = &device.source else {
        return Err(CollectError::NotSupported(device.source.clone()));
    };
    if !can_ask(device, profile) {
        return Err(CollectError::NotSupported(device.source.clone()));
    }
    let default = Script::default();
    let script = profile.session().unwrap_or(&default);
    let link = ssh::connect(device, remote, context)?;
    let mut answers = Answers::new();
    if script.mode == SessionMode::Terminal {
        let mut session = ssh::open_session(&link, script, device, context, MEMORY)?;
        for command in commands {
            let answer = session.ask(command, None, None).and_then(|bytes| match refusal(&bytes, &script.refusals) {
                Some(phrase) => Err(SessionError::Refused { command: command.to_owned(), phrase }),
                None => Ok(bytes),
            });
            let over = answer.as_ref().is_err_and(|error| !matches!(error, SessionError::Refused { .. }));
            answers.push(answer);
            if over {
                return Ok(answers);
            }
        }
        drop(session.leave());
        return Ok(answers);
    }
    let sudo = if device.elevation == Some(Elevation::Sudo) { "sudo -n -- " } else { "" };
    for command in commands {
        answers.push(match ssh::run_text(&link, &format!("{sudo}{command}"), script, MEMORY) {
            Ok(bytes) => Ok(bytes),
            Err(CollectError::Session(error)) => Err(error),
            Err(error) => return Err(error),
        });
    }
    Ok(answers)
}
