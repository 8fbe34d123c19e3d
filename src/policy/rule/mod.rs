//! A rule: which `argv[0]`, which program, which arguments, and what the program may reach.

mod arguments;
mod covers;
mod judge;
mod reading;

use std::sync::Arc;

use super::program::Program;
use crate::vocab::AbsPath;

pub(super) use arguments::{Flag, Kind, Shape};
pub(super) use judge::{Objection, Stray, View};
pub(super) use reading::Value;

/// One `[command.NAME]` table or preset, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) id: Arc<RuleId>,
    pub(super) name: String,
    pub(super) program: Result<Program, String>,
    pub(super) arguments: Arguments,
    pub(super) launches: Option<Launches>,
    pub(super) spawns: Vec<String>,
    pub(super) helpers: Vec<AbsPath>,
    pub(super) network: Vec<Network>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) limits: super::limits::Limits,
}

/// A rule's name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleId {
    /// The NAME of `[command.NAME]`.
    pub name: String,
    /// Where it is written.
    pub origin: Origin,
}

/// Where a rule is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the policy file, on this line.
    File {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: usize,
    },
    /// Among the presets.
    Preset,
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.origin {
            Origin::File { file, line } => write!(f, "rule `{}`, {file}:{line}", self.name),
            Origin::Preset => write!(f, "preset `{}`", self.name),
        }
    }
}

/// Which arguments a rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Flags and operands.
    Plain(Shape),
    /// Options, one of these words, and what that word allows.
    Subcommands { globals: Vec<Flag>, subcommands: Vec<(String, Shape)> },
}

/// Where the inner command of a launcher begins, after its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launches {
    /// After this many operands.
    After(usize),
    /// After any number of `NAME=VALUE` words.
    AfterAssignments,
}

/// A peer that a program may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// TCP connections to this port.
    Tcp(u16),
    /// Names, by DNS over TCP port 53.
    Dns,
    /// Any internet address, UDP included.
    Any,
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "tcp:{port}"),
            Self::Dns => f.write_str("dns"),
            Self::Any => f.write_str("any"),
        }
    }
}

impl Rule {
    /// Its name and where it stands.
    pub fn id(&self) -> &RuleId {
        &self.id
    }

    /// The `argv[0]` that it is for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its program; `None` where the host lacks it.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref().ok()
    }

    /// The programs that it may start, by name; `@all` stands for every program of the profile.
    pub fn spawns(&self) -> &[String] {
        &self.spawns
    }

    /// The programs that it needs and nobody may call.
    pub fn helpers(&self) -> &[AbsPath] {
        &self.helpers
    }

    /// What its operands and the values of its flags must be.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        let (globals, shapes) = match &self.arguments {
            Arguments::Plain(shape) => (&[][..], vec![shape]),
            Arguments::Subcommands { globals, subcommands } => {
                (&globals[..], subcommands.iter().map(|(_, shape)| shape).collect())
            }
        };
        let of_flags = globals.iter().filter_map(|flag| flag.value.as_ref());
        of_flags.chain(shapes.into_iter().flat_map(Shape::kinds))
    }

    /// Whether it says nothing of its arguments, so that paths among them are not judged.
    pub fn takes_any_arguments(&self) -> bool {
        self.arguments == Arguments::Plain(Shape::default())
    }

    /// The peers that it may reach; none if empty.
    pub fn network(&self) -> &[Network] {
        &self.network
    }
}
