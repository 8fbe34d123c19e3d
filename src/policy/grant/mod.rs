//! A profile, compiled: what one principal may do. Permission is this value, not a yes.

mod covers;
mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::denial::Denial;
use super::document::{Mode, Rate};
use super::limits::Limits;
use super::plan::{
    LineLimits, OutputStream, Place, Plan, PlannedPipeline, PlannedRedirection, PlannedStage, Target,
};
use super::rule::{Objection, Rule, Stray, View};
use super::veil::HIDDEN;
use crate::command::{CommandLine, Pipeline, Redirection, RedirectionKind, Stage, Word};
use crate::vocab::{AbsPath, printable};
use search::{Reason, Refusal, search};

pub(super) use search::LAUNCHERS_MAX;

/// The one tool that takes a command line.
pub(super) const SHELL_EXECUTE: &str = "shell_execute";

/// Names of commands that a denial lists at most.
const NAMES_MAX: usize = 80;

/// What the bearer of a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    pub(super) profile: String,
    pub(super) tools: BTreeSet<String>,
    pub(super) rules: Vec<Arc<Rule>>,
    pub(super) roots: Vec<RootGrant>,
    pub(super) limits: Limits,
    pub(super) rate: Option<Rate>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) umask: u32,
}

/// A root and what may be done beneath it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootGrant {
    /// The NAME of `[root.NAME]`.
    pub name: String,
    /// Its path as the policy writes it.
    pub written: AbsPath,
    /// Its path with every link followed.
    pub canonical: AbsPath,
    /// What may be done there.
    pub mode: Mode,
}

/// Proof that a principal may call a tool.
#[derive(Clone, Debug)]
#[must_use]
pub struct ToolGrant {
    tool: String,
    grant: Arc<Grant>,
}

/// A command line as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to run.
    pub line: CommandLine,
    /// Where; the profile's default if unsaid.
    pub directory: Option<String>,
    /// For how long at most; the policy's default if unsaid.
    pub timeout: Option<Duration>,
}

impl ToolGrant {
    /// The tool that may be called.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// What else its bearer may do.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Judges a whole command line: a plan for it, or the reason why not.
    pub fn plan(&self, request: &Request) -> Result<Plan, Denial> {
        debug_assert_eq!(self.tool, SHELL_EXECUTE);
        self.grant.plan(request)
    }
}

impl Grant {
    /// The right to call a tool, if this grant holds it.
    pub fn tool(self: &Arc<Self>, name: &str) -> Option<ToolGrant> {
        let tool = self.tools.get(name)?.clone();
        Some(ToolGrant { tool, grant: Arc::clone(self) })
    }

    /// The tools that may be called, in alphabetical order.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(String::as_str)
    }

    /// The name of the profile.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// The rules of the profile, in its order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(Arc::as_ref)
    }

    /// The roots of the profile, in its order.
    pub fn roots(&self) -> &[RootGrant] {
        &self.roots
    }

    /// How many calls in which time, if that is limited.
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// How many calls may run at once.
    pub fn concurrent(&self) -> u32 {
        self.limits.concurrent()
    }

    /// The limits of a line whose commands have none of their own.
    pub fn limits(&self) -> LineLimits {
        self.limits.line()
    }

    /// The longest time that a call may ask for.
    pub fn timeout_max(&self) -> Duration {
        self.limits.longest()
    }

    /// The path that a call runs in if it names none.
    pub fn default_directory(&self) -> Option<&RootGrant> {
        self.roots.iter().find(|root| root.written.as_str() == "/tmp").or(self.roots.first())
    }

    pub(super) fn plan(&self, request: &Request) -> Result<Plan, Denial> {
        let directory = self.directory(request.directory.as_deref())?;
        let view = View { roots: &self.roots, directory: directory.path() };
        let mut asked = Limits::default();
        let first = self.pipeline(&request.line.first, &view, &mut asked)?;
        let mut rest = Vec::with_capacity(request.line.rest.len());
        for (connector, pipeline) in &request.line.rest {
            rest.push((*connector, self.pipeline(pipeline, &view, &mut asked)?));
        }
        let limits = timed(asked.over(self.limits), request.timeout)?;
        Ok(Plan { first, rest, directory, umask: self.umask, limits })
    }

    fn directory(&self, written: Option<&str>) -> Result<Place, Denial> {
        let refuse =
            |what: String, instead: String| Denial { code: "directory", at: None, rule: None, what, instead };
        let Some(default) = self.default_directory() else {
            return Err(refuse("this key has no root to work in".to_owned(), "nothing".to_owned()));
        };
        let text = written.unwrap_or(default.written.as_str());
        let directory = AbsPath::parse(text).map_err(|error| {
            refuse(format!("`directory`: {error}"), format!("for example {}", default.written))
        })?;
        let view = View { roots: &self.roots, directory };
        let found = view.locate(text, Mode::Read).map_err(|stray| {
            let beneath = format!("directories beneath {}", view.described(Mode::Read));
            refuse(format!("`directory`: {} {}", printable(text), stray.what()), stray.instead(beneath))
        })?;
        Ok(found.place())
    }

    fn pipeline(
        &self,
        pipeline: &Pipeline,
        view: &View<'_>,
        asked: &mut Limits,
    ) -> Result<PlannedPipeline, Denial> {
        let stages = pipeline.stages().map(|stage| self.stage(stage, view, asked));
        Ok(PlannedPipeline { stages: stages.collect::<Result<_, _>>()? })
    }

    fn stage(&self, stage: &Stage, view: &View<'_>, asked: &mut Limits) -> Result<PlannedStage, Denial> {
        let argv = stage.argv();
        let rules = self.authorise(&argv, view)?;
        let missing = rules.iter().find_map(|rule| rule.program.as_ref().err().map(|why| (rule, why)));
        if let Some((rule, why)) = missing {
            return Err(Denial {
                code: "program",
                at: Some(stage.program.at()),
                rule: Some(rule.id.clone()),
                what: format!("`{}` is allowed, but {why}", rule.name),
                instead: "it, once the host has the program and the policy is loaded again".to_owned(),
            });
        }
        let Some(Ok(program)) = rules.first().map(|rule| rule.program.clone()) else {
            unreachable!("a stage is authorised by at least one rule, and each has its program");
        };
        let mut environment = self.environment.clone();
        let mut limits = Limits::default();
        for rule in &rules {
            limits = limits.beside(rule.limits);
            for (name, value) in &rule.environment {
                environment.retain(|(other, _)| other != name);
                environment.push((name.clone(), value.clone()));
            }
        }
        *asked = asked.beside(limits);
        let redirections = stage.redirections.iter().map(|one| redirection(one, view));
        Ok(PlannedStage {
            rule: rules.iter().map(|rule| rule.id.name.as_str()).collect::<Vec<_>>().join(" > "),
            program,
            argv: argv.iter().map(|word| word.text().to_owned()).collect(),
            environment,
            redirections: redirections.collect::<Result<_, _>>()?,
            limits: limits.over(self.limits).process(),
        })
    }

    /// The rule that allows these words; for a launcher, also the rule of the command that it starts.
    pub(super) fn authorise(&self, argv: &[Word], view: &View<'_>) -> Result<Vec<&Rule>, Denial> {
        search(&self.rules, argv, &mut |rule, command| rule.judge(command, view))
            .map_err(|refusal| self.denied(argv, refusal))
    }

    fn denied(&self, argv: &[Word], refusal: Refusal<'_>) -> Denial {
        let command = &argv[refusal.place..];
        match refusal.reason {
            Reason::Unlisted => self.unlisted(&command[0]),
            Reason::TooDeep => self.too_deep(&command[0]),
            Reason::Rule(rule, objection) => self.denied_by(rule, command, objection),
        }
    }

    fn denied_by(&self, rule: &Rule, argv: &[Word], mut objection: Objection) -> Denial {
        // Of two rules for one name, one may take for a number or a subcommand what the other knows to be a password.
        // Of a flag only the name is quoted.
        if objection.quoted.is_some() && objection.code != "flag" && self.may_be_secret(argv, objection.at) {
            objection.quoted = Some(HIDDEN.to_owned());
        }
        Denial::by_rule(&rule.id, objection)
    }

    fn too_deep(&self, name: &Word) -> Denial {
        Denial {
            code: "command",
            at: Some(name.at()),
            rule: None,
            what: format!(
                "`{}` stands behind more than {LAUNCHERS_MAX} launchers",
                printable(&self.shown_name(name.text()))
            ),
            instead: format!("at most {LAUNCHERS_MAX} launchers before a command"),
        }
    }

    fn unlisted(&self, name: &Word) -> Denial {
        let names: BTreeSet<&str> = self.rules().map(Rule::name).collect();
        let mut listed: Vec<&str> = names.iter().copied().take(NAMES_MAX).collect();
        if names.len() > NAMES_MAX {
            listed.push("…");
        }
        Denial {
            code: "command",
            at: Some(name.at()),
            rule: None,
            what: format!(
                "`{}` is not a command of this key{}",
                printable(&self.shown_name(name.text())),
                habit(name.text())
            ),
            instead: if listed.is_empty() { "no command".to_owned() } else { listed.join(", ") },
        }
    }
}

/// What a caller who is used to a shell should know.
fn habit(name: &str) -> &'static str {
    match name {
        "cd" => ": say by `directory` where to run",
        _ if name.trim().contains(char::is_whitespace) => {
            ": each word is an element of its own, as in [\"ls\", \"-la\"]"
        }
        _ => "",
    }
}

fn timed(limits: Limits, asked: Option<Duration>) -> Result<LineLimits, Denial> {
    let line = limits.line();
    match asked {
        Some(asked) if asked > limits.longest() => Err(Denial {
            code: "timeout",
            at: None,
            rule: None,
            what: format!("`timeout`: {} seconds is longer than a call may take", asked.as_secs()),
            instead: format!("at most {} seconds", limits.longest().as_secs_f64()),
        }),
        asked => Ok(LineLimits { timeout: asked.unwrap_or(line.timeout), ..line }),
    }
}

fn redirection(one: &Redirection, view: &View<'_>) -> Result<PlannedRedirection, Denial> {
    let Some(path) = &one.path else { return Ok(PlannedRedirection::ErrorsToOutput) };
    let needed = if one.kind == RedirectionKind::Input { Mode::Read } else { Mode::Write };
    let target = target(path, needed, view)?;
    let output = |stream, append| PlannedRedirection::Output { stream, target: target.clone(), append };
    Ok(match one.kind {
        RedirectionKind::Input => PlannedRedirection::Input(target),
        RedirectionKind::Output => output(OutputStream::Stdout, false),
        RedirectionKind::Append => output(OutputStream::Stdout, true),
        RedirectionKind::Errors => output(OutputStream::Stderr, false),
        RedirectionKind::AppendErrors => output(OutputStream::Stderr, true),
        RedirectionKind::Both => PlannedRedirection::Both(target),
        RedirectionKind::ErrorsToOutput => PlannedRedirection::ErrorsToOutput,
    })
}

fn target(path: &Word, needed: Mode, view: &View<'_>) -> Result<Target, Denial> {
    if path.text() == "/dev/null" {
        return Ok(Target::Null);
    }
    let found = if path.text().is_empty() { Err(Stray::Outside) } else { view.locate(path.text(), needed) };
    match found {
        Ok(found) => Ok(Target::File { place: found.place(), written: path.text().to_owned() }),
        Err(stray) => {
            let instead = match view.named(needed) {
                Some(roots) => format!("files beneath {roots}, and /dev/null"),
                None => "/dev/null; no root of this key may be written".to_owned(),
            };
            Err(Denial {
                code: "redirection",
                at: Some(path.at()),
                rule: None,
                what: format!("`{}` {}", printable(path.text()), stray.what()),
                instead: stray.instead(instead),
            })
        }
    }
}
