//! Whether a rule allows the arguments of a command, once they are read.

use super::Rule;
use super::arguments::Kind;
use super::reading::Value;
use crate::command::Word;
use crate::policy::document::Mode;
use crate::policy::grant::RootGrant;
use crate::policy::plan::Place;
use crate::vocab::{AbsPath, printable};

/// What a caller may see of the file system, and from where it looks.
#[derive(Clone, Debug)]
pub(in crate::policy) struct View<'g> {
    pub(in crate::policy) roots: &'g [RootGrant],
    /// Where programs start, without links: what a leading `..` means is then certain.
    pub(in crate::policy) directory: AbsPath,
}

/// Why a path may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Stray {
    /// It lies outside the roots.
    Outside,
    /// It lies in a root that may only be read.
    ReadOnly,
    /// It goes back (`..`) behind a name.
    Back,
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

impl WithinRoot<'_> {
    /// The same for the executor.
    pub(in crate::policy) fn place(self) -> Place {
        Place { root: self.root.clone(), relative: self.relative }
    }
}

impl<'g> View<'g> {
    /// Where this path leads as seen from the directory, if that is beneath a root in which so much may be done.
    ///
    /// By its text: that is true as long as no name in it is a link. Before a `..` none can be.
    pub(in crate::policy) fn locate(&self, written: &str, needed: Mode) -> Result<WithinRoot<'g>, Stray> {
        let path = self.followed(self.directory.resolve(written));
        let within = |grant: &'g RootGrant| {
            let relative = path.beneath(&grant.canonical)?.to_owned();
            Some(WithinRoot { root: &grant.canonical, mode: grant.mode, relative })
        };
        match self.roots.iter().filter_map(within).min_by_key(|found| found.relative.len()) {
            None => Err(Stray::Outside),
            Some(found) if found.mode < needed => Err(Stray::ReadOnly),
            Some(_) if goes_back(written) => Err(Stray::Back),
            Some(found) => Ok(found),
        }
    }

    /// The path without the links that lead to roots, which were followed when the policy was loaded.
    fn followed(&self, mut path: AbsPath) -> AbsPath {
        // What one leads to may hold the next, each once.
        for _ in self.roots {
            let holds = self.roots.iter().filter_map(|root| Some((root, path.beneath(&root.written)?)));
            match holds.min_by_key(|(_, rest)| rest.len()) {
                Some((root, rest)) if root.written != root.canonical => path = root.canonical.resolve(rest),
                _ => break,
            }
        }
        path
    }

    /// The roots with their modes, for a message.
    pub(in crate::policy) fn described(&self, at_least: Mode) -> String {
        let none = || format!("a root of mode `{}`, and this key has none", at_least.symbol());
        self.named(at_least).unwrap_or_else(none)
    }

    /// The same, if there are any.
    pub(in crate::policy) fn named(&self, at_least: Mode) -> Option<String> {
        let fit = self.roots.iter().filter(|root| root.mode >= at_least);
        let named: Vec<String> =
            fit.map(|root| format!("{} ({})", root.written, root.mode.symbol())).collect();
        (!named.is_empty()).then(|| named.join(", "))
    }
}

impl Stray {
    /// What is wrong, behind the path.
    pub(in crate::policy) fn what(self) -> &'static str {
        match self {
            Self::Outside => "lies outside the roots",
            Self::ReadOnly => "lies in a root that may only be read",
            Self::Back => "goes back by `..` behind a name, which may be a link",
        }
    }

    /// What would be right; `beneath`: files or directories in roots.
    pub(in crate::policy) fn instead(self, beneath: String) -> String {
        match self {
            Self::Outside | Self::ReadOnly => beneath,
            Self::Back => "`..` at the beginning alone: `b` for `a/../b`".to_owned(),
        }
    }
}

/// Whether a `..` stands behind a name.
fn goes_back(path: &str) -> bool {
    path.split('/').skip_while(|part| matches!(*part, "" | "." | "..")).any(|part| part == "..")
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
                match view.locate(text, needed) {
                    Ok(_) => Ok(()),
                    Err(stray) => {
                        let beneath = format!("paths beneath {}", view.described(needed));
                        refuse(stray.what(), stray.instead(beneath))
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(verdict(&read, &["a/./b", "/srv/work/x", "./../work//c", "/../srv/work", "-"]), Ok(()));
        assert_eq!(verdict(&read, &["../x"]), Err("[1] `../x` lies outside the roots".to_owned()));
        assert_eq!(
            verdict(&read, &["/srv/work-evil"]),
            Err("[1] `/srv/work-evil` lies outside the roots".to_owned())
        );
        assert_eq!(verdict(&write, &["out/x", "../work/out/x"]), Ok(()));
        assert_eq!(verdict(&write, &["x"]), Err("[1] `x` lies in a root that may only be read".to_owned()));
    }

    #[test]
    fn a_path_that_goes_back_behind_a_name_is_refused() {
        let why =
            |word: &str| Err(format!("[1] `{word}` goes back by `..` behind a name, which may be a link"));
        let (read, write) = (shape(&["-o=path:rw"], Some(Kind::Path)), shape(&[], Some(Kind::WritablePath)));
        for word in
            ["a/../b", "a/..", "../work/a/../b", "/srv/work/a/../b", "./a/b/../../c", "/srv/../srv/work/x"]
        {
            assert_eq!(verdict(&read, &[word]), why(word));
        }
        assert_eq!(verdict(&write, &["out/a/../b"]), why("out/a/../b"));
        assert!(verdict(&read, &["-o", "out/a/../b"]).is_err());
        assert_eq!(verdict(&read, &["..a/b..", "..."]), Ok(()));
        // Where it would lead says more.
        assert_eq!(verdict(&read, &["a/../../x"]), Err("[1] `a/../../x` lies outside the roots".to_owned()));
    }
}
