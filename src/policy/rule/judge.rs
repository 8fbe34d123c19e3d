//! Whether a rule allows the arguments of a command, once they are read.

use super::Rule;
use super::arguments::Kind;
use super::reading::Value;
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
    /// The word, or the part of it that is meant, as it may be shown.
    pub(in crate::policy) quoted: Option<String>,
    pub(in crate::policy) what: String,
    pub(in crate::policy) instead: String,
}

impl Objection {
    /// What is wrong, with the word.
    pub(in crate::policy) fn told(&self) -> String {
        match &self.quoted {
            Some(quoted) => format!("`{quoted}` {}", self.what),
            None => self.what.clone(),
        }
    }
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
        self.read(argv, &mut |value| value.judge(view))
    }
}

impl Value<'_> {
    fn judge(self, view: &View<'_>) -> Result<(), Objection> {
        self.kind.judge(self.text, self.word.at(), view)
    }
}

impl Kind {
    fn judge(&self, text: &str, at: usize, view: &View<'_>) -> Result<(), Objection> {
        let refuse = |why: &str, instead: String| {
            let quoted = Some(printable(text));
            Err(Objection { code: "argument", at, quoted, what: why.to_owned(), instead })
        };
        match self {
            Self::Text | Self::Secret => Ok(()),
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
    use crate::policy::rule::{Flag, Shape};

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
            .read(&words(texts), &mut |value| value.judge(&view))
            .map_err(|objection| format!("[{}] {}", objection.at, objection.told()))
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
}
