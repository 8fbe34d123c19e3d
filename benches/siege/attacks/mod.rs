//! The attacks: each begins, stands while Bob is measured, and ends with a sentence about what it did.
//!
//! An attacker that is turned away comes again, at a bounded pace: this program runs on the processors of the daemon
//! that it attacks, and what it burns itself is not the daemon's fault.

mod callers;
mod connections;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// An attack of which nothing more arrives for so long stands, whatever it has reached: the daemon keeps it out.
const STALLED: Duration = Duration::from_secs(3);

/// What somebody does who wishes the others ill.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Connections without a key on which nothing is said.
    Idle,
    /// Heads and bodies that come a byte a second.
    Slow,
    /// Keys that are none.
    WrongKeys,
    /// These three at once.
    All,
    /// One key, as fast as it can, beyond what it may.
    Greedy,
    /// Large answers that nobody reads.
    Unread,
    /// Sessions beyond what a key may have.
    Sessions,
}

/// In the order in which they are made.
pub const ATTACKS: [Attack; 7] = [
    Attack::Idle,
    Attack::Slow,
    Attack::WrongKeys,
    Attack::All,
    Attack::Greedy,
    Attack::Unread,
    Attack::Sessions,
];

/// An attack under way.
pub struct Running {
    means: Arc<Means>,
    threads: Vec<JoinHandle<()>>,
    begun: Instant,
}

/// What the threads of an attack share: when to end, and what they have met.
#[derive(Default)]
struct Means {
    ended: AtomicBool,
    opened: AtomicU64,
    closed: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Attack {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "5,000 idle connections",
            Self::Slow => "500 slow heads and bodies",
            Self::WrongKeys => "1,000 wrong keys a second",
            Self::All => "these three at once",
            Self::Greedy => "a key beyond its limits",
            Self::Unread => "64 MiB answers, unread",
            Self::Sessions => "a key's sessions, too many",
        }
    }

    /// Begins it, and waits until it stands.
    pub fn begin(self, daemon: SocketAddr) -> Running {
        let mut running = Running { means: Arc::default(), threads: Vec::new(), begun: Instant::now() };
        let (idle, slow) = match self {
            Self::Idle => (connections::IDLE, 0),
            Self::Slow => (0, connections::SLOW),
            Self::All => (connections::IDLE, connections::SLOW),
            _ => (0, 0),
        };
        if idle + slow > 0 {
            running.spawn(move |means| connections::besiege(daemon, idle, slow, means));
        }
        let callers = match self {
            Self::Idle | Self::Slow => &[][..],
            Self::WrongKeys | Self::All => &callers::WRONG_KEYS,
            Self::Greedy => &callers::GREEDY,
            Self::Unread => &callers::UNREAD,
            Self::Sessions => &callers::SESSIONS,
        };
        for caller in callers {
            running.spawn(move |means| caller(daemon, means));
        }
        let stands = idle + slow + if self == Self::Unread { callers.len() } else { 0 };
        running.await_opened(u64::try_from(stands).unwrap_or(u64::MAX));
        running
    }
}

impl Running {
    fn spawn(&mut self, work: impl FnOnce(&Arc<Means>) + Send + 'static) {
        let means = Arc::clone(&self.means);
        self.threads.push(thread::spawn(move || work(&means)));
    }

    fn await_opened(&self, connections: u64) {
        // Callers have no number to reach: half a second, and they are at full pace.
        thread::sleep(Duration::from_millis(500));
        let (mut opened, mut since) = (0, Instant::now());
        while opened < connections && since.elapsed() < STALLED {
            thread::sleep(Duration::from_millis(20));
            let now = self.means.opened.load(Ordering::Relaxed);
            if now > opened {
                (opened, since) = (now, Instant::now());
            }
        }
    }

    /// Ends it; tells what it did.
    pub fn end(self) -> String {
        self.means.ended.store(true, Ordering::Relaxed);
        let took = self.begun.elapsed();
        for thread in self.threads {
            let _ = thread.join();
        }
        self.means.told(took)
    }
}

impl Means {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn told(&self, took: Duration) -> String {
        let mut text = format!("{:.0} s:", took.as_secs_f64());
        for (name, counter) in [
            ("opened", &self.opened),
            ("closed by the daemon", &self.closed),
            ("answered", &self.answered),
            ("refused", &self.refused),
            ("failed", &self.failed),
        ] {
            let number = counter.load(Ordering::Relaxed);
            if number > 0 {
                let _ = write!(text, " {number} {name},");
            }
        }
        text.trim_end_matches(',').to_owned()
    }
}
