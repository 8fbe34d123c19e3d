//! What can go wrong while the process gives its privileges up. Every variant names its step.

use std::io;

use nix::errno::Errno;

/// Why this process is not confined. Serving goes no further after any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no such user.
    #[error("there is no user `{user}` on this host: create it, or name one that exists, or write a number")]
    UnknownUser {
        /// As it was written.
        user: String,
    },
    /// The user database could not answer.
    #[error("the user `{user}` cannot be looked up")]
    Lookup {
        /// As it was written.
        user: String,
        /// What the C library said.
        source: Errno,
    },
    /// The user to become is root itself.
    #[error("`{user}` is root: name a user without privileges")]
    Root {
        /// As it was written.
        user: String,
    },
    /// Root, and nobody else to become.
    #[error("started as root without a user to become: name one (`[server] user` and `run_as`)")]
    Nobody,
    /// Not root, and somebody else to become.
    #[error("started as uid {uid}, which cannot become uid {wanted}: start as root, or as that user")]
    Unprivileged {
        /// Who the process is.
        uid: u32,
        /// Who it is to be.
        wanted: u32,
    },
    /// Privileges belong to threads, and only one thread can be seen to.
    #[error(
        "{count} threads run already: privileges are a thread's own, so they are dropped while there is one"
    )]
    Threads {
        /// How many there are.
        count: u32,
    },
    /// A capability set could not be read or cleared.
    #[error("the {set} set of capabilities cannot be cleared{}", if *set == "bounding" { " (this needs CAP_SETPCAP)" } else { "" })]
    Capabilities {
        /// Which of the five sets.
        set: &'static str,
        /// What the kernel said.
        source: caps::errors::CapsError,
    },
    /// setgroups(2)
    #[error("the supplementary groups cannot be set (this needs CAP_SETGID)")]
    Groups(#[source] Errno),
    /// setresgid(2)
    #[error("the group cannot be changed to gid {gid} (this needs CAP_SETGID)")]
    Gid {
        /// The group to enter.
        gid: u32,
        /// What the kernel said.
        source: Errno,
    },
    /// setresuid(2)
    #[error("the user cannot be changed to uid {uid} (this needs CAP_SETUID)")]
    Uid {
        /// The user to become.
        uid: u32,
        /// What the kernel said.
        source: Errno,
    },
    /// prctl(2) refused.
    #[error("prctl cannot set {attribute}")]
    Prctl {
        /// Which attribute of the process.
        attribute: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// The kernel's own account of a thread could not be read.
    #[error("{path} cannot be read, so the drop of privileges cannot be verified: is /proc mounted?")]
    Status {
        /// Which file.
        path: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The kernel's account of a thread is not what it has to be.
    #[error("thread {thread} still has privileges after the drop: {fault}")]
    Kept {
        /// Its id.
        thread: String,
        /// Which line of its status is wrong.
        fault: String,
    },
    /// What was given up could be taken back.
    #[error("the process could become {whom} again after the drop")]
    Regained {
        /// Whom.
        whom: &'static str,
    },
}
