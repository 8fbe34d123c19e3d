//! What systemd is told (`sd_notify(3)`), and whether it is there to listen.
//!
//! The variables that say so reach no other process: the executor is started with an empty environment.

use std::env;
use std::io::IsTerminal;
use std::time::Duration;

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

/// Another policy is loaded; [`ready_again`] follows. The time lets systemd tell which reload that belongs to.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd cannot be told of the reload"),
    }
}

/// The reload is over, whatever came of it.
pub fn ready_again() {
    send(&[NotifyState::Ready]);
}

/// What people read in `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// How often systemd wants to be told that all is well, if it does (`WatchdogSec=`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// All is well.
pub fn well() {
    send(&[NotifyState::Watchdog]);
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
