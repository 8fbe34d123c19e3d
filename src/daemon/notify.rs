//! What systemd is told (`sd_notify(3)`), and whether it is there to listen.
//!
//! A thread of its own tells it, one thing after another: the socket has room for few of them, and who sends more waits
//! until systemd reads. Whoever has something to tell does not.
//!
//! The variables that say so reach no other process: the executor is started with an empty environment.

use std::env;
use std::io::{self, IsTerminal};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;

type Telling = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// The thread that tells. It begins with the first word, when privileges, which are a thread's own, are dropped.
static TELLER: LazyLock<Sender<Telling>> = LazyLock::new(teller);

/// What has not been told yet.
static UNTOLD: AtomicUsize = AtomicUsize::new(0);

/// Whether this process is a service of systemd.
///
/// A terminal of a desktop is a service too, and hands `INVOCATION_ID` down to its shells; but a service has no terminal.
pub fn under_systemd() -> bool {
    let set = |name| env::var_os(name).is_some();
    set("NOTIFY_SOCKET") || (set("INVOCATION_ID") && !std::io::stderr().is_terminal())
}

/// Calls are served from now on.
pub fn ready(status: String) {
    send(move || sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)]));
}

/// Another policy is loaded; [`ready`] follows, whatever came of it. The time lets systemd tell which reload that
/// belongs to.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    send(|| sd_notify::notify(&[NotifyState::Reloading, now?]));
}

/// What people read in `systemctl status`; false if that is not told, because systemd does not listen just now.
pub fn status(status: &str) -> bool {
    let status = status.to_owned();
    send_unless_late(move || sd_notify::notify(&[NotifyState::Status(&status)]))
}

/// How often systemd wants to be told that all is well, if it does (`WatchdogSec=`).
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// All is well; false if that is not told, because systemd does not listen just now.
pub fn well() -> bool {
    send_unless_late(|| sd_notify::notify(&[NotifyState::Watchdog]))
}

/// No more calls are taken; those that run are waited for.
pub fn stopping(status: &'static str) {
    send(move || sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status(status)]));
}

/// What comes each second must not pile up, nor be told when it is no longer true.
fn send_unless_late(telling: impl FnOnce() -> io::Result<()> + Send + 'static) -> bool {
    let in_time = UNTOLD.load(Ordering::Relaxed) == 0;
    if in_time {
        send(telling);
    }
    in_time
}

fn send(telling: impl FnOnce() -> io::Result<()> + Send + 'static) {
    UNTOLD.fetch_add(1, Ordering::Relaxed);
    if TELLER.send(Box::new(telling)).is_err() {
        tracing::warn!("systemd cannot be notified: there is no thread for it");
    }
}

fn teller() -> Sender<Telling> {
    let (sender, tellings) = channel::<Telling>();
    let tell = move || {
        for telling in tellings {
            if let Err(error) = telling() {
                tracing::warn!(%error, "systemd cannot be notified");
            }
            UNTOLD.fetch_sub(1, Ordering::Relaxed);
        }
    };
    if let Err(error) = thread::Builder::new().name("notify".to_owned()).spawn(tell) {
        tracing::warn!(%error, "there is no thread that notifies systemd");
    }
    sender
}
