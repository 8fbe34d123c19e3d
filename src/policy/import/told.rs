//! What the person is told: mistakes of the file, and remarks on what became of it. Never a value of the file's.

use std::fmt;

/// Where something stands in the file of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The first character of a file.
    pub(super) const FIRST: Self = Self { line: 1, column: 1 };

    /// The position behind a text that begins here.
    pub(super) fn behind(self, text: &str) -> Self {
        match text.rsplit_once('\n') {
            None => Self { column: self.column + text.chars().count(), ..self },
            Some((lines, last)) => {
                Self { line: self.line + lines.matches('\n').count() + 1, column: last.chars().count() + 1 }
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A line that is no assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Position,
    /// What is wrong, and what would be right.
    pub text: &'static str,
}

/// Something that means less, more or something else in the policy than it did in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The setting that it is about; none for one that the file has not.
    pub place: Option<Position>,
    /// What became of it.
    pub text: String,
}
