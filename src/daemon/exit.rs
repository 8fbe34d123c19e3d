//! How the program ends: one error for whatever stops it, and the code of sysexits.h that tells a script which kind.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{exec, sandbox};

/// The exit codes of kernos. `check` has three of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all went well.
    Done,
    /// 64, `EX_USAGE`: the command line is wrong.
    Usage,
    /// 69, `EX_UNAVAILABLE`: there is no daemon that answers.
    Unavailable,
    /// 70, `EX_SOFTWARE`: a fault of kernos itself.
    Internal,
    /// 71, `EX_OSERR`: the system refused something.
    System,
    /// 77, `EX_NOPERM`: a permission is missing.
    Permission,
    /// 78, `EX_CONFIG`: the configuration is wrong.
    Configuration,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::System => 71,
            Self::Permission => 77,
            Self::Configuration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// What stopped the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that clap could not judge.
    #[error("{0}")]
    Usage(String),
    /// The policy file cannot be read.
    #[error("the policy file {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The policy file is not to be trusted, or not a policy at all.
    #[error("the policy file {} is not used: {why}", path.display())]
    Untrusted {
        /// Which file.
        path: PathBuf,
        /// Why not, and what would be right.
        why: String,
    },
    /// The file of a predecessor's settings cannot be read.
    #[error("the settings {} cannot be read", path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file of a predecessor's settings has lines that say nothing, which have been printed.
    #[error(
        "no policy was made of {name}: {mistakes} of its lines {} no assignment",
        if *mistakes == 1 { "is" } else { "are" }
    )]
    NoSettings {
        /// Which file.
        name: String,
        /// How many lines.
        mistakes: usize,
    },
    /// There is no policy where a service has it.
    #[error(
        "started as a service of systemd without --config, so the policy is /etc/kernos/kernos.toml: \
         write it (`kernos policy default` is a beginning), or name another with --config"
    )]
    Packaged(#[source] Box<Error>),
    /// The policy has mistakes, which have been printed.
    #[error("the policy {name} is unsound: {errors} {}", if *errors == 1 { "mistake" } else { "mistakes" })]
    Unsound {
        /// What it is called.
        name: String,
        /// How many mistakes.
        errors: usize,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}{}", remedy(source))]
    Listen {
        /// Which.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Callers without a key would come from other hosts.
    #[error(
        "the policy has [anonymous], which is for callers on this host, and {address} is not loopback: \
         listen at 127.0.0.1, or write `remote = true` there if everybody may come"
    )]
    OpenAccess {
        /// Where was to be listened.
        address: SocketAddr,
    },
    /// systemd was to pass sockets and did not.
    #[error(
        "the policy says `listen = \"systemd\"`, but no listening TCP socket was passed: is kernos.socket there?"
    )]
    NoSocket,
    /// The control socket cannot be made.
    #[error("cannot take orders at {}{}", path.display(), taken(source))]
    Control {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No daemon takes orders there.
    #[error(
        "no daemon takes orders at {}: is kernos running, as root or with --control, and are you root?",
        path.display()
    )]
    Unreachable {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A daemon has hung up on somebody who is not root.
    #[error("the daemon at {} has closed the connection at once: it answers only root", path.display())]
    Dismissed {
        /// Where.
        path: PathBuf,
    },
    /// A daemon took the order and has not answered.
    #[error(
        "the daemon at {} has not answered, so that the outcome is unknown: look at `/ready` or the journal",
        path.display()
    )]
    Unanswered {
        /// Where.
        path: PathBuf,
        /// What was seen instead.
        source: io::Error,
    },
    /// There is no such call.
    #[error("there is no call {call}: `kernos calls` lists those that run")]
    NoCall {
        /// Its number.
        call: u64,
    },
    /// A call was told to end, and goes on.
    #[error("call {call} was told to end and has not yet")]
    NotEnded {
        /// Its number.
        call: u64,
    },
    /// The privileges could not be dropped.
    #[error("the privileges cannot be dropped")]
    Confine(#[source] sandbox::Error),
    /// The system refused something else.
    #[error("cannot {doing}")]
    System {
        /// What was to be done.
        doing: &'static str,
        /// Why it was not.
        source: io::Error,
    },
    /// There is no process to start commands.
    #[error("the executor is not there")]
    Executor(#[source] exec::Error),
    /// The executor has ended while calls were served.
    #[error(
        "the executor has ended unexpectedly, and every command with it: kernos ends too, to be started again"
    )]
    ExecutorGone,
    /// What kernos itself could not do.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// The code to end with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::NoCall { .. } => Exit::Usage,
            Self::Unreadable { source, .. } | Self::Settings { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::Permission
            }
            Self::Unreadable { .. }
            | Self::Untrusted { .. }
            | Self::Unsound { .. }
            | Self::Settings { .. }
            | Self::NoSettings { .. }
            | Self::OpenAccess { .. } => Exit::Configuration,
            Self::Packaged(source) => source.exit(),
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::Permission
            }
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::Permission
            }
            Self::Dismissed { .. } => Exit::Permission,
            Self::Unreachable { .. } | Self::Unanswered { .. } => Exit::Unavailable,
            Self::Control { .. }
            | Self::Listen { .. }
            | Self::NoSocket
            | Self::Executor(_)
            | Self::System { .. } => Exit::System,
            Self::Confine(error) => confine_exit(error),
            Self::NotEnded { .. } | Self::ExecutorGone | Self::Internal(_) => Exit::Internal,
        }
    }
}

fn confine_exit(error: &sandbox::Error) -> Exit {
    match error {
        sandbox::Error::UnknownUser { .. } | sandbox::Error::Root { .. } | sandbox::Error::Nobody => {
            Exit::Configuration
        }
        sandbox::Error::Unprivileged { .. } => Exit::Permission,
        sandbox::Error::Threads { .. } => Exit::Internal,
        _ => Exit::System,
    }
}

fn taken(refusal: &io::Error) -> &'static str {
    if refusal.kind() == io::ErrorKind::AddrInUse { ": another kernos does" } else { "" }
}

fn remedy(refusal: &io::Error) -> impl fmt::Display + use<> {
    match refusal.kind() {
        io::ErrorKind::AddrInUse => {
            ": another program listens there. Choose another port (`--listen 127.0.0.1:22022`), any free one \
             (`--listen 127.0.0.1:0`), or end that program (`ss -ltnp` names it)"
        }
        io::ErrorKind::AddrNotAvailable => {
            ": this host has no such address. Choose one that `ip address` lists (`--listen 127.0.0.1:22021`)"
        }
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need root. Choose a higher one (`--listen 127.0.0.1:22021`)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_sysexits() {
        let exits = [
            Exit::Done,
            Exit::Usage,
            Exit::Unavailable,
            Exit::Internal,
            Exit::System,
            Exit::Permission,
            Exit::Configuration,
        ];
        assert_eq!(exits.map(Exit::code), [0, 64, 69, 70, 71, 77, 78]);
    }

    #[test]
    fn a_taken_port_comes_with_a_way_out() {
        let source = io::Error::from(io::ErrorKind::AddrInUse);
        let error = Error::Listen { address: "127.0.0.1:22021".to_owned(), source };
        assert!(
            error.to_string().starts_with("cannot listen on 127.0.0.1:22021: another program listens there")
        );
        assert!(error.to_string().contains("--listen 127.0.0.1:0"));
        assert_eq!(error.exit(), Exit::System);
    }

    #[test]
    fn a_policy_that_may_not_be_read_is_a_missing_permission() {
        let unreadable =
            |kind: io::ErrorKind| Error::Unreadable { path: "/x".into(), source: kind.into() }.exit();
        assert_eq!(unreadable(io::ErrorKind::PermissionDenied), Exit::Permission);
        assert_eq!(unreadable(io::ErrorKind::NotFound), Exit::Configuration);
    }
}
