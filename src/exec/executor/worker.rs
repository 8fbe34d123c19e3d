//! A worker: serves one call after another over its socket, and is the ancestor of every process of its call.
//!
//! It has one thread and waits for two things only: its socket and its children.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::setsid;

use super::line::{self, Interruption};
use super::means::Means;
use super::redirect::Stream;
use super::spending;
use crate::exec::outcome::Usage;
use crate::exec::protocol::{Request, Said};
use crate::exec::wire::Channel;
use crate::policy::Plan;
use crate::sandbox::{User, process};

/// What a worker has for all its calls.
#[derive(Debug)]
pub(super) struct Worker {
    channel: Channel,
    children: SignalFd,
    /// What the processes of earlier calls have spent.
    spent_before: Duration,
    pub(super) null: Stream,
    pub(super) users: Vec<User>,
}

/// A line to run, and the streams that its stages share.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) plan: Plan,
    pub(super) streams: [Stream; 3],
}

/// Serves the calls that come over `socket` until it is closed, or until a command has changed the `means` that this
/// process and its programs have.
pub(super) fn serve(socket: OwnedFd, users: Vec<User>, means: &Means) -> io::Result<()> {
    // Where the kernel shares the processor among sessions (sched(7), autogroup), a command that makes many of them
    // must not starve whoever is to end it.
    setsid()?;
    process::adopt_orphans().map_err(io::Error::other)?;
    let null = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let mut worker = Worker {
        channel: Channel::new(socket),
        children: children()?,
        spent_before: Duration::ZERO,
        null: Rc::new(null),
        users,
    };
    while let Some(request) = worker.channel.receive()? {
        match request {
            Request::Run { plan, stdin } => {
                let call = worker.call(plan, stdin)?;
                let mut report = line::run(&mut worker, &call);
                let last = Means::of_this_process()? != *means;
                report.last = last;
                // The streams are held until the report is sent: it wakes the daemon, and their ends need not.
                if worker.channel.send(&Said::Report(report)).is_err() || last {
                    // The daemon is gone, or has given the call up; or the call would have a part in the next one.
                    return Ok(());
                }
            }
            Request::Measure => worker.channel.send(&Said::Usage(Usage::default()))?,
            // A stop that crossed the report of its call is for nobody.
            Request::Stop => {}
        }
    }
    Ok(())
}

/// Becomes readable when a child has ended. SIGCHLD has to be blocked.
pub(super) fn children() -> nix::Result<SignalFd> {
    let signals: SigSet = [Signal::SIGCHLD].into_iter().collect();
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

impl Worker {
    fn call(&mut self, plan: Plan, stdin: bool) -> io::Result<Call> {
        self.spent_before = spending::of_the_ended();
        let (stdout, stderr) = (self.channel.descriptor()?, self.channel.descriptor()?);
        let stdin = if stdin { Rc::new(self.channel.descriptor()?) } else { Rc::clone(&self.null) };
        Ok(Call { plan, streams: [stdin, Rc::new(stdout), Rc::new(stderr)] })
    }

    /// Waits until a child has ended; an interruption if the time comes first or the daemon wants an end.
    pub(super) fn wait(&mut self, until: Instant) -> Result<(), Interruption> {
        loop {
            // What followed a large plan closely was read together with its last piece.
            if self.channel.holds_more() {
                self.heed()?;
                continue;
            }
            let left = until.checked_duration_since(Instant::now()).ok_or(Interruption::Late)?;
            let left = Timespec::try_from(left).ok();
            let mut ready =
                [PollFd::new(&self.children, PollFlags::IN), PollFd::new(&self.channel, PollFlags::IN)];
            // An error of poll(2) is an interruption by a signal or a lack of memory: it is tried again.
            let Ok(_) = poll(&mut ready, left.as_ref()) else { continue };
            let [child, request] = ready.map(|ready| !ready.revents().is_empty());
            if request {
                self.heed()?;
            }
            if child {
                // Read before reaping: a child that ends in between makes it readable again.
                let _ = self.children.read_signal();
                return Ok(());
            }
        }
    }

    /// Does what the daemon asks during a call. Whatever is no question is its stop: a message that says so, or the
    /// end of the daemon.
    fn heed(&mut self) -> Result<(), Interruption> {
        match self.channel.receive::<Request<Plan>>() {
            Ok(Some(Request::Measure)) => {
                let usage = spending::since(self.spent_before);
                self.channel.send(&Said::Usage(usage)).map_err(|_| Interruption::Stopped)
            }
            _ => Err(Interruption::Stopped),
        }
    }
}
