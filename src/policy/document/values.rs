//! Values of a policy file: each type knows what it expects and says so once.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;

use super::{Field, nearest};
use crate::vocab::{AbsPath, Secret};

/// A type that a value of the file can be read as.
pub(in crate::policy) trait FromValue: Sized {
    /// Reads the value, or notes what is wrong with it.
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self>;
}

/// What a value is called in messages.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn mistaken<T>(value: &Spanned<DeValue<'_>>, field: &Field<'_>, expected: &str, example: &str) -> Option<T> {
    let message = format!("`{}` must be {expected}, not {}", field.path, kind(value.get_ref()));
    let only = if value.get_ref().is_array() { "one alone, without brackets: " } else { "" };
    field.notes.error(&value.span(), message, format!("{only}for example {example}"));
    None
}

/// What is wrong with a text, and what would be right, unless the example says it.
pub(super) struct Wrong {
    why: String,
    remedy: Option<String>,
}

impl Wrong {
    pub(super) fn new(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: Some(remedy.into()) }
    }
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(why: T) -> Self {
        Self { why: why.into(), remedy: None }
    }
}

/// Reads a string by a function whose error says what is wrong.
pub(super) fn text<T>(
    value: &Spanned<DeValue<'_>>,
    field: &Field<'_>,
    expected: &str,
    example: &str,
    read: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Option<T> {
    let Some(text) = value.get_ref().as_str() else { return mistaken(value, field, expected, example) };
    match read(text) {
        Ok(read) => Some(read),
        Err(Wrong { why, remedy }) => {
            let message = format!("`{}` must be {expected}: {why}", field.path);
            let remedy = remedy.unwrap_or_else(|| format!("for example {example}"));
            field.notes.error(&value.span(), message, remedy);
            None
        }
    }
}

impl FromValue for String {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "a string", "\"text\"", |text| {
            if text.contains('\0') { Err("it holds a NUL".into()) } else { Ok(text.to_owned()) }
        })
    }
}

impl FromValue for Secret {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "a string", "\"…\"", |text| Ok(Self::new(text)))
    }
}

impl FromValue for bool {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        value.get_ref().as_bool().or_else(|| mistaken(value, field, "a boolean", "true"))
    }
}

impl FromValue for u64 {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        let integer = value.get_ref().as_integer();
        match integer.map(|integer| Self::from_str_radix(integer.as_str(), integer.radix())) {
            Some(Ok(number)) if number > 0 => Some(number),
            Some(_) => {
                let message = format!("`{}` must be a whole number from 1", field.path);
                field.notes.error(&value.span(), message, "");
                None
            }
            None => mistaken(value, field, "a whole number", "64"),
        }
    }
}

impl<T: FromValue> FromValue for Vec<Spanned<T>> {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            return mistaken(value, field, "an array", "[…]");
        };
        let element = |(index, element): (usize, &Spanned<DeValue<'_>>)| {
            let field = Field { path: format!("{}[{index}]", field.path), notes: field.notes };
            T::from_value(element, &field).map(|read| Spanned::new(element.span(), read))
        };
        // What is wrong is noted; the rest is given all the same, so that its own mistakes are told too.
        Some(array.iter().enumerate().filter_map(element).collect())
    }
}

/// A list, or a single element in its place.
pub(in crate::policy) struct OneOrMany<T>(pub(in crate::policy) Vec<Spanned<T>>);

impl<T: FromValue> FromValue for OneOrMany<T> {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(_) => Vec::from_value(value, field).map(Self),
            _ => Some(Self(vec![Spanned::new(value.span(), T::from_value(value, field)?)])),
        }
    }
}

/// A number from 0.
pub(in crate::policy) struct WholeNumber(pub(in crate::policy) usize);

impl FromValue for WholeNumber {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        let integer = value.get_ref().as_integer();
        match integer.map(|integer| usize::from_str_radix(integer.as_str(), integer.radix())) {
            Some(Ok(number)) => Some(Self(number)),
            Some(Err(_)) => {
                let message = format!("`{}` must be a whole number from 0", field.path);
                field.notes.error(&value.span(), message, "");
                None
            }
            None => mistaken(value, field, "a whole number from 0", "1"),
        }
    }
}

/// A user's name, or number.
pub(in crate::policy) struct NameOrNumber(pub(in crate::policy) String);

impl FromValue for NameOrNumber {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(_) => {
                WholeNumber::from_value(value, field).map(|number| Self(number.0.to_string()))
            }
            DeValue::String(_) => String::from_value(value, field).map(Self),
            _ => mistaken(value, field, "a user's name or number", "\"kernos\""),
        }
    }
}

/// A SHA-256 digest in hexadecimal.
pub(in crate::policy) struct Digest256(pub(in crate::policy) [u8; 32]);

impl FromValue for Digest256 {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "a digest of 64 hexadecimal digits", "what `kernos key hash` prints", |text| {
            let wrong = || Wrong::from("it is the SHA-256 of a key, never the key itself");
            if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            let mut digest = [0; 32];
            for (index, byte) in digest.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| wrong())?;
            }
            if digest == Secret::new("").sha256() {
                return Err("it is that of nothing, which is no key".into());
            }
            Ok(Self(digest))
        })
    }
}

impl FromValue for Duration {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "a duration", "\"30s\"", |text| {
            let (number, unit) = amount(text)?;
            let millis = match unit {
                "ms" => 1,
                "s" => 1_000,
                "min" | "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err("its unit is one of ms, s, m or min, h".into()),
            };
            let millis = number.checked_mul(millis).ok_or("it is too long")?;
            if millis == 0 { Err("it is zero".into()) } else { Ok(Self::from_millis(millis)) }
        })
    }
}

/// A number of bytes: `"1MiB"`, or an integer.
#[derive(Clone, Copy)]
pub(in crate::policy) struct Amount(pub(in crate::policy) u64);

impl FromValue for Amount {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        if value.get_ref().is_integer() {
            return u64::from_value(value, field).map(Self);
        }
        text(value, field, "a size in bytes", "\"512MiB\"", |text| {
            let (number, unit) = amount(text)?;
            let bytes: u64 = match unit {
                "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                "TiB" => 1 << 40,
                "kB" => 1_000,
                "MB" => 1_000_000,
                "GB" => 1_000_000_000,
                _ => return Err("its unit is one of B, KiB, MiB, GiB, TiB, kB, MB, GB".into()),
            };
            let bytes = number.checked_mul(bytes).ok_or("it is too large")?;
            if bytes == 0 { Err("it is zero".into()) } else { Ok(Self(bytes)) }
        })
    }
}

fn amount(text: &str) -> Result<(u64, &str), Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = text[digits..].trim_start();
    if digits == 0 || !unit.chars().all(char::is_alphabetic) {
        return Err(format!("`{text}` is not a whole number and one unit").into());
    }
    let number = text[..digits].parse().map_err(|_| "it is too large")?;
    Ok((number, unit))
}

/// So many calls in so much time: `"60/min"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many calls.
    pub calls: u32,
    /// In which time.
    pub per: Duration,
}

impl FromValue for Rate {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "a rate", "\"60/min\"", |text| {
            let (calls, unit) = text.split_once('/').ok_or("it is a number, a slash and s, min, h or d")?;
            let calls = calls.trim().parse().map_err(|_| "it starts with a whole number")?;
            let seconds = match unit.trim() {
                "s" => 1,
                "m" | "min" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return Err("its unit is one of s, min, h, d".into()),
            };
            if calls == 0 {
                return Err("it allows nothing: leave the tool out of `tools` instead".into());
            }
            Ok(Self { calls, per: Duration::from_secs(seconds) })
        })
    }
}

impl FromValue for AbsPath {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "an absolute path", "\"/srv/work\"", |text| {
            Self::parse(text).map_err(|_| format!("`{}` does not start with `/`", text.escape_debug()).into())
        })
    }
}

/// A date or a time; a date without a time lasts to its end, in UTC.
impl FromValue for SystemTime {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        let example = "2027-06-30 or 2027-06-30T12:00:00Z";
        let Some(date) = value.get_ref().as_datetime() else {
            return mistaken(value, field, "a date", example);
        };
        let written = date.to_string();
        let moment: Option<Timestamp> = match (date.date, date.time, date.offset) {
            (Some(_), Some(_), Some(_)) => written.parse().ok(),
            // The end of the last days of the year 9999 is later than a timestamp can be.
            (Some(_), None, None) => written.parse::<Date>().ok().map(|date| {
                let end = date.at(23, 59, 59, 0).to_zoned(TimeZone::UTC);
                end.map_or(Timestamp::MAX, |end| end.timestamp())
            }),
            _ => None,
        };
        moment.map(SystemTime::from).or_else(|| {
            let message = format!("`{}` must be a date, or a time with its offset from UTC", field.path);
            field.notes.error(&value.span(), message, format!("for example {example}"));
            None
        })
    }
}

/// A word out of a fixed few.
pub(in crate::policy) trait Choice: Copy + 'static {
    /// The words and what they mean.
    const CHOICES: &'static [(&'static str, Self)];
}

impl<T: Choice> FromValue for T {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        let words = || T::CHOICES.iter().map(|(word, _)| *word);
        let expected = format!("one of {}", words().collect::<Vec<_>>().join(", "));
        let Some(text) = value.get_ref().as_str() else {
            return mistaken(value, field, &expected, &format!("\"{}\"", T::CHOICES[0].0));
        };
        let found = T::CHOICES.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let message = format!("`{}` must be {expected}, not `{text}`", field.path);
            // Words of a fixed few are often known by a longer or a shorter name: `warning`.
            let is_longer =
                |word: &&str| text.len() >= 3 && (text.starts_with(*word) || word.starts_with(text));
            let meant = nearest(text, words()).or_else(|| words().find(is_longer));
            let remedy = meant.map(|word| format!("did you mean `{word}`?"));
            field.notes.error(&value.span(), message, remedy.unwrap_or_default());
        }
        found
    }
}

/// What may be done beneath a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// `ro`: read.
    Read,
    /// `rw`: read and write; nothing in it is executed.
    Write,
    /// `rwx`: read, write, and run what is there.
    Execute,
}

impl Choice for Mode {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("ro", Self::Read), ("rw", Self::Write), ("rwx", Self::Execute)];
}

impl Mode {
    /// As the policy writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Read => "ro",
            Self::Write => "rw",
            Self::Execute => "rwx",
        }
    }
}

/// A file mode creation mask in octal: `"022"`.
#[derive(Clone, Copy)]
pub(in crate::policy) struct Octal(pub(in crate::policy) u32);

impl FromValue for Octal {
    fn from_value(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        text(value, field, "an octal mask", "\"022\"", |text| match u32::from_str_radix(text, 8) {
            Ok(mask) if mask <= 0o777 => Ok(Self(mask)),
            _ => Err(format!("`{text}` is not between 000 and 777").into()),
        })
    }
}
