//! Tables whose first line names the columns: exports of users, of phones, of subscribers.

use std::ops::Range;

use super::finder::lines;

/// Fewest columns of a table: two words with a comma are prose.
const FEWEST: usize = 3;

/// Finds the values of columns; `wanted` gives the rule for a column's name, in which blanks have become `_`.
pub(super) fn columns(text: &[u8], wanted: &dyn Fn(&[u8]) -> Option<usize>) -> Vec<(usize, Range<usize>)> {
    let mut out = Vec::new();
    let mut rows = lines(text).filter(|line| !text[line.clone()].trim_ascii().is_empty());
    let Some(head) = rows.next() else { return out };
    let separator = |s: &u8| memchr::memchr_iter(*s, &text[head.clone()]).count() + 1 >= FEWEST;
    let Some(separator) = [b',', b';', b'\t', b'|'].into_iter().find(separator) else { return out };
    let names: Vec<Vec<u8>> = fields(&text[head], separator).into_iter().map(|(name, _)| name).collect();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b' ' | b'/' | b'#' | b'(' | b')');
    if !names.iter().all(|name| name.iter().all(plain)) {
        return out;
    }
    let underscored = |name: &Vec<u8>| name.iter().map(|b| if *b == b' ' { b'_' } else { *b }).collect::<Vec<u8>>();
    let rules: Vec<Option<usize>> = names.iter().map(|name| wanted(&underscored(name))).collect();
    if rules.iter().all(Option::is_none) {
        return out;
    }
    for line in rows {
        for (rule, (_, place)) in rules.iter().zip(fields(&text[line.clone()], separator)) {
            if let Some(rule) = rule
                && !place.is_empty()
            {
                out.push((*rule, line.start + place.start..line.start + place.end));
            }
        }
    }
    out
}

/// Gives the fields of a line and their places, without quotes and blanks around them.
fn fields(line: &[u8], separator: u8) -> Vec<(Vec<u8>, Range<usize>)> {
    let mut out = Vec::new();
    // Only what begins with a quote is in quotes.
    let (mut start, mut opened, mut quoted) = (0, false, false);
    for i in 0..=line.len() {
        match line.get(i) {
            Some(b'"') if opened => quoted = !quoted,
            Some(b'"') => {
                opened = line[start..i].trim_ascii().is_empty();
                quoted = opened;
            }
            Some(b) if *b != separator || quoted => {}
            _ => {
                let part = &line[start..i];
                let lead = part.len() - part.trim_ascii_start().len();
                let mut range = start + lead..start + lead + part.trim_ascii().len();
                if range.len() >= 2 && line[range.start] == b'"' && line[range.end - 1] == b'"' {
                    range = range.start + 1..range.end - 1;
                }
                out.push((line[range.clone()].to_vec(), range));
                (start, opened) = (i + 1, false);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> Vec<String> {
        let wanted = |name: &[u8]| name.eq_ignore_ascii_case(b"digest_credentials").then_some(3);
        columns(text, &wanted).into_iter().map(|(_, r)| String::from_utf8_lossy(&text[r]).into_owned()).collect()
    }

    #[test]
    fn columns_are_found_by_the_first_line() {
        assert_eq!(found(b"USER;NAME;DIGEST CREDENTIALS\r\n1;\"a;b\";\"x \"\"y;\"\r\n2;c;\n\n3;d;z"), [r#"x ""y;"#, "z"]);
        assert_eq!(found(b"user,\"digest credentials\",name\na\"b,c\nb,d,e\n"), ["c", "d"]);
    }

    #[test]
    fn prose_is_no_table() {
        assert!(found(b"what, digest credentials\na, b\n").is_empty());
        assert!(found(b"So: a, digest credentials, b\na,b,c\n").is_empty());
        assert!(found(b"").is_empty());
    }
}
