//! `ALLOW_PATTERNS`: regular expressions over whole names of commands, tried once on the programs of this host.
//!
//! Not the expressions of Python: what both can read they read alike, and what only Python can is told.

use regex_lite::RegexBuilder;

use super::reputation::is_unsafe;
use super::settings::Setting;

/// No list of names needs a larger program; a larger one is told like any other that cannot be read.
const SIZE_MAX: usize = 1 << 20;

/// A pattern, and the programs that it names here.
#[derive(Debug)]
pub(super) struct Pattern<'s> {
    pub(super) written: &'s str,
    pub(super) names: Result<Vec<String>, String>,
}

/// Tries every pattern. They are split at commas, those within a pattern included, as the predecessor did.
pub(super) fn tried<'s>(setting: &'s Setting, programs: &[String]) -> Vec<Pattern<'s>> {
    let fails = setting.parts().any(is_unsafe);
    let one = |written: &'s str| {
        let names = match written {
            _ if is_unsafe(written) => Err("it holds what no name of a command can".to_owned()),
            // Its check of the patterns failed at that one, and with it every call that needed a pattern.
            _ if fails => Err("the predecessor refused another one, and with it all".to_owned()),
            _ => matching(written, programs),
        };
        Pattern { written, names }
    };
    setting.parts().map(one).collect()
}

fn matching(pattern: &str, programs: &[String]) -> Result<Vec<String>, String> {
    if has_nested_brackets(pattern) {
        return Err("a `[` within brackets is a letter for Python and something else here".to_owned());
    }
    let read = |text: &str| RegexBuilder::new(text).size_limit(SIZE_MAX).build();
    // By itself first: `a)(?:b` is an expression only between the brackets of the next line.
    let whole = read(pattern).and_then(|_| read(&format!("^(?:{pattern})$")));
    let whole = whole.map_err(|error| {
        let why = error.to_string();
        format!("it cannot be read here ({})", why.lines().last().unwrap_or_default().trim())
    })?;
    Ok(programs.iter().filter(|name| !is_unsafe(name) && whole.is_match(name)).cloned().collect())
}

/// `[[:alpha:]]`, `[a[b]`
fn has_nested_brackets(pattern: &str) -> bool {
    let mut is_inside = false;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '[' if is_inside => return true,
            '[' => {
                is_inside = true;
                letters.next_if_eq(&'^');
                // There it is a letter, for both.
                letters.next_if_eq(&']');
            }
            ']' => is_inside = false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::import::told::Position;

    fn found(pattern: &str) -> Result<Vec<String>, String> {
        let programs = ["ls", "lsof", "python3", "python3.11", "pip", "a b"].map(str::to_owned);
        matching(pattern, &programs)
    }

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, expected) in [
            ("ls", &["ls"][..]),
            ("lsx?", &["ls"]),
            ("python[0-9.]*", &["python3", "python3.11"]),
            (r"python\d\.\d+", &["python3.11"]),
            ("^pip$", &["pip"]),
            ("nothing", &[]),
        ] {
            assert_eq!(found(pattern).unwrap(), expected, "{pattern}");
        }
        assert_eq!(found(".*").unwrap().len(), 5);
    }

    #[test]
    fn a_pattern_that_cannot_be_read_matches_nothing() {
        for pattern in ["a)?(?:.*", "(?!ls).*", "pip(", "((a{1000}){1000}){1000}", "[[:alpha:]]+", "[]l[]s"] {
            assert!(found(pattern).is_err(), "{pattern}");
        }
        assert_eq!(found(r"\[?ls[o\[f]*").unwrap(), ["ls", "lsof"]);
    }

    #[test]
    fn one_pattern_that_was_refused_refuses_all() {
        let found = |value: &str| -> Vec<bool> {
            let place = Position::FIRST;
            let setting = Setting { name: "ALLOW_PATTERNS".to_owned(), value: value.to_owned(), place };
            tried(&setting, &["ls".to_owned()]).iter().map(|one| one.names.is_ok()).collect()
        };
        assert_eq!(found("ls,(?=x),l."), [true, false, true]);
        assert_eq!(found("ls,l|s,l."), [false; 3]);
        assert_eq!(found("ls, l s"), [false; 2]);
    }
}
