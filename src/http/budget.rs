//! How often and how many at once, of calls and of requests: each key has its own budget.
//!
//! Calls beyond `concurrent` wait in a queue of a bounded length; what does not fit is refused in a moment, with
//! the limit named, because an agent that waits without knowing only tries again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::call::Caller;
use super::door::Door;
use super::pace::{Due, Pace};
use super::under_way::{self, Crowded, Load, UnderWay};
use crate::policy::{Access, Grant, Principal};

/// Waiting calls for each that runs: enough for a burst, few enough that the last one waits for four others.
const QUEUE: usize = 4;

/// Requests of one key under way, however few calls it may make at once: what is no call costs little.
const REQUESTS_LEAST: usize = 64;

/// What is too much is refused after this long: whoever then asks again at once, as programs do, would otherwise take
/// the processor from everybody else.
pub(super) const REFUSED_AFTER: Duration = Duration::from_millis(100);

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// How often.
    pub rate: Option<Pace>,
    /// Calls at once.
    pub concurrent: usize,
}

/// Why a call must wait, in words for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exhausted {
    /// Too many calls in the time.
    #[error("this key may make {} calls in {}: try again in {}", .pace.count, seconds(.pace.per), seconds(*.again))]
    Rate { pace: Pace, again: Duration },
    /// The queue is full too.
    #[error(
        "this key may run {concurrent} calls at once and have {queue} more waiting: try again when one has ended"
    )]
    Concurrent { concurrent: usize, queue: usize },
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_millis().div_ceil(1000))
}

impl Exhausted {
    /// As a label.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Rate { .. } => "rate",
            Self::Concurrent { .. } => "concurrent",
        }
    }
}

/// The budgets of all keys that were used and are in the policy.
#[derive(Debug, Default)]
pub(super) struct Budgets(Mutex<HashMap<String, Arc<Budget>>>);

/// The budget of one key.
#[derive(Debug)]
pub(super) struct Budget {
    terms: Terms,
    due: Mutex<Due>,
    slots: Arc<Semaphore>,
    requests: Arc<Load>,
    waiting: AtomicUsize,
}

impl Terms {
    /// What a grant says.
    pub(super) fn of(grant: &Grant) -> Self {
        Self {
            rate: grant.rate().map(|rate| Pace { count: rate.calls, per: rate.per }),
            concurrent: usize::try_from(grant.concurrent()).unwrap_or(usize::MAX),
        }
    }

    /// Requests at once: each call that may run or wait, and as many whose answers are on their way. A request whose
    /// answer nobody reads holds memory as one that runs does.
    fn requests(self) -> usize {
        let calls = self.concurrent.saturating_mul(1 + QUEUE);
        calls.saturating_mul(2).max(REQUESTS_LEAST)
    }
}

impl Budgets {
    /// The budget of a key; a fresh one where its terms have changed.
    pub(super) fn of(&self, key: &str, terms: Terms) -> Arc<Budget> {
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match budgets.get(key) {
            Some(budget) if budget.terms == terms => Arc::clone(budget),
            _ => {
                let budget = Arc::new(Budget::new(terms));
                budgets.insert(key.to_owned(), Arc::clone(&budget));
                budget
            }
        }
    }

    /// Forgets keys that are not in the policy any more. The others go on as they are: what a key has used, a reload
    /// does not give back.
    pub(super) fn keep(&self, access: &Access) {
        let names: HashSet<&str> = access.principals().map(Principal::name).collect();
        let mut budgets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.retain(|key, _| names.contains(key.as_str()));
    }
}

impl Door {
    /// The budget of a caller's key, by the terms of now: one of before a reload that changed them does not bring the
    /// old ones back, and with them a fresh allowance.
    pub(super) fn budget(&self, caller: &Caller) -> Arc<Budget> {
        let (policy, name) = (self.policy(), caller.principal.name());
        let grant = policy.access().principal(name).unwrap_or(&caller.principal).grant();
        self.budgets.of(name, Terms::of(grant))
    }
}

impl Budget {
    fn new(terms: Terms) -> Self {
        Self {
            terms,
            due: Mutex::new(Due::at_once(Instant::now())),
            slots: Arc::new(Semaphore::new(terms.concurrent.max(1))),
            requests: Load::of(terms.requests()),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Counts a call against the rate, whatever becomes of it.
    pub(super) fn count(&self) -> Result<(), Exhausted> {
        let Some(pace) = self.terms.rate else { return Ok(()) };
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.count(pace, Instant::now()).map_err(|again| Exhausted::Rate { pace, again })
    }

    /// Counts a request as under way until the value is dropped.
    pub(super) fn request(&self) -> Result<Arc<UnderWay>, Crowded> {
        self.requests.enter()
    }

    /// A slot to run in, waiting for one where the queue has room.
    pub(super) async fn slot(&self) -> Result<OwnedSemaphorePermit, Exhausted> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let (concurrent, queue) = (self.terms.concurrent, self.terms.concurrent * QUEUE);
        let _waiting =
            Waiting::among(&self.waiting, queue).ok_or(Exhausted::Concurrent { concurrent, queue })?;
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        Ok(slot.expect("the semaphore is never closed"))
    }
}

/// A call that waits in the queue, until it is dropped.
struct Waiting<'b>(&'b AtomicUsize);

impl<'b> Waiting<'b> {
    fn among(waiting: &'b AtomicUsize, queue: usize) -> Option<Self> {
        under_way::add(waiting, 1, queue)?;
        Some(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use serde_json::json;

    use super::*;
    use crate::http::door::Served;
    use crate::http::testing::{House, alice, caller, policy};

    const TERMS: Terms = Terms { rate: Some(Pace { count: 3, per: Duration::from_secs(60) }), concurrent: 1 };

    #[tokio::test]
    async fn a_key_that_asks_for_too_much_waits_before_it_is_told_so() {
        let slow = "[profile.slow]\ntools = [\"shell_execute\"]\ncommands = [\"echo\"]\nroots = { work = \"rw\" }\nrate = \"1/min\"\n";
        let house = House::with(&(alice().replace("\"dev\"", "\"slow\"") + slow));
        let begun = Instant::now();
        for nth in 0..3 {
            let ran = house.run(json!({"command": ["echo"]})).await;
            assert_eq!(ran["isError"], nth > 0, "{ran}");
        }
        assert!(begun.elapsed() >= REFUSED_AFTER * 2, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let budget = Budget::new(TERMS);
        let last = (0..4).map(|_| budget.count()).last().unwrap();
        assert!(
            last.unwrap_err().to_string().starts_with("this key may make 3 calls in 60 s: try again in "),
        );
    }

    #[test]
    fn calls_wait_in_a_queue_of_a_bounded_length() {
        let budget = Budget::new(Terms { rate: None, concurrent: 1 });
        let running = budget.slot().now_or_never().unwrap().unwrap();
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(budget.slot())).collect();
        assert!(waiting.iter_mut().all(|call| call.now_or_never().is_none()));
        assert_eq!(
            budget.slot().now_or_never().unwrap().unwrap_err(),
            Exhausted::Concurrent { concurrent: 1, queue: 4 }
        );
        drop(waiting.pop());
        assert!(budget.slot().now_or_never().is_none(), "a place that was given up is free");
        drop(running);
        assert!(waiting.remove(0).now_or_never().unwrap().is_ok(), "the first to wait is the first to run");
    }

    #[test]
    fn a_key_keeps_its_budget_until_its_terms_change() {
        let budgets = Budgets::default();
        let first = budgets.of("alice", TERMS);
        assert!(Arc::ptr_eq(&first, &budgets.of("alice", TERMS)));
        assert!(!Arc::ptr_eq(&first, &budgets.of("bob", TERMS)));
        assert!(!Arc::ptr_eq(&first, &budgets.of("alice", Terms { concurrent: 2, ..TERMS })));
    }

    #[test]
    fn a_request_of_before_a_reload_brings_no_terms_back() {
        let house = House::new();
        let earlier = caller(&house.door.policy(), "alice's key");
        let slow = alice().replace("\"dev\"", "\"slow\"") + "[profile.slow]\nlimits = { concurrent = 2 }\n";
        house.door.serve(Served::new(Arc::new(policy(&slow)), vec![]));
        let now = house.door.budget(&caller(&house.door.policy(), "alice's key"));
        assert_eq!(now.terms.concurrent, 2);
        assert!(Arc::ptr_eq(&now, &house.door.budget(&earlier)));
    }

    #[test]
    fn another_policy_forgets_the_keys_that_it_has_not_and_gives_nothing_back_to_the_others() {
        let tables = |names: &[&str]| {
            let key = |(at, name): (usize, &&str)| {
                format!("[key.{name}]\nsha256 = \"{at:064}\"\nprofile = \"none\"\n")
            };
            let keys: String = names.iter().enumerate().map(key).collect();
            policy(&format!("{keys}[anonymous]\nprofile = \"none\"\n"))
        };
        let budgets = Budgets::default();
        let kept = ["alice", "anonymous"].map(|name| budgets.of(name, TERMS));
        budgets.of("carol", TERMS);
        (0..3).for_each(|_| kept[0].count().unwrap());
        budgets.keep(tables(&["dave", "alice"]).access());
        let names: HashSet<String> = budgets.0.lock().unwrap().keys().cloned().collect();
        assert_eq!(names, HashSet::from(["alice", "anonymous"].map(str::to_owned)));
        assert!(Arc::ptr_eq(&kept[0], &budgets.of("alice", TERMS)));
        assert!(budgets.of("alice", TERMS).count().is_err(), "her rate is used up");
    }
}
