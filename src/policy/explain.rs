//! Why a command line is allowed, and with what reach; or why it is not.

use std::fmt;

use serde::Serialize;

use super::denial::Denial;
use super::grant::{Grant, Request};
use super::plan::{LineLimits, Plan};
use super::rule::Rule;

/// The verdict on one command line, with each rule that decided.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whether it would be run.
    pub allowed: bool,
    /// The words of the denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<String>,
    /// The rule that refused, and where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<String>,
    /// The directory that it would run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The stages, in order.
    pub stages: Vec<StageReach>,
    /// The roots of the profile with their modes.
    pub roots: Vec<String>,
    /// The limits of the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// What one stage may start and reach.
#[derive(Clone, Debug, Serialize)]
pub struct StageReach {
    /// Its words.
    pub argv: Vec<String>,
    /// The rules that allow it, outermost first, with their places.
    pub rules: Vec<String>,
    /// The file that is started.
    pub program: String,
    /// The interpreters that the kernel starts for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpreters: Vec<String>,
    /// What it may start besides.
    pub may_start: Vec<String>,
    /// Whom it may reach.
    pub network: Vec<String>,
}

/// Limits in plain units.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// Seconds until the line is ended.
    pub timeout_seconds: f64,
    /// Bytes kept of each stream.
    pub output_bytes: u64,
    /// Bytes of both streams after which the line is ended.
    pub output_total_bytes: u64,
    /// Bytes of standard input.
    pub stdin_bytes: u64,
}

impl Grant {
    /// The verdict on a command line. Nothing is started.
    pub fn explain(&self, request: &Request) -> Explanation {
        let roots =
            self.roots().iter().map(|root| format!("{} ({})", root.written, root.mode.symbol())).collect();
        let refused = |denial: Denial| Explanation {
            allowed: false,
            refused_by: denial.rule().map(ToString::to_string),
            denial: Some(denial.to_string()),
            directory: None,
            stages: Vec::new(),
            roots: Vec::clone(&roots),
            limits: None,
        };
        match self.plan(request) {
            Ok(plan) => Explanation {
                allowed: true,
                denial: None,
                refused_by: None,
                directory: Some(plan.directory.root.resolve(&plan.directory.relative).to_string()),
                stages: self.stages(&plan),
                limits: Some(plan.limits.into()),
                roots,
            },
            Err(denial) => refused(denial),
        }
    }

    fn stages(&self, plan: &Plan) -> Vec<StageReach> {
        let stages = plan.pipelines().flat_map(|(_, pipeline)| pipeline.stages());
        let stage = |stage: &super::plan::PlannedStage| {
            let rules: Vec<&Rule> = stage
                .rule
                .split(" > ")
                .filter_map(|id| self.rules().find(|rule| rule.id.name == id))
                .collect();
            StageReach {
                argv: stage.argv.clone(),
                rules: rules.iter().map(|rule| rule.id.to_string()).collect(),
                program: stage.program.file.canonical.to_string(),
                interpreters: stage
                    .program
                    .interpreters
                    .iter()
                    .map(|one| one.canonical.to_string())
                    .collect(),
                may_start: rules.iter().flat_map(|rule| self.may_start(rule)).collect(),
                network: rules.iter().flat_map(|rule| &rule.network).map(ToString::to_string).collect(),
            }
        };
        stages.map(stage).collect()
    }

    /// The programs that a rule's program may start, by name or path.
    pub fn may_start(&self, rule: &Rule) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in &rule.spawns {
            match name.as_str() {
                "@all" => names.extend(self.rules().map(|rule| rule.name.clone())),
                name => names.push(name.to_owned()),
            }
        }
        names.extend(rule.helpers.iter().map(ToString::to_string));
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

impl From<LineLimits> for Limits {
    fn from(limits: LineLimits) -> Self {
        Self {
            timeout_seconds: limits.timeout.as_secs_f64(),
            output_bytes: limits.output,
            output_total_bytes: limits.output_total,
            stdin_bytes: limits.stdin,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
        if let Some(denial) = &self.denial {
            writeln!(f, "denied: {denial}")?;
            return writeln!(f, "  roots      {}", list(&self.roots));
        }
        writeln!(f, "allowed in {}", self.directory.as_deref().unwrap_or_default())?;
        for stage in &self.stages {
            let argv: Vec<String> = stage.argv.iter().map(|word| format!("{word:?}")).collect();
            writeln!(f, "{}", argv.join(" "))?;
            writeln!(f, "  rules      {}", list(&stage.rules))?;
            writeln!(f, "  program    {}", stage.program)?;
            if !stage.interpreters.is_empty() {
                writeln!(f, "  through    {}", list(&stage.interpreters))?;
            }
            writeln!(f, "  may start  {}", list(&stage.may_start))?;
            writeln!(f, "  network    {}", list(&stage.network))?;
        }
        writeln!(f, "roots        {}", list(&self.roots))?;
        match self.limits {
            Some(limits) => writeln!(
                f,
                "limits       {} s, {} bytes kept of each stream, {} bytes of output, {} bytes of stdin",
                limits.timeout_seconds, limits.output_bytes, limits.output_total_bytes, limits.stdin_bytes
            ),
            None => Ok(()),
        }
    }
}
