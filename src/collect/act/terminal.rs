//! A device with a command line of its own: a terminal session, and files that go up beside it.

use super::judge::{self, LIMIT, judge};
use super::{ActError, Files, Said, Target};
use crate::collect::session::{Session, SessionError, refusal};
use crate::collect::ssh::{self, Link, Terminal};
use crate::collect::{CollectError, Context};
use crate::inventory::Device;
use crate::profile::{Action, Session as Script};

/// A device that is worked on in a terminal. The session is begun with the first command, and after an error a new one
/// is with the next: nobody knows then in which mode the old one is.
pub(super) struct Console<'w, 'l, 'a> {
    link: &'l Link<'a>,
    device: &'w Device,
    script: &'w Script,
    context: &'w Context<'w>,
    session: Option<Session<'w, Terminal<'l, 'a>>>,
}

impl<'w, 'l, 'a> Console<'w, 'l, 'a> {
    pub(super) fn new(link: &'l Link<'a>, device: &'w Device, script: &'w Script, context: &'w Context<'w>) -> Self {
        Self { link, device, script, context, session: None }
    }

    fn judged(&self, session: &mut Session<'w, Terminal<'l, 'a>>, action: &Action, command: &str) -> Result<(), ActError> {
        // Lines of a configuration that are typed never stand in an error.
        let shown = if action.run.contains("{lines}") { &action.run } else { command };
        let mut said = Vec::new();
        for line in command.lines() {
            let answer = session.act(line, shown, &action.answers, judge::idle(action)).map_err(|error| broken(shown, error))?;
            // What the profile knows better is judged below.
            let known = action.busy.as_ref().is_some_and(|busy| busy.is_match(&answer));
            if let Some(phrase) = refusal(&answer, &self.script.refusals).filter(|_| !known) {
                return Err(ActError::Fails { command: shown.to_owned(), found: phrase, said: Said::new(answer) });
            }
            said.extend(answer);
        }
        // What was not refused went well, where the profile does not say what is.
        judge(action, shown, said, Some(0))
    }
}

fn broken(shown: &str, error: SessionError) -> ActError {
    let command = shown.to_owned();
    match error {
        SessionError::Silent { seconds, .. } => ActError::Silent { command, seconds },
        SessionError::Flood { limit, .. } => ActError::Flood { command, limit: limit as u64 },
        error => ActError::Open(CollectError::Session(error)),
    }
}

impl Target for Console<'_, '_, '_> {
    fn run(&mut self, action: &Action, command: &str) -> Result<(), ActError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => ssh::open_session(self.link, self.script, self.device, self.context, LIMIT)?,
        };
        self.judged(&mut session, action, command)?;
        self.session = Some(session);
        Ok(())
    }

    fn files(&mut self) -> Result<&mut dyn Files, ActError> {
        Err(ActError::NoFiles)
    }

    fn upload(&mut self, path: &str, content: &[u8]) -> Result<(), ActError> {
        ssh::upload(self.link, path, content).map_err(|error| ActError::not_taken(path, error))
    }
}
