//! The answer *no*: which rule, which word, and what is allowed instead.

use std::fmt;
use std::sync::Arc;

use super::rule::{Objection, RuleId};

/// Why a command line is not allowed. The same words go to the agent, to the audit event and to `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub(super) code: &'static str,
    pub(super) at: Option<usize>,
    pub(super) rule: Option<Arc<RuleId>>,
    pub(super) what: String,
    pub(super) instead: String,
}

impl Denial {
    pub(super) fn by_rule(rule: &Arc<RuleId>, objection: Objection) -> Self {
        Self {
            code: objection.code,
            at: Some(objection.at),
            rule: Some(Arc::clone(rule)),
            what: objection.told(),
            instead: objection.instead,
        }
    }

    /// One word for metrics: `command`, `flag`, `argument`, `subcommand`, `program`, `directory`,
    /// `redirection`, `timeout`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The rule that decided, if one did.
    pub fn rule(&self) -> Option<&RuleId> {
        self.rule.as_deref()
    }

    /// The index of the word that is refused, from 0.
    pub fn at(&self) -> Option<usize> {
        self.at
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "command[{at}]: ")?;
        }
        f.write_str(&self.what)?;
        if let Some(rule) = &self.rule {
            write!(f, " ({rule})")?;
        }
        write!(f, "; allowed: {}", self.instead)
    }
}

impl std::error::Error for Denial {}
