//! Attributes of a process that the daemon and the executor both set, without `unsafe` at their places of use.

use nix::sys::prctl;

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
