//! One call of a tool: found, admitted, done, put on record. Not the protocol: this is the same in both eras.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::audit::{Event, NO_TOOL};
use super::budget::{Budget, Exhausted, REFUSED_AFTER};
use super::door::Door;
use super::redact;
use super::running::{Call, OPERATOR};
use super::trace::Trace;
use crate::exec::{Stop, Watch};
use crate::policy::{Principal, ToolGrant};
use crate::tools::{self, Account, Context, Decision, Entry, Reply};
use crate::vocab::Secret;

/// Who makes a request. Put into it by [`super::auth`], and by nobody else.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub principal: Principal,
    /// The key that it presented: for nothing but to keep it out of the record.
    pub key: Option<Secret>,
    pub address: IpAddr,
    pub request_id: Arc<str>,
    /// Where the request stands in a trace of its caller's.
    pub trace: Option<Trace>,
}

impl Caller {
    /// The same, to be kept for longer than a call.
    pub(super) fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }
}

/// What became of a call.
#[derive(Debug, PartialEq)]
pub(super) enum Called {
    /// It was answered.
    Answered(Reply),
    /// There is no such tool, or not for this caller: which of the two is not told.
    Unknown,
    /// The tool broke down.
    Panicked,
}

impl Door {
    /// Calls a tool, in view of `watch`. One event is put on record, whatever happens.
    pub(super) async fn call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: Map<String, Value>,
        watch: Watch,
        cancelled: CancellationToken,
    ) -> Called {
        let begun = Instant::now();
        let Some((entry, grant)) = tools::find(name).zip(caller.principal.grant().tool(name)) else {
            let account = Reply::refused(NO_TOOL, "").account;
            self.metrics.denied(NO_TOOL);
            // A key is looked for before a cut can make it unrecognisable.
            let shown: String = redact::redacted(name, caller.key.as_ref()).chars().take(128).collect();
            self.put_on_record(caller, &shown, &account, begun);
            return Called::Unknown;
        };

        let _running = self.calls.token();
        let listed = self.running.list(caller, entry.name, watch);
        let _in_flight = self.metrics.begins(entry.name);
        let mut recorded = Recorded { door: self, caller, tool: entry.name, begun, account: abandoned() };
        let reply = self.reply(listed.call(), entry, grant, arguments, cancelled);
        let (account, ended) = match AssertUnwindSafe(reply).catch_unwind().await {
            Ok(mut reply) => (std::mem::take(&mut reply.account), Called::Answered(reply)),
            Err(_) => (panicked(), Called::Panicked),
        };
        recorded.account = Account { reason: account.reason.or(listed.call().reason()), ..account };
        ended
    }

    async fn reply(
        &self,
        call: &Arc<Call>,
        entry: &Entry,
        grant: ToolGrant,
        arguments: Map<String, Value>,
        cancelled: CancellationToken,
    ) -> Reply {
        if self.record.holds_calls() {
            let text = "no call is made while the record cannot be written: tell the operator of this host";
            return Reply::refused("record", text);
        }
        let caller = &call.caller;
        if self.lapse(caller).is_some() {
            return Reply::revoked();
        }
        let budget = self.budget(caller);
        if let Err(exhausted) = budget.count() {
            return refused(&exhausted, &mut self.stopped(call, cancelled)).await;
        }
        let turn = turn(Arc::clone(call), budget, self.stopped(call, cancelled.clone())).boxed();
        let (runner, watch) = (Arc::clone(&self.runner), call.watch.clone());
        entry
            .call(arguments, Context { grant, runner, turn, watch, stop: self.stopped(call, cancelled) })
            .await
    }

    /// Resolves when the call is to end: its caller has gone or taken it back, its permission was withdrawn, or
    /// kernos is stopping.
    fn stopped(&self, call: &Arc<Call>, cancelled: CancellationToken) -> BoxFuture<'static, Stop> {
        let (stop, ended) = (self.stop.clone(), Arc::clone(call).ended());
        let stopped = async move {
            tokio::select! {
                () = cancelled.cancelled() => Stop::Cancelled,
                () = stop.cancelled() => Stop::Shutdown,
                why = ended => why,
            }
        };
        stopped.boxed()
    }

    fn put_on_record(&self, caller: &Caller, tool: &str, account: &Account, begun: Instant) {
        let Caller { principal, key, address, request_id, trace } = caller;
        let event = Event::of_call(principal.name(), key.as_ref(), tool, account, begun.elapsed());
        let is_key = |id: &str| redact::has_key(id, key.as_ref());
        let trace = trace.as_ref().filter(|trace| !is_key(&trace.trace_id) && !is_key(&trace.parent_id));
        self.record.write(&event.at(*address, request_id).within(trace));
    }
}

/// A call that is counted and put on record when it ends: also when the runtime ends before it.
struct Recorded<'c> {
    door: &'c Door,
    caller: &'c Caller,
    tool: &'c str,
    begun: Instant,
    account: Account,
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        self.door.metrics.answered(self.tool, &self.account, self.begun.elapsed());
        self.door.put_on_record(self.caller, self.tool, &self.account, self.begun);
    }
}

/// The turn of a call among those of its key; the answer, if it is over before it comes.
async fn turn(
    call: Arc<Call>,
    budget: Arc<Budget>,
    mut stopped: BoxFuture<'static, Stop>,
) -> Result<OwnedSemaphorePermit, Reply> {
    let slot = tokio::select! {
        biased;
        why = &mut stopped => return Err(ended(why, &call)),
        slot = budget.slot() => slot,
    };
    match slot {
        Ok(slot) => {
            call.begin();
            Ok(slot)
        }
        Err(exhausted) => Err(refused(&exhausted, &mut stopped).await),
    }
}

/// The answer to a call that was ended before its turn came.
fn ended(why: Stop, call: &Call) -> Reply {
    match (why, call.reason()) {
        (Stop::Revoked, _) => Reply::revoked(),
        (_, Some(OPERATOR)) => Reply::stopped(OPERATOR),
        _ => Reply::cancelled(),
    }
}

/// The answer to a call that is too much, after a moment.
async fn refused(exhausted: &Exhausted, stopped: &mut BoxFuture<'static, Stop>) -> Reply {
    let _ = timeout(REFUSED_AFTER, stopped).await;
    Reply::refused(exhausted.code(), exhausted.to_string())
}

/// What is said of a call that nobody is left to answer; what it had started is ended with it.
fn abandoned() -> Account {
    Account {
        decision: Decision::Allowed,
        reason: Some("abandoned"),
        outcome: "cancelled",
        ..Account::default()
    }
}

fn panicked() -> Account {
    Account { decision: Decision::Allowed, outcome: "panicked", ..Account::default() }
}
