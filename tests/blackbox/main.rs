//! The real binary from outside: started as an operator starts it, called as an agent calls it.
//!
//! Not a second copy of the unit tests: nothing here reaches into the crate. Tests that need root or a program
//! that a bare system lacks are ignored with the reason, and `.ci/run` runs them.
#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "a literal of `json!` reads best when handed over as it is"
)]
#![allow(clippy::format_collect, reason = "a test is not in a hurry")]

mod client;
mod daemon;
mod log;
mod policy;
mod processes;

mod audit;
mod boot;
mod calls;
mod cancelling;
mod command_line;
mod defects;
mod door;
mod ending;
mod eras;
mod import;
mod journal;
mod keys;
mod probes;
mod programs;
mod progress;
mod refusals;
mod reload;
mod secrets;
mod service;
mod stalled;
mod tls;
mod users;
mod welcome;
mod wire;
