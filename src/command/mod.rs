//! An array of words becomes a command line: pipelines joined by `&&`, `||` and `;`.
//!
//! Not a shell: operators are whole words, nothing is expanded, and no text is ever split.

mod line;
mod parse;
mod word;

pub use line::{CommandLine, Connector, Pipeline, Redirection, RedirectionKind, Stage, WORD_MAX, Word};
pub use parse::{LINE_MAX, STAGES_MAX, SyntaxError, SyntaxErrorKind, parse};
