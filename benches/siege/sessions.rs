//! What idle sessions of the older era cost in memory.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::besieged::{Besieged, NAMES, key};
use super::proc;
use super::siege::complain;
use super::wire::{self, PATIENCE};

/// Nearly as many as there may be (`sessions::MAX`).
const SESSIONS: usize = 1000;

/// Opened and ended before anything is measured.
const WARM_UP: usize = 200;

/// What the daemon says that they cost at most.
const COST_MAX_KIB: u64 = 10 * 1024;

/// What the daemon is given to come to rest.
const REST: Duration = Duration::from_millis(500);

/// Opens them, prints what they cost, and tells whether that is little enough.
pub fn sessions(kernos: &Path) -> Result<bool, String> {
    let daemon = Besieged::start(kernos, false, complain)?;
    close(&daemon, open(&daemon, WARM_UP)?)?;
    let before = anonymous(&daemon)?;
    let opened = open(&daemon, SESSIONS)?;
    let counted = daemon.metric("kernos_sessions")?;
    let with = anonymous(&daemon)?;
    close(&daemon, opened)?;
    let after = anonymous(&daemon)?;
    let cost = with.saturating_sub(before);
    let sound = counted >= 1000.0 && cost < COST_MAX_KIB;
    println!(
        "anonymous memory of the daemon: {before} KiB before, {with} KiB with {counted} sessions, {after} KiB after"
    );
    println!(
        "{}  {SESSIONS} idle sessions cost {cost} KiB (aim < {COST_MAX_KIB} KiB)",
        if sound { "reached" } else { "MISSED" }
    );
    Ok(sound)
}

/// Opens so many, a fourth of them as each of those who do not attack.
fn open(daemon: &Besieged, number: usize) -> Result<Vec<(&'static str, String)>, String> {
    let names = &NAMES[..4];
    let mut opened = Vec::with_capacity(number);
    for &name in names {
        let mut connection = wire::dial(daemon.address(), "/mcp", PATIENCE)?;
        for _ in 0..number / names.len() {
            let session = wire::open_session(&mut connection, &key(name)).map_err(|answer| answer.shown())?;
            opened.push((name, session));
        }
    }
    Ok(opened)
}

fn close(daemon: &Besieged, sessions: Vec<(&str, String)>) -> Result<(), String> {
    let mut connection = wire::dial(daemon.address(), "/mcp", PATIENCE)?;
    for (name, session) in sessions {
        let answer = wire::close_session(&mut connection, &key(name), &session)?;
        if answer.status != 204 {
            return Err(format!("to end a session: {}", answer.shown()));
        }
    }
    Ok(())
}

fn anonymous(daemon: &Besieged) -> Result<u64, String> {
    thread::sleep(REST);
    proc::anonymous(daemon.pid()).ok_or_else(|| "the daemon's memory cannot be read".to_owned())
}
