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
    setting.parts().map(|written| Pattern { written, names: matching(written, programs) }).collect()
}

fn matching(pattern: &str, programs: &[String]) -> Result<Vec<String>, String> {
    if is_unsafe(pattern) {
        return Err("it holds what no name of a command can; the predecessor refused it too".to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

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
        for pattern in ["l|ls", "(?:a)?)(?:.*", "(?!ls).*", "pip(", "a b", "ls;id", "((a{1000}){1000}){1000}"]
        {
            assert!(found(pattern).is_err(), "{pattern}");
        }
    }
}
