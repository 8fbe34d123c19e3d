//! Puts the commit into the binary, so that `kernos --version` can name it, and the compiler for the metrics.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=KERNOS_COMMIT");
    // Every commit and checkout appends to this log; naming a file that is missing would rebuild each time.
    if std::path::Path::new(".git/logs/HEAD").exists() {
        println!("cargo::rerun-if-changed=.git/logs/HEAD");
    }
    let commit = std::env::var("KERNOS_COMMIT").ok().or_else(described);
    println!("cargo::rustc-env=KERNOS_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=KERNOS_RUSTC={}", compiler().as_deref().unwrap_or("unknown"));
}

/// The version of the compiler, of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn compiler() -> Option<String> {
    let output = Command::new(std::env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1)?.to_owned())
}

fn described() -> Option<String> {
    let output =
        Command::new("git").args(["describe", "--always", "--abbrev=12", "--exclude=*"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
