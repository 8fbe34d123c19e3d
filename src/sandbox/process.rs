//! Attributes of a process that the daemon and the executor both set, without `unsafe` at their places of use.

use std::ffi::CStr;

use nix::sys::prctl;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Error;

/// Makes this process the parent of every orphan among its descendants, so that none escapes its waiting.
pub fn adopt_orphans() -> Result<(), Error> {
    prctl::set_child_subreaper(true).map_err(|source| Error::Prctl { attribute: "child_subreaper", source })
}

/// Keeps other processes of the same user from reading this one's memory, environment and descriptors.
///
/// [`super::Privileged::confine`] does it too; a process that calls execve(2) has to do it again.
pub fn hide() -> Result<(), Error> {
    prctl::set_dumpable(false).map_err(|source| Error::Prctl { attribute: "dumpable", source })
}

/// What ps(1) and pgrep(1) call this process. Started by way of /proc/self/exe it would be `exe`.
pub fn call_it(name: &CStr) -> Result<(), Error> {
    prctl::set_name(name).map_err(|source| Error::Prctl { attribute: "name", source })
}

/// Lets this process open as many descriptors as it may at all.
///
/// The lower, soft limit is for programs that call select(2), which breaks above 1,024 (systemd.exec(5),
/// `LimitNOFILE=`). So it is raised only where none of them is started any more.
pub fn open_all_files() {
    let hard = getrlimit(Resource::Nofile).maximum;
    // Raising it to the hard limit needs no privilege. Where it is refused all the same, fewer connections fit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
}
