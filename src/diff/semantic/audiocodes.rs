//! AudioCodes ini files: `[SECTION]` with `key = value`, and tables: `[ Table ]`, `FORMAT …`, rows, `[ \Table ]`.
//!
//! A row is a section `Table 3`, its columns are the keys that `FORMAT` names. The order of rows means nothing,
//! as each has its index.

use super::lines::lines;
use super::sink::Sink;
use super::{Order, Setting};
use crate::diff::Error;

pub(super) fn settings(bytes: &[u8]) -> Result<Vec<Setting>, Error> {
    let mut out = Sink::new(bytes.len());
    let mut section = String::new();
    let mut columns: Option<Vec<String>> = None;
    for (number, line) in lines(bytes, false) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim();
            columns = None;
            name.trim_start_matches('\\').clone_into(&mut section);
            if !name.starts_with('\\') {
                out.push(Setting::new(&section, "", "", number, Order::Free));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            out.push(Setting::new(&section, line, "", number, Order::Group(format!("{section} lines"))));
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let fields = || split_fields(value.strip_suffix(';').unwrap_or(value));
        if key.starts_with("FORMAT ") {
            columns = Some(fields());
        }
        match &columns {
            Some(names) if !key.starts_with("FORMAT ") => {
                // Values beyond the named columns keep their place as a name.
                for (at, field) in fields().into_iter().enumerate() {
                    let name = names.get(at).cloned().unwrap_or_else(|| format!("#{}", at + 1));
                    out.push(Setting::new(key, name, field, number, Order::Key));
                }
            }
            _ => out.push(Setting::new(&section, key, value, number, Order::Key)),
        }
    }
    out.done("AudioCodes ini")
}

/// Splits at commas outside of quotes.
fn split_fields(text: &str) -> Vec<String> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .map(|field| field.trim().to_owned())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let text = "[SYSTEM Params]\nSyslog = 1\n[ NetTable ]\nFORMAT Index = Ip, Name;\nNetTable 0 = 10.0.0.1, \"a, b\";\n[ \\NetTable ]\n";
        let found = settings(text.as_bytes()).unwrap();
        let row: Vec<_> = found.iter().filter(|s| s.section == "NetTable 0").map(|s| (&*s.key, &*s.value)).collect();
        assert_eq!(row, [("Ip", "10.0.0.1"), ("Name", "\"a, b\"")]);
    }
}
