//! A mistake in a policy file: the place, the line, a caret, what is wrong and what would be right.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::vocab::{escaped, is_unruly};

/// The text of a policy and the name to call it by.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path of the file, or what it is otherwise.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// Whether a policy with this diagnostic can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, and means less than one could believe.
    Warning,
}

/// One mistake or warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// The file that it is in.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub remedy: Option<String>,
    #[serde(skip)]
    excerpt: String,
    #[serde(skip)]
    width: usize,
}

impl Diagnostic {
    /// A diagnostic about the bytes `span` of `source`.
    pub fn new(severity: Severity, source: &Source, span: Range<usize>, message: String) -> Self {
        let excerpt = Excerpt::of(&source.text, &span);
        Self {
            severity,
            file: source.name.clone(),
            line: excerpt.line,
            column: excerpt.column,
            message,
            remedy: None,
            excerpt: excerpt.text,
            width: excerpt.width,
        }
    }

    /// The same, with what would be right.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        // It quotes the file, and the file may hold what a terminal would obey.
        let message = escaped(&self.message);
        writeln!(f, "{}:{}:{}: {severity}: {message}", self.file, self.line, self.column)?;
        let gutter = self.line.to_string().len();
        writeln!(f, " {} | {}", self.line, self.excerpt)?;
        writeln!(f, " {:gutter$} | {:indent$}{}", "", "", "^".repeat(self.width), indent = self.column - 1)?;
        match &self.remedy {
            Some(remedy) => writeln!(f, " {:gutter$} = {}", "", escaped(remedy)),
            None => Ok(()),
        }
    }
}

/// The line number, from 1, of a byte of a text.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// The line that is meant, and where in it.
struct Excerpt {
    line: usize,
    column: usize,
    text: String,
    width: usize,
}

impl Excerpt {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let offset =
            (0..=span.start.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        // A byte order mark has no column.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let offset = offset.max(first);
        let start = text[..offset].rfind('\n').map_or(first, |at| at + 1);
        let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
        let line = text[start..end].trim_end();
        let column = text[start..offset].chars().count();
        let marked = text.get(offset..span.end.clamp(offset, end)).unwrap_or_default();
        let shown = if is_inside_a_long_string(&text[..start]) { "…".to_owned() } else { shown(line) };
        // Tabs would shift the caret; a masked line is shorter than the one in the file.
        let excerpt = shown.replace('\t', " ");
        let column = column.min(excerpt.chars().count());
        let room = excerpt.chars().count().saturating_sub(column).max(1);
        Self {
            line: line_of(text, offset),
            column: column + 1,
            width: marked.trim_end().chars().count().clamp(1, room),
            text: excerpt,
        }
    }
}

/// The line as it may be printed: a line that can hold a secret shows its key only.
fn shown(line: &str) -> String {
    // Under `sha256` somebody may have written the key itself; variables are written in capitals.
    const SECRETS: [&str; 5] = ["api_key", "secret", "password", "token", "sha256"];
    let lower = line.to_ascii_lowercase();
    match SECRETS.iter().filter_map(|word| lower.find(word)).min() {
        Some(at) => {
            let end = line[at..].find('=').map_or(line.len(), |equals| at + equals + 1);
            if end < line.len() { format!("{} …", &line[..end]) } else { line[..at].to_owned() + "…" }
        }
        // What a terminal would obey stays a column, so that the caret stands where it should.
        None => line.chars().map(|c| if is_unruly(c) && c != '\t' { '\u{fffd}' } else { c }).collect(),
    }
}

/// Whether a multi-line string is still open at the end of `before`: what follows may be part of a secret.
fn is_inside_a_long_string(before: &str) -> bool {
    ["\"\"\"", "'''"].iter().any(|quotes| before.matches(quotes).count() % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, needle: &str) -> String {
        let source = Source { name: "kernos.toml".to_owned(), text: text.to_owned() };
        let start = text.find(needle).unwrap();
        Diagnostic::new(
            Severity::Error,
            &source,
            start..start + needle.len(),
            "unknown key `tmeout`".to_owned(),
        )
        .with_remedy("did you mean `timeout`?")
        .to_string()
    }

    #[test]
    fn a_diagnostic_shows_place_line_caret_and_remedy() {
        insta::assert_snapshot!(rendered("[limits]\ntmeout = \"30s\"\n", "tmeout"), @r#"
        kernos.toml:2:1: error: unknown key `tmeout`
         2 | tmeout = "30s"
           | ^^^^^^
           = did you mean `timeout`?
        "#);
    }

    #[test]
    fn a_secret_is_never_part_of_the_excerpt() {
        for text in [
            "api_secret = \"hunter2",
            "x = { api_key = \"hunter2\" }",
            "api_key=hunter2",
            "sha256 = \"hunter2\"",
            "set = { GITHUB_TOKEN = \"x\", N = \"hunter2\" }",
            "api_key = \"\"\"\nhunter2",
            "api_key = '''\n\nhunter2\n'''",
        ] {
            assert!(!rendered(text, "hunter2").contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_control_characters_do_not_move_the_caret() {
        let source = Source { name: "x".to_owned(), text: "\u{feff}a\u{1b} = 1\n".to_owned() };
        let message = "`\u{1b}[31m` is no name".to_owned();
        let shown = Diagnostic::new(Severity::Error, &source, 8..9, message).to_string();
        assert_eq!(shown, "x:1:6: error: `\\u001b[31m` is no name\n 1 | a\u{fffd} = 1\n   |      ^\n");
        let _ = Diagnostic::new(Severity::Error, &source, 0..0, String::new()).to_string();
    }

    #[test]
    fn what_turns_text_around_is_spelt_out_in_a_message_and_marked_in_an_excerpt() {
        let text = "allow = [\"rm\u{202e}\"]\n".to_owned();
        let source = Source { name: "x".to_owned(), text };
        let message = "`rm\u{202e}` is not there".to_owned();
        let shown = Diagnostic::new(Severity::Error, &source, 9..16, message).to_string();
        let message = "x:1:10: error: `rm\\u202e` is not there\n";
        assert_eq!(shown, format!("{message} 1 | allow = [\"rm\u{fffd}\"]\n   |          ^^^^^\n"));
    }

    #[test]
    fn a_place_inside_a_character_or_past_the_end_is_no_panic() {
        let source = Source { name: "x".to_owned(), text: "ä = 1".to_owned() };
        for span in [1..2, 0..100, 99..100, 6..6] {
            let _ = Diagnostic::new(Severity::Error, &source, span, String::new()).to_string();
        }
    }
}
