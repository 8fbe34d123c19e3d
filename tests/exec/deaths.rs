//! Processes of kernos that die: a worker, the executor, the daemon.

use std::process::Command;
use std::time::Duration;

use kernos::exec::{Error, Executor};
use kernos::sandbox::Identity;

use crate::support::{Host, alive, executor, exited, is_root, kill, parent, soon};

#[tokio::test]
async fn a_killed_worker_loses_its_own_call_only() {
    for signal in ["-KILL", "-STOP"] {
        let host = Host::new().await;
        let doomed = host.call(&["sh", "-c", "setsid sleep 86411 & (setsid sleep 86411 &); sleep 86411"]);
        let other = host.call(&["sh", "-c", "sleep 1; echo unharmed"]);
        let killing = async {
            assert!(soon(|| alive("86411").len() == 4).await);
            let leader = alive("sh\0-c\0setsid sleep 86411");
            kill(parent(leader[0]), signal);
        };
        let (lost, unharmed, ()) = tokio::join!(doomed.until(std::future::pending()), other.run(), killing);
        assert!(matches!(lost, Err(Error::Lost(_))), "{lost:?}");
        assert_eq!(crate::support::said(&unharmed), exited(0, "unharmed\n"));
        assert!(soon(|| alive("86411").is_empty()).await);
        assert_eq!(host.said(&["echo", "next"]).await, exited(0, "next\n"));
    }
}

#[tokio::test]
async fn a_killed_executor_ends_every_call_and_leaves_nothing() {
    let host = Host::new().await;
    let calls = (0..3).map(|_| {
        host.call(&["sh", "-c", "setsid sleep 86412 & (setsid sleep 86412 &); sleep 86412"])
            .until(std::future::pending())
    });
    let killing = async {
        assert!(soon(|| alive("86412").len() == 12).await);
        kill(host.executor.pid(), "-KILL");
    };
    let (outcomes, (), ()) = tokio::join!(futures::future::join_all(calls), killing, host.executor.gone());
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Gone))), "{outcomes:?}");
    assert!(soon(|| alive("86412").is_empty()).await);
    assert!(matches!(host.call(&["true"]).until(std::future::pending()).await, Err(Error::Gone)));
}

#[tokio::test]
async fn an_executor_without_a_daemon_ends() {
    let host = Host::new().await;
    let id = host.executor.pid();
    let call = host.call(&["sh", "-c", "setsid sleep 86413 & sleep 86413"]);
    assert!(tokio::time::timeout(Duration::from_millis(200), call.run()).await.is_err());
    drop(host);
    // It stays a zombie of this process, which has no arguments any more.
    assert!(soon(|| std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.is_empty())).await);
    assert!(soon(|| alive("86413").is_empty()).await);
}

#[tokio::test]
async fn a_closed_executor_is_gone() {
    let host = Host::new().await;
    assert_eq!(host.said(&["echo", "last"]).await, exited(0, "last\n"));
    host.executor.close().await;
    assert!(matches!(host.call(&["true"]).until(std::future::pending()).await, Err(Error::Gone)));
}

#[test]
fn an_executor_that_cannot_be_ready_says_why() {
    let root = Identity { name: None, uid: 0, gid: 0, groups: Vec::new() };
    let error = Executor::launch_as(executor(), Some(&root), &[]).unwrap_err();
    assert!(matches!(&error, Error::NotReady(reason) if reason.contains("is root")), "{error:?}");
    let error = Executor::launch_as(Command::new("true"), None, &[]).unwrap_err();
    assert!(matches!(&error, Error::Silent(_)), "{error:?}");
    let error = Executor::launch_as(Command::new("/nowhere"), None, &[]).unwrap_err();
    assert!(matches!(&error, Error::Launch(_)), "{error:?}");
}

#[tokio::test]
async fn a_command_has_no_privileges() {
    let host = Host::new().await;
    let status = host.stdout(&["cat", "/proc/self/status"]).await;
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000");
    }
    assert_eq!(line("NoNewPrivs:"), "1");
    if is_root() {
        assert_eq!((line("Uid:"), line("Groups:")), ("60902\t60902\t60902\t60902", ""));
    }
}

#[tokio::test]
async fn a_command_cannot_read_its_parent() {
    let host = Host::new().await;
    for file in ["environ", "mem", "maps"] {
        let (ended, stdout, _) = host.said(&["sh", "-c", &format!("cat /proc/$PPID/{file}; true")]).await;
        assert_eq!((ended, stdout), (kernos::exec::Ended::Exited(0), String::new()));
    }
}

#[tokio::test]
async fn an_executor_that_hangs_answers_no_probe() {
    let host = Host::new().await;
    host.executor.probe().await.unwrap();
    kill(host.executor.pid(), "-STOP");
    let probed = tokio::time::timeout(Duration::from_millis(200), host.executor.probe()).await;
    kill(host.executor.pid(), "-CONT");
    assert!(probed.is_err(), "{probed:?}");
    host.executor.probe().await.unwrap();
    assert_eq!(host.stdout(&["echo", "still there"]).await, "still there\n");
}
