//! The shape of a command line.

use serde::{Deserialize, Serialize};

/// Words longer than this are refused: `MAX_ARG_STRLEN` of execve(2) is 32 pages, its NUL included.
pub const WORD_MAX: usize = 131_071;

/// One element of an argument vector: no NUL, bounded, never an operator.
///
/// Equality is of the text; `at` only says where it was written.
#[derive(Clone, Debug, Eq)]
pub struct Word {
    pub(super) text: String,
    pub(super) at: usize,
}

impl Word {
    /// The text that the program gets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Words that were not parsed, such as the examples of a rule: each is data.
    pub fn plain(texts: impl Iterator<Item = String>) -> Vec<Self> {
        texts.enumerate().map(|(at, text)| Self { text, at }).collect()
    }

    /// Its index in the array that was sent, from 0.
    pub fn at(&self) -> usize {
        self.at
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What joins two pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Connector {
    /// `&&`: only if the one before ended with status 0.
    And,
    /// `||`: only if it did not.
    Or,
    /// `;`: in any case.
    Then,
}

/// Pipelines, run one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// The first pipeline; there always is one.
    pub first: Pipeline,
    /// The others, each with what joins it to the one before.
    pub rest: Vec<(Connector, Pipeline)>,
}

/// Stages, run at once, each one's standard output being the next one's standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// The first stage; there always is one.
    pub first: Stage,
    /// The others.
    pub rest: Vec<Stage>,
}

/// A program, its arguments and its redirections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name of the program, `argv[0]`.
    pub program: Word,
    /// The arguments after it.
    pub arguments: Vec<Word>,
    /// The redirections, in the order in which they were written.
    pub redirections: Vec<Redirection>,
}

/// A redirection of a stage's standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// Which streams, and how.
    pub kind: RedirectionKind,
    /// The file; `None` for `2>&1` alone.
    pub path: Option<Word>,
}

/// The redirections that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectionKind {
    /// `<`
    Input,
    /// `>`
    Output,
    /// `>>`
    Append,
    /// `2>`
    Errors,
    /// `2>>`
    AppendErrors,
    /// `2>&1`
    ErrorsToOutput,
    /// `&>`
    Both,
}

impl RedirectionKind {
    /// Every redirection.
    pub const ALL: [Self; 7] = [
        Self::Input,
        Self::Output,
        Self::Append,
        Self::Errors,
        Self::AppendErrors,
        Self::ErrorsToOutput,
        Self::Both,
    ];

    /// The word that stands for it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Input => "<",
            Self::Output => ">",
            Self::Append => ">>",
            Self::Errors => "2>",
            Self::AppendErrors => "2>>",
            Self::ErrorsToOutput => "2>&1",
            Self::Both => "&>",
        }
    }
}

impl Connector {
    /// Every connector.
    pub const ALL: [Self; 3] = [Self::And, Self::Or, Self::Then];

    /// The word that stands for it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Then => ";",
        }
    }
}

impl CommandLine {
    /// The pipelines in order.
    pub fn pipelines(&self) -> impl Iterator<Item = &Pipeline> {
        std::iter::once(&self.first).chain(self.rest.iter().map(|(_, pipeline)| pipeline))
    }
}

impl Pipeline {
    /// The stages in order.
    pub fn stages(&self) -> impl Iterator<Item = &Stage> {
        std::iter::once(&self.first).chain(&self.rest)
    }
}

impl Stage {
    /// `argv`: the program's name and its arguments.
    pub fn argv(&self) -> Vec<Word> {
        std::iter::once(&self.program).chain(&self.arguments).cloned().collect()
    }
}
