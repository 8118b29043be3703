//! What the user sees: the only place that prints.
//!
//! Data goes to standard output, status, warnings, progress and errors to standard error. What a
//! device wrote never reaches a terminal raw: [`safe`] makes it visible first.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::error::CommandError;

/// Version of the JSON that all commands print.
const JSON_VERSION: u32 = 1;

/// How a piece of text looks on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As it is.
    Plain,
    /// A heading, or what the eye looks for.
    Strong,
    /// Less important.
    Dim,
    /// Fine, or added.
    Good,
    /// Wrong, or removed.
    Bad,
    /// To be noticed.
    Notice,
}

impl Look {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Look::Plain => Style::new(),
            Look::Strong => Style::new().bold(),
            Look::Dim => Style::new().dimmed(),
            Look::Good => colour(AnsiColor::Green),
            Look::Bad => colour(AnsiColor::Red),
            Look::Notice => colour(AnsiColor::Yellow),
        }
    }
}

/// What was asked for on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wishes {
    /// JSON in place of text.
    pub(crate) json: bool,
    /// No status and no progress.
    pub(crate) quiet: bool,
    /// More than the short form.
    pub(crate) verbose: bool,
}

/// The printer.
pub(crate) struct Ui {
    out: io::BufWriter<io::Stdout>,
    in_terminal: bool,
    out_terminal: bool,
    err_terminal: bool,
    colours: bool,
    width: Option<u16>,
    wishes: Wishes,
    bar: Option<indicatif::ProgressBar>,
}

impl Ui {
    pub(crate) fn new(env: &super::env::Env, wishes: Wishes) -> Self {
        Self {
            out: io::BufWriter::with_capacity(1 << 16, io::stdout()),
            in_terminal: env.in_terminal,
            out_terminal: env.out_terminal,
            err_terminal: env.err_terminal,
            colours: env.colours,
            width: env.width,
            wishes,
            bar: None,
        }
    }

    /// Tells whether JSON is wished.
    pub(crate) fn json_wished(&self) -> bool {
        self.wishes.json
    }

    /// Tells whether standard output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.out_terminal
    }

    /// Tells whether standard output takes colours.
    pub(crate) fn is_coloured(&self) -> bool {
        self.out_terminal && self.colours
    }

    /// Columns of standard output, if it is a terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width.filter(|_| self.out_terminal).map(usize::from)
    }

    /// Gives standard output for bytes that go out as they are; the caller makes what a device wrote
    /// [`safe`] if [`Ui::is_terminal`].
    pub(crate) fn raw(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// Prints one line of data.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CommandError> {
        self.row(&[(Look::Plain, text)])
    }

    /// Prints one line of data in pieces.
    pub(crate) fn row(&mut self, pieces: &[(Look, &str)]) -> Result<(), CommandError> {
        for (look, text) in pieces {
            let text = if self.out_terminal { safe(text.as_bytes()) } else { (*text).to_owned() };
            if self.is_coloured() && *look != Look::Plain {
                let style = look.style();
                write!(self.out, "{style}{text}{style:#}")?;
            } else {
                self.out.write_all(text.as_bytes())?;
            }
        }
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Prints bytes of a device: raw into a file or pipe, made visible line by line on a terminal.
    pub(crate) fn device_bytes(&mut self, bytes: &[u8]) -> Result<(), CommandError> {
        if !self.out_terminal {
            self.out.write_all(bytes)?;
            return Ok(());
        }
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, end) = line.strip_suffix(b"\n").map_or((line, ""), |text| (text, "\n"));
            self.out.write_all(safe(text).as_bytes())?;
            self.out.write_all(end.as_bytes())?;
        }
        Ok(())
    }

    /// Prints the document of a command: an object with `version` and `command` before its own keys.
    pub(crate) fn json(&mut self, command: &str, value: &impl Serialize) -> Result<(), CommandError> {
        #[derive(Serialize)]
        struct Document<'a, T> {
            version: u32,
            command: &'a str,
            #[serde(flatten)]
            value: &'a T,
        }
        let document = Document { version: JSON_VERSION, command, value };
        serde_json::to_writer_pretty(&mut self.out, &document).map_err(io::Error::from)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Prints one line of JSON, of a command that gives a stream of objects.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Says what is going on, on standard error.
    pub(crate) fn status(&mut self, text: &str) {
        if !self.wishes.quiet {
            self.say(Look::Plain, "", text);
        }
    }

    /// Says what the user should know, on standard error.
    pub(crate) fn warn(&mut self, text: &str) {
        self.say(Look::Notice, "warning: ", text);
    }

    /// Tells whether more than the short form is wished.
    pub(crate) fn is_verbose(&self) -> bool {
        self.wishes.verbose
    }

    /// Says what went wrong: the error, its causes, what to do.
    pub(crate) fn error(&mut self, error: &CommandError) {
        let mut texts = error.texts().into_iter();
        if let Some(first) = texts.next() {
            self.say(Look::Bad, "error: ", &first);
        }
        for cause in texts {
            self.say(Look::Bad, "caused by: ", &cause);
        }
        for hint in error.hints() {
            self.say(Look::Notice, "hint: ", hint);
        }
    }

    /// Says one thing that was found about a device, with the shape of an error.
    pub(crate) fn finding(&mut self, texts: &[String], hints: &[String]) {
        for (at, text) in texts.iter().enumerate() {
            self.say(Look::Bad, if at == 0 { "error: " } else { "caused by: " }, text);
        }
        for hint in hints {
            self.say(Look::Notice, "hint: ", hint);
        }
    }

    /// Prints the help, which the parser has laid out.
    pub(crate) fn help(&mut self, text: &str) -> Result<(), CommandError> {
        self.out.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Prints the usage error of the parser.
    pub(crate) fn usage(&mut self, text: &str) {
        for line in text.trim_end().lines() {
            self.say(Look::Plain, "", line);
        }
    }

    /// Asks for a passphrase; nothing where nobody sits at a terminal, or if nothing is typed.
    pub(crate) fn passphrase(&mut self, question: &str) -> Option<crate::seal::Secret> {
        if !self.err_terminal {
            return None;
        }
        self.finish_progress();
        let typed = rpassword::prompt_password(safe(question.as_bytes())).ok()?;
        let typed = crate::seal::Secret::new(typed);
        (!typed.expose().is_empty()).then_some(typed)
    }

    /// Tells whether somebody sits there who can be asked what no option asks for.
    pub(crate) fn is_asked(&self) -> bool {
        self.err_terminal && self.in_terminal && !self.wishes.quiet && !self.wishes.json
    }

    /// Asks for a passphrase that will be needed again, twice; nothing where nobody sits at a terminal, or if
    /// nothing is typed.
    ///
    /// # Errors
    /// It was typed differently three times.
    pub(crate) fn new_passphrase(&mut self, question: &str) -> Result<Option<crate::seal::Secret>, CommandError> {
        for _ in 0..3 {
            let Some(first) = self.passphrase(question) else { return Ok(None) };
            let again = self.passphrase("Again: ");
            if again.is_some_and(|again| again.expose() == first.expose()) {
                return Ok(Some(first));
            }
            self.say(Look::Plain, "", "These differ");
        }
        Err(CommandError::usage("The passphrase was typed differently each time"))
    }

    /// Asks whether to go on; nothing where nobody sits at a terminal. Only `yes` is yes.
    pub(crate) fn confirm(&mut self, question: &str) -> Result<Option<bool>, CommandError> {
        if !self.in_terminal || !self.err_terminal || self.wishes.json {
            return Ok(None);
        }
        self.flush()?;
        // The cursor stays behind the question.
        write!(io::stderr(), "{} [yes/no] ", safe(question.as_bytes()))?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(Some(answer.trim().eq_ignore_ascii_case("yes")))
    }

    fn say(&mut self, look: Look, word: &str, text: &str) {
        // What a device or a remote wrote stands in messages too; a log file is no better place for it.
        let text = safe(text.as_bytes());
        let style = if self.err_terminal && self.colours { look.style() } else { Style::new() };
        let line = format!("{style}{word}{style:#}{text}\n");
        // There is nobody left to tell that standard error is closed.
        let print = || drop(io::stderr().write_all(line.as_bytes()));
        let _flushed = self.out.flush();
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Begins a progress bar, which shows only on a terminal; it ends with [`Ui::finish_progress`].
    pub(crate) fn progress(&mut self, what: &'static str, length: u64) -> Progress {
        let shown = self.err_terminal && !self.wishes.quiet && !self.wishes.json;
        let bar = if shown { indicatif::ProgressBar::new(length) } else { indicatif::ProgressBar::hidden() };
        let style = indicatif::ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {wide_msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        self.bar = shown.then(|| bar.clone());
        Progress(bar)
    }

    /// Takes the progress bar away.
    pub(crate) fn finish_progress(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes out what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), CommandError> {
        self.finish_progress();
        self.out.flush()?;
        Ok(())
    }
}

/// A progress bar that any thread may move.
#[derive(Clone)]
pub(crate) struct Progress(indicatif::ProgressBar);

impl Progress {
    /// Tells how many of how many are done.
    pub(crate) fn to(&self, done: u64, all: u64) {
        self.0.set_length(all);
        self.0.set_position(done);
    }

    /// Tells what is being done, and how many of how many are.
    pub(crate) fn at(&self, what: &'static str, done: u64, all: u64) {
        self.0.set_message(what);
        self.to(done, all);
    }

    /// Tells that one more is done, and which.
    pub(crate) fn step(&self, name: &str) {
        self.0.set_message(safe(name.as_bytes()));
        self.0.inc(1);
    }
}

/// Makes text visible: control characters, escape codes, invisible direction marks and bytes that are
/// not UTF-8 become `\x1b`-like escapes. Tabs stay.
pub(crate) fn safe(bytes: &[u8]) -> String {
    crate::diff::visible::text(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_terminal_stays() {
        let text = safe(b"a\tb\x1b[2J\r\x07\x00\xff\xc2\x9b\xe2\x80\xae!");
        assert_eq!(text, "a\tb\\x1b[2J\\r\\x07\\x00\\xff\\x9b\\u{202e}!");
        assert_eq!(safe("Grüße {{sealed:00}} \\x".as_bytes()), "Grüße {{sealed:00}} \\x");
    }
}
