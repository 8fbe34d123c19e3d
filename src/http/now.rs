//! The calls of this moment as an operator sees them, and the end of one of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::door::Door;
use super::redact::redacted;
use super::running::{Call, OPERATOR};
use crate::exec::{Stop, Usage};

/// A worker answers in moments unless it is being killed.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a call that is stopped is given to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A call that runs, or waits for its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallNow {
    /// Its number.
    pub call: u64,
    /// Whose key it is.
    pub key: String,
    /// Whether its turn has come.
    pub state: CallState,
    /// The tool.
    pub tool: String,
    /// The words of its command; none before it is judged.
    pub command: Option<Vec<String>>,
    /// Seconds since it came.
    pub age: f64,
    /// Seconds of processor time of all its processes; none where it waits, or has not said in time, as the next two.
    pub cpu: Option<f64>,
    /// Bytes that its processes have in memory.
    pub memory: Option<u64>,
    /// How many processes it has.
    pub processes: Option<u64>,
    /// Where it came from.
    pub from: IpAddr,
    /// As which request it is on record.
    pub request_id: String,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    /// It waits for its turn among the calls of its key.
    Waiting,
    /// It runs.
    Running,
}

/// What became of the order to stop a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stopped {
    /// No process of it is left.
    Gone,
    /// It was told to end and has not yet.
    Ending,
    /// There is no such call, or no more.
    Unknown,
}

impl Door {
    /// The calls of this moment, the oldest first.
    pub async fn calls_now(&self) -> Vec<CallNow> {
        // Of one moment, however long one of them takes to say what it spends.
        let now = Instant::now();
        join_all(self.running.calls().into_iter().map(|call| shown(call, now))).await
    }

    /// Ends a call.
    pub async fn stop_call(&self, id: u64) -> Stopped {
        let Some(call) = self.running.call(id) else { return Stopped::Unknown };
        call.end(Stop::Cancelled, OPERATOR);
        let gone = async {
            while self.running.lists(id) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(GONE_WITHIN, gone).await.is_ok() { Stopped::Gone } else { Stopped::Ending }
    }
}

async fn shown(call: Arc<Call>, now: Instant) -> CallNow {
    let plain = |word: &str| redacted(word, call.caller.key.as_ref());
    let state = if call.runs() { CallState::Running } else { CallState::Waiting };
    let usage: Option<Usage> = match state {
        // It would be silent for as long as it waits.
        CallState::Waiting => None,
        CallState::Running => timeout(PATIENCE, call.watch.usage()).await.ok(),
    };
    CallNow {
        call: call.id,
        key: call.caller.principal.name().to_owned(),
        state,
        tool: call.tool.to_owned(),
        command: call.watch.command().map(|words| words.iter().map(|word| plain(word)).collect()),
        age: now.saturating_duration_since(call.begun).as_secs_f64(),
        cpu: usage.map(|usage| usage.cpu.as_secs_f64()),
        memory: usage.map(|usage| usage.memory),
        processes: usage.map(|usage| usage.processes),
        from: call.caller.address,
        request_id: call.caller.request_id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::exec::Watch;
    use crate::http::testing::{House, caller};

    #[tokio::test]
    async fn whose_call_the_operator_ends_is_told_so_also_where_it_had_not_begun() {
        let house = House::new();
        let (running, waiting) = (house.sleeping().await, house.sleeping().await);
        assert_eq!(house.door.stop_call(2).await, Stopped::Gone);
        let refused = &waiting.await.unwrap()["result"];
        assert_eq!(
            (&refused["isError"], &refused["content"][0]["text"]),
            (
                &json!(true),
                &json!("the operator of this host ended the call before its turn came: nothing ran")
            )
        );
        assert_eq!(house.door.stop_call(1).await, Stopped::Gone);
        assert_eq!(running.await.unwrap()["result"]["structuredContent"]["ended"], "cancelled");
        assert_eq!(house.door.stop_call(1).await, Stopped::Unknown);
    }

    #[tokio::test]
    async fn only_a_call_that_runs_is_asked_what_it_spends() {
        let house = House::new();
        let caller = caller(&house.door.policy(), "alice's key");
        let list = || house.door.running.list(&caller, "shell_execute", Watch::default());
        let (waiting, running) = (list(), list());
        assert_eq!(
            house.door.calls_now().now_or_never().map(|calls| calls.len()),
            Some(2),
            "none has to be waited for"
        );
        running.call().begin();
        let calls = house.door.calls_now().await;
        let states: Vec<_> = calls.iter().map(|call| (call.call, call.state, call.cpu)).collect();
        assert_eq!(states, [(1, CallState::Waiting, None), (2, CallState::Running, None)]);
        // The one that runs was asked, and is silent; their ages are of before that.
        let since = waiting.call().begun.elapsed().saturating_sub(PATIENCE).as_secs_f64();
        assert!(calls.iter().all(|call| call.age <= since), "{since}: {calls:?}");
    }
}
