//! A program is started only while it is the one that the policy listed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use kernos::exec::{Ended, Outcome, Watch};
use serde_json::Value;

use crate::support::{Host, exited, is_root, pinned, said};

/// Runs a program that was pinned at some time, with these interpreters.
async fn run(host: &Host, file: &Value, interpreters: &[Value]) -> Outcome {
    let mut plan = host.call(&["true"]).json();
    plan["first"]["stages"][0]["program"] = serde_json::json!({ "file": file, "interpreters": interpreters });
    let plan = serde_json::from_value(plan).unwrap();
    host.executor.run(plan, Vec::new(), Watch::default(), std::future::pending()).await.unwrap()
}

fn script(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).unwrap();
    fs::rename(new, path).unwrap();
}

fn not_started(outcome: &Outcome) -> (i32, String) {
    assert!(matches!(outcome.ended, Ended::NotStarted(_)), "{outcome:?}");
    (outcome.stages[0].status, outcome.stages[0].error.clone().unwrap())
}

/// A directory that only root can change, where the tests run as root.
fn guarded() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("kernos-guarded").tempdir_in("/var").unwrap();
    fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).unwrap();
    directory
}

#[tokio::test]
async fn what_a_command_takes_from_its_worker_the_next_call_has() {
    let host = Host::new().await;
    let here = "ulimit -f; nice; test $(ulimit -n) -gt 8 && echo enough";
    let before = host.stdout(&["sh", "-c", here]).await;
    let script = "prlimit --pid $PPID --nofile=8:8 --fsize=0:0 && renice 19 $PPID >&2 && echo taken";
    assert_eq!(host.stdout(&["sh", "-c", script]).await, "taken\n");
    assert_eq!(host.stdout(&["sh", "-c", here]).await, before);
    assert!(before.ends_with("enough\n"), "{before}");
}

#[tokio::test]
async fn an_upgraded_program_is_started() {
    if !is_root() {
        return;
    }
    let host = Host::new().await;
    let directory = guarded();
    let path = directory.path().join("tool");
    script(&path, "echo old");
    let listed = pinned(&path);
    assert_eq!(said(&run(&host, &listed, &[]).await), exited(0, "old\n"));
    script(&path, "echo new");
    assert_ne!(pinned(&path), listed);
    assert_eq!(said(&run(&host, &listed, &[]).await), exited(0, "new\n"));
}

#[tokio::test]
async fn a_program_that_a_command_could_have_replaced_is_refused() {
    let host = Host::new().await;
    let path = host.path("tool");
    script(&path, "echo old");
    let listed = pinned(&path);
    assert_eq!(said(&run(&host, &listed, &[]).await), exited(0, "old\n"));
    script(&path, "echo new");
    let (status, error) = not_started(&run(&host, &listed, &[]).await);
    assert_eq!(status, 126);
    assert!(error.contains("was replaced, and a user of kernos can write there"), "{error}");
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_refused() {
    let host = Host::new().await;
    let (old, new, link) = (host.path("old"), host.path("new"), host.path("link"));
    script(&old, "echo old");
    script(&new, "echo new");
    symlink(&old, &link).unwrap();
    let listed = pinned(&link);
    assert_eq!(said(&run(&host, &listed, &[]).await), exited(0, "old\n"));
    fs::remove_file(&link).unwrap();
    symlink(&new, &link).unwrap();
    let (status, error) = not_started(&run(&host, &listed, &[]).await);
    assert_eq!(status, 126);
    assert!(error.contains("leads to") && error.contains("load the policy again"), "{error}");
}

#[tokio::test]
async fn a_missing_program_is_127_and_one_that_cannot_run_126() {
    let host = Host::new().await;
    let (status, error) = not_started(&host.call(&["no-such-program"]).run().await);
    assert_eq!(
        (status, error.as_str()),
        (127, "/nowhere/no-such-program cannot be started: No such file or directory (os error 2)")
    );
    let path = host.file("plain", "not a program");
    let (status, error) = not_started(&run(&host, &pinned(&path), &[]).await);
    assert_eq!(status, 126);
    assert!(error.ends_with("cannot be started: Permission denied (os error 13)"), "{error}");
    let outcome = host.call(&["no-such-program", "||", "echo", "other"]).run().await;
    assert_eq!(said(&outcome), exited(0, "other\n"));
}

#[tokio::test]
async fn an_interpreter_is_verified_as_well() {
    let host = Host::new().await;
    let (path, interpreter) = (host.path("tool"), host.path("interpreter"));
    script(&path, "echo ran");
    script(&interpreter, "old");
    let interpreters = [pinned(&interpreter)];
    assert_eq!(said(&run(&host, &pinned(&path), &interpreters).await), exited(0, "ran\n"));
    script(&interpreter, "new");
    assert_eq!(not_started(&run(&host, &pinned(&path), &interpreters).await).0, 126);
}

#[tokio::test]
async fn more_arguments_than_the_kernel_takes_are_a_plain_error() {
    let host = Host::new().await;
    for (words, starts) in [(10, true), (40, false)] {
        let mut plan = host.call(&["true"]).json();
        plan["first"]["stages"][0]["argv"] = vec!["x".repeat(100_000); words].into();
        let plan = serde_json::from_value(plan).unwrap();
        let outcome =
            host.executor.run(plan, Vec::new(), Watch::default(), std::future::pending()).await.unwrap();
        if starts {
            assert_eq!(said(&outcome), exited(0, ""));
        } else {
            assert!(not_started(&outcome).1.contains("Argument list too long"));
        }
    }
}
