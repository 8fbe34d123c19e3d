//! What the kernel says of running processes, read from proc(5).

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// An operand of `sleep` that no other process on this machine has, to find that very `sleep` again.
pub fn marker() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("9{:07}{number:03}", std::process::id())
}

/// The processes that bear this very argument. A zombie has no arguments left, so it does not count.
pub fn with_argument(argument: &str) -> Vec<i32> {
    all()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
        })
        .collect()
}

/// The children of a process, its children's children not.
pub fn children(parent: i32) -> Vec<i32> {
    all().filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// The real, effective and saved user of a process.
pub fn users(pid: i32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line =
        status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("every status has a Uid line");
    line.split_whitespace().take(3).map(|id| id.parse().expect("a number")).collect()
}

/// Waits until something holds, and fails with its name if it never does.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never seen within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a process with this argument runs.
pub fn await_start(argument: &str) {
    eventually(&format!("a process with the argument {argument}"), || !with_argument(argument).is_empty());
}

/// Waits until no process with this argument runs.
pub fn await_end(argument: &str) {
    eventually(&format!("the end of every process with the argument {argument}"), || {
        with_argument(argument).is_empty()
    });
}

fn all() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .expect("proc is mounted")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; what follows it does not.
    let after_name = stat.rsplit_once(") ")?.1;
    after_name.split_whitespace().nth(1)?.parse().ok()
}
