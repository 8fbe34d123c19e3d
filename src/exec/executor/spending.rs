//! What the processes of a call spend: processor time, memory, and how many they are (proc(5)).

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::process::Pid;

use super::tree;
use crate::exec::outcome::Usage;

/// Processor time of all children of this process that have ended, and of theirs.
///
/// A worker has served other calls before: the difference since a call began is that call's.
pub(super) fn of_the_ended() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Duration::ZERO };
    span(usage.user_time()) + span(usage.system_time())
}

/// What a call has spent that began when the ended ones had spent `before`.
pub(super) fn since(before: Duration) -> Usage {
    let ended = Usage { cpu: of_the_ended().saturating_sub(before), ..Usage::default() };
    tree::descendants().filter_map(of_process).fold(ended, |sum, one| Usage {
        cpu: sum.cpu + one.cpu,
        memory: sum.memory + one.memory,
        processes: sum.processes + one.processes,
    })
}

fn span(time: TimeVal) -> Duration {
    let microseconds = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(microseconds.try_into().unwrap_or(0))
}

/// Of a process that has gone meanwhile there is nothing to tell.
fn of_process(process: Pid) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    parse(&stat, rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64)
}

/// The fields are counted from behind the name, which may hold anything.
fn parse(stat: &str, ticks: u64, page: u64) -> Option<Usage> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    // utime, stime, cutime and cstime are the fields 14 to 17, rss is 24; the first one here is 3.
    let times: Vec<u64> = fields.by_ref().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    let pages: u64 = fields.nth(6)?.parse().ok()?;
    let cpu = Duration::from_millis(times.iter().sum::<u64>() * 1000 / ticks.max(1));
    Some(Usage { cpu, memory: pages * page, processes: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_a_name_of_any_kind() {
        let stat = "7 (a) R 1 (b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 20 30 20 0 1 0 5 1000 25 99 1 1";
        let expected = Usage { cpu: Duration::from_millis(2500), memory: 25 * 4096, processes: 1 };
        assert_eq!(parse(stat, 100, 4096), Some(expected));
        assert_eq!(parse("7 (a) R 1", 100, 4096), None);
        assert_eq!(parse("", 100, 4096), None);
    }
}
