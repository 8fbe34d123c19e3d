//! An authorised [`crate::policy::Plan`] becomes an [`Outcome`].
//!
//! Two sides, two processes. The daemon's side ([`Executor`]) hands a plan over, writes standard input and
//! keeps the output. The [`executor`] process confines itself and starts the programs: it is the only code of
//! kernos that does. Between them are the messages of `protocol`, sent over the sockets of [`wire`].
//!
//! Nothing is judged here: whoever holds a plan may run it.

mod capture;
mod client;
pub mod executor;
mod meter;
mod outcome;
mod pool;
mod protocol;
mod streams;
mod watch;
pub mod wire;

pub use client::{Error, Executor, Launched};
pub use outcome::{Captured, Ended, Outcome, StageEnd, StageOutcome, Stop, Usage};
pub use watch::{Line, Source, Watch};
