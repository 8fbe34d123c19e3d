//! What the file allowed, name by name, and what becomes of each.

use std::collections::BTreeSet;

use super::Shelf;
use super::draft::table_name;
use super::patterns::{self, Pattern};
use super::reputation::{is_builtin, is_unsafe, was_refused};
use super::settings::{Setting, Settings};
use crate::policy::presets;

/// The commands of a file.
#[derive(Debug)]
pub(super) struct Commands<'s> {
    /// The setting that names them, and what they are.
    pub(super) listed: Option<(&'s Setting, Vec<Command>)>,
    /// The setting of the patterns, and each with what it adds to the names before it.
    pub(super) matched: Option<(&'s Setting, Vec<Matched<'s>>)>,
}

/// A pattern, and the commands that only it names.
#[derive(Debug)]
pub(super) struct Matched<'s> {
    pub(super) pattern: Pattern<'s>,
    pub(super) more: Vec<Command>,
}

/// A name that was allowed.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: String,
    /// What its rule is called.
    pub(super) rule: String,
    pub(super) fate: Fate,
    /// Whether the host has its program.
    pub(super) is_here: bool,
}

/// What becomes of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The built-in rule of its name.
    BuiltIn,
    /// A rule of its own.
    Rule,
    /// Nothing.
    Left(Why),
}

/// Why a name is not in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Unsafe,
    Group,
    Relative,
    Builtin,
    Refused,
}

impl Why {
    pub(super) const ALL: [Self; 5] =
        [Self::Unsafe, Self::Group, Self::Relative, Self::Builtin, Self::Refused];

    /// The end of a sentence that begins with the names.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Unsafe => "no name of a command has such characters, and no call could use them before",
            Self::Group => "`@` begins a group of built-in rules here",
            Self::Relative => {
                "a path that depends on the directory of a call; write a rule with `program`, an absolute path"
            }
            Self::Builtin => {
                "words of a shell and no programs, and there is no shell here; instead of `cd` a call names its \
                 `directory`"
            }
            Self::Refused => {
                "the predecessor refused them whatever its list said, since they run any program or text, so that \
                 nothing that worked is lost; who wants one writes a rule, for launchers with `launches` \
                 (docs/policy.md)"
            }
        }
    }
}

impl<'s> Commands<'s> {
    /// What the file allows on this host.
    pub(super) fn find(settings: &'s Settings, host: &dyn Shelf, search: &str) -> Self {
        let built_in = presets::names();
        let mut judge = Judge { host, search, names: BTreeSet::new(), rules: built_in.clone(), built_in };
        let lists = [settings.find("ALLOW_COMMANDS"), settings.find("ALLOWED_COMMANDS")];
        let names = lists.iter().flatten().flat_map(|setting| setting.parts());
        let commands = names.filter_map(|name| judge.named(name)).collect();
        let listed = lists.into_iter().flatten().next().map(|setting| (setting, commands));
        let matched = settings.find("ALLOW_PATTERNS").map(|setting| {
            let matched = patterns::tried(setting, &host.programs(search)).into_iter().map(|pattern| {
                let names = pattern.names.iter().flatten();
                let more = names.filter_map(|name| judge.matched(name)).collect();
                Matched { pattern, more }
            });
            (setting, matched.collect())
        });
        Self { listed, matched }
    }

    /// All that have a rule, in the order of the file.
    pub(super) fn granted(&self) -> impl Iterator<Item = &Command> {
        let listed = self.listed.iter().flat_map(|(_, commands)| commands);
        let matched = self.matched.iter().flat_map(|(_, matched)| matched).flat_map(|one| &one.more);
        listed.chain(matched).filter(|one| !matches!(one.fate, Fate::Left(_)))
    }

    /// A setting to tell of them by.
    pub(super) fn setting(&self) -> Option<&'s Setting> {
        let listed = self.listed.as_ref().map(|(setting, _)| *setting);
        listed.or(self.matched.as_ref().map(|(setting, _)| *setting))
    }
}

/// Says what becomes of a name the first time that it is met.
struct Judge<'h> {
    host: &'h dyn Shelf,
    search: &'h str,
    built_in: BTreeSet<String>,
    /// The names that were met.
    names: BTreeSet<String>,
    /// The names that rules have, built-in ones included.
    rules: BTreeSet<String>,
}

impl Judge<'_> {
    /// A name that the file lists.
    fn named(&mut self, name: &str) -> Option<Command> {
        if !self.names.insert(name.to_owned()) {
            return None;
        }
        let is_here = self.host.program(name, self.search, &[]).is_ok();
        let fate = self.fate(name, is_here);
        let rule = if fate == Fate::Rule { table_name(name, &mut self.rules) } else { name.to_owned() };
        Some(Command { name: name.to_owned(), rule, fate, is_here })
    }

    /// A name that only a pattern names: nobody has asked for this one, so what was refused stays so, built in or not.
    fn matched(&mut self, name: &str) -> Option<Command> {
        let command = self.named(name)?;
        let fate = if was_refused(name) { Fate::Left(Why::Refused) } else { command.fate };
        Some(Command { fate, ..command })
    }

    fn fate(&self, name: &str, is_here: bool) -> Fate {
        match name {
            _ if is_unsafe(name) => Fate::Left(Why::Unsafe),
            _ if self.built_in.contains(name) => Fate::BuiltIn,
            _ if name.starts_with('@') => Fate::Left(Why::Group),
            _ if name.contains('/') && !name.starts_with('/') => Fate::Left(Why::Relative),
            _ if was_refused(name) => Fate::Left(Why::Refused),
            _ if !is_here && is_builtin(name) => Fate::Left(Why::Builtin),
            _ => Fate::Rule,
        }
    }
}
