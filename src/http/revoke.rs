//! Another policy in the place of the one that is served, and the end of what it, or the time, no longer permits.
//!
//! Running calls finish under the policy that admitted them. Those of a key that was removed, has expired or was
//! narrowed end at once, and so do its sessions.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::join_all;

use super::call::Caller;
use super::door::{Door, Served};
use super::running::Call;
use crate::exec::Stop;
use crate::policy::{Lapse, Policy};

/// What calls that were ended are given to answer before the sessions that carry their answers are closed: their
/// processes are killed, which takes moments.
const ANSWER: Duration = Duration::from_secs(2);

/// How often it is asked whether they have.
const LOOK: Duration = Duration::from_millis(20);

impl Door {
    /// Serves another policy from now on, with what of it is not held, and tells how many calls were told to end.
    pub fn replace_policy(self: &Arc<Self>, policy: Policy, gaps: Vec<String>) -> usize {
        self.metrics.gaps(gaps.len());
        self.serve(Served::new(Arc::new(policy), gaps));
        self.revoke()
    }

    /// Tells the calls of whoever would not be let in any more to end, takes their sessions from them, and tells how
    /// many calls. Neither is waited for.
    ///
    /// To be called now and then: a key expires by itself.
    pub fn revoke(self: &Arc<Self>) -> usize {
        let policy = self.policy();
        let review = policy.access().review(SystemTime::now());
        let lapse = |caller: &Caller| review.reaffirm(&caller.principal, caller.address).err();
        let (mut ending, mut told) = (Vec::new(), 0);
        for call in self.running.calls() {
            if let Some(lapse) = lapse(&call.caller) {
                told += usize::from(call.end(Stop::Revoked, lapse.code()));
                ending.push(call);
            }
        }
        let sessions = self.sessions.disown(|caller| lapse(caller).is_some());
        if !sessions.is_empty() {
            tokio::spawn(Arc::clone(self).end_sessions(sessions, ending));
        }
        told
    }

    /// Ends sessions once the calls whose answers they may carry have had their time.
    async fn end_sessions(self: Arc<Self>, sessions: Vec<Arc<str>>, calls: Vec<Arc<Call>>) {
        let answered = async {
            while calls.iter().any(|call| self.running.lists(call.id)) {
                tokio::time::sleep(LOOK).await;
            }
            tokio::time::sleep(LOOK).await;
        };
        let _ = tokio::time::timeout(ANSWER, answered).await;
        join_all(sessions.iter().map(|id| self.sessions.end(id))).await;
    }

    /// Why this caller would not be let in any more, if so.
    pub(super) fn lapse(&self, caller: &Caller) -> Option<Lapse> {
        let policy = self.policy();
        policy.access().reaffirm(&caller.principal, caller.address, SystemTime::now()).err()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures::{FutureExt, stream};
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::exec::Watch;
    use crate::http::budget::Terms;
    use crate::http::call::Called;
    use crate::http::testing::{House, alice, answer, initialize, legacy, modern, policy};
    use crate::tools::Reply;

    #[tokio::test]
    async fn a_call_finishes_under_the_policy_that_admitted_it() {
        let house = House::new();
        let call = house.sleeping().await;
        let wider = alice().replace("profile", "expires = 2099-01-01\nprofile");
        assert_eq!(house.door.replace_policy(policy(&wider), vec![]), 0);
        assert!(!call.is_finished());
        assert_eq!(house.door.running.calls().len(), 1);
        call.abort();
    }

    #[tokio::test]
    async fn the_calls_and_the_sessions_of_a_key_that_may_less_end_at_once() {
        let house = House::new();
        let opened = house.send(legacy("alice's key", None, &initialize())).await;
        let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let call = house.sleeping().await;
        let waiting = house.sleeping().await;
        let narrower = alice().replace("\"dev\"", "\"none\"");
        assert_eq!(house.door.replace_policy(policy(&narrower), vec![]), 2);
        let call = call.await.unwrap();
        let ran = &call["result"]["structuredContent"];
        assert_eq!((&ran["ended"], &ran["stdout"]), (&json!("revoked"), &json!("so far\n")));
        let waiting = waiting.await.unwrap();
        let text = waiting["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("nothing ran"), "{text}");
        let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
        assert_eq!(house.send(legacy("alice's key", Some(&id), &ping)).await.status(), 404);
        while !house.measured().contains("kernos_sessions 0\n") {
            tokio::time::sleep(LOOK).await;
        }
    }

    #[tokio::test]
    async fn a_call_that_does_not_end_holds_up_neither_who_revoked_it_nor_the_end_of_its_session() {
        let house = House::new();
        let opened = house.send(legacy("alice's key", None, &initialize())).await;
        assert!(opened.status().is_success());
        let caller = crate::http::testing::caller(&house.door.policy(), "alice's key");
        let _stays = house.door.running.list(&caller, "shell_execute", Watch::default());
        let narrower = policy(&alice().replace("\"dev\"", "\"none\""));
        let begun = std::time::Instant::now();
        assert_eq!(house.door.replace_policy(narrower, vec![]), 1);
        assert!(begun.elapsed() < ANSWER / 2, "{:?}", begun.elapsed());
        assert_eq!(house.door.revoke(), 0, "it was told before");
        while !house.measured().contains("kernos_sessions 0\n") {
            tokio::time::sleep(LOOK).await;
        }
    }

    #[tokio::test]
    async fn the_budget_of_a_key_is_kept_as_long_as_the_key() {
        let house = House::new();
        let terms = Terms { rate: None, concurrent: 1 };
        let budget = house.door.budgets.of("alice", terms);
        for (tables, holders) in [(alice(), 2), (String::new(), 1)] {
            house.door.replace_policy(policy(&tables), vec![]);
            assert_eq!(Arc::strong_count(&budget), holders, "{tables}");
        }
    }

    #[tokio::test]
    async fn a_key_that_expires_by_itself_ends_what_it_runs() {
        let soon = SystemTime::now() + Duration::from_secs(2);
        let soon = jiff::Timestamp::try_from(soon).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ");
        let house = House::with(&alice().replace("profile", &format!("expires = {soon}\nprofile")));
        let call = house.sleeping().await;
        assert_eq!(house.door.revoke(), 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(house.door.revoke(), 1);
        assert_eq!(call.await.unwrap()["result"]["structuredContent"]["ended"], "revoked");
    }

    #[tokio::test]
    async fn a_list_whose_request_ends_after_its_key_was_taken_away_is_not_told() {
        let house = House::new();
        let (parts, body) = modern("alice's key", "tools/list", json!({})).into_parts();
        let whole = body.collect().await.unwrap().to_bytes();
        let (rest, comes) = tokio::sync::oneshot::channel::<()>();
        let late = stream::once(async { comes.await.map(|()| whole).map_err(axum::Error::new) });
        let mut list = Box::pin(house.at_home(http::Request::from_parts(parts, Body::from_stream(late))));
        assert!((&mut list).now_or_never().is_none());
        house.door.replace_policy(policy(""), vec![]);
        rest.send(()).unwrap();
        let (_, body) = answer(list.await).await;
        assert_eq!(body["error"]["message"], "Unauthorized: the key is not valid here any more");
    }

    #[tokio::test]
    async fn a_call_that_was_let_in_before_and_begins_after_does_not_run() {
        let house = House::new();
        let caller = crate::http::testing::caller(&house.door.policy(), "alice's key");
        house.door.replace_policy(policy(""), vec![]);
        let Value::Object(arguments) = json!({"command": ["echo"]}) else { unreachable!() };
        let (watch, stop) = (Watch::default(), tokio_util::sync::CancellationToken::new());
        let answer = house.door.call(&caller, "shell_execute", arguments, watch, stop).await;
        let Called::Answered(reply) = answer else {
            unreachable!("no call of an unknown tool, and no panic")
        };
        assert_eq!(reply.text, Reply::revoked().text);
    }
}
