//! Redirections: where the bytes go, in which order, and what is not opened.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use kernos::exec::{Ended, Outcome, Watch};

use crate::support::{Host, exited, said, text};

/// Why the last stage did not start.
fn refusal(outcome: &Outcome) -> &str {
    match &outcome.ended {
        Ended::NotStarted(error) => {
            let last = outcome.stages.last().unwrap();
            assert_eq!((last.status, last.error.as_ref()), (1, Some(error)));
            error
        }
        other => panic!("it ended as {other:?}"),
    }
}

#[tokio::test]
async fn output_goes_to_a_file_and_not_to_the_next_stage() {
    let host = Host::new().await;
    host.file("l.txt", "b\na\n");
    host.file("victim.txt", "old and longer\n");
    assert_eq!(host.said(&["cat", "l.txt", ">", "victim.txt", "|", "sort"]).await, exited(0, ""));
    assert_eq!(host.read("victim.txt"), "b\na\n");
}

#[tokio::test]
async fn input_comes_from_a_file_and_not_from_the_stage_before() {
    let host = Host::new().await;
    host.file("a.txt", "from the file\n");
    assert_eq!(host.said(&["echo", "x", "|", "cat", "<", "a.txt"]).await, exited(0, "from the file\n"));
}

#[tokio::test]
async fn appending_keeps_what_is_there() {
    let host = Host::new().await;
    host.file("log", "1\n");
    let line = ["sh", "-c", "echo 2; echo e >&2", ">>", "log", "2>>", "errors"];
    assert_eq!(host.said(&line).await, exited(0, ""));
    assert_eq!((host.read("log"), host.read("errors")), ("1\n2\n".to_owned(), "e\n".to_owned()));
}

#[tokio::test]
async fn the_order_of_redirections_matters() {
    let host = Host::new().await;
    let both = ["sh", "-c", "echo out; echo err >&2"];
    let line = |rest: &[&'static str]| [&both, rest].concat();
    assert_eq!(host.said(&line(&[">", "f", "2>&1"])).await, exited(0, ""));
    assert_eq!(host.read("f"), "out\nerr\n");
    assert_eq!(host.said(&line(&["2>&1", ">", "f"])).await, exited(0, "err\n"));
    assert_eq!(host.read("f"), "out\n");
    assert_eq!(host.said(&line(&["&>", "f"])).await, exited(0, ""));
    assert_eq!(host.read("f"), "out\nerr\n");
    assert_eq!(host.said(&line(&["2>&1", "|", "wc", "-l"])).await, exited(0, "2\n"));
    assert_eq!(host.said(&line(&["2>", "/dev/null"])).await, exited(0, "out\n"));
}

#[tokio::test]
async fn a_new_file_has_the_mode_of_the_mask() {
    let host = Host::new().await;
    host.call(&["echo", "x", ">", "f"]).with(|call| call.umask = 0o027).run().await;
    assert_eq!(host.path("f").metadata().unwrap().permissions().mode() & 0o7777, 0o640);
}

#[tokio::test]
async fn a_failed_redirection_is_a_failed_command() {
    let host = Host::new().await;
    let outcome = host.call(&["cat", "<", "missing", "||", "echo", "other"]).run().await;
    assert_eq!(said(&outcome), exited(0, "other\n"));
    assert_eq!(outcome.stages[0].status, 1);
    let outcome = host.call(&["cat", "<", "missing"]).run().await;
    assert_eq!(refusal(&outcome), "`missing` cannot be opened: No such file or directory (os error 2)");
}

#[tokio::test]
async fn a_fifo_hangs_nobody() {
    let host = Host::new().await;
    assert!(Command::new("mkfifo").args(["-m", "666"]).arg(host.path("p")).status().unwrap().success());
    let written = host.call(&["echo", "x", ">", "p"]).run().await;
    assert_eq!(
        refusal(&written),
        "`p` cannot be opened: it is a FIFO, and only regular files and /dev/null can be redirected"
    );
    let read = host.call(&["cat", "<", "p"]).run().await;
    assert_eq!(refusal(&read), "`p` is a FIFO: only regular files and /dev/null can be redirected");
}

#[tokio::test]
async fn a_directory_is_refused() {
    let host = Host::new().await;
    let read = host.call(&["cat", "<", "."]).run().await;
    assert_eq!(refusal(&read), "`.` is a directory: only regular files and /dev/null can be redirected");
    assert!(refusal(&host.call(&["echo", ">", "."]).run().await).contains("Is a directory"));
}

#[tokio::test]
async fn no_link_and_no_dots_lead_out_of_the_root() {
    let host = Host::new().await;
    symlink("/etc/passwd", host.path("absolute")).unwrap();
    symlink("../../../etc/passwd", host.path("relative")).unwrap();
    symlink("/proc/self/fd/1", host.path("magic")).unwrap();
    for name in ["absolute", "relative", "magic", "../x"] {
        for operator in ["<", ">"] {
            let outcome = host.call(&["cat", operator, name]).run().await;
            let root = host.path("");
            let root = root.to_str().unwrap().trim_end_matches('/');
            assert_eq!(refusal(&outcome), format!("`{name}` cannot be opened: it leads out of {root}"));
        }
    }
}

#[tokio::test]
async fn dots_and_links_within_the_root_work() {
    let host = Host::new().await;
    host.file("a.txt", "a\n");
    symlink("a.txt", host.path("link")).unwrap();
    host.call(&["mkdir", "sub"]).run().await;
    assert_eq!(host.said(&["cat", "<", "sub/../link"]).await, exited(0, "a\n"));
}

#[tokio::test]
async fn a_line_starts_behind_no_link() {
    let host = Host::new().await;
    host.call(&["mkdir", "-p", "sub/deep"]).run().await;
    symlink("sub", host.path("inside")).unwrap();
    symlink("/etc", host.path("outside")).unwrap();
    symlink("nowhere", host.path("dangling")).unwrap();
    symlink("loop", host.path("loop")).unwrap();
    let root = host.path("").canonicalize().unwrap();
    let led =
        format!("there is a symbolic link on the way; write {}/sub/deep, where it leads", root.display());
    let out = format!("it leads out of {}", root.display());
    let entered = async |relative: &str| {
        let mut plan = host.call(&["echo", "x"]).json();
        plan["directory"]["relative"] = relative.into();
        let plan = serde_json::from_value(plan).unwrap();
        let run = host.executor.run(plan, Vec::new(), Watch::default(), std::future::pending());
        run.await.unwrap().ended
    };
    assert_eq!(entered("sub/deep").await, Ended::Exited(0));
    let nowhere = "there is a symbolic link on the way";
    for (relative, why) in
        [("inside/deep", &*led), ("outside", &out), ("dangling", nowhere), ("loop", nowhere)]
    {
        let Ended::NotStarted(error) = entered(relative).await else { panic!("{relative} was entered") };
        assert!(error.ends_with(&format!("cannot be entered: {why}")), "{error}");
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_starts_nothing() {
    let host = Host::new().await;
    let mut plan = host.call(&["echo", "x", ">", "f"]).json();
    plan["directory"]["relative"] = "nowhere".into();
    let plan = serde_json::from_value(plan).unwrap();
    let outcome =
        host.executor.run(plan, Vec::new(), Watch::default(), std::future::pending()).await.unwrap();
    let Ended::NotStarted(error) = &outcome.ended else { panic!("it started") };
    assert!(error.ends_with("cannot be entered: No such file or directory (os error 2)"), "{error}");
    assert!(outcome.stages.is_empty() && text(&outcome.stdout).is_empty() && !host.path("f").exists());
}
