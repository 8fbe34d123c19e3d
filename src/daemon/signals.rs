//! The signals that a service gets.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Error;
use super::reload::Steward;

/// Those that mean something.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes them from now on.
    pub fn install() -> Result<Self, Error> {
        let installed =
            |kind| signal(kind).map_err(|source| Error::System { doing: "handle a signal", source });
        Ok(Self {
            terminate: installed(SignalKind::terminate())?,
            interrupt: installed(SignalKind::interrupt())?,
            hangup: installed(SignalKind::hangup())?,
        })
    }

    /// Returns when kernos is to stop. Until then it loads the policy again on each SIGHUP.
    pub async fn until_told_to_stop(&mut self, steward: &Steward) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {}
            }
            if steward.reread().await.is_none() {
                // There is no file: its terminal is gone.
                return "SIGHUP";
            }
        }
    }
}
