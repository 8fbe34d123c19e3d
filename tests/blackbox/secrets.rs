//! What must be read nowhere but by the program: keys, arguments that the policy calls secret, and output.

use std::process::Command;

use serde_json::{Value, json};

use crate::client::{ERAS, Era};
use crate::daemon::{Daemon, Setup, binary};
use crate::policy::{ALICE, BOB};

/// What is to be found nowhere.
pub const SECRET: &str = "hunter2-7f3a";

/// A program that prints its arguments, one of which is a secret.
pub fn setup() -> Setup {
    Setup::new()
        .replace("[log]", "[log]\nlevel = \"trace\"")
        .replace("commands = [\"cat\", ", "commands = [\"show\", \"cat\", ")
        .append("[command.show]\nprogram = \"/bin/echo\"\nflags = [\"-p=secret\", \"--password=secret\", \"--key=text\", \"-v\"]\n")
}

/// Calls that a secret is in, each with what is on record of it.
fn calls() -> Vec<(Vec<String>, Value)> {
    let command = |words: &[&str]| words.iter().map(|word| word.replace("SECRET", SECRET)).collect();
    vec![
        (command(&["show", "--password=SECRET", "in"]), json!(["show", "--password=[secret]", "in"])),
        (command(&["show", "--password", "SECRET"]), json!(["show", "--password", "[secret]"])),
        (command(&["show", "-vpSECRET", "|", "cat"]), json!(["show", "-vp[secret]", "|", "cat"])),
        // These are refused: before the secret, behind it, by syntax, and because its flag is misspelt.
        (command(&["show", "--bad", "-pSECRET"]), json!(["show", "--bad", "[secret]"])),
        (command(&["show", "-pSECRET", "--bad"]), json!(["show", "-p[secret]", "--bad"])),
        (command(&["show", "-p", "SECRET", "|"]), json!(["show", "-p", "[secret]", "|"])),
        (command(&["sudo", "show", "--password=SECRET"]), json!(["sudo", "show", "--password=[secret]"])),
        (command(&["show", "--pasword=SECRET"]), json!(["show", "--pasword=[secret]"])),
        // As whoever is used to a shell would write it.
        (command(&["/bin/show", "-p", "SECRET"]), json!(["/bin/show", "-p", "[secret]"])),
        (command(&["show -p SECRET"]), json!(["show [secret]"])),
        (command(&["bash", "-c", "cd /; show -pSECRET"]), json!(["bash", "-c", "cd /; show [secret]"])),
    ]
}

#[test]
fn a_secret_argument_is_for_the_program_alone() {
    let daemon = setup().start();
    for (words, expected) in calls() {
        let answer = daemon.client().run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        if answer.is_error {
            assert!(!answer.text.contains(SECRET), "a refusal quotes it: {}", answer.text);
        } else {
            assert!(answer.stdout().contains(SECRET), "the program gets it: {answer:?}");
        }
        let event = event_of(&daemon, &answer.request_id);
        let command: Value = serde_json::from_str(event["command"].as_str().expect("text")).expect("JSON");
        assert_eq!(command, expected);
    }
    assert!(!daemon.log.whole().contains(SECRET), "{}", daemon.log.whole());
}

#[test]
fn explain_shows_no_secret_argument() {
    let setup = setup();
    setup.write_policy();
    for (words, _) in calls() {
        for format in [&["--json"][..], &[]] {
            let output = Command::new(binary())
                .args(["explain", "--key", "alice", "--config"])
                .arg(setup.policy_file())
                .args(format)
                .arg("--")
                .args(&words)
                .output()
                .expect("it runs");
            let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(shown.contains("alice") && !shown.contains(SECRET), "{words:?}: {shown}");
        }
    }
}

#[test]
fn no_key_no_secret_and_no_output_is_in_the_log_at_its_most_talkative() {
    let daemon = setup().start();
    let like_a_key = format!("kernos_{}", "aB3-_".repeat(9));
    for era in ERAS {
        let alice = daemon.client_of(era, ALICE);
        alice.run(&["printf", "%s%s", "out", "put-of-a-command"]);
        alice.run(&["show", "-p", SECRET, ALICE, &format!("--key={ALICE}"), &like_a_key]);
        alice.run(&["no-such-command", ALICE]);
        alice.run(&["cat", &format!("/etc/{ALICE}")]);
        alice.feed(&["cat"], "input-of-a-command");
        alice.request("tools/call", json!({ "name": ALICE, "arguments": {} }));
        alice.request("tools/call", json!({ "name": "shell_execute", "arguments": { ALICE: ALICE } }));
        alice.request(ALICE, json!({ ALICE: [ALICE] }));
    }
    let last = daemon.client_of(Era::Modern, BOB).run(&["echo", ALICE]).request_id;
    let event = event_of(&daemon, &last);
    assert!(
        event["command"].to_string().contains(ALICE),
        "what is another's is not known to be a key: {event}"
    );
    let others: Vec<Value> =
        daemon.log.events().into_iter().filter(|event| event["request_id"] != last.as_str()).collect();
    let log = serde_json::to_string(&others).expect("it was JSON");
    assert!(log.contains(r#"[\"show\",\"-p\",\"[secret]\",\"[key]\",\"--key=[key]\",\"[key]\"]"#), "{log}");
    for secret in [ALICE, &like_a_key, SECRET, "output-of-a-command", "input-of-a-command"] {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

fn event_of(daemon: &Daemon, request_id: &str) -> Value {
    daemon.log.await_event(&format!("an event of request {request_id}"), |event| {
        event["request_id"] == request_id && event["decision"].is_string()
    })
}
