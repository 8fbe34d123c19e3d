//! What the kernel says of processes, read from proc(5).

use std::fs;

/// Resident memory in KiB.
pub fn resident(pid: u32) -> Option<u64> {
    status(pid, "VmRSS:")
}

/// Resident memory in KiB that is no file's.
pub fn anonymous(pid: u32) -> Option<u64> {
    status(pid, "RssAnon:")
}

/// Its threads.
pub fn threads(pid: u32) -> Option<u64> {
    status(pid, "Threads:")
}

/// Its descriptors, where they may be listed: they may not be by everybody.
pub fn descriptors(pid: u32) -> Option<u64> {
    u64::try_from(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()).ok()
}

/// Its children.
pub fn children(parent: u32) -> Vec<u32> {
    all().filter(|pid| status(*pid, "PPid:") == Some(parent.into())).collect()
}

/// All processes below one.
pub fn below(parent: u32) -> Vec<u32> {
    let mut found = children(parent);
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children(*pid));
        next += 1;
    }
    found
}

/// The processes of a user.
pub fn of_user(uid: u32) -> Vec<u32> {
    all().filter(|pid| status(*pid, "Uid:") == Some(uid.into())).collect()
}

fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The first number of a line of the process's status.
fn status(pid: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
