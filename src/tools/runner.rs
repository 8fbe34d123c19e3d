//! Where plans are run: the executor, or a stand-in in tests.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::exec::{self, Executor, Outcome, Stop, Watch};
use crate::policy::Plan;

/// Runs authorised command lines.
pub trait Runner: Send + Sync {
    /// Runs a plan to its end, in view of `watch`. When `stop` says so it ends early, and what was read until then is
    /// kept.
    ///
    /// Dropping the future ends the call too.
    fn run(
        &self,
        plan: Plan,
        stdin: Vec<u8>,
        watch: Watch,
        stop: BoxFuture<'static, Stop>,
    ) -> BoxFuture<'_, Result<Outcome, exec::Error>>;

    /// Whether plans can be run at all.
    fn serves(&self) -> bool;
}

impl Runner for Executor {
    fn run(
        &self,
        plan: Plan,
        stdin: Vec<u8>,
        watch: Watch,
        stop: BoxFuture<'static, Stop>,
    ) -> BoxFuture<'_, Result<Outcome, exec::Error>> {
        Self::run(self, plan, stdin, watch, stop).boxed()
    }

    fn serves(&self) -> bool {
        self.gone().now_or_never().is_none()
    }
}
