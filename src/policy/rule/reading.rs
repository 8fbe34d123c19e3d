//! How a program reads its arguments, as far as its rule says.
//!
//! Flags are read as `getopt_long(3)` reads them, except that abbreviations are never expanded: clusters are
//! split, a value is the rest of the word or the next one, `--` ends the flags. Whether a value may be what it is
//! is not decided here.

use super::arguments::{Flag, Kind, Shape};
use super::judge::Objection;
use super::{Arguments, Launches, Rule};
use crate::command::Word;
use crate::vocab::printable;

/// A word, or the end of one, of which the rule says what it must be.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Value<'a> {
    pub(in crate::policy) kind: &'a Kind,
    pub(in crate::policy) word: &'a Word,
    pub(in crate::policy) text: &'a str,
}

/// What is done with each value, in the order in which they are read.
pub(in crate::policy) type Visit<'v> = dyn FnMut(Value<'_>) -> Result<(), Objection> + 'v;

/// A flag with what it takes.
struct Taken<'a> {
    words: usize,
    value: Option<Value<'a>>,
}

impl Rule {
    /// Reads the words of a command, its name first. For a launcher, the index at which its command begins.
    pub(in crate::policy) fn read(
        &self,
        argv: &[Word],
        visit: &mut Visit<'_>,
    ) -> Result<Option<usize>, Objection> {
        let words = &argv[1..];
        match (&self.arguments, self.launches) {
            (Arguments::Plain(shape), Some(launches)) => {
                shape.read_launcher(words, launches, visit).map(|begins| begins.map(|at| 1 + at))
            }
            (Arguments::Plain(shape), None) => shape.read(words, visit).map(|()| None),
            (Arguments::Subcommands { globals, subcommands }, _) => {
                subcommand(globals, subcommands, argv, visit).map(|()| None)
            }
        }
    }
}

fn subcommand(
    globals: &[Flag],
    subcommands: &[(String, Shape)],
    argv: &[Word],
    visit: &mut Visit<'_>,
) -> Result<(), Objection> {
    let names = || subcommands.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let mut at = 1;
    while argv.get(at).is_some_and(is_flag) {
        let taken = flag(globals, &argv[at..]).map_err(|objection| Objection {
            what: format!("{} before the subcommand", objection.what),
            ..objection
        })?;
        at += taken.visited(visit)?;
    }
    let Some(word) = argv.get(at) else {
        return Err(Objection {
            code: "subcommand",
            at: argv[at - 1].at(),
            quoted: None,
            what: "a subcommand is missing".to_owned(),
            instead: format!("one of: {}", names()),
        });
    };
    let Some((_, shape)) = subcommands.iter().find(|(name, _)| name == word.text()) else {
        return Err(Objection {
            code: "subcommand",
            at: word.at(),
            quoted: Some(printable(word.text())),
            what: "is not a listed subcommand".to_owned(),
            instead: format!("one of: {}", names()),
        });
    };
    shape.read(&argv[at + 1..], visit)
}

/// A word that `getopt_long(3)` would take for flags.
fn is_flag(word: &Word) -> bool {
    word.text().len() > 1 && word.text().starts_with('-')
}

impl Shape {
    pub(super) fn read(&self, words: &[Word], visit: &mut Visit<'_>) -> Result<(), Objection> {
        let mut at = 0;
        let mut operands_only = false;
        while let Some(word) = words.get(at) {
            if operands_only || !is_flag(word) {
                self.operand(word, visit)?;
                at += 1;
            } else if word.text() == "--" {
                operands_only = true;
                at += 1;
            } else {
                at += match &self.flags {
                    Some(flags) => flag(flags, &words[at..])?.visited(visit)?,
                    None => 1,
                };
            }
        }
        Ok(())
    }

    /// Flags end at the first operand, as they do for every launcher (`+` in `getopt_long(3)`).
    pub(super) fn read_launcher(
        &self,
        words: &[Word],
        launches: Launches,
        visit: &mut Visit<'_>,
    ) -> Result<Option<usize>, Objection> {
        let mut at = 0;
        while let Some(word) = words.get(at).filter(|word| is_flag(word)) {
            if word.text() == "--" {
                at += 1;
                break;
            }
            at += flag(self.flags.as_deref().unwrap_or_default(), &words[at..])?.visited(visit)?;
        }
        let own = match launches {
            Launches::After(operands) => operands.min(words.len() - at),
            Launches::AfterAssignments => {
                words[at..].iter().take_while(|word| word.text().contains('=')).count()
            }
        };
        for word in &words[at..at + own] {
            self.operand(word, visit)?;
        }
        Ok((at + own < words.len()).then_some(at + own))
    }

    fn operand(&self, word: &Word, visit: &mut Visit<'_>) -> Result<(), Objection> {
        match &self.operands {
            Some(kind) => visit(Value { kind, word, text: word.text() }),
            None => Ok(()),
        }
    }
}

impl<'a> Taken<'a> {
    fn alone() -> Self {
        Self { words: 1, value: None }
    }

    fn with(words: usize, kind: &'a Kind, word: &'a Word, text: &'a str) -> Self {
        Self { words, value: Some(Value { kind, word, text }) }
    }

    /// How many words it takes, once its value was looked at.
    fn visited(self, visit: &mut Visit<'_>) -> Result<usize, Objection> {
        self.value.map_or(Ok(()), visit).map(|()| self.words)
    }
}

/// The flag at the start of `words`.
fn flag<'a>(listed: &'a [Flag], words: &'a [Word]) -> Result<Taken<'a>, Objection> {
    let word = &words[0];
    let text = word.text();
    let refuse = |name: &str, why: &str| Objection {
        code: "flag",
        at: word.at(),
        quoted: Some(printable(name)),
        what: why.to_owned(),
        instead: if listed.is_empty() {
            "no flag is".to_owned()
        } else {
            format!("one of: {}", listed.iter().map(Flag::to_string).collect::<Vec<_>>().join(" "))
        },
    };
    let named = |name: &str| listed.iter().filter(|flag| flag.name == name).collect::<Vec<_>>();
    let next = |kind: &'a Kind, name: &str| match words.get(1) {
        Some(value) => Ok(Taken::with(2, kind, value, value.text())),
        None => Err(refuse(name, "needs a value")),
    };

    let whole = named(text);
    if whole.iter().any(|flag| flag.value.is_none()) {
        return Ok(Taken::alone());
    }
    if let Some(kind) = whole.first().and_then(|flag| flag.value.as_ref()) {
        return next(kind, text);
    }
    if let Some((name, value)) = text.split_once('=').filter(|(name, _)| name.len() > 2) {
        let valued = named(name);
        match valued.iter().find_map(|flag| flag.value.as_ref()) {
            Some(kind) => return Ok(Taken::with(1, kind, word, value)),
            None if !valued.is_empty() => return Err(refuse(name, "is listed without a value")),
            None => {}
        }
    }
    if text.starts_with("--") {
        return Err(refuse(text.split('=').next().unwrap_or(text), "is not a listed flag"));
    }
    for (offset, letter) in text.char_indices().skip(1) {
        let name = format!("-{letter}");
        let rest = &text[offset + letter.len_utf8()..];
        match named(&name).as_slice() {
            [] => return Err(refuse(&name, "is not a listed flag")),
            flags if flags.iter().any(|flag| flag.value.is_none()) => {}
            [flag, ..] => match &flag.value {
                Some(kind) if rest.is_empty() => return next(kind, &name),
                // getopt(3) takes the `=` for a part of the value, other parsers take it away: two paths in one word.
                Some(Kind::Path | Kind::WritablePath) if rest.starts_with('=') => {
                    return Err(refuse(&name, "takes its path as a word of its own, without `=`"));
                }
                Some(kind) => return Ok(Taken::with(1, kind, word, rest)),
                None => {}
            },
        }
    }
    Ok(Taken::alone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<Word> {
        Word::plain(texts.iter().map(|&text| text.to_owned()))
    }

    fn shape(flags: &[&str]) -> Shape {
        Shape { flags: Some(flags.iter().map(|flag| Flag::parse(flag).unwrap()).collect()), operands: None }
    }

    #[test]
    fn a_launcher_says_where_its_command_begins() {
        let timeout = shape(&["-k=text", "--preserve-status"]);
        let begins =
            |texts: &[&str]| timeout.read_launcher(&words(texts), Launches::After(1), &mut |_| Ok(())).ok();
        assert_eq!(begins(&["-k", "1", "5", "ls", "-l"]), Some(Some(3)));
        assert_eq!(begins(&["5", "ls"]), Some(Some(1)));
        assert_eq!(begins(&["5"]), Some(None));
        assert_eq!(begins(&[]), Some(None));
        assert_eq!(begins(&["-Z", "5", "ls"]), None);
        let env = shape(&["-i"]);
        let begins = |texts: &[&str]| {
            env.read_launcher(&words(texts), Launches::AfterAssignments, &mut |_| Ok(())).ok()
        };
        assert_eq!(begins(&["-i", "A=1", "B=", "ls", "C=2"]), Some(Some(3)));
        assert_eq!(begins(&["-S", "ls"]), None);
    }
}
