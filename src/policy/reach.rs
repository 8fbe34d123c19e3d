//! What each command of a profile is on this host, and what it can start: the table that `check` prints.

use std::collections::BTreeSet;

use serde::Serialize;

use super::grant::Grant;
use super::program::Pinned;

/// Programs that run other programs' texts: whoever may start one may compute anything with it.
const INTERPRETERS: [&str; 16] = [
    "awk", "bash", "busybox", "dash", "gawk", "ksh", "lua", "mawk", "node", "perl", "php", "python", "ruby",
    "sh", "tclsh", "zsh",
];

/// One command of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// The name that it is called by.
    pub command: String,
    /// Each path on the way to its file; empty where the host lacks it.
    pub program: Vec<String>,
    /// The interpreters that the kernel starts for it, each with its way.
    pub interpreters: Vec<Vec<String>>,
    /// How many programs it can start besides.
    pub starts: usize,
    /// How many of them are interpreters.
    pub starts_interpreters: usize,
    /// Whether its rule says nothing of its arguments.
    pub any_arguments: bool,
    /// Whom it can reach.
    pub network: Vec<String>,
}

impl Grant {
    /// What each command of the profile is and reaches, in the profile's order.
    pub fn reach(&self) -> Vec<Reach> {
        let one = |rule: &super::Rule| {
            let starts = self.may_start(rule);
            let program = rule.program();
            Reach {
                command: rule.name().to_owned(),
                program: program.map(|program| way(&program.file)).unwrap_or_default(),
                interpreters: program
                    .map(|one| one.interpreters.iter().map(way).collect())
                    .unwrap_or_default(),
                starts_interpreters: starts.iter().filter(|name| is_interpreter(name)).count(),
                starts: starts.len(),
                any_arguments: rule.takes_any_arguments(),
                network: rule.network().iter().map(ToString::to_string).collect(),
            }
        };
        self.rules().map(one).collect()
    }

    /// The programs that a rule's program may start, by name or path.
    pub fn may_start(&self, rule: &super::Rule) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in &rule.spawns {
            match name.as_str() {
                "@all" => names.extend(self.rules().map(|rule| rule.name.clone())),
                name => names.push(name.to_owned()),
            }
        }
        names.extend(rule.helpers.iter().map(ToString::to_string));
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

fn way(file: &Pinned) -> Vec<String> {
    let mut way = vec![file.path.to_string()];
    if file.canonical != file.path {
        way.push(file.canonical.to_string());
    }
    way
}

/// Whether it runs texts: by its name, a version behind it aside.
pub(super) fn is_interpreter(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let bare = file.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&bare)
}
