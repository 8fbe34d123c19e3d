//! The policy is replaced while everybody works: two that differ in one limit take turns.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::actor::Site;
use crate::besieged::{Besieged, is_root};
use crate::wire;

/// Between two replacements.
const PAUSE: Duration = Duration::from_secs(3);

/// A policy is small: it is in force by then.
const WITHIN: Duration = Duration::from_secs(10);

/// Replaces the policy again and again, until the work ends.
pub fn keep_reloading(kernos: &Path, daemon: &Besieged, site: &Site) {
    let mut limits = ["29s", "30s"].into_iter().cycle();
    while !site.ended.load(Ordering::Relaxed) {
        let limit = limits.next().expect("it never ends");
        site.ledger.done(reload(kernos, daemon, limit));
        thread::sleep(PAUSE);
    }
}

fn reload(kernos: &Path, daemon: &Besieged, limit: &str) -> Result<(), String> {
    let digest = daemon.write_policy(limit)?;
    if is_root() {
        ask(kernos, daemon)?;
    } else {
        hang_up(daemon);
    }
    let begun = Instant::now();
    while begun.elapsed() < WITHIN {
        let ready = wire::fetch(daemon.address(), "/ready")?;
        if ready.message()["checks"]["policy"]["digest"] == digest.as_str() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(format!("the policy with a timeout of {limit} is not in force after {WITHIN:?}"))
}

/// As an operator does it.
fn ask(kernos: &Path, daemon: &Besieged) -> Result<(), String> {
    let mut command = Command::new(kernos);
    command.arg("reload").arg("--config").arg(daemon.policy_file()).arg("--control").arg(daemon.control());
    let output = command.output().map_err(|error| format!("kernos reload: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("kernos reload: {}: {:.300}", output.status, String::from_utf8_lossy(&said)))
}

/// As it is done where there is nobody to become.
fn hang_up(daemon: &Besieged) {
    if let Some(pid) = Pid::from_raw(daemon.pid().cast_signed()) {
        let _ = kill_process(pid, Signal::HUP);
    }
}
