//! A command line as others may see it: what a rule calls `secret` is hidden.
//!
//! For the record and for displays; programs get the words themselves. A call that is refused need not be one that
//! any rule could read, so rather too much is hidden than too little: behind a word that a rule with secrets does
//! not know, everything.
//!
//! Not a shell: a word that holds more than the name of a program is not taken apart, but hidden from there on.

mod mention;
#[cfg(test)]
mod tests;

use super::grant::{Grant, LAUNCHERS_MAX};
use super::rule::{Kind, Rule, Value};
use crate::command::{Connector, RedirectionKind, Word};
use mention::{Mention, file};

/// What is shown in the place of a secret.
pub(super) const HIDDEN: &str = "[secret]";

impl Grant {
    /// The words of a whole line as they were sent, operators included. `allowed`: it was judged, and may run.
    pub fn shown_line(&self, words: &[String], allowed: bool) -> Vec<String> {
        let secretive = self.secretive();
        let mut veil = Veil::over(words);
        for command in commands(words).into_iter().filter(|_| !secretive.is_empty()) {
            self.hide(&secretive, &command, allowed, &mut veil);
        }
        veil.shown()
    }

    /// The words of one command that may run, the name of its program first.
    pub fn shown(&self, argv: &[String]) -> Vec<String> {
        let mut veil = Veil::over(argv);
        self.hide(&self.secretive(), &(0..argv.len()).collect::<Vec<_>>(), true, &mut veil);
        veil.shown()
    }

    /// Whether the word at this index of the line may be a secret in a command that is refused.
    pub(super) fn may_be_secret(&self, argv: &[Word], at: usize) -> bool {
        let words: Vec<String> = argv.iter().map(|word| word.text().to_owned()).collect();
        let mut veil = Veil::over(&words);
        self.hide(&self.secretive(), &(0..argv.len()).collect::<Vec<_>>(), false, &mut veil);
        argv.iter().zip(veil.hidden).any(|(word, hidden)| word.at() == at && hidden.is_some())
    }

    /// The first word of a command that is refused: somebody may have written a whole line as one word.
    pub(super) fn shown_name(&self, word: &str) -> String {
        match Mention::within(&self.secretive(), word).and_then(|mention| mention.rest) {
            Some(from) => hidden_from(word, from),
            None => word.to_owned(),
        }
    }

    /// The names that rules with secrets are for.
    fn secretive(&self) -> Vec<&str> {
        self.rules().filter(|rule| has_secrets(rule)).map(|rule| file(&rule.name)).collect()
    }

    /// Hides what is secret in one command, given by the indices of its words.
    ///
    /// A rule counts wherever its name stands: behind a launcher, behind something that is not allowed at all, as the
    /// end of a path; and in what is refused also within a word, which may be a whole line that is meant for a shell.
    fn hide(&self, secretive: &[&str], command: &[usize], allowed: bool, veil: &mut Veil<'_>) {
        let mention = |(first, &index): (usize, &usize)| {
            let text = veil.words[index].as_str();
            let found =
                if allowed { Mention::of_program(secretive, text) } else { Mention::within(secretive, text) };
            Some((first, found?))
        };
        let mentions: Vec<_> =
            command.iter().enumerate().filter_map(mention).take(LAUNCHERS_MAX + 2).collect();
        for (nth, (first, mention)) in mentions.into_iter().enumerate() {
            if let Some(rest) = mention.rest {
                veil.hide(command[first], rest);
                command[first + 1..].iter().for_each(|&index| veil.hide(index, 0));
                return;
            }
            if nth > LAUNCHERS_MAX {
                command[first..].iter().for_each(|&index| veil.hide(index, 0));
                return;
            }
            self.hide_from(mention.name, &command[first..], allowed, veil);
        }
    }

    fn hide_from(&self, name: &str, command: &[usize], allowed: bool, veil: &mut Veil<'_>) {
        let argv: Vec<Word> = Word::plain(command.iter().map(|&index| veil.words[index].clone()));
        let rules = self.rules().filter(|rule| file(&rule.name) == name);
        let readings: Vec<Reading> = rules.map(|rule| Reading::of(rule, &argv)).collect();
        // What may run was read whole by one of the rules, and a rule that cannot read it has no say.
        let is_readable = allowed && readings.iter().any(|reading| reading.unknown.is_none());
        for reading in readings.iter().filter(|one| !is_readable || one.unknown.is_none()) {
            reading.secrets.iter().for_each(|&(at, from)| veil.hide(command[at], from));
            if let Some(unknown) = reading.unknown.filter(|_| reading.has_secrets) {
                veil.hide(command[unknown], value_of_unknown(argv[unknown].text()));
                command[unknown + 1..].iter().for_each(|&index| veil.hide(index, 0));
            }
        }
    }
}

/// What a rule makes of a command.
struct Reading {
    /// Whether it knows any secret at all.
    has_secrets: bool,
    /// Indices of words, and where in them the secret begins.
    secrets: Vec<(usize, usize)>,
    /// The word that it could not read.
    unknown: Option<usize>,
}

impl Reading {
    fn of(rule: &Rule, argv: &[Word]) -> Self {
        let mut secrets = Vec::new();
        let read = rule.read(argv, &mut |Value { kind, word, text }| {
            if *kind == Kind::Secret {
                secrets.push((word.at(), word.text().len() - text.len()));
            }
            Ok(())
        });
        Self { has_secrets: has_secrets(rule), secrets, unknown: read.err().map(|objection| objection.at) }
    }
}

/// Words, and from where on each is hidden.
struct Veil<'w> {
    words: &'w [String],
    hidden: Vec<Option<usize>>,
}

impl<'w> Veil<'w> {
    fn over(words: &'w [String]) -> Self {
        Self { words, hidden: vec![None; words.len()] }
    }

    fn hide(&mut self, index: usize, from: usize) {
        let from = self.hidden[index].map_or(from, |before| before.min(from));
        self.hidden[index] = (from < self.words[index].len() || from == 0).then_some(from);
    }

    fn shown(&self) -> Vec<String> {
        let shown = |(word, hidden): (&String, &Option<usize>)| match hidden {
            Some(from) => hidden_from(word, *from),
            None => word.clone(),
        };
        self.words.iter().zip(&self.hidden).map(shown).collect()
    }
}

fn hidden_from(word: &str, from: usize) -> String {
    format!("{}{HIDDEN}", &word[..from])
}

/// The indices of each command's words, without operators, redirections and their files.
fn commands(words: &[String]) -> Vec<Vec<usize>> {
    let mut commands = vec![Vec::new()];
    let mut indices = 0..words.len();
    while let Some(index) = indices.next() {
        let word = words[index].as_str();
        let redirection = RedirectionKind::ALL.into_iter().find(|kind| kind.symbol() == word);
        if word == "|" || Connector::ALL.iter().any(|connector| connector.symbol() == word) {
            commands.push(Vec::new());
        } else if let Some(kind) = redirection {
            if kind != RedirectionKind::ErrorsToOutput {
                indices.next();
            }
        } else if let Some(command) = commands.last_mut() {
            command.push(index);
        }
    }
    commands
}

/// Where the value of a flag that no rule knows may begin: `--passwrd=…`, `-p…`.
fn value_of_unknown(word: &str) -> usize {
    match word.strip_prefix('-') {
        Some(long) if long.starts_with('-') => word.find('=').map_or(word.len(), |at| at + 1),
        Some(short) => 1 + short.chars().next().map_or(0, char::len_utf8),
        None => 0,
    }
}

fn has_secrets(rule: &Rule) -> bool {
    rule.kinds().any(|kind| *kind == Kind::Secret)
}
