//! Runs one command line: its pipelines one after the other as POSIX joins them, until nothing of it is left.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::redirect::{self, Stream};
use super::stage::{self, NotStarted, Surroundings};
use super::tree::{self, Left};
use super::worker::{Call, Worker};
use crate::command::Connector;
use crate::exec::outcome::{StageEnd, StageOutcome};
use crate::exec::protocol::{End, Report};
use crate::policy::plan::{PlannedPipeline, PlannedStage};

/// How long a process that outlives its line may finish a last write, once the leaders have ended.
const GRACE: Duration = Duration::from_millis(100);

/// A century: more than this cannot be added to every point in time.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Why a line is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// The time to wait until has come.
    Late,
    /// The daemon said so, or is gone.
    Stopped,
}

/// A line that runs.
struct Line<'w> {
    worker: &'w mut Worker,
    streams: &'w [Stream; 3],
    directory: OwnedFd,
    deadline: Instant,
    stages: Vec<StageOutcome>,
    /// The leaders that have not ended, with the indices of their stages.
    running: Vec<(Pid, usize)>,
    left: Left,
}

/// Runs a line to its end.
pub(super) fn run(worker: &mut Worker, call: &Call) -> Report {
    let began = Instant::now();
    let plan = &call.plan;
    rustix::process::umask(Mode::from_raw_mode(plan.umask() & 0o777));
    let directory = match redirect::directory(plan.directory()) {
        Ok(directory) => directory,
        Err(error) => {
            return Report {
                stages: Vec::new(),
                end: End::NotStarted(error),
                took: began.elapsed(),
                last: false,
            };
        }
    };
    let mut line = Line {
        worker,
        streams: &call.streams,
        directory,
        deadline: began + plan.limits().timeout.min(FOREVER),
        stages: Vec::new(),
        running: Vec::new(),
        left: Left::Nothing,
    };
    let end = match line.pipelines(plan.pipelines()) {
        Ok(()) => End::Finished,
        Err(Interruption::Late) => End::TimedOut,
        Err(Interruption::Stopped) => End::Stopped,
    };
    line.end_all();
    Report { stages: line.stages, end, took: began.elapsed(), last: false }
}

impl Line<'_> {
    fn pipelines<'p>(
        &mut self,
        pipelines: impl Iterator<Item = (Option<Connector>, &'p PlannedPipeline)>,
    ) -> Result<(), Interruption> {
        for (connector, pipeline) in pipelines {
            let succeeded = self.stages.last().is_some_and(|stage| stage.status == 0);
            let skipped = match connector {
                None | Some(Connector::Then) => false,
                Some(Connector::And) => !succeeded,
                Some(Connector::Or) => succeeded,
            };
            if !skipped {
                self.pipeline(pipeline.stages());
                while !self.running.is_empty() {
                    self.wait(self.deadline)?;
                }
            }
        }
        self.linger()
    }

    /// Starts the stages, first to last. This process keeps no end of the pipes between them, so that a stage
    /// whose reader is gone is told at once.
    fn pipeline(&mut self, stages: &[PlannedStage]) {
        let mut input = Ok(Rc::clone(&self.streams[0]));
        for (index, stage) in stages.iter().enumerate() {
            let (output, next) = if index + 1 == stages.len() {
                (Ok(Rc::clone(&self.streams[1])), Ok(Rc::clone(&self.worker.null)))
            } else {
                pipe()
            };
            let started = match (input, output) {
                (Ok(input), Ok(output)) => self.start(stage, [input, output, Rc::clone(&self.streams[2])]),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
            self.note(stage, started);
            input = next;
        }
    }

    fn start(&self, stage: &PlannedStage, streams: [Stream; 3]) -> Result<Pid, NotStarted> {
        let around = Surroundings {
            directory: self.directory.as_fd(),
            null: &self.worker.null,
            users: &self.worker.users,
        };
        stage::start(stage, streams, &around)
    }

    fn note(&mut self, stage: &PlannedStage, started: Result<Pid, NotStarted>) {
        let (status, error) = match started {
            Ok(pid) => {
                self.running.push((pid, self.stages.len()));
                (0, None)
            }
            Err(NotStarted { status, error }) => (status, Some(error)),
        };
        let program = stage.argv().first().cloned().unwrap_or_default();
        self.stages.push(StageOutcome { program, status, ended: StageEnd::NotStarted, error });
    }

    /// Waits until some process ends, and notes what became of it.
    fn wait(&mut self, until: Instant) -> Result<(), Interruption> {
        self.worker.wait(until)?;
        let (stages, running) = (&mut self.stages, &mut self.running);
        self.left = tree::reap(|pid, end| settle(stages, running, pid, end));
        Ok(())
    }

    /// Where something is left when the leaders have ended, gives it a moment for its last write.
    fn linger(&mut self) -> Result<(), Interruption> {
        let until = self.deadline.min(Instant::now() + GRACE);
        while self.left == Left::Something {
            match self.wait(until) {
                Err(Interruption::Late) => return Ok(()),
                other => other?,
            }
        }
        Ok(())
    }

    fn end_all(&mut self) {
        if self.left == Left::Something || !self.running.is_empty() {
            let (stages, running) = (&mut self.stages, &mut self.running);
            tree::end(&HashSet::new(), |pid, end| settle(stages, running, pid, end));
        }
    }
}

fn settle(stages: &mut [StageOutcome], running: &mut Vec<(Pid, usize)>, pid: Pid, end: StageEnd) {
    if let Some(at) = running.iter().position(|(leader, _)| *leader == pid) {
        let stage = &mut stages[running.swap_remove(at).1];
        stage.ended = end;
        stage.status = end.status(stage.status);
    }
}

type PipeEnd = Result<Stream, NotStarted>;

/// The writing and the reading end of a pipe, or for both the reason why there is none.
fn pipe() -> (PipeEnd, PipeEnd) {
    let refused = |error| NotStarted { status: 126, error: format!("a pipe cannot be made: {error}") };
    match pipe_with(PipeFlags::CLOEXEC) {
        Ok((reader, writer)) => (Ok(Rc::new(writer)), Ok(Rc::new(reader))),
        Err(error) => (Err(refused(error)), Err(refused(error))),
    }
}
