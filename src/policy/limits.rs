//! Limits of calls: a command's come before its profile's, its profile's before the file's own.

use std::time::Duration;

use super::document::{Amount, Table};
use super::plan::{LineLimits, ProcessLimits};

/// The limits that one table sets; `None` where it is silent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) timeout: Option<Duration>,
    pub(super) timeout_max: Option<Duration>,
    pub(super) output: Option<u64>,
    pub(super) output_total: Option<u64>,
    pub(super) stdin: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) processes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) file_size: Option<u64>,
    pub(super) concurrent: Option<u32>,
}

/// The same where every table is silent; sizes as `kernos.toml.example` explains them.
const DEFAULTS: Limits = Limits {
    timeout: Some(Duration::from_secs(30)),
    timeout_max: Some(Duration::from_secs(600)),
    output: Some(1 << 20),
    output_total: Some(16 << 30),
    stdin: Some(8 << 20),
    memory: None,
    processes: None,
    open_files: Some(256),
    file_size: None,
    concurrent: Some(8),
};

/// Where the limits stand that are read: a command has no say in how many calls a key may make at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Calls,
    Command,
}

impl Limits {
    /// Reads a `limits` table.
    pub(super) fn read(table: &Table<'_, '_>, of: Of) -> Self {
        let size = |key| table.read(key).map(|Amount(bytes)| bytes);
        let limits = Self {
            timeout: table.read("timeout"),
            timeout_max: table.read("timeout_max"),
            output: size("output"),
            output_total: size("output_total"),
            stdin: size("stdin"),
            memory: size("memory"),
            processes: table.read("processes"),
            open_files: table.read("open_files"),
            file_size: size("file_size"),
            concurrent: match of {
                Of::Calls => table.read::<u64>("concurrent").map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
                Of::Command => None,
            },
        };
        if let (Some(timeout), Some(most)) = (limits.timeout, limits.timeout_max)
            && timeout > most
            && let Some(span) = table.place("timeout")
        {
            table.notes.error(&span, "`timeout` is longer than `timeout_max`", "make it at most as long");
        }
        for key in ["memory", "processes", "file_size"] {
            if let Some(span) = table.place(key) {
                let message = format!("`{key}` is not enforced by this version");
                table.notes.warning(&span, message, "no process is held to it yet");
            }
        }
        table.finish();
        limits
    }

    /// These limits, and where they are silent the outer ones.
    pub(super) fn over(self, outer: Self) -> Self {
        Self {
            timeout: self.timeout.or(outer.timeout),
            timeout_max: self.timeout_max.or(outer.timeout_max),
            output: self.output.or(outer.output),
            output_total: self.output_total.or(outer.output_total),
            stdin: self.stdin.or(outer.stdin),
            memory: self.memory.or(outer.memory),
            processes: self.processes.or(outer.processes),
            open_files: self.open_files.or(outer.open_files),
            file_size: self.file_size.or(outer.file_size),
            concurrent: self.concurrent.or(outer.concurrent),
        }
    }

    /// The smaller of two commands' limits that share a line, or a process that one launches the other in.
    pub(super) fn beside(self, other: Self) -> Self {
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            }
        }
        Self {
            timeout: least(self.timeout, other.timeout),
            timeout_max: least(self.timeout_max, other.timeout_max),
            output: least(self.output, other.output),
            output_total: least(self.output_total, other.output_total),
            stdin: least(self.stdin, other.stdin),
            memory: least(self.memory, other.memory),
            processes: least(self.processes, other.processes),
            open_files: least(self.open_files, other.open_files),
            file_size: least(self.file_size, other.file_size),
            concurrent: least(self.concurrent, other.concurrent),
        }
    }

    /// Whether whoever has `earlier` loses nothing by having these in their place.
    pub(super) fn cover(self, earlier: Self) -> bool {
        let mut amounts = self.whole().amounts().into_iter().zip(earlier.whole().amounts());
        // What is not limited is more than any limit.
        amounts.all(|(one, was)| one.is_none_or(|one| was.is_some_and(|was| one >= was)))
    }

    /// Whether what these limits set by themselves cuts nothing that `earlier` had, be it for what shares a line with
    /// it: a limit that is new there is compared with the most that anything had.
    pub(super) fn leave(self, earlier: Self, most: Self) -> bool {
        let were = earlier.amounts().into_iter().zip(most.amounts()).map(|(was, most)| was.or(most));
        let mut amounts = self.amounts().into_iter().zip(were);
        amounts.all(|(one, was)| one.is_none_or(|one| was.is_some_and(|was| one >= was)))
    }

    /// The larger of each, where what is not limited is the largest.
    pub(super) fn or_more(self, other: Self) -> Self {
        fn most<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.zip(other).map(|(one, other)| one.max(other))
        }
        let (own, other) = (self.whole(), other.whole());
        Self {
            timeout: most(own.timeout, other.timeout),
            timeout_max: most(own.timeout_max, other.timeout_max),
            output: most(own.output, other.output),
            output_total: most(own.output_total, other.output_total),
            stdin: most(own.stdin, other.stdin),
            memory: most(own.memory, other.memory),
            processes: most(own.processes, other.processes),
            open_files: most(own.open_files, other.open_files),
            file_size: most(own.file_size, other.file_size),
            concurrent: most(own.concurrent, other.concurrent),
        }
    }

    /// With what counts where they are silent.
    fn whole(self) -> Self {
        Self { timeout_max: Some(self.longest()), ..self.over(DEFAULTS) }
    }

    /// All of them as numbers.
    fn amounts(self) -> [Option<u128>; 10] {
        let nanoseconds = |time: Option<Duration>| time.map(|time| time.as_nanos());
        [
            nanoseconds(self.timeout),
            nanoseconds(self.timeout_max),
            self.output.map(u128::from),
            self.output_total.map(u128::from),
            self.stdin.map(u128::from),
            self.memory.map(u128::from),
            self.processes.map(u128::from),
            self.open_files.map(u128::from),
            self.file_size.map(u128::from),
            self.concurrent.map(u128::from),
        ]
    }

    /// The longest time that a call may ask for.
    pub(super) fn longest(self) -> Duration {
        let limits = self.over(DEFAULTS);
        limits.timeout_max.unwrap_or_default().max(if self.timeout_max.is_none() {
            limits.timeout.unwrap_or_default()
        } else {
            Duration::ZERO
        })
    }

    /// The limits of a line that asks for no time of its own.
    pub(super) fn line(self) -> LineLimits {
        let limits = self.over(DEFAULTS);
        LineLimits {
            timeout: limits.timeout.unwrap_or_default().min(self.longest()),
            output: limits.output.unwrap_or_default(),
            output_total: limits.output_total.unwrap_or_default(),
            stdin: limits.stdin.unwrap_or_default(),
        }
    }

    /// The limits of each process.
    pub(super) fn process(self) -> ProcessLimits {
        let limits = self.over(DEFAULTS);
        ProcessLimits {
            open_files: limits.open_files,
            memory: limits.memory,
            processes: limits.processes,
            file_size: limits.file_size,
        }
    }

    /// How many calls a key may have running at once.
    pub(super) fn concurrent(self) -> u32 {
        self.over(DEFAULTS).concurrent.unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_limit_counts() {
        let command = Limits { timeout: Some(Duration::from_secs(5)), ..Limits::default() };
        let profile = Limits { timeout: Some(Duration::from_secs(60)), output: Some(7), ..Limits::default() };
        let line = command.over(profile).line();
        let expected =
            LineLimits { timeout: Duration::from_secs(5), output: 7, output_total: 16 << 30, stdin: 8 << 20 };
        assert_eq!(line, expected);
    }

    #[test]
    fn a_timeout_beyond_the_default_maximum_raises_it() {
        let long = Limits { timeout: Some(Duration::from_secs(3600)), ..Limits::default() };
        assert_eq!(long.longest(), Duration::from_secs(3600));
        assert_eq!(long.line().timeout, Duration::from_secs(3600));
    }

    #[test]
    fn commands_that_share_a_line_get_the_smaller_limit() {
        let one = Limits { timeout: Some(Duration::from_secs(5)), ..Limits::default() };
        let other = Limits { timeout: Some(Duration::from_secs(9)), output: Some(3), ..Limits::default() };
        let both = one.beside(other);
        assert_eq!((both.timeout, both.output), (one.timeout, Some(3)));
    }
}
