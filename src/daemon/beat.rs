//! What a daemon does by itself each second: withdraws what has expired, tells systemd how much is going on, and, where
//! systemd watches over it, that all is well; now and then it gives back memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval, timeout};

use super::reload::Steward;
use super::{memory, notify};
use crate::exec::Executor;

/// Fast enough for whoever looks at `systemctl status`, and for a key that expires.
const BEAT: Duration = Duration::from_secs(1);

/// Free memory goes back at every tenth beat: that takes 50 µs of an idle daemon, and 6 ms where 60 MiB are free.
const GIVES_BACK: u64 = 10;

/// Beats for as long as it is polled.
///
/// It is a task of the runtime, so that it stands still if the runtime does.
pub async fn beat(steward: Arc<Steward>, executor: Arc<Executor>) {
    let mut watchdog = Watchdog::asked_for();
    let mut told = String::new();
    let mut beats = interval(BEAT);
    for count in 0_u64.. {
        beats.tick().await;
        steward.door.revoke();
        let status = steward.status();
        if status != told && notify::status(&status) {
            told = status;
        }
        if let Some(watchdog) = &mut watchdog {
            watchdog.look(&executor).await;
        }
        if count.is_multiple_of(GIVES_BACK) {
            memory::give_back();
        }
    }
}

/// The watchdog of systemd (`WatchdogSec=`), as long as the executor answers.
struct Watchdog {
    /// Half of the time in which systemd wants to hear from us (`sd_watchdog_enabled(3)`).
    period: Duration,
    due: Instant,
}

impl Watchdog {
    fn asked_for() -> Option<Self> {
        notify::watchdog().map(|most| Self { period: most / 2, due: Instant::now() })
    }

    /// Tells that all is well, if that is due and true.
    async fn look(&mut self, executor: &Executor) {
        // A beat earlier rather than a beat too late.
        if Instant::now() + BEAT < self.due {
            return;
        }
        match timeout(self.period / 2, executor.probe()).await {
            Ok(Ok(())) => {
                if notify::well() {
                    self.due = Instant::now() + self.period;
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the executor cannot serve: systemd is not told that all is well");
            }
            Err(_) => {
                tracing::error!("the executor does not answer: systemd is not told that all is well");
            }
        }
    }
}
