//! What a process may spend and hands on to all that it starts: its limits and its priority.
//!
//! Whoever shares its user can lower them from outside (prlimit(2), setpriority(2)) and nobody without privileges
//! can raise them again. Nothing is restored here, so that a process whose means were changed is only told.

use std::io;

use rustix::process::{Resource, Rlimit, getpriority_process, getrlimit};

/// All that a limit is set for (getrlimit(2)).
const RESOURCES: [Resource; 16] = [
    Resource::As,
    Resource::Core,
    Resource::Cpu,
    Resource::Data,
    Resource::Fsize,
    Resource::Locks,
    Resource::Memlock,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Nofile,
    Resource::Nproc,
    Resource::Rss,
    Resource::Rtprio,
    Resource::Rttime,
    Resource::Sigpending,
    Resource::Stack,
];

/// The limits and the priority of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Means {
    limits: [Rlimit; RESOURCES.len()],
    niceness: i32,
}

impl Means {
    pub(super) fn of_this_process() -> io::Result<Self> {
        Ok(Self { limits: RESOURCES.map(getrlimit), niceness: getpriority_process(None)? })
    }
}
