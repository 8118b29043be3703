//! Shell words: scripts of our own with arguments that may be any bytes.

/// A word that a shell takes as it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Makes a command line that runs `script` by `sh` with these arguments, as `$1`, `$2` …; `before` stands before
/// `sh`. A command line is text, so arguments that are not are made by `printf`.
pub(super) fn script(before: &str, script: &str, arguments: &[&[u8]]) -> String {
    let mut prelude = String::new();
    let mut words = String::new();
    for (at, argument) in arguments.iter().enumerate() {
        match std::str::from_utf8(argument) {
            Ok(text) => words.push_str(&format!(" {}", quoted(text))),
            Err(_) => {
                let octal: String = argument.iter().map(|b| format!("\\{b:03o}")).collect();
                // A substitution loses line ends at the end of a text, so that something else stands there.
                prelude.push_str(&format!("a{at}=$(printf '{octal}x'); a{at}=${{a{at}%x}}; "));
                words.push_str(&format!(" \"$a{at}\""));
            }
        }
    }
    format!("{prelude}{before}sh -c {} sh{words}", quoted(script))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn any_bytes_arrive_as_they_are() {
        let arguments: [&[u8]; 6] = [b"a'; exit 7; '", b"\xff\n\n", b"-rf", b"$(reboot) `x` \\n", b"", b"\x80\\x'%s\xc3"];
        let line = script("", r#"for a; do printf '%s\0' "$a"; done"#, &arguments);
        let output = Command::new("sh").arg("-c").arg(line).env("LC_ALL", "C").output().unwrap();
        let back: Vec<&[u8]> = output.stdout.split(|b| *b == 0).collect();
        assert_eq!(back[..6], arguments);
        assert!(output.status.success());
    }
}
