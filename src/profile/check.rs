//! Parsing a profile file, putting it over the one that it extends, and checking it.

use super::error::ProfileError;
use super::globs::glob;
use super::language::{Action, Backup, ProfileFile, Restore, RestoreMethod, SecretRule, Step};
use super::pattern::{Pattern, Spelt, compile, spelt};
use super::secrets::shortest_literal;

/// What a checked pattern is.
#[derive(Clone, Copy)]
enum Is<'g> {
    Glob,
    /// A regular expression that may match an empty line.
    Loose,
    Regex,
    /// A regular expression with at least one group whose name begins so.
    With(&'g str),
}

impl ProfileFile {
    /// Parses a file; `shown` names it in messages.
    pub(super) fn parse(shown: &str, text: &str) -> Result<Self, ProfileError> {
        let mut file: Self =
            toml::from_str(text).map_err(|source| ProfileError::Syntax { file: shown.to_owned(), source: Box::new(source) })?;
        for rule in &mut file.secret {
            rule.home.clone_from(&file.name);
        }
        Ok(file)
    }

    /// Checks that the name is that of the file.
    pub(super) fn check_name(&self, shown: &str, name: &str) -> Result<(), ProfileError> {
        if self.name == name {
            return Ok(());
        }
        let reason = format!("the file calls for `{name}`");
        Err(ProfileError::Value { file: shown.to_owned(), line: 1, key: "name".into(), reason })
    }

    /// Puts this file over the one that it extends: its rules come first, a secret rule or a
    /// command of the same id or path replaces that of the base; tables, and health commands, replace
    /// those of the base as a whole.
    pub(super) fn over(mut self, base: Self) -> Self {
        let ids: Vec<String> = self.secret.iter().map(|rule| rule.id.clone()).collect();
        let paths: Vec<_> = self.command.iter().map(|command| command.path.clone()).collect();
        self.file.extend(base.file);
        self.release.extend(base.release);
        self.volatile.extend(base.volatile);
        self.secret.extend(base.secret.into_iter().filter(|rule| !ids.contains(&rule.id)));
        self.clear.extend(base.clear);
        self.command.extend(base.command.into_iter().filter(|command| !paths.contains(&command.path)));
        if self.health.is_empty() {
            self.health = base.health;
        }
        self.module.extend(base.module);
        self.unverified.extend(base.unverified);
        self.collect = self.collect.or(base.collect);
        self.session = self.session.or(base.session);
        self.backup = self.backup.or(base.backup);
        self.restore = self.restore.or(base.restore);
        self
    }

    /// Gives what tells the syntax of files, for the id of the masks.
    pub(super) fn syntaxes(&self) -> Vec<(&[Pattern], super::syntax::Syntax)> {
        self.file.iter().filter_map(|rule| Some((rule.paths.as_slice(), rule.syntax?))).collect()
    }

    /// Lists what was not verified: the file's own words, then each rule that is marked.
    pub(super) fn all_unverified(&self) -> Vec<String> {
        let mut out = self.unverified.clone();
        let globs = |patterns: &[Pattern]| patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(" ");
        let mut mark = |yes: bool, text: String| {
            if yes {
                out.push(text);
            }
        };
        for rule in &self.file {
            mark(rule.unverified, format!("files: {}", globs(&rule.paths)));
        }
        for rule in &self.release {
            mark(rule.unverified, format!("release: {} in {}", rule.regex, globs(&rule.paths)));
        }
        for rule in &self.volatile {
            mark(rule.unverified, format!("volatile: {}", rule.regex));
        }
        for rule in &self.secret {
            mark(rule.unverified, format!("secret: {}", rule.id));
        }
        mark(self.session.as_ref().is_some_and(|s| s.unverified), "session: prompts and log-in".into());
        for command in &self.command {
            mark(command.unverified, format!("command: {}", command.run));
        }
        mark(self.backup.as_ref().is_some_and(|b| b.unverified), "backup: all of it".into());
        mark(self.restore.as_ref().is_some_and(|r| r.unverified), "restore: all of it".into());
        for health in &self.health {
            mark(health.unverified, format!("health: {}", health.run));
        }
        out
    }

    /// Checks every glob and regular expression and what the types cannot say.
    pub(super) fn check(&self, shown: &str, text: &str) -> Result<(), ProfileError> {
        let check = Check { shown, text };
        for rule in &self.file {
            check.globs("file.paths", &rule.paths)?;
            if rule.scope.is_none() && !rule.skip && rule.syntax.is_none() {
                return Err(check.wrong("file", rule.paths.first(), "gives neither `scope`, `skip` nor `syntax`"));
            }
        }
        for rule in &self.release {
            check.globs("release.paths", &rule.paths)?;
            check.pattern("release.regex", &rule.regex, Is::With("release"))?;
        }
        for rule in &self.volatile {
            check.globs("volatile.paths", &rule.paths)?;
            check.pattern("volatile.regex", &rule.regex, Is::Regex)?;
        }
        for (at, rule) in self.secret.iter().enumerate() {
            if self.secret[..at].iter().any(|other| other.id == rule.id) {
                return Err(check.wrong(&format!("secret.id ({})", rule.id), None, "stands there twice"));
            }
            check.secret(rule)?;
        }
        for rule in &self.clear {
            check.globs("clear.paths", &rule.paths)?;
            check.pattern("clear.regex", &rule.regex, Is::Regex)?;
        }
        self.check_rest(&check)
    }

    fn check_rest(&self, check: &Check<'_>) -> Result<(), ProfileError> {
        for text in self.collect.iter().flat_map(|c| &c.required) {
            check.globs("collect.required", std::slice::from_ref(&Pattern::new(text)))?;
        }
        for expect in self.collect.iter().flat_map(|c| &c.expect) {
            check.globs("collect.expect.paths", &expect.paths)?;
            check.globs("collect.expect.by-itself", &expect.by_itself)?;
        }
        if let Some(session) = &self.session {
            let all = session.prompt.iter().chain(&session.pager).chain(&session.refusals);
            all.into_iter().try_for_each(|p| check.pattern("session", p, Is::Regex))?;
            check.steps("session.login", &session.login)?;
        }
        for command in &self.command {
            let all = command.end.iter().chain(&command.refusals).chain(&command.drop_head);
            all.into_iter().try_for_each(|p| check.pattern(&format!("command ({})", command.run), p, Is::Loose))?;
        }
        if let Some(backup) = &self.backup {
            backup.run.iter().try_for_each(|action| check.action("backup", action))?;
            backup.job.iter().try_for_each(|p| check.pattern("backup.job", p, Is::With("job")))?;
            check.backup(backup)?;
        }
        if let Some(restore) = &self.restore {
            let actions =
                restore.check.iter().chain(&restore.apply).chain(&restore.save).chain(&restore.undo).chain(&restore.clean);
            actions.into_iter().try_for_each(|action| check.action("restore", action))?;
            check.sending(restore)?;
            restore.cannot.iter().try_for_each(|cannot| check.globs("restore.cannot.paths", &cannot.paths))?;
        }
        self.health.iter().try_for_each(|health| check.health(&health.regex))
    }
}

struct Check<'f> {
    shown: &'f str,
    text: &'f str,
}

impl Check<'_> {
    fn wrong(&self, key: &str, at: Option<&Pattern>, reason: &str) -> ProfileError {
        let line = at.map_or(0, |p| self.text.get(..p.offset()).map_or(0, |head| head.matches('\n').count() + 1));
        ProfileError::Value { file: self.shown.to_owned(), line, key: key.to_owned(), reason: reason.to_owned() }
    }

    fn globs(&self, key: &str, patterns: &[Pattern]) -> Result<(), ProfileError> {
        patterns.iter().try_for_each(|pattern| self.pattern(key, pattern, Is::Glob))
    }

    fn pattern(&self, key: &str, pattern: &Pattern, is: Is<'_>) -> Result<(), ProfileError> {
        if let Is::Glob = is {
            return glob(pattern.as_str()).map(drop).map_err(|e| self.wrong(key, Some(pattern), &e.to_string()));
        }
        let regex = compile(pattern.as_str()).map_err(|e| self.wrong(key, Some(pattern), &e.to_string()))?;
        if let Is::With(group) = is
            && !regex.capture_names().flatten().any(|name| name.starts_with(group))
        {
            return Err(self.wrong(key, Some(pattern), &format!("has no group `{group}`")));
        }
        if !matches!(is, Is::Loose) && regex.is_match(b"") {
            return Err(self.wrong(key, Some(pattern), "matches an empty text"));
        }
        Ok(())
    }

    fn secret(&self, rule: &SecretRule) -> Result<(), ProfileError> {
        let key = format!("secret ({})", rule.id);
        let at = rule.regex.as_ref().or(rule.begin.as_ref());
        let kinds = usize::from(!rule.keys.is_empty()) + usize::from(rule.regex.is_some()) + usize::from(rule.begin.is_some());
        if kinds != 1 {
            return Err(self.wrong(&key, at, "must have one of `keys`, `regex` and `begin`"));
        }
        if rule.begin.is_some() != rule.end.is_some() {
            return Err(self.wrong(&key, at, "`begin` and `end` go together"));
        }
        let every_line = rule.regex.is_some() && !rule.paths.is_empty();
        if (rule.keys.is_empty() == rule.words.is_empty() && !every_line) || rule.words.iter().any(|word| word.len() < 2) {
            return Err(self.wrong(&key, at, "`words` go with `regex` and `begin`, and have two letters or more"));
        }
        if rule.keys.iter().any(|key| shortest_literal(key) < 2) {
            return Err(self.wrong(&key, at, "each of `keys` must have two letters in a row"));
        }
        self.globs(&key, &rule.paths)?;
        rule.regex.iter().try_for_each(|p| self.pattern(&key, p, Is::With("secret")))?;
        // Profiles go to every mirror in clear.
        if let Some(regex) = rule.regex.as_ref().filter(|regex| spelt(regex.as_str()) == Spelt::Whole) {
            return Err(self.wrong(&key, Some(regex), "spells out what it masks; describe it by what stands around it"));
        }
        rule.begin
            .iter()
            .chain(&rule.end)
            .chain(&rule.section)
            .chain(&rule.unless)
            .try_for_each(|p| self.pattern(&key, p, Is::Regex))
    }

    /// A group of another name would be counted as if there were none.
    fn health(&self, regex: &Pattern) -> Result<(), ProfileError> {
        self.pattern("health.regex", regex, Is::Regex)?;
        let other = regex.regex().and_then(|regex| regex.capture_names().flatten().find(|name| *name != "value"));
        match other {
            Some(name) => {
                Err(self.wrong("health.regex", Some(regex), &format!("has a group `{name}`; `value` is the one that counts")))
            }
            None => Ok(()),
        }
    }

    fn steps(&self, key: &str, steps: &[Step]) -> Result<(), ProfileError> {
        steps.iter().try_for_each(|step| self.pattern(key, &step.expect, Is::Regex))
    }

    /// What `commands` needs to send anything.
    fn sending(&self, restore: &Restore) -> Result<(), ProfileError> {
        if restore.method != RestoreMethod::Commands {
            return Ok(());
        }
        if restore.config.is_none() {
            return Err(self.wrong("restore.config", None, "says which file of the set is sent"));
        }
        let mut making = restore.apply.iter().chain(&restore.undo);
        let typed = making.any(|action| action.run.contains("{lines}"));
        if restore.upload.is_none() && !typed {
            return Err(self.wrong("restore.upload", None, "is missing, and no command has `{lines}`"));
        }
        Ok(())
    }

    /// What a backup needs to be begun.
    fn backup(&self, backup: &Backup) -> Result<(), ProfileError> {
        let named = backup.run.iter().any(|action| action.run.contains("{job}"));
        if backup.run.is_empty() {
            return Err(self.wrong("backup.run", None, "says what makes the backup"));
        }
        if backup.list.is_some() != backup.job.is_some() || backup.list.is_some() != named {
            return Err(self.wrong("backup", backup.job.as_ref(), "`list`, `job` and `{job}` in a command go together"));
        }
        Ok(())
    }

    fn action(&self, table: &str, action: &Action) -> Result<(), ProfileError> {
        let key = format!("{table} ({})", action.run);
        action.ok.iter().chain(&action.fails).chain(&action.busy).try_for_each(|p| self.pattern(&key, p, Is::Regex))?;
        self.steps(&key, &action.answers)?;
        self.globs(&key, &action.when)
    }
}
