//! The host as a policy is compiled for it once more: who kernos was started as, and the secrets that were handed over.
//!
//! What was settled before the privileges were dropped cannot be asked of the host again, so that it is remembered.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::exit::Error;
use super::host::{self, ThisHost};
use super::policy_file;
use crate::policy::{Account, Finding, Found, Host, Missing, Policy, Tls};
use crate::vocab::{AbsPath, Secret};

/// What a policy calls a secret by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretName {
    /// A systemd credential.
    Credential(String),
    /// A file.
    File(AbsPath),
}

/// Where the secrets of a policy come from.
#[derive(Debug)]
pub enum Secrets {
    /// From the host, as far as this process may read them.
    Readable,
    /// From these files, which somebody opened who may.
    Handed(BTreeMap<SecretName, File>),
}

/// What the host said when kernos was started.
#[derive(Clone, Debug)]
pub struct Started {
    unprivileged: Option<Account>,
    directories: HashMap<AbsPath, AbsPath>,
}

impl Started {
    /// To be called before the privileges are dropped.
    pub fn with(policy: &Policy) -> Self {
        let directories = policy.roots().map(|(written, canonical)| (written.clone(), canonical.clone()));
        Self { unprivileged: ThisHost.unprivileged(), directories: directories.collect() }
    }

    /// Fails if somebody other than root or who started kernos could have written this file.
    pub fn trusts(&self, path: &Path, file: &File) -> Result<(), Error> {
        policy_file::trusted(path, file, self.unprivileged.as_ref().map_or(0, |account| account.uid))
    }
}

/// The host of a running daemon.
#[derive(Debug)]
pub struct Again<'a> {
    /// What it said before.
    pub started: &'a Started,
    /// Where secrets come from.
    pub secrets: &'a Secrets,
}

impl Again<'_> {
    fn secret(&self, name: &SecretName) -> Option<Result<Secret, Missing>> {
        let Secrets::Handed(files) = self.secrets else { return None };
        Some(match files.get(name) {
            Some(file) => host::secret_of(file).map_err(|error| Missing(format!("{name}: {error}"))),
            None => Err(Missing(format!("{name} was not handed over"))),
        })
    }
}

impl Host for Again<'_> {
    fn program(&self, name: &str, search: &str, users: &[Account]) -> Result<Found, Missing> {
        ThisHost.program(name, search, users)
    }

    fn directory(&self, path: &AbsPath) -> Result<AbsPath, Missing> {
        self.started.directories.get(path).cloned().map_or_else(|| ThisHost.directory(path), Ok)
    }

    fn account(&self, name: &str) -> Result<Account, Missing> {
        ThisHost.account(name)
    }

    fn unprivileged(&self) -> Option<Account> {
        self.started.unprivileged.clone()
    }

    fn credential(&self, name: &str) -> Result<Secret, Missing> {
        self.secret(&SecretName::Credential(name.to_owned())).unwrap_or_else(|| ThisHost.credential(name))
    }

    fn secret_file(&self, path: &AbsPath) -> Result<Secret, Missing> {
        self.secret(&SecretName::File(path.clone())).unwrap_or_else(|| ThisHost.secret_file(path))
    }

    fn examine(&self, tls: &Tls) -> Result<Vec<Finding>, Finding> {
        ThisHost.examine(tls)
    }

    fn variable(&self, name: &str) -> Option<String> {
        ThisHost.variable(name)
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "the credential `{name}`"),
            Self::File(path) => path.fmt(f),
        }
    }
}
