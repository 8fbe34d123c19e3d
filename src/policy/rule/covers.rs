//! Whether one rule allows all that another did, and reaches as far.

use super::{Arguments, Flag, Kind, Network, Rule, Shape};
use crate::policy::program::Program;
use crate::vocab::AbsPath;

impl Rule {
    /// Whether every call of `earlier` is one that this rule allows.
    pub(in crate::policy) fn allows_all_of(&self, earlier: &Self) -> bool {
        self.name == earlier.name
            && self.arguments.cover(&earlier.arguments)
            && self.launches == earlier.launches
    }

    /// Whether it starts the same program, which may reach as much; limits aside.
    pub(in crate::policy) fn reaches_as_far_as(&self, earlier: &Self) -> bool {
        let programs = (&self.program, &earlier.program);
        matches!(programs, (Ok(own), Ok(other)) if same_paths(own, other))
            && holds(&self.environment, &earlier.environment)
            // A variable can take away as well as give.
            && self.environment.len() == earlier.environment.len()
            && holds(&self.spawns, &earlier.spawns)
            && holds(&self.helpers, &earlier.helpers)
            && (self.network.contains(&Network::Any) || holds(&self.network, &earlier.network))
    }
}

/// A program that was upgraded is the same program.
fn same_paths(one: &Program, other: &Program) -> bool {
    fn paths(program: &Program) -> impl Iterator<Item = &AbsPath> {
        std::iter::once(&program.file).chain(&program.interpreters).map(|file| &file.path)
    }
    paths(one).eq(paths(other))
}

fn holds<T: PartialEq>(all: &[T], these: &[T]) -> bool {
    these.iter().all(|one| all.contains(one))
}

impl Arguments {
    fn cover(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Plain(shape), _) if *shape == Shape::default() => true,
            (Self::Plain(shape), Self::Plain(earlier)) => shape.covers(earlier),
            (
                Self::Subcommands { globals, subcommands },
                Self::Subcommands { globals: were, subcommands: earlier },
            ) => {
                flags_cover(globals, were)
                    && earlier.iter().all(|(name, shape)| {
                        subcommands.iter().any(|(own, is)| own == name && is.covers(shape))
                    })
            }
            _ => false,
        }
    }
}

impl Shape {
    fn covers(&self, earlier: &Self) -> bool {
        let flags = match (&self.flags, &earlier.flags) {
            (None, None) => true,
            // Where no flag is listed, none has a value: the word behind it is an operand.
            (None, Some(were)) => self.operands.is_none() || were.iter().all(|flag| flag.value.is_none()),
            (Some(_), None) => false,
            (Some(flags), Some(were)) => flags_cover(flags, were),
        };
        let operands = match (&self.operands, &earlier.operands) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(kind), Some(was)) => kind.covers(was),
        };
        flags && operands
    }
}

/// Whether every word is read as before, and its value may be what it was.
fn flags_cover(flags: &[Flag], earlier: &[Flag]) -> bool {
    let same = earlier.iter().all(|was| {
        let (is, was) = (Listed::of(&was.name, flags), Listed::of(&was.name, earlier));
        let values = match (is.value, was.value) {
            (_, None) => true,
            (Some(kind), Some(was)) => kind.covers(was),
            (None, Some(_)) => false,
        };
        is.alone == was.alone && values
    });
    same && flags.iter().all(|flag| !takes_a_cluster(flag, earlier))
}

/// How a flag is listed, perhaps more than once: of several kinds of values the first counts.
struct Listed<'f> {
    /// Without a value.
    alone: bool,
    value: Option<&'f Kind>,
}

impl<'f> Listed<'f> {
    fn of(name: &str, flags: &'f [Flag]) -> Self {
        let named = || flags.iter().filter(|flag| flag.name == name);
        Self {
            alone: named().any(|flag| flag.value.is_none()),
            value: named().find_map(|flag| flag.value.as_ref()),
        }
    }
}

/// Whether this flag is one word of what was several letters, or a letter and its value: `-delete` where `-d` was.
fn takes_a_cluster(flag: &Flag, earlier: &[Flag]) -> bool {
    let mut letters = flag.name.chars().skip(1);
    let (first, second) = (letters.next(), letters.next());
    let is_cluster = first != Some('-') && second.is_some();
    is_cluster
        && earlier.iter().all(|was| was.name != flag.name)
        && earlier.iter().any(|was| was.name.chars().skip(1).eq(first))
}

impl Kind {
    fn covers(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Text | Self::Secret, _) | (Self::Path, Self::WritablePath) => true,
            (Self::OneOf(words), Self::OneOf(were)) => holds(words, were),
            (kind, was) => kind == was,
        }
    }
}
