//! The host as root sees it who hands a policy over: each secret that the policy asks for is opened on the way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::daemon::handed::SecretName;
use crate::daemon::host::{self, ThisHost};
use crate::policy::{Account, Finding, Found, Host, Missing, Tls};
use crate::vocab::{AbsPath, Secret};

/// Where systemd puts the credentials of the packaged unit (systemd.exec(5)): who reloads it is not told.
const CREDENTIALS: &str = "/run/credentials/kernos.service";

/// This host for whoever hands secrets over: it opens each that a policy asks for.
#[derive(Debug)]
pub(super) struct Opening {
    credentials: PathBuf,
    opened: RefCell<BTreeMap<SecretName, File>>,
}

impl Opening {
    /// Nothing is open yet. Who is not root can open little.
    pub(super) fn as_root() -> Self {
        let credentials =
            env::var_os("CREDENTIALS_DIRECTORY").map_or_else(|| CREDENTIALS.into(), PathBuf::from);
        Self { credentials, opened: RefCell::default() }
    }

    /// All that could be opened.
    pub(super) fn opened(self) -> BTreeMap<SecretName, File> {
        self.opened.into_inner()
    }

    fn open(&self, name: SecretName, path: &Path) -> Result<Secret, Missing> {
        let failed = |error| Missing(format!("{}: {error}", path.display()));
        let file = host::open(path).map_err(failed)?;
        let secret = host::secret_of(&file).map_err(failed)?;
        self.opened.borrow_mut().insert(name, file);
        Ok(secret)
    }
}

impl Host for Opening {
    fn program(&self, name: &str, search: &str, users: &[Account]) -> Result<Found, Missing> {
        ThisHost.program(name, search, users)
    }

    fn directory(&self, path: &AbsPath) -> Result<AbsPath, Missing> {
        ThisHost.directory(path)
    }

    fn account(&self, name: &str) -> Result<Account, Missing> {
        ThisHost.account(name)
    }

    fn unprivileged(&self) -> Option<Account> {
        ThisHost.unprivileged()
    }

    fn credential(&self, name: &str) -> Result<Secret, Missing> {
        host::check_credential(name)?;
        self.open(SecretName::Credential(name.to_owned()), &self.credentials.join(name))
    }

    fn secret_file(&self, path: &AbsPath) -> Result<Secret, Missing> {
        self.open(SecretName::File(path.clone()), path.as_path())
    }

    fn examine(&self, tls: &Tls) -> Result<Vec<Finding>, Finding> {
        ThisHost.examine(tls)
    }

    fn variable(&self, name: &str) -> Option<String> {
        ThisHost.variable(name)
    }
}
