//! Which rules allow a command; for a launcher, also those of what it launches.
//!
//! Rules of one name multiply at every launcher of a line. But what a word leads to does not depend on the way that
//! was taken to it: where nothing was allowed, nothing is tried again.
//!
//! Not a denial: what is said about the word that was refused is worked out once, by whoever asked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::command::Word;
use crate::policy::rule::{Objection, Rule};

/// Launchers within launchers: more than anybody types, and few enough for the stack.
pub(in crate::policy) const LAUNCHERS_MAX: usize = 8;

/// Why a command is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal<'a> {
    /// The index of the word at which the command begins that is refused.
    pub(super) place: usize,
    pub(super) reason: Reason<'a>,
}

/// Why, of the command that begins there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason<'a> {
    /// No rule is for its name.
    Unlisted,
    /// It stands behind too many launchers.
    TooDeep,
    /// This rule refuses one of its words.
    Rule(&'a Rule, Objection),
}

/// Judges the command at the start of these words by one rule; for a launcher, says where its own command begins.
pub(super) type Judge<'j> = dyn FnMut(&Rule, &[Word]) -> Result<Option<usize>, Objection> + 'j;

/// What one rule says of the command that begins at a word.
#[derive(Clone, Copy)]
enum Verdict {
    Allowed,
    /// It allows its own words, and the command that it launches begins at this one.
    Launches(usize),
    Refused,
}

/// A search among the rules of a profile.
struct Search<'a, 's> {
    rules: &'a [Arc<Rule>],
    argv: &'s [Word],
    judge: &'s mut Judge<'s>,
    /// What a rule, by its index, says of the command that begins at a word.
    verdicts: HashMap<(usize, usize), Verdict>,
    /// The words that lead nowhere behind so many launchers.
    refused: HashSet<(usize, usize)>,
    nearest: Option<Refusal<'a>>,
}

/// The first rules that allow the command, outermost first; else the refusal that came furthest.
pub(super) fn search<'a>(
    rules: &'a [Arc<Rule>],
    argv: &[Word],
    judge: &mut Judge<'_>,
) -> Result<Vec<&'a Rule>, Refusal<'a>> {
    let (verdicts, refused) = (HashMap::new(), HashSet::new());
    let mut search = Search { rules, argv, judge, verdicts, refused, nearest: None };
    match search.begin(0, 0) {
        Some(rules) => Ok(rules),
        None => Err(search.nearest.expect("whatever leads nowhere was refused by something")),
    }
}

impl<'a> Search<'a, '_> {
    fn begin(&mut self, place: usize, launchers: usize) -> Option<Vec<&'a Rule>> {
        if self.refused.contains(&(place, launchers)) {
            return None;
        }
        let found = self.attempt(place, launchers);
        if found.is_none() {
            self.refused.insert((place, launchers));
        }
        found
    }

    fn attempt(&mut self, place: usize, launchers: usize) -> Option<Vec<&'a Rule>> {
        if launchers > LAUNCHERS_MAX {
            self.note(place, Reason::TooDeep);
            return None;
        }
        let (rules, name) = (self.rules, self.argv[place].text());
        let mut named = rules.iter().enumerate().filter(|(_, rule)| rule.name == name).peekable();
        if named.peek().is_none() {
            self.note(place, Reason::Unlisted);
        }
        named.find_map(|(nth, rule)| match self.verdict(place, nth) {
            Verdict::Allowed => Some(vec![&**rule]),
            Verdict::Launches(inner) => {
                let inner = self.begin(inner, launchers + 1)?;
                Some(std::iter::once(&**rule).chain(inner).collect())
            }
            Verdict::Refused => None,
        })
    }

    fn verdict(&mut self, place: usize, nth: usize) -> Verdict {
        if let Some(known) = self.verdicts.get(&(place, nth)) {
            return *known;
        }
        let rule = &self.rules[nth];
        let verdict = match (self.judge)(rule, &self.argv[place..]) {
            Ok(None) => Verdict::Allowed,
            Ok(Some(words)) => Verdict::Launches(place + words),
            Err(objection) => {
                self.note(place, Reason::Rule(rule, objection));
                Verdict::Refused
            }
        };
        self.verdicts.insert((place, nth), verdict);
        verdict
    }

    /// Of several refusals the one that read furthest says most.
    fn note(&mut self, place: usize, reason: Reason<'a>) {
        let refusal = Refusal { place, reason };
        if self.nearest.as_ref().is_none_or(|other| other.at(self.argv) < refusal.at(self.argv)) {
            self.nearest = Some(refusal);
        }
    }
}

impl Refusal<'_> {
    /// The index of the word that is refused, in the array that was sent.
    fn at(&self, argv: &[Word]) -> usize {
        match &self.reason {
            Reason::Rule(_, objection) => objection.at,
            Reason::Unlisted | Reason::TooDeep => argv[self.place].at(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::grant::Grant;
    use crate::policy::rule::View;
    use crate::policy::testing::{FRAME, policy};
    use crate::vocab::AbsPath;

    /// Launchers of one name that read the same words in different ways.
    const RULES: &str = r#"
[command.env]
flags = ["-i", "-u=text"]
launches = "NAME=VALUE"
[command.env-1]
name = "env"
flags = ["-u", "-v"]
launches = 1
[command.env-2]
name = "env"
flags = ["-i", "-0"]
launches = 2
[command.cat]
operands = "path"
flags = ["-n"]
[profile.dev]
tools = ["shell_execute"]
commands = ["env", "env-1", "env-2", "cat"]
roots = { work = "rw" }
"#;

    fn grant() -> Arc<Grant> {
        policy(&format!("{FRAME}{RULES}")).access().principal("alice").unwrap().grant().clone()
    }

    fn words(texts: &[&str]) -> Vec<Word> {
        Word::plain(texts.iter().map(|&text| text.to_owned()))
    }

    fn view(grant: &Grant) -> View<'_> {
        View { roots: grant.roots(), directory: AbsPath::parse("/srv/work").unwrap() }
    }

    /// Every way there is, one after the other: slow, and plain.
    fn every_way<'a>(
        grant: &'a Grant,
        argv: &'a [Word],
        place: usize,
        launchers: usize,
    ) -> Result<Vec<&'a Rule>, Refusal<'a>> {
        let refused = |reason| Refusal { place, reason };
        if launchers > LAUNCHERS_MAX {
            return Err(refused(Reason::TooDeep));
        }
        let mut nearest: Option<Refusal<'a>> = None;
        for rule in grant.rules().filter(|rule| rule.name == argv[place].text()) {
            let refusal = match rule.judge(&argv[place..], &view(grant)) {
                Ok(None) => return Ok(vec![rule]),
                Ok(Some(inner)) => match every_way(grant, argv, place + inner, launchers + 1) {
                    Ok(inner) => return Ok(std::iter::once(rule).chain(inner).collect()),
                    Err(refusal) => refusal,
                },
                Err(objection) => refused(Reason::Rule(rule, objection)),
            };
            if nearest.as_ref().is_none_or(|other| other.at(argv) < refusal.at(argv)) {
                nearest = Some(refusal);
            }
        }
        Err(nearest.unwrap_or_else(|| refused(Reason::Unlisted)))
    }

    /// How often the rules were asked about the command at each word of a line that is refused.
    fn judged(texts: &[&str]) -> Vec<usize> {
        let (grant, argv) = (grant(), words(texts));
        let mut counts = vec![0; argv.len()];
        let found = search(&grant.rules, &argv, &mut |rule, command| {
            counts[command[0].at()] += 1;
            rule.judge(command, &view(&grant))
        });
        assert!(found.is_err(), "{texts:?}");
        counts
    }

    #[test]
    fn a_rule_judges_each_place_of_a_line_once() {
        let refused = ["cat", "a", "/etc/x"];
        for launchers in [&["env"; 8][..], &["env", "-i", "A=1"].repeat(8), &["env"; 80]] {
            let counts = judged(&[launchers, &refused[..]].concat());
            assert!(counts.iter().all(|count| *count <= 3), "{launchers:?}: {counts:?}");
            assert!(counts.iter().sum::<usize>() > 8, "{launchers:?}: {counts:?}");
        }
    }

    fn any_words() -> impl Strategy<Value = Vec<&'static str>> {
        let words = ["env", "env", "env", "env", "cat", "-i", "-u", "-v", "-n", "A=1", "x", "/etc/x", "--"];
        proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..24)
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_every_way_finds(rest in any_words()) {
            let (grant, argv) = (grant(), words(&[&["env"][..], &rest].concat()));
            let found = search(&grant.rules, &argv, &mut |rule, command| rule.judge(command, &view(&grant)));
            prop_assert_eq!(found, every_way(&grant, &argv, 0, 0));
        }
    }
}
