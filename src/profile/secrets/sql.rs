//! Rows of tables in dumps of databases: `INSERT INTO t (…) VALUES (…)`, and PostgreSQL's `COPY t (…) FROM stdin`.

use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memchr;

use super::finder::lines;

/// Longest statement head that is looked at, in bytes.
const HEAD: usize = 8192;

/// Finds the values of columns; `wanted` gives the rule for a column's name.
pub(super) fn columns(text: &[u8], wanted: &dyn Fn(&[u8]) -> Option<usize>) -> Vec<(usize, Range<usize>)> {
    let mut out = Vec::new();
    if [&b"INSERT INTO"[..], b"insert into", b"COPY "].iter().all(|word| memchr::memmem::find(text, word).is_none()) {
        return out;
    }
    // What `CREATE TABLE` said: a dump need not name columns again.
    let mut tables: BTreeMap<Vec<u8>, Vec<Option<usize>>> = BTreeMap::new();
    let mut done = 0;
    for line in lines(text) {
        if line.start < done {
            continue;
        }
        let bytes = &text[line.clone()];
        let lead = line.start + bytes.len() - bytes.trim_ascii_start().len();
        if let Some(at) = after(text, lead, &[b"CREATE", b"TABLE"]) {
            let at = after(text, at, &[b"IF", b"NOT", b"EXISTS"]).unwrap_or(at);
            let (name, at) = name(text, at);
            if let Some((parts, end)) = tuple(text, skip(text, at)) {
                let names = parts.into_iter().map(|part| first_word(&text[part]));
                tables.insert(name, names.map(wanted).collect());
                done = end;
            }
        } else if let Some(at) =
            after(text, lead, &[b"INSERT", b"INTO"]).or_else(|| after(text, lead, &[b"INSERT", b"IGNORE", b"INTO"]))
        {
            done = insert(text, at, &tables, wanted, &mut out);
        } else if let Some(at) = after(text, lead, &[b"COPY"]) {
            let Some((parts, end)) = tuple(text, skip(text, name(text, at).1)) else { continue };
            if after(text, end, &[b"FROM", b"STDIN"]).is_none() {
                continue;
            }
            let rules: Vec<Option<usize>> = parts.into_iter().map(|part| wanted(first_word(&text[part]))).collect();
            done = copied(text, line.end, &rules, &mut out);
        }
    }
    out
}

/// Takes the rows of one `INSERT`, from behind `INTO`; gives where it ends.
fn insert(
    text: &[u8],
    from: usize,
    tables: &BTreeMap<Vec<u8>, Vec<Option<usize>>>,
    wanted: &dyn Fn(&[u8]) -> Option<usize>,
    out: &mut Vec<(usize, Range<usize>)>,
) -> usize {
    let (name, at) = name(text, from);
    let mut at = skip(text, at);
    let named: Vec<Option<usize>>;
    let mut rules: &[Option<usize>] = tables.get(&name).map_or(&[], Vec::as_slice);
    if let Some((parts, end)) = tuple(text, at) {
        named = parts.into_iter().map(|part| wanted(first_word(&text[part]))).collect();
        rules = &named;
        at = end;
    }
    let Some(mut at) = after(text, at, &[b"VALUES"]) else { return at };
    while let Some((values, end)) = tuple(text, skip(text, at)) {
        for (rule, value) in rules.iter().zip(values) {
            if let Some(rule) = rule
                && let Some(value) = unquoted(text, value)
            {
                out.push((*rule, value));
            }
        }
        at = skip(text, end);
        if text.get(at) != Some(&b',') {
            break;
        }
        at += 1;
    }
    at
}

/// Takes the rows behind a `COPY`, up to `\.`; gives where they end.
fn copied(text: &[u8], from: usize, rules: &[Option<usize>], out: &mut Vec<(usize, Range<usize>)>) -> usize {
    let mut at = memchr(b'\n', &text[from..]).map_or(text.len(), |n| from + n + 1);
    while at < text.len() {
        let end = memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
        if text[at..end].starts_with(b"\\.") {
            return end;
        }
        let mut start = at;
        for (part, rule) in text[at..end].split(|b| *b == b'\t').zip(rules) {
            if let Some(rule) = rule
                && !part.is_empty()
                && part != b"\\N"
            {
                out.push((*rule, start..start + part.trim_ascii_end().len()));
            }
            start += part.len() + 1;
        }
        at = end + 1;
    }
    at
}

fn skip(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Gives the place behind words that stand at `at`, in any case, with blanks between them.
fn after(text: &[u8], mut at: usize, words: &[&[u8]]) -> Option<usize> {
    for word in words {
        at = skip(text, at);
        let found = text.get(at..at + word.len())?;
        if !found.eq_ignore_ascii_case(word) || text.get(at + word.len()).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        at += word.len();
    }
    Some(at)
}

/// Reads the name of a table, without quotes; gives the place behind it.
fn name(text: &[u8], at: usize) -> (Vec<u8>, usize) {
    let at = skip(text, at);
    let rest = &text[at..text.len().min(at + HEAD)];
    let end = rest.iter().position(|b| b.is_ascii_whitespace() || *b == b'(').unwrap_or(rest.len());
    (rest[..end].iter().copied().filter(|b| !matches!(b, b'`' | b'"' | b'[' | b']')).collect(), at + end)
}

/// Gives the first word of the description of a column, without quotes.
fn first_word(part: &[u8]) -> &[u8] {
    let part = part.trim_ascii();
    let part = part.strip_prefix(b"`").or_else(|| part.strip_prefix(b"\"")).or_else(|| part.strip_prefix(b"[")).unwrap_or(part);
    let end = part.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'`' | b'"' | b']')).unwrap_or(part.len());
    &part[..end]
}

/// Splits what stands in the bracket at `open` by commas; gives the parts and the place behind the bracket.
fn tuple(text: &[u8], open: usize) -> Option<(Vec<Range<usize>>, usize)> {
    if text.get(open) != Some(&b'(') {
        return None;
    }
    let (mut parts, mut start, mut depth, mut i) = (Vec::new(), open + 1, 0_usize, open + 1);
    loop {
        match *text.get(i)? {
            quote @ (b'\'' | b'"' | b'`') => i = closing(text, i + 1, quote)?,
            b'(' => depth += 1,
            b')' if depth == 0 => {
                parts.push(start..i);
                return Some((parts, i + 1));
            }
            b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(start..i);
                start = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
}

/// Gives the place of the quote that closes a text; a quote written twice, or behind `\`, does not.
fn closing(text: &[u8], mut i: usize, quote: u8) -> Option<usize> {
    loop {
        match *text.get(i)? {
            b'\\' => i += 2,
            b if b == quote && text.get(i + 1) == Some(&quote) => i += 2,
            b if b == quote => return Some(i),
            _ => i += 1,
        }
    }
}

/// Gives the place of a value without its quotes; none for `NULL` and the empty text.
fn unquoted(text: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let part = &text[range.clone()];
    let lead = range.start + part.len() - part.trim_ascii_start().len();
    let bare = part.trim_ascii();
    let end = lead + bare.len();
    let quoted = bare.len() >= 2 && bare.ends_with(b"'");
    match bare.iter().position(|b| *b == b'\'') {
        // `_binary 'x'`, `E'x'`
        Some(open) if quoted && open + 1 < bare.len() => (lead + open + 1 < end - 1).then(|| lead + open + 1..end - 1),
        _ if bare.eq_ignore_ascii_case(b"null") || bare.is_empty() => None,
        _ => Some(lead..end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let wanted = |name: &[u8]| name.ends_with(b"password").then_some(1);
        columns(text.as_bytes(), &wanted).into_iter().map(|(_, r)| &text[r]).collect()
    }

    #[test]
    fn rows_are_read_by_the_columns_that_stand_before_them() {
        assert_eq!(
            found("INSERT INTO `s` (`id`,`password`) VALUES (1,'a''b'),(2,'c\\'d'), (3,NULL),(4,''),(5,77);\nx"),
            ["a''b", "c\\'d", "77"]
        );
        let dump = "CREATE TABLE IF NOT EXISTS `s` (\n  `id` int(10) DEFAULT '0,1',\n  `password` char(25),\n  PRIMARY KEY (`id`)\n);\n\
                    INSERT INTO `s` VALUES (1,'x, y'),\n(2,'z');\nINSERT INTO other VALUES (1,'no');\n";
        assert_eq!(found(dump), ["x, y", "z"]);
        assert_eq!(found("COPY public.s (id, password, n) FROM stdin;\n1\tp q\tn\n2\t\\N\tn\n\\.\n1\tnot\tthis\n"), ["p q"]);
    }

    #[test]
    fn what_is_cut_off_is_no_trouble() {
        for text in [
            "INSERT INTO",
            "INSERT INTO t (",
            "INSERT INTO t (password) VALUES ('a",
            "INSERT INTO t (password) VALUES ('\\",
            "CREATE TABLE\nINSERT INTO",
            "COPY t (password) FROM stdin;",
            "COPY t (password) FROM stdin;\nx",
            "COPY ",
        ] {
            found(text);
        }
        assert_eq!(found("COPY t (a, password) FROM stdin;\n1\tx"), ["x"]);
    }
}
