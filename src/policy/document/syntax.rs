//! The syntax of a file: what is no TOML is told in words that need no grammar.
//!
//! Not a parser: of an error of the parser it looks at the line only, and where that says nothing the parser's own words
//! stay.

use toml::Spanned;
use toml::de::DeTable;

use super::{Notes, Span};

/// Parses a text; syntax errors are noted, and what could be read is given all the same.
pub(in crate::policy) fn parse<'d>(text: &'d str, notes: &Notes<'_>) -> Spanned<DeTable<'d>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let is_open = |error: &toml::de::Error| error.message().starts_with("unclosed");
    // Behind a bracket that was left open everything is a mistake: the first says where, this one says why.
    let told = if errors.iter().any(is_open) { 1 } else { errors.len() };
    let (open, others): (Vec<_>, Vec<_>) = errors.iter().partition(|error| is_open(error));
    let mut reader = Reader { text, lines: text.split('\n').collect(), repeated: None };
    for error in others.into_iter().take(told).chain(open) {
        let span = error.span().unwrap_or(0..0);
        match reader.read(error.message(), &span) {
            Some(Told::Anew { span, message, remedy }) => notes.error(&span, message, remedy),
            Some(Told::Before) => {}
            None => notes.error(&span, error.message(), ""),
        }
    }
    table
}

/// What an error is in other words.
enum Told {
    Anew {
        span: Span,
        message: String,
        remedy: &'static str,
    },
    /// It follows from one that was told.
    Before,
}

/// What the parser says of a value that is none.
const NO_VALUE: [&str; 5] = [
    "string values must be quoted",
    "invalid float",
    "invalid integer",
    "invalid boolean",
    "invalid datetime",
];

struct Reader<'d> {
    text: &'d str,
    lines: Vec<&'d str>,
    /// The line of the last header that is there twice: each key below it is told as a mistake too.
    repeated: Option<usize>,
}

impl<'d> Reader<'d> {
    fn read(&mut self, message: &str, span: &Span) -> Option<Told> {
        let at = self.text.get(..span.start)?.matches('\n').count();
        if message == "duplicate key" {
            return Some(self.duplicate(at, span));
        }
        NO_VALUE.iter().any(|start| message.starts_with(start)).then(|| self.no_value(at))?
    }

    fn line(&self, at: usize) -> &'d str {
        self.lines.get(at).copied().unwrap_or_default()
    }

    fn duplicate(&mut self, at: usize, span: &Span) -> Told {
        let header = (0..=at).rev().find(|&line| name_of_table(self.line(line)).is_some());
        if header == Some(at) {
            self.repeated = Some(at);
        } else if header.is_some() && self.repeated == header {
            return Told::Before;
        }
        let first = |from: usize, name_of: fn(&str) -> Option<&str>, name: &str| {
            (from..at).find(|line| name_of(self.line(*line)) == Some(name))
        };
        let (what, first) = if let Some(name) = name_of_table(self.line(at)) {
            (format!("[{name}]"), first(0, name_of_table, name))
        } else {
            let key = &self.text[span.clone()];
            (format!("`{key}`"), first(header.map_or(0, |line| line + 1), name_of_key, key))
        };
        let first = first.map(|line| format!(", first on line {}", line + 1));
        Told::Anew {
            span: span.clone(),
            message: format!("{what} is there twice{}", first.unwrap_or_default()),
            remedy: "put both into one, or give one of them another name",
        }
    }

    fn no_value(&self, at: usize) -> Option<Told> {
        let line = self.line(at);
        let start: usize = self.lines.iter().take(at).map(|line| line.len() + 1).sum();
        let begin = line.find('=')? + 1;
        let value = line[begin..].split('#').next().unwrap_or_default();
        let begin = start + begin + (value.len() - value.trim_start().len());
        let (message, remedy) = match value.trim() {
            "" => ("there is no value", "write one, or take the key out"),
            value if value.starts_with(['[', '{', '"', '\'']) => return None,
            // The value itself may be a secret.
            _ => ("this is neither a number, a date, nor true or false", "text stands in quotes: \"…\""),
        };
        Some(Told::Anew { span: begin..begin + value.trim().len(), message: message.to_owned(), remedy })
    }
}

/// The name in the header of a table.
fn name_of_table(line: &str) -> Option<&str> {
    let name = line.trim().strip_prefix('[')?.trim_start_matches('[');
    Some(name.split_once(']')?.0.trim())
}

fn name_of_key(line: &str) -> Option<&str> {
    Some(line.split_once('=')?.0.trim())
}
