//! The drop of privileges on real processes.
//!
//! A process drops once, and only while it has one thread; the standard harness always has two. So this is a
//! program without it (`harness = false`): it runs itself again for each case and compares what the case printed.
//! Without root there is nothing to drop, and it says so.

#![allow(clippy::disallowed_methods, reason = "each case needs a process of its own")]

use std::process::{Command, ExitCode};
use std::{env, fs, thread};

use kernos::sandbox::{Confined, Error, Identity, Privileged};
use kernos::vocab::Chain;
use nix::unistd::Uid;

/// Which case the process is to run.
const CASE: &str = "KERNOS_TEST_CASE";

/// A sentence, what is done in a process of its own, and what that must print.
type Case = (&'static str, fn() -> Result<(), Error>, &'static str);

const CASES: &[Case] = &[
    (
        "root_becomes_a_user_without_any_privilege_on_every_thread",
        || {
            let confined = confine(Some(&Identity::anonymous(60901)))?;
            show(&confined);
            thread::scope(|scope| scope.spawn(|| show_threads(&confined)).join()).expect("it does not panic")
        },
        "uid 60901, gid 60901, gaps []\n\
         Uid: 60901 60901 60901 60901; Gid: 60901 60901 60901 60901; Groups:; CapInh: 0000000000000000; \
         CapPrm: 0000000000000000; CapEff: 0000000000000000; CapBnd: 0000000000000000; \
         CapAmb: 0000000000000000; NoNewPrivs: 1\n\
         Uid: 60901 60901 60901 60901; Gid: 60901 60901 60901 60901; Groups:; CapInh: 0000000000000000; \
         CapPrm: 0000000000000000; CapEff: 0000000000000000; CapBnd: 0000000000000000; \
         CapAmb: 0000000000000000; NoNewPrivs: 1\n",
    ),
    (
        "a_named_user_brings_its_groups_and_no_others",
        || confine(Some(&Identity::find("nobody")?)).map(|confined| show(&confined)),
        "uid 65534, gid 65534, gaps []\n",
    ),
    (
        "root_without_a_user_to_become_is_refused",
        || confine(None).map(drop),
        "started as root without a user to become: name one (`[server] user` and `run_as`)\n",
    ),
    (
        "without_setpcap_the_drop_is_refused_rather_than_partial",
        || {
            caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_SETPCAP).expect("root may");
            confine(Some(&Identity::anonymous(60901))).map(drop)
        },
        "the bounding set of capabilities cannot be cleared (this needs CAP_SETPCAP): \
         caps error: PR_CAPBSET_DROP failure: Operation not permitted (os error 1)\n",
    ),
    (
        "without_root_the_user_stays_and_the_gaps_are_told",
        || {
            let user = Uid::from_raw(60901);
            nix::unistd::setresuid(user, user, user).expect("root may");
            confine(None).map(|confined| show(&confined))
        },
        "uid 60901, gid 0, gaps [SharedUser { uid: 60901 }, BoundingSet]\n",
    ),
    (
        "a_user_cannot_become_another",
        || {
            let user = Uid::from_raw(60901);
            nix::unistd::setresuid(user, user, user).expect("root may");
            confine(Some(&Identity::anonymous(60902))).map(drop)
        },
        "started as uid 60901, which cannot become uid 60902: start as root, or as that user\n",
    ),
];

fn confine(identity: Option<&Identity>) -> Result<Confined, Error> {
    Privileged::at_start().confine(identity)
}

fn show(confined: &Confined) {
    println!("uid {}, gid {}, gaps {:?}", confined.uid(), confined.gid(), confined.gaps());
}

fn show_threads(confined: &Confined) -> Result<(), Error> {
    for task in fs::read_dir("/proc/self/task").expect("proc(5)") {
        let status = fs::read_to_string(task.expect("proc(5)").path().join("status")).expect("proc(5)");
        let shown = ["Uid", "Gid", "Groups", "Cap", "NoNewPrivs"];
        let lines = status.lines().filter(|line| shown.iter().any(|name| line.starts_with(name)));
        println!("{}", lines.map(|line| line.trim().replace('\t', " ")).collect::<Vec<_>>().join("; "));
    }
    confined.verify()
}

fn main() -> ExitCode {
    if let Ok(name) = env::var(CASE) {
        return run_here(&name);
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    let asked = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // cargo-nextest asks which tests there are, and which of them are ignored (none is).
    if asked("--list") {
        CASES.iter().filter(|_| !asked("--ignored")).for_each(|(name, ..)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !Uid::effective().is_root() {
        println!("the drop of privileges needs root and was not tested; .ci/run does it");
        return ExitCode::SUCCESS;
    }
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = CASES
        .iter()
        .filter(|(name, ..)| names.is_empty() || names.iter().any(|part| name.contains(part.as_str())));
    let failed = chosen.filter(|case| !passes(case)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_here(name: &str) -> ExitCode {
    let (_, case, _) = CASES.iter().find(|(known, ..)| *known == name).expect("the case exists");
    if let Err(error) = case() {
        println!("{}", Chain(&error));
    }
    ExitCode::SUCCESS
}

fn passes((name, _, expected): &Case) -> bool {
    let itself = env::current_exe().expect("proc(5)");
    let output = Command::new(itself).env(CASE, name).output().expect("it starts again");
    let printed = String::from_utf8_lossy(&output.stdout);
    let passed = printed == *expected;
    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    if !passed {
        println!(
            "  expected {expected:?}\n  printed  {printed:?}\n  stderr   {:?}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    passed
}
