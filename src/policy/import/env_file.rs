//! A file of variables: what the `EnvironmentFile=` of systemd, the `--env-file` of docker and python-dotenv agree on.
//!
//! Where they read a value differently, one reading is taken and the doubt is kept with it. Not the crate dotenvy: it
//! puts its own environment in the place of `$X`, and its errors quote the line, which may hold a key.

use super::told::{Mistake, Position};

/// `NAME=VALUE`, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) place: Position,
    pub(super) doubts: Vec<Doubt>,
}

/// Something that the three read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// `"a"`
    Quotes,
    /// `a # b`
    Comment,
    /// `a\b`
    Backslash,
    /// `${A}`
    Expansion,
}

impl Doubt {
    /// How it was read here.
    pub(super) fn reading(self) -> &'static str {
        match self {
            Self::Quotes => {
                "the quotes are taken away, as systemd and dotenv do; docker's --env-file would have kept them"
            }
            Self::Comment => {
                "what stands behind ` #` is taken for a comment, as dotenv does; systemd and docker would have \
                 kept it"
            }
            Self::Backslash => {
                "the backslash is kept; systemd would have dropped it, or dotenv read an escape: look at the \
                 result"
            }
            Self::Expansion => {
                "`${…}` is kept as it stands, as systemd and docker do; dotenv would have put a value in its place"
            }
        }
    }
}

/// Reads every assignment, or finds every line that is none.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, Vec<Mistake>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((before, _)) = text.split_once('\0') {
        return Err(vec![Mistake { place: Position::FIRST.behind(before), text: NUL }]);
    }
    let mut reader = Reader { rest: text, place: Position::FIRST };
    let (mut assignments, mut mistakes) = (Vec::new(), Vec::new());
    while !reader.rest.is_empty() {
        let begun = reader.clone();
        match reader.statement() {
            Ok(found) => assignments.extend(found),
            Err(mistake) => {
                // An open quote would swallow what follows: that is read from the next line on.
                if mistake.text != BEHIND {
                    reader = begun;
                    reader.line();
                }
                mistakes.push(mistake);
            }
        }
    }
    if mistakes.is_empty() { Ok(assignments) } else { Err(mistakes) }
}

// None of these quotes the file: the line may be the rest of a key.
const NONE: &str = "this is no assignment: write NAME=VALUE, or `#` in front of a comment";
const NAME: &str =
    "what stands before `=` is no name of a variable: it has letters, digits, `_`, `.` and `-`";
const OPEN: &str = "this quote is not closed: write it once more where the value ends";
const BEHIND: &str = "something follows the closing quote: put the whole value into the quotes";
const NUL: &str = "a NUL byte, which no variable can hold: take it out";

#[derive(Clone)]
struct Reader<'t> {
    rest: &'t str,
    place: Position,
}

impl<'t> Reader<'t> {
    /// One assignment, or a line that says nothing.
    fn statement(&mut self) -> Result<Option<Assignment>, Mistake> {
        self.blanks();
        if self.rest.starts_with(['#', ';', '\n']) || self.rest.starts_with("\r\n") || self.rest.is_empty() {
            self.line();
            return Ok(None);
        }
        let place = self.place;
        let name = self.name().map_err(|text| Mistake { place, text })?;
        let mut doubts = Vec::new();
        self.blanks();
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, &mut doubts)?,
            _ => self.unquoted(&mut doubts),
        };
        doubts.sort_unstable();
        doubts.dedup();
        Ok(Some(Assignment { name, value, place, doubts }))
    }

    /// The name, and the `=` behind it.
    fn name(&mut self) -> Result<String, &'static str> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let (written, _) = line.split_once('=').ok_or(NONE)?;
        // For those who also read the file into a shell.
        let exported = written.strip_prefix("export").filter(|name| name.starts_with([' ', '\t']));
        let name = exported.unwrap_or(written).trim();
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
            return Err(NAME);
        }
        self.advance(written.len() + 1);
        Ok(name.to_owned())
    }

    fn quoted(&mut self, quote: char, doubts: &mut Vec<Doubt>) -> Result<String, Mistake> {
        let opened = self.place;
        self.advance(1);
        let (value, length) =
            enclosed(self.rest, quote, doubts).ok_or(Mistake { place: opened, text: OPEN })?;
        self.advance(length);
        doubts.push(Doubt::Quotes);
        self.blanks();
        let place = self.place;
        match self.line().chars().next() {
            None => Ok(value),
            Some('#') => {
                doubts.push(Doubt::Comment);
                Ok(value)
            }
            Some(_) => Err(Mistake { place, text: BEHIND }),
        }
    }

    fn unquoted(&mut self, doubts: &mut Vec<Doubt>) -> String {
        let mut joined = String::new();
        loop {
            let line = self.line();
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            // Only systemd goes on behind a backslash; for the others the next line would be no assignment.
            if backslashes.is_multiple_of(2) || self.rest.is_empty() {
                joined += line;
                break;
            }
            joined += &line[..line.len() - 1];
        }
        let value = match [" #", "\t#"].iter().filter_map(|sign| joined.find(sign)).min() {
            Some(at) => {
                doubts.push(Doubt::Comment);
                &joined[..at]
            }
            None => &joined,
        };
        doubts.extend(value.contains('\\').then_some(Doubt::Backslash));
        doubts.extend(value.contains("${").then_some(Doubt::Expansion));
        value.trim_end().to_owned()
    }

    /// The rest of the line without its end, and on to the next.
    fn line(&mut self) -> &'t str {
        let line = self.rest.split('\n').next().unwrap_or_default();
        self.advance((line.len() + 1).min(self.rest.len()));
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn blanks(&mut self) {
        self.advance(self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len());
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.place = self.place.behind(passed);
        self.rest = rest;
    }
}

/// What stands in front of the closing quote, and how far that is with the quote.
fn enclosed(text: &str, quote: char, doubts: &mut Vec<Doubt>) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => return Some((value, at + 1)),
            '\\' if quote == '"' => match letters.next()?.1 {
                '\n' => {}
                escaped @ ('"' | '\\') => value.push(escaped),
                other => {
                    doubts.push(Doubt::Backslash);
                    value.extend(['\\', other]);
                }
            },
            '\\' => {
                doubts.push(Doubt::Backslash);
                value.push(letter);
            }
            '$' if text[at..].starts_with("${") => {
                doubts.push(Doubt::Expansion);
                value.push(letter);
            }
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, String, Vec<Doubt>)> {
        let assignments = parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        assignments.into_iter().map(|one| (one.name, one.value, one.doubts)).collect()
    }

    fn value(text: &str) -> (String, Vec<Doubt>) {
        let mut values = values(text);
        let (name, value, doubts) = values.remove(0);
        assert_eq!((name.as_str(), values.len()), ("A", 0), "{text:?}");
        (value, doubts)
    }

    fn mistakes(text: &str) -> Vec<(usize, usize, &'static str)> {
        let mistakes = parse(text).unwrap_err();
        mistakes.into_iter().map(|Mistake { place, text }| (place.line, place.column, text)).collect()
    }

    #[test]
    fn what_all_three_read_alike_is_read_so() {
        for (text, expected) in [
            ("A=b", "b"),
            ("A=", ""),
            ("A=b c\r\n", "b c"),
            ("\u{feff}A=b", "b"),
            ("# A=x\n\nA=b=c\n", "b=c"),
            ("A=#b", "#b"),
            ("A=it's", "it's"),
            ("A=$HOME", "$HOME"),
        ] {
            assert_eq!(value(text), (expected.to_owned(), vec![]), "{text:?}");
        }
    }

    #[test]
    fn what_one_of_them_reads_is_read_too() {
        for (text, expected) in [
            ("; A=x\n  A=b", "b"),
            ("export A=b", "b"),
            ("export\tA = b  ", "b"),
            ("A=b,\\\n  c", "b,  c"),
            ("A=b\\\r\nc", "bc"),
        ] {
            assert_eq!(value(text), (expected.to_owned(), vec![]), "{text:?}");
        }
    }

    #[test]
    fn what_they_read_differently_comes_with_the_doubt() {
        use Doubt::{Backslash, Comment, Expansion, Quotes};
        for (text, expected, doubts) in [
            ("A=\"b c\"", "b c", &[Quotes][..]),
            ("A='b\nc' # d", "b\nc", &[Quotes, Comment]),
            ("A=\"b\\\"c\\\\d\\\ne\"", "b\"c\\de", &[Quotes]),
            ("A=\"b\\.c\"", "b\\.c", &[Quotes, Backslash]),
            ("A='b\\.c'", "b\\.c", &[Quotes, Backslash]),
            ("A='${B}'", "${B}", &[Quotes, Expansion]),
            ("A=\"${B}\"", "${B}", &[Quotes, Expansion]),
            ("A=b  # c", "b", &[Comment]),
            ("A=b\\.c", "b\\.c", &[Backslash]),
            ("A=b\\\\\nB=", "b\\\\", &[Backslash]),
            ("A=b\\", "b\\", &[Backslash]),
            ("A=${B}", "${B}", &[Expansion]),
        ] {
            let (_, read, told) = values(text).remove(0);
            assert_eq!((read.as_str(), &*told), (expected, doubts), "{text:?}");
        }
    }

    #[test]
    fn every_line_that_is_no_assignment_is_found_at_once() {
        assert_eq!(
            mistakes("A=b\n  sk-12345\nMIIE/+a==\n1A=b\nA='x' y\nA=\"open\nB=c\n =d"),
            [(2, 3, NONE), (3, 1, NAME), (4, 1, NAME), (5, 7, BEHIND), (6, 3, OPEN), (8, 2, NAME),]
        );
        assert_eq!(mistakes("A=ä\nB=ä\0"), [(2, 4, NUL)]);
    }

    #[test]
    fn the_place_is_that_of_the_name() {
        let places: Vec<_> = parse("A='\n\n'\n  export B=c").unwrap().iter().map(|one| one.place).collect();
        assert_eq!(places, [Position { line: 1, column: 1 }, Position { line: 4, column: 3 }]);
    }

    proptest! {
        #[test]
        fn whatever_it_holds_is_read_or_told(text in "([AB =#'\"\\\\\n$;{]|\\PC){0,60}") {
            let lines = text.split('\n').count();
            match parse(&text) {
                Ok(assignments) => prop_assert!(assignments.iter().all(|one| one.place.line <= lines)),
                Err(mistakes) => prop_assert!(!mistakes.is_empty()),
            }
        }

        #[test]
        fn a_plain_value_is_kept(value in "[a-z,./:-]{0,40}") {
            prop_assert_eq!(super::tests::value(&format!("A={value}\n")), (value, vec![]));
        }
    }
}
