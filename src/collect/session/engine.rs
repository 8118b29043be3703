//! The engine: reads until the device waits.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::clean::{is_paged, strip_echo, tidy};
use super::judge::{ends_with, judge};
use super::prompt::{last_line, line_start, split_last};
use super::{Answer, Limits, Read, Replies, SessionError, Wire, WireError};
use crate::profile::{Command, Pattern, Session as Script, Step};

/// How long a text that looks like a pager or a question must stand still before it counts as one.
const STILL: Duration = Duration::from_millis(60);

/// How many questions of one command are answered.
const ANSWERS: usize = 100;

/// What ended a wait.
enum Stop {
    /// The prompt; the answer before it ends here.
    Prompt(usize),
    /// The text of this step of the login.
    Step(usize),
}

/// What a wait is for.
struct Wait<'w> {
    /// Stands in messages.
    shown: &'w str,
    /// The end marker of the command.
    end: Option<&'w Pattern>,
    /// Steps of the login that may show.
    steps: &'w [Step],
    /// The longest silence.
    idle: Duration,
}

/// A conversation in which the device has shown its prompt.
pub struct Session<'a, W: Wire> {
    wire: W,
    script: &'a Script,
    prompt: &'a Pattern,
    limits: Limits,
    buffer: Vec<u8>,
    marks: Vec<Range<usize>>,
    chunk: Vec<u8>,
    received: usize,
    shown: Vec<u8>,
}

impl<'a, W: Wire> Session<'a, W> {
    /// Waits for the first prompt, takes the steps of the login, and sets the terminal up.
    ///
    /// # Errors
    /// [`SessionError`], as for a command.
    pub fn open(wire: W, script: &'a Script, limits: Limits, replies: &dyn Replies) -> Result<Self, SessionError> {
        let prompt = script.prompt.as_ref().ok_or(SessionError::NoPattern)?;
        let mut session = Self {
            wire,
            script,
            prompt,
            limits,
            buffer: Vec::with_capacity(4096),
            marks: Vec::new(),
            chunk: vec![0; 16 << 10],
            received: 0,
            shown: Vec::new(),
        };
        session.login(replies)?;
        for command in &script.setup {
            session.send(command, command)?;
            session.wait(&Wait { shown: command, end: None, steps: &[], idle: limits.idle })?;
        }
        Ok(session)
    }

    /// The prompt as the device last showed it.
    #[must_use]
    pub fn prompt(&self) -> String {
        String::from_utf8_lossy(&self.shown).escape_debug().to_string()
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> usize {
        self.received
    }

    /// Sends a command and gives its answer, and what makes it not whole; other spellings of the command are tried
    /// where the device refuses one.
    ///
    /// # Errors
    /// [`SessionError`] where the answer does not come to its end.
    pub fn run(&mut self, command: &Command) -> Result<Answer, SessionError> {
        let mut answer = self.run_as(&command.run, command)?;
        for other in &command.or {
            if !answer.is_refused() {
                break;
            }
            answer = self.run_as(other, command)?;
        }
        Ok(answer)
    }

    fn run_as(&mut self, text: &str, command: &Command) -> Result<Answer, SessionError> {
        let (bytes, paged) = self.hear(text, command.end.as_ref(), command.timeout())?;
        let answer = judge(text, command, &self.script.refusals, bytes);
        let paged = paged.then(|| SessionError::Paged { command: text.to_owned() });
        Ok(Answer { fault: paged.or(answer.fault), ..answer })
    }

    /// Sends a line and gives what came before the prompt, without any judgement.
    ///
    /// # Errors
    /// [`SessionError`] where the prompt does not come.
    pub fn ask(&mut self, text: &str, end: Option<&Pattern>, idle: Option<Duration>) -> Result<Vec<u8>, SessionError> {
        match self.hear(text, end, idle)? {
            (_, true) => Err(SessionError::Paged { command: text.to_owned() }),
            (bytes, false) => Ok(bytes),
        }
    }

    /// Sends a line and gives what came before the prompt, and whether a pager drew into it what it did not wipe out.
    fn hear(&mut self, text: &str, end: Option<&Pattern>, idle: Option<Duration>) -> Result<(Vec<u8>, bool), SessionError> {
        self.send(text, text)?;
        let wait = Wait { shown: text, end, steps: &[], idle: idle.unwrap_or(self.limits.idle) };
        let Stop::Prompt(end) = self.wait(&wait)? else { return Ok((Vec::new(), false)) };
        let raw = &self.buffer[..end];
        let body = if self.script.echo { strip_echo(raw, text) } else { raw };
        let cut = raw.len() - body.len();
        let marks: Vec<_> =
            self.marks.iter().filter(|m| m.start >= cut && m.end <= end).map(|m| m.start - cut..m.end - cut).collect();
        Ok((tidy(body, &marks), is_paged(body, &marks)))
    }

    /// Sends a line, answers the questions that come before the prompt, and gives all that was said, without any
    /// judgement. A question may come again, unless a later one came meanwhile. `shown` stands for the line in errors.
    ///
    /// # Errors
    /// [`SessionError`] where the prompt does not come: also where the device asks something else.
    pub fn act(&mut self, text: &str, shown: &str, answers: &[Step], idle: Duration) -> Result<Vec<u8>, SessionError> {
        self.send(text, shown)?;
        let (mut said, mut next, mut sent) = (Vec::new(), 0, text.to_owned());
        for _ in 0..ANSWERS {
            let stop = self.wait(&Wait { shown, end: None, steps: &answers[next..], idle })?;
            let end = match stop {
                Stop::Prompt(end) => end,
                Stop::Step(_) => self.buffer.len(),
            };
            let raw = &self.buffer[..end];
            let body = if self.script.echo { strip_echo(raw, &sent) } else { raw };
            let cut = raw.len() - body.len();
            let inside = |mark: &&Range<usize>| mark.start >= cut && mark.end <= end;
            let marks: Vec<_> = self.marks.iter().filter(inside).map(|m| m.start - cut..m.end - cut).collect();
            said.extend_from_slice(&tidy(body, &marks));
            let Stop::Step(which) = stop else { return Ok(said) };
            next += which;
            sent.clone_from(&answers[next].send);
            self.send(&sent, shown)?;
        }
        Err(SessionError::Asks { command: shown.to_owned(), times: ANSWERS })
    }

    /// Says good-bye and gives the wire back; failures here do not matter any more.
    pub fn leave(mut self) -> W {
        for word in &self.script.logout {
            let line = format!("{word}{}", self.script.newline);
            if self.wire.write(line.as_bytes()).is_err() {
                break;
            }
        }
        self.wire
    }

    fn login(&mut self, replies: &dyn Replies) -> Result<(), SessionError> {
        let steps = &self.script.login;
        let start = Duration::from_millis(self.script.start_ms);
        let mut next = 0;
        let mut idle = start;
        loop {
            let stop = self.wait(&Wait { shown: "login", end: None, steps, idle });
            let which = match stop {
                Ok(Stop::Step(which)) => which,
                Ok(Stop::Prompt(_)) => {
                    let missing = steps[next..].iter().find(|s| !s.optional);
                    return missing.map_or(Ok(()), |s| Err(SessionError::StepMissing { step: s.send.clone() }));
                }
                Err(SessionError::Silent { .. }) => {
                    return Err(SessionError::NoPrompt { seconds: idle.as_secs(), last: self.shown_last_line() });
                }
                Err(other) => return Err(other),
            };
            // A step is taken once: a password that is asked for again was refused, and another try
            // can lock the account.
            if which < next {
                return Err(SessionError::LoginRefused { step: steps[which].send.clone() });
            }
            if let Some(missing) = steps[next..which].iter().find(|s| !s.optional) {
                return Err(SessionError::StepMissing { step: missing.send.clone() });
            }
            next = which + 1;
            let line = fill_in(&steps[which].send, replies)?;
            self.send(&line, "login")?;
            idle = self.limits.idle.max(start);
        }
    }

    fn send(&mut self, text: &str, shown: &str) -> Result<(), SessionError> {
        self.buffer.clear();
        self.marks.clear();
        let line = format!("{text}{}", self.script.newline);
        self.wire.write(line.as_bytes()).map_err(|source| wire_error(shown, source))
    }

    /// Reads until the prompt is certain or a step of the login shows.
    fn wait(&mut self, wait: &Wait<'_>) -> Result<Stop, SessionError> {
        let mut confirming = false;
        let mut last_data = Instant::now();
        // Something other than the prompt that may be waiting for us: it must stand still to count.
        let mut still = None;
        loop {
            let patience = match still {
                Some(_) => STILL,
                None if confirming && self.at_prompt() => self.limits.settle,
                None => wait.idle,
            };
            match self.fill(wait.shown, patience.saturating_sub(last_data.elapsed()))? {
                Read::End => return Err(SessionError::Closed { command: wait.shown.into(), bytes: self.buffer.len() }),
                Read::Data(_) => {
                    last_data = Instant::now();
                    still = self.waiting(wait);
                    if still.is_some() {
                        continue;
                    }
                }
                Read::Quiet => match still.take() {
                    Some(Still::Step(which)) => return Ok(Stop::Step(which)),
                    Some(Still::Pager) => {
                        self.turn_page(wait.shown)?;
                        last_data = Instant::now();
                        continue;
                    }
                    // One prompt that stood still for long: a device that swallowed the empty line.
                    None if confirming && self.at_prompt() => {
                        self.shown = last_line(&self.buffer).into_owned();
                        return Ok(Stop::Prompt(line_start(&self.buffer)));
                    }
                    None if last_data.elapsed() >= wait.idle => {
                        let (command, bytes) = (wait.shown.to_owned(), self.buffer.len());
                        return Err(SessionError::Silent { command, bytes, seconds: wait.idle.as_secs() });
                    }
                    None => {}
                },
            }
            let line = last_line(&self.buffer);
            if !self.prompt.is_match(&line) {
                continue;
            }
            if let Some(end) = self.certain(&line, confirming, wait.end) {
                self.shown = line.into_owned();
                return Ok(Stop::Prompt(end));
            }
            if !confirming {
                confirming = true;
                self.wire.write(self.script.newline.as_bytes()).map_err(|source| wire_error(wait.shown, source))?;
            }
        }
    }

    /// Where the answer ends, if the prompt on the last line is the prompt and no part of the answer.
    fn certain(&self, line: &[u8], confirming: bool, end: Option<&Pattern>) -> Option<usize> {
        let start = line_start(&self.buffer);
        let before = &self.buffer[..start];
        if confirming {
            // Devices may draw a line between two prompts, such as `{master:0}`; a configuration never
            // has the prompt itself, with one line behind it, at its end.
            let (rest, previous) = split_last(before)?;
            if *previous == *line {
                return Some(rest.len());
            }
            let (rest, third) = split_last(rest)?;
            return (*third == *line && previous.len() < 40 && !self.prompt.is_match(&previous)).then_some(rest.len());
        }
        // The end marker right before the prompt says as much as a second prompt, without a round trip.
        ends_with(before, end?).then_some(start)
    }

    fn at_prompt(&self) -> bool {
        self.prompt.is_match(&last_line(&self.buffer))
    }

    fn waiting(&self, wait: &Wait<'_>) -> Option<Still> {
        let line = last_line(&self.buffer);
        if line.is_empty() {
            return None;
        }
        if let Some(which) = wait.steps.iter().position(|s| s.expect.is_match(&line)) {
            return Some(Still::Step(which));
        }
        self.script.pager.as_ref().is_some_and(|p| p.is_match(&line)).then_some(Still::Pager)
    }

    fn turn_page(&mut self, shown: &str) -> Result<(), SessionError> {
        if self.script.pager_answer.is_empty() {
            return Err(SessionError::Paged { command: shown.into() });
        }
        self.marks.push(line_start(&self.buffer)..self.buffer.len());
        self.wire.write(self.script.pager_answer.as_bytes()).map_err(|source| wire_error(shown, source))
    }

    fn fill(&mut self, shown: &str, wait: Duration) -> Result<Read, SessionError> {
        let limits = self.limits;
        let read = self.wire.read(&mut self.chunk, wait).map_err(|source| wire_error(shown, source))?;
        if let Read::Data(count) = read {
            self.received += count;
            if self.received > limits.total_bytes {
                return Err(SessionError::Flood { command: shown.into(), limit: limits.total_bytes });
            }
            self.buffer.extend_from_slice(&self.chunk[..count]);
            if self.buffer.len() - line_start(&self.buffer) > limits.line_bytes {
                return Err(SessionError::LongLine { command: shown.into(), limit: limits.line_bytes });
            }
        }
        Ok(read)
    }

    fn shown_last_line(&self) -> String {
        let line = last_line(&self.buffer);
        String::from_utf8_lossy(&line).chars().take(60).flat_map(char::escape_debug).collect()
    }
}

/// What may be waiting for us beside the prompt.
enum Still {
    Step(usize),
    Pager,
}

/// Puts credentials in the place of a step's placeholders.
fn fill_in(text: &str, replies: &dyn Replies) -> Result<String, SessionError> {
    let mut out = text.to_owned();
    for what in ["user", "password", "enable"] {
        let place = format!("{{{what}}}");
        if out.contains(&place) {
            let reply = replies.reply(what).ok_or_else(|| SessionError::NoReply { what: what.to_owned() })?;
            out = out.replace(&place, &reply);
        }
    }
    Ok(out)
}

fn wire_error(command: &str, source: WireError) -> SessionError {
    SessionError::Wire { command: command.to_owned(), source }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
