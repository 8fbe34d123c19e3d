//! Output in bounded memory: its beginning and its end, and how much lay between.

use std::collections::VecDeque;

use super::outcome::Captured;

/// A stream as it comes in.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    omitted: u64,
}

impl Capture {
    /// Keeps at most `limit` bytes: the first half of them from the head, the other from the tail.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let head_max = limit.div_ceil(2);
        Self { head: Vec::new(), head_max, tail: VecDeque::new(), tail_max: limit - head_max, omitted: 0 }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.head_max - self.head.len()));
        self.head.extend_from_slice(head);
        let kept = &rest[rest.len() - rest.len().min(self.tail_max)..];
        let displaced = (self.tail.len() + kept.len()).saturating_sub(self.tail_max);
        self.tail.drain(..displaced);
        self.tail.extend(kept);
        self.omitted += (displaced + rest.len() - kept.len()) as u64;
    }

    /// What was kept.
    pub(super) fn finish(self) -> Captured {
        Captured { head: self.head, tail: self.tail.into(), omitted: self.omitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: u64, chunks: &[&[u8]]) -> Captured {
        let mut capture = Capture::new(limit);
        for chunk in chunks {
            capture.push(chunk);
        }
        capture.finish()
    }

    fn expected(head: &[u8], tail: &[u8], omitted: u64) -> Captured {
        Captured { head: head.to_vec(), tail: tail.to_vec(), omitted }
    }

    #[test]
    fn what_fits_is_kept_whole() {
        assert_eq!(captured(8, &[b"abc"]), expected(b"abc", b"", 0));
        assert_eq!(captured(8, &[b"abc", b"defgh"]), expected(b"abcd", b"efgh", 0));
    }

    #[test]
    fn the_middle_is_dropped_and_counted() {
        assert_eq!(captured(8, &[b"abcdefghi"]), expected(b"abcd", b"fghi", 1));
        assert_eq!(captured(8, &[b"abcdef", b"ghi", b"jk"]), expected(b"abcd", b"hijk", 3));
    }

    #[test]
    fn the_size_of_the_chunks_does_not_matter() {
        let text: Vec<u8> = (0..=255).collect();
        for size in 1..=text.len() {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(captured(33, &chunks), expected(&text[..17], &text[240..], 223));
        }
    }

    #[test]
    fn nothing_is_kept_where_nothing_may_be() {
        assert_eq!(captured(0, &[b"abc"]), expected(b"", b"", 3));
    }
}
