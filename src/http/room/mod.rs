//! Who has a connection, and who gives it up when there is no room for the next.
//!
//! One that is serving a caller is never ended for another, and one key is served on no more than its share of them.
//! Which of the rest goes is told by [`idle`].
//!
//! Not a bound on addresses: behind a proxy or a NAT many callers share one (adr/0010).

mod idle;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use idle::{Idle, Key, Place};

/// A key is served on one of so many connections. With the usual `concurrent` its requests and streams need 336, so
/// nobody notices the share of a room of 4,096; and in a small room it takes four keys to leave nothing.
const SHARE: usize = 4;

/// All connections.
#[derive(Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    seated: Mutex<Seated>,
    /// A connection has become one that can be ended.
    paused: Notify,
    taken: IntGauge,
    evicted: IntCounter,
}

/// Who has a connection: each is in one of the two.
#[derive(Debug)]
struct Seated {
    idle: Idle<Arc<Occupant>>,
    served: Served,
}

/// How many connections serve each key.
#[derive(Debug)]
struct Served {
    share: usize,
    keys: HashMap<Key, usize>,
}

/// Why a key is not served on one more connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Too Many Requests: this key is served on {share} connections, its share: end a stream or read an answer first"
)]
pub(super) struct Engaged {
    share: usize,
}

/// A connection's own part of the room, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    occupant: Arc<Occupant>,
    _permit: OwnedSemaphorePermit,
}

/// A connection as its requests see it.
#[derive(Debug)]
pub(super) struct Occupant {
    room: Arc<Room>,
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Idle(Place),
    /// One request at a time is served, as HTTP/1.1 has it.
    Serving(Key),
    Gone,
}

/// A request of a caller who is known, until it is answered.
#[derive(Debug)]
pub(super) struct Serving {
    occupant: Arc<Occupant>,
    key: Key,
}

impl Room {
    /// Room for so many; `taken` and `evicted` tell how it goes.
    pub(super) fn new(most: usize, taken: IntGauge, evicted: IntCounter) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(most));
        let served = Served { share: (most / SHARE).max(1), keys: HashMap::new() };
        let seated = Mutex::new(Seated { idle: Idle::default(), served });
        Arc::new(Self { free, seated, paused: Notify::new(), taken, evicted })
    }

    /// A seat for one more, at the cost of another where there is none. It comes late only while every
    /// connection serves a caller.
    pub(super) async fn seat(self: Arc<Self>) -> Seat {
        let permit = self.permit().await;
        self.taken.inc();
        Seat { occupant: Occupant::new(self), _permit: permit }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let free = || Arc::clone(&self.free).acquire_owned();
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                return permit;
            }
            if self.evict() {
                break free().await;
            }
            tokio::select! {
                permit = free() => break permit,
                () = self.paused.notified() => {}
            }
        };
        permit.expect("the semaphore is never closed")
    }

    /// Ends the connection that is least worth keeping, if one can be ended.
    fn evict(&self) -> bool {
        let Some(occupant) = self.seated().idle.take_least() else { return false };
        occupant.wanted.notify_one();
        self.evicted.inc();
        true
    }

    fn seated(&self) -> MutexGuard<'_, Seated> {
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// What requests of this connection tell it by.
    pub(super) fn occupant(&self) -> Arc<Occupant> {
        Arc::clone(&self.occupant)
    }

    /// Resolves when the connection has to end, because another needs its room.
    pub(super) async fn wanted(&self) {
        self.occupant.wanted.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.occupant.turn(|_| State::Gone);
        self.occupant.room.taken.dec();
    }
}

impl Occupant {
    /// Somebody who has shown no key yet.
    fn new(room: Arc<Room>) -> Arc<Self> {
        let place = room.seated().idle.place(None);
        let occupant = Arc::new(Self { room, state: Mutex::new(State::Idle(place)), wanted: Notify::new() });
        occupant.pause(None);
        occupant
    }

    /// Keeps the connection for a caller who has shown this valid key, until the value is dropped. Beyond the key's
    /// share it does not; but it is known whose connection it is.
    pub(super) fn serve(self: Arc<Self>, key: &str) -> Result<Serving, Engaged> {
        let key = Key::from(key);
        let mut begun = Ok(());
        self.turn(|seated| {
            begun = seated.served.begin(&key);
            match begun {
                Ok(()) => State::Serving(Arc::clone(&key)),
                Err(_) => State::Idle(seated.idle.place(Some(Arc::clone(&key)))),
            }
        });
        begun.map(|()| Serving { occupant: self, key })
    }

    fn pause(self: &Arc<Self>, key: Option<Key>) {
        self.turn(|seated| State::Idle(seated.idle.place(key)));
    }

    fn turn(self: &Arc<Self>, to: impl FnOnce(&mut Seated) -> State) {
        let mut seated = self.room.seated();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            // Its last request may be dropped after it.
            State::Gone => return,
            State::Idle(place) => _ = seated.idle.remove(place),
            State::Serving(key) => seated.served.end(key),
        }
        *state = to(&mut seated);
        if let State::Idle(place) = &*state {
            seated.idle.insert(place.clone(), Arc::clone(self));
            self.room.paused.notify_one();
        }
    }
}

impl Served {
    fn begin(&mut self, key: &Key) -> Result<(), Engaged> {
        let served = self.keys.entry(Arc::clone(key)).or_default();
        if *served >= self.share {
            return Err(Engaged { share: self.share });
        }
        *served += 1;
        Ok(())
    }

    fn end(&mut self, key: &Key) {
        if let Entry::Occupied(mut served) = self.keys.entry(Arc::clone(key)) {
            *served.get_mut() -= 1;
            if *served.get() == 0 {
                served.remove();
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.occupant.pause(Some(Arc::clone(&self.key)));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::{Body, Bytes};
    use futures::{FutureExt, stream};
    use serde_json::json;

    use super::*;
    use crate::http::testing::{House, modern};

    fn room(most: usize) -> Arc<Room> {
        let evicted = IntCounter::new("evicted", "of a test").unwrap();
        Room::new(most, IntGauge::new("taken", "of a test").unwrap(), evicted)
    }

    fn take(room: &Arc<Room>) -> Option<Seat> {
        Arc::clone(room).seat().now_or_never()
    }

    fn serve(seat: &Seat, key: &str) -> Result<Serving, Engaged> {
        seat.occupant().serve(key)
    }

    /// The number of the one that has to end for a newcomer, who then has its seat.
    fn evicted(room: &Arc<Room>, seats: &mut Vec<(usize, Seat)>) -> (usize, Seat) {
        let mut newcomer = Box::pin(Arc::clone(room).seat());
        assert!((&mut newcomer).now_or_never().is_none(), "the room of the other has to be free first");
        let wanted = seats.iter().position(|(_, seat)| seat.wanted().now_or_never().is_some()).unwrap();
        let (number, seat) = seats.remove(wanted);
        drop(seat);
        (number, newcomer.now_or_never().unwrap())
    }

    #[test]
    fn a_connection_goes_by_the_key_that_it_showed_last() {
        let room = room(5);
        let mut seats: Vec<_> = (0..5).map(|number| (number, take(&room).unwrap())).collect();
        for (number, key) in [(0, "alice"), (1, "bob"), (2, "alice"), (3, "bob"), (4, "carol"), (1, "alice")]
        {
            drop(serve(&seats[number].1, key).unwrap());
        }
        let newcomers = [0, 2, 3].map(|expected| {
            let (number, newcomer) = evicted(&room, &mut seats);
            assert_eq!(number, expected);
            // Each its own key, which is served, so that none is ended for the next.
            (serve(&newcomer, &format!("newcomer {number}")).unwrap(), newcomer)
        });
        assert_eq!((room.evicted.get(), room.taken.get()), (3, 5));
        drop(newcomers);
    }

    #[test]
    fn a_key_is_served_on_no_more_than_its_share() {
        let room = room(8);
        let seats: Vec<_> = (0..5).map(|_| take(&room).unwrap()).collect();
        let served = [serve(&seats[0], "alice").unwrap(), serve(&seats[1], "alice").unwrap()];
        assert_eq!(serve(&seats[2], "alice").unwrap_err(), Engaged { share: 2 });
        let of_bob = serve(&seats[3], "bob").unwrap();
        drop(served);
        let again = serve(&seats[2], "alice").unwrap();
        assert_eq!(room.seated().served.keys, HashMap::from([("alice".into(), 1), ("bob".into(), 1)]));
        drop((again, of_bob));
        assert_eq!(room.seated().served.keys, HashMap::new());
    }

    #[test]
    fn what_is_beyond_the_share_is_not_kept_but_known() {
        let room = room(4);
        let mut seats: Vec<_> = (0..4).map(|number| (number, take(&room).unwrap())).collect();
        let _served = serve(&seats[3].1, "alice").unwrap();
        for refused in [2, 0] {
            assert_eq!(serve(&seats[refused].1, "alice").unwrap_err(), Engaged { share: 1 });
        }
        assert_eq!(evicted(&room, &mut seats).0, 2);
    }

    #[tokio::test]
    async fn a_request_that_is_only_refused_does_not_keep_its_connection() {
        let (house, room) = (House::new(), room(1));
        let list = || modern("alice's key", "tools/list", json!({}));
        let never =
            || house.at_home(list().map(|_| Body::from_stream(stream::pending::<io::Result<Bytes>>())));
        let mut under_way: Vec<_> = (0..64).map(|_| Box::pin(never())).collect();
        assert!(under_way.iter_mut().all(|request| request.now_or_never().is_none()));
        let seat = take(&room).unwrap();
        let mut request = list();
        request.extensions_mut().insert(seat.occupant());
        let mut refused = Box::pin(house.at_home(request));
        assert!((&mut refused).now_or_never().is_none(), "it waits for a moment");
        assert_eq!(evicted(&room, &mut vec![(0, seat)]).0, 0);
        assert_eq!(refused.await.status(), 429);
    }

    #[test]
    fn a_connection_that_serves_a_caller_is_not_ended_but_waited_for() {
        let room = room(2);
        let (first, second) = (take(&room).unwrap(), take(&room).unwrap());
        let served = [serve(&first, "alice").unwrap(), serve(&second, "bob").unwrap()];
        let mut newcomer = Box::pin(Arc::clone(&room).seat());
        assert!((&mut newcomer).now_or_never().is_none());
        assert!(first.wanted().now_or_never().is_none() && second.wanted().now_or_never().is_none());
        let [_kept, answered] = served;
        drop(answered);
        assert!((&mut newcomer).now_or_never().is_none());
        assert!(second.wanted().now_or_never().is_some(), "once it is idle, its room is wanted");
        assert!(first.wanted().now_or_never().is_none());
        drop(second);
        assert!(newcomer.now_or_never().is_some());
    }

    #[test]
    fn a_seat_is_free_for_the_next_when_it_is_dropped_whatever_outlives_it() {
        let room = room(1);
        for _ in 0..3 {
            let seat = take(&room).unwrap();
            let serving = serve(&seat, "alice").unwrap();
            drop(seat);
            drop(serving);
        }
        assert_eq!((room.taken.get(), room.evicted.get()), (0, 0));
        assert!(room.seated().idle.is_empty() && room.seated().served.keys.is_empty());
    }
}
