//! The processes that descend from this one: reaping them, and ending them all.
//!
//! This process is a child subreaper (prctl(2)), so that whoever loses its parent becomes a child of this
//! process, whatever sessions and groups it has made for itself. The end is reached when the kernel says that
//! there is no child left, not when a list of ours is empty.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpgid, kill_process, kill_process_group, wait, waitid,
};

use crate::exec::outcome::StageEnd;

/// Where the kernel lists the children of this process (`CONFIG_PROC_CHILDREN`).
pub(super) const LISTING: &str = "/proc/thread-self/children";

/// Fails where the kernel does not list children: nothing could be ended there.
pub(super) fn verify_listing() -> io::Result<()> {
    fs::read(LISTING).map(drop)
}

/// What is left after reaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    Something,
}

/// Reaps every child that has ended, and tells of each.
pub(super) fn reap(mut ended: impl FnMut(Pid, StageEnd)) -> Left {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((id, status))) => ended(id, how(status.as_raw())),
            Ok(None) => return Left::Something,
            Err(_) => return Left::Nothing,
        }
    }
}

/// Kills each of these children that was stopped (SIGSTOP): it would let its call hang.
pub(super) fn kill_stopped(children: &HashSet<Pid>) {
    for child in children {
        if let Ok(Some(_)) = waitid(WaitId::Pid(*child), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG) {
            let _ = kill_process(*child, Signal::KILL);
        }
    }
}

/// Kills every descendant but the children to `spare`, and returns when they are gone.
pub(super) fn end(spare: &HashSet<Pid>, mut ended: impl FnMut(Pid, StageEnd)) {
    loop {
        let doomed: Vec<Pid> = children("/proc/thread-self").filter(|child| !spare.contains(child)).collect();
        doomed.iter().copied().for_each(kill_group);
        doomed.iter().copied().for_each(kill_branch);
        // Whoever was killed is a child of ours, so that there is something to wait for. No more are reaped than
        // were killed: others may come as fast as they are reaped, and have to be killed first.
        let mut options = WaitOptions::empty();
        for _ in &doomed {
            match wait(options) {
                Ok(Some((id, status))) => ended(id, how(status.as_raw())),
                Ok(None) => break,
                Err(_) => return,
            }
            options = WaitOptions::NOHANG;
        }
        // An orphan may have become ours after the list was read: then there is another round.
        if doomed.is_empty() && (!spare.is_empty() || reap(&mut ended) == Left::Nothing) {
            return;
        }
    }
}

/// Kills the process group of a child at once, which a process that forks all the time cannot outrun.
///
/// The group cannot be a stranger's: the child is in it, and keeps its number in use until it is reaped.
fn kill_group(child: Pid) {
    if let Ok(group) = getpgid(Some(child))
        && Ok(group) != getpgid(None)
    {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Kills a process and its descendants, parents first, so that no parent starts more.
///
/// A number may have gone to another process between reading and killing only if the kernel has given out
/// every other number in these microseconds.
fn kill_branch(top: Pid) {
    let mut ahead = vec![top];
    while let Some(next) = ahead.pop() {
        let _ = kill_process(next, Signal::KILL);
        ahead.extend(children_of(next));
    }
}

/// Every process that descends from this one now, parents first. Whoever comes or goes meanwhile may be missing.
pub(super) fn descendants() -> impl Iterator<Item = Pid> {
    let mut ahead: Vec<Pid> = children("/proc/thread-self").collect();
    std::iter::from_fn(move || {
        let next = ahead.pop()?;
        ahead.extend(children_of(next));
        Some(next)
    })
}

/// The children of all threads of a process.
fn children_of(process: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let threads = threads.into_iter().flatten().flatten();
    threads.flat_map(|thread| children(&thread.path().to_string_lossy())).collect()
}

/// The children of a thread (`/proc/PID/task/TID/children`). Whoever comes or goes meanwhile may be missing.
fn children(thread: &str) -> impl Iterator<Item = Pid> + use<> {
    let listed = fs::read_to_string(format!("{thread}/children")).unwrap_or_default();
    let ids: Vec<i32> = listed.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect();
    ids.into_iter().filter_map(Pid::from_raw)
}

fn how(status: i32) -> StageEnd {
    let status = ExitStatus::from_raw(status);
    match (status.code(), status.signal()) {
        (Some(code), _) => StageEnd::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) => StageEnd::Signalled(signal),
        (None, None) => unreachable!("only children that have ended are waited for"),
    }
}
