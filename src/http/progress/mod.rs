//! Progress: what a caller hears while its call runs.
//!
//! How often, and what. Not the protocol: who hears it is handed in as a [`Listener`].

#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::exec::{Line, Watch};
use crate::vocab::escaped;

/// Between two messages at least: nobody reads faster.
const PACE: Duration = Duration::from_millis(500);

/// After so long without news the last message is said again: clients and proxies give up on a call that is silent,
/// the most impatient after 30 seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// Characters of a line: more than a terminal's row, and less than fills a connection's buffers.
const SHOWN: usize = 200;

/// How far a call is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    /// Since it came: what a call is made of is not known, but that it goes on is.
    pub since: Duration,
    /// The newest line of its output; none before there is one.
    pub message: Option<String>,
}

/// Somebody who hears of a call.
pub(super) trait Listener {
    /// Whether a message would be heard now, and not wait for those before it.
    fn listens(&self) -> bool;
    /// Says it. To be asked only after [`Listener::listens`].
    fn tell(&self, progress: Progress) -> BoxFuture<'static, ()>;
}

/// Does the work, and tells of it meanwhile.
///
/// The work never waits for the listener. Its answer does, for a message that is on its way: none comes after the
/// answer. What could not be told is not told later, when there is something newer.
pub(super) async fn telling<T>(work: impl Future<Output = T>, watch: &Watch, listener: &impl Listener) -> T {
    let mut work = pin!(work);
    let begun = Instant::now();
    let (mut told, mut at) = (None, begun);
    loop {
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = sleep(PACE) => {}
        }
        let newest = watch.newest_line();
        if (newest == told && at.elapsed() < SILENCE) || !listener.listens() {
            continue;
        }
        let message = newest.as_ref().map(shown);
        (told, at) = (newest, Instant::now());
        let mut saying = listener.tell(Progress { since: begun.elapsed(), message });
        tokio::select! {
            answer = &mut work => {
                saying.await;
                return answer;
            }
            () = &mut saying => {}
        }
    }
}

/// A line as a message: one line of text, of a bounded length, in which nothing moves the cursor.
fn shown(line: &Line) -> String {
    let text = escaped(&String::from_utf8_lossy(&line.bytes));
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| end);
    let (before, after) = (if line.whole { "" } else { "…" }, if end < text.len() { "…" } else { "" });
    format!("{before}{}{after}", &text[..end])
}
