//! What flags and operands a rule lists, as types.

use std::fmt;

/// Flags and operands of a program or a subcommand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct Shape {
    /// The flags that are allowed; `None`: any.
    pub(in crate::policy) flags: Option<Vec<Flag>>,
    /// What an operand must be; `None`: anything.
    pub(in crate::policy) operands: Option<Kind>,
}

/// A flag: `-n`, `--lines=int`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Flag {
    /// With its dashes, without its value.
    pub(in crate::policy) name: String,
    /// What its value must be; `None`: it has none.
    pub(in crate::policy) value: Option<Kind>,
}

/// What an operand or a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Kind {
    /// `path`: beneath a root of the profile.
    Path,
    /// `path:rw`: beneath a root that the profile may write to.
    WritablePath,
    /// `int`: a decimal integer, with or without a sign.
    Integer,
    /// `text`: anything.
    Text,
    /// `secret`: anything, and nobody but the program sees it.
    Secret,
    /// `a|b`: one of these words.
    OneOf(Vec<String>),
}

impl Shape {
    /// What its operands and the values of its flags must be.
    pub(in crate::policy) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        let of_flags = self.flags.iter().flatten().filter_map(|flag| flag.value.as_ref());
        of_flags.chain(&self.operands)
    }
}

impl Flag {
    /// Reads a flag as a rule lists it.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, kind)) => (name, Some(Kind::parse(kind)?)),
            None => (text, None),
        };
        let bare = name.trim_start_matches('-');
        match name.len() - bare.len() {
            1 | 2 if !bare.is_empty() && !bare.contains(char::is_whitespace) => {
                Ok(Self { name: name.to_owned(), value })
            }
            _ => Err(format!(
                "`{text}` is not a flag: write `-x`, `--long`, or one of them with `=` and a kind of value"
            )),
        }
    }
}

impl Kind {
    /// Whether the roots of a profile decide what it allows.
    pub(in crate::policy) fn is_of_paths(&self) -> bool {
        matches!(self, Self::Path | Self::WritablePath)
    }

    /// The first of its words that is the name of a kind. `text` beside other words could be nothing but a word.
    pub(in crate::policy) fn ambiguous(&self) -> Option<&str> {
        let Self::OneOf(words) = self else { return None };
        words.iter().map(String::as_str).find(|word| *word != "text" && is_kind(word))
    }

    /// Reads a kind as a rule writes it.
    pub(in crate::policy) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "path" => Ok(Self::Path),
            "path:rw" => Ok(Self::WritablePath),
            "int" => Ok(Self::Integer),
            "text" => Ok(Self::Text),
            "secret" => Ok(Self::Secret),
            _ if text.contains('|') && text.split('|').all(is_kind) => {
                Err(format!("`{text}` joins kinds of values, and `|` joins words: write one kind"))
            }
            _ if text.contains('|') && text.split('|').all(|word| !word.is_empty()) => {
                Ok(Self::OneOf(text.split('|').map(str::to_owned).collect()))
            }
            _ => Err(format!(
                "`{text}` is no kind of value: write path, path:rw, int, text, secret, or words joined by `|`"
            )),
        }
    }
}

fn is_kind(word: &str) -> bool {
    !word.contains('|') && Kind::parse(word).is_ok()
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(kind) => write!(f, "{}={kind}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("path"),
            Self::WritablePath => f.write_str("path:rw"),
            Self::Integer => f.write_str("int"),
            Self::Text => f.write_str("text"),
            Self::Secret => f.write_str("secret"),
            Self::OneOf(words) => f.write_str(&words.join("|")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_read_and_printed() {
        for text in ["-n", "--lines=int", "-C=path", "-delete", "--color=auto|never", "-p=secret"] {
            assert_eq!(Flag::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "-", "--", "n", "---x", "--x=", "--x=word", "-a b"] {
            assert!(Flag::parse(text).is_err(), "{text}");
        }
    }
}
