//! Who has a connection, and who gives it up when there is no room for the next.
//!
//! One that is serving a caller is never ended for another. Of the rest those that never showed a key go first,
//! then those that did and are idle; of each the one that has been so the longest. So whoever opens connections
//! without a key only ever takes them from those who have none either.
//!
//! Not a bound on addresses: behind a proxy or a NAT many callers share one (adr/0010).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All connections.
#[derive(Debug)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// A connection has become one that can be ended.
    paused: Notify,
    taken: IntGauge,
    evicted: IntCounter,
}

/// The connections that can be ended, the least worth keeping first.
#[derive(Debug, Default)]
struct Idle {
    occupants: BTreeMap<Rank, Arc<Occupant>>,
    next: u64,
}

/// What a connection is worth that serves nobody: compared member by member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    has_shown_a_key: bool,
    /// A number that grows: since when.
    since: u64,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle(Rank),
    /// One request at a time is served, as HTTP/1.1 has it.
    Serving,
    Gone,
}

/// A request of a caller who is known, until it is answered.
#[derive(Debug)]
pub(super) struct Serving(Arc<Occupant>);

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
        let Some((_, occupant)) = self.idle().occupants.pop_first() else { return false };
        occupant.wanted.notify_one();
        self.evicted.inc();
        true
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
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
        self.occupant.turn(State::Gone);
        self.occupant.room.taken.dec();
    }
}

impl Occupant {
    fn new(room: Arc<Room>) -> Arc<Self> {
        let occupant = Arc::new(Self { room, state: Mutex::new(State::Serving), wanted: Notify::new() });
        occupant.pause(false);
        occupant
    }

    /// Keeps the connection for a caller who has shown a valid key, until the value is dropped.
    pub(super) fn serve(self: Arc<Self>) -> Serving {
        self.turn(State::Serving);
        Serving(self)
    }

    fn pause(self: &Arc<Self>, has_shown_a_key: bool) {
        let since = self.room.idle().now();
        self.turn(State::Idle(Rank { has_shown_a_key, since }));
        self.room.paused.notify_one();
    }

    fn turn(self: &Arc<Self>, to: State) {
        let mut idle = self.room.idle();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            // Its last request may be dropped after it.
            State::Gone => return,
            State::Idle(rank) => _ = idle.occupants.remove(&rank),
            State::Serving => {}
        }
        if let State::Idle(rank) = to {
            idle.occupants.insert(rank, Arc::clone(self));
        }
        *state = to;
    }
}

impl Idle {
    fn now(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.pause(true);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn room(most: usize) -> Arc<Room> {
        let evicted = IntCounter::new("evicted", "of a test").unwrap();
        Room::new(most, IntGauge::new("taken", "of a test").unwrap(), evicted)
    }

    fn take(room: &Arc<Room>) -> Option<Seat> {
        Arc::clone(room).seat().now_or_never()
    }

    /// The numbers of those that have to end, in the order in which newcomers want their room.
    fn evictions(room: &Arc<Room>, seats: Vec<Seat>) -> Vec<usize> {
        let mut seats: Vec<_> = seats.into_iter().enumerate().collect();
        let mut order = Vec::new();
        let mut newcomers = Vec::new();
        while !seats.is_empty() {
            let mut newcomer = Box::pin(Arc::clone(room).seat());
            assert!((&mut newcomer).now_or_never().is_none(), "the room of the other has to be free first");
            let wanted = seats.iter().position(|(_, seat)| seat.wanted().now_or_never().is_some());
            let Some(wanted) = wanted else { break };
            order.push(seats.remove(wanted).0);
            let newcomer = newcomer.now_or_never().unwrap();
            // It serves somebody, so that it is not ended for the next.
            newcomers.push((newcomer.occupant().serve(), newcomer));
        }
        order
    }

    #[test]
    fn strangers_go_first_and_then_whoever_is_idle_the_longest() {
        let room = room(5);
        let seats: Vec<_> = (0..5).map(|_| take(&room).unwrap()).collect();
        for shown in [3, 1] {
            drop(seats[shown].occupant().serve());
        }
        assert_eq!(evictions(&room, seats), [0, 2, 4, 3, 1]);
        assert_eq!(room.evicted.get(), 5);
    }

    #[test]
    fn a_connection_that_serves_a_caller_is_not_ended_but_waited_for() {
        let room = room(2);
        let (first, second) = (take(&room).unwrap(), take(&room).unwrap());
        let served = [first.occupant().serve(), second.occupant().serve()];
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
            let serving = seat.occupant().serve();
            drop(seat);
            drop(serving);
        }
        assert_eq!((room.taken.get(), room.evicted.get()), (0, 0));
        assert!(room.idle().occupants.is_empty());
    }
}
