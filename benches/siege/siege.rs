//! What Bob notices of each attack, in one table: alone, attacked, alone again.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::attacks::{ATTACKS, Attack};
use super::besieged::{Besieged, raise_open_files};
use super::bob::{Bob, Turn, WAYS};
use super::proc;
use super::table::Table;

/// A median may be so many times what it is alone: the processors are shared with the attack itself.
const RATIO_MAX: f64 = 2.0;

/// A median that is missed is measured again so often: other work of the machine is not the daemon's fault.
const ATTEMPTS: usize = 3;

/// What the daemon is given to close what an attack has left.
const REST: Duration = Duration::from_millis(500);

/// What was measured around one attack.
struct Measured {
    attack: Attack,
    before: Turns,
    during: Turns,
    after: Turns,
    did: String,
    resident: [u64; 3],
}

type Turns = [Turn; WAYS.len()];

/// Makes each attack, prints what was measured, and tells whether Bob could work.
pub fn siege(kernos: &Path, turn: Duration) -> Result<bool, String> {
    let mut daemon = Besieged::start(kernos, false, complain)?;
    raise_open_files();
    let mut bob = Bob::new(daemon.address());
    // What is measured first is not to pay for what happens once.
    bob.turns(turn);
    let mut measured = Vec::new();
    for attack in ATTACKS {
        for attempt in 1..=ATTEMPTS {
            eprintln!("{}…", attack.name());
            let one = make(attack, &daemon, &mut bob, turn);
            if let Some(ended) = daemon.ended() {
                return Err(format!("{ended} under the attack: {}", attack.name()));
            }
            if attempt == ATTEMPTS || one.failed() || !one.slow() {
                measured.push(one);
                break;
            }
        }
    }
    show(&measured);
    Ok(judge(&measured))
}

/// Prints what the daemon says when something is wrong with it: errors, and what is no line of a log.
pub fn complain(line: &str) {
    let parsed: Option<Value> = serde_json::from_str(line).ok();
    if parsed.is_none_or(|line| line["level"] == "ERROR") {
        eprintln!("kernos: {line}");
    }
}

fn make(attack: Attack, daemon: &Besieged, bob: &mut Bob, turn: Duration) -> Measured {
    let resident = || proc::resident(daemon.pid()).unwrap_or_default();
    let before = bob.turns(turn);
    let at_first = resident();
    let running = attack.begin(daemon.address());
    let during = bob.turns(turn);
    let attacked = resident();
    let did = running.end();
    thread::sleep(REST);
    let after = bob.turns(turn);
    Measured { attack, before, during, after, did, resident: [at_first, attacked, resident()] }
}

fn show(measured: &[Measured]) {
    let mut table = Table::new(
        &[0, 1],
        &[
            "attack",
            "Bob calls",
            "alone p50",
            "p99",
            "attacked p50",
            "p99",
            "after p50",
            "p99",
            "p50 : alone",
            "p99 : alone",
            "failed",
        ],
    );
    for one in measured {
        for (number, way) in WAYS.iter().enumerate() {
            let turns = [&one.before[number], &one.during[number], &one.after[number]];
            let mut row = vec![one.attack.name().to_owned(), way.name().to_owned()];
            row.extend(
                turns.iter().flat_map(|turn| [50, 99].map(|part| microseconds(turn.percentile(part)))),
            );
            row.extend(
                [50, 99].map(|part| one.ratio(number, part).map_or("–".to_owned(), |r| format!("{r:.2}"))),
            );
            row.push(turns.iter().map(|turn| turn.failures.len()).sum::<usize>().to_string());
            table.row(row);
        }
    }
    table.print("What Bob waits for, in µs");
    let mut table = Table::new(&[0, 4], &["attack", "resident before", "attacked", "after", "what it did"]);
    for one in measured {
        let [before, during, after] = one.resident.map(|kib| format!("{} MiB", kib / 1024));
        table.row(vec![one.attack.name().to_owned(), before, during, after, one.did.clone()]);
    }
    table.print("What the daemon holds");
}

/// Prints what was missed; whether nothing was.
fn judge(measured: &[Measured]) -> bool {
    let mut missed = Vec::new();
    for one in measured {
        for (number, way) in WAYS.iter().enumerate() {
            let name = format!("{}: {}", one.attack.name(), way.name());
            for (when, turns) in [("before", &one.before), ("attacked", &one.during), ("after", &one.after)] {
                missed.extend(
                    turns[number].failures.first().map(|why| format!("{name}: failed {when}: {why}")),
                );
            }
            let slow = one.ratio(number, 50).filter(|ratio| *ratio > RATIO_MAX);
            missed.extend(slow.map(|ratio| format!("{name}: {ratio:.2} times the median alone")));
        }
    }
    for miss in &missed {
        println!("MISSED   {miss}");
    }
    if missed.is_empty() {
        println!(
            "reached  Bob's medians under every attack, at most {RATIO_MAX} times those alone, and no failure"
        );
    }
    missed.is_empty()
}

impl Measured {
    fn failed(&self) -> bool {
        [&self.before, &self.during, &self.after].into_iter().flatten().any(|turn| !turn.failures.is_empty())
    }

    fn slow(&self) -> bool {
        (0..WAYS.len()).any(|way| self.ratio(way, 50).is_some_and(|ratio| ratio > RATIO_MAX))
    }

    /// Attacked to alone, the slower of the two measures of that: the machine has moods.
    fn ratio(&self, way: usize, part: usize) -> Option<f64> {
        let seconds = |turns: &Turns| turns[way].percentile(part).map(|one| one.as_secs_f64());
        let alone = seconds(&self.before)?.max(seconds(&self.after)?);
        Some(seconds(&self.during)? / alone)
    }
}

fn microseconds(latency: Option<Duration>) -> String {
    latency.map_or("–".to_owned(), |latency| latency.as_micros().to_string())
}
