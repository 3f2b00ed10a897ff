//! Spellings of sizes, durations and secrets in configuration.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes: a plain number, or one with a unit (`B`, `KB`/`KiB`, … `TB`/`TiB`).
/// Every unit is a power of 1024, as in the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u32); 5] = [("B", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim().to_ascii_uppercase();
        let stem = unit.strip_suffix("IB").or_else(|| unit.strip_suffix('B')).unwrap_or(&unit);
        let shift = UNITS.iter().find(|(name, _)| *name == stem || (stem.is_empty() && *name == "B"));
        let wrong = || format!("`{text}` is not a size; write a number and B, KB, MB, GB or TB");
        let (_, shift) = shift.ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_shl(*shift).filter(|n| n >> shift == number).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().rev().find(|(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        match unit {
            Some((name, shift)) if *shift > 0 => write!(f, "{}{name}iB", self.0 >> shift),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// Accepts text as well as whole numbers: environment values arrive as either.
struct Text;

impl de::Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a whole number")
    }

    fn visit_str<E: de::Error>(self, v: &str) -> Result<String, E> {
        Ok(v.to_owned())
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<String, E> {
        Ok(v.to_string())
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<String, E> {
        Ok(v.to_string())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Text)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Durations as `250ms`, `30s`, `15m`, `48h`, `30d`; a plain number means seconds.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserializer, Serializer, de};

    /// Parses a duration; see the module.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let wrong = || format!("`{text}` is not a duration; write a number and ms, s, m, h or d");
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let millis = match text[digits..].trim() {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
    }

    /// As [`parse`], for ages on the command line: a number alone is refused, as others count days by it; 0 is 0.
    pub fn parse_age(text: &str) -> Result<Duration, String> {
        match text.trim() {
            number
                if number.bytes().all(|byte| byte.is_ascii_digit()) && number.bytes().any(|b| b != b'0') =>
            {
                Err(format!(
                    "`{number}` has no unit; write s, m, h or d behind the number, such as {number}d"
                ))
            }
            text => parse(text),
        }
    }

    /// For `#[serde(with)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        parse(&d.deserialize_any(super::Text)?).map_err(de::Error::custom)
    }

    /// For `#[serde(with)]`.
    pub fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        let millis = value.as_millis();
        match millis {
            n if n == 0 || n % 1_000 != 0 => s.collect_str(&format_args!("{n}ms")),
            n if n % 86_400_000 == 0 => s.collect_str(&format_args!("{}d", n / 86_400_000)),
            n if n % 3_600_000 == 0 => s.collect_str(&format_args!("{}h", n / 3_600_000)),
            n if n % 60_000 == 0 => s.collect_str(&format_args!("{}m", n / 60_000)),
            n => s.collect_str(&format_args!("{}s", n / 1_000)),
        }
    }
}

/// Secrets: read as text (a password of digits stays text), printed as `[redacted]`.
pub mod secret {
    use secrecy::SecretString;
    use serde::{Deserializer, Serializer};

    /// For `#[serde(with)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SecretString>, D::Error> {
        d.deserialize_any(super::Text).map(|text| Some(SecretString::from(text)))
    }

    /// For `#[serde(with)]`.
    pub fn serialize<S: Serializer>(_: &Option<SecretString>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("[redacted]")
    }
}
