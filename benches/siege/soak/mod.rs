//! Everything at once for minutes: what is held before and after, each answer, and the arithmetic of the record.

mod actor;
mod balance;
mod ledger;
mod legacy;
mod modern;
mod reload;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::besieged::{Besieged, NAMES};
use actor::{Actor, Site};
use balance::Balance;
use ledger::Ledger;

/// Work of the same kind before anything is compared: what is made once and kept is made then.
const WARM_UP: Duration = Duration::from_secs(30);

/// Workers and threads that nobody needs are let go after ten seconds, workers one look later; and a bit.
const REST: Duration = Duration::from_secs(24);

/// Those who work at once, in turn with the keys of those who do not attack.
const ACTORS: usize = 12;

/// Between two acts of one of them, at most, in milliseconds.
const PAUSE_MS: u64 = 60;

/// Faults beyond these are only counted.
const SHOWN: usize = 20;

/// One thing that somebody does; what was unexpected about it, if anything was.
type Act = fn(&mut Actor<'_>) -> Result<(), String>;

/// What they do, each as often as the next.
const ACTS: [Act; 20] = [
    modern::succeed,
    modern::fail,
    modern::be_denied,
    modern::time_out,
    modern::print_much,
    modern::pipe,
    modern::list,
    modern::ask_ahead,
    modern::read_late,
    modern::cancel,
    modern::leave_in_answer,
    modern::hang_up_at_once,
    modern::break_off,
    modern::guess,
    modern::watch,
    legacy::work_in_session,
    legacy::leave_session,
    legacy::begin_session,
    legacy::listen_in_session,
    legacy::cancel,
];

/// Works for so long, prints what is held before and after, and tells whether all is as it should be.
pub fn soak(kernos: &Path, time: Duration, reloads: bool) -> Result<bool, String> {
    let ledger = Arc::new(Ledger::default());
    let heard = Arc::clone(&ledger);
    let daemon = Besieged::start(kernos, reloads, move |line| heard.hear(line))?;
    let work = |time| work(kernos, &daemon, &ledger, time, reloads);
    eprintln!("{} s of work to warm up…", WARM_UP.as_secs());
    work(WARM_UP);
    let before = at_rest(&daemon)?;
    eprintln!("{} s of work…", time.as_secs());
    work(time);
    let after = at_rest(&daemon)?;
    let written = daemon.metric("kernos_record_events_total")?;
    daemon.stop()?;

    println!("{}", ledger.summary());
    let mut faults = before.compare(&after);
    let events = f64::from(u32::try_from(ledger.events()).unwrap_or(u32::MAX));
    if (events - written).abs() > 0.5 {
        faults.push(format!("kernos_record_events_total is {written}, and {events} events were heard"));
    }
    faults.extend(ledger.faults());
    Ok(tell(&faults))
}

fn at_rest(daemon: &Besieged) -> Result<Balance, String> {
    eprintln!("{} s of rest…", REST.as_secs());
    thread::sleep(REST);
    Balance::take(daemon)
}

/// Everybody works for so long, and ends the sessions that were left behind.
fn work(kernos: &Path, daemon: &Besieged, ledger: &Arc<Ledger>, time: Duration, reloads: bool) {
    let site = Site::new(daemon, Arc::clone(ledger));
    thread::scope(|scope| {
        for number in 0..ACTORS {
            let actor = Actor::new(&site, NAMES[number % (NAMES.len() - 1)]);
            scope.spawn(move || act(actor, number));
        }
        if reloads {
            scope.spawn(|| reload::keep_reloading(kernos, daemon, &site));
        }
        let begun = Instant::now();
        while begun.elapsed() < time {
            thread::sleep(Duration::from_millis(100));
        }
        site.ended.store(true, Ordering::Relaxed);
    });
    site.clear();
}

fn act(mut actor: Actor<'_>, number: usize) {
    // The same order in each run, another one for each actor.
    let mut random = u64::try_from(number).unwrap_or_default();
    while !actor.site.ended.load(Ordering::Relaxed) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = usize::try_from(random >> 40).unwrap_or_default();
        let result = ACTS[drawn % ACTS.len()](&mut actor);
        actor.site.ledger.done(result);
        thread::sleep(Duration::from_millis((random >> 20) % PAUSE_MS));
    }
}

/// Prints what is wrong; whether nothing is.
fn tell(faults: &[String]) -> bool {
    for fault in faults.iter().take(SHOWN) {
        println!("MISSED   {fault}");
    }
    if faults.len() > SHOWN {
        println!("MISSED   and {} more", faults.len() - SHOWN);
    }
    if faults.is_empty() {
        println!("reached  every answer as expected, every event on record once, nothing left over");
    }
    faults.is_empty()
}
