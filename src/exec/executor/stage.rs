//! Starts one stage: is its program still the one that the policy lists, its redirections, then the program.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::stat;
use rustix::process::{Pid, Resource, getrlimit};

use super::clone::{self, Failure, Start};
use super::redirect::{self, Stream};
use crate::policy::plan::PlannedStage;
use crate::policy::program::{FileId, Pinned};
use crate::sandbox::{User, facts};

/// Why a stage did not start, and the status that a shell would give it.
#[derive(Debug)]
pub(super) struct NotStarted {
    pub(super) status: i32,
    pub(super) error: String,
}

/// The statuses of POSIX for a command that never ran.
const REDIRECTION_FAILED: i32 = 1;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What a stage needs besides its plan.
#[derive(Debug)]
pub(super) struct Surroundings<'w> {
    pub(super) directory: BorrowedFd<'w>,
    pub(super) null: &'w Stream,
    pub(super) users: &'w [User],
}

/// Starts a stage with these streams, changed by its redirections.
pub(super) fn start(
    stage: &PlannedStage,
    mut streams: [Stream; 3],
    around: &Surroundings<'_>,
) -> Result<Pid, NotStarted> {
    let program = stage.program();
    for file in [&program.file].into_iter().chain(&program.interpreters) {
        verify(file, around.users)?;
    }
    redirect::apply(stage.redirections(), &mut streams, around.null)
        .map_err(|error| NotStarted { status: REDIRECTION_FAILED, error })?;
    let (argv, environment) = (c_strings(stage.argv().iter().cloned())?, c_strings(variables(stage))?);
    let path = c_string(program.file.path.as_str().to_owned())?;
    let start = Start {
        path: &path,
        argv: &argv,
        environment: &environment,
        streams: [streams[0].as_fd(), streams[1].as_fd(), streams[2].as_fd()],
        directory: around.directory,
        open_files: stage.limits().open_files.map(at_most),
    };
    clone::start(&start).map_err(|Failure { step, error }| match step {
        "execve" => not_started(&program.file, &error),
        step => NotStarted {
            status: NOT_EXECUTABLE,
            error: format!("{} cannot be started: {step}: {error}", program.file.path),
        },
    })
}

/// Compares the file that is there now with the one that the policy listed.
fn verify(listed: &Pinned, users: &[User]) -> Result<(), NotStarted> {
    let unlisted = |error: io::Error| not_started(listed, &error);
    let now = stat(listed.path.as_path()).map_err(|errno| unlisted(errno.into()))?;
    if (FileId { device: now.st_dev, inode: now.st_ino }) == listed.id {
        return Ok(());
    }
    let now = facts(&listed.path, users).map_err(unlisted)?;
    listed.admits(&now).map_err(|error| NotStarted { status: NOT_EXECUTABLE, error: error.to_string() })
}

fn not_started(file: &Pinned, error: &io::Error) -> NotStarted {
    let missing = error.kind() == io::ErrorKind::NotFound;
    NotStarted {
        status: if missing { NOT_FOUND } else { NOT_EXECUTABLE },
        error: format!("{} cannot be started: {error}", file.path),
    }
}

/// A limit of the policy, or the lower one that the host has set already and only root may raise.
fn at_most(open_files: u64) -> u64 {
    getrlimit(Resource::Nofile).maximum.map_or(open_files, |hard| hard.min(open_files))
}

fn variables(stage: &PlannedStage) -> impl Iterator<Item = String> {
    stage.environment().iter().map(|(name, value)| format!("{name}={value}"))
}

fn c_strings(texts: impl Iterator<Item = String>) -> Result<Vec<CString>, NotStarted> {
    texts.map(c_string).collect()
}

/// The policy lets no NUL through; a plan that has one all the same is not run.
fn c_string(text: String) -> Result<CString, NotStarted> {
    CString::new(text).map_err(|error| NotStarted { status: NOT_EXECUTABLE, error: error.to_string() })
}
