//! What the daemon holds at rest, before and after: nothing may be left over from the work.

use super::super::besieged::Besieged;
use super::super::proc;
use super::super::table::Table;

/// What is held, by name.
pub struct Balance(Vec<(&'static str, f64, Rule)>);

/// How much more it may be afterwards.
#[derive(Clone, Copy)]
enum Rule {
    /// Nothing, at any time.
    Zero,
    /// No more than before.
    Same,
    /// MiB: an allocator keeps some of what was given back to it.
    Memory,
}

/// Memory may be so many times what it was, or so much more, whichever is more.
const MEMORY_FACTOR: f64 = 1.3;
const MEMORY_MIB: f64 = 16.0;

impl Balance {
    /// What is held now.
    pub fn take(daemon: &Besieged) -> Result<Self, String> {
        let pid = daemon.pid();
        let executor = *proc::children(pid).first().ok_or("the daemon has no executor")?;
        let known = |value: Option<u64>| value.map(count);
        // Where descriptors may not be listed, the daemon itself says how many it has.
        let descriptors = match known(proc::descriptors(pid)) {
            Some(descriptors) => descriptors,
            None => daemon.metric("process_open_fds")?,
        };
        let processes = Besieged::user().map_or_else(|| proc::below(pid), proc::of_user);
        let rows = [
            ("daemon: resident, MiB", known(proc::resident(pid)).map(mib), Rule::Memory),
            ("executor: resident, MiB", known(proc::resident(executor)).map(mib), Rule::Memory),
            ("daemon: descriptors", Some(descriptors), Rule::Same),
            ("executor: descriptors", known(proc::descriptors(executor)), Rule::Same),
            ("daemon: threads", known(proc::threads(pid)), Rule::Same),
            ("executor: threads", known(proc::threads(executor)), Rule::Same),
            ("workers", Some(number(proc::children(executor).len())), Rule::Same),
            ("processes of commands' user", Some(number(processes.len())), Rule::Same),
            ("kernos_sessions", Some(daemon.metric("kernos_sessions")?), Rule::Zero),
            ("kernos_tool_calls_in_flight", Some(daemon.metric("kernos_tool_calls_in_flight")?), Rule::Zero),
            (
                "kernos_record_events_lost_total",
                Some(daemon.metric("kernos_record_events_lost_total")?),
                Rule::Zero,
            ),
        ];
        Ok(Self(rows.into_iter().filter_map(|(name, value, rule)| Some((name, value?, rule))).collect()))
    }

    /// Prints both; gives what has become too much.
    pub fn compare(&self, after: &Self) -> Vec<String> {
        let mut table = Table::new(&[0], &["at rest", "before", "after", "at most"]);
        let mut faults = Vec::new();
        for ((name, before, rule), (_, after, _)) in self.0.iter().zip(&after.0) {
            let most = rule.most(*before);
            table.row(vec![(*name).to_owned(), shown(*before), shown(*after), shown(most)]);
            if *after > most {
                faults.push(format!("{name}: {} before, {} after", shown(*before), shown(*after)));
            }
        }
        table.print("What the daemon holds");
        faults
    }
}

impl Rule {
    fn most(self, before: f64) -> f64 {
        match self {
            Self::Zero => 0.0,
            Self::Same => before,
            Self::Memory => (before * MEMORY_FACTOR).max(before + MEMORY_MIB),
        }
    }
}

fn count(value: u64) -> f64 {
    u32::try_from(value).unwrap_or(u32::MAX).into()
}

fn number(value: usize) -> f64 {
    u32::try_from(value).unwrap_or(u32::MAX).into()
}

fn mib(kib: f64) -> f64 {
    kib / 1024.0
}

fn shown(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
