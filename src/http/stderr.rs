//! Standard error, which may be a pipe that nobody empties: who may wait for it, and who never does.
//!
//! Not [`io::stderr`]: its lock is held as long as the pipe is full, and then by every thread that has a word.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat, major, minor};
use rustix::stdio::stderr;

static STDERR: Stream = Stream::new();

/// How long a line of the log waits for its turn and for room.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a pipe with room takes without waiting, and whole: `PIPE_BUF` of pipe(7).
const PIECE: usize = 4096;

/// A stream that several threads write lines to.
struct Stream {
    /// One line at a time; whether the last one was cut, so that the next begins with the end of its line.
    turn: Mutex<bool>,
    /// Whether a line of the log has waited in vain. Until one gets through, none waits: many would wait for long.
    stalled: AtomicBool,
}

/// Whether a write waits for nobody, because there is no reader: a file, or `/dev/null`.
static HAS_NO_READER: LazyLock<bool> = LazyLock::new(|| {
    let Ok(status) = fstat(stderr()) else { return false };
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => true,
        FileType::CharacterDevice => (major(status.st_rdev), minor(status.st_rdev)) == (1, 3),
        _ => false,
    }
});

/// Writes a line where that takes no time.
pub(super) fn write_at_once(line: &[u8]) -> io::Result<()> {
    if *HAS_NO_READER { write(line) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

/// Writes a line; for a thread that has nothing else to do.
pub(super) fn write(line: &[u8]) -> io::Result<()> {
    STDERR.write(stderr(), line)
}

fn write_all(to: BorrowedFd<'_>, line: &[u8], sent: &mut usize) -> io::Result<()> {
    while *sent < line.len() {
        match rustix::io::write(to, &line[*sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *sent += count,
            Err(rustix::io::Errno::INTR) => {}
            // Whoever shares the pipe may have made it non-blocking.
            Err(rustix::io::Errno::AGAIN) => {
                has_room(to, None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Lines of the log: one that finds no room in time is dropped, and one that finds too little of it is cut, because
/// whoever logs has calls to answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.offer(stderr(), line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    const fn new() -> Self {
        Self { turn: Mutex::new(false), stalled: AtomicBool::new(false) }
    }

    /// All of it, or an error: then it has to be written anew, and its beginning is a line that was cut.
    fn write(&self, to: BorrowedFd<'_>, line: &[u8]) -> io::Result<()> {
        let mut cut = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if *cut {
            write_all(to, b"\n", &mut 0)?;
            *cut = false;
        }
        let mut sent = 0;
        write_all(to, line, &mut sent).inspect_err(|_| *cut = sent > 0)
    }

    fn offer(&self, to: BorrowedFd<'_>, line: &[u8]) {
        let patience = if self.stalled.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
        let deadline = Instant::now() + patience;
        let whole = self.turn_by(deadline).is_some_and(|mut cut| {
            if *cut {
                *cut = put(to, b"\n", deadline) == 0;
            }
            let sent = if *cut { 0 } else { put(to, line, deadline) };
            *cut |= 0 < sent && sent < line.len();
            sent == line.len()
        });
        self.stalled.store(!whole, Ordering::Relaxed);
    }

    fn turn_by(&self, deadline: Instant) -> Option<MutexGuard<'_, bool>> {
        loop {
            match self.turn.try_lock() {
                Ok(turn) => return Some(turn),
                Err(TryLockError::Poisoned(turn)) => return Some(turn.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// Writes as much of a line as there is room for in time, and tells how much. No piece waits within write(2).
fn put(to: BorrowedFd<'_>, line: &[u8], deadline: Instant) -> usize {
    let mut sent = 0;
    while sent < line.len() && has_room(to, Some(deadline.saturating_duration_since(Instant::now()))) {
        let piece = &line[sent..line.len().min(sent + PIECE)];
        match rustix::io::write(to, piece) {
            Ok(count) if count > 0 => sent += count,
            Err(rustix::io::Errno::INTR) => {}
            _ => break,
        }
    }
    sent
}

/// Waits for room, without end or so long.
fn has_room(to: BorrowedFd<'_>, wait: Option<Duration>) -> bool {
    let mut polled = [PollFd::new(&to, PollFlags::OUT)];
    let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
    poll(&mut polled, wait.as_ref()).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Offers lines to a pipe that nobody reads yet, and gives it with how long that took.
    fn offered(lines: Vec<Vec<u8>>) -> (PipeReader, Arc<Stream>, io::PipeWriter, Duration) {
        let (reader, writer) = io::pipe().unwrap();
        let (stream, begun) = (Arc::new(Stream::new()), Instant::now());
        let (done, offered) = mpsc::channel();
        let itself = Arc::clone(&stream);
        thread::spawn(move || {
            for line in &lines {
                itself.offer(writer.as_fd(), line);
            }
            let _ = done.send(writer);
        });
        let writer = offered.recv_timeout(Duration::from_secs(10)).expect("whoever logs goes on");
        (reader, stream, writer, begun.elapsed())
    }

    #[test]
    fn a_line_longer_than_the_pipe_is_cut_and_the_next_is_a_line_of_its_own() {
        let long = [&*vec![b'x'; 100_000], b"\n"].concat();
        let (mut reader, stream, writer, _) = offered(vec![long]);
        let mut first = vec![0; 65_536];
        reader.read_exact(&mut first).unwrap();
        assert!(first.iter().all(|byte| *byte == b'x'));
        stream.offer(writer.as_fd(), b"next\n");
        drop(writer);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "\nnext\n");
    }

    #[test]
    fn a_line_that_fails_halfway_is_written_anew_and_on_a_line_of_its_own() {
        let (mut reader, writer) = io::pipe().unwrap();
        let stream = Stream::new();
        let failing = thread::spawn(move || {
            reader.read_exact(&mut [0; 10]).unwrap();
        });
        assert!(stream.write(writer.as_fd(), &vec![b'x'; 100_000]).is_err());
        failing.join().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        stream.write(writer.as_fd(), b"again\n").unwrap();
        stream.write(writer.as_fd(), b"next\n").unwrap();
        drop(writer);
        let mut whole = String::new();
        reader.read_to_string(&mut whole).unwrap();
        assert_eq!(whole, "\nagain\nnext\n");
    }

    #[test]
    fn of_many_lines_that_nobody_reads_one_is_waited_for() {
        let (.., took) = offered(vec![vec![b'x'; 5000]; 1000]);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }

    #[test]
    fn a_line_longer_than_a_page_arrives_whole_where_somebody_reads() {
        let (mut reader, writer) = io::pipe().unwrap();
        let line = vec![b'x'; 30_000];
        Stream::new().offer(writer.as_fd(), &line);
        drop(writer);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, line);
    }
}
