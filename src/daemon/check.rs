//! `kernos check`: every mistake of a policy file, found by the same code that serves it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::cli::Check;
use super::exit::Error;
use super::host::ThisHost;
use super::{load, policy_file};
use crate::policy::{Compiled, Diagnostic, Gap, Policy, Reach, Severity};
use crate::vocab::Chain;

/// What `check` can say, and the code that it says it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// 0: it can be served.
    Sound,
    /// 1: it cannot.
    Unsound,
    /// 2: it cannot be read, so that nothing is known of it.
    Unknown,
}

/// The whole answer.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    verdict: Verdict,
    /// Why the file itself is not used, if it is not.
    problem: Option<String>,
    digest: Option<String>,
    diagnostics: Vec<Diagnostic>,
    gaps: Vec<Gap>,
    /// What each command of each profile is on this host, and what it reaches.
    profiles: BTreeMap<String, Vec<Reach>>,
}

/// Checks the file and prints what was found on standard output.
pub fn run(arguments: &Check) -> ExitCode {
    let report = Report::of(arguments);
    let printed = if arguments.json { report.json() } else { report.text() };
    match io::stdout().write_all(printed.as_bytes()) {
        Ok(()) => ExitCode::from(report.verdict as u8),
        Err(_) => ExitCode::from(Verdict::Unknown as u8),
    }
}

impl Report {
    fn of(arguments: &Check) -> Self {
        let file = arguments.path().display().to_string();
        match policy_file::examine(arguments.path()) {
            Ok((found, None)) => Self::compiled(file, load::compile(&found, &ThisHost)),
            Ok((found, Some(distrusted))) => Self {
                verdict: Verdict::Unsound,
                problem: Some(Chain(&distrusted).to_string()),
                ..Self::compiled(file, load::compile(&found, &ThisHost))
            },
            Err(error) => Self::unread(file, &error),
        }
    }

    fn compiled(file: String, Compiled { policy, diagnostics }: Compiled) -> Self {
        Self {
            file,
            verdict: if policy.is_some() { Verdict::Sound } else { Verdict::Unsound },
            problem: None,
            digest: policy.as_ref().map(|policy| policy.digest().to_owned()),
            gaps: policy.as_ref().map(Policy::gaps).unwrap_or_default().to_vec(),
            profiles: policy
                .iter()
                .flat_map(Policy::profiles)
                .map(|one| (one.profile().to_owned(), one.reach()))
                .collect(),
            diagnostics,
        }
    }

    fn unread(file: String, error: &Error) -> Self {
        let verdict =
            if matches!(error, Error::Untrusted { .. }) { Verdict::Unsound } else { Verdict::Unknown };
        let problem = Some(Chain(error).to_string());
        Self {
            file,
            verdict,
            problem,
            digest: None,
            diagnostics: Vec::new(),
            gaps: Vec::new(),
            profiles: BTreeMap::new(),
        }
    }

    fn json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("a report has string keys only");
        format!("{json}\n")
    }

    fn text(&self) -> String {
        let diagnostics = self.diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n"));
        let gaps = self.gaps.iter().map(|gap| format!("not held ({}): {}\n", gap.code, gap.what));
        let problem = self.problem.iter().map(|problem| format!("error: {problem}\n"));
        let profiles = self.profiles.iter().map(|(name, commands)| profile(name, commands));
        let body: String = profiles.chain(diagnostics).chain(gaps).chain(problem).collect();
        format!("{body}{}: {}\n", self.file, self.summary())
    }

    fn summary(&self) -> String {
        let count = |severity| self.diagnostics.iter().filter(|one| one.severity == severity).count();
        let (errors, warnings) =
            (count(Severity::Error) + usize::from(self.problem.is_some()), count(Severity::Warning));
        let warned = match warnings {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            many => format!(", {many} warnings"),
        };
        match (self.verdict, errors) {
            (Verdict::Sound, _) => format!("sound{warned}"),
            (Verdict::Unsound, 0) => "unsound".to_owned(),
            (Verdict::Unsound, 1) => format!("unsound: 1 mistake{warned}"),
            (Verdict::Unsound, many) => format!("unsound: {many} mistakes{warned}"),
            (Verdict::Unknown, _) => "it cannot be said whether it is sound".to_owned(),
        }
    }
}

fn profile(name: &str, commands: &[Reach]) -> String {
    let width = commands.iter().map(|reach| reach.command.len()).max().unwrap_or_default();
    let lines = commands.iter().map(|reach| format!("  {:width$}  {}\n", reach.command, described(reach)));
    format!("profile {name}\n{}\n", lines.collect::<String>())
}

fn described(reach: &Reach) -> String {
    if reach.program.is_empty() {
        return "this host lacks it".to_owned();
    }
    let program = reach.program.join(" -> ");
    let interpreters = reach.interpreters.iter().map(|links| format!(", run by {}", links.join(" -> ")));
    let starts = match (reach.starts, reach.starts_interpreters) {
        (0, _) => String::new(),
        (programs, interpreters) => {
            format!("; is meant to start {programs} more, {interpreters} of them interpreters")
        }
    };
    let arguments = if reach.any_arguments { "; any arguments" } else { "" };
    let network = match &*reach.network {
        [] => String::new(),
        peers => format!("; network {}", peers.join(" ")),
    };
    format!("{program}{}{arguments}{starts}{network}", interpreters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn report(text: &str, mode: u32) -> Report {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("kernos.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        Report::of(&Check { file, config: None, json: false })
    }

    #[test]
    fn a_mistake_makes_it_unsound() {
        let report = report("[server]\nlsten = []\n", 0o600);
        assert_eq!(report.verdict, Verdict::Unsound);
        assert!(report.text().contains(":2:1: error: "), "{}", report.text());
        assert!(report.summary().starts_with("unsound: "));
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["verdict"], "unsound");
        assert!(json["diagnostics"].as_array().unwrap().iter().any(|one| one["line"] == 2));
    }

    #[test]
    fn a_file_that_others_can_write_is_unsound_whatever_is_in_it() {
        let report = report("[server]\nlsten = []\n", 0o666);
        assert_eq!(report.verdict, Verdict::Unsound);
        assert!(report.text().contains("unknown key `lsten`"));
        assert!(report.text().contains("others than its owner can write it"));
    }

    #[test]
    fn of_a_file_that_is_not_there_nothing_can_be_said() {
        let report = Report::of(&Check { file: "/nowhere/kernos.toml".into(), config: None, json: false });
        assert_eq!(report.verdict, Verdict::Unknown);
        assert!(report.text().ends_with("/nowhere/kernos.toml: it cannot be said whether it is sound\n"));
    }
}
