//! Plans run by a real executor process: streams, statuses, redirections, and nothing left behind.
//!
//! As root the executor becomes another user, as in production; otherwise it stays who it is.

mod deaths;
mod endings;
mod pace;
mod programs;
mod redirections;
mod streams;
mod support;
