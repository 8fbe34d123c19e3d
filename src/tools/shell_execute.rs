//! `shell_execute`: a command line, judged whole and then run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::answer::Answer;
use super::{Account, Context, Decision, Effect, Reply, Tool};
use crate::command;
use crate::exec::Outcome;
use crate::policy::{Denial, Grant, Plan, Request, ToolGrant};
use crate::vocab::Chain;

/// Runs a command line on this host and answers with its output and status.
///
/// `command` is an array of words and is never given to a shell: nothing is expanded ($HOME, *, ~ and
/// backticks are plain text) and nothing needs quoting. Operators are words of their own: | && || ; < > >> 2>
/// 2>> 2>&1 &>; a word made of a backslash and an operator is that operator as text. Example:
/// `["ls", "-l", "|", "wc", "-l"]`. A status other than 0 is a result, not an error.
/// What is not allowed is refused with the reason and with what is allowed instead, before anything runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShellExecute {
    /// The words of the command line, one element a word, as in `["ls", "-l"]`. The first is the program.
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// The absolute path of the directory to start in. Unsaid: /tmp where it is allowed, else the first root.
    #[serde(default)]
    #[schemars(with = "String")]
    directory: Option<String>,
    /// What the first command reads from its standard input. Unsaid: nothing.
    #[serde(default)]
    #[schemars(with = "String")]
    stdin: Option<String>,
    /// Whole seconds after which everything is ended. Unsaid: the policy's own limit.
    #[serde(default)]
    #[schemars(with = "u64", range(min = 1))]
    timeout: Option<u64>,
}

impl Tool for ShellExecute {
    const NAME: &'static str = "shell_execute";
    const TITLE: &'static str = "Run a command";
    const EFFECT: Effect = Effect::Destroy;
    const OPEN_WORLD: bool = true;
    type Answer = Answer;

    fn reach(grant: &Grant) -> Option<String> {
        Some(grant.summary())
    }

    async fn call(self, context: Context) -> Reply {
        let (words, grant) = (self.command.clone(), context.grant.clone());
        let judged = self.judge(&grant);
        let shown = grant.grant().shown_line(&words, judged.is_ok());
        let mut reply = match judged {
            Ok(judged) => {
                context.watch.tell_command(shown.clone());
                judged.run(context).await
            }
            Err(denied) => *denied,
        };
        reply.account.command = shown;
        reply
    }
}

/// A command line that may run, with its standard input.
struct Judged {
    plan: Plan,
    stdin: Vec<u8>,
}

impl ShellExecute {
    fn judge(self, grant: &ToolGrant) -> Result<Judged, Box<Reply>> {
        let line = command::parse(self.command)
            .map_err(|error| Reply::denied("syntax", Chain(&error).to_string()))?;
        let timeout = self.timeout.map(Duration::from_secs);
        let request = Request { line, directory: self.directory, timeout };
        let plan = grant.plan(&request).map_err(|denial| denied(&denial))?;

        let stdin = self.stdin.unwrap_or_default().into_bytes();
        let limit = plan.limits().stdin;
        if stdin.len() as u64 > limit {
            let text = format!("`stdin` has {} bytes, and the policy's limit is {limit}", stdin.len());
            return Err(Box::new(Reply::denied("stdin", text)));
        }
        Ok(Judged { plan, stdin })
    }
}

fn denied(denial: &Denial) -> Reply {
    let mut reply = Reply::denied(denial.code(), denial.to_string());
    reply.account.rule = denial.rule().map(|rule| rule.name.clone());
    reply
}

impl Judged {
    async fn run(self, context: Context) -> Reply {
        let rule = Some(rules(&self.plan));
        let _turn = match context.turn.await {
            Ok(turn) => turn,
            Err(mut refused) => {
                refused.account.rule = rule;
                return refused;
            }
        };
        match context.runner.run(self.plan, self.stdin, context.watch, context.stop).await {
            Ok(outcome) => answered(outcome, rule),
            Err(error) => {
                let text = format!("the command could not be run: {}", Chain(&error));
                let account = Account {
                    decision: Decision::Allowed,
                    reason: Some(error.code()),
                    rule,
                    outcome: "failed",
                    ..Account::default()
                };
                Reply { structured: None, text, is_error: true, account }
            }
        }
    }
}

fn answered(outcome: Outcome, rule: Option<String>) -> Reply {
    let answer = Answer::from(outcome);
    let account = Account {
        decision: Decision::Allowed,
        rule,
        status: Some(answer.status),
        outcome: answer.ended,
        programs: answer.stages.iter().map(|stage| (stage.program.clone(), stage.outcome())).collect(),
        truncated: answer.stdout_omitted.or(answer.stderr_omitted).is_some(),
        ..Account::default()
    };
    let text = serde_json::to_string(&answer).expect("strings and numbers always serialise");
    let structured = serde_json::to_value(&answer).expect("strings and numbers always serialise");
    Reply { structured: Some(structured), text, is_error: answer.is_error(), account }
}

/// The rules of a plan, each once, in the order in which they were needed.
fn rules(plan: &Plan) -> String {
    let mut rules: Vec<&str> = Vec::new();
    for stage in plan.pipelines().flat_map(|(_, pipeline)| pipeline.stages()) {
        if !rules.contains(&stage.rule()) {
            rules.push(stage.rule());
        }
    }
    rules.join(",")
}
