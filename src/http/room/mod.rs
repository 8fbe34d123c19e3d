//! Who has a connection, and who gives it up when there is no room for the next.
//!
//! One that is serving a caller is never ended for another. Which of the rest goes is told by [`idle`].
//!
//! Not a bound on addresses: behind a proxy or a NAT many callers share one (adr/0010).

mod idle;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use idle::{Idle, Key, Place};

/// All connections.
#[derive(Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    idle: Mutex<Idle<Arc<Occupant>>>,
    /// A connection has become one that can be ended.
    paused: Notify,
    taken: IntGauge,
    evicted: IntCounter,
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
    Serving,
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
        Arc::new(Self { free, idle: Mutex::default(), paused: Notify::new(), taken, evicted })
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
        let Some(occupant) = self.idle().take_least() else { return false };
        occupant.wanted.notify_one();
        self.evicted.inc();
        true
    }

    fn idle(&self) -> MutexGuard<'_, Idle<Arc<Occupant>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
        let place = room.idle().place(None);
        let occupant = Arc::new(Self { room, state: Mutex::new(State::Idle(place)), wanted: Notify::new() });
        occupant.pause(None);
        occupant
    }

    /// Keeps the connection for a caller who has shown this valid key, until the value is dropped.
    pub(super) fn serve(self: Arc<Self>, key: &str) -> Serving {
        self.turn(|_| State::Serving);
        Serving { occupant: self, key: key.into() }
    }

    fn pause(self: &Arc<Self>, key: Option<Key>) {
        self.turn(|idle| State::Idle(idle.place(key)));
    }

    fn turn(self: &Arc<Self>, to: impl FnOnce(&mut Idle<Arc<Self>>) -> State) {
        let mut idle = self.room.idle();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            // Its last request may be dropped after it.
            State::Gone => return,
            State::Idle(place) => _ = idle.remove(place),
            State::Serving => {}
        }
        *state = to(&mut idle);
        if let State::Idle(place) = &*state {
            idle.insert(place.clone(), Arc::clone(self));
            self.room.paused.notify_one();
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

    fn serve(seat: &Seat, key: &str) -> Serving {
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
            drop(serve(&seats[number].1, key));
        }
        let newcomers = [0, 2, 3].map(|expected| {
            let (number, newcomer) = evicted(&room, &mut seats);
            assert_eq!(number, expected);
            // Each its own key, which is served, so that none is ended for the next.
            (serve(&newcomer, &format!("newcomer {number}")), newcomer)
        });
        assert_eq!((room.evicted.get(), room.taken.get()), (3, 5));
        drop(newcomers);
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
        let served = [serve(&first, "alice"), serve(&second, "bob")];
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
            let serving = serve(&seat, "alice");
            drop(seat);
            drop(serving);
        }
        assert_eq!((room.taken.get(), room.evicted.get()), (0, 0));
        assert!(room.idle().is_empty());
    }
}
