//! The daemon's side: starts the executor process, and has it run plans.
//!
//! It starts no command and signals no process: it closes a socket, and the executor's side does the rest.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::net::UnixStream;

use super::outcome::{Ended, Outcome, Stop};
use super::pool::{Pool, Worker};
use super::protocol::{End, Greeting, Report, Said, Settings};
use super::streams::Streams;
use super::watch::Watch;
use super::wire::Channel;
use crate::policy::Plan;
use crate::sandbox::{Identity, User};

/// The executor has only its privileges to drop before it is ready.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// A worker keeps the deadline itself. One that has not reported so long after it never will.
const OVERDUE: Duration = Duration::from_secs(10);

/// Why a plan has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no executor process.
    #[error("the executor process cannot be started")]
    Launch(#[source] io::Error),
    /// It did not say that it is ready.
    #[error("the executor process ended, or was silent for {READY_WITHIN:?}, before it was ready")]
    Silent(#[source] io::Error),
    /// It said that it cannot be ready.
    #[error("the executor process is not ready: {0}")]
    NotReady(String),
    /// It has ended: nothing can be run any more.
    #[error("the executor process has ended, and every running command with it")]
    Gone,
    /// The process that served this call has ended, or does not answer.
    #[error("the process that ran this command has ended unexpectedly, and the command with it")]
    Lost(#[source] io::Error),
    /// The daemon has no pipe or socket for the call.
    #[error("the command cannot be handed to the executor")]
    Resources(#[source] io::Error),
}

impl Error {
    /// A word for metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Launch(_) | Self::Silent(_) | Self::NotReady(_) => "executor-not-ready",
            Self::Gone => "executor-gone",
            Self::Lost(_) => "worker-lost",
            Self::Resources(_) => "no-resources",
        }
    }
}

/// An executor process that is ready.
#[derive(Debug)]
#[must_use]
pub struct Launched {
    process: Child,
    control: StdStream,
}

/// The executor process, as the daemon holds it. Dropping it lets the executor end.
#[derive(Debug)]
pub struct Executor {
    process: Child,
    control: UnixStream,
    pool: Pool,
}

impl Executor {
    /// Starts this same binary as the executor, which becomes `identity`, and waits until it is ready.
    ///
    /// `users` are the users of kernos: a program that one of them could have put there is not run in the
    /// place of the one that the policy listed. To be called while the process is privileged and has no
    /// threads.
    pub fn launch(identity: Option<&Identity>, users: &[User]) -> Result<Launched, Error> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("kernos").arg("executor");
        Self::launch_as(command, identity, users)
    }

    /// Starts `command` as the executor: a process that comes to call [`super::executor::main`].
    #[doc(hidden)]
    pub fn launch_as(
        mut command: Command,
        identity: Option<&Identity>,
        users: &[User],
    ) -> Result<Launched, Error> {
        let (control, theirs) = StdStream::pair().map_err(Error::Launch)?;
        command.env_clear().stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let mut process = command.spawn().map_err(Error::Launch)?;
        // The command holds the executor's end: while it does, its death would not be noticed.
        drop(command);
        let identity = identity.map(|identity| (identity.uid, identity.gid, identity.groups.clone()));
        let error = match introduce(&control, &Settings { identity, users: users.to_vec() }) {
            Ok(Ok(())) => return Ok(Launched { process, control }),
            Ok(Err(reason)) => Error::NotReady(reason),
            Err(error) => Error::Silent(error),
        };
        // What is not ready is not left behind either; that it is gone already is no error.
        let _ = process.kill().and_then(|()| process.wait());
        Err(error)
    }

    /// Runs a plan with this standard input until it has ended, by itself or because `stop` says so.
    ///
    /// What it does meanwhile is shown to `watch`. How much input is accepted is for the caller to judge. Whoever
    /// drops the future ends the command. When it returns, no process of the command is left.
    pub async fn run(
        &self,
        plan: Plan,
        stdin: Vec<u8>,
        watch: Watch,
        stop: impl Future<Output = Stop>,
    ) -> Result<Outcome, Error> {
        let limits = plan.limits();
        let (mut streams, ends) = Streams::open(stdin, limits, watch.clone()).map_err(Error::Resources)?;
        let mut worker = self.worker().await?;
        worker.start(&plan, ends.has_stdin(), &ends.descriptors()).await.map_err(Error::Lost)?;
        drop((ends, plan));
        let (report, stopped) = tokio::select! {
            conversed = converse(&mut worker, &mut streams, &watch, stop) => conversed.map_err(Error::Lost)?,
            () = self.gone() => return Err(Error::Gone),
            () = tokio::time::sleep(limits.timeout.saturating_add(OVERDUE)) => {
                return Err(Error::Lost(io::ErrorKind::TimedOut.into()));
            }
        };
        let (stdout, stderr) = streams.finish();
        let Report { stages, end, took, last } = report;
        if !last {
            self.pool.give_back(worker);
        }
        let ended = match end {
            End::Finished => stages.last().map(super::StageOutcome::line_ended),
            End::NotStarted(error) => Some(Ended::NotStarted(error)),
            End::TimedOut => Some(Ended::TimedOut),
            End::Stopped => stopped,
        };
        let ended = ended.ok_or_else(|| Error::Lost(io::Error::other("it reported what cannot be")))?;
        Ok(Outcome { ended, stages, stdout, stderr, took })
    }

    /// Whether the executor makes workers, and a worker answers: what an executor that hangs does not.
    pub async fn probe(&self) -> Result<(), Error> {
        let mut worker = Worker::hire(&self.control).await.map_err(Error::Resources)?;
        worker.measure().await.map_err(Error::Lost)?;
        worker.said().await.map(drop).map_err(Error::Lost)
    }

    /// Returns when the executor process has ended, which it does not while this value is held.
    pub async fn gone(&self) {
        // It sends nothing once it is ready, so that whatever can be read is its end.
        while let Err(error) = self.control.readable().await.and_then(|()| self.control.try_read(&mut [0])) {
            if error.kind() != io::ErrorKind::WouldBlock {
                return;
            }
        }
    }

    /// Lets the executor end and waits until it has, and with it every process that it started.
    ///
    /// To be called when no call runs any more.
    pub async fn close(&self) {
        self.pool.clear();
        // That it is gone already is no error here.
        let _ = rustix::net::shutdown(&self.control, Shutdown::Write);
        self.gone().await;
    }

    /// The executor's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    async fn worker(&self) -> Result<Worker, Error> {
        match self.pool.take() {
            Some(worker) => Ok(worker),
            None => Worker::hire(&self.control).await.map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::Gone,
                _ => Error::Resources(error),
            }),
        }
    }
}

impl Launched {
    /// The executor for use in a runtime, which has to be running.
    pub async fn into_async(self) -> Result<Executor, Error> {
        self.control.set_nonblocking(true).map_err(Error::Resources)?;
        let control = UnixStream::from_std(self.control).map_err(Error::Resources)?;
        let executor = Executor { process: self.process, control, pool: Pool::default() };
        // The first call finds a worker that is there already.
        executor.pool.give_back(executor.worker().await?);
        Ok(executor)
    }
}

/// Tells the executor who it is and waits for its answer.
fn introduce(control: &StdStream, settings: &Settings) -> io::Result<Greeting> {
    control.set_read_timeout(Some(READY_WITHIN))?;
    let mut channel = Channel::new(control.try_clone()?.into());
    channel.send(settings)?;
    channel.receive()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Moves the streams of a call until its report comes; tells what stopped it, if something did.
async fn converse(
    worker: &mut Worker,
    streams: &mut Streams,
    watch: &Watch,
    stop: impl Future<Output = Stop>,
) -> io::Result<(Report, Option<Ended>)> {
    let mut stopped = None;
    let total = streams.total();
    let stop = async {
        tokio::select! {
            reason = stop => reason.into(),
            () = total.exceeded() => Ended::OutputLimit,
        }
    };
    let flow = streams.flow();
    tokio::pin!(stop, flow);
    let mut flows = true;
    loop {
        tokio::select! {
            said = worker.said() => match said? {
                Said::Report(report) => return Ok((report, stopped)),
                Said::Usage(usage) => watch.meter().tell(usage),
            },
            () = watch.meter().asked() => worker.measure().await?,
            reason = &mut stop, if stopped.is_none() => {
                stopped = Some(reason);
                worker.stop().await?;
            }
            () = &mut flow, if flows => flows = false,
        }
    }
}
