//! What can be seen of a call while it runs.
//!
//! Facts for whoever looks, at the moment of looking: nobody is woken, and no output is kept for it beyond the
//! end of each stream. How they are told is for others.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::meter::Meter;
use super::outcome::Usage;

/// So much of the end of each stream is kept: lines that people read are shorter, and copying it costs nothing
/// beside the read that brought it.
const KEPT: usize = 1024;

/// A view of a call while it runs. Clones are views of the same call; the default one sees nothing of its output, at
/// no cost.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    output: Option<Arc<Mutex<Seen>>>,
    meter: Arc<Meter>,
    command: Arc<OnceLock<Vec<String>>>,
}

/// Where a call writes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Its standard output.
    #[default]
    Stdout,
    /// Its standard error.
    Stderr,
}

/// A line of output without what ended it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its bytes, which need not be text.
    pub bytes: Vec<u8>,
    /// Whether its beginning is among them: of a long line only the end is known.
    pub whole: bool,
}

impl Watch {
    /// A view that sees what the call writes.
    pub fn of_output() -> Self {
        Self { output: Some(Arc::default()), ..Self::default() }
    }

    /// The newest line that has ended and is not blank. A carriage return ends a line too: with it programs write
    /// over how far they are.
    pub fn newest_line(&self) -> Option<Line> {
        let seen = self.output.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let (newer, older) = match seen.newer {
            Source::Stdout => (&seen.stdout, &seen.stderr),
            Source::Stderr => (&seen.stderr, &seen.stdout),
        };
        newer.last_line().or_else(|| older.last_line())
    }

    /// What the call runs, once that is known.
    pub fn command(&self) -> Option<&[String]> {
        self.command.get().map(Vec::as_slice)
    }

    /// Says what the call runs, in words that anybody may read. For whoever has judged it; the first word counts.
    pub fn tell_command(&self, words: Vec<String>) {
        let _ = self.command.set(words);
    }

    /// What the call has spent so far. It waits for as long as the call does not run.
    pub async fn usage(&self) -> Usage {
        self.meter.read().await
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Shows what has been written. For whoever runs the call.
    pub fn show(&self, source: Source, bytes: &[u8]) {
        if let Some(seen) = &self.output {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(source, bytes);
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    stdout: Tail,
    stderr: Tail,
    /// Which of the two ended a line last that is not blank.
    newer: Source,
}

impl Seen {
    fn push(&mut self, source: Source, bytes: &[u8]) {
        let end = &bytes[bytes.len().saturating_sub(KEPT)..];
        let tail = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        tail.cut |= end.len() < bytes.len();
        tail.push(end);
        // A blank line is passed over, and does not make an older one new.
        let before = tail.bytes.len() - end.len();
        if tail.last_span().is_some_and(|line| line.end >= before) {
            self.newer = source;
        }
    }
}

/// The end of a stream.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    /// Whether something came before it.
    cut: bool,
}

impl Tail {
    /// Takes the next bytes, at most [`KEPT`] of them.
    fn push(&mut self, bytes: &[u8]) {
        let displaced = (self.bytes.len() + bytes.len()).saturating_sub(KEPT);
        self.cut |= displaced > 0;
        self.bytes.drain(..displaced);
        self.bytes.extend_from_slice(bytes);
    }

    fn last_line(&self) -> Option<Line> {
        let span = self.last_span()?;
        Some(Line { whole: span.start > 0 || !self.cut, bytes: self.bytes[span].to_vec() })
    }

    /// Where the last line is that has ended and is not blank.
    fn last_span(&self) -> Option<Range<usize>> {
        let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let mut end = self.bytes.iter().rposition(ends)?;
        loop {
            let before = self.bytes[..end].iter().rposition(ends);
            let start = before.map_or(0, |before| before + 1);
            if !self.bytes[start..end].trim_ascii().is_empty() {
                return Some(start..end);
            }
            end = before?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source::{Stderr, Stdout};
    use super::*;

    fn newest(written: &[(Source, &[u8])]) -> Option<Line> {
        let watch = Watch::of_output();
        for (source, bytes) in written {
            watch.show(*source, bytes);
        }
        watch.newest_line()
    }

    fn whole(bytes: &[u8]) -> Line {
        Line { bytes: bytes.to_vec(), whole: true }
    }

    #[test]
    fn the_newest_line_is_the_last_that_has_ended() {
        assert_eq!(newest(&[]), None);
        assert_eq!(newest(&[(Stdout, b"one")]), None);
        assert_eq!(newest(&[(Stdout, b"one\ntw")]), Some(whole(b"one")));
        assert_eq!(newest(&[(Stdout, b"one\ntw"), (Stdout, b"o\nthree")]), Some(whole(b"two")));
        assert_eq!(newest(&[(Stdout, b"\xff\0\n")]), Some(whole(b"\xff\0")));
    }

    #[test]
    fn a_blank_line_is_not_worth_telling_and_a_carriage_return_ends_one() {
        assert_eq!(newest(&[(Stdout, b"one\n\n \r\n")]), Some(whole(b"one")));
        assert_eq!(newest(&[(Stderr, b" 10%\r 20%\r 3")]), Some(whole(b" 20%")));
        assert_eq!(newest(&[(Stdout, b"\n\n")]), None);
    }

    #[test]
    fn of_two_streams_the_one_that_ended_a_line_last_is_the_newer() {
        assert_eq!(newest(&[(Stdout, b"out\n"), (Stderr, b"err\n")]), Some(whole(b"err")));
        assert_eq!(newest(&[(Stderr, b"err\n"), (Stdout, b"out\n"), (Stderr, b"er")]), Some(whole(b"out")));
        assert_eq!(newest(&[(Stdout, b"out\n"), (Stderr, b"\n")]), Some(whole(b"out")));
        assert_eq!(newest(&[(Stderr, b"old\n"), (Stdout, b"new\n"), (Stderr, b"\n")]), Some(whole(b"new")));
        assert_eq!(newest(&[(Stderr, b"er"), (Stdout, b"out\n"), (Stderr, b"\n")]), Some(whole(b"er")));
    }

    #[test]
    fn of_a_long_line_only_the_end_is_known_however_it_came() {
        let long = [&[b'x'; 5000][..], b"\n"].concat();
        let cut = Some(Line { bytes: vec![b'x'; KEPT - 1], whole: false });
        for size in [1, 7, KEPT, 4096, long.len()] {
            let chunks: Vec<_> = long.chunks(size).map(|chunk| (Stdout, chunk)).collect();
            assert_eq!(newest(&chunks), cut, "in chunks of {size}");
        }
        let then = [&long[..], b"short\n"].concat();
        assert_eq!(newest(&[(Stdout, &then)]), Some(whole(b"short")));
        assert_eq!(newest(&[(Stderr, b"err\n"), (Stdout, &long[..5000])]), Some(whole(b"err")));
    }

    #[test]
    fn where_nobody_watches_nothing_is_kept() {
        let watch = Watch::default();
        watch.show(Stdout, b"one\n");
        assert_eq!(watch.newest_line(), None);
    }
}
