//! The daemon's ends of the workers' sockets, and those of them that are idle.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use super::protocol::{Frames, Hire, Request, Said, framed};
use super::wire;
use crate::policy::Plan;

/// Workers beyond the first that no call has needed for so long are let go.
const IDLE: Duration = Duration::from_secs(10);

/// The report of a line of usual length comes in one piece.
const REPORT: usize = 1024;

/// A worker that serves one call at a time. Dropping it ends the call.
#[derive(Debug)]
pub(super) struct Worker {
    socket: UnixStream,
    frames: Frames,
}

impl Worker {
    /// Asks for one more worker over the control socket.
    pub(super) async fn hire(control: &UnixStream) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let request = framed(&Hire)?;
        send(control, &request, &[theirs.as_fd()]).await?;
        Ok(Self { socket: UnixStream::from_std(ours)?, frames: Frames::default() })
    }

    pub(super) async fn start(
        &mut self,
        plan: &Plan,
        stdin: bool,
        ends: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let request = framed(&Request::Run { plan, stdin })?;
        let sent = send(&self.socket, &request, ends).await?;
        self.socket.write_all(&request[sent..]).await
    }

    pub(super) async fn stop(&mut self) -> io::Result<()> {
        self.socket.write_all(&framed(&Request::<()>::Stop)?).await
    }

    /// Asks what the call has spent; the answer is said.
    pub(super) async fn measure(&mut self) -> io::Result<()> {
        self.socket.write_all(&framed(&Request::<()>::Measure)?).await
    }

    /// Waits for the next word of the worker. It may be dropped and asked again.
    pub(super) async fn said(&mut self) -> io::Result<Said> {
        loop {
            if let Some(said) = self.frames.next()? {
                return Ok(said);
            }
            self.frames.0.reserve(REPORT);
            if self.socket.read_buf(&mut self.frames.0).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Whether it is still there, as far as the runtime has been told.
    fn lives(&self) -> bool {
        let nothing = self.socket.try_read(&mut [0]).map_err(|error| error.kind());
        nothing == Err(io::ErrorKind::WouldBlock)
    }
}

/// Sends a message whose first part, which the socket takes at once, carries the descriptors.
async fn send(socket: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    match wire::send(socket.as_fd(), bytes, descriptors) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            socket.async_io(Interest::WRITABLE, || wire::send(socket.as_fd(), bytes, descriptors)).await
        }
        sent => sent,
    }
}

/// The idle workers. The one that was used last is used first, so that the surplus stays unused.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Idle>>);

#[derive(Debug, Default)]
struct Idle {
    workers: Vec<Worker>,
    /// The fewest that were idle at once since the last look at them: so many were not needed.
    fewest: usize,
    watched: bool,
}

impl Pool {
    pub(super) fn take(&self) -> Option<Worker> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = std::iter::from_fn(|| idle.workers.pop()).find(Worker::lives);
        idle.fewest = idle.fewest.min(idle.workers.len());
        worker
    }

    pub(super) fn give_back(&self, worker: Worker) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.workers.push(worker);
        if idle.workers.len() > 1 && !idle.watched {
            idle.watched = true;
            idle.fewest = idle.workers.len();
            drop(idle);
            tokio::spawn(self.clone().shrink());
        }
    }

    /// Lets go of every idle worker.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).workers.clear();
    }

    /// Lets go of the workers that were not needed, until one is left.
    async fn shrink(self) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let surplus = idle.fewest.min(idle.workers.len().saturating_sub(1));
            idle.workers.drain(..surplus);
            idle.fewest = idle.workers.len();
            if idle.workers.len() <= 1 {
                idle.watched = false;
                return;
            }
        }
    }
}
