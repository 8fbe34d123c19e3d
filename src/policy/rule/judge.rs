//! Whether a rule allows the arguments of a command.
//!
//! Flags are read as `getopt_long(3)` reads them, except that abbreviations are never expanded: clusters are
//! split, a value is the rest of the word or the next one, `--` ends the flags.

use super::arguments::{Flag, Kind, Shape};
use super::{Arguments, Launches, Rule};
use crate::command::Word;
use crate::policy::document::Mode;
use crate::vocab::{AbsPath, printable};

/// What a caller may see of the file system, and from where it looks.
#[derive(Clone, Debug)]
pub(in crate::policy) struct View<'g> {
    pub(in crate::policy) roots: &'g [super::super::grant::RootGrant],
    pub(in crate::policy) directory: AbsPath,
}

/// A path that lies beneath a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) struct WithinRoot<'g> {
    pub(in crate::policy) root: &'g AbsPath,
    pub(in crate::policy) mode: Mode,
    /// From the root, shortened.
    pub(in crate::policy) relative: String,
}

/// Why a word is not allowed, and what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Objection {
    pub(in crate::policy) code: &'static str,
    /// The index of the word in the array that was sent.
    pub(in crate::policy) at: usize,
    pub(in crate::policy) what: String,
    pub(in crate::policy) instead: String,
}

impl<'g> View<'g> {
    /// The innermost root that holds this path, as seen from the directory.
    pub(in crate::policy) fn locate(&self, written: &str) -> Option<WithinRoot<'g>> {
        let path = self.directory.resolve(written);
        let within = |grant: &'g super::super::grant::RootGrant| {
            let relative = path.beneath(&grant.canonical).or_else(|| path.beneath(&grant.written))?;
            Some(WithinRoot { root: &grant.canonical, mode: grant.mode, relative: relative.to_owned() })
        };
        self.roots.iter().filter_map(within).min_by_key(|found| found.relative.len())
    }

    /// The roots with their modes, for a message.
    pub(in crate::policy) fn described(&self, at_least: Mode) -> String {
        let fit = self.roots.iter().filter(|root| root.mode >= at_least);
        let named: Vec<String> =
            fit.map(|root| format!("{} ({})", root.written, root.mode.symbol())).collect();
        if named.is_empty() { "no root".to_owned() } else { named.join(", ") }
    }
}

impl Rule {
    /// Judges the words of a command, its name first. For a launcher, the index at which its command begins.
    pub(in crate::policy) fn judge(
        &self,
        argv: &[Word],
        view: &View<'_>,
    ) -> Result<Option<usize>, Objection> {
        let words = &argv[1..];
        match (&self.arguments, self.launches) {
            (Arguments::Plain(shape), Some(launches)) => {
                shape.launch(words, launches, view).map(|begins| begins.map(|at| 1 + at))
            }
            (Arguments::Plain(shape), None) => shape.judge(words, view).map(|()| None),
            (Arguments::Subcommands { globals, subcommands }, _) => {
                subcommand(globals, subcommands, argv, view).map(|()| None)
            }
        }
    }
}

fn subcommand(
    globals: &[Flag],
    subcommands: &[(String, Shape)],
    argv: &[Word],
    view: &View<'_>,
) -> Result<(), Objection> {
    let names = || subcommands.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let mut at = 1;
    while argv.get(at).is_some_and(is_flag) {
        at += flag(globals, &argv[at..], view).map_err(|objection| match objection.code {
            "flag" => Objection { what: format!("{} before the subcommand", objection.what), ..objection },
            _ => objection,
        })?;
    }
    let Some(word) = argv.get(at) else {
        return Err(Objection {
            code: "subcommand",
            at: argv[at - 1].at(),
            what: "a subcommand is missing".to_owned(),
            instead: format!("one of: {}", names()),
        });
    };
    let Some((_, shape)) = subcommands.iter().find(|(name, _)| name == word.text()) else {
        return Err(Objection {
            code: "subcommand",
            at: word.at(),
            what: format!("`{}` is not a listed subcommand", printable(word.text())),
            instead: format!("one of: {}", names()),
        });
    };
    shape.judge(&argv[at + 1..], view)
}

/// A word that `getopt_long(3)` would take for flags.
fn is_flag(word: &Word) -> bool {
    word.text().len() > 1 && word.text().starts_with('-')
}

impl Shape {
    fn judge(&self, words: &[Word], view: &View<'_>) -> Result<(), Objection> {
        let mut at = 0;
        let mut operands_only = false;
        while let Some(word) = words.get(at) {
            if operands_only || !is_flag(word) {
                self.operand(word, view)?;
                at += 1;
            } else if word.text() == "--" {
                operands_only = true;
                at += 1;
            } else {
                at += self.flags.as_ref().map_or(Ok(1), |flags| flag(flags, &words[at..], view))?;
            }
        }
        Ok(())
    }

    /// Flags end at the first operand, as they do for every launcher (`+` in `getopt_long(3)`).
    fn launch(
        &self,
        words: &[Word],
        launches: Launches,
        view: &View<'_>,
    ) -> Result<Option<usize>, Objection> {
        let mut at = 0;
        while let Some(word) = words.get(at).filter(|word| is_flag(word)) {
            if word.text() == "--" {
                at += 1;
                break;
            }
            at += flag(self.flags.as_deref().unwrap_or_default(), &words[at..], view)?;
        }
        let own = match launches {
            Launches::After(operands) => operands.min(words.len() - at),
            Launches::AfterAssignments => {
                words[at..].iter().take_while(|word| word.text().contains('=')).count()
            }
        };
        for word in &words[at..at + own] {
            self.operand(word, view)?;
        }
        Ok((at + own < words.len()).then_some(at + own))
    }

    fn operand(&self, word: &Word, view: &View<'_>) -> Result<(), Objection> {
        match &self.operands {
            Some(kind) => kind.judge(word.text(), word.at(), view),
            None => Ok(()),
        }
    }
}

/// Judges the flag at the start of `words`; how many words it takes.
fn flag(listed: &[Flag], words: &[Word], view: &View<'_>) -> Result<usize, Objection> {
    let word = &words[0];
    let text = word.text();
    let refuse = |name: &str, why: &str| Objection {
        code: "flag",
        at: word.at(),
        what: format!("`{}` {why}", printable(name)),
        instead: if listed.is_empty() {
            "no flag is".to_owned()
        } else {
            format!("one of: {}", listed.iter().map(Flag::to_string).collect::<Vec<_>>().join(" "))
        },
    };
    let named = |name: &str| listed.iter().filter(|flag| flag.name == name).collect::<Vec<_>>();
    let next = |kind: &Kind, name: &str| match words.get(1) {
        Some(value) => kind.judge(value.text(), value.at(), view).map(|()| 2),
        None => Err(refuse(name, "needs a value")),
    };

    let whole = named(text);
    if whole.iter().any(|flag| flag.value.is_none()) {
        return Ok(1);
    }
    if let Some(kind) = whole.first().and_then(|flag| flag.value.as_ref()) {
        return next(kind, text);
    }
    if let Some((name, value)) = text.split_once('=').filter(|(name, _)| name.len() > 2) {
        let valued = named(name);
        match valued.iter().find_map(|flag| flag.value.as_ref()) {
            Some(kind) => return kind.judge(value, word.at(), view).map(|()| 1),
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
                Some(kind) => return kind.judge(rest, word.at(), view).map(|()| 1),
                None => {}
            },
        }
    }
    Ok(1)
}

impl Kind {
    fn judge(&self, text: &str, at: usize, view: &View<'_>) -> Result<(), Objection> {
        let refuse = |why: &str, instead: String| {
            Err(Objection { code: "argument", at, what: format!("`{}` {why}", printable(text)), instead })
        };
        match self {
            Self::Text => Ok(()),
            Self::Integer => match text.strip_prefix(['+', '-']).unwrap_or(text) {
                digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
                _ => refuse("is not an integer", "an integer".to_owned()),
            },
            Self::OneOf(words) if words.iter().any(|word| word == text) => Ok(()),
            Self::OneOf(words) => refuse("is not a listed word", format!("one of: {}", words.join(", "))),
            // By convention a lone dash is standard input.
            Self::Path | Self::WritablePath if text == "-" => Ok(()),
            Self::Path | Self::WritablePath => {
                let needed = if *self == Self::Path { Mode::Read } else { Mode::Write };
                let beneath = || format!("paths beneath {}", view.described(needed));
                match view.locate(text) {
                    Some(found) if found.mode >= needed => Ok(()),
                    Some(_) => refuse("lies in a root that may only be read", beneath()),
                    None => refuse("lies outside the roots", beneath()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::grant::RootGrant;

    fn words(texts: &[&str]) -> Vec<Word> {
        let line = crate::command::parse(
            std::iter::once("argv0").chain(texts.iter().copied()).map(str::to_owned).collect(),
        );
        line.unwrap().first.first.arguments
    }

    fn roots() -> Vec<RootGrant> {
        let root = |path: &str, mode| {
            let path = AbsPath::parse(path).unwrap();
            RootGrant { name: "r".to_owned(), written: path.clone(), canonical: path, mode }
        };
        vec![root("/srv/work", Mode::Read), root("/srv/work/out", Mode::Write)]
    }

    fn shape(flags: &[&str], operands: Option<Kind>) -> Shape {
        Shape { flags: Some(flags.iter().map(|flag| Flag::parse(flag).unwrap()).collect()), operands }
    }

    fn verdict(shape: &Shape, texts: &[&str]) -> Result<(), String> {
        let roots = roots();
        let view = View { roots: &roots, directory: AbsPath::parse("/srv/work").unwrap() };
        shape
            .judge(&words(texts), &view)
            .map_err(|objection| format!("[{}] {}", objection.at, objection.what))
    }

    #[test]
    fn listed_flags_are_allowed_in_every_form_of_getopt() {
        let shape = shape(&["-n=int", "-b", "-A", "--lines=int", "--color", "--color=auto|never"], None);
        for allowed in [
            &["-n", "5"][..],
            &["-n5"],
            &["-bA"],
            &["-bn5"],
            &["-bn", "5"],
            &["--lines", "5"],
            &["--lines=-5"],
            &["--color"],
            &["--color=never", "x"],
            &["x", "-b"],
            &["-"],
            &["--", "-Z"],
        ] {
            assert_eq!(verdict(&shape, allowed), Ok(()), "{allowed:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_named() {
        let shape = shape(&["-n=int", "-b", "--lines=int", "--quiet"], None);
        for (refused, why) in [
            (&["-Z"][..], "[1] `-Z` is not a listed flag"),
            (&["-bZ"], "[1] `-Z` is not a listed flag"),
            (&["x", "--line=5"], "[2] `--line` is not a listed flag"),
            (&["--quiet=1"], "[1] `--quiet` is listed without a value"),
            (&["-n"], "[1] `-n` needs a value"),
            (&["-n", "x"], "[2] `x` is not an integer"),
            (&["-nx"], "[1] `x` is not an integer"),
        ] {
            assert_eq!(verdict(&shape, refused), Err(why.to_owned()), "{refused:?}");
        }
    }

    #[test]
    fn a_path_that_parsers_read_in_two_ways_is_refused() {
        let shape = shape(&["-o=path", "-d=text"], None);
        let why = "[1] `-o` takes its path as a word of its own, without `=`";
        assert_eq!(verdict(&shape, &["-o=/etc/passwd"]), Err(why.to_owned()));
        assert_eq!(verdict(&shape, &["-ox", "-o", "=x", "-d=", "-d=:"]), Ok(()));
    }

    #[test]
    fn a_refused_word_is_quoted_within_bounds_and_without_what_a_terminal_obeys() {
        let shape = shape(&["--lines=int"], Some(Kind::Path));
        let long = format!("--{}", "x".repeat(100_000));
        for texts in [&["../\u{1b}[31m"][..], &["--lines", "\u{1b}]0;"], &["-\u{1b}"], &[long.as_str()]] {
            let refusal = verdict(&shape, texts).unwrap_err();
            assert!(refusal.len() < 500 && !refusal.contains('\u{1b}'), "{refusal:?}");
        }
    }

    #[test]
    fn a_path_lies_beneath_a_root_of_the_right_mode() {
        let read = shape(&[], Some(Kind::Path));
        let write = shape(&[], Some(Kind::WritablePath));
        assert_eq!(verdict(&read, &["a/../b", "/srv/work/x", "out/../c", "-"]), Ok(()));
        assert_eq!(verdict(&read, &["../x"]), Err("[1] `../x` lies outside the roots".to_owned()));
        assert_eq!(
            verdict(&read, &["/srv/work-evil"]),
            Err("[1] `/srv/work-evil` lies outside the roots".to_owned())
        );
        assert_eq!(verdict(&write, &["out/x"]), Ok(()));
        assert_eq!(verdict(&write, &["x"]), Err("[1] `x` lies in a root that may only be read".to_owned()));
    }

    #[test]
    fn a_launcher_says_where_its_command_begins() {
        let roots = roots();
        let view = View { roots: &roots, directory: AbsPath::parse("/srv/work").unwrap() };
        let timeout = shape(&["-k=text", "--preserve-status"], None);
        let begins = |texts: &[&str]| timeout.launch(&words(texts), Launches::After(1), &view).ok();
        assert_eq!(begins(&["-k", "1", "5", "ls", "-l"]), Some(Some(3)));
        assert_eq!(begins(&["5", "ls"]), Some(Some(1)));
        assert_eq!(begins(&["5"]), Some(None));
        assert_eq!(begins(&[]), Some(None));
        assert_eq!(begins(&["-Z", "5", "ls"]), None);
        let env = shape(&["-i"], None);
        let begins = |texts: &[&str]| env.launch(&words(texts), Launches::AfterAssignments, &view).ok();
        assert_eq!(begins(&["-i", "A=1", "B=", "ls", "C=2"]), Some(Some(3)));
        assert_eq!(begins(&["-S", "ls"]), None);
    }
}
