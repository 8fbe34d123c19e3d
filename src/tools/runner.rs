//! Where plans are run: the executor, or a stand-in in tests.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::exec::{self, Executor, Outcome, Stop};
use crate::policy::Plan;

/// Runs authorised command lines.
pub trait Runner: Send + Sync {
    /// Runs a plan to its end. When `stop` says so it ends early, and what was read until then is kept.
    ///
    /// Dropping the future ends the call too.
    fn run(
        &self,
        plan: Plan,
        stdin: Vec<u8>,
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
        stop: BoxFuture<'static, Stop>,
    ) -> BoxFuture<'_, Result<Outcome, exec::Error>> {
        Self::run(self, plan, stdin, stop).boxed()
    }

    fn serves(&self) -> bool {
        self.gone().now_or_never().is_none()
    }
}
