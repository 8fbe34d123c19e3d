//! Examples inside rules: `allows` and `refuses`, judged every time the file is loaded.
//!
//! An example is of its rule, not of a profile: it is judged with every root of the file as `rw`, from the
//! first of them, and a command that it launches by all rules that there are.

use std::sync::Arc;

use toml::Spanned;

use super::Compiler;
use super::roots::Root;
use super::rules::{Example, Rules, Written};
use crate::command::Word;
use crate::policy::denial::Denial;
use crate::policy::document::{Field, FromValue, Mode};
use crate::policy::grant::{Grant, RootGrant};
use crate::policy::rule::View;
use crate::vocab::AbsPath;

impl Compiler<'_> {
    pub(super) fn examples(&self, rules: &Rules, roots: &[Root]) {
        let roots: Vec<RootGrant> = roots
            .iter()
            .map(|root| RootGrant {
                name: root.name.clone(),
                written: root.written.clone(),
                canonical: root.canonical.clone(),
                mode: Mode::Write,
            })
            .collect();
        for written in rules.of_file().filter(|written| written.sound) {
            let others = rules.all().filter(|other| other.rule.name != written.rule.name);
            let rules = std::iter::once(written).chain(others).map(|one| Arc::new(one.rule.clone()));
            let grant = Grant { rules: rules.collect(), roots: roots.clone(), ..Grant::default() };
            self.examples_of(written, &grant);
        }
    }

    fn examples_of(&self, written: &Written, grant: &Grant) {
        let name = &written.rule.name;
        let is_its_own = |example: &&Example| {
            let own = example.get_ref().first().is_some_and(|word| word.get_ref() == name);
            if !own {
                let message = format!("this example is not a call of `{name}`");
                self.notes.error(&example.span(), message, format!("for example [[\"{name}\"]]"));
            }
            own
        };
        for example in written.allows.iter().filter(is_its_own) {
            if let Err(denial) = judged(example, grant) {
                self.notes.error(
                    &example.span(),
                    format!("this example is refused: {denial}"),
                    "mend the rule, or the example",
                );
            }
        }
        for example in written.refuses.iter().filter(is_its_own) {
            if judged(example, grant).is_ok() {
                self.notes.error(&example.span(), "this example is allowed", "mend the rule, or the example");
            }
        }
    }
}

/// Calls as a rule writes them. A single one without brackets of its own is one mistake, not one for each word.
pub(super) struct Calls(pub(super) Vec<Example>);

impl FromValue for Calls {
    fn from_value(value: &Spanned<toml::de::DeValue<'_>>, field: &Field<'_>) -> Option<Self> {
        let is_flat =
            value.get_ref().as_array().is_none_or(|calls| calls.iter().any(|one| one.get_ref().is_str()));
        if is_flat {
            let message = format!("`{}` must be a list of calls, each of them a list of words", field.path);
            field.notes.error(&value.span(), message, "for example [[\"ls\"], [\"ls\", \"-la\"]]");
            return None;
        }
        Vec::from_value(value, field).map(Self)
    }
}

fn judged(example: &Example, grant: &Grant) -> Result<(), Denial> {
    let texts = example.get_ref().iter().map(|word| word.get_ref().clone());
    let argv: Vec<Word> = Word::plain(texts);
    let root = || AbsPath::parse("/").expect("`/` is absolute");
    let directory = grant.default_directory().map_or_else(root, |root| root.canonical.clone());
    grant.authorise(&argv, &View { roots: &grant.roots, directory }).map(|_| ())
}
