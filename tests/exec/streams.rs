//! Streams, pipes, connectors and statuses.

use std::future::pending;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kernos::exec::{Ended, Line, StageEnd, StageOutcome, Stop, Watch};

use crate::support::{Host, exited, said, soon, text};

#[tokio::test]
async fn a_program_says_something_and_exits() {
    let host = Host::new().await;
    let outcome = host.call(&["sh", "-c", "echo out; echo err >&2; exit 3"]).run().await;
    assert_eq!(said(&outcome), (Ended::Exited(3), "out\n".to_owned(), "err\n".to_owned()));
    let stage = StageOutcome { program: "sh".to_owned(), status: 3, ended: StageEnd::Exited(3), error: None };
    assert_eq!(outcome.stages, [stage]);
}

#[tokio::test]
async fn input_goes_through_a_pipeline() {
    let host = Host::new().await;
    let outcome = host.call(&["cat", "|", "sort"]).input("z\ny\n").run().await;
    assert_eq!(said(&outcome), exited(0, "y\nz\n"));
}

#[tokio::test]
async fn binary_data_goes_through_a_pipeline() {
    let host = Host::new().await;
    assert_eq!(host.stdout(&["head", "-c", "20", "/dev/urandom", "|", "wc", "-c"]).await.trim(), "20");
}

#[tokio::test]
async fn a_writer_without_a_reader_ends_at_once() {
    let host = Host::new().await;
    let began = Instant::now();
    let outcome = host.call(&["yes", "|", "head", "-1"]).run().await;
    assert_eq!(said(&outcome), exited(0, "y\n"));
    assert_eq!((outcome.stages[0].ended, outcome.stages[0].status), (StageEnd::Signalled(13), 141));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn large_input_is_echoed() {
    let host = Host::new().await;
    let input: Vec<u8> = (0..8 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    let outcome = host.call(&["cat"]).input(input.clone()).with(|call| call.output = 16 << 20).run().await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert!(outcome.stdout.head == input[..] && outcome.stdout.omitted == 0);
}

#[tokio::test]
async fn input_that_nobody_reads_is_no_error() {
    let host = Host::new().await;
    let input = vec![b'x'; 8 << 20];
    assert_eq!(said(&host.call(&["true"]).input(input.clone()).run().await), exited(0, ""));
    assert_eq!(said(&host.call(&["head", "-c", "1"]).input(input).run().await), exited(0, "x"));
}

#[tokio::test]
async fn the_pipelines_of_a_line_share_its_input() {
    let host = Host::new().await;
    let line = ["sh", "-c", "read x; echo 1 $x", ";", "cat"];
    assert_eq!(said(&host.call(&line).input("a\nb\n").run().await), exited(0, "1 a\nb\n"));
}

#[tokio::test]
async fn without_input_a_program_reads_an_end_of_file() {
    let host = Host::new().await;
    assert_eq!(host.said(&["cat"]).await, exited(0, ""));
}

#[tokio::test]
async fn streams_can_be_opened_by_their_names() {
    let host = Host::new().await;
    let line = ["sh", "-c", "cat /dev/stdin > /dev/stdout; echo e > /dev/stderr"];
    let outcome = host.call(&line).input("in").run().await;
    assert_eq!(said(&outcome), (Ended::Exited(0), "in".to_owned(), "e\n".to_owned()));
    assert_eq!(
        said(&host.call(&["cat", "/dev/stdin", "|", "cat", "/dev/stdin"]).input("in").run().await),
        exited(0, "in")
    );
}

#[tokio::test]
async fn bytes_are_exact() {
    let host = Host::new().await;
    assert_eq!(host.stdout(&["printf", "  hi  "]).await, "  hi  ");
    assert_eq!(host.stdout(&["echo", "a", "", "b"]).await, "a  b\n");
    let outcome = host.call(&["printf", "\\377\\000\\n"]).run().await;
    assert_eq!(outcome.stdout.head, b"\xff\0\n");
}

#[tokio::test]
async fn operators_inside_words_are_data() {
    let host = Host::new().await;
    assert_eq!(host.stdout(&["printf", "%s", "a;b|c>d && $HOME"]).await, "a;b|c>d && $HOME");
}

#[tokio::test]
async fn the_last_stage_decides_and_every_status_is_told() {
    let host = Host::new().await;
    let outcome = host.call(&["false", "|", "sh", "-c", "exit 7", "|", "wc", "-l"]).run().await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!(outcome.stages.iter().map(|stage| stage.status).collect::<Vec<_>>(), [1, 7, 0]);
    assert_eq!(text(&outcome.stdout).trim(), "0");
}

#[tokio::test]
async fn connectors_are_those_of_posix() {
    let host = Host::new().await;
    let table: [(&[&str], &str, u8); 9] = [
        (&["true", "&&", "echo", "a"], "a\n", 0),
        (&["false", "&&", "echo", "a"], "", 1),
        (&["false", "||", "echo", "a"], "a\n", 0),
        (&["true", "||", "echo", "a"], "", 0),
        (&["false", ";", "echo", "a"], "a\n", 0),
        (&["false", "&&", "echo", "a", "||", "echo", "b"], "b\n", 0),
        (&["true", "||", "echo", "a", "&&", "echo", "b"], "b\n", 0),
        (&["true", "&&", "false", "||", "echo", "b", ";", "false"], "b\n", 1),
        (&["echo", "a", ";", "echo", "b", "&&", "echo", "c"], "a\nb\nc\n", 0),
    ];
    for (line, stdout, code) in table {
        assert_eq!(host.said(line).await, exited(code, stdout), "{line:?}");
    }
}

#[tokio::test]
async fn a_signal_is_told_as_such() {
    let host = Host::new().await;
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("RTMIN", 34)] {
        let outcome = host.call(&["bash", "-c", &format!("kill -{signal} $$")]).run().await;
        assert_eq!(outcome.ended, Ended::Signalled(number));
        assert_eq!(outcome.stages[0].status, 128 + number);
    }
}

#[tokio::test]
async fn output_beyond_the_limit_keeps_its_head_and_its_tail() {
    let host = Host::new().await;
    let line = ["sh", "-c", "printf begin; head -c 67108864 /dev/zero; printf end"];
    let outcome = host.call(&line).with(|call| call.output = 4096).run().await;
    assert_eq!(outcome.ended, Ended::Exited(0));
    assert_eq!((outcome.stdout.head.len(), outcome.stdout.tail.len()), (2048, 2048));
    assert_eq!(outcome.stdout.omitted, 67_108_864 + 8 - 4096);
    assert!(outcome.stdout.head.starts_with(b"begin\0") && outcome.stdout.tail.ends_with(b"\0end"));
}

#[tokio::test]
async fn output_beyond_the_total_ends_the_line() {
    let host = Host::new().await;
    let outcome =
        host.call(&["yes"]).with(|call| (call.output, call.output_total) = (4096, 1 << 20)).run().await;
    assert_eq!(outcome.ended, Ended::OutputLimit);
    assert!(outcome.stdout.omitted > (1 << 20) - 4096);
    assert!(outcome.stdout.head.starts_with(b"y\ny\n"));
}

#[tokio::test]
async fn many_calls_at_once_do_not_mix() {
    let host = Host::new().await;
    let calls = (0..24).map(|number: u32| {
        let host = &host;
        async move {
            (number, host.stdout(&["sh", "-c", &format!("sleep 0.0{}; echo {number}", number % 10)]).await)
        }
    });
    for (number, stdout) in futures::future::join_all(calls).await {
        assert_eq!(stdout, format!("{number}\n"));
    }
}

#[tokio::test]
async fn a_program_starts_with_clean_signals_descriptors_and_limits() {
    let host = Host::new().await;
    let status = host.stdout(&["cat", "/proc/self/status"]).await;
    let signals = status
        .lines()
        .filter(|line| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|name| line.starts_with(name)));
    assert_eq!(
        signals.collect::<Vec<_>>(),
        ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "SigCgt:\t0000000000000000"]
    );
    // The fourth is the directory that ls itself reads.
    assert_eq!(host.stdout(&["ls", "/proc/self/fd"]).await, "0\n1\n2\n3\n");
    let outcome = host
        .call(&["sh", "-c", "ulimit -n; ulimit -c; umask; pwd; env | grep -v -e ^PWD -e ^TESTS"])
        .with(|call| (call.open_files, call.umask) = (Some(77), 0o027))
        .run()
        .await;
    let root = host.path("").canonicalize().unwrap();
    assert_eq!(text(&outcome.stdout), format!("77\n0\n0027\n{}\nPATH=/usr/bin:/bin\n", root.display()));
}

#[tokio::test]
async fn a_pipe_that_a_program_has_enlarged_is_emptied() {
    let host = Host::new().await;
    let write = "import fcntl, os; fcntl.fcntl(1, 1031, 1 << 20); os.write(1, b'x' * (1 << 20))";
    for _ in 0..20 {
        // The daemon looks away until all of it is in the pipe.
        let away = async { std::thread::sleep(Duration::from_millis(100)) }.then(|()| pending());
        let call = host.call(&["python3", "-c", write]).with(|call| call.output = 2 << 20);
        assert_eq!(call.until(away).await.unwrap().stdout.head.len(), 1 << 20);
    }
}

#[tokio::test]
async fn the_newest_line_of_either_output_is_seen_while_the_call_runs() {
    let host = Host::new().await;
    for (script, expected) in [
        ("echo 1; echo 2; printf 3; exec sleep 86421", "2"),
        ("echo out; sleep 0.2; echo err >&2; exec sleep 86421", "err"),
        ("head -c 300000 /dev/zero; echo; echo last; exec sleep 86421", "last"),
    ] {
        let watch = Watch::of_output();
        let expected = Some(Line { bytes: expected.into(), whole: true });
        let seen = async {
            assert!(soon(|| watch.newest_line() == expected).await, "{:?}", watch.newest_line());
            Stop::Cancelled
        };
        let call = host.call(&["sh", "-c", script]).with(|call| call.watch = watch.clone());
        assert_eq!(call.until(seen).await.unwrap().ended, Ended::Cancelled, "{script}");
    }
}
