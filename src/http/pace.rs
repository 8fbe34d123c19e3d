//! How often something may happen: a whole burst at once, then evenly (GCRA).

use std::time::{Duration, Instant};

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub count: u32,
    pub per: Duration,
}

/// When the next one would be on time, were they evenly spread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due(Instant);

impl Due {
    /// Nothing has happened yet.
    pub(super) fn at_once(now: Instant) -> Self {
        Self(now)
    }

    /// Whether it is as if nothing had ever happened.
    pub(super) fn is_now(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// Counts one more, or says how long it must wait.
    pub(super) fn count(&mut self, pace: Pace, now: Instant) -> Result<(), Duration> {
        let spacing = pace.per / pace.count.max(1);
        let burst = pace.per.saturating_sub(spacing);
        let due = self.0.max(now);
        let early = due.duration_since(now);
        if let Some(again) = early.checked_sub(burst).filter(|again| !again.is_zero()) {
            return Err(again);
        }
        self.0 = due + spacing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_a_share_of_the_time() {
        let pace = Pace { count: 3, per: Duration::from_secs(60) };
        let start = Instant::now();
        let mut due = Due::at_once(start);
        let mut at = |seconds| due.count(pace, start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
        assert_eq!(at(0), Err(Duration::from_secs(20)));
        assert_eq!(
            [at(19).is_ok(), at(21).is_ok(), at(21).is_ok(), at(41).is_ok()],
            [false, true, false, true]
        );
    }
}
