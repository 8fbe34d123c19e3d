//! Deadlines and stops: what was written is kept, and nothing is left running.

use std::time::{Duration, Instant};

use kernos::exec::{Ended, Stop};

use crate::support::{Host, alive, exited, said, soon};

const SECOND: Duration = Duration::from_secs(1);

/// Much less than any command here would take by itself, and enough for a busy host.
const PROMPTLY: Duration = Duration::from_secs(5);

/// Stops a line when so many of its processes run.
async fn when_there_are(count: usize, marker: &str, stop: Stop) -> Stop {
    assert!(soon(|| alive(marker).len() == count).await);
    stop
}

#[tokio::test]
async fn a_line_ends_at_its_deadline_and_keeps_what_it_said() {
    let host = Host::new().await;
    let began = Instant::now();
    let outcome = host.call(&["sh", "-c", "echo begun; sleep 86401"]).within(SECOND).run().await;
    assert_eq!(said(&outcome), (Ended::TimedOut, "begun\n".to_owned(), String::new()));
    assert_eq!(alive("86401"), Vec::<u32>::new());
    assert!(began.elapsed() < PROMPTLY);
}

#[tokio::test]
async fn the_deadline_covers_a_pipeline_and_a_sequence() {
    let host = Host::new().await;
    for line in
        [&["sleep", "30", "|", "cat"][..], &["sleep", "0.1", ";", "sleep", "30", ";", "echo", "x"][..]]
    {
        let outcome = host.call(line).within(SECOND * 2).run().await;
        assert_eq!(said(&outcome), (Ended::TimedOut, String::new(), String::new()));
        assert_eq!(outcome.stages.len(), 2);
    }
}

#[tokio::test]
async fn children_of_a_script_are_gone_at_its_deadline() {
    let host = Host::new().await;
    let script = "sleep 86402 & sleep 86402 & wait";
    assert_eq!(host.call(&["sh", "-c", script]).within(SECOND / 2).run().await.ended, Ended::TimedOut);
    assert_eq!(alive("86402"), Vec::<u32>::new());
}

#[tokio::test]
async fn nobody_outlives_a_line_that_has_ended() {
    let host = Host::new().await;
    let scripts = [
        "setsid sleep 86403 & exit 0",
        "(setsid sh -c 'sleep 86403 & sleep 86403' &) ; exit 0",
        "nohup sleep 86403 >/dev/null 2>&1 & exit 0",
        "(trap '' TERM HUP INT; sleep 86403) & exit 0",
        "sleep 86403 & kill -STOP $!; exit 0",
        "setsid sh -c 'kill -STOP $$' & setsid sleep 86403 & exit 0",
    ];
    for script in scripts {
        let began = Instant::now();
        assert_eq!(host.said(&["sh", "-c", script]).await, exited(0, ""), "{script}");
        assert_eq!(alive("86403"), Vec::<u32>::new(), "{script}");
        assert!(began.elapsed() < PROMPTLY, "{script}");
    }
}

#[tokio::test]
async fn a_last_writer_has_a_moment() {
    let host = Host::new().await;
    assert_eq!(host.said(&["sh", "-c", "(sleep 0.01; echo late) &"]).await, exited(0, "late\n"));
}

#[tokio::test]
async fn a_stopped_leader_is_ended_at_the_deadline() {
    let host = Host::new().await;
    let outcome = host.call(&["sh", "-c", "kill -STOP $$ # 86404"]).within(SECOND / 2).run().await;
    assert_eq!(outcome.ended, Ended::TimedOut);
    assert_eq!(alive("86404"), Vec::<u32>::new());
}

#[tokio::test]
async fn bombs_are_ended() {
    let host = Host::new().await;
    // They stop growing by themselves at 256 processes, so that a failure does not take the host with it.
    let bombs = [
        "import os, time # 86405\nfor _ in range(8): os.fork()\ntime.sleep(60)",
        "import os, time # 86405\nfor _ in range(8): os.fork() or os.setsid()\ntime.sleep(60)",
    ];
    for bomb in bombs {
        let grown = when_there_are(256, "86405", Stop::Cancelled);
        let outcome = host.call(&["python3", "-c", bomb]).until(grown).await.unwrap();
        assert_eq!(outcome.ended, Ended::Cancelled);
        assert_eq!(alive("86405"), Vec::<u32>::new());
    }
}

#[tokio::test]
async fn processes_that_flee_from_child_to_child_are_caught() {
    let host = Host::new().await;
    let fleeing = "import os # 86408
for _ in range(30):
    if os.fork() == 0:
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()
";
    for script in [fleeing.to_owned(), format!("{fleeing}import time; time.sleep(60)")] {
        let outcome = host.call(&["python3", "-c", &script]).within(SECOND).run().await;
        assert!(matches!(outcome.ended, Ended::Exited(0) | Ended::TimedOut), "{outcome:?}");
        assert_eq!(alive("86408"), Vec::<u32>::new());
    }
}

#[tokio::test]
async fn a_line_can_be_stopped() {
    let host = Host::new().await;
    for (stop, ended) in [
        (Stop::Cancelled, Ended::Cancelled),
        (Stop::Revoked, Ended::Revoked),
        (Stop::Shutdown, Ended::Cancelled),
    ] {
        let call = host.call(&["sh", "-c", "echo begun; setsid sleep 86406; echo never"]);
        let outcome = call.until(when_there_are(1, "\086406", stop)).await.unwrap();
        assert_eq!(said(&outcome), (ended, "begun\n".to_owned(), String::new()));
        assert_eq!(alive("86406"), Vec::<u32>::new());
        assert_eq!(host.said(&["echo", "next"]).await, exited(0, "next\n"));
    }
}

#[tokio::test]
async fn an_abandoned_call_is_ended() {
    let host = Host::new().await;
    let call = host.call(&["sh", "-c", "setsid sleep 86407 & setsid sleep 86407"]);
    let abandoned = tokio::time::timeout(SECOND / 5, call.run()).await;
    assert!(abandoned.is_err());
    assert!(soon(|| alive("86407").is_empty()).await);
}

#[tokio::test]
async fn a_stop_right_behind_a_large_plan_is_heard() {
    let host = Host::new().await;
    let script = format!("sleep 20 # {}", "x".repeat(100_000));
    for _ in 0..20 {
        let began = Instant::now();
        let outcome = host.call(&["sh", "-c", &script]).until(std::future::ready(Stop::Cancelled)).await;
        assert_eq!(outcome.unwrap().ended, Ended::Cancelled);
        assert!(began.elapsed() < PROMPTLY);
    }
}
