//! kernos lets AI agents act on a Linux host without being able to do more than its owner wrote down.
//!
//! The source is eight floors, each a folder; a floor imports only floors below it:
//!
//! | floor | folder | its job |
//! |---|---|---|
//! | F7 | [`daemon`] | command line, boot order, logging, exit codes |
//! | F6 | [`http`] | connections and TLS, router, authentication, the MCP handler, probes, metrics, audit |
//! | F5 | [`tools`] | what an agent can call |
//! | F4 | [`exec`] | an authorised [`policy::Plan`] becomes an [`exec::Outcome`] |
//! | F3 | [`sandbox`] | what the kernel holds: users, capabilities |
//! | F2 | [`policy`] | TOML to [`policy::Policy`]; a command line to a plan or a denial |
//! | F1 | [`command`] | an array of words to a [`command::CommandLine`] |
//! | F0 | [`vocab`] | words that two floors need |
//!
//! What holds everywhere, checked by `tests/architecture.rs` where a machine can:
//!
//! - [`command`] and [`policy`] do no I/O: what they need of the host is handed in as [`policy::Host`].
//! - Only [`policy`] makes a [`policy::Plan`]; the executor only reads one back.
//! - Only `exec` starts processes, and only its executor side starts commands.
//! - Only [`sandbox`] changes the identity and the privileges of this process.
//! - Nothing above [`vocab::Secret`] can print a secret.
//! - Metrics and audit events are written in [`http`] only; lower floors return facts.

pub mod command;
pub mod daemon;
pub mod exec;
pub mod http;
pub mod policy;
pub mod sandbox;
pub mod tools;
pub mod vocab;
