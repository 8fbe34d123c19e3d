use std::sync::Arc;

use super::{Grant, roots_cover};
use crate::policy::document::Mode;
use crate::policy::grant::RootGrant;
use crate::policy::testing::{FRAME, policy};
use crate::vocab::AbsPath;

/// One profile, with something of everything.
const TABLES: &str = r#"
[root.inner]
path = "/srv/work/inner"
[environment]
set = { PATH = "/usr/bin", A = "1" }
umask = "022"
[command.cat]
operands = "path"
flags = ["-n", "-s=int", "--color", "--color=a|b"]
environment = { B = "2" }
[command.ls]
spawns = ["cc", "ld"]
helpers = ["/usr/lib/cc1"]
network = ["tcp:443", "dns"]
[command.git]
globals = ["-c=text"]
[command.git.sub.log]
flags = []
[command.git.sub.diff]
[command.env]
flags = ["-i"]
launches = "NAME=VALUE"
[command.make.limits]
timeout = "60s"
memory = "1GiB"
[command.make-any]
name = "make"
program = "/opt/make"
[profile.dev]
tools = ["shell_execute"]
commands = ["cat", "ls", "git", "env", "make", "make-any"]
roots = { work = "rw" }
rate = "60/min"
limits = { timeout = "30s", concurrent = 4 }
"#;

/// The profile, with another text for each that is given.
fn profile(changes: &[(&str, &str)]) -> Arc<Grant> {
    let text = changes.iter().fold(format!("{FRAME}{TABLES}"), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    policy(&text).profiles()[0].clone()
}

/// Whether the policy covers itself with one text in place of another.
fn covers(from: &str, to: &str) -> bool {
    profile(&[(from, to)]).covers(&profile(&[]))
}

#[test]
fn the_same_in_another_place_covers() {
    assert!(covers("[root.work]", "# a comment moves every line\n\n[root.work]"));
}

#[test]
fn more_covers() {
    for (from, to) in [
        ("[\"cat\", \"ls\"", "[\"ls\", \"head\", \"cat\""),
        ("work = \"rw\"", "work = \"rwx\""),
        ("work = \"rw\"", "inner = \"rw\", work = \"rw\""),
        ("60/min", "120/min"),
        ("rate = \"60/min\"\n", ""),
        ("\"30s\"", "\"60s\""),
        ("concurrent = 4", "concurrent = 5"),
        ("memory = \"1GiB\"", "memory = \"2GiB\""),
        ("memory = \"1GiB\"", ""),
        ("\"-n\",", "\"-n\", \"-b\", \"-xy\","),
        ("operands = \"path\"\n", ""),
        ("-s=int", "-s=text"),
        ("-s=int", "-s=secret"),
        ("--color=a|b", "--color=b|c|a"),
        ("\"tcp:443\", \"dns\"", "\"any\""),
        ("[command.git.sub.diff]", "[command.git.sub.diff]\n[command.git.sub.show]"),
        ("[command.ls]", "[command.ls]\nlimits = { timeout = \"2m\" }"),
        ("umask = \"022\"", "umask = \"002\""),
    ] {
        assert!(covers(from, to), "{from} -> {to}");
    }
}

#[test]
fn less_in_any_respect_does_not() {
    for (from, to) in [
        ("\"cat\", ", ""),
        ("[\"shell_execute\"]", "[]"),
        ("work = \"rw\"", "work = \"ro\""),
        ("work = \"rw\"", "inner = \"rw\""),
        ("work = \"rw\"", "work = \"rw\", inner = \"ro\""),
        ("60/min", "59/min"),
        ("60/min", "60/h"),
        ("\"30s\"", "\"29s\""),
        ("concurrent = 4", "concurrent = 3"),
        ("concurrent = 4", "concurrent = 4, stdin = 5"),
        ("concurrent = 4", "concurrent = 4, file_size = 5"),
        ("memory = \"1GiB\"", "memory = \"1MiB\""),
        ("\"-n\",", ""),
        ("operands = \"path\"", "operands = \"path:rw\""),
        ("-s=int", "-s=1|2"),
        ("--color=a|b", "--color=a|c"),
        ("\"-c=text\"", ""),
        ("[command.git.sub.diff]", ""),
        ("flags = [\"-i\"]", "flags = []"),
        ("\"NAME=VALUE\"", "0"),
        ("\"cc\", ", ""),
        ("[\"/usr/lib/cc1\"]", "[]"),
        ("\"tcp:443\", \"dns\"", "\"dns\""),
        ("[command.ls]", "[command.ls]\nlimits = { output = \"1KiB\" }"),
        ("[command.ls]", "[command.ls]\nprogram = \"/opt/ls\""),
        ("umask = \"022\"", "umask = \"027\""),
        ("A = \"1\"", "A = \"2\""),
        (", A = \"1\"", ""),
        ("A = \"1\"", "A = \"1\", C = \"3\""),
        ("{ B = \"2\" }", "{}"),
        ("{ B = \"2\" }", "{ B = \"2\", C = \"3\" }"),
    ] {
        assert!(!covers(from, to), "{from} -> {to}");
    }
}

#[test]
fn a_flag_that_is_read_in_another_way_is_less() {
    for (from, to) in [
        // The value of `-s` would be an operand.
        ("\"-s=int\"", "\"-s=int\", \"-s\""),
        // The first kind counts.
        ("\"-s=int\"", "\"-s=1|2\", \"-s=int\""),
        // `-ns5` and `-s5` were a cluster, and a flag with its value.
        ("\"-s=int\"", "\"-s=int\", \"-ns5\""),
        ("\"-s=int\"", "\"-s=int\", \"-s5=text\""),
        // Without a list no flag has a value.
        ("flags = [\"-n\", \"-s=int\", \"--color\", \"--color=a|b\"]\n", ""),
    ] {
        assert!(!covers(from, to), "{from} -> {to}");
    }
}

#[test]
fn what_a_command_shares_its_line_with_is_cut_by_its_limits_too() {
    // As long as alone, and less than `ls | make` had.
    assert!(!covers("[command.ls]", "[command.ls]\nlimits = { timeout = \"30s\" }"));
    assert!(covers("[command.ls]", "[command.ls]\nlimits = { timeout = \"60s\" }"));
}

#[test]
fn of_two_rules_for_a_name_the_first_decides_what_a_call_reaches() {
    assert!(!covers("\"make\", \"make-any\"", "\"make-any\", \"make\""));
    let narrow =
        "[command.make-q]\nname = \"make\"\nflags = [\"-q\"]\nlimits = { timeout = \"9s\" }\n[profile.dev]";
    let with = |order| profile(&[("[profile.dev]", narrow), ("\"make\", \"make-any\"", order)]);
    let earlier = profile(&[]);
    assert!(with("\"make\", \"make-any\", \"make-q\"").covers(&earlier));
    assert!(!with("\"make-q\", \"make\", \"make-any\"").covers(&earlier));
}

#[test]
fn a_root_that_is_a_link_within_another_is_looked_at_by_both_of_its_paths() {
    let root = |written: &str, canonical: &str, mode| RootGrant {
        name: written.to_owned(),
        written: AbsPath::parse(written).unwrap(),
        canonical: AbsPath::parse(canonical).unwrap(),
        mode,
    };
    let outer = root("/srv/work", "/data", Mode::Write);
    let inner = |mode| root("/srv/work/link", "/other", mode);
    assert!(roots_cover(&[outer.clone(), inner(Mode::Write)], std::slice::from_ref(&outer)));
    // `/srv/work/link/x` could be written.
    assert!(!roots_cover(&[outer.clone(), inner(Mode::Read)], &[outer]));
}
