//! `kernos explain`: what a key may do with a command line, in the words that an agent would read. Nothing is run.

use std::fmt;
use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;

use super::cli::Explain;
use super::exit::{Error, Exit};
use super::{load, policy_file, print};
use crate::command;
use crate::policy::plan::{LineLimits, PlannedStage};
use crate::policy::{Access, Grant, Key, Policy, Principal, Request, Rule};

/// The answer.
#[derive(Debug, Serialize)]
struct Explanation {
    allowed: bool,
    key: String,
    profile: String,
    #[serde(flatten)]
    verdict: Verdict,
    /// The codes of what the policy says and the kernel does not hold.
    not_held: Vec<&'static str>,
    /// How many warnings `kernos check` has for the policy.
    warnings: usize,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Verdict {
    Allowed { directory: String, stages: Vec<Stage>, roots: Vec<Root>, limits: Limits },
    Refused { reason: String, code: &'static str, rule: Option<String>, word: Option<usize> },
}

/// One command of the line, and what its rules let it reach.
#[derive(Debug, Serialize)]
struct Stage {
    words: Vec<String>,
    rules: Vec<String>,
    any_arguments: bool,
    starts: Vec<String>,
    network: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Root {
    name: String,
    path: String,
    mode: &'static str,
}

#[derive(Debug, Serialize)]
struct Limits {
    timeout_seconds: f64,
    output_bytes: u64,
    output_total_bytes: u64,
    stdin_bytes: u64,
}

/// Explains and prints. Refused is no failure of kernos, and still tells a script so: 77.
pub fn run(arguments: &Explain) -> Result<ExitCode, Error> {
    let (policy, warnings) = load::sound(&policy_file::read(&arguments.config)?)?;
    let explanation = Explanation::of(&policy, warnings.len(), arguments)?;
    let text = if arguments.json { explanation.json() } else { explanation.to_string() };
    print(&text)?;
    Ok(if explanation.allowed { Exit::Done } else { Exit::Permission }.into())
}

impl Explanation {
    fn of(policy: &Policy, warnings: usize, arguments: &Explain) -> Result<Self, Error> {
        let access = policy.access();
        let principal = access.principal(&arguments.key).ok_or_else(|| unknown(access, &arguments.key))?;
        let key = access.keys().iter().find(|key| key.name() == principal.name());
        let verdict = match key {
            Some(key) if key.has_ended(SystemTime::now()) => Verdict::expired(),
            _ => Verdict::of(principal, arguments),
        };
        Ok(Self {
            allowed: matches!(verdict, Verdict::Allowed { .. }),
            key: principal.name().to_owned(),
            profile: principal.grant().profile().to_owned(),
            verdict,
            not_held: policy.gaps().iter().map(|gap| gap.code).collect(),
            warnings,
        })
    }

    fn json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("an explanation has string keys only");
        format!("{json}\n")
    }
}

impl Verdict {
    fn expired() -> Self {
        let reason = "the key has expired: kernos answers 401, whatever it asks".to_owned();
        Self::Refused { reason, code: "expired", rule: None, word: None }
    }

    fn of(principal: &Principal, arguments: &Explain) -> Self {
        let refused = |reason, code, rule, word| Self::Refused { reason, code, rule, word };
        let grant = principal.grant();
        let Some(tool) = grant.tool("shell_execute") else {
            return refused("the profile has no tool `shell_execute`".to_owned(), "tool", None, None);
        };
        let line = match command::parse(arguments.words.clone()) {
            Ok(line) => line,
            Err(error) => return refused(error.to_string(), "syntax", None, Some(error.at)),
        };
        match tool.plan(&Request { line, directory: arguments.directory.clone(), timeout: None }) {
            Err(denial) => {
                let rule = denial.rule().map(ToString::to_string);
                refused(denial.to_string(), denial.code(), rule, denial.at())
            }
            Ok(plan) => Self::Allowed {
                directory: plan.directory().path().to_string(),
                stages: plan
                    .pipelines()
                    .flat_map(|(_, pipeline)| pipeline.stages())
                    .map(|stage| Stage::of(stage, grant))
                    .collect(),
                roots: Root::all(grant),
                limits: Limits::of(plan.limits()),
            },
        }
    }
}

impl Stage {
    fn of(stage: &PlannedStage, grant: &Grant) -> Self {
        let rules: Vec<&Rule> = stage.rule().split(" > ").filter_map(|name| named(grant, name)).collect();
        let (mut starts, mut network) = (Vec::new(), Vec::new());
        for rule in &rules {
            let program = rule.program().into_iter();
            let files = program.flat_map(|one| std::iter::once(&one.file).chain(&one.interpreters));
            starts.extend(files.map(|file| file.path.to_string()));
            starts.extend(grant.may_start(rule));
            network.extend(rule.network().iter().map(ToString::to_string));
        }
        let any_arguments = rules.iter().any(|rule| rule.takes_any_arguments());
        let rules = rules.iter().map(|rule| rule.id().to_string()).collect();
        Self { words: grant.shown(stage.argv()), rules, any_arguments, starts, network }
    }
}

impl Root {
    fn all(grant: &Grant) -> Vec<Self> {
        let shown = grant.roots().iter().map(|root| Self {
            name: root.name.clone(),
            path: root.written.to_string(),
            mode: root.mode.symbol(),
        });
        shown.collect()
    }
}

impl Limits {
    fn of(limits: LineLimits) -> Self {
        Self {
            timeout_seconds: limits.timeout.as_secs_f64(),
            output_bytes: limits.output,
            output_total_bytes: limits.output_total,
            stdin_bytes: limits.stdin,
        }
    }
}

fn named<'g>(grant: &'g Grant, name: &str) -> Option<&'g Rule> {
    grant.rules().find(|rule| rule.id().name == name)
}

fn unknown(access: &Access, name: &str) -> Error {
    let anonymous = access.is_open().then_some("anonymous");
    let names: Vec<&str> = access.keys().iter().map(Key::name).chain(anonymous).collect();
    Error::Usage(format!("the policy has no key `{name}`; it has {}", names.join(", ")))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, profile, warnings, .. } = self;
        match &self.verdict {
            Verdict::Refused { reason, .. } => {
                writeln!(f, "refused for `{key}` (profile `{profile}`)\n  {reason}")?;
            }
            Verdict::Allowed { directory, stages, roots, limits } => {
                writeln!(f, "allowed for `{key}` (profile `{profile}`)")?;
                stages.iter().try_for_each(|stage| write!(f, "{stage}"))?;
                writeln!(f, "  directory {directory}")?;
                roots
                    .iter()
                    .try_for_each(|root| writeln!(f, "  root {} {} ({})", root.name, root.path, root.mode))?;
                writeln!(f, "{limits}")?;
                if !self.not_held.is_empty() {
                    let codes = self.not_held.join(", ");
                    writeln!(f, "  not held by the kernel: {codes} (`kernos check` says more)")?;
                }
            }
        }
        match warnings {
            0 => Ok(()),
            1 => writeln!(f, "  1 warning about the policy: see `kernos check`"),
            many => writeln!(f, "  {many} warnings about the policy: see `kernos check`"),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:?}", self.words)?;
        writeln!(f, "    by      {}", self.rules.join("; "))?;
        if self.any_arguments {
            writeln!(f, "    arguments of any kind: paths among them are not judged")?;
        }
        writeln!(f, "    starts  {}", self.starts.join(", "))?;
        let network = if self.network.is_empty() { "none".to_owned() } else { self.network.join(", ") };
        writeln!(f, "    network {network}")
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  limits {} s, {} bytes kept of each stream, {} bytes written at most, {} bytes of stdin",
            self.timeout_seconds, self.output_bytes, self.output_total_bytes, self.stdin_bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{FRAME, policy};

    const RULES: &str = r#"
[command.make]
spawns = ["@all"]
helpers = ["/bin/sh"]
network = ["tcp:443", "dns"]
[command.timeout]
flags = ["-k=text"]
launches = 1
[command.cat]
operands = "path"
[profile.dev]
tools = ["shell_execute"]
commands = ["make", "timeout", "cat"]
roots = { work = "rw", tmp = "ro" }
[key.carol]
sha256 = "0000000000000000000000000000000000000000000000000000000000000002"
profile = "dev"
expires = 2001-01-01
[anonymous]
profile = "dev"
"#;

    fn explained(key: &str, words: &[&str]) -> Result<String, String> {
        let arguments = Explain {
            config: "kernos.toml".into(),
            key: key.to_owned(),
            directory: None,
            json: false,
            words: words.iter().map(|&word| word.to_owned()).collect(),
        };
        let explanation = Explanation::of(&policy(&format!("{FRAME}{RULES}")), 2, &arguments);
        explanation.map(|explanation| explanation.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_allowed_line_comes_with_its_rules_and_all_that_it_may_start() {
        insta::assert_snapshot!(explained("alice", &["timeout", "5", "make", "|", "cat"]).unwrap());
    }

    #[test]
    fn a_refusal_is_the_one_that_an_agent_would_read() {
        insta::assert_snapshot!(explained("alice", &["cat", "/etc/shadow"]).unwrap());
        insta::assert_snapshot!(explained("alice", &["cat", "|"]).unwrap());
    }

    #[test]
    fn whoever_comes_without_a_key_is_named_too() {
        assert_eq!(
            explained("bob", &["cat"]).unwrap_err(),
            "the policy has no key `bob`; it has alice, carol, anonymous"
        );
        assert!(explained("anonymous", &["cat"]).is_ok());
    }

    #[test]
    fn a_key_that_has_expired_is_refused_whatever_the_policy_grants_it() {
        assert_eq!(
            explained("carol", &["cat"]).unwrap(),
            "refused for `carol` (profile `dev`)\n  the key has expired: kernos answers 401, whatever it asks\n  \
             2 warnings about the policy: see `kernos check`\n"
        );
    }
}
