//! Attributes of a process that the daemon and the executor both set, without `unsafe` at their places of use.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use super::Error;

/// Makes this process the parent of every orphan among its descendants, so that none escapes its waiting.
pub fn adopt_orphans() -> Result<(), Error> {
    prctl::set_child_subreaper(true).map_err(|source| Error::Prctl { attribute: "child_subreaper", source })
}

/// Has this process killed when the thread that started it ends.
///
/// To be called after [`super::Privileged::confine`]: the kernel forgets it when the user changes. `parent` is who it was
/// when the process was started; if it is gone already, the signal would never come, and `false` is returned.
pub fn die_with(parent: Pid) -> Result<bool, Error> {
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|source| Error::Prctl { attribute: "pdeathsig", source })?;
    Ok(getppid() == parent)
}

/// Keeps other processes of the same user from reading this one's memory, environment and descriptors.
///
/// [`super::Privileged::confine`] does it too; a process that calls execve(2) has to do it again.
pub fn hide() -> Result<(), Error> {
    prctl::set_dumpable(false).map_err(|source| Error::Prctl { attribute: "dumpable", source })
}
