//! What an agent can call: one struct a tool, one list of them.
//!
//! Not the protocol: nothing here knows of MCP or HTTP. A call gets a [`crate::policy::ToolGrant`] and
//! answers with a [`Reply`]; who may call and how often is decided above.

mod answer;
mod arguments;
mod catalogue;
mod reply;
mod runner;
mod schema;
mod shell_execute;
mod tool;

pub use catalogue::{catalogue, find, known};
pub use reply::{Account, Decision, OUTCOMES, PROGRAM_OUTCOMES, Reply};
pub use runner::Runner;
pub use shell_execute::ShellExecute;
pub use tool::{Annotations, Context, Effect, Entry, Tool};
