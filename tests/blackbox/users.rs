//! Two processes, two users: a command is somebody else than the daemon, and can do nothing to it.

use std::fs;

use serde_json::Value;

use crate::daemon::{Daemon, Setup};
use crate::policy::{COMMAND_USER, DAEMON_USER};
use crate::processes::users;

/// Tries everything that one process can do to another; prints what each attempt met.
const ATTACK: &str = include_str!("attack.py");

#[test]
fn daemon_and_executor_are_two_processes() {
    let daemon = Daemon::start();
    assert_ne!(daemon.executor(), daemon.pid());
    let name = |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!((&*name(daemon.pid()), &*name(daemon.executor())), ("kernos\n", "kernos-executor\n"));
    assert_eq!(daemon.client().run(&["true"]).status(), 0);
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn each_process_has_a_user_of_its_own_and_nothing_else() {
    let daemon = Daemon::start();
    assert_eq!(users(daemon.pid()), [DAEMON_USER; 3]);
    assert_eq!(users(daemon.executor()), [COMMAND_USER; 3]);
    for pid in [daemon.pid(), daemon.executor()] {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{pid}: {set} in\n{status}");
            }
            assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Groups:\t"), "{status}");
        }
    }
    let answer = daemon.client().run(&["id", "-u", ";", "id", "-G"]);
    assert_eq!(answer.stdout(), format!("{COMMAND_USER}\n{COMMAND_USER}\n"));
}

#[test]
#[ignore = "needs root and setpriv; run by .ci/run"]
fn the_capabilities_of_the_unit_are_enough_to_start_as_root_and_are_given_up() {
    let unit = include_str!("../../packaging/kernos.service");
    let listed = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept: Vec<_> = listed.split(' ').map(|name| name.replace("CAP_", "+").to_ascii_lowercase()).collect();
    let daemon = Setup::new().capabilities(&kept.join(",")).start();
    assert_eq!(daemon.client().run(&["id", "-u"]).stdout(), format!("{COMMAND_USER}\n"));
    assert_eq!(daemon.reload().status.code(), Some(0));
}

#[test]
#[ignore = "needs root and python3; run by .ci/run"]
fn a_command_can_do_nothing_to_the_daemon() {
    let daemon = Setup::new()
        .replace("commands = [\"cat\"", "commands = [\"python3\", \"cat\"")
        .append("[command.python3]\nprogram = \"/usr/bin/python3\"\n")
        .start();
    let (pid, policy) = (daemon.pid().to_string(), daemon.setup().policy_file());
    let answer = daemon.client().feed(&["python3", "-", &pid, policy.to_str().unwrap()], ATTACK);
    let met: Value =
        serde_json::from_str(answer.stdout()).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    let met = met.as_object().expect("one member an attempt");
    assert_eq!(met.len(), 22, "{met:?}");
    let succeeded: Vec<_> =
        met.iter().filter(|(_, result)| *result != "EPERM" && *result != "EACCES").collect();
    assert_eq!(succeeded, [], "attempts that were not refused");
    assert_eq!(daemon.client().run(&["echo", "alive"]).stdout(), "alive\n");
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn the_same_user_for_both_is_refused() {
    let setup = Setup::new().replace(&format!("run_as = {COMMAND_USER}"), &format!("run_as = {DAEMON_USER}"));
    let finished = setup.run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("run_as"), "{}", finished.text);
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn root_does_not_serve_as_root() {
    let finished = Setup::new().replace(&format!("user = {DAEMON_USER}\n"), "").run();
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("user"), "{}", finished.text);
}
