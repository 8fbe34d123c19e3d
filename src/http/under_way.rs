//! Requests of one key from their head until their answer is read: how many there may be, and of how many bytes.
//!
//! A request holds memory while its body comes, while its call waits for its turn, and until somebody reads its
//! answer, or the call has ended if nobody is there to read it: a key that does none of it in time has only its own part
//! of the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of all bodies and answers of one key together: two of the largest bodies.
const BYTES_MAX: usize = 2 * super::body::MAX;

/// What of one key is under way.
#[derive(Debug)]
pub(super) struct Load {
    most: usize,
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

/// One request that is, until dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    load: Arc<Load>,
    bytes: AtomicUsize,
}

/// Why a key must read its answers first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Crowded {
    #[error("Too Many Requests: this key has {most} under way, so read their answers first")]
    Requests { most: usize },
    #[error(
        "Too Many Requests: this key has requests of {} MiB under way, so read their answers first",
        BYTES_MAX >> 20
    )]
    Bytes,
}

impl Load {
    /// Nothing yet, of at most so many requests.
    pub(super) fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { most, requests: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// Counts one more.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Arc<UnderWay>, Crowded> {
        let most = self.most;
        add(&self.requests, 1, most).ok_or(Crowded::Requests { most })?;
        Ok(Arc::new(UnderWay { load: Arc::clone(self), bytes: AtomicUsize::new(0) }))
    }
}

impl UnderWay {
    /// Counts so many bytes more of its body.
    pub(super) fn take(&self, bytes: usize) -> Result<(), Crowded> {
        add(&self.load.bytes, bytes, BYTES_MAX).ok_or(Crowded::Bytes)?;
        self.bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Counts so many bytes of its answer, which is there already: what comes too much is the next request.
    pub(super) fn hold(&self, bytes: usize) {
        self.load.bytes.fetch_add(bytes, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.load.bytes.fetch_sub(*self.bytes.get_mut(), Relaxed);
        self.load.requests.fetch_sub(1, Relaxed);
    }
}

/// Adds to a count that may be `most`, or does not.
pub(super) fn add(count: &AtomicUsize, more: usize, most: usize) -> Option<()> {
    let sum = |count: usize| count.checked_add(more).filter(|sum| *sum <= most);
    count.fetch_update(Relaxed, Relaxed, sum).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use futures::{FutureExt, StreamExt, stream};
    use serde_json::json;

    use super::*;
    use crate::http::testing::{House, answer, legacy, modern, open_session};

    #[tokio::test]
    async fn a_key_whose_bodies_do_not_end_has_its_own_part_of_the_memory() {
        let house = House::new();
        let never = || {
            let some = stream::iter([Ok::<_, axum::Error>(Bytes::from(vec![b' '; BYTES_MAX / 2]))]);
            let body = Body::from_stream(some.chain(stream::pending()));
            Box::pin(house.at_home(modern("alice's key", "tools/list", json!({})).map(|_| body)))
        };
        let mut waiting = [never(), never()];
        assert!(waiting.iter_mut().all(|answer| answer.now_or_never().is_none()));
        let list = async |key| answer(house.send(modern(key, "tools/list", json!({}))).await).await.0;
        assert_eq!((list("alice's key").await, list("bob's key").await), (429, 200));
        drop(waiting);
        assert_eq!(list("alice's key").await, 200);
    }

    #[tokio::test]
    async fn a_call_whose_client_has_gone_holds_its_part_until_it_ends() {
        let house = House::new();
        let id = open_session(&house).await;
        let params = json!({"name": "shell_execute", "arguments": {"command": ["sleep", "9"]}});
        let call = async |number: &str| {
            let number = number.repeat(BYTES_MAX / 3);
            let call = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params});
            // There is a stream at once; dropping it is what a client that goes away does.
            house.send(legacy("alice's key", Some(&id), &call)).await.status().as_u16()
        };
        assert_eq!([call("a").await, call("b").await, call("c").await], [200, 200, 429]);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_is_part_of_what_its_key_has() {
        let house = House::new();
        let loud = || async {
            let params = json!({"name": "shell_execute", "arguments": {"command": ["yes"]}});
            house.send(modern("alice's key", "tools/call", params)).await
        };
        let mut unread = Vec::new();
        loop {
            let response = loud().await;
            if response.status() == 429 {
                break;
            }
            unread.push(response);
            assert!(unread.len() < 10, "each answer is of some 32 MiB");
        }
        unread.clear();
        assert_eq!(loud().await.status(), 200);
    }

    #[test]
    fn requests_and_their_bytes_count_until_they_are_over() {
        let load = Load::of(2);
        let (one, other) = (load.enter().unwrap(), load.enter().unwrap());
        assert_eq!(load.enter().unwrap_err(), Crowded::Requests { most: 2 });
        assert_eq!((one.take(BYTES_MAX), other.take(1)), (Ok(()), Err(Crowded::Bytes)));
        drop(one);
        assert_eq!((other.take(BYTES_MAX), other.take(1)), (Ok(()), Err(Crowded::Bytes)));
        other.hold(1);
        let next = load.enter().unwrap();
        drop((other, next));
        assert_eq!((load.requests.load(Relaxed), load.bytes.load(Relaxed)), (0, 0));
    }
}
