//! Whether one rule allows all that another did.

use super::{Arguments, Flag, Kind, Network, Rule, Shape};
use crate::policy::program::Program;

impl Rule {
    /// Whether every call of `earlier` is one of this rule, and reaches as far; limits aside.
    pub(in crate::policy) fn covers(&self, earlier: &Self) -> bool {
        let Ok(program) = &earlier.program else {
            // The host lacked it: nobody could call it.
            return true;
        };
        self.name == earlier.name
            && self.program.as_ref().is_ok_and(|own| same_paths(own, program))
            && self.arguments.cover(&earlier.arguments)
            && self.launches == earlier.launches
            && (self.spawns.iter().any(|name| name == "@all") || holds(&self.spawns, &earlier.spawns))
            && holds(&self.helpers, &earlier.helpers)
            && (self.network.contains(&Network::Any) || holds(&self.network, &earlier.network))
    }
}

/// A program that was upgraded is the same program.
fn same_paths(one: &Program, other: &Program) -> bool {
    let paths = |program: &Program| {
        let files = std::iter::once(&program.file).chain(&program.interpreters);
        files.map(|file| file.path.clone()).collect::<Vec<_>>()
    };
    paths(one) == paths(other)
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
            (None, _) => true,
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

fn flags_cover(flags: &[Flag], earlier: &[Flag]) -> bool {
    earlier.iter().all(|was| {
        flags.iter().filter(|flag| flag.name == was.name).any(|flag| match (&flag.value, &was.value) {
            (None, None) => true,
            (Some(kind), Some(was)) => kind.covers(was),
            _ => false,
        })
    })
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
