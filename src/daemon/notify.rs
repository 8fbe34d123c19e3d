//! What systemd is told (`sd_notify(3)`), and whether it is there to listen.
//!
//! The variables that say so reach no other process: the executor is started with an empty environment.

use std::env;
use std::io::IsTerminal;

use sd_notify::NotifyState;

/// Whether this process is a service of systemd.
///
/// A terminal of a desktop is a service too, and hands `INVOCATION_ID` down to its shells; but a service has no terminal.
pub fn under_systemd() -> bool {
    let set = |name| env::var_os(name).is_some();
    set("NOTIFY_SOCKET") || (set("INVOCATION_ID") && !std::io::stderr().is_terminal())
}

/// Calls are served from now on.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// No more calls are taken; those that run are waited for.
pub fn stopping(status: &str) {
    send(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be notified");
    }
}
