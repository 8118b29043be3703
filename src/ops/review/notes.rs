//! The passages of change notes: Markdown, and text with underlined headings.

use crate::model::Release;

/// A passage: an item of a list, or a paragraph, with the headings that it stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The nearest heading, such as the name of a module.
    pub topic: String,
    /// The release that it is about, where a heading or the name of the file says so.
    pub version: Option<String>,
    /// Its line, from 1.
    pub line: u32,
    /// Its text, as it stands there.
    pub text: String,
}

impl Passage {
    /// Eight hexadecimal digits that stand for its words.
    #[must_use]
    pub fn id(&self) -> String {
        let words = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let hash = blake3::hash(format!("{}\n{words}", self.topic).as_bytes());
        hash.to_hex().as_str()[..8].to_owned()
    }

    /// Its first words, without the mark of the list.
    #[must_use]
    pub fn title(&self) -> String {
        let words = self.text.trim_start_matches([' ', '*', '-', '#', '+']).split_whitespace();
        let mut out = String::new();
        for word in words {
            if out.len() + word.len() > 90 {
                out.push('…');
                break;
            }
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
        out
    }
}

/// Cuts a text into passages. In notes that have a chapter of notes (`User Notes`, `Upgrade Notes`), only that
/// counts, without what is for developers, unless `all` is asked for: the rest names every commit again. Where there is
/// none, or nothing in it, and the commits are told one by one (`Commit Details`), only these count: what stands before
/// them lists the same commits by other orders.
#[must_use]
pub fn passages(name: &str, text: &str, all: bool) -> Vec<Passage> {
    let lines: Vec<&str> = text.lines().collect();
    let mut cutter = Cutter { version: version_in(name), ..Cutter::default() };
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let under = lines.get(at + 1).copied().unwrap_or_default();
        if is_rule(line) {
            at += 1;
        } else if let Some(banner) = banner(line) {
            cutter.chapter(&banner, 1);
            at += 1;
        } else if !line.starts_with(' ') && !line.trim().is_empty() && is_rule(under) && !is_list(line) {
            // One of `=` stands above all; of Asterisk's text files the banners do.
            cutter.chapter(line.trim(), if under.starts_with('=') { 1 } else { 9 });
            at += 2;
        } else {
            cutter.line(line, at);
            at += 1;
        }
    }
    cutter.end();
    let has = |chapter| cutter.out.iter().any(|(kind, _)| *kind == chapter);
    let only = [Chapter::Notes, Chapter::Details].into_iter().find(|chapter| has(*chapter)).filter(|_| !all);
    let fits = |kind: &Chapter| only.is_none_or(|only| *kind == only);
    cutter.out.into_iter().filter(|(kind, _)| fits(kind)).map(|(_, passage)| passage).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Chapter {
    #[default]
    Other,
    Notes,
    /// Each commit with all that is said of it.
    Details,
}

#[derive(Default)]
struct Cutter {
    out: Vec<(Chapter, Passage)>,
    version: Option<String>,
    topic: String,
    chapter: Chapter,
    level: usize,
    open: Option<(u32, Vec<String>)>,
    /// Columns of the mark of the open list item.
    mark: usize,
    blank: bool,
}

impl Cutter {
    fn chapter(&mut self, heading: &str, level: usize) {
        self.end();
        if let Some(version) = version_in(heading).filter(|_| level <= 2) {
            self.version = Some(version);
        }
        let lower = heading.to_ascii_lowercase();
        let words = lower.trim_end_matches(':');
        // A chapter goes on in the headings below it.
        if words.ends_with("notes") && !lower.contains("developer") {
            (self.chapter, self.level) = (Chapter::Notes, level);
        } else if matches!(words, "detail" | "details" | "commit details") {
            (self.chapter, self.level) = (Chapter::Details, level);
        } else if level <= self.level {
            (self.chapter, self.level) = (Chapter::Other, level);
        }
        heading.trim_end_matches(':').clone_into(&mut self.topic);
    }

    fn line(&mut self, line: &str, at: usize) {
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if trimmed.is_empty() {
            self.blank = true;
            return;
        }
        let bare = trimmed.strip_prefix(['-', '*']).map_or(trimmed, str::trim_start);
        let level = bare.bytes().take_while(|b| *b == b'#').count();
        let heading = (1..=6).contains(&level) && bare[level..].starts_with(' ');
        if heading && indent == 0 {
            let title = bare[level..].trim();
            // A commit is one passage, whatever is said of it.
            let commit = self.chapter == Chapter::Details && level > self.level;
            if bare.len() == trimmed.len() && !commit {
                self.chapter(title, level);
                // The heading of a commit is all that is said of it.
                self.blank = false;
                return;
            }
            // `- #### module: what`: an item whose topic is its own heading.
            self.end();
            title.split_once(": ").map_or(title, |(topic, _)| topic).clone_into(&mut self.topic);
            self.start(number, line, indent);
            return;
        }
        let item = is_list(line);
        let continues = match &self.open {
            None => false,
            Some(_) if item => indent > self.mark,
            Some(_) => !self.blank || indent > self.mark,
        };
        if continues {
            if let Some((_, open)) = &mut self.open {
                open.push(line.to_owned());
            }
            self.blank = false;
        } else {
            self.end();
            self.start(number, line, indent);
        }
    }

    fn start(&mut self, number: u32, line: &str, indent: usize) {
        self.open = Some((number, vec![line.to_owned()]));
        (self.mark, self.blank) = (indent, false);
    }

    fn end(&mut self) {
        if let Some((line, text)) = self.open.take() {
            let passage = Passage { topic: self.topic.clone(), version: self.version.clone(), line, text: text.join("\n") };
            self.out.push((self.chapter, passage));
        }
    }
}

fn is_list(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("* ") || line.starts_with("- ") || line.starts_with("+ ")
}

fn is_rule(line: &str) -> bool {
    let line = line.trim_end();
    line.len() >= 3 && (line.bytes().all(|b| b == b'-') || line.bytes().all(|b| b == b'='))
}

/// `--- New functionality introduced in Asterisk 20.0.0 ---`
fn banner(line: &str) -> Option<String> {
    let inner = line.strip_prefix("--- ").or_else(|| line.strip_prefix("=== "))?;
    let inner = inner.trim_end_matches(['-', '=', ' ']);
    version_in(inner).map(|_| inner.to_owned())
}

/// The last version number in a text: `from 18.0.0 to 19.0.0` is about 19.0.0.
fn version_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let mut words = words.map(|word| word.trim_matches('.'));
    words.rfind(|word| word.contains('.') && numbers(word).is_some()).map(str::to_owned)
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

/// Tells whether notes are about a release behind `old`, up to `new`; so are those that do not say what they
/// are about.
pub(super) fn between(version: Option<&str>, old: &Release, new: &Release) -> bool {
    let number = |text: &str| version_in(text).or_else(|| Some(text.to_owned())).and_then(|text| numbers(&text));
    let Some(version) = version.and_then(number) else { return true };
    number(old.as_str()).is_none_or(|old| version > old) && number(new.as_str()).is_none_or(|new| version <= new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underlined_headings_and_banners() {
        let text = "===\n=== Title\n===\n\n-----\n--- Changes from X 1.0.0 to X 2.0.0 ---\n-----\n\nres_a\n------\n * One\n   more.\n\n   \
                    Still one.\n   - nested\n\n * Two\n\nres_b\n------\nPlain words\ngo on.\n\nOther.\n";
        let found = passages("x.txt", text, false);
        let found: Vec<_> = found.iter().map(|p| (p.topic.as_str(), p.line, p.text.lines().count())).collect();
        assert_eq!(found, [("res_a", 11, 4), ("res_a", 17, 1), ("res_b", 21, 2), ("res_b", 24, 1)]);
        assert_eq!(passages("x.txt", text, false)[0].version.as_deref(), Some("2.0.0"));
    }

    #[test]
    fn only_the_notes_of_a_change_log_count() {
        let text = "## Change Log for Release x-2.1.0\n### Summary:\n- a: b\n### User Notes:\n\n- #### res_a: New\n  Words.\n\n- #### \
                    res_b: Other\n  Words.\n\n### Developer Notes:\n\n- #### res_c: No\n  Words.\n### Commits:\n- x\n";
        let found = passages("x.md", text, false);
        let topics: Vec<_> = found.iter().map(|p| (p.topic.as_str(), p.version.as_deref())).collect();
        assert_eq!(topics, [("res_a", Some("2.1.0")), ("res_b", Some("2.1.0"))]);
        assert_eq!(found[0].title(), "res_a: New Words.");
        assert_eq!(passages("x.md", text, true).len(), 5);
    }

    #[test]
    fn a_log_without_notes_tells_each_commit_once() {
        let new = "## Change Log for Release x-2.1.0\n### Summary:\n- Commits: 1\n### User Notes:\n\n### Commit List:\n\n-  res_a: Fix\n\n\
                   ### Commit Details:\n\n#### res_a: Fix\n  Author: A\n\n  Words.\n\n  * More.\n\n  Resolves: #1\n\n#### res_b: Other\n  Author: B\n";
        let found = |text| passages("x.md", text, false).into_iter().map(|p| (p.topic, p.line)).collect::<Vec<_>>();
        assert_eq!(found(new), [("res_a".to_owned(), 12), ("res_b".to_owned(), 21)]);
        let old = "Summary:\n-----\n\n- res_a: Fix\n\nUser Notes:\n-----\n\nDetail:\n-----\n\n- ### res_a: Fix\n  Author: A\n\n  Words.\n";
        assert_eq!(found(old), [("res_a".to_owned(), 12)]);
    }

    #[test]
    fn only_releases_between_count() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        let within = |version: Option<&str>| between(version, &release("18.26.4"), &release("20.20.1"));
        assert!(within(None) && within(Some("19.0.0")) && within(Some("20.20.1")));
        assert!(!within(Some("18.26.4")) && !within(Some("18.3.0")) && !within(Some("21.0.0")));
        assert!(between(Some("1.0"), &release("R-x"), &release("R-y")));
    }
}
