//! Two policies that are alike, and calls: what one allowed the other allows, where it is said to cover it.

use std::time::Duration;

use proptest::prelude::*;

use crate::policy::grant::{Grant, Request};
use crate::policy::plan::{Plan, PlannedStage};
use crate::policy::testing::{FRAME, policy};

/// What a policy is made of, each part as text of the file.
#[derive(Clone, Debug)]
struct Parts {
    /// `[command.rN]`, all of them for the name `x`.
    rules: Vec<Rule>,
    roots: &'static str,
    limits: &'static str,
    launcher: &'static str,
    order: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    flags: Option<Vec<&'static str>>,
    operands: &'static str,
    /// Whether flags and operands are those of a subcommand `s`.
    sub: bool,
    more: &'static str,
}

const FLAGS: [&str; 12] = [
    "-a", "-a=int", "-a=text", "-b", "-b=1|2", "-b=text", "-ab", "-ab=int", "-ba", "--c", "--c=int",
    "--c=text",
];
const OPERANDS: [&str; 6] = [
    "",
    "",
    "operands = \"path\"\n",
    "operands = \"path:rw\"\n",
    "operands = \"int\"\n",
    "operands = \"x|y\"\n",
];
const MORE: [&str; 6] = [
    "",
    "",
    "limits = { timeout = \"10s\" }\n",
    "limits = { timeout = \"40s\" }\n",
    "environment = { A = \"1\" }\n",
    "program = \"/opt/x\"\n",
];
const WORDS: [&str; 22] = [
    "-a",
    "-b",
    "-ab",
    "-ba",
    "-a5",
    "-a=5",
    "-ab=5",
    "-abx",
    "-b1",
    "--c",
    "--c=5",
    "--c=y",
    "5",
    "y",
    "1",
    "--",
    "-",
    "f",
    "/tmp/f",
    "/srv/work/f",
    "s",
    "x",
];

fn any_rule() -> impl Strategy<Value = Rule> {
    let flags = proptest::option::weighted(0.8, proptest::collection::vec(select(&FLAGS), 0..4));
    (flags, select(&OPERANDS), proptest::bool::weighted(0.2), select(&MORE))
        .prop_map(|(flags, operands, sub, more)| Rule { flags, operands, sub, more })
}

fn select(from: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(from)
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let roots = select(&[
        "work = \"ro\"",
        "work = \"rw\"",
        "work = \"rw\", tmp = \"ro\"",
        "tmp = \"rwx\", work = \"ro\"",
    ]);
    let limits =
        select(&["", "limits = { timeout = \"20s\" }\n", "limits = { timeout = \"60s\", stdin = 5 }\n"]);
    let launcher = select(&["", "", "limits = { timeout = \"30s\" }\n", "limits = { output = 7 }\n"]);
    (proptest::collection::vec(any_rule(), 1..4), roots, limits, launcher, proptest::bool::ANY)
        .prop_map(|(rules, roots, limits, launcher, order)| Parts { rules, roots, limits, launcher, order })
}

/// These parts, with some of others in their place.
fn mixed(mut parts: Parts, other: &Parts, taken: [bool; 7]) -> Parts {
    let [roots, limits, launcher, order, more, flags, operands] = taken;
    if roots {
        parts.roots = other.roots;
    }
    if limits {
        parts.limits = other.limits;
    }
    if launcher {
        parts.launcher = other.launcher;
    }
    if order {
        parts.order = other.order;
    }
    let (rule, others) = (&mut parts.rules[0], &other.rules[0]);
    if more {
        rule.more = others.more;
    }
    if flags {
        rule.flags.clone_from(&others.flags);
    }
    if operands {
        rule.operands = others.operands;
    }
    parts
}

fn grant_of(parts: &Parts) -> Grant {
    let shape = |rule: &Rule| {
        let flags = rule.flags.as_ref().map(|flags| format!("flags = {flags:?}\n")).unwrap_or_default();
        flags + rule.operands
    };
    let rule = |(at, rule): (usize, &Rule)| {
        let head = format!("[command.r{at}]\nname = \"x\"\n{}", rule.more);
        if rule.sub { format!("{head}[command.r{at}.sub.s]\n{}", shape(rule)) } else { head + &shape(rule) }
    };
    let rules: String = parts.rules.iter().enumerate().map(rule).collect();
    let mut names: Vec<String> = (0..parts.rules.len()).map(|at| format!("r{at}")).collect();
    if parts.order {
        names.reverse();
    }
    names.push("nohup".to_owned());
    let text = format!(
        "{FRAME}{rules}[command.nohup]\nflags = []\nlaunches = 0\n{}[profile.dev]\ntools = [\"shell_execute\"]\ncommands = {names:?}\nroots = {{ {} }}\n{}",
        parts.launcher, parts.roots, parts.limits
    );
    policy(&text).profiles()[0].as_ref().clone()
}

/// A line that is allowed loses nothing by the other policy.
fn loses_nothing(before: &Plan, after: &Plan) -> Result<(), &'static str> {
    let (was, is) = (before.limits(), after.limits());
    if is.timeout < was.timeout || is.output < was.output || is.stdin < was.stdin {
        return Err("limits");
    }
    let stages = |plan: &Plan| plan.first.stages.clone();
    let own = |stage: &PlannedStage| stage.environment.iter().any(|(name, _)| name == "A");
    for (was, is) in stages(before).iter().zip(&stages(after)) {
        if was.program != is.program || own(was) != own(is) {
            return Err("another program");
        }
    }
    Ok(())
}

fn any_line() -> impl Strategy<Value = Vec<&'static str>> {
    let words = || proptest::collection::vec(select(&WORDS), 0..4);
    (proptest::bool::ANY, words(), proptest::option::weighted(0.3, words())).prop_map(
        |(launched, first, next)| {
            let mut line = if launched { vec!["nohup", "x"] } else { vec!["x"] };
            line.extend(first);
            if let Some(next) = next {
                line.extend(["|", "x"].iter().chain(&next));
            }
            line
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_was_allowed_still_is_where_one_policy_covers_another(
        parts in any_parts(),
        other in any_parts(),
        taken in proptest::array::uniform7(proptest::bool::weighted(0.2)),
        lines in proptest::collection::vec(any_line(), 40),
        timeout in proptest::option::of(15_u64..60),
    ) {
        let (earlier, later) = (grant_of(&parts), grant_of(&mixed(parts.clone(), &other, taken)));
        prop_assert!(earlier.covers(&earlier) && later.covers(&later));
        if later.covers(&earlier) {
            for words in lines {
                let line = crate::command::parse(words.iter().map(|&word| word.to_owned()).collect()).unwrap();
                let timeout = timeout.map(Duration::from_secs);
                let request = Request { line, directory: Some("/srv/work".to_owned()), timeout };
                let Ok(before) = earlier.plan(&request) else { continue };
                match later.plan(&request) {
                    Ok(after) => prop_assert_eq!(loses_nothing(&before, &after), Ok(()), "{:?}", words),
                    Err(denial) => prop_assert!(false, "{words:?}: {denial}"),
                }
            }
        }
    }
}
