//! What every request shares: the policy of the moment, the runner, the record, the measures.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::Budgets;
use super::metrics::{Build, Metrics};
use super::record::Record;
use super::refusals::Refusals;
use super::running::Running;
use super::sessions::Sessions;
use super::tls;
use crate::policy::Policy;
use crate::tools::Runner;

/// What serving starts from.
pub struct Parts {
    /// The policy; [`Door::replace_policy`] takes another one later.
    pub policy: Arc<Policy>,
    /// Where command lines are run.
    pub runner: Arc<dyn Runner>,
    /// Where decisions are put on record.
    pub record: Record,
    /// What this is, for the metrics.
    pub build: Build,
    /// The addresses that are listened on: whoever names one of them as Host means us.
    pub listening: Vec<SocketAddr>,
    /// What the policy asks for and is not held, one sentence each, as `/ready` shows them.
    pub gaps: Vec<String>,
}

/// The policy of a moment, and what of it is not held, one sentence each.
pub(super) struct Served {
    policy: Arc<Policy>,
    gaps: Vec<String>,
    tls: Option<TlsAcceptor>,
}

impl Served {
    pub(super) fn new(policy: Arc<Policy>, gaps: Vec<String>) -> Self {
        let acceptor = |tls| tls::acceptor(tls).expect("the host has tried it while the policy was compiled");
        Self { tls: policy.server().tls.as_ref().map(acceptor), policy, gaps }
    }
}

/// The state behind every route.
pub struct Door {
    served: RwLock<Served>,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) record: Record,
    pub(super) metrics: Metrics,
    pub(super) budgets: Budgets,
    pub(super) refusals: Refusals,
    pub(super) listening: Vec<SocketAddr>,
    pub(super) running: Running,
    pub(super) sessions: Arc<Sessions>,
    /// Whether the last policy that was to be served is not.
    pub(super) reload_refused: AtomicBool,
    /// Calls that run, so that a drain can wait for them.
    pub(super) calls: TaskTracker,
    /// Answers that are on their way, so that a drain does not cut them.
    pub(super) answers: TaskTracker,
    /// Ends every call.
    pub(super) stop: CancellationToken,
    /// Ends every stream that is left.
    pub(super) close: CancellationToken,
}

impl Door {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { policy, runner, record, build, listening, gaps } = parts;
        let environment = policy.server().environment.clone();
        let metrics = Metrics::new(&build, environment, &record, gaps.len());
        metrics.names(&policy);
        Arc::new(Self {
            served: RwLock::new(Served::new(policy, gaps)),
            runner,
            sessions: Arc::new(Sessions::new(metrics.sessions.clone())),
            metrics,
            record,
            budgets: Budgets::default(),
            refusals: Refusals::default(),
            listening,
            running: Running::default(),
            reload_refused: AtomicBool::new(false),
            calls: TaskTracker::new(),
            answers: TaskTracker::new(),
            stop: CancellationToken::new(),
            close: CancellationToken::new(),
        })
    }

    /// The policy of this moment. What a call may do is judged by the one that identified its caller, which
    /// the principal holds.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner).policy)
    }

    /// Notes whether another policy, which was to be served, is.
    pub fn note_reload(&self, served: bool) {
        self.reload_refused.store(!served, Ordering::Relaxed);
        self.metrics.reloaded(served);
    }

    /// Whether what was to be served last is not.
    pub fn has_refused_reload(&self) -> bool {
        self.reload_refused.load(Ordering::Relaxed)
    }

    /// How many calls and how many sessions there are.
    pub fn load(&self) -> (usize, usize) {
        (self.calls.len(), self.sessions.len())
    }

    /// What of the policy is not held.
    pub(super) fn gaps(&self) -> Vec<String> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).gaps.clone()
    }

    /// What opens the next connection; `None` where the policy has no certificate.
    pub(super) fn tls(&self) -> Option<TlsAcceptor> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).tls.clone()
    }

    /// Takes another policy for all requests, and its certificate for all connections, from now on.
    pub(super) fn serve(&self, served: Served) {
        self.metrics.names(&served.policy);
        self.budgets.keep(served.policy.access());
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = served;
    }

    /// Whether the drain has begun.
    pub(super) fn is_stopping(&self) -> bool {
        self.calls.is_closed()
    }
}
