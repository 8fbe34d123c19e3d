//! Another policy for a daemon that runs: the new one whole, or the old one kept and the reason told.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::exit::{Error, Exit};
use super::handed::{Again, Secrets, Started};
use super::policy_file::{self, PolicyFile};
use super::{load, notify};
use crate::http::Door;
use crate::policy::{Compiled, Policy, Severity};
use crate::vocab::Chain;

/// Looks after what is served while kernos runs.
pub struct Steward {
    /// What is served.
    pub door: Arc<Door>,
    /// Where, for people.
    pub places: String,
    /// What the host said at the start.
    pub started: Started,
    /// What of any policy this process does not hold.
    pub gaps: Vec<String>,
    /// The file to read again on SIGHUP; none where the policy is the default one.
    pub file: Option<PathBuf>,
    /// One policy after another.
    pub turn: Mutex<()>,
}

/// What became of a policy that was to be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What `kernos check` would print.
    pub diagnostics: Vec<String>,
    /// Whether it is served.
    pub outcome: Outcome,
}

/// Whether a policy is served, and if not why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is.
    Served {
        /// Its digest.
        digest: String,
        /// How many calls of keys that lost something were told to end.
        told: usize,
    },
    /// It has so many mistakes.
    Unsound {
        /// How many.
        errors: usize,
    },
    /// It changes what was settled at the start.
    NeedsRestart {
        /// What, in the words of the file.
        changes: Vec<String>,
    },
    /// Its file cannot be used.
    Unusable {
        /// Why not.
        why: String,
    },
}

/// A reload that systemd was told of. It is told of its end when this is dropped: after whoever asked for it, whom
/// systemd must not keep waiting.
pub struct Reloading<'s> {
    steward: &'s Steward,
    _turn: MutexGuard<'s, ()>,
}

impl Steward {
    /// Serves the policy in this file from now on, or says why not.
    pub async fn reload(&self, name: String, file: File, secrets: Secrets) -> (Verdict, Reloading<'_>) {
        let reloading = self.begin().await;
        let verdict = self.load(name, &file, &secrets);
        self.note(&verdict);
        (verdict, reloading)
    }

    /// The same with the file that this process was started with, as far as it may still read it.
    pub async fn reread(&self) -> Option<Verdict> {
        let path = self.file.as_deref()?;
        let _reloading = self.begin().await;
        let verdict = match self.open_again(path) {
            Ok(file) => self.load(path.display().to_string(), &file, &Secrets::Readable),
            Err(error) => {
                unusable(format!("{}: run `kernos reload` as root, which hands the file over", Chain(&error)))
            }
        };
        // Nobody else is there to be told.
        for diagnostic in &verdict.diagnostics {
            tracing::error!(diagnostic = diagnostic.trim_end(), "of the policy that was to be loaded");
        }
        self.note(&verdict);
        Some(verdict)
    }

    /// Keeps the policy, and says why.
    pub async fn refuse(&self, why: String) -> (Verdict, Reloading<'_>) {
        let reloading = self.begin().await;
        let verdict = unusable(why);
        self.note(&verdict);
        (verdict, reloading)
    }

    /// Why this file is not the one that was meant, if nobody named it and this process was started with another.
    pub fn mistaken(&self, file: &str, named: bool) -> Option<String> {
        if named { None } else { mistaken(self.file.as_deref(), file) }
    }

    /// What people read in `systemctl status`.
    pub fn status(&self) -> String {
        let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let (calls, sessions) = self.door.load();
        let (calls, sessions) = (plural(calls, "call"), plural(sessions, "session"));
        let kept = if self.door.has_refused_reload() {
            "; a reload was refused, the old policy is kept"
        } else {
            ""
        };
        format!("serving on {}; {calls}, {sessions}{kept}", self.places)
    }

    async fn begin(&self) -> Reloading<'_> {
        let turn = self.turn.lock().await;
        notify::reloading();
        Reloading { steward: self, _turn: turn }
    }

    fn open_again(&self, path: &Path) -> Result<File, Error> {
        let file = policy_file::open(path)?;
        self.started.trusts(path, &file)?;
        Ok(file)
    }

    fn load(&self, name: String, file: &File, secrets: &Secrets) -> Verdict {
        match policy_file::read_open(name, file) {
            Ok(file) => self.take(&file, secrets),
            Err(error) => unusable(Chain(&error).to_string()),
        }
    }

    fn take(&self, file: &PolicyFile, secrets: &Secrets) -> Verdict {
        let host = Again { started: &self.started, secrets };
        let Compiled { policy, diagnostics } = load::compile(file, &host);
        let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
        let diagnostics = diagnostics.iter().map(ToString::to_string).collect();
        let outcome = match policy {
            None => Outcome::Unsound { errors },
            Some(policy) => self.replace(policy),
        };
        Verdict { diagnostics, outcome }
    }

    fn replace(&self, policy: Policy) -> Outcome {
        let changes = self.door.policy().needs_restart(&policy);
        if !changes.is_empty() {
            return Outcome::NeedsRestart { changes };
        }
        let digest = policy.digest().to_owned();
        let gaps = load::gaps(&policy, &self.gaps);
        let told = self.door.replace_policy(policy, gaps);
        Outcome::Served { digest, told }
    }

    fn note(&self, verdict: &Verdict) {
        let served = matches!(verdict.outcome, Outcome::Served { .. });
        self.door.note_reload(served);
        let diagnostics = verdict.diagnostics.len();
        if served {
            tracing::info!(diagnostics, "{}", verdict.outcome);
        } else {
            tracing::error!(diagnostics, "{}", verdict.outcome);
        }
    }
}

impl Drop for Reloading<'_> {
    fn drop(&mut self) {
        notify::ready(self.steward.status());
    }
}

fn mistaken(own: Option<&Path>, file: &str) -> Option<String> {
    match own {
        Some(own) if own == Path::new(file) => None,
        Some(own) => Some(format!(
            "kernos was started with {own}, and {file} is what is read where nobody names a file: \
             `kernos reload --config {own}`",
            own = own.display()
        )),
        None => Some(format!(
            "kernos was started without a policy file, and {file} is what is read where nobody names one: \
             say `--config` if it is meant"
        )),
    }
}

fn unusable(why: String) -> Verdict {
    Verdict { diagnostics: Vec::new(), outcome: Outcome::Unusable { why } }
}

impl Outcome {
    /// The code to end with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Served { .. } => Exit::Done,
            Self::Unsound { .. } | Self::NeedsRestart { .. } | Self::Unusable { .. } => Exit::Configuration,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural =
            |count: &usize, one: &'static str, more: &'static str| if *count == 1 { one } else { more };
        match self {
            Self::Served { digest, told: 0 } => write!(f, "the policy was replaced: {digest}"),
            Self::Served { digest, told } => {
                let calls = plural(told, "call", "calls");
                write!(
                    f,
                    "the policy was replaced: {digest}; {told} {calls} of keys that may less were told to end"
                )
            }
            Self::Unsound { errors } => {
                let mistakes = plural(errors, "mistake", "mistakes");
                write!(f, "the policy was not replaced: the new one has {errors} {mistakes}")
            }
            Self::NeedsRestart { changes } => {
                write!(f, "the policy was not replaced: restart needed: {}", changes.join(", "))
            }
            Self::Unusable { why } => write!(f, "the policy was not replaced: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_by_default_is_refused_unless_kernos_was_started_with_it() {
        let (packaged, other) = ("/etc/kernos/kernos.toml", "/srv/kernos.toml");
        assert_eq!(mistaken(Some(packaged.as_ref()), packaged), None);
        let refused = mistaken(Some(other.as_ref()), packaged).unwrap();
        assert!(refused.contains(packaged) && refused.ends_with("`kernos reload --config /srv/kernos.toml`"));
        assert!(mistaken(None, packaged).unwrap().contains("without a policy file"));
    }
}
