//! What every HTML page of ours begins and ends with: no scripts, nothing from outside, all text escaped.

use std::io::{self, Write};

use crate::diff::visible;

const STYLE: &str = include_str!("style.css");

/// Begins a page.
///
/// # Errors
/// What `out` returns.
pub fn begin(title: &str, out: &mut dyn Write) -> io::Result<()> {
    let title = escape(&visible::text(title.as_bytes()));
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1 id=\"top\">{title}</h1>"
    )
}

/// Ends a page.
///
/// # Errors
/// What `out` returns.
pub fn end(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "</main>\n</body>\n</html>")
}

/// Text that cannot leave its place in the page. Invisible and control characters are already escaped.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
