//! Values with a unit, as people write them: `8 MiB`, `50 %`, `12 months`, `30 s`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Says that a text is not a value of the wanted unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Not {what} (write it like `{example}`)")]
pub struct UnitError {
    what: &'static str,
    example: &'static str,
}

/// Splits `8 MiB` into its number and its unit.
fn parts(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty), $what:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub $inner);

        impl $name {
            const ERROR: UnitError = UnitError { what: $what, example: $example };
        }
        impl TryFrom<String> for $name {
            type Error = UnitError;
            fn try_from(text: String) -> Result<Self, UnitError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

unit!(
    /// A number of bytes, written with `B`, `KiB`, `MiB`, `GiB` or `TiB`.
    ByteSize(u64), "a size", "8 MiB"
);
unit!(
    /// A share in percent, 0 to 100.
    Percent(u8), "a share", "50 %"
);
unit!(
    /// A number of months.
    Months(u32), "a number of months", "12 months"
);
unit!(
    /// A time in seconds, written with `s`, `min` or `h`.
    Seconds(u64), "a time", "30 s"
);

const SIZES: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

impl FromStr for ByteSize {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = parts(text).ok_or(Self::ERROR)?;
        let shift = match unit {
            "" => 0,
            _ => SIZES.iter().find(|(name, _)| *name == unit).ok_or(Self::ERROR)?.1,
        };
        number.checked_mul(1 << shift).map(Self).ok_or(Self::ERROR)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = SIZES.into_iter().find(|(_, s)| self.0 != 0 && self.0.is_multiple_of(1 << s)).unwrap_or(("B", 0));
        write!(f, "{} {unit}", self.0 >> shift)
    }
}

impl FromStr for Percent {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match parts(text) {
            Some((number @ 0..=100, "%")) => Ok(Self(u8::try_from(number).map_err(|_| Self::ERROR)?)),
            _ => Err(Self::ERROR),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

impl FromStr for Months {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        match parts(text) {
            Some((number, "month" | "months")) => u32::try_from(number).map(Self).map_err(|_| Self::ERROR),
            _ => Err(Self::ERROR),
        }
    }
}

impl fmt::Display for Months {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "month" } else { "months" })
    }
}

impl FromStr for Seconds {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = parts(text).ok_or(Self::ERROR)?;
        let factor = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return Err(Self::ERROR),
        };
        number.checked_mul(factor).map(Self).ok_or(Self::ERROR)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n.is_multiple_of(3600) => write!(f, "{} h", n / 3600),
            n if n > 0 && n.is_multiple_of(60) => write!(f, "{} min", n / 60),
            n => write!(f, "{n} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_it_is_read() {
        for text in ["0 B", "8 MiB", "1023 KiB", "3 TiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert_eq!("8MiB".parse::<ByteSize>().unwrap().0, 8 << 20);
        assert_eq!("4096".parse::<ByteSize>().unwrap().to_string(), "4 KiB");
        assert_eq!("50%".parse::<Percent>().unwrap().to_string(), "50 %");
        assert_eq!("1 month".parse::<Months>().unwrap().to_string(), "1 month");
        assert_eq!("90 s".parse::<Seconds>().unwrap().to_string(), "90 s");
        assert_eq!("2 h".parse::<Seconds>().unwrap().0, 7200);
    }

    #[test]
    fn what_has_no_sense_is_refused() {
        for text in ["", "MiB", "8 MB", "-1 B", "99999999999999 TiB", "1e3 B"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["101 %", "50", "%", "0.5 %"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
        assert!("12".parse::<Months>().is_err());
        assert!("5 days".parse::<Seconds>().is_err());
    }
}
