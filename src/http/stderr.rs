//! Standard error, which may be a pipe that nobody empties: who may wait for it, and who never does.
//!
//! Not [`io::stderr`]: its lock is held as long as the pipe is full, and then by every thread that has a word.

use std::io::{self, Write};
use std::sync::{LazyLock, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat, major, minor};
use rustix::stdio::stderr;

/// One line at a time.
static TURN: Mutex<()> = Mutex::new(());

/// How long a line of the log waits for its turn and for room.
const PATIENCE: Duration = Duration::from_millis(20);

/// Whether a write waits for nobody, because there is no reader: a file, or `/dev/null`.
static HAS_NO_READER: LazyLock<bool> = LazyLock::new(|| {
    let Ok(status) = fstat(stderr()) else { return false };
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => true,
        FileType::CharacterDevice => (major(status.st_rdev), minor(status.st_rdev)) == (1, 3),
        _ => false,
    }
});

/// Writes a line where that takes no time, as far as it goes.
pub(super) fn write_at_once(line: &[u8], sent: &mut usize) -> io::Result<()> {
    if *HAS_NO_READER { write(line, sent) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

/// Writes the rest of a line, of which `sent` bytes have gone already; for a thread that has nothing else to do.
pub(super) fn write(line: &[u8], sent: &mut usize) -> io::Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    while *sent < line.len() {
        match rustix::io::write(stderr(), &line[*sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *sent += count,
            Err(rustix::io::Errno::INTR) => {}
            // Whoever shares the pipe may have made it non-blocking.
            Err(rustix::io::Errno::AGAIN) => {
                has_room(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Lines of the log: one that finds no room in time is dropped, because whoever logs has calls to answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        offer(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn offer(line: &[u8]) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match TURN.try_lock() {
            // With room for a page a line of the log, which is shorter, goes in without waiting (pipe(7)).
            Ok(_) | Err(TryLockError::Poisoned(_)) if has_room(Some(PATIENCE)) => {
                let _ = rustix::io::write(stderr(), line);
                return;
            }
            Ok(_) | Err(TryLockError::Poisoned(_)) => return,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Waits for room, without end or so long.
fn has_room(wait: Option<Duration>) -> bool {
    let stderr = stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
    poll(&mut polled, wait.as_ref()).is_ok_and(|ready| ready > 0)
}
