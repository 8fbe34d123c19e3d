//! The daemon's ends of the pipes of a call: input is written, output is kept, both at once and never for
//! longer than the call lasts.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, fchmod, fcntl_setfl};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Notify;

use super::capture::Capture;
use super::outcome::Captured;
use super::watch::{Source, Watch};
use crate::policy::plan::LineLimits;

/// As much as a pipe holds (pipe(7)), so that one read empties it.
const CHUNK: usize = 64 * 1024;

/// For a stream that fills its pipe: fewer and larger reads.
const LARGE: usize = 256 * 1024;

/// The daemon's ends.
#[derive(Debug)]
pub(super) struct Streams {
    stdin: Option<Input>,
    stdout: Output,
    stderr: Output,
    total: Arc<Total>,
}

/// The ends that go to the executor.
#[derive(Debug)]
pub(super) struct Ends {
    outputs: [OwnedFd; 2],
    stdin: Option<OwnedFd>,
}

impl Ends {
    /// Standard output, standard error and, if there is any, standard input.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.outputs.iter().chain(&self.stdin).map(AsFd::as_fd).collect()
    }

    pub(super) fn has_stdin(&self) -> bool {
        self.stdin.is_some()
    }
}

impl Streams {
    /// Makes the pipes of a call.
    pub(super) fn open(stdin: Vec<u8>, limits: LineLimits, watch: Watch) -> io::Result<(Self, Ends)> {
        let (stdout, out) = Output::open(limits.output, Source::Stdout, watch.clone())?;
        let (stderr, err) = Output::open(limits.output, Source::Stderr, watch)?;
        let (stdin, input) = if stdin.is_empty() {
            (None, None)
        } else {
            let (sender, end) = input(stdin)?;
            (sender, Some(end))
        };
        let total =
            Arc::new(Total { bytes: AtomicU64::new(0), limit: limits.output_total, exceeded: Notify::new() });
        Ok((Self { stdin, stdout, stderr, total }, Ends { outputs: [out, err], stdin: input }))
    }

    /// Moves bytes until every stream has ended, which may be never: to be dropped when the call has ended.
    pub(super) async fn flow(&mut self) {
        let Self { stdin, stdout, stderr, total } = self;
        let write = async {
            // A program need not read its input (EPIPE); taking the sender closes the pipe in any case.
            if let Some(Input { mut sender, bytes, written }) = stdin.take() {
                let _ = sender.write_all(&bytes[written..]).await;
            }
        };
        tokio::join!(write, stdout.flow(total), stderr.flow(total));
    }

    /// What is counted over both outputs.
    pub(super) fn total(&self) -> Arc<Total> {
        Arc::clone(&self.total)
    }

    /// Takes what is left in the pipes without waiting for anybody, and gives both outputs.
    pub(super) fn finish(mut self) -> (Captured, Captured) {
        self.stdout.drain();
        self.stderr.drain();
        (self.stdout.capture.finish(), self.stderr.capture.finish())
    }
}

/// What is counted over both outputs.
#[derive(Debug)]
pub(super) struct Total {
    bytes: AtomicU64,
    limit: u64,
    exceeded: Notify,
}

impl Total {
    /// Returns when more than the limit has been written.
    pub(super) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    fn add(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before <= self.limit && before + bytes as u64 > self.limit {
            self.exceeded.notify_one();
        }
    }
}

#[derive(Debug)]
struct Output {
    pipe: Receiver,
    capture: Capture,
    source: Source,
    watch: Watch,
}

impl Output {
    fn open(limit: u64, source: Source, watch: Watch) -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = pipe()?;
        // The writer's end must block: few programs expect EAGAIN of their output.
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        let pipe = Receiver::from_owned_fd_unchecked(reader)?;
        Ok((Self { pipe, capture: Capture::new(limit), source, watch }, writer))
    }

    async fn flow(&mut self, total: &Total) {
        let mut buffer = Vec::new();
        let _ = self.pipe.readable().await;
        buffer.reserve_exact(CHUNK);
        while let Ok(read @ 1..) = self.pipe.read_buf(&mut buffer).await {
            total.add(read);
            self.capture.push(&buffer);
            self.watch.show(self.source, &buffer);
            buffer.clear();
            if read == CHUNK && buffer.capacity() < LARGE && fcntl_setpipe_size(&self.pipe, LARGE).is_ok() {
                buffer.reserve_exact(LARGE);
            }
        }
    }

    /// Reads the pipe itself, because the runtime may not have been told of the last bytes yet, and no more
    /// than it can have held, because a stranger that a command gave its end to may go on writing. A command
    /// may have made it larger than it was.
    fn drain(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let mut held = fcntl_getpipe_size(&self.pipe).unwrap_or(LARGE);
        while let Ok(read @ 1..) = rustix::io::read(&self.pipe, &mut buffer) {
            self.capture.push(&buffer[..read]);
            held = held.saturating_sub(read);
            if held == 0 {
                return;
            }
        }
    }
}

/// Input that does not fit into its pipe at once.
#[derive(Debug)]
struct Input {
    sender: Sender,
    bytes: Vec<u8>,
    written: usize,
}

/// A pipe with as much of the input as it takes at once; most inputs are in it whole before anything runs.
fn input(bytes: Vec<u8>) -> io::Result<(Option<Input>, OwnedFd)> {
    let (reader, writer) = pipe()?;
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    let written = rustix::io::write(&writer, &bytes)?;
    if written == bytes.len() {
        return Ok((None, reader));
    }
    Ok((Some(Input { sender: Sender::from_owned_fd_unchecked(writer)?, bytes, written }), reader))
}

/// A pipe, its reading end first, that the commands may open again as `/dev/stdin` and `/dev/stdout`: it
/// belongs to the daemon's user, and they are another's. Nobody comes to it but through a process that has
/// it.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    fchmod(&reader, Mode::from_raw_mode(0o666))?;
    Ok((reader, writer))
}
