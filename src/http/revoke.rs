//! Another policy in the place of the one that is served, and the end of what it, or the time, no longer permits.
//!
//! Running calls finish under the policy that admitted them. Those of a key that was removed, has expired or was
//! narrowed end at once, and so do its sessions.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
    /// Serves another policy from now on, with what of it is not held, and tells how many running calls that ended.
    pub async fn replace_policy(self: &Arc<Self>, policy: Policy, gaps: Vec<String>) -> usize {
        self.metrics.gaps(gaps.len());
        self.serve(Served::new(Arc::new(policy), gaps));
        self.revoke().await
    }

    /// Ends the calls and the sessions of whoever would not be let in any more, and tells how many calls.
    ///
    /// To be called now and then: a key expires by itself.
    pub async fn revoke(self: &Arc<Self>) -> usize {
        let (ended, sessions) = self.review();
        if sessions.is_empty() {
            return ended.len();
        }
        let answered = async {
            while ended.iter().any(|call| self.running.lists(call.id)) {
                tokio::time::sleep(LOOK).await;
            }
            tokio::time::sleep(LOOK).await;
        };
        let _ = tokio::time::timeout(ANSWER, answered).await;
        for id in sessions {
            self.sessions.end(&id).await;
        }
        ended.len()
    }

    /// Ends those calls, takes those sessions from their owners, and names both.
    fn review(&self) -> (Vec<Arc<Call>>, Vec<Arc<str>>) {
        let policy = self.policy();
        let review = policy.access().review(SystemTime::now());
        let lapse = |caller: &Caller| review.reaffirm(&caller.principal, caller.address).err();
        let mut ended = self.running.calls();
        ended.retain(|call| match lapse(&call.caller) {
            Some(lapse) => {
                call.end(Stop::Revoked, lapse.code());
                true
            }
            None => false,
        });
        (ended, self.sessions.disown(|caller| lapse(caller).is_some()))
    }

    /// Why this caller would not be let in any more, if so.
    pub(super) fn lapse(&self, caller: &Caller) -> Option<Lapse> {
        let policy = self.policy();
        policy.access().reaffirm(&caller.principal, caller.address, SystemTime::now()).err()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::exec::Watch;
    use crate::http::budget::Terms;
    use crate::http::call::Called;
    use crate::http::testing::{House, alice, answer, initialize, legacy, modern, policy};
    use crate::tools::Reply;

    /// Alice's call in the newer era, once it runs.
    async fn sleeping(house: &House) -> JoinHandle<Value> {
        let call = json!({"name": "shell_execute", "arguments": {"command": ["sleep"]}});
        let request = modern("alice's key", "tools/call", call);
        let router = house.at_home(request);
        let before = house.door.running.calls().len();
        let call = tokio::spawn(async move { answer(router.await).await.1 });
        while house.door.running.calls().len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        call
    }

    #[tokio::test]
    async fn a_call_finishes_under_the_policy_that_admitted_it() {
        let house = House::new();
        let call = sleeping(&house).await;
        let wider = alice().replace("profile", "expires = 2099-01-01\nprofile");
        assert_eq!(house.door.replace_policy(policy(&wider), vec![]).await, 0);
        assert!(!call.is_finished());
        assert_eq!(house.door.running.calls().len(), 1);
        call.abort();
    }

    #[tokio::test]
    async fn the_calls_and_the_sessions_of_a_key_that_may_less_end_at_once() {
        let house = House::new();
        let opened = house.send(legacy("alice's key", None, &initialize())).await;
        let id = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let call = sleeping(&house).await;
        let waiting = sleeping(&house).await;
        let narrower = alice().replace("\"dev\"", "\"none\"");
        assert_eq!(house.door.replace_policy(policy(&narrower), vec![]).await, 2);
        let call = call.await.unwrap();
        let ran = &call["result"]["structuredContent"];
        assert_eq!((&ran["ended"], &ran["stdout"]), (&json!("revoked"), &json!("so far\n")));
        let waiting = waiting.await.unwrap();
        let text = waiting["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("nothing ran"), "{text}");
        let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
        assert_eq!(house.send(legacy("alice's key", Some(&id), &ping)).await.status(), 404);
        assert!(house.measured().contains("kernos_sessions 0\n"));
    }

    #[tokio::test]
    async fn the_budget_of_a_key_is_kept_as_long_as_the_key() {
        let house = House::new();
        let terms = Terms { rate: None, concurrent: 1 };
        let budget = house.door.budgets.of("alice", terms);
        for (tables, holders) in [(alice(), 2), (String::new(), 1)] {
            house.door.replace_policy(policy(&tables), vec![]).await;
            assert_eq!(Arc::strong_count(&budget), holders, "{tables}");
        }
    }

    #[tokio::test]
    async fn a_key_that_expires_by_itself_ends_what_it_runs() {
        let soon = SystemTime::now() + Duration::from_secs(2);
        let soon = jiff::Timestamp::try_from(soon).unwrap().strftime("%Y-%m-%dT%H:%M:%SZ");
        let house = House::with(&alice().replace("profile", &format!("expires = {soon}\nprofile")));
        let call = sleeping(&house).await;
        assert_eq!(house.door.revoke().await, 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(house.door.revoke().await, 1);
        assert_eq!(call.await.unwrap()["result"]["structuredContent"]["ended"], "revoked");
    }

    #[tokio::test]
    async fn a_call_that_was_let_in_before_and_begins_after_does_not_run() {
        let house = House::new();
        let caller = crate::http::testing::caller(&house.door.policy(), "alice's key");
        house.door.replace_policy(policy(""), vec![]).await;
        let Value::Object(arguments) = json!({"command": ["echo"]}) else { unreachable!() };
        let (watch, stop) = (Watch::default(), tokio_util::sync::CancellationToken::new());
        let answer = house.door.call(&caller, "shell_execute", arguments, watch, stop).await;
        let Called::Answered(reply) = answer else {
            unreachable!("no call of an unknown tool, and no panic")
        };
        assert_eq!(reply.text, Reply::revoked().text);
    }
}
