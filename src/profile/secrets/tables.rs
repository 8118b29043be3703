//! The tables of AudioCodes ini files: `FORMAT` names the columns, the rows have values by place.

use std::ops::Range;

use super::finder::lines;

/// Finds the values of columns in the tables of a text; `wanted` gives the rule for a column's name.
pub(super) fn columns(text: &[u8], wanted: &dyn Fn(&[u8]) -> Option<usize>) -> Vec<(usize, Range<usize>)> {
    let mut out = Vec::new();
    let mut format: Vec<Option<usize>> = Vec::new();
    for line in lines(text) {
        let bytes = &text[line.clone()];
        let bare = bytes.trim_ascii();
        if bare.starts_with(b"[") {
            format.clear();
            continue;
        }
        let Some(equals) = memchr::memchr(b'=', bytes) else { continue };
        if bare.starts_with(b"FORMAT ") {
            let names = bytes[equals + 1..].split(|b| *b == b',').map(|name| name.trim_ascii().trim_ascii_end());
            format = names.map(|name| wanted(name.strip_suffix(b";").unwrap_or(name))).collect();
        } else if format.iter().any(Option::is_some) && !bare.starts_with(b";") {
            let values = row(bytes, equals + 1);
            for (rule, value) in format.iter().zip(values) {
                if let Some(rule) = rule
                    && !value.is_empty()
                {
                    out.push((*rule, line.start + value.start..line.start + value.end));
                }
            }
        }
    }
    out
}

/// Gives the places of the values of a row, without quotes.
fn row(line: &[u8], from: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let (mut start, mut quoted, mut i) = (from, false, from);
    let mut take = |start: usize, end: usize| {
        let part = &line[start..end];
        let lead = part.len() - part.trim_ascii_start().len();
        let mut range = start + lead..start + lead + part.trim_ascii().len();
        if range.len() >= 2 && line[range.start] == b'"' && line[range.end - 1] == b'"' {
            range = range.start + 1..range.end - 1;
        }
        out.push(range);
    };
    while i < line.len() {
        match line[i] {
            b'\\' if quoted => i += 1,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                take(start, i);
                start = i + 1;
            }
            b';' if !quoted => break,
            _ => {}
        }
        i += 1;
    }
    take(start, i.min(line.len()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_column() {
        let text = b"[ Account ]\nFORMAT Account_Index = Account_Name, Account_Password, Account_Contact;\n\
                     Account 0 = \"a, b\", \"$1$gQ==\", x;\nAccount 1 = c, , y;\n[ \\Account ]\nPlain = a, b, c;\n";
        let wanted = |name: &[u8]| name.ends_with(b"Password").then_some(7);
        let found = columns(text, &wanted);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, &text[found[0].1.clone()]), (7, &b"$1$gQ=="[..]));
    }

    #[test]
    fn a_row_that_ends_in_a_quote_or_a_backslash_is_no_trouble() {
        for text in [&b"FORMAT a = b;\nx = \"\\"[..], b"FORMAT a = b;\nx = \"", b"FORMAT = ;\n=", b"FORMAT a = b;\nx ="] {
            columns(text, &|_| Some(0));
        }
    }
}
