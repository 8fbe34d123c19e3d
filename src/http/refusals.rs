//! Requests that are turned away, by where they come from: so that nobody can fill the record with them.
//!
//! The first refusal of a source is put on record at once. What follows within a second, of the same source, for
//! the same reason and about the same key, is counted, and is one event when the second is over. A source that
//! shows wrong keys in haste is told to wait; whether a key is right is judged before and never depends on it.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::Ipv6Net;
use tokio::task::spawn_blocking;

use super::audit::Event;
use super::door::Door;
use super::pace::{Due, Pace};

/// Sources that are told apart; all others are one. Each costs some 200 bytes and up to two events a second for
/// each reason, and more sources than this do not mistake their key in one minute.
const SOURCES_MAX: usize = 1024;

/// Refusals of one source within this are one event.
const WINDOW: Duration = Duration::from_secs(1);

/// Requests without a valid key that a source may make. Ten agents behind one address that was given a key of
/// yesterday, each trying six times a minute, are within it; guessing is hopeless at any pace.
const PACE: Pace = Pace { count: 60, per: Duration::from_secs(60) };

/// Who is held to account: an IPv4 address, or the network that an IPv6 host chooses its addresses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(IpAddr),
    V6(Ipv6Net),
    Others,
}

/// Every source that was refused a moment ago.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<Source, Past>>);

/// What a source did.
#[derive(Debug)]
struct Past {
    due: Due,
    kinds: Vec<Kind>,
}

/// Refusals that may be told as one.
#[derive(Debug)]
struct Kind {
    reason: &'static str,
    key: Option<String>,
    since: Instant,
    /// Those that are not on record yet.
    more: u64,
}

/// Refusals that are told as one.
#[derive(Debug, PartialEq)]
struct Folded {
    reason: &'static str,
    key: Option<String>,
    from: String,
    count: u64,
}

impl Door {
    /// Puts a refusal on record: now, or together with others like it.
    pub(super) fn turned_away(&self, from: IpAddr, event: &Event) {
        let (reason, key) = (event.reason.unwrap_or("other"), event.key.clone());
        if self.refusals.is_first(from, reason, key, Instant::now()) {
            self.record.write(event);
        } else {
            self.metrics.refusals_folded.inc();
        }
    }

    /// Puts on record what was counted until a second ago. There may be much of it, and the reader of the record may
    /// be slow, so that this takes a thread that may wait; but none where there is nothing to tell.
    pub(super) async fn settle_refusals(self: &Arc<Self>) {
        let settled = self.refusals.settle(Instant::now(), false);
        if !settled.is_empty() {
            let door = Arc::clone(self);
            let _ = spawn_blocking(move || door.tell(settled)).await;
        }
    }

    /// Puts all that was counted on record.
    pub(super) fn settle_all_refusals(&self) {
        self.tell(self.refusals.settle(Instant::now(), true));
    }

    fn tell(&self, settled: Vec<Folded>) {
        for Folded { reason, key, from, count } in settled {
            self.record.write(&Event::folded(reason, key, from, count));
        }
    }
}

impl Refusals {
    /// Counts a request without a valid key, or says how long its source should wait with the next.
    pub(super) fn count(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        self.with(from, now, |past| past.due.count(PACE, now))
    }

    /// Whether this one is put on record by itself. If not, it is counted.
    fn is_first(&self, from: IpAddr, reason: &'static str, key: Option<String>, now: Instant) -> bool {
        self.with(from, now, |past| {
            let mut kinds = past.kinds.iter_mut();
            if let Some(kind) = kinds.find(|kind| kind.reason == reason && kind.key == key) {
                kind.more += 1;
                return false;
            }
            past.kinds.push(Kind { reason, key, since: now, more: 0 });
            true
        })
    }

    /// What was counted in windows that are over, and forgets sources of which nothing is left.
    fn settle(&self, now: Instant, all: bool) -> Vec<Folded> {
        let mut folded = Vec::new();
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|source, past| {
            let is_over = |kind: &mut Kind| all || now.duration_since(kind.since) >= WINDOW;
            let over = past.kinds.extract_if(.., is_over).filter(|kind| kind.more > 0);
            folded.extend(over.map(|kind| Folded {
                reason: kind.reason,
                key: kind.key,
                from: source.to_string(),
                count: kind.more,
            }));
            !past.kinds.is_empty() || !past.due.is_now(now)
        });
        folded
    }

    fn with<T>(&self, from: IpAddr, now: Instant, use_it: impl FnOnce(&mut Past) -> T) -> T {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut source = Source::of(from);
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&source) {
            source = Source::Others;
        }
        use_it(sources.entry(source).or_insert_with(|| Past { due: Due::at_once(now), kinds: Vec::new() }))
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(Ipv6Net::new_assert(address, 64).trunc()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(network) => network.fmt(f),
            Self::Others => f.write_str("other sources"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn first(refusals: &Refusals, from: IpAddr, now: Instant) -> bool {
        refusals.is_first(from, "unknown", None, now)
    }

    fn folded(from: &str, count: u64) -> Folded {
        Folded { reason: "unknown", key: None, from: from.to_owned(), count }
    }

    #[test]
    fn the_first_stands_by_itself_and_the_rest_of_its_second_is_one_event() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!([0, 1, 999].map(|millis| first(&refusals, ALICE, at(millis))), [true, false, false]);
        assert!(refusals.is_first(ALICE, "no-key", None, at(5)), "another reason");
        assert!(refusals.is_first(ALICE, "unknown", Some("bob".to_owned()), at(5)), "another key");
        assert_eq!(refusals.settle(at(999), false), []);
        assert_eq!(refusals.settle(at(1000), false), [folded("192.0.2.1", 2)]);
        assert_eq!(refusals.settle(at(1010), false), [], "those that were alone are on record already");
        assert!(first(&refusals, ALICE, at(1100)), "a new second");
    }

    #[test]
    fn what_is_counted_when_kernos_ends_is_told() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!((0..5).filter(|_| first(&refusals, ALICE, now)).count(), 1);
        assert_eq!(refusals.settle(now, true), [folded("192.0.2.1", 4)]);
    }

    #[test]
    fn hosts_of_one_ipv6_network_are_one_source() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let from = |text: &str| first(&refusals, text.parse().unwrap(), now);
        assert_eq!(
            ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"].map(from),
            [true, false, true]
        );
        assert_eq!(refusals.settle(now, true), [folded("2001:db8:0:1::/64", 1)]);
    }

    #[test]
    fn a_source_in_haste_is_told_how_long_to_wait_and_another_is_not() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let allowed = (0..100).filter(|_| refusals.count(ALICE, now).is_ok()).count();
        assert_eq!(allowed, 60);
        assert_eq!(refusals.count(ALICE, now), Err(Duration::from_secs(1)));
        assert_eq!(refusals.count([192, 0, 2, 2].into(), now), Ok(()));
    }

    #[test]
    fn sources_without_number_are_one_in_the_end_and_all_are_forgotten_again() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let many = u32::try_from(SOURCES_MAX).unwrap();
        for number in 0..many + 10 {
            let _ = refusals.count(IpAddr::V4(number.into()), now);
            first(&refusals, IpAddr::V4(number.into()), now);
        }
        assert_eq!(refusals.0.lock().unwrap().len(), SOURCES_MAX + 1);
        assert_eq!(refusals.settle(now + WINDOW, false), [folded("other sources", 9)]);
        assert_eq!(refusals.settle(now + PACE.per, false), []);
        assert!(refusals.0.lock().unwrap().is_empty());
    }
}
