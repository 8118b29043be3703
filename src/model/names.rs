//! Names of devices, releases, generations, collectors and tickets.

use super::text_type;

/// Says why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("A {what} is empty")]
    Empty {
        /// Which kind of name was asked for.
        what: &'static str,
    },
    /// The text is longer than the limit, in bytes.
    #[error("A {what} is longer than {limit} bytes")]
    TooLong {
        /// Which kind of name was asked for.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The text holds a character that the kind of name does not allow, or stands in a wrong place.
    #[error("Not a {what} ({rule}): {text}")]
    Refused {
        /// Which kind of name was asked for.
        what: &'static str,
        /// The rule that was broken.
        rule: &'static str,
        /// The text, with control characters escaped.
        text: String,
    },
}

const DEVICE_RULE: &str = "letters, digits, `.`, `-`, `_`, beginning with a letter or digit, no `..`, no ending `.` or `.lock`";
const NAME_RULE: &str = "letters, digits, `.`, `-`, `_`, beginning with a letter, not `now`, `pre` or `post`";

fn refused(what: &'static str, rule: &'static str, text: &str) -> NameError {
    let text: String = text.chars().take(120).flat_map(char::escape_default).collect();
    NameError::Refused { what, rule, text }
}

/// Checks what every name that becomes a ref component must hold.
fn check_component(what: &'static str, rule: &'static str, text: &str, limit: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { what, limit });
    }
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    let edges = text.as_bytes()[0].is_ascii_alphanumeric() && !text.ends_with('.');
    if !plain || !edges || text.contains("..") || text.to_ascii_lowercase().ends_with(".lock") || reserved(text) {
        return Err(refused(what, rule, text));
    }
    Ok(())
}

/// Names that Windows gives to hardware; a set restored there would open a port in place of a file.
fn reserved(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or(text).to_ascii_uppercase();
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT")) && stem.as_bytes()[3].is_ascii_digit())
}

text_type!(
    /// Names a device: at most 100 bytes, safe as a ref component, a folder and an argument.
    DeviceName: NameError,
    |text| check_component("device name", DEVICE_RULE, text, 100)
);
text_type!(
    /// Names a collector; the same rule as [`DeviceName`].
    CollectorName: NameError,
    |text| check_component("collector name", DEVICE_RULE, text, 100)
);
text_type!(
    /// Names a mirror in the inventory; the same rule as [`DeviceName`].
    MirrorName: NameError,
    |text| check_component("mirror name", DEVICE_RULE, text, 100)
);
text_type!(
    /// Names a generation, such as `golden`; begins with a letter, so that it is never a number or a date.
    NameTag: NameError,
    |text| {
        check_component("name", NAME_RULE, text, 100)?;
        let first = text.as_bytes()[0].is_ascii_alphabetic();
        if !first || matches!(text, "now" | "pre" | "post") {
            return Err(refused("name", NAME_RULE, text));
        }
        Ok(())
    }
);
text_type!(
    /// Names a change ticket; the same rule as [`DeviceName`] with a leading `#` left to the user to drop.
    Ticket: NameError,
    |text| check_component("ticket", DEVICE_RULE, text, 100)
);
text_type!(
    /// A device's software version, as the device gives it: printable text of at most 120 bytes,
    /// without leading or trailing blanks. [`Release::to_ref`] makes it a ref component.
    Release: NameError,
    |text| {
        if text.is_empty() {
            return Err(NameError::Empty { what: "release" });
        }
        if text.len() > 120 {
            return Err(NameError::TooLong { what: "release", limit: 120 });
        }
        if text.trim() != text || text.chars().any(char::is_control) || text.contains('@') {
            return Err(refused("release", "printable, no `@`, no blanks around it", text));
        }
        Ok(())
    }
);

impl Release {
    /// Gives the ref component of this release ("Refs" in `docs/format.md`): bytes that a ref
    /// cannot hold, and `%` itself, are percent-encoded, so that the way back is exact.
    #[must_use]
    pub fn to_ref(&self) -> String {
        let bytes = self.0.as_bytes();
        let lock = self.0.to_ascii_lowercase().ends_with(".lock");
        let mut out = String::with_capacity(bytes.len());
        for (i, &b) in bytes.iter().enumerate() {
            let last = i + 1 == bytes.len();
            let dot = b == b'.' && (i == 0 || last || bytes[i - 1] == b'.' || (lock && i + 5 == bytes.len()));
            let free = b.is_ascii_alphanumeric() || b"-_.+(),;=!#$&'".contains(&b);
            if free && !dot && !(b == b'-' && i == 0) {
                out.push(char::from(b));
            } else {
                out.push_str(&format!("%{b:02X}"));
            }
        }
        out
    }

    /// Reads the ref component that [`Release::to_ref`] wrote, and no other: one release has one ref.
    ///
    /// # Errors
    /// [`NameError`] if the component does not decode to a release.
    pub fn from_ref(component: &str) -> Result<Self, NameError> {
        let bad = || refused("release", "a percent-encoded ref component", component);
        let bytes = component.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut i = 0;
        while i < bytes.len() {
            if bytes[i] == b'%' {
                let hex = component.get(i + 1..i + 3).ok_or_else(bad)?;
                out.push(u8::from_str_radix(hex, 16).map_err(|_| bad())?);
                i += 3;
            } else {
                out.push(bytes[i]);
                i += 1;
            }
        }
        let release: Self = String::from_utf8(out).map_err(|_| bad())?.parse()?;
        if release.to_ref() == component { Ok(release) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_device_names_are_refused() {
        let long = "x".repeat(300);
        let bad = [
            "../x",
            "/etc/x",
            ".git",
            "a/../b",
            "-oProxyCommand=x",
            "CON",
            "nul.cfg",
            "a\0b",
            "a\nb",
            "",
            "_x",
            "a..b",
            "a.",
            "a.lock",
            "ä",
            &long,
        ];
        for text in bad {
            assert!(text.parse::<DeviceName>().is_err(), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<DeviceName>(&json).is_err(), "serde let {text:?} through");
        }
        for text in ["gw-0042", "pbx.berlin", "r00042", "0a"] {
            assert!(text.parse::<DeviceName>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_name_is_never_a_number_or_a_word_of_a_point() {
        for text in ["42", "2026-01-01", "now", "pre", "post", "~1"] {
            assert!(text.parse::<NameTag>().is_err(), "{text}");
        }
        assert!("before-upgrade".parse::<NameTag>().is_ok());
    }

    #[test]
    fn a_release_survives_the_way_into_a_ref_and_back() {
        for text in ["15.7(3)M6", "16.9.5", "7.20A.258 (b) / x", "a..b", ".a.", "x.lock", "100%", "-v", "a:b~c^d?e*f[g\\h", "Ünï"]
        {
            let release: Release = text.parse().unwrap();
            let component = release.to_ref();
            assert!(component.is_ascii() && !component.contains(['/', ' ', ':', '~', '^', '?', '*', '[', '\\']));
            assert!(!component.contains("..") && !component.starts_with('.') && !component.ends_with(".lock"));
            assert_eq!(Release::from_ref(&component).unwrap(), release);
        }
    }
}
