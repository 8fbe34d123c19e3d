use std::time::Duration;

use proptest::prelude::*;

use super::{Grant, Request, RootGrant};
use crate::policy::document::Mode;
use crate::policy::plan::{Place, Plan, PlannedRedirection, Target};
use crate::policy::testing::{FRAME, policy};
use crate::vocab::AbsPath;

const RULES: &str = r#"
[command.cat]
operands = "path"
flags = ["-n"]
[command.echo]
[command.sh]
[command.timeout]
flags = ["-k=text"]
launches = 1
[command.env]
flags = ["-i"]
launches = "NAME=VALUE"
[command.make.limits]
timeout = "20m"
timeout_max = "1h"
[command.git]
globals = ["-C=path"]
environment = { GIT_CONFIG_COUNT = "0" }
[command.git.sub.log]
flags = ["-n=int", "--oneline"]
[command.git-push]
name = "git"
[command.git-push.sub.push]
flags = []
[command.run-captured]
[profile.dev]
tools = ["shell_execute"]
commands = ["cat", "echo", "timeout", "env", "make", "git", "git-push", "run-captured"]
roots = { work = "rw", tmp = "ro" }
"#;

fn grant() -> std::sync::Arc<Grant> {
    policy(&format!("{FRAME}{RULES}")).access().principal("alice").unwrap().grant().clone()
}

fn request(words: &[&str]) -> Request {
    let line = crate::command::parse(words.iter().map(|&word| word.to_owned()).collect()).unwrap();
    Request { line, directory: Some("/srv/work".to_owned()), timeout: None }
}

fn plan(words: &[&str]) -> Result<Plan, String> {
    grant().plan(&request(words)).map_err(|denial| denial.to_string())
}

fn rule(words: &[&str]) -> Result<String, String> {
    plan(words).map(|plan| plan.first.stages[0].rule.clone())
}

#[test]
fn a_listed_command_is_planned_whole() {
    let plan = plan(&["git", "-C", "sub", "log", "-n5"]).unwrap();
    let stage = &plan.first.stages[0];
    assert_eq!(stage.argv, ["git", "-C", "sub", "log", "-n5"]);
    assert_eq!(stage.program.file.path.as_str(), "/usr/bin/git");
    let variables = [
        ("PATH", "/usr/bin:/bin"),
        ("LANG", "C.UTF-8"),
        ("HOME", "/srv/work"),
        ("TMPDIR", "/tmp"),
        ("GIT_CONFIG_COUNT", "0"),
    ];
    assert_eq!(stage.environment, variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(plan.directory, Place { root: AbsPath::parse("/srv/work").unwrap(), relative: String::new() });
}

#[test]
fn a_denial_names_the_word_the_rule_and_what_is_allowed() {
    for (words, expected) in [
        (
            &["id"][..],
            "command[0]: `id` is not a command of this key; allowed: cat, echo, env, git, make, run-captured, timeout",
        ),
        (
            &[" cat "],
            "command[0]: ` cat ` is not a command of this key; allowed: cat, echo, env, git, make, run-captured, timeout",
        ),
        (
            &["cat -n x"],
            "command[0]: `cat -n x` is not a command of this key: each word is an element of its own, as in [\"ls\", \"-la\"]; allowed: cat, echo, env, git, make, run-captured, timeout",
        ),
        (
            &["cd", "x"],
            "command[0]: `cd` is not a command of this key: say by `directory` where to run; allowed: cat, echo, env, git, make, run-captured, timeout",
        ),
        (
            &["/bin/cat"],
            "command[0]: `/bin/cat` is not a command of this key; allowed: cat, echo, env, git, make, run-captured, timeout",
        ),
        (
            &["echo", ";", "cat", "-Z"],
            "command[3]: `-Z` is not a listed flag (rule `cat`, kernos.toml:14); allowed: one of: -n",
        ),
        (
            &["cat", "/etc/shadow"],
            "command[1]: `/etc/shadow` lies outside the roots (rule `cat`, kernos.toml:14); allowed: paths beneath /srv/work (rw), /tmp (ro)",
        ),
        (
            &["git", "-c", "core.pager=x", "log"],
            "command[1]: `-c` is not a listed flag before the subcommand (rule `git`, kernos.toml:28); allowed: one of: -C=path",
        ),
        (
            &["git", "log", "--upload-pack=x"],
            "command[2]: `--upload-pack` is not a listed flag (rule `git`, kernos.toml:28); allowed: one of: -n=int --oneline",
        ),
        (
            &["echo", ";", "git"],
            "command[2]: a subcommand is missing (rule `git`, kernos.toml:28); allowed: one of: log",
        ),
        (
            &["timeout", "5", "sh", "-c", "id"],
            "command[2]: `sh` is not a command of this key; allowed: cat, echo, env, git, make, run-captured, timeout",
        ),
        (
            &["env", "A=1", "timeout", "5", "cat", "/etc/x"],
            "command[5]: `/etc/x` lies outside the roots (rule `cat`, kernos.toml:14); allowed: paths beneath /srv/work (rw), /tmp (ro)",
        ),
        (
            &["run-captured"],
            "command[0]: `run-captured` is allowed, but there is no program `run-captured` in /usr/bin:/bin (rule `run-captured`, kernos.toml:37); allowed: it, once the host has the program and the policy is loaded again",
        ),
        (
            &["echo", ">", "/tmp/x"],
            "command[2]: `/tmp/x` lies in a root that may only be read; allowed: files beneath /srv/work (rw), and /dev/null",
        ),
        (
            &["echo", "<", "../work-evil/x"],
            "command[2]: `../work-evil/x` lies outside the roots; allowed: files beneath /srv/work (rw), /tmp (ro), and /dev/null",
        ),
    ] {
        assert_eq!(plan(words).map(|_| ()), Err(expected.to_owned()), "{words:?}");
    }
}

#[test]
fn a_key_that_may_write_nowhere_is_told_so() {
    let text = format!(
        "{FRAME}[profile.dev]\ntools = [\"shell_execute\"]\ncommands = [\"touch\"]\nroots = {{ work = \"ro\" }}\n\
        [command.touch]\noperands = \"path:rw\"\n"
    );
    let grant = policy(&text).access().principal("alice").unwrap().grant().clone();
    let denied = |words: &[&str]| grant.plan(&request(words)).unwrap_err().to_string();
    assert_eq!(
        denied(&["touch", ">", "x"]),
        "command[2]: `x` lies in a root that may only be read; allowed: /dev/null; no root of this key may be written"
    );
    assert_eq!(
        denied(&["touch", "x"]),
        "command[1]: `x` lies in a root that may only be read (rule `touch`, kernos.toml:17); allowed: paths beneath a \
         root of mode `rw`, and this key has none"
    );
}

#[test]
fn any_of_several_rules_for_one_name_may_allow() {
    assert_eq!(rule(&["git", "log"]), Ok("git".to_owned()));
    assert_eq!(rule(&["git", "push"]), Ok("git-push".to_owned()));
    assert!(rule(&["git", "push", "--force"]).is_err());
}

#[test]
fn a_launched_command_is_judged_by_its_own_rule() {
    assert_eq!(
        rule(&["timeout", "-k", "1", "5", "env", "-i", "A=1", "cat", "x"]),
        Ok("timeout > env > cat".to_owned())
    );
    assert_eq!(rule(&["env"]), Ok("env".to_owned()));
}

#[test]
fn launchers_within_launchers_are_bounded() {
    let behind = |launchers: usize| rule(&[vec!["env"; launchers], vec!["echo"]].concat());
    assert_eq!(behind(8), Ok("env > ".repeat(8) + "echo"));
    let denied = "command[9]: `echo` stands behind more than 8 launchers; allowed: at most 8 launchers before a command";
    assert_eq!(behind(9), Err(denied.to_owned()));
    assert!(behind(70_000).is_err());
}

#[test]
fn a_later_stage_that_is_refused_refuses_the_line() {
    assert!(plan(&["echo", "x", ">", "f", "&&", "id"]).is_err());
    assert!(plan(&["echo", "x", "|", "id"]).is_err());
}

#[test]
fn redirections_are_placed_beneath_their_root() {
    let plan = plan(&["cat", "<", "../work/a", ">", "/srv/work/b", "2>", "/dev/null"]).unwrap();
    let file = |relative: &str, written: &str| Target::File {
        place: Place { root: AbsPath::parse("/srv/work").unwrap(), relative: relative.to_owned() },
        written: written.to_owned(),
    };
    let stdout = crate::policy::plan::OutputStream::Stdout;
    let stderr = crate::policy::plan::OutputStream::Stderr;
    let expected = [
        PlannedRedirection::Input(file("a", "../work/a")),
        PlannedRedirection::Output { stream: stdout, target: file("b", "/srv/work/b"), append: false },
        PlannedRedirection::Output { stream: stderr, target: Target::Null, append: false },
    ];
    assert_eq!(plan.first.stages[0].redirections, expected);
}

#[test]
fn the_directory_lies_in_a_root() {
    let from = |directory: Option<&str>| {
        let request = Request { directory: directory.map(str::to_owned), ..request(&["echo"]) };
        grant().plan(&request).map(|plan| plan.directory).map_err(|denial| denial.to_string())
    };
    let place = |root: &str, relative: &str| {
        Ok(Place { root: AbsPath::parse(root).unwrap(), relative: relative.to_owned() })
    };
    assert_eq!(from(None), place("/tmp", ""));
    assert_eq!(from(Some("/srv/work//b/./c/")), place("/srv/work", "b/c"));
    let back = "`directory`: /srv/work/a/../b goes back by `..` behind a name, which may be a link; allowed: `..` at the beginning alone: `b` for `a/../b`";
    assert_eq!(from(Some("/srv/work/a/../b")), Err(back.to_owned()));
    let outside =
        "`directory`: /srv lies outside the roots; allowed: directories beneath /srv/work (rw), /tmp (ro)";
    assert_eq!(from(Some("/srv")), Err(outside.to_owned()));
    let relative = "`directory`: the path is not absolute: it must start with `/`; allowed: for example /tmp";
    assert_eq!(from(Some("a")), Err(relative.to_owned()));
}

/// A profile with a root that is written as a link to another place, and a root beside that link.
fn linked() -> Grant {
    let root = |name: &str, written: &str, canonical: &str, mode| RootGrant {
        name: name.to_owned(),
        written: AbsPath::parse(written).unwrap(),
        canonical: AbsPath::parse(canonical).unwrap(),
        mode,
    };
    let roots = vec![
        root("link", "/srv/link", "/data/work", Mode::Write),
        root("other", "/srv/other", "/srv/other", Mode::Write),
        root("inner", "/srv/link/in", "/data/work/in", Mode::Read),
        root("far", "/data/work/far", "/far", Mode::Write),
    ];
    Grant { roots, ..(*grant()).clone() }
}

#[test]
fn a_root_that_is_written_as_a_link_is_judged_where_it_leads() {
    let judged = |directory: &str, words: &[&str]| {
        let request = Request { directory: Some(directory.to_owned()), ..request(words) };
        linked().plan(&request).map(|plan| plan.directory.path().to_string()).map_err(|denial| denial.code)
    };
    let from_link = |words: &[&str]| judged("/srv/link", words);
    let at_work = Ok("/data/work".to_owned());
    for allowed in [
        &["cat", "x"][..],
        &["cat", "../work/x", "./in/x", "/srv/link/x", "/data/work/x", "/srv/other/x"],
        &["cat", "<", "../work/x", ">", "y"],
        &["echo", ">", "far/x"],
        &["echo", ">", "/srv/link/far/x"],
    ] {
        assert_eq!(from_link(allowed), at_work, "{allowed:?}");
    }
    for refused in ["../other/secret", "../link/x", "/srv/link/../other/secret", "/data/other/secret"] {
        assert_eq!(from_link(&["cat", refused]), Err("argument"), "{refused}");
        assert_eq!(from_link(&["cat", "<", refused]), Err("redirection"), "{refused}");
    }
    // The inner root decides by whatever way it is named.
    for inner in ["in/x", "/srv/link/in/x", "/data/work/in/x"] {
        assert_eq!(from_link(&["echo", ">", inner]), Err("redirection"), "{inner}");
    }
    assert_eq!(judged("/srv/link/far/sub", &["cat", "../x"]), Ok("/far/sub".to_owned()));
    assert_eq!(judged("/srv/link/far/sub", &["cat", "../../x"]), Err("argument"));
    assert_eq!(judged("/srv/link/../other", &["echo"]), Err("directory"));
}

#[test]
fn a_call_may_ask_for_less_time_and_no_more_than_the_most() {
    let timeout = |words: &[&str], seconds: Option<u64>| {
        let request = Request { timeout: seconds.map(Duration::from_secs), ..request(words) };
        grant().plan(&request).map(|plan| plan.limits.timeout.as_secs()).map_err(|denial| denial.to_string())
    };
    assert_eq!(timeout(&["echo"], None), Ok(30));
    assert_eq!(timeout(&["echo"], Some(600)), Ok(600));
    let most = "`timeout`: 601 seconds is longer than a call may take; allowed: at most 600 seconds";
    assert_eq!(timeout(&["echo"], Some(601)), Err(most.to_owned()));
    assert_eq!(timeout(&["make", "|", "echo"], None), Ok(1200));
    assert_eq!(timeout(&["make"], Some(3600)), Ok(3600));
}

#[test]
fn a_launcher_with_limits_of_its_own_lends_none_to_what_it_launches() {
    let limits = "[command.env.limits]\noutput = \"1MiB\"\nopen_files = 64\n[command.cat.limits]\n\
        output = \"1KiB\"\nopen_files = 128\n";
    let policy = policy(&format!("{FRAME}{RULES}{limits}"));
    let grant = policy.access().principal("alice").unwrap().grant();
    let plan = |words: &[&str]| grant.plan(&request(words)).unwrap();
    assert_eq!(plan(&["env", "cat"]).limits.output, 1 << 10);
    assert_eq!(plan(&["env", "cat"]).first.stages[0].limits.open_files, Some(64));
    assert_eq!(plan(&["env", "echo"]).limits.output, 1 << 20);
}

#[test]
fn a_tool_is_granted_or_it_is_not() {
    let grant = grant();
    assert_eq!(
        grant.tool("shell_execute").map(|tool| tool.tool().to_owned()),
        Some("shell_execute".to_owned())
    );
    assert!(grant.tool("get_kasm_users").is_none());
}

fn any_words() -> impl Strategy<Value = Vec<String>> {
    let words = [
        "cat",
        "echo",
        "timeout",
        "env",
        "git",
        "log",
        "push",
        "-n",
        "-i",
        "5",
        "A=1",
        "x",
        "/etc/passwd",
        "--",
        "-C",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1..6)
}

proptest! {
    #[test]
    fn adding_a_rule_never_removes_a_permission(words in any_words(), taken in proptest::collection::vec(any::<bool>(), 8)) {
        let whole = grant();
        let rules = whole.rules.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(rule, _)| rule.clone()).collect();
        let part = Grant { rules, ..(*whole).clone() };
        let line = crate::command::parse(words).unwrap();
        let request = Request { line, directory: None, timeout: None };
        if part.plan(&request).is_ok() {
            prop_assert!(whole.plan(&request).is_ok());
        }
    }
}

#[test]
fn an_agent_is_told_what_its_key_may_do() {
    insta::assert_snapshot!(grant().summary());
}
