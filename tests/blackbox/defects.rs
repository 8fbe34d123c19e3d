//! The sixteen defects of the predecessor's executor, B1 to B16, each with the right outcome.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::daemon::{Daemon, Setup};
use crate::processes::{await_end, marker, with_argument};

#[test]
fn b1_the_deadline_covers_every_stage() {
    let answer = Daemon::start().client().run_within(1, &["sleep", "3", "|", "cat"]);
    answer.refusal();
    assert_eq!((answer.ended(), answer.status()), ("timed-out", 124));
}

#[test]
fn b2_the_first_stage_reads_what_was_sent() {
    let answer = Daemon::start().client().feed(&["cat", "|", "sort"], "z\ny\n");
    assert_eq!(answer.printed(), ("y\nz\n", 0));
}

#[test]
fn b3_a_redirection_before_a_pipe_gets_the_output() {
    let daemon = Daemon::start();
    fs::write(daemon.work().join("l.txt"), "b\na\n").unwrap();
    let answer = daemon.client().run(&["cat", "l.txt", ">", "victim.txt", "|", "sort"]);
    assert_eq!(answer.printed(), ("", 0));
    assert_eq!(fs::read_to_string(daemon.work().join("victim.txt")).unwrap(), "b\na\n");
}

#[test]
fn b3_nothing_is_touched_when_a_later_stage_is_denied() {
    let daemon = Daemon::start();
    fs::write(daemon.work().join("victim.txt"), "kept\n").unwrap();
    daemon.client().run(&["echo", "x", ">", "victim.txt", "|", "rm"]).refusal();
    assert_eq!(fs::read_to_string(daemon.work().join("victim.txt")).unwrap(), "kept\n");
}

#[test]
fn b4_an_input_redirection_in_the_middle_is_honoured() {
    let daemon = Daemon::start();
    fs::write(daemon.work().join("a.txt"), "from the file\n").unwrap();
    let answer = daemon.client().run(&["echo", "x", "|", "cat", "<", "a.txt"]);
    assert_eq!(answer.printed(), ("from the file\n", 0));
}

#[test]
fn b5_bytes_that_are_not_text_pass_a_pipe() {
    let answer = Daemon::start().client().run(&["head", "-c", "20", "/dev/urandom", "|", "wc", "-c"]);
    assert_eq!(answer.printed(), ("20\n", 0));
}

#[test]
fn b6_an_endless_stage_ends_with_its_reader() {
    let started = Instant::now();
    let answer = Daemon::start().client().run(&["yes", "|", "head", "-1"]);
    assert_eq!(answer.printed(), ("y\n", 0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn b7_a_large_input_is_echoed_whole() {
    let daemon = Setup::new().replace("[limits]", "[limits]\noutput = \"16MiB\"").start();
    let input = "0123456789abcde\n".repeat(8 * 65536);
    let answer = daemon.client().feed(&["cat"], &input);
    assert_eq!(answer.status(), 0);
    assert!(answer.stdout() == input, "{} bytes of {}", answer.stdout().len(), input.len());
}

#[test]
fn b8_an_input_that_nobody_reads_is_no_error() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let input = "x".repeat(900_000);
    assert_eq!(client.feed(&["true"], &input).printed(), ("", 0));
    assert_eq!(client.feed(&["head", "-c", "1"], &input).printed(), ("x", 0));
}

#[test]
fn b9_everything_that_a_script_started_is_gone() {
    let seconds = marker();
    let script = format!(
        "sleep {seconds} & (timeout 99999999 sleep {seconds} &) ; nohup sleep {seconds} & echo up; wait"
    );
    let answer = Daemon::start().client().run_within(1, &["sh", "-c", &script]);
    assert_eq!((answer.is_error, answer.ended(), answer.stdout()), (true, "timed-out", "up\n"));
    assert_eq!(with_argument(&seconds), [0; 0], "they outlived the answer");
}

#[test]
fn b9_what_is_left_in_the_background_ends_with_its_call() {
    let seconds = marker();
    let script = format!("(timeout 99999999 sleep {seconds} >/dev/null 2>&1 &); echo done");
    let answer = Daemon::start().client().run(&["sh", "-c", &script]);
    assert_eq!(answer.printed(), ("done\n", 0));
    await_end(&seconds);
}

#[test]
fn b10_the_environment_of_the_daemon_is_out_of_reach() {
    let daemon = Setup::new().environment("KERNOS_TEST_CANARY", "canary-7f3a").start();
    let script = format!(
        "env; cat /proc/$PPID/environ /proc/{}/environ /proc/{}/environ",
        daemon.pid(),
        daemon.executor()
    );
    let answer = daemon.client().run(&["sh", "-c", &script]);
    assert!(!answer.text.contains("canary-7f3a"), "{answer:?}");
    assert!(answer.stdout().contains("PATH=/usr/bin:/bin\n"), "{answer:?}");
    assert!(answer.stderr().matches("Permission denied").count() >= 2, "{answer:?}");
}

#[test]
fn b11_white_space_is_kept() {
    assert_eq!(Daemon::start().client().run(&["printf", "  hi  "]).printed(), ("  hi  ", 0));
}

#[test]
fn b12_an_empty_word_is_an_argument() {
    let daemon = Daemon::start();
    fs::write(daemon.work().join("f"), "one\ntwo\n").unwrap();
    assert_eq!(daemon.client().run(&["echo", "a", "", "b"]).printed(), ("a  b\n", 0));
    assert_eq!(daemon.client().run(&["grep", "-c", "", "f"]).printed(), ("2\n", 0));
}

#[test]
fn b13_a_name_with_spaces_and_a_dangling_pipe_are_refused() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let spaces = client.run(&[" ls "]);
    assert!(spaces.refusal().starts_with("command[0]: ") && spaces.text.contains("` ls `"), "{spaces:?}");
    let dangling = client.run(&["ls", "|"]);
    assert_eq!(dangling.refusal(), "command[1]: `|` has no command after it");
}

#[test]
fn b14_head_and_tail_of_a_long_output_are_kept_and_the_cut_is_told() {
    let daemon = Setup::new().replace("[limits]", "[limits]\noutput = \"64KiB\"").start();
    let whole: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let answer = daemon.client().run(&["seq", "1", "100000"]);
    let (stdout, status) = answer.printed();
    assert_eq!((status, answer.ended()), (0, "exited"));
    assert!(stdout.starts_with(&whole[..32_000]) && stdout.ends_with(&whole[whole.len() - 32_000..]));
    assert_eq!(answer.member("stdout_omitted"), &json!(whole.len() - 65_536));
}

#[test]
fn b14_what_a_failing_stage_wrote_is_kept() {
    let answer = Daemon::start().client().run(&["sh", "-c", "echo kept; echo why >&2; exit 3"]);
    assert_eq!(answer.printed(), ("kept\n", 3));
    assert_eq!(answer.stderr(), "why\n");
}

#[test]
fn b15_an_operator_inside_a_word_is_data() {
    let daemon = Daemon::start();
    let client = daemon.client();
    assert_eq!(client.run(&["sh", "-c", "echo a; echo b | cat"]).printed(), ("a\nb\n", 0));
    assert_eq!(client.run(&["echo", "fix: x; y && z > w"]).printed(), ("fix: x; y && z > w\n", 0));
    assert_eq!(client.run(&["echo", "\\;", "\\|", "\\>"]).printed(), ("; | >\n", 0));
}

#[test]
fn b16_a_search_without_a_match_is_a_result() {
    let daemon = Daemon::start();
    fs::write(daemon.work().join("f"), "one\n").unwrap();
    let answer = daemon.client().run(&["grep", "x", "f", "|", "wc", "-l"]);
    assert_eq!(answer.printed(), ("0\n", 0));
    let stages = answer.member("stages");
    assert_eq!((&stages[0]["status"], &stages[1]["status"]), (&json!(1), &json!(0)));
}
