//! Programs are pinned when the policy loads; what may take their place later.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::client::Answer;
use crate::daemon::{Daemon, Setup};

/// A policy with a rule `tool` for a program in a directory that only the tester can write.
struct Tool {
    setup: Setup,
    directory: PathBuf,
}

impl Tool {
    /// `tool` is a copy of echo; `linked` where its path is a link to it.
    fn new(linked: bool) -> Self {
        let setup = Setup::new();
        let directory = setup.outside().join("bin");
        fs::create_dir(&directory).unwrap();
        install("echo", &directory.join("tool-1"));
        install("printf", &directory.join("tool-2"));
        if linked {
            symlink("tool-1", directory.join("tool")).unwrap();
        } else {
            fs::rename(directory.join("tool-1"), directory.join("tool")).unwrap();
        }
        let rule = format!("[command.tool]\nprogram = \"{}/tool\"\n", directory.display());
        let setup = setup.replace("commands = [\"cat\"", "commands = [\"tool\", \"cat\"").append(&rule);
        Self { setup, directory }
    }

    fn start(self) -> (Daemon, PathBuf) {
        (self.setup.start(), self.directory)
    }
}

#[test]
#[ignore = "needs root, so that the users of kernos cannot write the program; run by .ci/run"]
fn an_upgrade_by_rename_is_picked_up_without_a_restart() {
    let (daemon, directory) = Tool::new(false).start();
    assert_eq!(call(&daemon).printed(), ("a\\tb\n", 0));
    fs::rename(directory.join("tool-2"), directory.join("tool")).unwrap();
    assert_eq!(call(&daemon).printed(), ("a\tb", 0));
}

#[test]
#[ignore = "needs root, so that the users of kernos cannot write the program; run by .ci/run"]
fn a_link_that_leads_elsewhere_is_not_followed() {
    let (daemon, directory) = Tool::new(true).start();
    assert_eq!(call(&daemon).printed(), ("a\\tb\n", 0));
    symlink("tool-2", directory.join("new")).unwrap();
    fs::rename(directory.join("new"), directory.join("tool")).unwrap();
    let answer = call(&daemon);
    assert!(answer.refusal().contains("leads to"), "{answer:?}");
    assert!(!answer.text.contains("a\tb"), "{answer:?}");
}

#[test]
#[ignore = "needs root, so that the users of kernos cannot write the program; run by .ci/run"]
fn a_replacement_with_a_set_user_id_bit_is_refused() {
    let (daemon, directory) = Tool::new(false).start();
    fs::set_permissions(directory.join("tool-2"), Permissions::from_mode(0o4755)).unwrap();
    fs::rename(directory.join("tool-2"), directory.join("tool")).unwrap();
    let answer = call(&daemon);
    assert!(answer.refusal().contains("set-user-ID"), "{answer:?}");
}

#[test]
fn a_program_that_is_gone_cannot_start_and_the_line_goes_on() {
    let (daemon, directory) = Tool::new(false).start();
    fs::remove_file(directory.join("tool")).unwrap();
    let answer = call(&daemon);
    assert_eq!((answer.is_error, answer.status()), (true, 127), "{answer:?}");
    let answer = daemon.client().run(&["tool", "x", "||", "echo", "instead"]);
    assert_eq!(answer.printed(), ("instead\n", 0));
}

fn call(daemon: &Daemon) -> Answer {
    daemon.client().run(&["tool", "a\\tb"])
}

fn install(name: &str, to: &Path) {
    fs::copy(format!("/usr/bin/{name}"), to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o755)).unwrap();
}
