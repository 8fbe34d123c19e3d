//! The language of a command line, and the words of a denial.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use serde_json::json;

use crate::daemon::{Daemon, Setup};

#[test]
fn connectors_go_on_as_in_a_shell() {
    let daemon = Daemon::start();
    let client = daemon.client();
    for (words, expected) in [
        (&["true", "&&", "echo", "and"][..], ("and\n", 0)),
        (&["false", "&&", "echo", "and"], ("", 1)),
        (&["false", "||", "echo", "or"], ("or\n", 0)),
        (&["false", ";", "echo", "then"], ("then\n", 0)),
        (&["echo", "a", "&&", "false", "||", "echo", "b"], ("a\nb\n", 0)),
    ] {
        assert_eq!(client.run(words).printed(), expected, "{words:?}");
    }
}

#[test]
fn every_redirection_does_what_its_sign_says() {
    let daemon = Daemon::start();
    let client = daemon.client();
    let both = ["sh", "-c", "echo out; echo err >&2"];
    let run = |tail: &[&str]| client.run(&[&both[..], tail].concat());
    let read = |name: &str| fs::read_to_string(daemon.work().join(name)).unwrap();

    assert_eq!(run(&[">", "o"]).stderr(), "err\n");
    assert_eq!(run(&[">>", "o", "2>", "e"]).printed(), ("", 0));
    assert_eq!((read("o"), read("e")), ("out\nout\n".into(), "err\n".into()));
    run(&["2>>", "e", ">", "/dev/null"]);
    assert_eq!(read("e"), "err\nerr\n");
    assert_eq!(run(&["2>&1"]).stdout(), "out\nerr\n");
    run(&["&>", "b"]);
    assert_eq!(read("b"), "out\nerr\n");
    assert_eq!(client.run(&["wc", "-l", "<", "b"]).printed(), ("2\n", 0));
}

#[test]
fn a_redirection_leads_out_of_no_root() {
    let daemon = Daemon::start();
    let outside = daemon.setup().outside().join("outside.txt");
    symlink(&outside, daemon.work().join("link")).unwrap();
    let client = daemon.client();
    for path in ["../outside.txt", outside.to_str().unwrap(), "link"] {
        let answer = client.run(&["echo", "x", ">", path]);
        assert!(answer.is_error, "{path}: {answer:?}");
        assert!(!outside.exists(), "{path} was followed");
    }
}

#[test]
fn a_link_in_the_place_of_a_root_is_not_followed() {
    let setup = Setup::new();
    let (inner, secret) = (setup.work().join("inner"), setup.outside().join("secret"));
    fs::create_dir(&inner).unwrap();
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("key"), "secret").unwrap();
    let table = format!("[root.inner]\npath = {inner:?}\n");
    let daemon =
        setup.append(&table).replace("{ work = \"rw\" }", "{ work = \"rw\", inner = \"rw\" }").start();
    fs::remove_dir(&inner).unwrap();
    symlink(&secret, &inner).unwrap();
    let client = daemon.client();
    let read = client.run(&["cat", "<", "inner/key"]);
    assert_eq!((read.stdout(), read.ended()), ("", "not-started"), "{read:?}");
    client.run(&["echo", "x", ">", "inner/key"]).refusal();
    assert_eq!(fs::read_to_string(secret.join("key")).unwrap(), "secret");
    let entered = client.call("shell_execute", json!({ "command": ["pwd"], "directory": inner }));
    assert_eq!((entered.stdout(), entered.ended()), ("", "not-started"), "{entered:?}");
}

#[test]
fn a_fifo_hangs_nobody() {
    let daemon = Daemon::start();
    let fifo = daemon.work().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::empty()).unwrap();
    // Not by the mode above: the umask would take from it.
    fs::set_permissions(&fifo, Permissions::from_mode(0o666)).unwrap();
    for words in [["cat", "<", "fifo"].as_slice(), &["echo", "x", ">", "fifo"]] {
        let answer = daemon.client().run_within(5, words);
        assert!(answer.is_error && answer.text.contains("regular file"), "{words:?}: {answer:?}");
    }
}

#[test]
fn a_call_starts_in_the_directory_that_it_names() {
    let daemon = Daemon::start();
    let client = daemon.client();
    fs::create_dir(daemon.work().join("sub")).unwrap();
    let work = fs::canonicalize(daemon.work()).unwrap();
    let in_directory =
        |path: &str| client.call("shell_execute", json!({ "command": ["pwd", "-P"], "directory": path }));
    assert_eq!(client.run(&["pwd", "-P"]).stdout(), format!("{}\n", work.display()));
    let sub = work.join("sub");
    assert_eq!(in_directory(sub.to_str().unwrap()).stdout(), format!("{}\n", sub.display()));
    for wrong in ["/etc", "sub", &format!("{}-evil", work.display()), &format!("{}/none", work.display())] {
        assert!(in_directory(wrong).is_error, "{wrong}");
    }
}

#[test]
fn dots_are_judged_where_the_root_of_a_link_really_is() {
    let setup = Setup::new();
    let (doors, rooms) = (setup.outside().join("doors"), setup.outside().to_owned());
    for made in [doors.join("other"), rooms.join("other"), rooms.join("work/sub")] {
        fs::create_dir_all(made).unwrap();
    }
    fs::write(doors.join("other/secret"), "inside").unwrap();
    fs::write(rooms.join("other/secret"), "OUTSIDE").unwrap();
    fs::write(rooms.join("work/own"), "own").unwrap();
    let link = doors.join("link");
    symlink("../work", &link).unwrap();
    let work = format!("path = {:?}", setup.work());
    let table = format!("[root.other]\npath = {:?}\n", doors.join("other"));
    let daemon = setup
        .replace(&work, &format!("path = {link:?}"))
        .append(&table)
        .replace("{ work = \"rw\" }", "{ work = \"rw\", other = \"rw\" }")
        .start();
    let client = daemon.client();
    let cat = |directory: &Path, words: &[&str]| {
        let command = [&["cat"][..], words].concat();
        client.call("shell_execute", json!({ "command": command, "directory": directory }))
    };
    let absolute = format!("{}/../other/secret", link.display());
    for words in [&["../other/secret"][..], &[&absolute], &["<", "../other/secret"], &["<", &absolute]] {
        cat(&link, words).refusal();
    }
    assert_eq!(cat(&link, &["own"]).stdout(), "own");
    assert_eq!(cat(&link.join("sub"), &["../own", "<", "../own"]).stdout(), "own");
    assert_eq!(cat(&link, &[doors.join("other/secret").to_str().unwrap()]).stdout(), "inside");
}

#[test]
fn a_directory_behind_a_link_is_not_entered_and_the_answer_says_what_to_write() {
    let daemon = Daemon::start();
    let work = fs::canonicalize(daemon.work()).unwrap();
    fs::create_dir_all(work.join("a/b/c")).unwrap();
    symlink("../../..", work.join("a/b/c/up")).unwrap();
    symlink("/etc", work.join("etc")).unwrap();
    fs::write(daemon.setup().outside().join("secret"), "OUTSIDE").unwrap();
    let client = daemon.client();
    let cat = |directory: &str, word: &str| {
        let directory = work.join(directory);
        client.call("shell_execute", json!({ "command": ["cat", word], "directory": directory }))
    };
    // By its text it lies in `a/b/c`.
    let up = cat("a/b/c/up", "../secret");
    assert_eq!((up.stdout(), up.ended()), ("", "not-started"), "{up:?}");
    let remedy = format!("there is a symbolic link on the way; write {}, where it leads", work.display());
    assert!(up.text.contains("`a/b/c/up`") && up.text.contains(&remedy), "{up:?}");
    let out = cat("etc", "passwd");
    assert_eq!((out.stdout(), out.ended()), ("", "not-started"), "{out:?}");
    assert!(out.text.contains(&format!("it leads out of {}", work.display())), "{out:?}");
    assert!(cat("a/b/c", "../../../../secret").refusal().contains("lies outside the roots"));
}

#[test]
fn a_denial_names_the_rule_the_word_and_what_is_allowed() {
    let answer = Daemon::start().client().run(&["cat", "-Z", "x"]);
    let text = answer.refusal();
    for said in ["cat", "-Z", "-n", "-A"] {
        assert!(text.contains(said), "nothing of {said} in {text}");
    }
}

#[test]
fn an_unlisted_program_is_refused_by_name_and_runs_nothing_before_it() {
    let daemon = Daemon::start();
    let answer = daemon.client().run(&["echo", "x", ">", "made.txt", "&&", "rm", "made.txt"]);
    assert!(answer.refusal().contains("rm"), "{answer:?}");
    assert!(!daemon.work().join("made.txt").exists());
}

#[test]
fn a_line_of_nothing_but_launchers_is_refused_and_harms_nobody() {
    let daemon = Setup::new().replace("commands = [\"cat\", ", "commands = [\"cat\", \"nohup\", ").start();
    let client = daemon.client();
    let denial = client.run(&vec!["nohup"; 60_000]).refusal().to_owned();
    assert!(denial.starts_with("command[9]: `nohup` stands behind more than 8 launchers"), "{denial}");
    assert_eq!(client.run(&["nohup", "echo", "next"]).stdout(), "next\n");
}

#[test]
fn words_for_a_shell_are_refused_by_name() {
    let daemon = Daemon::start();
    let client = daemon.client();
    for word in ["&", "|&", "<<", "<<<"] {
        let answer = client.run(&["echo", "x", word, "y"]);
        assert!(answer.refusal().contains("no shell"), "{word}: {answer:?}");
    }
    let glued = client.run(&["echo", "x", "2>/dev/null"]);
    assert!(glued.refusal().contains("\"2>\"") || glued.refusal().contains("`2>`"), "{glued:?}");
    assert_eq!(client.run(&["echo", "$HOME", "*", "~", "`id`", "(", "!"]).stdout(), "$HOME * ~ `id` ( !\n");
}

#[test]
fn a_program_sees_the_environment_of_the_policy_alone() {
    let daemon = Setup::new().environment("KERNOS_TEST_CANARY", "x").environment("TZ", "UTC").start();
    let answer = daemon.client().run(&["env"]);
    let mut names: Vec<&str> =
        answer.stdout().lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["HOME", "TMPDIR", "PWD"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["LANG", "PATH"]);
}

#[test]
fn bytes_that_are_not_text_come_back_exactly() {
    let answer = Daemon::start().client().run(&["printf", "\\377\\000a"]);
    assert_eq!(answer.member("stdout_base64"), &json!("/wBh"));
}

#[test]
fn a_signal_is_told_as_a_shell_tells_it() {
    let answer = Daemon::start().client().run(&["sh", "-c", "kill -9 $$"]);
    assert_eq!((answer.ended(), answer.status(), answer.member("signal")), ("signalled", 137, &json!(9)));
}

#[test]
fn a_longer_deadline_than_the_policy_allows_is_refused_with_the_figure() {
    let answer = Daemon::start().client().run_within(21, &["true"]);
    assert!(answer.refusal().contains("20"), "{answer:?}");
}
