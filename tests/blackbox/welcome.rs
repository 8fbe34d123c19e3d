//! The first command on a fresh clone: no policy, no arguments.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::daemon::binary;

/// There is one place where those of root take orders.
static ONE: Mutex<()> = Mutex::new(());

/// A daemon under the embedded default policy, on a port of its own.
struct Welcome {
    child: Child,
    printed: Vec<String>,
    /// Held open: what it prints later must have somewhere to go.
    output: BufReader<ChildStdout>,
    _home: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Welcome {
    /// Starts it and reads what it prints, to the end of the `curl` line.
    fn read() -> Self {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let home = TempDir::with_prefix("kernos-home-").unwrap();
        // It does not matter here to which of the two streams a line goes.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" serve --listen 127.0.0.1:0 2>&1"])
            .arg(binary())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("INVOCATION_ID")
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = Vec::new();
        let mut in_curl = false;
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for line in output.by_ref().lines().map_while(Result::ok) {
            in_curl |= line.trim_start().starts_with("curl ");
            let goes_on = line.ends_with('\\');
            printed.push(line);
            if in_curl && !goes_on {
                break;
            }
        }
        Self { child, printed, output, _home: home, _alone: alone }
    }

    /// Where its commands may write.
    fn directory(&self) -> PathBuf {
        let line = self.printed.iter().find(|line| line.starts_with("Directory that commands may use:"));
        line.and_then(|line| line.rsplit_once(' ')).expect("it is printed").1.into()
    }

    /// The command to paste, joined as a shell would read it.
    fn curl(&self) -> String {
        let lines = self.printed.iter().skip_while(|line| !line.trim_start().starts_with("curl "));
        lines.cloned().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Welcome {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs curl; run by .ci/run"]
fn the_printed_curl_line_runs_a_command_when_pasted() {
    let welcome = Welcome::read();
    let output = Command::new("sh").args(["-c", &welcome.curl()]).output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(answer.contains("\"stdout\""), "{answer}\nof\n{}", welcome.curl());
    assert!(!answer.contains("\"isError\":true"), "{answer}");
}

#[test]
fn a_look_around_ends_with_its_terminal() {
    let mut welcome = Welcome::read();
    kill(Pid::from_raw(welcome.child.id().cast_signed()), Signal::SIGHUP).unwrap();
    assert_eq!(welcome.child.wait().unwrap().code(), Some(0));
    assert!(!welcome.directory().exists(), "nothing is in it");
}

#[test]
fn what_was_written_in_a_look_around_stays_and_is_told_of() {
    let mut welcome = Welcome::read();
    let directory = welcome.directory();
    fs::write(directory.join("notes.txt"), "precious").unwrap();
    kill(Pid::from_raw(welcome.child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(welcome.child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    welcome.output.read_to_string(&mut said).unwrap();
    assert!(said.contains(&format!("stays in {}:", directory.display())), "{said}");
    assert_eq!(fs::read_to_string(directory.join("notes.txt")).unwrap(), "precious");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
#[ignore = "needs root; run by .ci/run"]
fn a_look_around_by_root_takes_orders_too() {
    let _welcome = Welcome::read();
    let output = Command::new(binary()).args(["calls", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[]\n", "{output:?}");
}

#[test]
fn the_default_policy_is_never_silent_under_a_service_manager() {
    let output = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("INVOCATION_ID", "0123456789abcdef0123456789abcdef")
        .env("NOTIFY_SOCKET", "/nonexistent/notify")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/etc/kernos/kernos.toml"), "{output:?}");
}

#[test]
fn the_examples_of_the_help_work_one_after_another_as_they_are_written() {
    let help = Command::new(binary()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let examples = help.split_once("Examples:\n").and_then(|(_, rest)| rest.split_once("\n\n")).unwrap().0;
    let commands = examples.lines().filter(|line| !line.starts_with("    "));
    let commands = commands.filter_map(|line| line.trim().split("   ").next());
    // The first and the last serve, and would do so for ever.
    let ends = |line: &&str| !line.starts_with("kernos serve") && *line != "kernos";
    let script: Vec<_> = commands.filter(ends).collect();
    assert!(script.iter().any(|line| line.contains("kernos explain")), "{examples}");
    let home = TempDir::with_prefix("kernos-home-").unwrap();
    let made = !Path::new("/tmp/kernos-work").exists();
    let function = format!("set -e; umask 022; kernos() {{ '{}' \"$@\"; }}\n", binary().display());
    let output = Command::new("sh")
        .args(["-c", &(function + &script.join("\n"))])
        .current_dir(home.path())
        .output()
        .unwrap();
    if made {
        let _ = fs::remove_dir("/tmp/kernos-work");
    }
    assert!(output.status.success(), "{script:?}: {output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("allowed for `alice`"), "{output:?}");
}

#[test]
fn the_default_policy_is_sound() {
    let output = Command::new(binary()).args(["policy", "default"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("[server]") && text.contains("best-effort"), "{text}");
}
