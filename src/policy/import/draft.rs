//! The policy while it is written: lines, the comments beside them, and what the person is told of them.

use std::collections::BTreeSet;
use std::iter::once;

use super::settings::Setting;
use super::told::{Position, Remark};
use crate::vocab::escaped;

/// A comment's longest line, as in the policies that are built in.
const WIDTH: usize = 100;

/// A table's name has 64 characters at most; this leaves room for a number.
const NAME_MAX: usize = 56;

/// A policy's text, and the remarks on it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    text: String,
    remarks: Vec<Remark>,
}

impl Draft {
    /// Begins a part of its own, which is a table if it has a header.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.text += line.as_ref();
        self.text.push('\n');
    }

    /// A comment that explains.
    pub(super) fn comment(&mut self, text: impl AsRef<str>) {
        self.text += &wrapped(text.as_ref());
    }

    /// A comment on a setting that is not what it was, for the person too.
    pub(super) fn tell(&mut self, setting: &Setting, text: impl AsRef<str>) {
        self.remark(Some(setting.place), text.as_ref());
    }

    /// The same for a setting that is not there.
    pub(super) fn tell_of_none(&mut self, text: impl AsRef<str>) {
        self.remark(None, text.as_ref());
    }

    /// The text, and the remarks in the order of the file.
    pub(super) fn finish(mut self) -> (String, Vec<Remark>) {
        self.remarks.sort_by_key(|remark| (remark.place.is_none(), remark.place));
        (self.text, self.remarks)
    }

    fn remark(&mut self, place: Option<Position>, text: &str) {
        let text = escaped(text);
        self.comment(&text);
        self.remarks.push(Remark { place, text });
    }
}

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    // What JSON writes for such a character, TOML reads.
    format!("\"{}\"", escaped(&text.replace('\\', r"\\").replace('"', r#"\""#)))
}

/// A list of strings of TOML.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(quoted).collect();
    format!("[{}]", quoted.join(", "))
}

/// A key of TOML, bare where it can be.
pub(super) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// The name of a table for something of this name, unlike any that was taken before, and takes it.
pub(super) fn table_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let letters = name.chars().take(NAME_MAX).map(|c| if is_plain(c) { c } else { '-' });
    let plain: String = letters.collect();
    let plain = match plain.trim_matches('-') {
        _ if plain == name => name,
        "" => "other",
        trimmed => trimmed,
    };
    let mut names = once(plain.to_owned()).chain((2..).map(|number| format!("{plain}-{number}")));
    names.find(|name| taken.insert(name.clone())).expect("there is no end of numbers")
}

/// A character that the names of tables may have.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+.".contains(c)
}

/// Names as a sentence holds them.
pub(super) fn named<'t>(names: impl IntoIterator<Item = &'t str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn wrapped(text: &str) -> String {
    let mut lines = String::from("#");
    let mut width = 1;
    for word in escaped(text).split_whitespace() {
        if width > 1 && width + 1 + word.chars().count() > WIDTH {
            lines += "\n#";
            width = 1;
        }
        lines.push(' ');
        lines += word;
        width += 1 + word.chars().count();
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::is_unruly;

    #[test]
    fn a_string_is_the_same_string_for_toml() {
        for text in ["", "a", "a\"b\\c", "ä\u{7f}\u{1b}\n\t\u{202e}", "'''", "\"\"\"", "#"] {
            let table: toml::Table = format!("{} = {}", key(text), quoted(text)).parse().unwrap();
            assert_eq!(table[text].as_str(), Some(text));
            assert_eq!(quoted(text).chars().find(|&c| is_unruly(c)), None);
        }
        assert_eq!((key("g++"), key("pip3-x")), ("\"g++\"".to_owned(), "pip3-x".to_owned()));
    }

    #[test]
    fn a_table_has_a_name_of_its_own() {
        let mut taken = BTreeSet::from(["jq".to_owned()]);
        let names = ["g++", "/usr/bin/jq", "usr-bin-jq", "/jq", "[", "]", "-", "ä"];
        assert_eq!(
            names.map(|name| table_name(name, &mut taken)),
            ["g++", "usr-bin-jq", "usr-bin-jq-2", "jq-2", "other", "other-2", "-", "other-3"]
        );
    }

    #[test]
    fn a_comment_stays_one() {
        let mut draft = Draft::default();
        draft.comment(format!("a\n[x]\u{1b}{}", " word".repeat(30)));
        let (text, _) = draft.finish();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ") && line.len() <= WIDTH), "{text}");
        assert_eq!(text.parse::<toml::Table>().unwrap(), toml::Table::new());
    }
}
