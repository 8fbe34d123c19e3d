//! What a call spends, for whoever asks while it runs.

use tokio::sync::Notify;
use tokio::sync::watch::Sender;

use super::outcome::Usage;

/// Where a question about a running call meets its answer.
#[derive(Debug)]
pub(super) struct Meter {
    asked: Notify,
    told: Sender<Usage>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { asked: Notify::new(), told: Sender::new(Usage::default()) }
    }
}

impl Meter {
    /// What has been spent so far. It waits for as long as the call does not run.
    pub(super) async fn read(&self) -> Usage {
        let mut told = self.told.subscribe();
        self.asked.notify_one();
        // The sender is ours: it is there for as long as we are.
        let _ = told.changed().await;
        *told.borrow()
    }

    /// Returns when somebody has asked.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    pub(super) fn tell(&self, usage: Usage) {
        self.told.send_replace(usage);
    }
}
