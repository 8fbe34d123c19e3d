//! An authorised command line: everything that the executor needs, and nothing that it must decide.
//!
//! Only [`super::Grant::plan`] makes one. It is serialisable because it crosses to the executor process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::program::Program;
use crate::command::Connector;
use crate::vocab::AbsPath;

/// A command line that a profile allows, with the restrictions under which it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Plan {
    pub(super) first: PlannedPipeline,
    pub(super) rest: Vec<(Connector, PlannedPipeline)>,
    pub(super) directory: Place,
    pub(super) umask: u32,
    pub(super) limits: LineLimits,
}

/// Stages that run at once, joined by pipes. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPipeline {
    pub(super) stages: Vec<PlannedStage>,
}

/// One program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStage {
    pub(super) rule: String,
    pub(super) program: Program,
    pub(super) argv: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) redirections: Vec<PlannedRedirection>,
    pub(super) limits: ProcessLimits,
}

/// A place beneath a root: what is opened, and from where, so that no link can lead out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The root's own path, with every link followed when the policy was loaded.
    pub root: AbsPath,
    /// The path from there, shortened (no `..`); empty for the root itself.
    pub relative: String,
}

/// A redirection, in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlannedRedirection {
    /// `< path`
    Input(Target),
    /// `> path`, `>> path`, `2> path`, `2>> path`
    Output {
        /// Which of the two streams.
        stream: OutputStream,
        /// Where it goes.
        target: Target,
        /// After what is there (`>>`) rather than in its place (`>`).
        append: bool,
    },
    /// `&> path`: both streams into one file.
    Both(Target),
    /// `2>&1`
    ErrorsToOutput,
}

/// One of the two output streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputStream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// What a redirection opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// `/dev/null`
    Null,
    /// A regular file beneath a root.
    File {
        /// Where it is.
        place: Place,
        /// How the caller wrote it, for messages.
        written: String,
    },
}

/// Limits of the whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineLimits {
    /// After this the line is ended.
    pub timeout: Duration,
    /// Bytes kept of each stream: half from its head, half from its tail.
    pub output: u64,
    /// Bytes of both streams together after which the line is ended.
    pub output_total: u64,
    /// Bytes of standard input that are accepted.
    pub stdin: u64,
}

/// Limits of each process. `None` where the policy says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Open descriptors, `RLIMIT_NOFILE` of setrlimit(2).
    pub open_files: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Bytes of a file that is written.
    pub file_size: Option<u64>,
}

impl Plan {
    /// The pipelines in order; the first without a connector.
    pub fn pipelines(&self) -> impl Iterator<Item = (Option<Connector>, &PlannedPipeline)> {
        let rest = self.rest.iter().map(|(connector, pipeline)| (Some(*connector), pipeline));
        std::iter::once((None, &self.first)).chain(rest)
    }

    /// Where every stage starts.
    pub fn directory(&self) -> &Place {
        &self.directory
    }

    /// The file mode creation mask, umask(2).
    pub fn umask(&self) -> u32 {
        self.umask
    }

    /// The limits of the whole line.
    pub fn limits(&self) -> LineLimits {
        self.limits
    }
}

impl Place {
    /// The whole path.
    pub fn path(&self) -> AbsPath {
        self.root.resolve(&self.relative)
    }
}

impl PlannedPipeline {
    /// The stages, first to last.
    pub fn stages(&self) -> &[PlannedStage] {
        &self.stages
    }
}

impl PlannedStage {
    /// The rule that allowed it.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The program that is started.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its arguments, the name that it was called by first.
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// Its whole environment.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Its redirections, in the order in which they take effect.
    pub fn redirections(&self) -> &[PlannedRedirection] {
        &self.redirections
    }

    /// What it may spend.
    pub fn limits(&self) -> ProcessLimits {
        self.limits
    }
}
