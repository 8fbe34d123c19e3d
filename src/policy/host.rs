//! What a policy must know of the host, as a trait: this floor does no I/O itself.

use std::time::SystemTime;

use super::program::Program;
use super::tls::{Finding, Tls};
use crate::vocab::{AbsPath, Secret};

/// A user of the host, with the groups that a process of theirs gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As the policy wrote it: a name or a number.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The user's own group.
    pub gid: u32,
    /// All groups of a named user, the own one included; none for a number.
    pub groups: Vec<u32>,
}

/// A program that was found on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The program, pinned.
    pub program: Program,
    /// The first of its files that the given users can change or replace, if any.
    pub unguarded: Option<AbsPath>,
}

/// Why the host cannot give what the policy names: one sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// The host, as far as a policy asks. Filled in by the daemon, and by tests.
pub trait Host {
    /// The program of this name (looked up in `search`, directories joined by `:`) or absolute path.
    fn program(&self, name: &str, search: &str, users: &[Account]) -> Result<Found, Missing>;

    /// The path of a directory with every link followed.
    fn directory(&self, path: &AbsPath) -> Result<AbsPath, Missing>;

    /// A user by name or number.
    fn account(&self, name: &str) -> Result<Account, Missing>;

    /// The user that this process was started by, where that is not root.
    fn unprivileged(&self) -> Option<Account>;

    /// The content of a systemd credential (systemd.exec(5), `LoadCredential=`), without its last line break.
    fn credential(&self, name: &str) -> Result<Secret, Missing>;

    /// The content of a file that holds a secret, without its last line break.
    fn secret_file(&self, path: &AbsPath) -> Result<Secret, Missing>;

    /// Tries whether a certificate and its key can be served: what makes that doubtful, or what makes it impossible.
    /// What is impossible is never served.
    fn examine(&self, tls: &Tls) -> Result<Vec<Finding>, Finding>;

    /// A variable of the environment that the daemon was started with.
    fn variable(&self, name: &str) -> Option<String>;

    /// The time: what has passed already is worth a warning.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
