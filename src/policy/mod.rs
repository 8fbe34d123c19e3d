//! TOML becomes a policy or every mistake at once; a command line becomes a plan or a denial.
//!
//! Pure: what it needs of the host comes through [`Host`], and it starts, opens and prints nothing.

mod access;
mod compile;
mod denial;
mod diagnostic;
mod document;
mod grant;
mod host;
pub mod import;
mod limits;
pub mod plan;
mod presets;
pub mod program;
mod reach;
mod rule;
mod succession;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
mod veil;

pub use access::{Access, Anonymous, KEY_BYTES_MIN, Key, Lapse, Principal, Refused, Review};
pub use compile::{
    Compiled, Kasm, KasmOutput, KnownTool, Listen, Log, LogFormat, Sandbox, SecretSource, Server, compile,
    keys,
};
pub use denial::Denial;
pub use diagnostic::{Diagnostic, Severity, Source};
pub use document::{Mode, Rate};
pub use grant::{Grant, Request, RootGrant, ToolGrant};
pub use host::{Account, Found, Host, Missing};
pub use plan::Plan;
pub use presets::{DEFAULT, PRESETS};
pub use reach::Reach;
pub use rule::{Network, Origin, Rule, RuleId};
pub use tls::{Finding, Pem, Tls, TlsPart};

use std::sync::Arc;

use crate::vocab::AbsPath;

/// A whole policy, compiled.
#[derive(Clone, Debug)]
pub struct Policy {
    server: Server,
    log: Log,
    roots: Vec<compile::Root>,
    access: Access,
    profiles: Vec<Arc<Grant>>,
    kasm: Option<Kasm>,
    gaps: Vec<Gap>,
    digest: String,
}

/// Something that the policy says and that is not held.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// One word: `files`, `programs`, `network`, `spending`, `signals`, `users`, `kasm`.
    pub code: &'static str,
    /// What is not held.
    pub what: &'static str,
}

impl Gap {
    fn new(code: &'static str, what: &'static str) -> Self {
        Self { code, what }
    }
}

impl Policy {
    /// Where kernos listens, as whom it runs, and whom it believes.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What is logged, and how.
    pub fn log(&self) -> Log {
        self.log
    }

    /// The paths of its roots, as they are written and with every link followed.
    pub fn roots(&self) -> impl Iterator<Item = (&AbsPath, &AbsPath)> {
        self.roots.iter().map(|root| (&root.written, &root.canonical))
    }

    /// Who may come.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The profiles, in alphabetical order.
    pub fn profiles(&self) -> &[Arc<Grant>] {
        &self.profiles
    }

    /// How to reach Kasm.
    pub fn kasm(&self) -> Option<&Kasm> {
        self.kasm.as_ref()
    }

    /// What the policy says and is not held.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The SHA-256 of its text, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}
