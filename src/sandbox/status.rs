//! The kernel's account of one thread, `/proc/PID/task/TID/status` (proc(5)).

use std::fs;
use std::io;

use super::Error;

/// The lines that say who a thread is and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) threads: u32,
    /// Real, effective, saved and file system user.
    pub(super) uid: [u32; 4],
    /// The same of the group.
    pub(super) gid: [u32; 4],
    /// In ascending order.
    pub(super) groups: Vec<u32>,
    pub(super) inheritable: u64,
    pub(super) permitted: u64,
    pub(super) effective: u64,
    pub(super) bounding: u64,
    pub(super) ambient: u64,
    pub(super) no_new_privs: bool,
}

impl Status {
    /// Of the thread that asks.
    pub(super) fn of_this_thread() -> Result<Self, Error> {
        Self::read("/proc/thread-self/status")
    }

    /// Of every thread of this process, with its id. A thread that ends meanwhile is left out.
    pub(super) fn of_every_thread() -> Result<Vec<(String, Self)>, Error> {
        const TASKS: &str = "/proc/self/task";
        let unreadable = |source| Error::Status { path: TASKS.to_owned(), source };
        let mut threads = Vec::new();
        for entry in fs::read_dir(TASKS).map_err(unreadable)? {
            let id = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
            match Self::read(&format!("{TASKS}/{id}/status")) {
                Ok(status) => threads.push((id, status)),
                Err(Error::Status { source, .. }) if has_ended(&source) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(threads)
    }

    fn read(path: &str) -> Result<Self, Error> {
        let text = fs::read_to_string(path).and_then(|text| {
            Self::parse(&text)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a line is missing or malformed"))
        });
        text.map_err(|source| Error::Status { path: path.to_owned(), source })
    }

    fn parse(text: &str) -> Option<Self> {
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = |name| line(name)?.trim().parse::<u32>().ok();
        let numbers = |name| -> Option<Vec<u32>> {
            line(name)?.split_whitespace().map(|number| number.parse().ok()).collect()
        };
        let set = |name| u64::from_str_radix(line(name)?.trim(), 16).ok();
        let mut groups = numbers("Groups")?;
        groups.sort_unstable();
        Some(Self {
            threads: number("Threads")?,
            uid: numbers("Uid")?.try_into().ok()?,
            gid: numbers("Gid")?.try_into().ok()?,
            groups,
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
            no_new_privs: number("NoNewPrivs")? == 1,
        })
    }
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tkernos\nUid:\t0\t1\t2\t3\nGid:\t4\t5\t6\t7\nGroups:\t27 4 \nThreads:\t2\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000001\nCapEff:\t0000000000000002\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

    #[test]
    fn every_line_is_read() {
        let expected = Status {
            threads: 2,
            uid: [0, 1, 2, 3],
            gid: [4, 5, 6, 7],
            groups: vec![4, 27],
            permitted: 1,
            effective: 2,
            bounding: 0x1ff_ffff_ffff,
            no_new_privs: true,
            ..Status::default()
        };
        assert_eq!(Status::parse(TEXT), Some(expected));
    }

    #[test]
    fn a_missing_line_is_not_taken_for_an_empty_set() {
        assert_eq!(Status::parse(&TEXT.replace("CapAmb", "CapXxx")), None);
    }

    #[test]
    fn every_thread_of_this_process_is_found() {
        let threads = Status::of_every_thread().unwrap();
        assert!(!threads.is_empty());
        assert!(Status::of_this_thread().unwrap().threads >= 1);
    }
}
