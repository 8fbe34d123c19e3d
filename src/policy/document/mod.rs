//! A TOML text as tables that are read key by key, every mistake being noted and none ending the reading.
//!
//! Not serde: it stops at the first mistake, and a policy's author wants to see all of them.

mod addresses;
mod syntax;
mod values;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Severity, Source};

pub(super) use addresses::{HostName, WebOrigin};
pub(super) use syntax::parse;
pub(super) use values::{Amount, Choice, Digest256, FromValue, NameOrNumber, Octal, OneOrMany, WholeNumber};
pub use values::{Mode, Rate};

/// The bytes that something stands at.
pub(super) type Span = Range<usize>;

/// Collects what is wrong with one source, and which keys the reader asked for.
pub(super) struct Notes<'s> {
    source: &'s Source,
    noted: RefCell<Vec<(Span, Diagnostic)>>,
    keys: RefCell<BTreeSet<String>>,
}

impl<'s> Notes<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { source, noted: RefCell::default(), keys: RefCell::default() }
    }

    pub(super) fn error(&self, span: &Span, message: impl Into<String>, remedy: impl Into<String>) {
        self.note(Severity::Error, span, message.into(), remedy.into());
    }

    pub(super) fn warning(&self, span: &Span, message: impl Into<String>, remedy: impl Into<String>) {
        self.note(Severity::Warning, span, message.into(), remedy.into());
    }

    fn note(&self, severity: Severity, span: &Span, message: String, remedy: String) {
        let mut diagnostic = Diagnostic::new(severity, self.source, span.clone(), message);
        diagnostic.remedy = (!remedy.is_empty()).then_some(remedy);
        self.noted.borrow_mut().push((span.clone(), diagnostic));
    }

    /// The line that a span starts on, from 1.
    pub(super) fn line(&self, span: &Span) -> usize {
        super::diagnostic::line_of(&self.source.text, span.start)
    }

    /// How many mistakes were noted that keep the policy from being used.
    pub(super) fn errors(&self) -> usize {
        let noted = self.noted.borrow();
        noted.iter().filter(|(_, diagnostic)| diagnostic.severity == Severity::Error).count()
    }

    /// Everything that was noted, in the order of the file; and each key that was asked for.
    pub(super) fn finish(self) -> (Vec<Diagnostic>, BTreeSet<String>) {
        let mut noted = self.noted.into_inner();
        noted.sort_by_key(|(span, _)| span.start);
        (noted.into_iter().map(|(_, diagnostic)| diagnostic).collect(), self.keys.into_inner())
    }
}

/// One table while it is read.
#[derive(Clone)]
pub(super) struct Table<'d, 'n> {
    entries: &'d DeTable<'d>,
    /// Where its name stands.
    pub(super) span: Span,
    /// What it is called in messages: `limits`, `profile.dev`.
    pub(super) path: String,
    /// The same with `NAME` for names that the author chose: the key under which it is documented.
    pattern: String,
    pub(super) notes: &'n Notes<'n>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d, 'n> Table<'d, 'n> {
    pub(super) fn root(entries: &'d Spanned<DeTable<'d>>, notes: &'n Notes<'n>) -> Self {
        Self {
            entries: entries.get_ref(),
            span: 0..0,
            path: String::new(),
            pattern: String::new(),
            notes,
            asked: RefCell::default(),
        }
    }

    /// A table that is the value of a key: `{ credential = "…" }`.
    pub(super) fn inline(entries: &'d DeTable<'d>, span: Span, field: &Field<'n>) -> Self {
        let (path, pattern) = (field.path.clone(), field.path.clone());
        Self { entries, span, path, pattern, notes: field.notes, asked: RefCell::default() }
    }

    /// The value of a key; `None` if it is not there or wrong, which is noted.
    pub(super) fn take<T: FromValue>(&self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.value(key)?;
        let field = Field { path: joined(&self.path, key), notes: self.notes };
        T::from_value(value, &field).map(|read| Spanned::new(value.span(), read))
    }

    /// The same without its place.
    pub(super) fn read<T: FromValue>(&self, key: &'static str) -> Option<T> {
        self.take(key).map(Spanned::into_inner)
    }

    /// A table below this one.
    pub(super) fn table(&self, key: &'static str) -> Option<Table<'d, 'n>> {
        self.value(key)?;
        let (name, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        self.nested(key, key, name.span(), value)
    }

    /// Tables below this one whose names the author chose, in the order of the file: `[root.NAME]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<(Spanned<String>, Table<'d, 'n>)> {
        let Some(table) = self.table(key) else { return Vec::new() };
        let named = |(name, value): (&'d Spanned<toml::de::DeString<'d>>, &'d Spanned<DeValue<'d>>)| {
            if !is_name(name.get_ref()) {
                let message = format!("`{}` cannot be a name", name.get_ref().escape_debug());
                self.notes.error(&name.span(), message, "names are letters, digits, `_`, `-`, `+` and `.`");
                return None;
            }
            let nested = table.nested(name.get_ref(), "NAME", name.span(), value)?;
            Some((Spanned::new(name.span(), name.get_ref().to_string()), nested))
        };
        table.entries.iter().filter_map(named).collect()
    }

    /// Every entry of a table whose keys the author chose: `set = { PATH = "…" }`.
    pub(super) fn entries<T: FromValue>(&self, key: &'static str) -> Option<Vec<(Spanned<String>, T)>> {
        let table = self.table(key)?;
        let entry = |(name, value): (&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let field = Field { path: joined(&table.path, name.get_ref()), notes: self.notes };
            let read = T::from_value(value, &field)?;
            Some((Spanned::new(name.span(), name.get_ref().to_string()), read))
        };
        Some(table.entries.iter().filter_map(entry).collect())
    }

    /// Whether a key is there, whatever its value.
    pub(super) fn place(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.span())
    }

    /// Where the value of a key stands that is written as an empty list or table.
    pub(super) fn empty(&self, key: &str) -> Option<Span> {
        let value = self.entries.get(key)?;
        let is_empty = match value.get_ref() {
            DeValue::Array(array) => array.is_empty(),
            DeValue::Table(table) => table.is_empty(),
            _ => false,
        };
        is_empty.then(|| value.span())
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (name, _) in self.entries.iter().filter(|(name, _)| !asked.contains(&name.get_ref().as_ref())) {
            let within = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
            let message = format!("unknown key `{}`{within}", name.get_ref());
            self.notes.error(&name.span(), message, suggestion(name.get_ref(), asked.iter().copied()));
        }
    }

    fn value(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked.borrow_mut().push(key);
        self.notes.keys.borrow_mut().insert(joined(&self.pattern, key));
        self.entries.get(key)
    }

    fn nested(
        &self,
        name: &str,
        pattern: &str,
        span: Span,
        value: &'d Spanned<DeValue<'d>>,
    ) -> Option<Table<'d, 'n>> {
        let path = joined(&self.path, name);
        let DeValue::Table(entries) = value.get_ref() else {
            let message = format!("`{path}` must be a table, not {}", values::kind(value.get_ref()));
            self.notes.error(&value.span(), message, format!("write it as [{path}], or as {name} = {{ … }}"));
            return None;
        };
        let pattern = joined(&self.pattern, pattern);
        Some(Table { entries, span, path, pattern, notes: self.notes, asked: RefCell::default() })
    }
}

/// What a value is called in messages, and where mistakes in it are noted.
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) notes: &'n Notes<'n>,
}

/// "did you mean …?" for the nearest of the known words, or all of them.
pub(super) fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.collect();
    match nearest(word, known.iter().copied()) {
        Some(one) => format!("did you mean `{one}`?"),
        None if known.is_empty() => String::new(),
        None => {
            known.sort_unstable();
            known.dedup();
            format!("known here: {}", known.join(", "))
        }
    }
}

/// The known word that this one may be a slip of the pen for.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let measured = known.map(|one| (strsim::osa_distance(word, one), one));
    measured.filter(|(distance, one)| is_slip(word, one, *distance)).min().map(|(_, one)| one)
}

/// One letter in four may be wrong. Where a word is so short that this is none, or another letter makes another word
/// (`sed`, `seq`; `true`, `tree`): two that are swapped, or one that is missing or too many.
fn is_slip(word: &str, one: &str, distance: usize) -> bool {
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    let (own, others) = (letters(word), letters(one));
    let (shorter, longer) = (own.len().min(others.len()), own.len().max(others.len()));
    let is_swap = distance == 1 && own == others;
    let lacks_one = distance == 1 && shorter >= 3 && shorter < longer;
    is_swap || lacks_one || (others.len() >= 5 && distance <= longer / 4)
}

/// Names stand in logs, in metrics and in messages.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-+.".contains(c))
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_known_and_another_word_is_none() {
        let known =
            ["ls", "cat", "sed", "tree", "git", "grep", "make", "python3", "shell_execute", "timeout"];
        let nearest = |word: &str| nearest(word, known.into_iter());
        for (slip, meant) in [
            ("sl", "ls"),
            ("gti", "git"),
            ("grp", "grep"),
            ("mkae", "make"),
            ("python", "python3"),
            ("shell_exec", "shell_execute"),
            ("tmeout", "timeout"),
        ] {
            assert_eq!(nearest(slip), Some(meant), "{slip}");
        }
        for other in ["seq", "true", "sudo", "su", "l", "", "tac", "time", "echo", "bash"] {
            assert_eq!(nearest(other), None, "{other}");
        }
    }
}
