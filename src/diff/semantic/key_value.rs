//! `key = value` and `key: value` without sections.
//!
//! Order: repeated keys are lists whose order counts; so does the order of lines that are neither. A line of
//! `Match` or `Host` opens a section, as in the files of OpenSSH.

use super::lines::{default, lines};
use super::sink::Sink;
use super::{Order, Setting};
use crate::diff::Error;

pub(super) fn settings(bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    let mut out = Sink::new(bytes.len());
    let mut section = String::new();
    for (number, line) in lines(bytes, true) {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix(['#', ';']) {
            if let Some((key, value)) = default(comment.trim_start_matches(['#', ';'])) {
                let mut setting = Setting::new(&section, key, value, number, Order::Key);
                setting.default = true;
                out.push(setting);
            }
            continue;
        }
        if line.is_empty() {
            continue;
        }
        if line.split_whitespace().next().is_some_and(|word| word == "Match" || word == "Host") {
            line.clone_into(&mut section);
            out.push(Setting::new(&section, "", "", number, Order::Group("sections".to_owned())));
            continue;
        }
        match line.find(['=', ':']) {
            Some(at) if at > 0 => {
                out.push(Setting::new(&section, line[..at].trim_end(), line[at + 1..].trim_start(), number, Order::Key));
            }
            _ => out.push(Setting::new(&section, line, "", number, Order::Group(format!("{section} lines")))),
        }
    }
    out.done("keys and values")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_signs() {
        let found = settings(b"a = 1\nb: x=y\n# c=3\n#d=4\nexport\n").unwrap();
        let shown: Vec<_> = found.iter().map(|s| (s.key.as_str(), s.value.as_str(), s.default)).collect();
        assert_eq!(shown, [("a", "1", false), ("b", "x=y", false), ("c", "3", true), ("d", "4", true), ("export", "", false)]);
    }
}
