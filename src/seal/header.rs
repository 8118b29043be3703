//! The header of an age file, looked at before the age crate reads it.
//!
//! The body of each stanza ends in a line of less than 64 characters, be it an empty one. The crate also takes
//! what early versions of age wrote, where it could be missing; the format does not.

use std::io::{self, BufRead, Chain, Cursor, Read};

/// Longest header that is looked at, in bytes: more recipients than a store can have.
const LONGEST: u64 = 4 << 20;
/// Characters of a full line of a body.
const COLUMNS: usize = 64;

/// The bytes of a file, its header first.
pub(super) type Strict<R> = Chain<Cursor<Vec<u8>>, R>;

/// Refuses a header with a stanza that has no end; gives the same bytes back. What else may be wrong with a
/// header is the crate's to say.
///
/// # Errors
/// `InvalidData`, or reading failed.
pub(super) fn strict<R: BufRead>(mut input: R) -> io::Result<Strict<R>> {
    let mut head = Vec::new();
    let mut open = false;
    let mut from = 0;
    loop {
        (&mut input).take(LONGEST.saturating_sub(from as u64)).read_until(b'\n', &mut head)?;
        let line = &head[from..];
        let Some(line) = line.strip_suffix(b"\n") else { break };
        if line.starts_with(b"-> ") || line.starts_with(b"---") {
            if open {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "A stanza of an age header has no end"));
            }
            open = true;
            if line.starts_with(b"---") {
                break;
            }
        } else if from > 0 && line.len() < COLUMNS {
            open = false;
        }
        from = head.len();
    }
    Ok(Cursor::new(head).chain(input))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        strict(text)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn a_stanza_has_an_end_and_bytes_come_back() {
        let full = "x".repeat(COLUMNS);
        for good in [
            "",
            "age-encryption.org/v1\n-> X25519 abc\nshort\n--- mac\n\n-> not a stanza any more\n--- x",
            &format!("age-encryption.org/v1\n-> a\n{full}\n\n-> b\nx\n--- mac\nbody"),
            "age-encryption.org/v1\n-> a\ncut off",
            "no age at all",
        ] {
            assert_eq!(all(good.as_bytes()).unwrap(), good.as_bytes(), "{good}");
        }
        for bad in [
            "age-encryption.org/v1\n-> a\n--- mac\n",
            "age-encryption.org/v1\n-> a\n-> b\nx\n--- mac\n",
            &format!("age-encryption.org/v1\n-> a\n{full}\n--- mac\n"),
        ] {
            assert!(all(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
